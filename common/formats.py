"""How values are written in JSON, in responses and in events, and text in a terminal."""

from datetime import UTC, datetime


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with ``Z``."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def printable(text: object) -> str:
    """The text without control characters, which could move the cursor of a terminal or start a new log line."""
    return "".join(character if character.isprintable() else "?" for character in str(text))
