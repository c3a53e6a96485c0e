"""Fixtures of the tests of what crosses the apps."""

from tests.room_bookings.conftest import desk

__all__ = ["desk"]
