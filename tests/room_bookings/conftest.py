"""Fixtures of the tests of bookings."""

from collections.abc import Iterator

import pytest

from common import clock
from tests.room_bookings.desk import NOW, Desk, open_desk


@pytest.fixture
def desk(db: None) -> Iterator[Desk]:
    """A house on the afternoon of 1 July 2026, with rooms 101 and 102 of one type."""
    with clock.set_to(NOW):
        yield open_desk()
