"""Fixtures of the front desk's endpoint tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from common import clock
from hotel.models import Hotel, Staff
from room_bookings.models import RoomBooking
from rooms.models import Room, RoomType
from tests.factories import NewRoomFactory, RoomTypeFactory, booking_in
from tests.hotel.booking_api import NOW, day


@pytest.fixture
def afternoon() -> Iterator[None]:
    with clock.set_to(NOW):
        yield


@pytest.fixture
def standard(afternoon: None, hotel: Hotel) -> RoomType:
    return RoomTypeFactory(hotel=hotel, name="Standard", code="STD", max_occupancy=4)


@pytest.fixture
def rooms(standard: RoomType) -> list[Room]:
    """Rooms 101 to 104, all ready for guests."""
    return [NewRoomFactory(hotel=standard.hotel, room_type=standard, room_number=101 + n) for n in range(4)]


@pytest.fixture
def book(standard: RoomType) -> Callable[..., RoomBooking]:
    """``book("CONFIRMED", …)`` creates a booking from today for two nights."""

    def made(status: str = "CONFIRMED", **fields: Any) -> RoomBooking:
        given = {"hotel": standard.hotel, "room_type": standard, "check_in": day(0), "check_out": day(2)}
        return booking_in(status, **given | fields)

    return made


@pytest.fixture
def agent_client(api: Callable[[Staff], Any], agent: Staff) -> Any:
    """An API client signed in as a front desk agent."""
    return api(agent)
