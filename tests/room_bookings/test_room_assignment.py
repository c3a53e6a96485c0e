"""Room assignment for arrivals: assign, unassign, and the rooms offered."""

import contextlib
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import clock
from room_bookings.errors import RoomOverlap
from room_bookings.models import BookingChange, BookingGuest, RoomBooking
from room_bookings.selectors import available_rooms, booking_read
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.room_assignment import assign_room, unassign_room
from rooms.models import Room
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, booking_in, room_in
from tests.room_bookings.small_hotel import (
    NOW,
    assert_invariants_hold,
    day,
    last_event,
    locks_and_writes,
    nothing_written,
    published_events,
    refusal_of,
)

pytestmark = pytest.mark.django_db


def coming(small_hotel, first=0, last=2, **fields) -> RoomBooking:
    """A confirmed booking without a room."""
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    return BookingFactory(check_in=day(first), check_out=day(last), **hotel_fields | fields)


def numbers(booking: RoomBooking) -> list[int]:
    return [room.room_number for room in available_rooms(booking_read(booking.pk))]


def test_it_is_recorded_and_published(small_hotel):
    booking, room = coming(small_hotel), small_hotel.rooms[0]
    assigned = assign_room(booking=booking, room_id=room.pk, staff=small_hotel.agent, notes="By the lift")
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.assigned_room, stored.version) == ("CONFIRMED", room, 1)
    assert (stored.room_assigned_at, stored.room_assigned_by, stored.assignment_notes) == (
        *(NOW, small_hotel.agent),
        "By the lift",
    )
    assert assigned.assigned_room == room
    change = BookingChange.objects.get()
    assert (change.action, change.from_room, change.to_room, change.staff) == (
        "ASSIGNED",
        None,
        room,
        small_hotel.agent,
    )
    assert published_events() == [("room-bookings", "booking_updated"), ("guest", "booking_room_assigned")]
    assert_invariants_hold()


def test_another_room_instead(small_hotel):
    booking = coming(small_hotel)
    for room in small_hotel.rooms:
        assign_room(booking=booking, room_id=room.pk, staff=small_hotel.agent)
    change = BookingChange.objects.latest("pk")
    assert (change.from_room, change.to_room) == tuple(small_hotel.rooms)


def test_assigning_the_same_room_changes_nothing(small_hotel):
    booking = coming(small_hotel)
    assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent, notes="By the lift")
    with nothing_written():
        assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.manager)
        assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.manager, notes="By the lift")
    noted = assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.manager, notes="High floor")
    assert (noted.assignment_notes, noted.version) == ("High floor", 2)


def test_room_is_unassigned(small_hotel):
    booking = coming(small_hotel)
    assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent, notes="By the lift")
    since = last_event()
    unassign_room(booking=booking, staff=small_hotel.agent)
    stored = RoomBooking.objects.get()
    assert (stored.assigned_room, stored.room_assigned_at, stored.room_assigned_by, stored.assignment_notes) == (
        *(None, None, None),
        "",
    )
    change = BookingChange.objects.latest("pk")
    assert (change.action, change.from_room, change.to_room) == ("UNASSIGNED", small_hotel.rooms[0], None)
    assert published_events(since) == [("room-bookings", "booking_updated")]
    with nothing_written():
        unassign_room(booking=booking, staff=small_hotel.agent)


def test_it_decides_on_the_row(small_hotel):
    stale = coming(small_hotel)
    assign_room(booking=RoomBooking.objects.get(), room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
    assert unassign_room(booking=stale, staff=small_hotel.agent).version == 2
    cancel_booking(booking=RoomBooking.objects.get(), staff=small_hotel.agent)
    assert refusal_of(
        lambda: assign_room(booking=stale, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
    ).code == ("BOOKING_NOT_ELIGIBLE")


def test_it_locks_booking_then_room(small_hotel, statements):
    booking = coming(small_hotel)
    with statements() as made:
        assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "lock Room",
        "UPDATE RoomBooking",
        "INSERT BookingChange",
        "UPDATE HousekeepingTask",
        "INSERT RealtimeEvent",
    ]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adults", "children", "named", "required", "missing"),
    [
        (1, 0, 0, True, 0),
        (2, 0, 0, True, 1),
        (3, 0, 1, True, 1),
        (2, 0, 1, True, 0),
        (1, 3, 0, True, 0),  # children need no name
        (3, 0, 0, False, 0),
    ],
)
def test_hotel_can_require_the_name_of_every_adult(adults, children, named, required, missing, small_hotel):
    small_hotel.hotel.require_complete_party = required
    small_hotel.hotel.save()
    small_hotel.room_type.max_occupancy = 4
    small_hotel.room_type.save()
    booking = coming(small_hotel, adults=adults, children=children)
    for _ in range(named):
        BookingGuest.objects.create(booking=booking, first_name="Charles", last_name="Babbage")

    def assign():
        return assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)

    if missing:
        refusal = refusal_of(assign)
        assert (refusal.status, refusal.code) == (400, "PARTY_INCOMPLETE")
        assert refusal.details == {"party_missing_count": missing}
    else:
        assert assign().assigned_room == small_hotel.rooms[0]


