"""Forgets events that are old, so that the log does not grow for ever: the oldest first, and none that waits. And after
a restore, all that were sent."""

from datetime import datetime, timedelta
from itertools import takewhile

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from common import clock
from hotel.models import Hotel
from notifications.models import STREAMS, EventStream, RealtimeEvent

BATCH = 1000  # events in one transaction

# Every stream goes on from the time in milliseconds: more than any number that it can have had, also after an earlier
# restore, and still exact in JavaScript.
BEGIN_ANEW = """
    UPDATE notifications_eventstream SET last_seq = greatest(last_seq, (extract(epoch FROM %s) * 1000)::bigint)
"""


@transaction.atomic
def begin_anew() -> int:
    """After a restore: make every screen read everything anew; returns how many events still wait to be sent.

    A backup's numbers are behind those that the screens have seen, and what gets such a number for the second time
    would pass for known. So the log is emptied and the numbers jump: whoever asks for what follows their last number is
    answered 410, and the next event is a gap. What waited when the backup was made is sent, with new numbers.
    """
    settled = Q(sent_at__isnull=False) | Q(parked_at__isnull=False)
    RealtimeEvent.objects.filter(settled).delete()
    RealtimeEvent.objects.filter(seq__isnull=False).update(seq=None)
    # Also those that had their first event after the backup.
    streams = [EventStream(hotel=hotel, name=name) for hotel in Hotel.objects.all() for name in STREAMS]
    EventStream.objects.bulk_create(streams, ignore_conflicts=True)
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_ANEW, [clock.now()])
    return RealtimeEvent.objects.count()


def forget_events(hotel: Hotel) -> int:
    """Delete the hotel's events that are older than ``EVENT_RETENTION_DAYS``; returns how many.

    Each stream from its beginning, up to the first event that has been neither sent nor parked, however old that is:
    nothing is lost, and the numbers that are left have no gap. An error in one stream is raised when the others are
    done.
    """
    before = clock.now() - timedelta(days=settings.EVENT_RETENTION_DAYS)
    forgotten, failure = 0, None
    for stream in EventStream.objects.filter(hotel=hotel).order_by("pk"):
        try:
            forgotten += _forget(stream, before)
        except Exception as error:
            failure = failure or error
    if failure:
        raise failure
    return forgotten


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
