"""Builds every realtime event and stores it in the caller's transaction; the relay sends it after the commit."""

import json
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from common import clock, prepared
from common.formats import iso
from hotel.models import Hotel, Staff
from notifications import wakeup
from notifications.models import BOOKINGS, GUESTS, ROOMS, RealtimeEvent
from notifications.public_channels import BOOKINGS_IN_PUBLIC, ROOMS_IN_PUBLIC
from room_bookings.models import RoomBooking
from room_bookings.snapshots import booking_row
from rooms.models import Room
from rooms.snapshots import NOBODY, is_occupied, room_snapshot

# The streams with a public channel, if the settings enable them; never the guests'.
IN_PUBLIC = {ROOMS: ROOMS_IN_PUBLIC, BOOKINGS: BOOKINGS_IN_PUBLIC}
PRIVATE = "private-"
# Pusher accepts 10,240 bytes; the seq that the relay adds takes a few.
LARGEST_ENVELOPE = 10_000
CUT_MARK = " … [cut]"
CUTTABLE = ("maintenance_notes", "turnover_notes", "reason")


class RoomUpdate(NamedTuple):
    """A room's current state, and what has just changed."""

    room: Room
    changed_fields: Sequence[str]
    source: str
    from_status: str
    staff: Staff | None


class RoomEvent(NamedTuple):
    """An event about a room on the rooms channel."""

    room: Room
    type: str
    payload: dict[str, Any]


class BookingUpdate(NamedTuple):
    """A booking's current state, and the event types for staff (``type``) and the guest (``guest_type``, if any)."""

    booking: RoomBooking
    type: str
    guest_type: str = ""
    reason: str = ""


def realtime_room_updated(
    room: Room, *, changed_fields: Sequence[str], source: str, from_status: str, staff: Staff | None
) -> None:
    """Publish ``room_updated`` on the hotel's rooms channel."""
    realtime_rooms_updated([RoomUpdate(room, changed_fields, source, from_status, staff)])


def realtime_rooms_updated(updates: Sequence[RoomUpdate]) -> None:
    """Publish ``room_updated`` for many rooms, in one statement."""
    prepared.write(rooms_updated(updates))


def rooms_updated(updates: Sequence[RoomUpdate], others: Sequence[RoomEvent] = ()) -> prepared.Insert:
    """What ``realtime_rooms_updated`` writes after ``others``, for a caller that writes it together with the change."""
    return _publication(
        [_rooms_event(event.type, event.room, event.payload) for event in others]
        + [_rooms_event("room_updated", update.room, _room_updated(update)) for update in updates]
    )


def _room_updated(update: RoomUpdate) -> dict[str, Any]:
    return {
        **_without_departed(update.room),
        "changed_fields": list(update.changed_fields),
        "source": str(update.source),
        "from_status": str(update.from_status),
        "to_status": str(update.room.room_status),
        "changed_by_name": update.staff.name if update.staff else None,
    }


def realtime_booking_updated(
    booking: RoomBooking, event_type: str, *, guest_type: str = "", reason: str = "", rooms: Sequence[Room] = ()
) -> None:
    """Publish a booking action to staff, and to the guest if ``guest_type`` is given."""
    realtime_bookings_updated([BookingUpdate(booking, event_type, guest_type, reason)], rooms=rooms)


def realtime_bookings_updated(updates: Sequence[BookingUpdate], *, rooms: Sequence[Room] = ()) -> None:
    """Publish booking actions, in one statement.

    First ``room_occupancy_updated`` for ``rooms``, whose occupancy has just changed, then the bookings' events for
    staff, then those for guests. Bookings come from ``room_bookings.selectors.booking_list``.
    """
    prepared.write(
        _publication(
            [_rooms_event("room_occupancy_updated", room, _without_departed(room)) for room in rooms]
            + [_booking_event(update) for update in updates]
            + [_guest_event(update) for update in updates if update.guest_type]
        )
    )


def _without_departed(room: Room) -> dict[str, Any]:
    return room_snapshot(room) if is_occupied(room) else room_snapshot(room) | NOBODY


def _booking_event(update: BookingUpdate) -> RealtimeEvent:
    booking = update.booking
    scope = {"booking_id": booking.booking_id}
    return _event(booking.hotel, BOOKINGS, "room_booking", update.type, booking_row(booking), scope)