def test_room_does_not_exist_in_the_hotel(small_hotel):
    booking, foreign = coming(small_hotel), NewRoomFactory()
    for room_id in (foreign.pk, 0):
        refusal = refusal_of(
            lambda room_id=room_id: assign_room(booking=booking, room_id=room_id, staff=small_hotel.agent)
        )
        assert (refusal.status, refusal.code) == (404, "ROOM_NOT_FOUND")
        assert refusal.message.startswith("Room not found")


def test_room_type_mismatch_is_refused(small_hotel):
    booking, other = coming(small_hotel), NewRoomFactory(hotel=small_hotel.hotel)
    refusal = refusal_of(lambda: assign_room(booking=booking, room_id=other.pk, staff=small_hotel.agent))
    assert (refusal.status, refusal.code) == (400, "ROOM_TYPE_MISMATCH")


@pytest.mark.parametrize(
    ("status", "fault", "is_active", "code"),
    [
        ("READY_FOR_GUEST", False, True, None),
        ("CHECKOUT_DIRTY", False, True, None),
        ("CHECKOUT_DIRTY", True, True, None),
        ("CLEANING_IN_PROGRESS", False, True, None),
        ("CLEANED_UNINSPECTED", False, True, None),
        ("MAINTENANCE_REQUIRED", True, True, None),
        ("OUT_OF_ORDER", False, True, "ROOM_NOT_BOOKABLE"),
        ("READY_FOR_GUEST", False, False, "ROOM_NOT_BOOKABLE"),
    ],
)
def test_a_room_is_assigned_in_any_status_but_out_of_order(status, fault, is_active, code, small_hotel):
    room = room_in(status, fault=fault, hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=201)
    Room.objects.filter(pk=room.pk).update(is_active=is_active)
    booking = coming(small_hotel)
    assert (201 in numbers(booking)) is (code is None)
    if code:
        refusal = refusal_of(lambda: assign_room(booking=booking, room_id=room.pk, staff=small_hotel.agent))
        assert (refusal.status, refusal.code) == (409, code)
    else:
        assert assign_room(booking=booking, room_id=room.pk, staff=small_hotel.agent).assigned_room == room


def test_room_is_assigned_while_todays_departure_is_still_in_house(small_hotel):
    with clock.set_to(NOW - timedelta(hours=6)):  # nine in the morning
        booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-2), check_out=day(0))
        booking = coming(small_hotel)
        assert numbers(booking) == [101, 102]
        assert (
            assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent).assigned_room
            == small_hotel.rooms[0]
        )


# --- nights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "free"),
    [
        ((3, 5), True),
        ((0, 1), True),
        ((5, 7), True),
        ((0, 2), False),
        ((1, 5), False),
        ((2, 3), False),
        ((2, 6), False),
        ((1, 1), False),  # day use in the middle
        ((2, 2), False),
        ((3, 3), True),
        ((0, 0), True),
    ],
)
def test_room_is_assigned_once_per_night(other, free, small_hotel):
    taken = coming(small_hotel, *other, assigned_room=small_hotel.rooms[0])
    booking = coming(small_hotel, 1, 3)
    assert numbers(booking) == ([101, 102] if free else [102])
    if free:
        assert (
            assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent).assigned_room
            == small_hotel.rooms[0]
        )
        return
    refusal = refusal_of(lambda: assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent))
    assert (refusal.status, refusal.code) == (409, "ROOM_OVERLAP_CONFLICT")
    assert refusal.details["conflicts"] == [
        {
            "booking_id": taken.booking_id,
            "room_number": 101,
            "start_date": day(other[0]).isoformat(),
            "end_date": day(other[1]).isoformat(),
        }
    ]


# The departure day of the guest in house, the hour in Dublin on 1 July, the arrival day, and whether the room is free.
# Check-out until 11:00, with a grace of thirty minutes; the business day ends at 02:00.
OVERDUE = [
    (0, "09:00:00", 0, True),
    (0, "11:30:00", 0, True),
    (0, "11:30:01", 0, False),
    (0, "11:30:01", 1, True),  # tomorrow they will have left
    (0, "23:59:00", 0, False),
    (0, "23:59:00", 1, True),
    (-1, "00:30:00", -1, False),
    (-1, "00:30:00", 0, True),  # at half past midnight that is tomorrow
    (-1, "03:00:00", 0, False),
    (-5, "12:00:00", 0, False),
    (-5, "12:00:00", -1, False),  # yesterday's arrival may still arrive
    (-5, "12:00:00", 1, True),
]


