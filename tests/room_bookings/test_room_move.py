"""Room moves of guests in house."""

from datetime import timedelta

import pytest

from common import clock
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from housekeeping.turnover import flag_maintenance
from notifications.models import ROOMS, RealtimeEvent
from room_bookings.models import BookingChange, RoomBooking
from room_bookings.selectors import available_rooms, booking_read
from room_bookings.services.checkout import check_out
from room_bookings.services.room_move import move_room
from rooms.errors import RoomNotFound
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


@pytest.fixture
def guest(small_hotel) -> RoomBooking:
    """A guest in house in room 101, from today for two nights."""
    return booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0])


def move(small_hotel, booking, room, **more) -> RoomBooking:
    return move_room(booking=booking, to_room_id=room.pk, staff=small_hotel.agent, reason="Shower drips", **more)


def test_it_is_recorded_and_published(small_hotel, guest):
    old, new = small_hotel.rooms
    since, audits = last_event(), RoomStatusEvent.objects.count()
    moved = move(small_hotel, guest, new, notes="Offered breakfast")
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.assigned_room, stored.room_moved_at, stored.version) == ("IN_HOUSE", new, NOW, 1)
    assert (stored.room_assigned_at, stored.room_assigned_by, stored.assignment_notes) == (
        *(NOW, small_hotel.agent),
        "Offered breakfast",
    )
    assert moved.assigned_room == new
    change = BookingChange.objects.get()
    assert (change.action, change.from_status, change.to_status) == ("MOVED", "IN_HOUSE", "IN_HOUSE")
    assert (change.from_room, change.to_room, change.is_upgrade) == (old, new, False)
    assert (change.staff, change.reason) == (small_hotel.agent, "Shower drips\nOffered breakfast")
    rows = list(RoomStatusEvent.objects.order_by("pk")[audits:])
    assert [(row.room, row.from_status, row.to_status) for row in rows] == [
        (old, "OCCUPIED", "CHECKOUT_DIRTY"),
        (new, "READY_FOR_GUEST", "OCCUPIED"),
    ]
    assert {(row.source, row.changed_by, row.note) for row in rows} == {
        ("SYSTEM", small_hotel.agent, f"move of {guest.booking_id} from 101 to 102")
    }
    task = HousekeepingTask.objects.get()
    assert (task.room, task.task_type, task.booking) == (old, "TURNOVER", guest)
    assert published_events(since) == [
        *[("rooms", "room_updated")] * 2,
        *[("rooms", "room_occupancy_updated")] * 2,
        ("room-bookings", "booking_updated"),
        ("guest", "booking_room_moved"),
    ]
    rooms = RealtimeEvent.objects.filter(pk__gt=since, stream=ROOMS).order_by("pk")
    assert [
        (event.envelope["payload"]["room_number"], event.envelope["payload"]["is_occupied"]) for event in rooms
    ] == [
        (101, False),
        (102, True),
    ] * 2
    assert_invariants_hold()


def test_move_to_the_same_room_changes_nothing(small_hotel, guest):
    with nothing_written():
        move(small_hotel, guest, small_hotel.rooms[0])


def test_it_decides_on_the_row(small_hotel, guest):
    stale = RoomBooking.objects.get()
    move(small_hotel, guest, small_hotel.rooms[1])
    third = NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=103)
    move(small_hotel, stale, third)
    assert [room.room_status for room in Room.objects.order_by("pk")] == [
        "CHECKOUT_DIRTY",
        "CHECKOUT_DIRTY",
        "OCCUPIED",
    ]
    check_out(booking=guest, staff=small_hotel.agent)
    assert refusal_of(lambda: move(small_hotel, stale, small_hotel.rooms[1])).code == "BOOKING_ALREADY_CHECKED_OUT"


