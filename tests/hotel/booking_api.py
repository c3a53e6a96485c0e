"""Helpers of the booking endpoint tests: a fixed day, booking URLs, and comparisons."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hotel.models import Staff
from notifications.models import RealtimeEvent
from room_bookings.models import RoomBooking
from tests.conftest import url

# 15:00 on a Wednesday in Dublin: check-in is open, and departures were due at 11:00.
NOW = datetime(2025, 7, 2, 14, 0, tzinfo=UTC)
NOW_ISO = "2025-07-02T14:00:00Z"
TODAY = date(2025, 7, 2)


def day(offset: int) -> date:
    """The date ``offset`` days from ``TODAY``."""
    return TODAY + timedelta(days=offset)


def booking_url(staff: Staff, booking: RoomBooking, rest: str = "") -> str:
    """A path under one booking."""
    return url(staff, f"room-bookings/{booking.booking_id}/{rest}")


def changed_fields(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The fields of ``after`` whose values differ from ``before``."""
    assert before.keys() == after.keys()
    return {key: value for key, value in after.items() if before[key] != value}


def event_types() -> list[str]:
    """The types of all events, in order of creation."""
    return list(RealtimeEvent.objects.order_by("pk").values_list("type", flat=True))
