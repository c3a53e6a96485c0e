"""The one way an event leaves the house: built and stored in the transaction, sent by the relay after the commit."""

import json
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from common import clock
from common.formats import iso
from hotel.models import Hotel, Staff
from housekeeping.snapshots import NOBODY, is_occupied, room_snapshot
from notifications import wakeup
from notifications.models import RealtimeEvent
from rooms.models import Room

ROOMS, BOOKINGS = "rooms", "room-bookings"
# Pusher takes 10,240 bytes; the seq that the relay adds needs a few.
LARGEST_ENVELOPE = 10_000
CUT_MARK = " … [cut]"
CUTTABLE = ("maintenance_notes", "turnover_notes")


class RoomUpdate(NamedTuple):
    """A room as it is now, and what has just changed about it."""

    room: Room
    changed_fields: Sequence[str]
    source: str
    from_status: str
    staff: Staff | None


def realtime_room_updated(
    room: Room, *, changed_fields: Sequence[str], source: str, from_status: str, staff: Staff | None
) -> None:
    """Tell the house that a room changed: ``room_updated`` on the hotel's rooms channel."""
    realtime_rooms_updated([RoomUpdate(room, changed_fields, source, from_status, staff)])


def realtime_rooms_updated(updates: Sequence[RoomUpdate]) -> None:
    """``room_updated`` for many rooms, in one statement."""
    _store([_rooms_event("room_updated", update.room, _room_updated(update)) for update in updates])


def _room_updated(update: RoomUpdate) -> dict[str, Any]:
    payload = {
        **room_snapshot(update.room),
        "changed_fields": list(update.changed_fields),
        "source": str(update.source),
        "from_status": str(update.from_status),
        "to_status": str(update.room.room_status),
        "changed_by_name": update.staff.name if update.staff else None,
    }
    return payload if is_occupied(update.room) else payload | NOBODY


def _rooms_event(event_type: str, room: Room, payload: dict[str, Any]) -> RealtimeEvent:
    return _event(room.hotel, ROOMS, "rooms", event_type, payload, {"room_number": room.room_number})


def staff_channel(hotel_slug: str, stream: str) -> str:
    """The private channel of one of the hotel's staff streams."""
    return f"private-{hotel_slug}.{stream}"


def _event(
    hotel: Hotel, stream: str, category: str, event_type: str, payload: dict[str, Any], scope: dict[str, Any]
) -> RealtimeEvent:
    """The event as it will be sent, but for the seq that it gets after the commit."""
    event_id, moment = uuid.uuid4(), clock.now()
    envelope = {
        "category": category,
        "type": event_type,
        "payload": payload,
        "meta": {"hotel_slug": hotel.slug, "event_id": str(event_id), "ts": iso(moment), "scope": scope},
    }
    return RealtimeEvent(
        event_id=event_id,
        hotel=hotel,
        stream=stream,
        channel=staff_channel(hotel.slug, stream),
        type=event_type,
        envelope=_fitted(envelope),
        created_at=moment,
    )


def _fitted(envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope with its long notes cut, where it would exceed what Pusher takes."""
    for limit in (4000, 2000, 1000, 300, 0):
        if len(encoded(envelope).encode()) <= LARGEST_ENVELOPE:
            break
        for field in CUTTABLE:
            envelope["payload"][field] = _cut(envelope["payload"].get(field) or "", limit)
    return envelope


def _cut(text: str, limit: int) -> str:
    as_bytes = text.encode()
    return text if len(as_bytes) <= limit else as_bytes[:limit].decode(errors="ignore") + CUT_MARK


def encoded(envelope: dict[str, Any]) -> str:
    """The JSON that goes to Pusher."""
    return json.dumps(envelope, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":"))


def _store(events: Sequence[RealtimeEvent]) -> None:
    if not events:
        return
    RealtimeEvent.objects.bulk_create(events)
    # Robust: the change is committed, and a relay that nobody woke finds the event by its poll.
    transaction.on_commit(lambda: wakeup.wake(), robust=True)
