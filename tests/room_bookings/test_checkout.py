"""Check-out: the stay is completed, the room becomes dirty and keeps its faults."""

from datetime import timedelta
from functools import partial

import pytest

from common import clock
from hotel import rights
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from housekeeping.task_services import start_task
from housekeeping.turnover import flag_maintenance
from room_bookings.models import BookingChange, OverstayIncident, RoomBooking
from room_bookings.services.checkout import check_out, check_out_rooms
from room_bookings.services.overstay import flag_overstays
from room_bookings.services.room_move import move_room
from rooms.models import Room
from tests.factories import NewRoomFactory, StaffFactory, TaskFactory, booking_in
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
    """A guest in house in room 101."""
    return booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0])


def room_101() -> Room:
    return Room.objects.get(room_number=101)


def test_it_is_recorded_and_published(small_hotel, guest):
    since = last_event()
    left = check_out(booking=guest, staff=small_hotel.agent)
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.checked_out_at, stored.version) == ("COMPLETED", NOW, 1)
    assert (stored.assigned_room, left.status) == (small_hotel.rooms[0], "COMPLETED")  # the event names the room
    audit = RoomStatusEvent.objects.latest("pk")
    assert (audit.from_status, audit.to_status, audit.source) == ("OCCUPIED", "CHECKOUT_DIRTY", "SYSTEM")
    assert (audit.changed_by, audit.note) == (small_hotel.agent, f"check-out of {guest.booking_id}")
    change = BookingChange.objects.get()
    assert (change.action, change.from_status, change.to_status) == ("CHECKED_OUT", "IN_HOUSE", "COMPLETED")
    assert (change.staff, change.from_room, change.to_room) == (small_hotel.agent, small_hotel.rooms[0], None)
    assert published_events(since) == [
        ("rooms", "room_updated"),
        ("rooms", "room_occupancy_updated"),
        ("room-bookings", "booking_checked_out"),
        ("guest", "booking_checked_out"),
    ]
    assert_invariants_hold()


def test_guest_with_a_check_in_time_in_the_future_can_leave(small_hotel, guest):
    """After clock skew; the database allows no departure before the arrival."""
    with clock.set_to(NOW - timedelta(seconds=5)):
        assert check_out(booking=guest, staff=small_hotel.agent).checked_out_at == NOW
    assert_invariants_hold()


def test_second_check_out_changes_nothing(small_hotel, guest):
    check_out(booking=guest, staff=small_hotel.agent)
    with nothing_written():
        assert check_out(booking=guest, staff=small_hotel.manager).status == "COMPLETED"


def test_it_decides_on_the_row(small_hotel, guest):
    stale = RoomBooking.objects.get()
    move_room(booking=guest, to_room_id=small_hotel.rooms[1].pk, staff=small_hotel.agent, reason="Noise")
    assert stale.assigned_room_id == small_hotel.rooms[0].pk
    check_out(booking=stale, staff=small_hotel.agent)
    assert [room.room_status for room in Room.objects.order_by("pk")] == ["CHECKOUT_DIRTY", "CHECKOUT_DIRTY"]
    RoomBooking.objects.all().update(status="CONFIRMED", checked_in_at=None, checked_out_at=None)
    assert refusal_of(lambda: check_out(booking=guest, staff=small_hotel.agent)).code == "BOOKING_NOT_CHECKED_IN"


def test_it_locks_and_writes_booking_then_room(small_hotel, guest, statements):
    with statements() as made:
        check_out(booking=guest, staff=small_hotel.agent)
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "UPDATE RoomBooking",
        "INSERT BookingChange",
        "lock Room",
        "UPDATE Room",
        "INSERT RealtimeEvent",
        "INSERT RoomStatusEvent",
        "UPDATE HousekeepingTask",
        "INSERT HousekeepingTask",
        "INSERT RealtimeEvent",
    ]


def test_room_keeps_its_fault(small_hotel, guest):
    engineer = StaffFactory(hotel=small_hotel.hotel, role=rights.HOUSEKEEPING_SUPERVISOR)
    flag_maintenance(room=room_101(), staff=engineer, priority="HIGH", note="Shower drips")
    check_out(booking=guest, staff=small_hotel.agent)
    room = room_101()
    assert room.room_status == "CHECKOUT_DIRTY"
    assert (room.maintenance_required, room.maintenance_priority, room.maintenance_notes) == (
        *(True, "HIGH"),
        "Shower drips",
    )
    assert RoomStatusEvent.objects.latest("pk").from_status == "MAINTENANCE_REQUIRED"
    assert_invariants_hold()


def test_guests_phone_and_old_turnover_notes_are_cleared(small_hotel, guest):
    Room.objects.update(guest_fcm_token="phone", turnover_notes="Two towels short")
    check_out(booking=guest, staff=small_hotel.agent)
    assert (room_101().guest_fcm_token, room_101().turnover_notes) == ("", "")
    other = Room.objects.get(room_number=102)
    assert (other.guest_fcm_token, other.turnover_notes) == ("phone", "Two towels short")


