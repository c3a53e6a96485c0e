"""Forgets events that are old, so that the log does not grow for ever: the oldest first, and none that waits."""

from datetime import datetime, timedelta
from itertools import takewhile

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from common import clock
from hotel.models import Hotel
from notifications.models import EventStream, RealtimeEvent

BATCH = 1000  # events in one transaction


def forget_events(hotel: Hotel) -> int:
    """Delete the hotel's events that are older than ``EVENT_RETENTION_DAYS``; returns how many.

    Each stream from its beginning, up to the first event that has been neither sent nor parked, however old that is:
    nothing is lost, and the numbers that are left have no gap.
    """
    before = clock.now() - timedelta(days=settings.EVENT_RETENTION_DAYS)
    return sum(_forget(stream, before) for stream in EventStream.objects.filter(hotel=hotel).order_by("pk"))


def _forget(stream: EventStream, before: datetime) -> int:
    # Those that had a number when this began: what comes in meanwhile is none of its business.
    numbered = RealtimeEvent.objects.filter(
        hotel=stream.hotel_id, stream=stream.name, seq__lte=stream.last_seq
    ).order_by("seq")
    oldest = numbered.first()
    if oldest is None or not _is_due(oldest, before):
        return 0
    settled = Q(sent_at__isnull=False) | Q(parked_at__isnull=False)
    kept = numbered.exclude(settled, created_at__lt=before).first()
    # Up to there and no further, so that nobody who numbers or sends ever waits for us.
    due = numbered if kept is None else numbered.filter(seq__lt=kept.seq)
    forgotten = count = _forget_batch(due, before)
    while count == BATCH:
        count = _forget_batch(due, before)
        forgotten += count
    return forgotten


@transaction.atomic
def _forget_batch(due: QuerySet[RealtimeEvent], before: datetime) -> int:
    locked = due.only("seq", "created_at", "sent_at", "parked_at").select_for_update()[:BATCH]
    # Looked at again under the lock: somebody may just have taken one out of its parking place, to be sent after all.
    gone = list(takewhile(lambda event: _is_due(event, before), locked))
    return due.filter(seq__lte=gone[-1].seq).order_by().delete()[0] if gone else 0


def _is_due(event: RealtimeEvent, before: datetime) -> bool:
    return event.created_at < before and bool(event.sent_at or event.parked_at)
