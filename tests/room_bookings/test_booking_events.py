"""The events of booking actions, beyond the table in ``tests.notifications.test_operation_table``."""

import pytest

from notifications import notification_manager, relay
from notifications.models import BOOKINGS, GUESTS, ROOMS, STREAMS, EventStream, RealtimeEvent
from room_bookings.models import RoomBooking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out
from room_bookings.services.undo_check_in import undo_check_in
from tests.factories import booking_in
from tests.room_bookings.test_states import bookings, steps

pytestmark = pytest.mark.django_db

# Each action that the guest is notified of (by its name in ``steps``), and the booking's state before it.
TOLD = [
    ("check_in", "conr"),
    ("check_in_102", "con"),
    ("check_out", "in"),
    ("move", "in"),
    ("assign", "con"),
    ("cancel", "con"),
    ("cancel", "conr"),
    ("cancel_stay", "in"),
    ("confirm", "ask"),
    ("approve", "ask"),
    ("decline", "ask"),
]


@pytest.mark.parametrize(("step", "state"), TOLD)
def test_guest_event_has_only_the_guests_fields(step, state, small_hotel):
    booking = bookings(small_hotel)[state]()
    steps(small_hotel, booking)[step]()
    stored = RoomBooking.objects.get(pk=booking.pk)
    [event] = RealtimeEvent.objects.filter(stream=GUESTS)
    assert event.envelope["payload"] == {
        "booking_id": stored.booking_id,
        "status": stored.status,
        "changed_at": "2026-07-01T14:00:00Z",
        "reason": {"move": "Shower drips", "cancel_stay": "Ferry cancelled"}.get(step, ""),
        "room_number": stored.assigned_room.room_number if stored.assigned_room else None,
        "hotel_name": small_hotel.hotel.name,
        "hotel_phone": "+353 1 555 0000",
    }


def test_the_source_of_each_change_of_a_room(small_hotel):
    """A check-in's source is the front desk; every other room change by a booking has the source system."""
    booking = booking_in("CONFIRMED", assigned_room=small_hotel.rooms[0])
    it = {"booking": booking, "staff": small_hotel.manager}
    check_in(**it)
    undo_check_in(**it, reason="x")
    check_in(**it, room_id=small_hotel.rooms[1].pk)
    check_out(**it)
    sources = [
        (event.envelope["payload"]["source"], event.envelope["payload"]["changed_by_name"])
        for event in RealtimeEvent.objects.filter(type="room_updated").order_by("pk")
    ]
    name = small_hotel.manager.name
    assert sources == [("FRONT_DESK", name), ("SYSTEM", name), ("FRONT_DESK", name), ("SYSTEM", name)]


def test_only_staff_events_are_numbered(small_hotel):
    booking = booking_in("CONFIRMED", assigned_room=small_hotel.rooms[0])
    check_in(booking=booking, staff=small_hotel.agent)
    check_out(booking=booking, staff=small_hotel.agent)
    for name in STREAMS:
        relay.number(EventStream.objects.create(hotel=small_hotel.hotel, name=name))
    numbers = {
        name: [
            notification_manager.envelope_of(event)["meta"]["seq"]
            for event in RealtimeEvent.objects.filter(stream=name).order_by("pk")
        ]
        for name in STREAMS
    }
    assert numbers == {ROOMS: [1, 2, 3, 4], BOOKINGS: [1, 2], GUESTS: [None, None]}


def test_long_reason_is_cut_for_the_guest_and_stored_whole(small_hotel):
    booking = booking_in("CONFIRMED", hotel=small_hotel.hotel)
    cancel_booking(booking=booking, staff=small_hotel.agent, reason="é" * 9_000)
    guest = RealtimeEvent.objects.get(stream=GUESTS).envelope["payload"]
    assert guest["reason"].endswith("[cut]")
    assert RoomBooking.objects.get().cancellation_reason == "é" * 9_000
