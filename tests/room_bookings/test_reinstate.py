"""Reinstating a cancelled or no-show booking; marking a no-show; undoing a check-in."""

from datetime import datetime

import pytest

from common import clock
from hotel import rights
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from housekeeping.turnover import flag_maintenance
from room_bookings.models import BookingChange, RoomBooking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.reinstate import reinstate_booking
from room_bookings.services.room_move import move_room
from room_bookings.services.undo_check_in import undo_check_in
from rooms.models import Room
from tests.factories import BookingFactory, StaffFactory, booking_in
from tests.room_bookings.small_hotel import (
    assert_invariants_hold,
    day,
    last_event,
    locks_and_writes,
    nothing_written,
    open_small_hotel,
    published_events,
    queued_mails,
    refusal_of,
)

pytestmark = pytest.mark.django_db


def booked(small_hotel, first=0, last=2, **fields) -> RoomBooking:
    """A confirmed booking with room 101."""
    hotel_fields = {
        "hotel": small_hotel.hotel,
        "room_type": small_hotel.room_type,
        "assigned_room": small_hotel.rooms[0],
    }
    return BookingFactory(check_in=day(first), check_out=day(last), **hotel_fields | fields)


# --- reinstate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["CANCELLED", "NO_SHOW"])
def test_it_is_confirmed_again_without_a_room(status, small_hotel):
    booking = booking_in(
        status, hotel=small_hotel.hotel, room_type=small_hotel.room_type, primary_email="ada@example.com"
    )
    reinstated = reinstate_booking(booking=booking, staff=small_hotel.manager, reason="A mistake")
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.version, stored.assigned_room, reinstated.status) == (
        *("CONFIRMED", 1, None),
        "CONFIRMED",
    )
    assert (stored.cancelled_at, stored.cancelled_by, stored.cancellation_reason) == (None, None, "")
    change = BookingChange.objects.get()
    assert (change.action, change.from_status, change.to_status) == ("REINSTATED", status, "CONFIRMED")
    assert (change.staff, change.reason) == (small_hotel.manager, "A mistake")
    assert published_events() == [("room-bookings", "booking_updated")]
    [mail] = queued_mails()
    assert mail.subject.endswith("is confirmed")
    assert_invariants_hold()


def test_cancellation_note_stays(small_hotel):
    booking = booked(small_hotel)
    cancel_booking(booking=booking, staff=small_hotel.agent, reason="Ferry cancelled")
    reinstated = reinstate_booking(booking=booking, staff=small_hotel.manager, reason="Ferry sails")
    assert "Ferry cancelled" in reinstated.special_requests
    assert list(BookingChange.objects.order_by("pk").values_list("action", flat=True)) == ["CANCELLED", "REINSTATED"]


def test_stay_cancelled_in_house_starts_again(small_hotel):
    booking = booked(small_hotel)
    check_in(booking=booking, staff=small_hotel.agent)
    move_room(booking=booking, to_room_id=small_hotel.rooms[1].pk, staff=small_hotel.agent, reason="Noise")
    cancel_booking(booking=booking, staff=small_hotel.manager, reason="Wrong guest")
    reinstated = reinstate_booking(booking=booking, staff=small_hotel.manager, reason="The right one")
    assert (reinstated.checked_in_at, reinstated.checked_out_at, reinstated.room_moved_at) == (None, None, None)
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("first", "last", "code"),
    [(-2, -1, "BOOKING_NOT_ELIGIBLE"), (-1, 0, None), (0, 0, None), (0, 1, None), (3, 4, None)],
)
def test_past_stay_is_not_reinstated(first, last, code, small_hotel):
    booking = booked(small_hotel, first, last, status="NO_SHOW", assigned_room=None)
    if code:
        refusal = refusal_of(lambda: reinstate_booking(booking=booking, staff=small_hotel.manager, reason="x"))
        assert refusal.code == code
    else:
        assert reinstate_booking(booking=booking, staff=small_hotel.manager, reason="x").status == "CONFIRMED"


@pytest.mark.parametrize(("overbooking", "code"), [(False, "NO_AVAILABILITY"), (True, None)])
def test_its_nights_must_still_be_free(overbooking, code, small_hotel):
    small_hotel.hotel.allow_overbooking = overbooking
    small_hotel.hotel.save()
    booking = booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    for room in small_hotel.rooms:
        booked(small_hotel, 1, 2, assigned_room=room)
    if code:
        refusal = refusal_of(lambda: reinstate_booking(booking=booking, staff=small_hotel.manager, reason="x"))
        assert (refusal.status, refusal.code, refusal.details["date"]) == (409, code, "2026-07-02")
    else:
        assert reinstate_booking(booking=booking, staff=small_hotel.manager, reason="x").status == "CONFIRMED"