@pytest.mark.parametrize("upwards", [True, False])
def test_it_locks_booking_then_both_rooms_in_pk_order_and_writes_in_this_order(upwards, small_hotel, statements):
    here, there = small_hotel.rooms if upwards else small_hotel.rooms[::-1]
    booking = booking_in("IN_HOUSE", assigned_room=here)
    with statements() as made:
        move(small_hotel, booking, there)
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "lock Room",
        "UPDATE RoomBooking",
        "INSERT BookingChange",
        "lock Room",
        "UPDATE Room",
        "INSERT RealtimeEvent",
        "INSERT RoomStatusEvent",
        "UPDATE HousekeepingTask",
        "INSERT HousekeepingTask",
        "UPDATE HousekeepingTask",
        "INSERT RealtimeEvent",
    ]


def test_an_upgrade_is_recorded_and_the_booked_type_stays(small_hotel, guest):
    suite = NewRoomFactory(hotel=small_hotel.hotel, room_number=301)
    moved = move(small_hotel, guest, suite)
    assert BookingChange.objects.get().is_upgrade is True
    assert (moved.room_type, moved.assigned_room.room_type) == (small_hotel.room_type, suite.room_type)
    assert_invariants_hold()


def test_guests_phone_moves_to_the_new_room(small_hotel, guest):
    Room.objects.filter(room_number=101).update(guest_fcm_token="phone")
    move(small_hotel, guest, small_hotel.rooms[1])
    assert list(Room.objects.order_by("pk").values_list("guest_fcm_token", flat=True)) == ["", "phone"]


def test_fault_stays_with_the_old_room(small_hotel, guest):
    flag_maintenance(
        room=Room.objects.get(room_number=101), staff=small_hotel.manager, note="Shower drips", priority="LOW"
    )
    move(small_hotel, guest, small_hotel.rooms[1])
    old, new = Room.objects.order_by("pk")
    assert (old.room_status, old.maintenance_required, old.maintenance_notes) == (
        *("CHECKOUT_DIRTY", True),
        "Shower drips",
    )
    assert (new.room_status, new.maintenance_required) == ("OCCUPIED", False)


@pytest.mark.parametrize(
    ("status", "fault", "code", "beginning"),
    [
        ("OCCUPIED", False, "ROOM_OCCUPIED", "Room occupied"),
        ("CHECKOUT_DIRTY", False, "ROOM_NOT_READY", "Room not ready"),
        ("CLEANING_IN_PROGRESS", False, "ROOM_NOT_READY", "Room not ready"),
        ("CLEANED_UNINSPECTED", False, "ROOM_NOT_READY", "Room not ready"),
        ("CLEANED_UNINSPECTED", True, "ROOM_NOT_READY", "Room not ready"),
        ("MAINTENANCE_REQUIRED", True, "ROOM_NOT_READY", "Room not ready"),
        ("OUT_OF_ORDER", False, "ROOM_OUT_OF_ORDER", "Room 201"),
    ],
)
def test_the_new_room_must_be_ready(status, fault, code, beginning, small_hotel, guest):
    room = room_in(status, fault=fault, hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=201)
    refusal = refusal_of(lambda: move(small_hotel, guest, room))
    assert (refusal.code, refusal.status) == (code, 409)
    assert refusal.message.startswith(beginning)
    assert refusal.details["current_status"] == status


def test_occupied_room_with_a_fault_is_refused(small_hotel, guest):
    other = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[1])
    flag_maintenance(room=Room.objects.get(room_number=102), staff=small_hotel.manager, note="Lamp")
    assert refusal_of(lambda: move(small_hotel, guest, other.assigned_room)).code == "ROOM_OCCUPIED"


def test_a_room_out_of_service_or_of_another_hotel(small_hotel, guest):
    inactive = NewRoomFactory(hotel=small_hotel.hotel, is_active=False)
    assert refusal_of(lambda: move(small_hotel, guest, inactive)).code == "ROOM_OUT_OF_ORDER"
    foreign = NewRoomFactory()
    for room_id in (foreign.pk, 0):
        refusal = refusal_of(
            lambda room_id=room_id: move_room(booking=guest, to_room_id=room_id, staff=small_hotel.agent, reason="x")
        )
        assert (refusal.code, refusal.status) == ("ROOM_NOT_FOUND", 404)


