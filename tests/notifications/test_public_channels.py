"""The public channels, for clients that cannot authenticate for private ones: when they exist and what they carry."""

import json
import logging
from collections.abc import Iterator

import pytest

from common import clock
from hotel import rights
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from notifications import notification_manager
from notifications.models import BOOKINGS, GUESTS, ROOMS, RealtimeEvent
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.no_show import mark_no_show
from tests.factories import booking_in, room_in
from tests.notifications.conftest import until
from tests.notifications.marked_hotels import marks_in, open_marked_hotels, staff_member, with_marks
from tests.room_bookings.small_hotel import NOW, SmallHotel, day, open_small_hotel

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_hotel(db) -> Iterator[SmallHotel]:
    """A small hotel on the afternoon of 1 July 2026."""
    with clock.set_to(NOW):
        yield open_small_hotel()


@pytest.fixture
def with_public_channels(settings) -> None:
    settings.REALTIME_PUBLIC_CHANNELS = True


def latest(**event) -> RealtimeEvent:
    found = RealtimeEvent.objects.filter(**event).latest("pk")
    found.seq = 7
    return found


def twin_of(event: RealtimeEvent) -> dict:
    """The public message and its data."""
    _, public = notification_manager.messages(event)
    return {**public, "data": json.loads(public["data"])}


def test_public_channels_are_off_by_default(small_hotel, settings):
    assert settings.REALTIME_PUBLIC_CHANNELS is False
    check_in(booking=booking_in("CONFIRMED", assigned_room=small_hotel.rooms[0]), staff=small_hotel.agent)
    for event in RealtimeEvent.objects.all():
        [message] = notification_manager.messages(event)
        assert message["channel"] == event.channel
        assert message["channel"].startswith("private-")


def test_public_room_event(small_hotel, with_public_channels):
    room = small_hotel.rooms[0]
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=small_hotel.agent, source="FRONT_DESK")
    notes = {"maintenance_notes": "Mr Lovelace broke the lamp", "turnover_notes": "ask Maeve"}
    event = latest(type="room_updated")
    event.envelope["payload"] |= notes
    event.envelope["payload"] |= {"cleaned_by_staff": "Maeve", "cleaned_by_staff_name": "Maeve"}
    event.envelope["payload"] |= {"inspected_by_staff": "Orla", "inspected_by_staff_name": "Orla"}
    private = event.envelope["payload"]
    assert twin_of(event) == {
        "channel": f"{small_hotel.hotel.slug}.rooms",
        "name": "room_updated",
        "data": {
            "category": "rooms",
            "type": "room_updated",
            "payload": {
                "id": room.pk,
                "hotel_slug": small_hotel.hotel.slug,
                "room_number": 101,
                "room_type": small_hotel.room_type.pk,
                "room_type_name": small_hotel.room_type.name,
                "room_type_info": private["room_type_info"],
                "current_price": {"amount": "95.00", "currency": "EUR"},
                "floor": "1",
                "building": "",
                "section": "",
                "features": [],
                "is_accessible": False,
                "connecting_rooms": [],
                "walking_order": None,
                "credits": "1.00",
                "room_status": "CHECKOUT_DIRTY",
                "room_status_display": "Checkout dirty",
                "is_occupied": False,
                "is_active": True,
                "is_bookable": False,
                "is_out_of_order": False,
                "maintenance_required": False,
                "maintenance_priority": None,
                "maintenance_notes": "",
                "last_cleaned_at": None,
                "cleaned_by_staff": None,
                "cleaned_by_staff_name": None,
                "last_inspected_at": None,
                "inspected_by_staff": None,
                "inspected_by_staff_name": None,
                "turnover_notes": "",
                "status_version": 1,
                "status_changed_at": "2026-07-01T14:00:00Z",
                "allowed_transitions": private["allowed_transitions"],
                "updated_at": "2026-07-01T14:00:00Z",
                "block": None,
                "next_block": None,
                "primary_guest": None,
                "companions": [],
                "guests_in_room": [],
                "current_booking": None,
                "changed_fields": private["changed_fields"],
                "source": "FRONT_DESK",
                "from_status": "READY_FOR_GUEST",
                "to_status": "CHECKOUT_DIRTY",
                "changed_by_name": None,
            },
            "meta": {
                "hotel_slug": small_hotel.hotel.slug,
                "event_id": str(event.event_id),
                "seq": 7,
                "ts": "2026-07-01T14:00:00Z",
                "scope": {"room_number": 101},
            },
        },
    }


def test_public_booking_event(small_hotel, with_public_channels):
    """A no-show, under the event name that clients of these channels expect."""
    contact = {"primary_email": "ada@example.com", "primary_phone": "+44 20 1", "confirmation_number": "AB12CD34"}
    booking = booking_in(
        "CONFIRMED",
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        check_in=day(-1),
        check_out=day(1),
        total_amount="240.50",
        **contact,
    )
    mark_no_show(booking=booking, staff=small_hotel.agent)
    event = latest(type="booking_no_show")
    private, public = notification_manager.messages(event)
    assert (private["name"], public["name"]) == ("booking_no_show", "booking_updated")
    assert "Lovelace" in private["data"]
    twin = twin_of(event)
    hidden = {
        "guest_name": "Guest",
        "guest_display_name": "Guest",
        "party_primary_full_name": "Guest",
        "primary_email": "",
        "primary_phone": "",
        "confirmation_number": "",
    }
    assert twin == {
        "channel": f"{small_hotel.hotel.slug}.room-bookings",
        "name": "booking_updated",
        "data": {
            "category": "room_booking",
            "type": "booking_updated",
            "payload": event.envelope["payload"] | hidden,
            "meta": event.envelope["meta"] | {"seq": 7},
        },
    }


