"""What a screen that was away has missed, read from the stored events."""

from typing import NamedTuple

from common.errors import HotelMateError
from hotel.models import Hotel
from notifications.models import BOOKINGS, ROOMS, EventStream, RealtimeEvent


class EventsExpired(HotelMateError):
    """Some of the events that were asked for are kept no longer."""

    status = 410
    code = "EVENTS_EXPIRED"


class Missed(NamedTuple):
    """Events in order, and the number of the newest that there is."""

    events: list[RealtimeEvent]
    latest_seq: int


def latest_seq(hotel: Hotel, stream: str) -> int:
    """The last number that the stream has given; 0 before its first event."""
    return latest_seqs(hotel)[stream]


def latest_seqs(hotel: Hotel) -> dict[str, int]:
    """``latest_seq`` of each of the hotel's streams, in one statement."""
    given = EventStream.objects.filter(hotel=hotel, name__in=(ROOMS, BOOKINGS)).values_list("name", "last_seq")
    return {ROOMS: 0, BOOKINGS: 0, **dict(given)}


def events_after(hotel: Hotel, stream: str, *, after: int, limit: int) -> Missed:
    """The stream's numbered events that follow number ``after``, sent or not, in order and at most ``limit``.

    Numbers have no gaps, so that whatever is missing at the beginning is gone: raises ``EventsExpired``. An ``after``
    that no event has had yet gives nothing.
    """
    # The stream first: an event that gets its number between the two reads is then found, never promised and missing.
    latest = latest_seq(hotel, stream)
    events = list(RealtimeEvent.objects.filter(hotel=hotel, stream=stream, seq__gt=after).order_by("seq")[:limit])
    numbers = [event.seq or 0 for event in events]  # they all have one
    # Where none is left, the oldest is the one that comes next.
    oldest = numbers[0] if numbers else latest + 1
    if oldest > after + 1:
        raise EventsExpired(
            f"The events after {after} are kept no longer: reload, and go on from {latest}.",
            details={"oldest_seq": oldest, "latest_seq": latest},
        )
    return Missed(events, max([latest, *numbers]))
