"""Reads the events that a client missed while offline."""

from typing import NamedTuple

from common.errors import HotelMateError
from hotel.models import Hotel
from notifications.models import BOOKINGS, ROOMS, EventStream, RealtimeEvent


class EventsExpired(HotelMateError):
    """Some of the requested events have been deleted."""

    status = 410
    code = "EVENTS_EXPIRED"


class Missed(NamedTuple):
    """Events in order, and the newest number in the stream."""

    events: list[RealtimeEvent]
    latest_seq: int


def latest_seq(hotel: Hotel, stream: str) -> int:
    """The last number assigned in the stream; 0 before its first event."""
    return latest_seqs(hotel)[stream]


def latest_seqs(hotel: Hotel) -> dict[str, int]:
    """``latest_seq`` of each of the hotel's streams, in one statement."""
    given = EventStream.objects.filter(hotel=hotel, name__in=(ROOMS, BOOKINGS)).values_list("name", "last_seq")
    return {ROOMS: 0, BOOKINGS: 0, **dict(given)}


def events_after(hotel: Hotel, stream: str, *, after: int, limit: int) -> Missed:
    """The stream's numbered events after number ``after``, sent or not, in order and at most ``limit``.

    Numbers have no gaps, so events missing at the beginning have been deleted: raises ``EventsExpired``. The events end
    where the numbers jumped (notifications/timeline.py): after the last of them the client gets ``EventsExpired``. An
    ``after`` beyond the newest number returns no events.
    """
    # The stream first: an event numbered between the two reads is then returned too, never counted but missing.
    latest = latest_seq(hotel, stream)
    events = list(RealtimeEvent.objects.filter(hotel=hotel, stream=stream, seq__gt=after).order_by("seq")[:limit])
    numbers = [event.seq or 0 for event in events]  # they all have one
    # When no events are left, the oldest one will be the next to come.
    oldest = numbers[0] if numbers else latest + 1
    if oldest > after + 1:
        raise EventsExpired(
            f"The events after {after} are no longer available: reload, then continue from {latest}.",
            details={"oldest_seq": oldest, "latest_seq": latest},
        )
    gapless = [event for place, event in enumerate(events, start=after + 1) if event.seq == place]
    return Missed(gapless, max([latest, *numbers]))
