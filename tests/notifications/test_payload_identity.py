"""An event's payload equals the next GET of the room or booking, in keys, values and types, after every operation.

Nothing changes in a client's reads without an event, except as listed here.
"""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from notifications import notification_manager
from notifications.mail import mail_list, mail_row
from notifications.models import BOOKINGS, GUESTS, ROOMS, RealtimeEvent
from room_bookings.models import DRAFT_STATUSES
from room_bookings.selectors import booking_list
from room_bookings.snapshots import booking_detail
from rooms.selectors import room_list
from rooms.snapshots import room_snapshot
from tests.conftest import token_client
from tests.http import nothing_written, rolled_back
from tests.notifications.every_operation import call, endpoint_of, sent
from tests.notifications.test_operation_table import EXPECTED, PUBLISHING
from tests.room_bookings.small_hotel import last_event

pytestmark = pytest.mark.django_db

CHANGE_FIELDS = {"changed_fields", "source", "from_status", "to_status", "changed_by_name"}
BLOCK_FIELDS = {"id", "room_id", "room_number", "kind", "reason", "from", "to", "status", "return_status"}
NOBODY = {"primary_guest": None, "companions": [], "guests_in_room": [], "current_booking": None}


def is_block(event: RealtimeEvent) -> bool:
    """Whether the event is about a block of a room, and not about the room itself."""
    return event.type.startswith("room_block_")


def as_received(since: int) -> dict[tuple[str, Any, str], dict[str, Any]]:
    """The newest payload of each booking, and of each room by event type, as a subscriber parses it."""
    received: dict[tuple[str, Any, str], dict[str, Any]] = {}
    for event in RealtimeEvent.objects.filter(pk__gt=since).exclude(stream=GUESTS).order_by("pk"):
        envelope = json.loads(notification_manager.messages(event)[0]["data"])
        payload = envelope["payload"]
        if envelope["type"] == "room_updated":
            assert payload.keys() >= CHANGE_FIELDS
            assert payload["to_status"] == payload["room_status"]
            payload = {name: value for name, value in payload.items() if name not in CHANGE_FIELDS}
        if event.stream == ROOMS:
            subject = payload["id"] if is_block(event) else payload["room_number"]
            received[ROOMS, subject, event.type] = payload
        else:
            received[BOOKINGS, payload["booking_id"], ""] = payload
    return received


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; ``1``, ``1.0`` and ``true`` differ."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def test_each_event_equals_the_next_read(work, targets, hotel, housekeeper, agent):
    rooms_screen, desk_screen = token_client(housekeeper), token_client(agent)
    base = f"/api/staff/hotel/{hotel.slug}"
    compared = 0
    for name in PUBLISHING:
        with rolled_back():
            since = last_event()
            work[name]()
            received = as_received(since)
            rows = desk_screen.get(f"{base}/room-bookings/?include_counts=0&page_size=100").json()["results"]
            bookings = {row["booking_id"]: row for row in rows}
            for (stream, subject, kind), payload in received.items():
                if kind.startswith("room_block_"):
                    block = rooms_screen.get(f"{base}/room-blocks/{subject}/").json()
                    shown = {key: value for key, value in block.items() if key in BLOCK_FIELDS}
                elif stream == ROOMS:
                    shown = rooms_screen.get(f"{base}/room-management/{subject}/").json()
                    shown = shown if shown["is_occupied"] else shown | NOBODY
                else:
                    shown = bookings[subject]
                assert payload.keys() == shown.keys(), (name, stream, kind)
                different = {key: (payload[key], shown[key]) for key in shown if not same(payload[key], shown[key])}
                assert different == {}, (name, stream, subject, kind)
                compared += 1
    assert compared > len(PUBLISHING)


# --- no change without an event ---------------------------------------------------------------------------------------


