"""Fixtures of the board tests: signed-in clients, and a hotel with everything that a board shows."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from hotel import calendar
from hotel.models import Hotel, Staff
from room_bookings.models import BookingGuest
from tests.factories import NewRoomFactory, RoomTypeFactory, TaskFactory, booking_in, room_in

# Guest data that must not appear without a booking right.
PERSONAL = ("Ada", "Lovelace", "Charles", "Babbage", "ada@example.com", "+353 1 555 1815", "BK-2000")
GUEST = {"primary_email": "ada@example.com", "primary_phone": "+353 1 555 1815"}


@pytest.fixture
def browser() -> Callable[..., Client]:
    """``browser(staff)`` returns a client signed in as that staff member; exceptions become 500 responses."""

    def signed_in(staff: Staff | None = None, **options: Any) -> Client:
        client = Client(raise_request_exception=False, **options)
        if staff is not None:
            client.force_login(staff.user)
        return client

    return signed_in


@pytest.fixture
def pusher_account(settings: Any) -> None:
    """Configure Pusher, so that the board connects."""
    settings.PUSHER_APP_ID, settings.PUSHER_KEY, settings.PUSHER_SECRET = "1", "key", "secret"


def embedded(page: Any) -> dict[str, Any]:
    """The state that is embedded in the page."""
    assert page.status_code == 200, page.content
    [text] = re.findall(r'<script id="board-state" type="application/json">(.*?)</script>', page.content.decode())
    return json.loads(text)


def create_board_data(hotel: Hotel, staff: Staff) -> SimpleNamespace:
    """Create rooms 101 to 105 and 199 (inactive), bookings that arrive, stay, depart and are overdue, and tasks of
    ``staff`` and unassigned."""
    today, day = calendar.business_date(hotel), timedelta(days=1)
    kind = RoomTypeFactory(hotel=hotel, name="Double")
    of = {"hotel": hotel, "room_type": kind}
    rooms = {number: NewRoomFactory(room_number=number, **of) for number in (101, 102, 103)}
    rooms[104] = room_in("CHECKOUT_DIRTY", room_number=104, **of)
    rooms[105] = room_in("MAINTENANCE_REQUIRED", room_number=105, **of)
    NewRoomFactory(room_number=199, is_active=False, **of)
    stay = {**of, **GUEST, "check_in": today, "check_out": today + 2 * day}
    bookings = {
        "arriving": booking_in("CONFIRMED", **stay, assigned_room=rooms[104]),
        "without_room": booking_in("CONFIRMED", **stay),
        "tomorrow": booking_in("CONFIRMED", **stay | {"check_in": today + day}),
        "overdue": booking_in(
            "IN_HOUSE", **stay | {"check_in": today - 3 * day, "check_out": today - day}, assigned_room=rooms[101]
        ),
        "leaving": booking_in(
            "IN_HOUSE", **stay | {"check_in": today - day, "check_out": today}, assigned_room=rooms[102]
        ),
        "staying": booking_in("IN_HOUSE", **stay, assigned_room=rooms[103]),
        "gone": booking_in("COMPLETED", **stay | {"check_out": today}),
    }
    BookingGuest.objects.create(booking=bookings["staying"], first_name="Charles", last_name="Babbage")
    tasks = {
        "mine": TaskFactory(room=rooms[104], assigned_to=staff, booking=bookings["leaving"]),
        "done": TaskFactory(room=rooms[104], assigned_to=staff, status="CANCELLED", cancelled_at=today_noon(hotel)),
        "nobodys": TaskFactory(room=rooms[104]),
    }
    return SimpleNamespace(rooms=rooms, tasks=tasks, **bookings)


def today_noon(hotel: Hotel) -> Any:
    """Noon today, hotel time."""
    return calendar.local_now(hotel).replace(hour=12)