def _guest_event(update: BookingUpdate) -> RealtimeEvent:
    booking = update.booking
    payload = {
        "booking_id": booking.booking_id,
        "status": str(booking.status),
        "changed_at": iso(clock.now()),
        "reason": update.reason,
        "room_number": booking.assigned_room.room_number if booking.assigned_room else None,
        "hotel_name": booking.hotel.name,
        "hotel_phone": booking.hotel.phone,
    }
    scope = {"booking_id": booking.booking_id}
    return _event(booking.hotel, GUESTS, "room_booking", update.guest_type, payload, scope, guest_channel(booking))


def guest_channel(booking: RoomBooking) -> str:
    """The private channel of a booking's guest."""
    return f"{PRIVATE}guest-booking.{booking.booking_id}"


def _rooms_event(event_type: str, room: Room, payload: dict[str, Any]) -> RealtimeEvent:
    return _event(room.hotel, ROOMS, "rooms", event_type, payload, {"room_number": room.room_number})


def staff_channel(hotel_slug: str, stream: str) -> str:
    """The private channel of a staff stream of the hotel."""
    return f"{PRIVATE}{hotel_slug}.{stream}"


def _event(
    hotel: Hotel,
    stream: str,
    category: str,
    event_type: str,
    payload: dict[str, Any],
    scope: dict[str, Any],
    channel: str = "",
) -> RealtimeEvent:
    """The event as it will be sent, except for the seq assigned after the commit."""
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
        channel=channel or staff_channel(hotel.slug, stream),
        type=event_type,
        envelope=_fitted(envelope),
        created_at=moment,
    )


def _fitted(envelope: dict[str, Any]) -> dict[str, Any]:
    """The envelope with long notes cut, and as a last resort any text, if it would exceed Pusher's limit.

    A name consisting of control characters takes six bytes per character in JSON, and a room's payload has five names.
    """
    payload = envelope["payload"]
    for fields, limit in (*((CUTTABLE, limit) for limit in (4000, 2000, 1000, 300, 0)), (tuple(payload), 100)):
        if len(encoded(envelope).encode()) <= LARGEST_ENVELOPE:
            break
        for field in fields:
            if isinstance(payload.get(field), str):
                payload[field] = _cut(payload[field], limit)
    return envelope


def _cut(text: str, limit: int) -> str:
    as_bytes = text.encode()
    return text if len(as_bytes) <= limit else as_bytes[:limit].decode(errors="ignore") + CUT_MARK


def encoded(envelope: dict[str, Any]) -> str:
    """The JSON that goes to Pusher. Raises for values that JSON cannot represent, such as NaN."""
    return json.dumps(envelope, cls=DjangoJSONEncoder, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def envelope_of(event: RealtimeEvent) -> dict[str, Any]:
    """The event as clients receive it, with its ``seq``: null on the guests' stream, where it would have gaps."""
    seq = None if event.stream == GUESTS else event.seq
    return {**event.envelope, "meta": {**event.envelope["meta"], "seq": seq}}


def messages(event: RealtimeEvent) -> list[dict[str, str]]:
    """The event's messages for Pusher's API, one per channel, the private channel first.

    With ``REALTIME_PUBLIC_CHANNELS`` a staff event also has a public version, built here from the stored event. The
    Pusher event name is the envelope's type.
    """
    envelope = envelope_of(event)
    sent = [_message(event.channel, envelope)]
    if settings.REALTIME_PUBLIC_CHANNELS and event.stream in IN_PUBLIC:
        twin = IN_PUBLIC[event.stream].twin(envelope)
        if twin is not None:
            sent.append(_message(event.channel.removeprefix(PRIVATE), twin))
    return sent


def _message(channel: str, envelope: dict[str, Any]) -> dict[str, str]:
    return {"channel": channel, "name": envelope["type"], "data": encoded(envelope)}


def _publication(events: Sequence[RealtimeEvent]) -> prepared.Insert:
    """The events, to be stored in this transaction; a relay is woken after its commit."""
    if events:
        # Robust: the change is already committed, and a relay that was not woken finds the event when it polls.
        transaction.on_commit(lambda: wakeup.wake(), robust=True)
    return prepared.Insert(events)