def client_reads(targets: SimpleNamespace) -> dict[tuple[str, Any], dict[str, Any]]:
    """All that clients read: every room, and every booking in the list with its detail and mails."""
    rooms = {(ROOMS, room.pk): room_snapshot(room) for room in room_list(targets.hotel)}
    bookings = booking_list(targets.hotel).exclude(status__in=DRAFT_STATUSES)
    mails: dict[int, list[Any]] = {}
    for mail in mail_list().filter(hotel=targets.hotel):
        mails.setdefault(mail.booking_id, []).append(mail_row(mail))
    return rooms | {
        # The room is read above.
        (BOOKINGS, booking.booking_id): booking_detail(booking) | {"room": None, "mails": mails.get(booking.pk)}
        for booking in bookings
    }


def changed(before: dict[Any, Any], after: dict[Any, Any]) -> set[tuple[str, Any]]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def subject_of(event: RealtimeEvent) -> str:
    """The field that names the room or booking."""
    return "booking_id" if event.stream != ROOMS else "room_id" if is_block(event) else "id"


def published_for(since: int) -> set[tuple[str, Any]]:
    return {
        (event.stream, event.envelope["payload"][subject_of(event)])
        for event in RealtimeEvent.objects.filter(pk__gt=since).exclude(stream=GUESTS)
    }


# By operation, the rows that change without an event (docs/realtime.md): clients see them at the next read.
CHANGES_WITHOUT_EVENT = {
    "access config, checkout time": {BOOKINGS},  # deadlines
    "POST room-management/": {ROOMS},
    "DELETE room-management/<number:room>/": {ROOMS},
    "POST room-types/<int:pk>/rooms/bulk-create/": {ROOMS},
    "PATCH room-types/<int:pk>/": {ROOMS},
    "room, another number": {BOOKINGS},  # of the bookings assigned to the room
    "admin: add a room": {ROOMS},
    "admin: delete a room": {ROOMS},
    "admin: change a room type": {ROOMS, BOOKINGS},
}


def test_changed_reads_have_events_and_others_have_none(work, targets):
    before, unpublished = client_reads(targets), {}
    for name, operation in work.items():
        with rolled_back():
            since = last_event()
            operation()
            changed_reads, published = changed(before, client_reads(targets)), published_for(since)
        assert published <= changed_reads, (name, published - changed_reads)
        if changed_reads - published:
            unpublished[name] = {stream for stream, _ in changed_reads - published}
    assert unpublished == CHANGES_WITHOUT_EVENT


TRIED_BOOKINGS = [
    "arrival",
    "late",
    "request",
    "cancelled",
    "overdue",
    "roomless",
    "dripping",
    "missed",
    "gone",
    "lapsed",
]
TRIED_ROOMS = ["dirty", "cleaned", "ready", "broken", "unused", "due", "left", "faulty", "turned"]


def attempts() -> list[tuple[str, str]]:
    """Every writing endpoint of one booking or room, on every booking or room."""
    found = []
    for name in EXPECTED:
        if name.split()[0] not in ("POST", "PATCH", "PUT"):
            continue
        if "<str:bid>" in name:
            found += [(name, target) for target in TRIED_BOOKINGS]
        elif "<number:rno>" in name:
            found += [(name, f"{target}_no") for target in TRIED_ROOMS]
        elif "<int:rid>" in name:
            found += [(name, target) for target in TRIED_ROOMS]
    return found


def test_every_endpoint_publishes_exactly_its_changes(targets, manager):
    """In every state: a change publishes, a refusal publishes nothing."""
    client, before = token_client(manager), client_reads(targets)
    done = refused = 0
    for name, target in attempts():
        with rolled_back():
            since = last_event()
            answer = call(endpoint_of(name, target, endpoint_of(name).body), client, targets)
            if answer.status_code < 400:
                assert changed(before, client_reads(targets)) == published_for(since), (name, target)
                done += 1
            else:
                assert sent(targets, since) == "", (name, target)
                refused += 1
    assert done > 80
    assert refused > 80


def test_stale_version_publishes_nothing(targets, manager):
    client = token_client(manager)
    for name, target in attempts():
        if name.startswith("PATCH") or name.endswith("/status/"):
            with nothing_written():
                endpoint = endpoint_of(name, target, endpoint_of(name).body)
                answer = endpoint.call(client, targets.hotel.slug, targets, HTTP_IF_MATCH='"9999"')
            assert answer.status_code == 412, (name, target)