@pytest.mark.parametrize(
    ("status", "opened"), [(None, 1), ("OPEN", 0), ("IN_PROGRESS", 0), ("DONE", 1), ("CANCELLED", 1)]
)
def test_a_turnover_task_is_opened_once(status, opened, small_hotel, guest):
    if status:
        times = {"OPEN": {}, "IN_PROGRESS": {"started_at": NOW}, "CANCELLED": {"cancelled_at": NOW}}
        done = {"started_at": NOW, "completed_at": NOW}
        TaskFactory(room=small_hotel.rooms[0], status=status, **times.get(status, done))
    before = set(HousekeepingTask.objects.values_list("pk", flat=True))
    check_out(booking=guest, staff=small_hotel.agent)
    tasks = HousekeepingTask.objects.exclude(pk__in=before)
    assert [(task.task_type, task.status, task.room, task.booking, task.created_at) for task in tasks] == [
        ("TURNOVER", "OPEN", small_hotel.rooms[0], guest, NOW)
    ] * opened


def test_open_tasks_of_other_rooms_and_types_do_not_count(small_hotel, guest):
    TaskFactory(room=small_hotel.rooms[1])
    stayover = TaskFactory(room=small_hotel.rooms[0], task_type="STAYOVER")
    start_task(task=stayover, staff=small_hotel.manager)
    check_out(booking=guest, staff=small_hotel.agent)
    assert HousekeepingTask.objects.filter(room=small_hotel.rooms[0], task_type="TURNOVER").count() == 1


@pytest.mark.parametrize("dismiss", [False, True])
def test_an_overstay_is_settled(dismiss, small_hotel, guest):
    RoomBooking.objects.update(check_in=day(-2), check_out=day(0))
    flag_overstays(small_hotel.hotel)
    if dismiss:
        OverstayIncident.objects.update(status="DISMISSED", acknowledged_at=NOW)
    check_out(booking=guest, staff=small_hotel.agent)
    incident = OverstayIncident.objects.get()
    assert (incident.status, incident.resolved_at) == ("RESOLVED", NOW)


def test_system_can_check_a_guest_out(small_hotel, guest):
    check_out(booking=guest, staff=None)
    assert RoomStatusEvent.objects.latest("pk").changed_by is None
    assert BookingChange.objects.get().staff is None


# --- bulk actions -----------------------------------------------------------------------------------------------------


def test_bulk_check_out_of_guests_in_house(small_hotel, guest):
    second = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[1])
    empty = NewRoomFactory(hotel=small_hotel.hotel, room_number=103)
    booking_in("CONFIRMED", assigned_room=empty)
    foreign = booking_in("IN_HOUSE", assigned_room=NewRoomFactory())
    since = last_event()
    wanted = [small_hotel.rooms[1].pk, empty.pk, small_hotel.rooms[0].pk, foreign.assigned_room.pk, 0]
    result = check_out_rooms(hotel=small_hotel.hotel, room_ids=wanted, staff=small_hotel.agent)
    assert [(booking.pk, booking.status) for booking in result.bookings] == [
        (guest.pk, "COMPLETED"),
        (second.pk, "COMPLETED"),
    ]
    assert [(room.room_number, room.room_status) for room in result.rooms] == [
        (101, "CHECKOUT_DIRTY"),
        (102, "CHECKOUT_DIRTY"),
    ]
    assert [(room_id, refusal.code) for room_id, refusal in result.failed] == [
        (empty.pk, "NOBODY_IN_HOUSE"),
        (foreign.assigned_room.pk, "ROOM_NOT_FOUND"),
        (0, "ROOM_NOT_FOUND"),
    ]
    assert published_events(since) == [
        *[("rooms", "room_updated")] * 2,
        *[("rooms", "room_occupancy_updated")] * 2,
        *[("room-bookings", "booking_checked_out")] * 2,
        *[("guest", "booking_checked_out")] * 2,
    ]
    assert HousekeepingTask.objects.count() == 2
    foreign.refresh_from_db()
    assert foreign.status == "IN_HOUSE"
    assert_invariants_hold()
    again = partial(check_out_rooms, hotel=small_hotel.hotel, room_ids=wanted, staff=small_hotel.agent)
    with nothing_written():
        assert [refusal.code for _, refusal in again().failed] == [
            *["NOBODY_IN_HOUSE"] * 3,
            *["ROOM_NOT_FOUND"] * 2,
        ]


def test_bulk_check_out_leaves_empty_rooms_alone(small_hotel):
    TaskFactory(room=small_hotel.rooms[0])
    with nothing_written():
        check_out_rooms(
            hotel=small_hotel.hotel, room_ids=[room.pk for room in small_hotel.rooms], staff=small_hotel.agent
        )
