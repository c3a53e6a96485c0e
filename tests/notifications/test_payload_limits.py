"""Every message fits Pusher's limits: 10,240 bytes of data, 200 characters in channel and event names."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import CharField, Model

from common import clock
from hotel.models import Hotel, Staff
from hotel.rights import HOTEL_MANAGER
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from notifications import notification_manager
from notifications.models import RealtimeEvent
from notifications.notification_manager import CUT_MARK
from room_bookings.models import RoomBooking
from room_bookings.services.approval import decline_booking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out
from room_bookings.services.edit import set_companions
from room_bookings.services.room_move import move_room
from rooms.models import Room, RoomType
from tests.factories import NewRoomFactory, StaffFactory, booking_in
from tests.room_bookings.small_hotel import NOW, SmallHotel, last_event, open_small_hotel

pytestmark = pytest.mark.django_db

DATA, NAME = 10_240, 200  # Pusher's limits: bytes of data, characters of a channel or event name
LAST_SEQ = 2**63 - 1
LEGAL_CHANNEL = re.compile(r"[A-Za-z0-9_\-=@,.;]+")  # Pusher's documentation
# Characters of one to four bytes, of two and six in JSON, and of several code points.
CHARACTERS = ["a", "愛", "😀", '"', "\x01", "👩‍👩‍👧‍👦"]
# E-mail addresses, numbers and choices are not free text.
NOT_FREE = {"slug", "timezone", "booking_id", "room_status", "maintenance_priority", "status", "currency"}


def filled(instance: Model, character: str) -> dict[str, str]:
    """The row with every free text as long as its column allows."""
    return {
        field.name: (character * field.max_length)[: field.max_length]
        for field in instance._meta.get_fields()
        if isinstance(field, CharField) and field.max_length and not field.choices and field.name not in NOT_FREE
    }


def largest_hotel(character: str) -> SmallHotel:
    """A hotel in which every name and number is as long as possible."""
    small_hotel = open_small_hotel(slug="s" * 60)
    Hotel.objects.filter(pk=small_hotel.hotel.pk).update(**filled(small_hotel.hotel, character))
    RoomType.objects.filter(pk=small_hotel.room_type.pk).update(
        **filled(small_hotel.room_type, character), starting_price_from="99999999.99", max_occupancy=32767
    )
    name = (character * 150)[:150]
    member = StaffFactory(hotel=small_hotel.hotel, role=HOTEL_MANAGER, user__first_name=name, user__last_name=name)
    for room, number in zip(small_hotel.rooms, (2**31 - 2, 2**31 - 1), strict=True):
        Room.objects.filter(pk=room.pk).update(room_number=number)
    small_hotel.manager = Staff.objects.get(pk=member.pk)
    return small_hotel


def largest_booking(small_hotel: SmallHotel, character: str) -> RoomBooking:
    """A booking in which every text is as long, and every number as large, as possible."""
    booking = booking_in("CONFIRMED", assigned_room=small_hotel.rooms[0], booking_id=f"BK-2026-{'9' * 16}")
    texts = filled(booking, character) | {"special_requests": character * 10_000, "internal_notes": character * 2000}
    del texts["payment_reference"], texts["guest_token_hash"], texts["auto_expire_reason_code"]
    RoomBooking.objects.filter(pk=booking.pk).update(
        **texts, booker_type="THIRD_PARTY", total_amount="9999999999.99", adults=32767
    )
    name = (character * 100)[:100]
    set_companions(booking=booking, companions=[{"first_name": name, "last_name": name}] * 50)
    return booking


def run_all_actions(small_hotel: SmallHotel, character: str) -> None:
    """Take one room and one booking through every action that publishes, with notes as long as the API allows."""
    note, staff = (character * 2000)[:1999] + ".", small_hotel.manager
    room = small_hotel.rooms[0]
    booking = largest_booking(small_hotel, character)
    decline_booking(
        booking=booking_in("PENDING_APPROVAL", hotel=small_hotel.hotel, room_type=small_hotel.room_type),
        staff=staff,
        reason_note=note,
    )
    for to_status in ("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST"):
        set_room_status(room=room, to_status=to_status, staff=staff, note=note)
    check_in(booking=booking, staff=staff)
    for _ in range(8):
        flag_maintenance(room=room, staff=staff, note=note)
    # Notes that have grown to a hundred thousand characters.
    Room.objects.filter(pk=room.pk).update(maintenance_notes=character * 100_000, turnover_notes=character * 100_000)
    flag_maintenance(room=room, staff=staff, note=note)
    move_room(booking=booking, to_room_id=small_hotel.rooms[1].pk, staff=staff, reason=note, notes=note)
    check_out(booking=booking, staff=staff)
    ended = booking_in(
        "IN_HOUSE", assigned_room=NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    )
    cancel_booking(booking=ended, staff=staff, reason=note)


@pytest.fixture
def small_hotel(db: None) -> Iterator[SmallHotel]:
    """A small hotel, with a hotel manager."""
    with clock.set_to(NOW):
        small_hotel = open_small_hotel()
        small_hotel.manager = StaffFactory(hotel=small_hotel.hotel, role=HOTEL_MANAGER)
        yield small_hotel


def as_sent() -> list[dict[str, str]]:
    """Every message, each with the largest number."""
    found = []
    for event in RealtimeEvent.objects.order_by("pk"):
        event.seq = LAST_SEQ
        found += notification_manager.messages(event)
    return found


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
def test_largest_hotel_fits(character, db, settings):
    settings.REALTIME_PUBLIC_CHANNELS = True  # each staff event on its private channel, and its public twin
    with clock.set_to(NOW.replace(microsecond=999_999)):
        run_all_actions(largest_hotel(character), character)
    messages = as_sent()
    kinds = {message["name"] for message in messages}
    assert {"room_updated", "room_occupancy_updated", "booking_checked_in", "booking_declined"} <= kinds
    for message in messages:
        assert len(message["data"].encode()) <= DATA, (message["name"], len(message["data"].encode()))
        assert len(message["channel"]) <= NAME
        assert LEGAL_CHANNEL.fullmatch(message["channel"])
        assert len(message["name"]) <= NAME
        envelope = json.loads(message["data"])
        staff = envelope["category"] == "rooms" or "guest_name" in envelope["payload"]
        assert envelope["meta"]["seq"] == (LAST_SEQ if staff else None)


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
def test_cut_fields_are_marked_and_others_unchanged(character, db):
    with clock.set_to(NOW):
        small_hotel = largest_hotel(character)
        run_all_actions(small_hotel, character)
        room = small_hotel.rooms[0]
        since = last_event()
        Room.objects.filter(pk=room.pk).update(is_active=False)
        before = Room.objects.get(pk=room.pk)
        flag_maintenance(room=room, staff=small_hotel.manager, note="another")
    payload = RealtimeEvent.objects.get(pk__gt=since).envelope["payload"]
    notes = payload["maintenance_notes"]
    assert notes.endswith(CUT_MARK)
    whole = f"{before.maintenance_notes}\nanother"
    assert whole.startswith(notes.removesuffix(CUT_MARK))
    assert Room.objects.get(pk=room.pk).maintenance_notes == whole
    assert (payload["room_number"], payload["room_status"]) == (2**31 - 2, "MAINTENANCE_REQUIRED")
    assert payload["room_type_info"]["name"] == (character * 100)[:100]


# As large as an ordinary hotel needs.
@pytest.mark.parametrize("character", ["a", "é", "😀"])
def test_payload_that_fits_is_not_cut(character, small_hotel):
    room, note = small_hotel.rooms[0], character * 1500
    booking = booking_in("CONFIRMED", assigned_room=room, primary_first_name=character * 100)
    flag_maintenance(room=room, staff=small_hotel.manager, note=note)
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", staff=small_hotel.manager)
    cancel_booking(booking=booking, staff=small_hotel.agent, reason=note)
    texts = [message["data"] for message in as_sent()]
    assert len(texts) == 4
    assert CUT_MARK not in "".join(texts)
    payloads = [json.loads(text)["payload"] for text in texts]
    assert [payload.get("maintenance_notes") for payload in payloads[:2]] == [note, note]
    assert payloads[2]["guest_name"] == f"{character * 100} Lovelace"
    assert payloads[3]["reason"] == note


@pytest.mark.parametrize("notes", [4000, 8000, 9000])
def test_payload_at_the_limit_is_not_cut(notes, small_hotel):
    """One byte more than the limit, and something is cut."""
    room = small_hotel.rooms[0]

    def cut_payload(length: int) -> dict[str, Any]:
        Room.objects.filter(pk=room.pk).update(turnover_notes="x" * length)
        flag_maintenance(room=room, staff=small_hotel.manager, note=f"{length}")
        return RealtimeEvent.objects.latest("pk").envelope

    flag_maintenance(room=room, staff=small_hotel.manager, note="shower drips")
    empty = len(notification_manager.encoded(cut_payload(0)).encode())
    # "4000\n" and similar prefixes also lengthen the other note, so measure instead of computing.
    envelope = cut_payload(notes - empty)
    assert envelope["payload"]["turnover_notes"] == "x" * (notes - empty)
    longer = cut_payload(notification_manager.LARGEST_ENVELOPE)
    assert longer["payload"]["turnover_notes"].endswith(CUT_MARK)
    assert len(notification_manager.encoded(longer).encode()) <= notification_manager.LARGEST_ENVELOPE
