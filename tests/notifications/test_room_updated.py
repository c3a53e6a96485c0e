"""``room_updated``: the envelope, the snapshot, and its size limit."""

import json
from datetime import UTC, datetime

import pytest
from django.db import transaction

from common import clock
from housekeeping.models import Source
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from notifications import notification_manager
from notifications.models import RealtimeEvent
from rooms.selectors import room_list
from rooms.snapshots import room_snapshot
from tests.factories import RoomTypeFactory, check_out, room_in

pytestmark = pytest.mark.django_db


def latest() -> dict:
    return RealtimeEvent.objects.latest("pk").envelope


def test_envelope(hotel, housekeeper):
    room_type = RoomTypeFactory(hotel=hotel, name="Standard", starting_price_from="95.00")
    room = room_in("CHECKOUT_DIRTY", hotel=hotel, room_number=101, room_type=room_type)
    housekeeper.user.first_name, housekeeper.user.last_name = "Maeve", "Byrne"
    with clock.set_to(datetime(2026, 7, 1, 9, 12, 45, 120000, tzinfo=UTC)):
        set_room_status(room=room, to_status="CLEANED_UNINSPECTED", staff=housekeeper, note="towels")
    stored = RealtimeEvent.objects.latest("pk")
    assert stored.envelope == {
        "category": "rooms",
        "type": "room_updated",
        "payload": {
            "id": room.pk,
            "hotel_slug": "grand",
            "room_number": 101,
            "room_type": room_type.pk,
            "room_type_name": "Standard",
            "room_type_info": {
                "id": room_type.pk,
                "name": "Standard",
                "capacity": 2,
                "max_occupancy": 2,
                "base_rate": "95.00",
                "starting_price_from": "95.00",
            },
            "current_price": {"amount": "95.00", "currency": "EUR"},
            "floor": "1",
            "building": "",
            "section": "",
            "features": [],
            "is_accessible": False,
            "connecting_rooms": [],
            "walking_order": None,
            "credits": "1.00",
            "room_status": "CLEANED_UNINSPECTED",
            "room_status_display": "Cleaned uninspected",
            "is_occupied": False,
            "is_active": True,
            "is_bookable": False,
            "is_out_of_order": False,
            "maintenance_required": False,
            "maintenance_priority": None,
            "maintenance_notes": "",
            "last_cleaned_at": "2026-07-01T09:12:45.120000Z",
            "cleaned_by_staff": "Maeve Byrne",
            "cleaned_by_staff_name": "Maeve Byrne",
            "last_inspected_at": None,
            "inspected_by_staff": None,
            "inspected_by_staff_name": None,
            "turnover_notes": "towels",
            "status_version": 2,
            "status_changed_at": "2026-07-01T09:12:45.120000Z",
            "allowed_transitions": [
                "READY_FOR_GUEST",
                "CLEANING_IN_PROGRESS",
                "CHECKOUT_DIRTY",
                "MAINTENANCE_REQUIRED",
            ],
            "updated_at": "2026-07-01T09:12:45.120000Z",
            "block": None,
            "next_block": None,
            "primary_guest": None,
            "companions": [],
            "guests_in_room": [],
            "current_booking": None,
            "changed_fields": [
                "room_status",
                "status_version",
                "status_changed_at",
                "last_cleaned_at",
                "cleaned_by_staff",
                "turnover_notes",
                "updated_at",
            ],
            "source": "HOUSEKEEPING",
            "from_status": "CHECKOUT_DIRTY",
            "to_status": "CLEANED_UNINSPECTED",
            "changed_by_name": "Maeve Byrne",
        },
        "meta": {
            "hotel_slug": "grand",
            "event_id": str(stored.event_id),
            "ts": "2026-07-01T09:12:45.120000Z",
            "scope": {"room_number": 101},
        },
    }


def test_payload_equals_the_rest_snapshot(hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=housekeeper)
    snapshot = room_snapshot(room_list(hotel).get(pk=room.pk))
    payload = latest()["payload"]
    assert {name: payload[name] for name in snapshot} == snapshot


def test_payload_has_no_guests_and_clears_them_after_departure(hotel, housekeeper):
    room = room_in("OCCUPIED", hotel=hotel)
    occupied = latest()["payload"]
    assert occupied["is_occupied"] is True
    assert not {"primary_guest", "companions", "guests_in_room", "current_booking"} & set(occupied)
    assert "Lovelace" not in json.dumps(latest())
    check_out(room.bookings.get())
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    left = latest()["payload"]
    assert (left["primary_guest"], left["companions"], left["guests_in_room"], left["current_booking"]) == (
        None,
        [],
        [],
        None,
    )


@pytest.mark.parametrize("character", ["a", "é", "😀", '"', "a\n", "\x01"])
def test_long_notes_are_cut_so_that_it_fits(character, hotel, housekeeper):
    room = room_in("MAINTENANCE_REQUIRED", hotel=hotel)
    for _ in range(8):
        flag_maintenance(room=room, staff=housekeeper, note=(character * 2000)[:1999] + ".")
    encoded = notification_manager.encoded(latest()).encode()
    assert len(encoded) <= 10_000
    assert latest()["payload"]["maintenance_notes"].endswith(notification_manager.CUT_MARK)
    room.refresh_from_db()
    assert room.maintenance_notes.count(".") == 8


def test_ordinary_note_is_not_cut(hotel, housekeeper):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    flag_maintenance(room=room, staff=housekeeper, note="ö" * 1500)
    assert latest()["payload"]["maintenance_notes"] == "ö" * 1500


def test_rolled_back_change_publishes_nothing(hotel, housekeeper, django_capture_on_commit_callbacks):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    before = RealtimeEvent.objects.count()
    with django_capture_on_commit_callbacks() as callbacks, pytest.raises(ZeroDivisionError), transaction.atomic():
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=housekeeper)
        raise ZeroDivisionError
    assert RealtimeEvent.objects.count() == before
    assert callbacks == []
