"""Deletes old events from the log, oldest first, never those still waiting; after a restore, all settled ones."""

from datetime import datetime, timedelta
from itertools import takewhile

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from common import clock
from hotel.models import Hotel
from notifications.models import SETTLED, EventStream, RealtimeEvent
from notifications.timeline import jump_ahead

BATCH = 1000  # events in one transaction


@transaction.atomic
def reset_after_restore() -> int:
    """After a restore: make every client reload everything; returns how many events are still to be sent.

    A backup's numbers are behind those that clients have seen, and clients would ignore an event with a number that
    they have seen before. So the log is emptied and the numbers jump: a client that catches up gets 410, and the next
    event shows as a gap. Events that were unsent in the backup are sent with new numbers.
    """
    RealtimeEvent.objects.filter(SETTLED).delete()
    RealtimeEvent.objects.filter(seq__isnull=False).update(seq=None)
    jump_ahead()
    return RealtimeEvent.objects.count()


def hotels_with_old_events() -> set[int]:
    """The hotels (pks) with settled events that are older than ``EVENT_RETENTION_DAYS``."""
    old = RealtimeEvent.objects.filter(SETTLED, created_at__lt=_limit())
    return set(old.values_list("hotel", flat=True).distinct())


def forget_events(hotel: Hotel) -> int:
    """Delete the hotel's events that are older than ``EVENT_RETENTION_DAYS``; returns how many.

    Each stream from its beginning, up to the first event that is neither sent nor parked, however old it is: no event
    is lost, and the remaining numbers have no gap. An error in one stream is raised after the others are done.
    """
    before = _limit()
    forgotten, failure = 0, None
    for stream in EventStream.objects.filter(hotel=hotel).order_by("pk"):
        try:
            forgotten += _forget(stream, before)
        except Exception as error:
            failure = failure or error
    if failure:
        raise failure
    return forgotten


def _limit() -> datetime:
    return clock.now() - timedelta(days=settings.EVENT_RETENTION_DAYS)


def _forget(stream: EventStream, before: datetime) -> int:
    # Only events numbered before this started; later ones are ignored.
    numbered = RealtimeEvent.objects.filter(
        hotel=stream.hotel_id, stream=stream.name, seq__lte=stream.last_seq
    ).order_by("seq")
    oldest = numbered.first()
    if oldest is None or not _is_due(oldest, before):
        return 0
    kept = numbered.exclude(SETTLED, created_at__lt=before).first()
    # Up to there and no further, so that numbering and sending never wait for us.
    due = numbered if kept is None else numbered.filter(seq__lt=kept.seq)
    forgotten = count = _forget_batch(due, before)
    while count == BATCH:
        count = _forget_batch(due, before)
        forgotten += count
    return forgotten


@transaction.atomic
def _forget_batch(due: QuerySet[RealtimeEvent], before: datetime) -> int:
    locked = due.only("seq", "created_at", "sent_at", "parked_at").select_for_update()[:BATCH]
    # Checked again under the lock: an event may just have been unparked, to be sent after all.
    expired = list(takewhile(lambda event: _is_due(event, before), locked))
    return due.filter(seq__lte=expired[-1].seq).order_by().delete()[0] if expired else 0


def _is_due(event: RealtimeEvent, before: datetime) -> bool:
    return event.created_at < before and bool(event.sent_at or event.parked_at)