def test_unlisted_fields_stay_private(small_hotel, with_public_channels):
    set_room_status(room=small_hotel.rooms[0], to_status="CHECKOUT_DIRTY", source="SYSTEM")
    event = latest(type="room_updated")
    event.envelope["payload"]["favourite_guest"] = "Ada"
    event.envelope["meta"]["asked_by"] = "Maeve"
    twin = twin_of(event)["data"]
    assert twin["payload"]["favourite_guest"] is None
    assert "asked_by" not in twin["meta"]
    event.type = event.envelope["type"] = "room_gossip"
    [message] = notification_manager.messages(event)
    assert message["channel"] == f"private-{small_hotel.hotel.slug}.rooms"


def test_guest_event_has_no_twin_even_with_a_staff_event_type(small_hotel, with_public_channels):
    booking = booking_in("CONFIRMED", assigned_room=small_hotel.rooms[0])
    check_in(booking=booking, staff=small_hotel.agent)
    [message] = notification_manager.messages(latest(stream=GUESTS, type="booking_checked_in"))
    assert message["channel"] == f"private-guest-booking.{booking.booking_id}"


def test_public_twin_is_not_much_larger(small_hotel, with_public_channels):
    """If the private message fits Pusher's limits, so does the public one."""
    room = room_in("MAINTENANCE_REQUIRED", hotel=small_hotel.hotel)
    flag_maintenance(room=room, staff=small_hotel.agent, note="é" * 2000)
    stay = {"assigned_room": small_hotel.rooms[0], "primary_first_name": "A", "primary_last_name": "B"}
    check_in(booking=booking_in("CONFIRMED", **stay), staff=small_hotel.agent)
    for event in RealtimeEvent.objects.exclude(stream=GUESTS):
        private, public = notification_manager.messages(event)
        assert len(public["data"].encode()) <= len(private["data"].encode()) + 50


@pytest.mark.django_db(transaction=True)
def test_a_public_channel_over_a_real_socket(server, relay_to, with_public_channels, caplog):
    """A public client gets the same events as staff, in the same order and with the same numbers, but no names.

    The log has a line for each event, also without names.
    """
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "notifications.relay")  # silent in development
    with clock.set_to(NOW):
        hotels = open_marked_hotels()
        manager = staff_member(hotels.small_hotel, rights.HOTEL_MANAGER)
        booking = with_marks(booking_in("CONFIRMED", assigned_room=hotels.small_hotel.rooms[0]), "A")
    since = RealtimeEvent.objects.latest("pk").pk
    slug = hotels.small_hotel.hotel.slug
    channels = [f"{prefix}{slug}.{stream}" for prefix in ("private-", "") for stream in (ROOMS, BOOKINGS)]
    with server.pysher() as client:
        for channel in channels:
            assert client.subscribe(channel)[1] == "pusher_internal:subscription_succeeded"
        relay_to(server.port)
        with clock.set_to(NOW):
            check_in(booking=booking, staff=manager)
            flag_maintenance(room=hotels.small_hotel.rooms[1], staff=manager, note="zqS_fault_note_qz")
            cancel_booking(booking=booking, staff=manager, reason="zqA_typed_reason_qz")
        events = {
            str(event.event_id): event
            for event in RealtimeEvent.objects.filter(pk__gt=since, stream__in=[ROOMS, BOOKINGS])
        }
        received = {channel: [] for channel in channels}
        while sum(map(len, received.values())) < 2 * len(events):
            channel, name, data = client.next()
            envelope = json.loads(data)
            assert name == envelope["type"]
            if envelope["meta"]["event_id"] in events:
                received[channel].append(data)
    for stream in (ROOMS, BOOKINGS):
        private, public = received[f"private-{slug}.{stream}"], received[f"{slug}.{stream}"]
        assert [json.loads(data)["meta"] for data in public] == [json.loads(data)["meta"] for data in private]
        assert [marks_in(data) for data in public] == [set()] * len(private)
        assert marks_in("".join(private))
    until(lambda: all(event_id in caplog.text for event_id in events))  # the relay logs it after sending
    assert marks_in(caplog.text) == set()


@pytest.mark.django_db(transaction=True)
def test_failure_log_has_no_names(relay_to, unused_port, with_public_channels, caplog):
    caplog.set_level(logging.INFO)
    with clock.set_to(NOW):
        hotels = open_marked_hotels()
        booking = with_marks(booking_in("CONFIRMED", assigned_room=hotels.small_hotel.rooms[0]), "A")
        check_in(booking=booking, staff=hotels.manager)
    relay_to(unused_port)
    until(lambda: "WARNING  notifications.relay" in caplog.text)
    assert marks_in(caplog.text) == set()
