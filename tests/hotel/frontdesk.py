"""What the tests of the booking endpoints share: a moment, and ways to say what an answer changed."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hotel.models import Staff
from notifications.models import RealtimeEvent
from room_bookings.models import RoomBooking
from tests.conftest import url

# Three in the afternoon of a Wednesday in Dublin: arrivals may come, departures should have left at eleven.
NOW = datetime(2025, 7, 2, 14, 0, tzinfo=UTC)
NOW_ISO = "2025-07-02T14:00:00Z"
TODAY = date(2025, 7, 2)


def day(offset: int) -> date:
    """So many days after today."""
    return TODAY + timedelta(days=offset)


def desk_url(staff: Staff, booking: RoomBooking, rest: str = "") -> str:
    """An address of one booking."""
    return url(staff, f"room-bookings/{booking.booking_id}/{rest}")


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What the keys of ``after`` say now, where that is not what they said before."""
    assert before.keys() == after.keys()
    return {key: value for key, value in after.items() if before[key] != value}


def events() -> list[str]:
    """The types of all events, in the order of their making."""
    return list(RealtimeEvent.objects.order_by("pk").values_list("type", flat=True))