@pytest.mark.parametrize(("due_out", "wall", "arrival", "free"), OVERDUE)
def test_overdue_guest_holds_the_room_for_today_only(due_out, wall, arrival, free, small_hotel):
    with clock.set_to(datetime.fromisoformat(f"2026-07-01T{wall}+01:00")):
        guest = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-9), check_out=day(due_out))
        booking = coming(small_hotel, arrival, 3)
        assert numbers(booking) == ([101, 102] if free else [102])
        if free:
            assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
            return
        refusal = refusal_of(
            lambda: assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
        )
        assert refusal.code == "ROOM_OVERLAP_CONFLICT"
        assert [conflict["booking_id"] for conflict in refusal.details["conflicts"]] == [guest.booking_id]
        assert refusal.message.endswith("and the guest is in house.")


@pytest.mark.parametrize(("nights", "free"), [((0, 1), False), ((0, 0), False), ((-1, 1), False), ((3, 4), True)])
def test_early_guest_holds_the_room_too(nights, free, small_hotel):
    """Booked from tomorrow, in house since today."""
    early = coming(small_hotel, 1, 3, assigned_room=small_hotel.rooms[0])
    check_in(booking=early, staff=small_hotel.manager, override_reason="Regular guest")
    booking = coming(small_hotel, *nights)
    assert numbers(booking) == ([101, 102] if free else [102])
    if not free:
        refusal = refusal_of(
            lambda: assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
        )
        assert refusal.code == "ROOM_OVERLAP_CONFLICT"


# --- offered rooms ----------------------------------------------------------------------------------------------------


def test_rooms_offered_to_a_guest_in_house(small_hotel):
    guest = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], adults=2)
    big = RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=4)
    small = RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=1)
    NewRoomFactory(hotel=small_hotel.hotel, room_type=big, room_number=301)
    NewRoomFactory(hotel=small_hotel.hotel, room_type=small, room_number=302)
    taken = NewRoomFactory(hotel=small_hotel.hotel, room_type=big, room_number=303)
    coming(small_hotel, 1, 2, assigned_room=taken)
    room_in("CHECKOUT_DIRTY", hotel=small_hotel.hotel, room_type=big, room_number=304)
    NewRoomFactory(room_number=305)
    assert numbers(guest) == [102, 301]


@pytest.mark.parametrize(
    ("status", "rooms"),
    [
        ("PENDING_APPROVAL", [101, 102]),
        ("CONFIRMED", [101, 102]),
        ("PENDING_PAYMENT", []),
        ("COMPLETED", []),
        ("DECLINED", []),
        ("CANCELLED", []),
        ("CANCELLED_DRAFT", []),
        ("EXPIRED", []),
        ("NO_SHOW", []),
    ],
)
def test_booking_that_is_over_is_offered_no_room(status, rooms, small_hotel):
    assert numbers(booking_in(status, hotel=small_hotel.hotel, room_type=small_hotel.room_type)) == rooms


def test_its_own_room_is_not_offered(small_hotel):
    assert numbers(coming(small_hotel, assigned_room=small_hotel.rooms[0])) == [102]


others = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-4, 4), st.integers(0, 3), st.sampled_from(["CONFIRMED", "IN_HOUSE"])),
    max_size=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(others=others, arrival=st.integers(-2, 4), nights=st.integers(0, 3))
def test_offered_rooms_can_be_assigned(others, arrival, nights, small_hotel):
    """``available_rooms`` and ``assign_room`` query separately but agree; neither hits a database constraint."""
    with transaction.atomic():
        for number, first, length, status in others:
            times = {"checked_in_at": NOW} if status == "IN_HOUSE" else {}
            with contextlib.suppress(IntegrityError), transaction.atomic():
                coming(
                    small_hotel, first, first + length, assigned_room=small_hotel.rooms[number], status=status, **times
                )
        booking = coming(small_hotel, arrival, arrival + nights)
        offered, given_to = numbers(booking), []
        for room in small_hotel.rooms:
            with contextlib.suppress(RoomOverlap), transaction.atomic():
                assign_room(booking=booking, room_id=room.pk, staff=small_hotel.agent)
                given_to.append(room.room_number)
                unassign_room(booking=booking, staff=small_hotel.agent)
        assert given_to == offered
        transaction.set_rollback(True)