@pytest.mark.parametrize(
    ("role", "may"),
    [(rights.FRONT_OFFICE_MANAGER, True), (rights.HOTEL_MANAGER, True), (rights.HOUSEKEEPING_SUPERVISOR, False)],
)
def test_only_a_front_desk_supervisor_can_reinstate(role, may, small_hotel):
    booking, staff = (
        booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=small_hotel.room_type),
        StaffFactory(hotel=small_hotel.hotel, role=role),
    )
    if may:
        assert reinstate_booking(booking=booking, staff=staff, reason="x").status == "CONFIRMED"
    else:
        refusal = refusal_of(lambda: reinstate_booking(booking=booking, staff=staff, reason="x"))
        assert (refusal.status, refusal.code) == (403, "PERMISSION_DENIED")
        assert refusal.message.startswith("Permission denied")


def test_it_decides_on_the_row(small_hotel):
    booking = booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    stale = RoomBooking.objects.get()
    reinstate_booking(booking=booking, staff=small_hotel.manager, reason="x")
    assert refusal_of(lambda: reinstate_booking(booking=stale, staff=small_hotel.manager, reason="x")).code == (
        "BOOKING_NOT_ELIGIBLE"
    )


def test_it_locks_booking_then_type(small_hotel, statements):
    booking = booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    with statements() as made:
        reinstate_booking(booking=booking, staff=small_hotel.manager, reason="x")
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "lock RoomType",
        "UPDATE RoomBooking",
        "INSERT BookingChange",
        "INSERT RealtimeEvent",
    ]


@pytest.mark.parametrize("step", [reinstate_booking, undo_check_in])
def test_refused_role_locks_nothing(step, small_hotel, statements):
    booking = booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    with statements() as made:
        refusal = refusal_of(lambda: step(booking=booking, staff=small_hotel.agent, reason="x"))
    assert refusal.code == "PERMISSION_DENIED"
    assert locks_and_writes(made.sql()) == []


@pytest.mark.parametrize(("status", "last"), [("CONFIRMED", 2), ("CANCELLED", -1)])
def test_refusal_due_to_the_booking_does_not_lock_the_type(status, last, small_hotel, statements):
    stay = {"check_in": day(-2), "check_out": day(last)}
    booking = booking_in(status, hotel=small_hotel.hotel, room_type=small_hotel.room_type, **stay)
    with statements() as made:
        refusal = refusal_of(lambda: reinstate_booking(booking=booking, staff=small_hotel.manager, reason="x"))
    assert refusal.code == "BOOKING_NOT_ELIGIBLE"
    assert locks_and_writes(made.sql()) == ["lock RoomBooking"]


# --- no-show ----------------------------------------------------------------------------------------------------------


def test_no_show_is_recorded_published_and_releases_the_room(small_hotel):
    booking = booked(small_hotel, -1, 1)
    mark_no_show(booking=booking, staff=small_hotel.agent, reason="No call")
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.assigned_room, stored.version) == ("NO_SHOW", None, 1)
    change = BookingChange.objects.get()
    assert (change.action, change.from_status, change.to_status) == ("NO_SHOW", "CONFIRMED", "NO_SHOW")
    assert (change.staff, change.reason, change.from_room) == (small_hotel.agent, "No call", small_hotel.rooms[0])
    assert published_events() == [("room-bookings", "booking_no_show")]
    with nothing_written():
        mark_no_show(booking=booking, staff=small_hotel.manager, reason="Again")
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("zone", "moment", "over"),
    [
        ("Europe/Dublin", "2026-07-01T22:59:00Z", False),
        ("Europe/Dublin", "2026-07-02T00:59:00Z", False),  # 01:59 there: the guest may still arrive
        ("Europe/Dublin", "2026-07-02T01:00:00Z", True),
        ("Pacific/Auckland", "2026-07-01T13:59:00Z", False),
        ("Pacific/Auckland", "2026-07-01T14:00:00Z", True),
        ("America/St_Johns", "2026-07-02T04:29:00Z", False),
        ("America/St_Johns", "2026-07-02T04:30:00Z", True),
    ],
)
def test_when_an_arrival_day_is_over(zone, moment, over, db):
    booking = booked(open_small_hotel(timezone=zone), 0, 3)
    with clock.set_to(datetime.fromisoformat(moment)):
        if over:
            assert mark_no_show(booking=booking, staff=None).status == "NO_SHOW"
        else:
            assert refusal_of(lambda: mark_no_show(booking=booking, staff=None)).code == "ARRIVAL_NOT_OVER"


def test_a_no_show_is_decided_on_the_row(small_hotel):
    booking = booked(small_hotel, -1, 1)
    stale = RoomBooking.objects.get()
    check_in(booking=booking, staff=small_hotel.agent)
    assert refusal_of(lambda: mark_no_show(booking=stale, staff=small_hotel.agent)).code == "BOOKING_NOT_ELIGIBLE"


