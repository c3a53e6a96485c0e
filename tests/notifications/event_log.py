"""A log of events as services and relay leave it, made in one go."""

from datetime import datetime
from typing import Any

from common import clock
from hotel.models import Hotel
from notifications.models import EventStream, RealtimeEvent
from notifications.notification_manager import BOOKINGS, GUESTS, staff_channel

CATEGORIES = {"rooms": "rooms", BOOKINGS: "room_booking", GUESTS: "room_booking"}


def log_of(
    hotel: Hotel, count: int, *, stream: str = "rooms", created_at: datetime | None = None, **fields: Any
) -> Any:
    """So many more events of the stream, numbered on from its last, and sent unless ``fields`` say otherwise."""
    known, _ = EventStream.objects.get_or_create(hotel=hotel, name=stream)
    moment = created_at or clock.now()
    events = []
    for seq in range(known.last_seq + 1, known.last_seq + count + 1):
        event = RealtimeEvent(
            hotel=hotel,
            stream=stream,
            channel=staff_channel(hotel.slug, stream),
            type="room_updated",
            created_at=moment,
            seq=seq,
            **{"sent_at": moment} | fields,
        )
        event.envelope = {
            "category": CATEGORIES[stream],
            "type": event.type,
            "payload": {"note": f"Zimmer {seq}: Lüftung, 窓, “leak”", "rates": ["95.00", None, True]},
            "meta": {
                "hotel_slug": hotel.slug,
                "event_id": str(event.event_id),
                "ts": "2026-07-01T14:00:00Z",
                "scope": {"room_number": 101},
            },
        }
        events.append(event)
    known.last_seq += count
    known.save()
    return RealtimeEvent.objects.bulk_create(events)


def numbers(hotel: Hotel, stream: str = "rooms") -> list[int | None]:
    """The numbers of the stream's events that are kept, in order of their making."""
    return list(RealtimeEvent.objects.filter(hotel=hotel, stream=stream).order_by("pk").values_list("seq", flat=True))
