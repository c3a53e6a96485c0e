"""Cancelling a booking before arrival or, as a supervisor, in house."""

from datetime import timedelta

import pytest

from common import clock
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from housekeeping.turnover import flag_maintenance
from notifications.models import RealtimeEvent
from room_bookings.models import BookingChange, OverstayIncident, RoomBooking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.overstay import flag_overstays
from rooms.models import Room
from tests.factories import BookingFactory, booking_in
from tests.room_bookings.small_hotel import (
    NOW,
    assert_invariants_hold,
    day,
    last_event,
    locks_and_writes,
    nothing_written,
    published_events,
    queued_mails,
    refusal_of,
)

pytestmark = pytest.mark.django_db

BLOCK = "[CANCELLED 2026-07-01 15:00 by Maeve Byrne] "


@pytest.fixture
def booking(small_hotel) -> RoomBooking:
    """A confirmed booking with room 101."""
    for member in (small_hotel.agent, small_hotel.manager):
        member.user.last_name = "Byrne"
        member.user.save()
    return BookingFactory(
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        assigned_room=small_hotel.rooms[0],
        room_assigned_at=NOW,
        room_assigned_by=small_hotel.agent,
        assignment_notes="By the lift",
        primary_email="ada@example.com",
        special_requests="Quiet room",
    )


def test_it_is_recorded_published_and_mailed(small_hotel, booking):
    cancelled = cancel_booking(booking=booking, staff=small_hotel.agent, reason="Ferry cancelled")
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.version, cancelled.version) == ("CANCELLED", 1, 1)
    assert (stored.cancelled_at, stored.cancelled_by, stored.cancellation_reason) == (
        NOW,
        small_hotel.agent,
        "Ferry cancelled",
    )
    assert stored.special_requests == f"Quiet room\n\n{BLOCK}Ferry cancelled"
    assert (stored.assigned_room, stored.room_assigned_at, stored.room_assigned_by, stored.assignment_notes) == (
        *(None, None, None),
        "",
    )
    assert (stored.checked_in_at, stored.checked_out_at) == (None, None)
    change = BookingChange.objects.get()
    assert (change.action, change.from_status, change.to_status) == ("CANCELLED", "CONFIRMED", "CANCELLED")
    assert (change.staff, change.reason, change.from_room) == (
        small_hotel.agent,
        "Ferry cancelled",
        small_hotel.rooms[0],
    )
    assert published_events() == [("room-bookings", "booking_cancelled"), ("guest", "booking_cancelled")]
    guest = RealtimeEvent.objects.latest("pk").envelope["payload"]
    assert (guest["status"], guest["reason"], guest["room_number"]) == ("CANCELLED", "Ferry cancelled", None)
    [mail] = queued_mails()
    assert mail.subject == f"[{small_hotel.hotel.name}] Your booking {booking.booking_id} is cancelled"
    assert "Ferry cancelled" in mail.body
    assert not RoomStatusEvent.objects.exists()  # nobody was in the room
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("requests", "reason", "noted"),
    [
        ("", "Ferry cancelled", f"{BLOCK}Ferry cancelled"),
        ("", "", f"{BLOCK}no reason given"),
        ("Quiet room", "", f"Quiet room\n\n{BLOCK}no reason given"),
    ],
)
def test_cancellation_is_appended_to_the_special_requests(requests, reason, noted, small_hotel, booking):
    RoomBooking.objects.update(special_requests=requests)
    assert cancel_booking(booking=booking, staff=small_hotel.agent, reason=reason).special_requests == noted


def test_a_second_cancel_changes_nothing(small_hotel, booking):
    cancel_booking(booking=booking, staff=small_hotel.agent, reason="Ferry cancelled")
    with nothing_written():
        again = cancel_booking(booking=booking, staff=small_hotel.manager, reason="Another reason")
    assert (again.cancellation_reason, again.cancelled_by) == ("Ferry cancelled", small_hotel.agent)


def test_it_decides_on_the_row(small_hotel, booking):
    stale = RoomBooking.objects.get()
    check_in(booking=booking, staff=small_hotel.agent)
    refusal = refusal_of(lambda: cancel_booking(booking=stale, staff=small_hotel.agent, reason="Ferry cancelled"))
    assert refusal.code == "BOOKING_ALREADY_CHECKED_IN"


@pytest.mark.parametrize("status", ["PENDING_APPROVAL", "CONFIRMED", "IN_HOUSE", "CANCELLED", "COMPLETED", "DECLINED"])
def test_card_payment_is_checked_first(status, small_hotel):
    room = {"assigned_room": small_hotel.rooms[0]} if status in ("IN_HOUSE", "COMPLETED") else {}
    booking = booking_in(
        status, card="AUTHORISED", **{"hotel": small_hotel.hotel, "room_type": small_hotel.room_type} | room
    )
    refusal = refusal_of(lambda: cancel_booking(booking=booking, staff=small_hotel.manager, reason="Ferry cancelled"))
    address = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}"
    assert (refusal.status, refusal.code) == (403, "STRIPE_BOOKING")
    assert refusal.details == {
        "required_endpoints": {"approve": f"{address}/approve/", "decline": f"{address}/decline/"}
    }


