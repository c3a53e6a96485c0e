"""How values are written in JSON, in answers and in events alike."""

from datetime import UTC, datetime


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with ``Z``."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def printable(text: object) -> str:
    """One line without control characters, which could move somebody's cursor or begin a line of a log."""
    return "".join(character if character.isprintable() else "?" for character in str(text))