# --- undo check-in ----------------------------------------------------------------------------------------------------


def test_a_check_in_is_undone(small_hotel):
    booking = booked(small_hotel)
    check_in(booking=booking, staff=small_hotel.agent)
    Room.objects.update(guest_fcm_token="phone")
    since = last_event()
    undone = undo_check_in(booking=booking, staff=small_hotel.manager, reason="Wrong guest")
    stored, room = RoomBooking.objects.get(), Room.objects.get(room_number=101)
    assert (stored.status, stored.checked_in_at, stored.assigned_room, stored.version) == ("CONFIRMED", None, room, 2)
    assert undone.status == "CONFIRMED"
    assert (room.room_status, room.guest_fcm_token) == ("CHECKOUT_DIRTY", "")
    audit = RoomStatusEvent.objects.latest("pk")
    assert (audit.source, audit.changed_by, audit.note) == (
        *("SYSTEM", small_hotel.manager),
        f"check-in of {booking.booking_id} undone",
    )
    change = BookingChange.objects.latest("pk")
    assert (change.action, change.from_status, change.to_status) == ("CHECK_IN_UNDONE", "IN_HOUSE", "CONFIRMED")
    assert (change.staff, change.reason, change.to_room) == (small_hotel.manager, "Wrong guest", room)
    assert HousekeepingTask.objects.get().task_type == "TURNOVER"
    assert published_events(since) == [
        ("rooms", "room_updated"),
        ("rooms", "room_occupancy_updated"),
        ("room-bookings", "booking_updated"),
    ]
    assert_invariants_hold()


def test_stay_that_starts_again_has_no_room_move(small_hotel):
    booking = booked(small_hotel)
    check_in(booking=booking, staff=small_hotel.agent)
    move_room(booking=booking, to_room_id=small_hotel.rooms[1].pk, staff=small_hotel.agent, reason="Noise")
    assert RoomBooking.objects.get().room_moved_at is not None
    undo_check_in(booking=booking, staff=small_hotel.manager, reason="Wrong guest")
    assert RoomBooking.objects.get().room_moved_at is None


def test_room_keeps_its_fault_when_a_check_in_is_undone(small_hotel):
    booking = booked(small_hotel)
    check_in(booking=booking, staff=small_hotel.agent)
    flag_maintenance(room=Room.objects.get(room_number=101), staff=small_hotel.agent, note="Lamp", priority="LOW")
    undo_check_in(booking=booking, staff=small_hotel.manager, reason="Wrong guest")
    room = Room.objects.get(room_number=101)
    assert (room.room_status, room.maintenance_required, room.maintenance_notes) == ("CHECKOUT_DIRTY", True, "Lamp")


@pytest.mark.parametrize(
    ("checked_in", "now", "code"),
    [
        ("2026-07-01T14:00:00Z", "2026-07-02T00:59:00Z", None),  # 01:59 in Dublin: the same business day
        ("2026-07-01T14:00:00Z", "2026-07-02T01:00:00Z", "CHECKIN_TOO_LONG_AGO"),
        ("2026-07-02T00:30:00Z", "2026-07-02T00:59:00Z", None),
        ("2026-07-02T00:30:00Z", "2026-07-02T01:00:00Z", "CHECKIN_TOO_LONG_AGO"),
        ("2026-06-30T14:00:00Z", "2026-07-01T14:00:00Z", "CHECKIN_TOO_LONG_AGO"),
    ],
)
def test_only_on_the_business_day_of_the_check_in(checked_in, now, code, small_hotel):
    moment = datetime.fromisoformat(checked_in)
    booking = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], checked_in_at=moment)
    with clock.set_to(datetime.fromisoformat(now)):
        if code:
            refusal = refusal_of(lambda: undo_check_in(booking=booking, staff=small_hotel.manager, reason="x"))
            assert refusal.code == code
        else:
            assert undo_check_in(booking=booking, staff=small_hotel.manager, reason="x").status == "CONFIRMED"


def test_an_undo_locks_and_writes_booking_then_room(small_hotel, statements):
    booking = booked(small_hotel)
    check_in(booking=booking, staff=small_hotel.agent)
    with statements() as made:
        undo_check_in(booking=booking, staff=small_hotel.manager, reason="x")
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


def test_guest_checked_in_by_mistake_can_be_checked_in_again(small_hotel):
    booking = booked(small_hotel)
    check_in(booking=booking, staff=small_hotel.agent)
    undo_check_in(booking=booking, staff=small_hotel.manager, reason="Wrong guest")
    assert refusal_of(lambda: check_in(booking=booking, staff=small_hotel.agent)).code == "ROOM_NOT_READY"
    again = check_in(booking=booking, staff=small_hotel.agent, room_id=small_hotel.rooms[1].pk)
    assert (again.status, again.assigned_room) == ("IN_HOUSE", small_hotel.rooms[1])
