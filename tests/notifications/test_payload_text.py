"""Text that cannot be stored is refused; a payload that cannot be encoded rolls back the change."""

import json
from typing import Any

import pytest
from django.db import DataError, transaction

from common import clock
from housekeeping.services import set_room_status
from housekeeping.turnover import complete_maintenance, flag_maintenance
from notifications import notification_manager
from notifications.models import RealtimeEvent
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.edit import edit_booking, set_companions
from room_bookings.services.room_move import move_room
from rooms.services import update_room
from tests.endpoints import BOOKING, Endpoint
from tests.factories import booking_in, room_in
from tests.http import assert_error, nothing_written
from tests.notifications.every_operation import endpoint_of
from tests.room_bookings.small_hotel import NOW

pytestmark = pytest.mark.django_db

NUL, SURROGATE = "a\x00b", "a\ud800b"
STATUS = "housekeeping/rooms/<int:rid>/"
# Every text of a request that an event carries: to staff, or (reasons) to the guest.
SENT = [
    ("POST rooms/<number:rno>/start-cleaning/", "notes"),
    ("POST rooms/<number:rno>/mark-cleaned/", "notes"),
    ("POST rooms/<number:rno>/mark-maintenance/", "notes"),
    ("POST rooms/<number:rno>/complete-maintenance/", "notes"),
    ("POST rooms/<number:rno>/inspect/", "notes"),
    ("POST rooms/<int:rid>/status/", "note"),
    (f"POST {STATUS}status/", "note"),
    (f"POST {STATUS}manager_override/", "note"),
    ("POST room-types/", "name"),
    ("PATCH room-types/<int:pk>/", "name"),
    ("PATCH room-types/<int:pk>/", "currency"),
    ("POST room-bookings/", "primary_first_name"),
    ("POST room-bookings/", "primary_last_name"),
    ("POST room-bookings/", "primary_email"),
    ("POST room-bookings/", "primary_phone"),
    ("POST room-bookings/", "currency"),
    ("POST room-bookings/", "special_requests"),
    (f"PATCH {BOOKING}", "primary_first_name"),
    (f"PATCH {BOOKING}", "primary_last_name"),
    (f"PATCH {BOOKING}", "primary_email"),
    (f"PATCH {BOOKING}", "primary_phone"),
    (f"PATCH {BOOKING}", "internal_notes"),
    (f"POST {BOOKING}decline/", "reason_note"),
    (f"POST {BOOKING}decline/", "reason_code"),
    (f"POST {BOOKING}cancel/", "reason"),
    (f"POST {BOOKING}no-show/", "reason"),
    (f"POST {BOOKING}reinstate/", "reason"),
    (f"POST {BOOKING}undo-check-in/", "reason"),
    (f"POST {BOOKING}undo-check-out/", "reason"),
    (f"POST {BOOKING}safe-assign-room/", "notes"),
    (f"POST {BOOKING}check-in/", "override_reason"),
    (f"POST {BOOKING}move-room/", "reason"),
    (f"POST {BOOKING}move-room/", "notes"),
    (f"POST {BOOKING}overstay/acknowledge/", "note"),
]


@pytest.mark.parametrize("text", [NUL, SURROGATE], ids=["NUL", "lone surrogate"])
def test_unstorable_text_is_400_and_names_the_field(api, manager, targets, text):
    client = api(manager)
    with nothing_written():
        for name, field in SENT:
            known = endpoint_of(name)
            endpoint = Endpoint(
                known.method, known.route, known.roles, known.target, {**(known.body or {}), field: text}
            )
            answer = endpoint.call(client, targets.hotel.slug, targets)
            assert field in assert_error(answer, 400, "VALIDATION_ERROR")["details"], (name, field)
        companions = endpoint_of(f"PUT {BOOKING}party/companions/")
        for field in ("first_name", "last_name", "email", "phone"):
            person = {"first_name": "Charles", "last_name": "Babbage", field: text}
            endpoint = Endpoint("PUT", companions.route, companions.roles, "arrival", {"companions": [person]})
            assert_error(endpoint.call(client, targets.hotel.slug, targets), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("text", ["\n\t", "\u2028\u2029", "👩‍👩‍👧‍👦", "\ufffe\uffff", '"\\/', "</script>"], ids=ascii)
def test_any_other_text_arrives_unchanged(api, manager, targets, text):
    text = f"x{text}x"
    endpoint = endpoint_of("POST rooms/<number:rno>/mark-maintenance/", "ready_no", {"notes": text})
    assert endpoint.call(api(manager), targets.hotel.slug, targets).status_code == 200
    message = notification_manager.messages(RealtimeEvent.objects.latest("pk"))[0]
    received = json.loads(message["data"].encode().decode())
    assert received["payload"]["maintenance_notes"] == text


# --- services called directly -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [NUL, SURROGATE], ids=["NUL", "lone surrogate"])
def test_service_refuses_unstorable_text_without_a_trace(hotel, manager, text):
    """The admin and commands call services directly; a refusal leaves nothing half done."""
    with clock.set_to(NOW):
        room = room_in("CHECKOUT_DIRTY", hotel=hotel, room_number=101)
        faulty = room_in("CHECKOUT_DIRTY", hotel=hotel, room_number=102, fault=True)
        free = room_in("READY_FOR_GUEST", hotel=hotel, room_number=103)
        booking = booking_in("CONFIRMED", hotel=hotel)
        staying = booking_in("IN_HOUSE", assigned_room=room_in("READY_FOR_GUEST", hotel=hotel, room_number=104))
        person: dict[str, Any] = {"first_name": text, "last_name": "Babbage"}
        attempts = [
            lambda: set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=manager, note=text),
            lambda: flag_maintenance(room=room, staff=manager, note=text),
            lambda: complete_maintenance(room=faulty, staff=manager, note=text),
            lambda: cancel_booking(booking=booking, staff=manager, reason=text),
            lambda: edit_booking(booking=booking, staff=manager, primary_first_name=text),
            lambda: set_companions(booking=booking, companions=[person]),
            lambda: move_room(booking=staying, to_room_id=free.pk, staff=manager, reason=text),
        ]
        with nothing_written():
            for attempt in attempts:
                with pytest.raises((ValueError, DataError)):
                    attempt()


@pytest.mark.parametrize("what", [object(), b"bytes", float("nan"), SURROGATE], ids=["object", "bytes", "NaN", "text"])
def test_payload_that_is_not_json_rolls_back_the_change(hotel, manager, what):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)

    def change() -> None:
        update_room(room=room, staff=manager, is_active=False)
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=manager)
        notification_manager.realtime_room_updated(
            room, changed_fields=[what], source="SYSTEM", from_status="CHECKOUT_DIRTY", staff=manager
        )

    refused_whole(change)


def test_payload_refused_by_the_database_rolls_back_the_change(hotel, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)

    def change() -> None:
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", staff=manager)
        notification_manager.realtime_room_updated(
            room, changed_fields=[NUL], source="SYSTEM", from_status="CHECKOUT_DIRTY", staff=manager
        )

    refused_whole(change)


def refused_whole(change: Any) -> None:
    """Assert that ``change``, in one transaction, raises because of its payload and leaves no trace."""
    with nothing_written(), pytest.raises((TypeError, ValueError, DataError)), transaction.atomic():
        change()
