"""common/text.py: the characters allowed in one line and in several lines of text."""

import unicodedata

import pytest

from common import text

E_ACUTE, E_AND_ACUTE = "\u00e9", "e\u0301"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Zoe", "Zoe"),
        ("  Zoe \n", "Zoe"),
        (E_AND_ACUTE, E_ACUTE),
        ("\u1100\u1161", "\uac00"),
        ("O\u2019Brien-Müller", "O\u2019Brien-Müller"),
        ("Anna Maria", "Anna Maria"),
        ("\u4eca\U000e0100", "\u4eca\U000e0100"),  # a variant of a Japanese surname's first letter
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),  # Persian
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"),  # Sinhala
        ("\u0d05\u0d28\u0d3f\u0d32\u0d4d\u200d", "\u0d05\u0d28\u0d3f\u0d32\u0d4d\u200d"),  # Malayalam: Anil
        ("\U0001f469\u200d\U0001f373", "\U0001f469\u200d\U0001f373"),
        (".", "."),
        ("", ""),
        (" \u00a0\u3000", ""),
        ("\u2800", ""),  # a blank Braille pattern
        ("\ufe0f", ""),
    ],
)
def test_a_line_is_composed_and_trimmed(typed, kept):
    assert text.line(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "Ada\nLovelace",
        "Ada\r\nLovelace",
        "Ada\tLovelace",
        "Ada\u2028Lovelace",
        "Ada\x00",
        "Ada\x07",
        "Ada\x85Lovelace",
        "\u202eAda",
        "Ada\u2066",
        "\u200fAda",
        "\u061cAda",
        "\u200b",
        "Ada\u200bLovelace",
        "\ufeffAda",
        "Ada\u2060",
        "\u3164",
        "\u115f\u1160",
        "\uffa0",
        "\u00ad",
        "Ada\U000e0041",  # an invisible tag character
        "\u200d",
        "\u200cAda",
        "Ada \u200dLovelace",
        "Ada\u200c\u200cLovelace",
    ],
)
def test_a_line_has_no_breaks_and_nothing_invisible(typed):
    with pytest.raises(
        text.Unreadable, match=r"^This contains a line break, a control or an invisible character \(U\+"
    ):
        text.line(typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("of a\r\nbrowser\r", "of a\nbrowser\n"),
        (E_AND_ACUTE, E_ACUTE),
        ("call \u2068Ada\u2069", "call \u2068Ada\u2069"),  # as a phone copies a name
        ("\u200b\n", ""),
        ("", ""),
    ],
)
def test_lines_are_composed(typed, kept):
    assert text.lines(typed) == kept


@pytest.mark.parametrize("typed", ["a\x00", "a\x07", "a\x1b[31m", "a\x7f", "a\x9b", "\u202egpj.exe", "\u202da"])
def test_lines_have_no_controls(typed):
    with pytest.raises(text.Unreadable, match=r"^This contains a control character \(U\+"):
        text.lines(typed)


def test_unicode_controls_and_spaces_are_blank():
    unseen = ("Cc", "Zs", "Zl", "Zp")
    assert [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in unseen and not text.is_blank(c)] == []


def test_unicode_controls_are_refused_in_a_line():
    def passes(character: str) -> bool:
        try:
            return text.line(f"a{character}a") != ""
        except text.Unreadable:
            return False

    controls = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in ("Cc", "Zl", "Zp")]
    turning = [c for c in map(chr, range(0x110000)) if unicodedata.bidirectional(c) in
               ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")]  # fmt: skip
    assert [c for c in [*controls, *turning] if passes(c)] == []


def test_an_accepted_line_is_accepted_unchanged():
    for typed in ("\u0958", "\ufb2c", "Zoe\u0301"):  # the first two become longer when composed
        assert text.line(text.line(typed)) == text.line(typed)
