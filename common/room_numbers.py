"""Room numbers: text such as ``101``, ``0101``, ``12A`` or ``Villa Rosa``, unique in a hotel whatever the case.

A number of digits alone that has no leading zero is an ``int`` in Python and an integer in JSON, as it was when there
were no others; any other is a ``str``. PostgreSQL stores text, compares and sorts by ``hotelmate_room_key``
(``rooms.models.RoomNumberField``).
"""

import re
import unicodedata
from typing import TypeAlias

from common import text

RoomNumber: TypeAlias = int | str

LONGEST = 20
LARGEST = 2**31 - 1
PUNCTUATION = " -._'’"
_PLAIN = re.compile(r"[1-9][0-9]*")
_ZERO = re.compile(r"0+")
_RUN = re.compile(r"[0-9]+")
_FLOOR = re.compile(r"0*([1-9][0-9]*)[0-9]{2}(?![0-9])")

# The same rule for PostgreSQL, as far as it can tell: which characters are letters depends on its locale.
_NEVER = r"""][:cntrl:]!"#$%&()*+,/:;<=>?@[\\^`{|}~"""
STORED = rf"^(?!0+$)(?!.*  )(?!.* $)[^{_NEVER}[:space:]'._-][^{_NEVER}]*$"


def read(value: RoomNumber) -> RoomNumber:
    """The number as it is stored and shown; text that no room can have is returned unchanged."""
    try:
        return checked(value)
    except text.Unreadable:
        return value


def checked(value: RoomNumber) -> RoomNumber:
    """The number, composed (NFC), with single spaces. Raises ``Unreadable`` for what no room can have."""
    written = " ".join(text.line(str(value)).split())
    if not written:
        raise text.Unreadable("A room number has at least one letter or digit.")
    if len(written) > LONGEST:
        raise text.Unreadable(f"A room number has at most {LONGEST} characters.")
    if unicodedata.category(written[0])[0] not in "LN":
        raise text.Unreadable("A room number begins with a letter or a digit.")
    if wrong := next((character for character in written if not _is_allowed(character)), None):
        raise text.Unreadable(f"A room number has letters, digits, spaces and - . _ ' only, not {wrong}")
    if _ZERO.fullmatch(written):
        raise text.Unreadable("A room number is not zero.")
    if not _PLAIN.fullmatch(written):
        return written
    if int(written) > LARGEST:
        raise text.Unreadable(f"A room number of digits alone is {LARGEST} at most.")
    return int(written)


def key(number: RoomNumber) -> tuple[str, str]:
    """What sorts numbers as people do, whatever the case: 9, 12, 12A, 101. Equal only for the same number."""
    lower = str(number).lower()
    return _RUN.sub(lambda run: run.group().lstrip("0").zfill(LONGEST), lower), lower


def floor_of(number: RoomNumber) -> str:
    """The floor according to the number, which is its leading digits without the last two: 1 for 101 and 0112A, 12 for
    1203. An empty string for 7, 12A and PH1.
    """
    found = _FLOOR.match(str(number))
    return found.group(1) if found else ""


def _is_allowed(character: str) -> bool:
    # M: the marks of Indic and other scripts. The joiners that ``text.line`` allows are part of their spelling.
    return character in PUNCTUATION or character in "\u200c\u200d" or unicodedata.category(character)[0] in "LMN"
