"""The one place that services read the time from, so that tests and simulations can set it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

_set_to: ContextVar[datetime | None] = ContextVar("clock_set_to", default=None)


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _set_to.get() or datetime.now(UTC)


def today(timezone: str) -> date:
    """The calendar date in ``timezone`` (an IANA name)."""
    return now().astimezone(ZoneInfo(timezone)).date()


@contextmanager
def set_to(moment: datetime) -> Iterator[None]:
    """Within the block, ``now()`` answers ``moment`` (aware)."""
    token = _set_to.set(moment)
    try:
        yield
    finally:
        _set_to.reset(token)
