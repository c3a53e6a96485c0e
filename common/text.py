"""Validates and normalizes text: one Unicode form (NFC), no reversed lines, and at least one visible character.

There are two kinds. A *line* (a name, a code, a telephone number) has no line breaks or invisible characters, except
the two joiners that Persian, Indic and emoji spelling needs. *Lines* (a note) can have line breaks and tabs, but no
other control characters. The fields for each are in ``common.fields`` (models), ``common.serializers`` (the API) and
``common.forms`` (the admin).
"""

import re
import unicodedata

# Sets of characters, for a regular expression's brackets.
_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_LINE_BREAKS = r"\u2028\u2029"
_BIDI_OVERRIDES = r"\u202d\u202e"
_BIDI_CONTROLS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_JOINERS = r"\u200c\u200d"
# Unicode's Default_Ignorable_Code_Point: characters without a glyph. Some choose the shape of their neighbour …
_VARIANTS = r"\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
# … and the rest have no use in a line.
_IGNORABLE = (
    r"\u00ad\u115f\u1160\u200b\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_BLANKS = r"\s\u2800"  # the blank Braille pattern

_NOT_IN_A_LINE = re.compile(
    rf"[{_CONTROLS}{_LINE_BREAKS}{_BIDI_CONTROLS}{_IGNORABLE}]"
    # A joiner that joins nothing is one more way to make two names look alike.
    rf"|(?:\A|(?<=[{_BLANKS}{_JOINERS}]))[{_JOINERS}]"
)
_NOT_IN_LINES = re.compile(rf"(?![\n\t])[{_CONTROLS}]|[{_BIDI_OVERRIDES}]")
_VISIBLE = re.compile(rf"[^{_BLANKS}{_CONTROLS}{_LINE_BREAKS}{_BIDI_CONTROLS}{_JOINERS}{_VARIANTS}{_IGNORABLE}]")


class Unreadable(ValueError):
    """The text has a character that its kind does not allow; the message is for the person who typed it."""


def nfc(text: str) -> str:
    """The text in Unicode's composed form, in which it is stored, compared and searched."""
    return unicodedata.normalize("NFC", text)


def is_blank(text: str) -> bool:
    """Whether the text has no visible character."""
    return _VISIBLE.search(text) is None


def line(text: str) -> str:
    """One line of text, composed and trimmed; empty if no character is visible. Raises ``Unreadable``."""
    text = nfc(text).strip()
    if found := _NOT_IN_A_LINE.search(text):
        raise Unreadable(
            f"This contains a line break, a control or an invisible character ({_code_point(found)}). Type it again."
        )
    return "" if is_blank(text) else text


def lines(text: str) -> str:
    """Several lines of text, composed, with plain line breaks; empty if no character is visible.

    Raises ``Unreadable``.
    """
    text = nfc(text.replace("\r\n", "\n").replace("\r", "\n"))
    if found := _NOT_IN_LINES.search(text):
        raise Unreadable(f"This contains a control character ({_code_point(found)}). Type it again.")
    return "" if is_blank(text) else text


def _code_point(found: re.Match[str]) -> str:
    return f"U+{ord(found.group()):04X}"
