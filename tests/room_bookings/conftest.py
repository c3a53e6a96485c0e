"""Fixtures of the booking tests."""

from collections.abc import Iterator

import pytest

from common import clock
from tests.room_bookings.small_hotel import NOW, SmallHotel, open_small_hotel


@pytest.fixture
def small_hotel(db: None) -> Iterator[SmallHotel]:
    """A hotel on the afternoon of 1 July 2026, with rooms 101 and 102 of one type."""
    with clock.set_to(NOW):
        yield open_small_hotel()
