"""Availability and the rooms offered to a stay, compared with a recount in plain Python over random hotels."""

from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common import clock
from common.errors import HotelMateError
from room_bookings.inventory import Inventory, NightsRequest, nights_held, sold_out_nights
from room_bookings.models import RoomBooking
from room_bookings.selectors import available_rooms, booking_read
from room_bookings.services.room_assignment import assign_room
from room_bookings.services.room_move import move_room
from rooms.models import Room, RoomBlock, RoomType
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory
from tests.room_bookings.small_hotel import NOW, TODAY, SmallHotel, day

pytestmark = pytest.mark.django_db

DAYS = range(-4, 12)
BEDS = (2, 3)


class DrawnHotel(NamedTuple):
    """A hotel with two room types and its stays, in the database and as they were drawn."""

    types: list[RoomType]
    rooms: list[Room]
    sold: list[int]  # rooms that can be sold, by type
    stays: list["Stay"]
    hour: int


class Stay(NamedTuple):
    booking: RoomBooking
    counts: bool  # it holds nights
    kind: int  # the type under which they count
    nights: set[int]


def nights_of(first: int, length: int, in_house: bool, hour: int) -> set[int]:
    """The nights that a stay holds, by the rules."""
    held = set(range(first, first + max(length, 1)))
    if in_house:
        held |= set(range(first))  # arrived early: from today on
        # Day use may stay until the end of the business day; others until 11:30, with the grace period.
        overdue = first < 0 if length == 0 else (first + length < 0 or (first + length == 0 and hour > 11))
        held |= set(range(first, 1)) if overdue else set()  # an overdue guest holds every night up to tonight
    return held


stay = st.tuples(
    st.sampled_from(["CONFIRMED", "CONFIRMED", "IN_HOUSE", "IN_HOUSE", "PENDING_APPROVAL", "CAPTURING", "COMPLETED"]),
    st.integers(0, 1),  # the booked type
    st.integers(-3, 5),
    st.integers(0, 4),
    st.none() | st.integers(0, 4),  # the room, of either type
    st.integers(1, 4),  # adults
)
drawn_hotels = st.tuples(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["", "", "", "inactive", "OUT_OF_ORDER"])), max_size=5),
    st.lists(stay, max_size=8),
    st.sampled_from([3, 9, 15]),
)
cheap = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def build(small_hotel: SmallHotel, drawn: Any) -> DrawnHotel:
    """Create the drawn hotel; a stay that overlaps another in its room gets no room."""
    doors, wanted, hour = drawn
    types = [RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=beds) for beds in BEDS]
    in_house: dict[int, int] = {}  # the stay in each room
    taken: dict[int, set[int]] = {}
    stays = []
    for number, (status, kind, first, length, place, adults) in enumerate(wanted):
        inside = status == "IN_HOUSE"
        place = None if place is None or place >= len(doors) or status in ("PENDING_APPROVAL", "CAPTURING") else place
        booked = set(range(first, first + max(length, 1))) | (set(range(first)) if inside else set())
        if place is not None and (
            taken.get(place, set()) & booked
            or (inside and (place in in_house or doors[place][1]))
            or (not inside and status != "COMPLETED" and doors[place][1])
        ):
            place = None
        if inside and place is None:
            continue
        if place is not None and status != "COMPLETED":
            taken.setdefault(place, set()).update(booked)
            in_house |= {place: number} if inside else {}
        stays.append((status, kind, first, length, place, adults))
    rooms = [
        NewRoomFactory(
            hotel=small_hotel.hotel,
            room_type=types[kind],
            room_number=201 + place,
            is_active=state != "inactive",
            room_status=state if state == "OUT_OF_ORDER" else "OCCUPIED" if place in in_house else "READY_FOR_GUEST",
            status_version=int(state == "OUT_OF_ORDER" or place in in_house),
        )
        for place, (kind, state) in enumerate(doors)
    ]
    for room in rooms:
        if room.room_status == "OUT_OF_ORDER":
            RoomBlock.objects.create(
                hotel=room.hotel,
                room=room,
                kind="OUT_OF_ORDER",
                first_night=day(DAYS[0]),
                return_status="CHECKOUT_DIRTY",
                status="ACTIVE",
                by_status=True,
                started_at=clock.now(),
            )
    sold = [sum(kind == wanted and not state for kind, state in doors) for wanted in (0, 1)]
    return DrawnHotel(types, rooms, sold, [made(small_hotel, types, rooms, doors, hour, *one) for one in stays], hour)