def test_a_request_is_declined_instead(small_hotel):
    booking = booking_in("PENDING_APPROVAL", hotel=small_hotel.hotel)
    refusal = refusal_of(lambda: cancel_booking(booking=booking, staff=small_hotel.manager, reason="x"))
    assert (refusal.status, refusal.code) == (409, "BOOKING_NOT_ELIGIBLE")
    assert refusal.details["required_endpoint"] == (
        f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/decline/"
    )


def test_no_mail_without_an_address(small_hotel, booking):
    RoomBooking.objects.update(primary_email="")
    cancel_booking(booking=booking, staff=small_hotel.agent)
    assert queued_mails() == []


def test_it_locks_before_it_writes(small_hotel, booking, statements):
    with statements() as made:
        cancel_booking(booking=booking, staff=small_hotel.agent)
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "UPDATE RoomBooking",
        "INSERT BookingChange",
        "UPDATE HousekeepingTask",
        "INSERT RealtimeEvent",
        "UPDATE BookingMail",
        "INSERT BookingMail",
    ]


# --- in house ---------------------------------------------------------------------------------------------------------


def test_cancelling_a_stay_ends_it(small_hotel, booking):
    check_in(booking=booking, staff=small_hotel.agent)
    Room.objects.update(guest_fcm_token="phone")
    since = last_event()
    cancelled = cancel_booking(booking=booking, staff=small_hotel.manager, reason="Gas leak")
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.checked_in_at, stored.checked_out_at, stored.cancelled_at) == (
        "CANCELLED",
        *(NOW, NOW, NOW),
    )
    assert (stored.assigned_room, cancelled.status) == (None, "CANCELLED")
    room = Room.objects.get(room_number=101)
    assert (room.room_status, room.guest_fcm_token) == ("CHECKOUT_DIRTY", "")
    audit = RoomStatusEvent.objects.latest("pk")
    assert (audit.source, audit.changed_by) == ("SYSTEM", small_hotel.manager)
    assert audit.note == f"stay of {booking.booking_id} cancelled"
    change = BookingChange.objects.latest("pk")
    assert (change.action, change.from_status, change.from_room) == ("CANCELLED", "IN_HOUSE", small_hotel.rooms[0])
    task = HousekeepingTask.objects.get()
    assert (task.task_type, task.room, task.booking) == ("TURNOVER", small_hotel.rooms[0], booking)
    assert published_events(since) == [
        ("rooms", "room_updated"),
        ("rooms", "room_occupancy_updated"),
        ("room-bookings", "booking_cancelled"),
        ("guest", "booking_cancelled"),
    ]
    assert_invariants_hold()
    with nothing_written():
        cancel_booking(booking=booking, staff=small_hotel.manager, reason="Gas leak")


def test_room_keeps_its_fault(small_hotel, booking):
    check_in(booking=booking, staff=small_hotel.agent)
    flag_maintenance(
        room=Room.objects.get(room_number=101), staff=small_hotel.manager, note="Gas leak", priority="HIGH"
    )
    cancel_booking(booking=booking, staff=small_hotel.manager, reason="Gas leak")
    room = Room.objects.get(room_number=101)
    assert (room.room_status, room.maintenance_required, room.maintenance_priority) == ("CHECKOUT_DIRTY", True, "HIGH")


def test_overstay_is_settled(small_hotel):
    booking = booking_in(
        "IN_HOUSE",
        assigned_room=small_hotel.rooms[0],
        check_in=day(-2),
        check_out=day(0),
        checked_in_at=NOW - timedelta(2),
    )
    flag_overstays(small_hotel.hotel)
    cancel_booking(booking=booking, staff=small_hotel.manager, reason="Thrown out")
    assert OverstayIncident.objects.get().status == "RESOLVED"


def test_cancelling_a_stay_locks_and_writes_booking_then_room(small_hotel, booking, statements):
    check_in(booking=booking, staff=small_hotel.agent)
    with statements() as made:
        cancel_booking(booking=booking, staff=small_hotel.manager, reason="Gas leak")
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
        "UPDATE BookingMail",
        "INSERT BookingMail",
    ]


def test_stay_with_a_check_in_time_in_the_future_is_cancelled(small_hotel):
    guest = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0])
    with clock.set_to(NOW - timedelta(seconds=5)):
        cancelled = cancel_booking(booking=guest, staff=small_hotel.manager, reason="a mistake")
    assert (cancelled.checked_out_at, cancelled.cancelled_at) == (NOW, NOW)
    assert_invariants_hold()