def test_room_of_another_hotel_is_not_locked(small_hotel, guest, statements):
    with statements() as made, pytest.raises(RoomNotFound):
        move_room(booking=guest, to_room_id=NewRoomFactory().pk, staff=small_hotel.agent, reason="x")
    [lock] = [sql for sql in made.sql() if 'FROM "rooms_room"' in sql and sql.endswith("FOR NO KEY UPDATE")]
    assert f'"hotel_id" = ({small_hotel.hotel.pk}) AND' in lock


@pytest.mark.parametrize(
    ("adults", "children", "beds", "fits"),
    [(2, 0, 2, True), (1, 1, 2, True), (3, 0, 2, True), (2, 0, 1, False), (1, 0, 1, True)],
)
def test_the_party_must_fit(adults, children, beds, fits, small_hotel, guest):
    RoomBooking.objects.update(adults=adults, children=children)
    room = NewRoomFactory(
        hotel=small_hotel.hotel, room_type=RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=beds)
    )
    if fits:
        assert move(small_hotel, guest, room).assigned_room == room
    else:
        refusal = refusal_of(lambda: move(small_hotel, guest, room))
        assert refusal.code == "ROOM_CAPACITY_EXCEEDED"
        assert (refusal.details["max_occupancy"], refusal.details["guests"]) == (beds, adults + children)


@pytest.mark.parametrize(
    ("stay", "other", "free"),
    [
        ((1, 3), (0, 1), False),  # arrived before the first booked night, and stays tonight
        ((1, 3), (3, 4), True),
        ((-2, 0), (0, 1), False),  # was due out this morning
        ((-5, -3), (0, 1), False),
        ((-5, -3), (1, 2), True),
        ((-2, 1), (1, 2), True),
    ],
)
def test_new_room_must_be_free_tonight(stay, other, free, small_hotel):
    here, there = small_hotel.rooms
    booking = booking_in("IN_HOUSE", assigned_room=here, check_in=day(stay[0]), check_out=day(stay[1]))
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type, "assigned_room": there}
    BookingFactory(**hotel_fields, check_in=day(other[0]), check_out=day(other[1]))
    assert [room.room_number for room in available_rooms(booking_read(booking.pk))] == ([102] if free else [])
    if free:
        assert move(small_hotel, booking, there).assigned_room == there
    else:
        assert refusal_of(lambda: move(small_hotel, booking, there)).code == "ROOM_OVERLAP_CONFLICT"


def test_guest_due_out_can_move_to_a_room_assigned_for_tonight(small_hotel):
    here, there = small_hotel.rooms
    with clock.set_to(NOW - timedelta(hours=6)):
        booking = booking_in("IN_HOUSE", assigned_room=here, check_in=day(-2), check_out=day(0))
        BookingFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, assigned_room=there)
        assert move(small_hotel, booking, there).assigned_room == there


@pytest.mark.parametrize(
    ("nights", "free"), [((2, 3), True), ((1, 2), False), ((0, 0), False), ((-1, 1), False), ((-2, 0), True)]
)
def test_the_new_room_must_be_free_until_the_departure(nights, free, small_hotel, guest):
    first, last = nights
    other = BookingFactory(
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        assigned_room=small_hotel.rooms[1],
        check_in=day(first),
        check_out=day(last),
    )
    if free:
        assert move(small_hotel, guest, small_hotel.rooms[1]).assigned_room == small_hotel.rooms[1]
    else:
        refusal = refusal_of(lambda: move(small_hotel, guest, small_hotel.rooms[1]))
        assert refusal.code == "ROOM_OVERLAP_CONFLICT"
        assert [row["booking_id"] for row in refusal.details["conflicts"]] == [other.booking_id]