def made(small_hotel, types, rooms, doors, hour, status, kind, first, length, place, adults) -> Stay:
    """Create one stay."""
    counts = kind if place is None else doors[place][0]
    now = clock.now()
    stamps = {
        "IN_HOUSE": {"checked_in_at": now, "arrived_on": TODAY},
        "COMPLETED": {"checked_in_at": now, "checked_out_at": now},
        "PENDING_APPROVAL": {"approval_deadline_at": now},
        "CAPTURING": {
            "status": "PENDING_APPROVAL",
            "payment_state": "CAPTURING",
            "payment_provider": "stripe",
            "payment_reference": f"pi_{first}_{length}_{RoomBooking.objects.count()}",
            "payment_requested_at": now,
        },
    }
    booking = BookingFactory(
        **{"status": status} | stamps.get(status, {}),
        hotel=small_hotel.hotel,
        room_type=types[kind],
        assigned_room=None if place is None else rooms[place],
        check_in=day(first),
        check_out=day(first + length),
        adults=adults,
        extra_beds=max(0, adults - BEDS[counts]),
    )
    holds = status in ("CONFIRMED", "IN_HOUSE", "CAPTURING")
    return Stay(booking, holds, counts, nights_of(first, length, status == "IN_HOUSE", hour) if holds else set())


def left(drawn_hotel: DrawnHotel, kind: int, night: int, *, without: Stay | None = None) -> int:
    """The number of free rooms of a type, counted one by one."""
    sold = [stay for stay in drawn_hotel.stays if stay is not without and stay.kind == kind and night in stay.nights]
    return drawn_hotel.sold[kind] - len(sold)


@cheap
@given(drawn=drawn_hotels, first=st.integers(-2, 6), length=st.integers(1, 5), which=st.integers(0, 7))
def test_availability_matches_a_count_one_by_one(drawn, first, length, which, small_hotel):
    at = NOW.replace(hour=drawn[2] - 1)  # Dublin
    with transaction.atomic(), clock.set_to(at):
        drawn_hotel = build(small_hotel, drawn)
        without = drawn_hotel.stays[which] if which < len(drawn_hotel.stays) else None
        asking = without and without.booking
        for stay in drawn_hotel.stays:
            if stay.counts:
                begins, free = nights_held(small_hotel.hotel, stay.booking)
                assert {(begins + timedelta(days=n) - TODAY).days for n in range((free - begins).days)} == stay.nights
        requests = [
            NightsRequest(small_hotel.hotel, room_type.pk, day(DAYS[0]), day(DAYS[-1] + 1))
            for room_type in drawn_hotel.types
        ]
        inventory = Inventory(requests, without=asking)
        for kind, room_type in enumerate(drawn_hotel.types):
            for night in DAYS:
                assert inventory.left(room_type.pk, day(night)) == left(drawn_hotel, kind, night, without=without)
        asked = [
            NightsRequest(small_hotel.hotel, room_type.pk, day(first), day(first + length))
            for room_type in drawn_hotel.types
        ]
        full = [
            [n for n in range(max(first, 0), first + length) if left(drawn_hotel, kind, n, without=without) <= 0]
            for kind in (0, 1)
        ]
        expected: list[date | None] = [day(nights[0]) if nights else None for nights in full]
        assert sold_out_nights(asked, without=asking) == expected
        transaction.set_rollback(True)


@cheap
@given(drawn=drawn_hotels)
@example(drawn=([(1, ""), (0, "")], [("CONFIRMED", 0, 0, 0, 0, 3)], 3))  # too many for a room of the booked type
def test_offered_rooms_are_exactly_the_assignable_ones(drawn, small_hotel):
    at = NOW.replace(hour=drawn[2] - 1)
    with transaction.atomic(), clock.set_to(at):
        drawn_hotel = build(small_hotel, drawn)
        for stay in drawn_hotel.stays:
            booking = stay.booking
            if booking.status in ("CONFIRMED", "IN_HOUSE"):
                offered = {
                    room.room_number for room in available_rooms(booking_read(booking.pk)) if room in drawn_hotel.rooms
                }
                others = [room for room in drawn_hotel.rooms if room != booking.assigned_room]
                assert offered == {room.room_number for room in others if can_have(booking, room, small_hotel.agent)}
        transaction.set_rollback(True)


def can_have(booking: RoomBooking, room: Room, staff: Any) -> bool:
    """Whether the room can be assigned without a supervisor; the assignment is rolled back."""
    sure = transaction.savepoint()
    try:
        if booking.status == "IN_HOUSE":
            move_room(booking=booking, to_room_id=room.pk, staff=staff, reason="noise")
        else:
            assign_room(booking=booking, room_id=room.pk, staff=staff)
    except HotelMateError:
        return False
    finally:
        transaction.savepoint_rollback(sure)
    return True
