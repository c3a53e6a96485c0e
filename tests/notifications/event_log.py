"""Makes logs of events: written directly as services and the relay would, or by changing a room."""

from typing import Any

from common import clock
from hotel.models import Hotel
from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications.models import BOOKINGS, GUESTS, ROOMS, EventStream, RealtimeEvent
from notifications.notification_manager import staff_channel
from tests.factories import HotelFactory, NewRoomFactory

CATEGORIES = {ROOMS: "rooms", BOOKINGS: "room_booking", GUESTS: "room_booking"}


def make_events(count: int, hotel: Hotel | None = None) -> list[RealtimeEvent]:
    """``count`` room_updated events of one hotel, published by the service."""
    room = NewRoomFactory(hotel=hotel or HotelFactory())
    for number in range(count):
        to_status = "CHECKOUT_DIRTY" if number % 2 == 0 else "READY_FOR_GUEST"
        set_room_status(room=room, to_status=to_status, source=Source.SYSTEM)
    return list(RealtimeEvent.objects.filter(hotel=room.hotel).order_by("pk"))


def log_of(hotel: Hotel, count: int, *, stream: str = ROOMS, **fields: Any) -> list[RealtimeEvent]:
    """``count`` more events of the stream, numbered on from its last, and sent by default."""
    known, _ = EventStream.objects.get_or_create(hotel=hotel, name=stream)
    fields = {"created_at": clock.now()} | fields
    fields = {"sent_at": fields["created_at"]} | fields
    numbers = range(known.last_seq + 1, known.last_seq + count + 1)
    known.last_seq += count
    known.save()
    return RealtimeEvent.objects.bulk_create(_event(hotel, stream, seq=number, **fields) for number in numbers)


def unnumbered(hotel: Hotel, *, stream: str = ROOMS, **fields: Any) -> RealtimeEvent:
    """One more event of the stream that no relay has numbered yet."""
    event = _event(hotel, stream, **fields)
    event.save()
    return event


def _event(hotel: Hotel, stream: str, **fields: Any) -> RealtimeEvent:
    event = RealtimeEvent(
        hotel=hotel, stream=stream, channel=staff_channel(hotel.slug, stream), type="room_updated", **fields
    )
    event.envelope = {
        "category": CATEGORIES[stream],
        "type": event.type,
        "payload": {"note": f"Zimmer {event.seq}: Lüftung, 窓, “leak”", "rates": ["95.00", None, True]},
        "meta": {
            "hotel_slug": hotel.slug,
            "event_id": str(event.event_id),
            "ts": "2026-07-01T14:00:00Z",
            "scope": {"room_number": 101},
        },
    }
    return event


def numbers(hotel: Hotel, stream: str = ROOMS) -> list[int | None]:
    """The numbers of the stream's stored events, in order of creation."""
    return list(RealtimeEvent.objects.filter(hotel=hotel, stream=stream).order_by("pk").values_list("seq", flat=True))
