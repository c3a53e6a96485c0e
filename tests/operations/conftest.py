"""Fixtures of the tests that span apps."""

from tests.room_bookings.conftest import small_hotel

__all__ = ["small_hotel"]
