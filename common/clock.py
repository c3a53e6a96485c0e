"""The clock that services read the time from, so that tests and simulations can set it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_set_to: ContextVar[datetime | None] = ContextVar("clock_set_to", default=None)


def now() -> datetime:
    """The current time, aware, in UTC."""
    return _set_to.get() or datetime.now(UTC)


@contextmanager
def set_to(moment: datetime) -> Iterator[None]:
    """Within the block, ``now()`` returns ``moment`` (aware)."""
    token = _set_to.set(moment)
    try:
        yield
    finally:
        _set_to.reset(token)
