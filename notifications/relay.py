"""Sends the stored events to Pusher: numbered in order per stream, at least once, outside every transaction.

Two short steps for each stream (a hotel's rooms, a hotel's bookings). *Number*: lock the stream's own row, give the
committed events their ``seq`` in id order, commit. *Send*: under a session advisory lock of the stream, in order, ten
at a time, and mark what went. A number never changes, so that an event sent again after a crash is the same event.
Any number of relays may run at once.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg2
import pusher.errors
import requests.exceptions
from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import F, Q

from common import clock
from common.database import advisory_lock
from notifications import notification_manager, transport, wakeup
from notifications.models import EventStream, RealtimeEvent

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0  # how long an event may wait when nobody woke the relay
BATCH = 10  # Pusher takes no more in one call
NUMBERED_AT_ONCE = 1000
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.5, 30.0  # seconds
ADVISORY_NAMESPACE = 7_301  # the first key of our advisory locks; the second is the stream's id
# Pusher does not take this event, now or later: malformed, or too large.
REFUSED_FOR_GOOD = ("400", "413")

# What may go wrong while the provider or the way to it fails. ValueError: an answer that is not JSON.
PROVIDER_FAILURES = (
    pusher.errors.PusherError,
    requests.exceptions.RequestException,
    transport.PusherNotConfigured,
    ValueError,
)


class BackOff(NamedTuple):
    """How often a stream has failed in a row, and when it may be tried again (``time.monotonic``)."""

    failures: int
    until: float


class Relay:
    """One relay: what it remembers is only which streams to leave alone for a moment."""

    def __init__(self) -> None:
        self._back_off: dict[int, BackOff] = {}
        self._stopping = threading.Event()
        self.thread: threading.Thread | None = None

    def stop(self) -> None:
        """Ask ``run`` to return after the batch at hand."""
        self._stopping.set()
        wakeup.wake_local()

    def join(self, seconds: float) -> None:
        """Wait for the thread that ``start_thread`` made to end."""
        if self.thread is not None:
            self.thread.join(seconds)

    def run(self) -> None:
        """Relay until ``stop``; survives every failure of the provider and of the database."""
        while not self._stopping.is_set():
            try:
                wakeup.listen()
                self.run_once()
            except (DatabaseError, psycopg2.Error):
                logger.warning("the relay lost the database; it tries again", exc_info=True)
                connection.close()
            except Exception:  # a bug must not silence every screen of the house until somebody restarts it
                logger.exception("the relay failed; it tries again")
            wakeup.wait(POLL_SECONDS)
        connection.close()

    def run_once(self) -> None:
        """Number and send whatever waits, but for streams whose provider has just failed."""
        for stream in _waiting_streams():
            if self._stopping.is_set():
                return
            while number(stream) == NUMBERED_AT_ONCE:
                pass  # a long backlog, a step at a time: each holds the stream's row only briefly
            if self._may_try(stream):
                self._send(stream)

    def _may_try(self, stream: EventStream) -> bool:
        back_off = self._back_off.get(stream.pk)
        return back_off is None or time.monotonic() >= back_off.until

    def _send(self, stream: EventStream) -> None:
        # Again after letting go of the lock: events that another relay numbered meanwhile found it taken.
        while not self._stopping.is_set() and _numbered(stream).exists():
            with advisory_lock(ADVISORY_NAMESPACE, stream.pk) as alone:
                if not alone:
                    return
                try:
                    while not self._stopping.is_set() and (batch := list(_numbered(stream)[:BATCH])):
                        _deliver(batch)
                except PROVIDER_FAILURES as error:
                    self._fail(stream, error)
                    return
            self._back_off.pop(stream.pk, None)

    def _fail(self, stream: EventStream, error: Exception) -> None:
        failures = self._back_off.get(stream.pk, BackOff(0, 0.0)).failures + 1
        pause = min(FIRST_BACK_OFF * 2 ** (failures - 1), LONGEST_BACK_OFF) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._back_off[stream.pk] = BackOff(failures, time.monotonic() + pause)
        logger.warning("stream %s: attempt %d failed (%s); next in %.1f s", stream.pk, failures, _brief(error), pause)


def _waiting_streams() -> list[EventStream]:
    """The streams that have something to number or to send; makes the row of a stream on its first event."""
    keys = list(
        RealtimeEvent.objects.filter(sent_at=None, parked_at=None).order_by().values_list("hotel", "stream").distinct()
    )
    if not keys:
        return []
    wanted = Q(pk__in=[])
    for hotel_id, name in keys:
        wanted |= Q(hotel=hotel_id, name=name)
    known = list(EventStream.objects.filter(wanted).order_by("pk"))
    if len(known) < len(keys):
        EventStream.objects.bulk_create(
            [EventStream(hotel_id=hotel_id, name=name) for hotel_id, name in keys], ignore_conflicts=True
        )
        known = list(EventStream.objects.filter(wanted).order_by("pk"))
    return known


@transaction.atomic
def number(stream: EventStream) -> int:
    """Give the stream's committed events their ``seq``; returns how many. Nothing when another relay is at it."""
    locked = EventStream.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=stream.pk).first()
    if locked is None:
        return 0
    ids = list(
        RealtimeEvent.objects.filter(hotel=locked.hotel_id, stream=locked.name, seq=None, sent_at=None, parked_at=None)
        .order_by("pk")
        .values_list("pk", flat=True)[:NUMBERED_AT_ONCE]
    )
    if not ids:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_realtimeevent event SET seq = %s + numbered.place "
            "FROM unnest(%s) WITH ORDINALITY AS numbered(id, place) WHERE event.id = numbered.id",
            [locked.last_seq, ids],
        )
    EventStream.objects.filter(pk=locked.pk).update(last_seq=F("last_seq") + len(ids))
    return len(ids)


def _numbered(stream: EventStream) -> Any:
    return RealtimeEvent.objects.filter(
        hotel=stream.hotel_id, stream=stream.name, seq__isnull=False, sent_at=None, parked_at=None
    ).order_by("seq")


def _deliver(batch: Sequence[RealtimeEvent]) -> None:
    """Send a batch and mark it; where Pusher refuses it, one by one, and park the one that is refused for good."""
    try:
        transport.send([message for event in batch for message in notification_manager.messages(event)])
    except pusher.errors.PusherError as error:
        if not _refused_for_good(error):
            raise
        if len(batch) > 1:
            for event in batch:
                _deliver([event])
            return
        logger.error("event %s is parked: the provider refuses it (%s)", batch[0].event_id, _brief(error))
        RealtimeEvent.objects.filter(pk=batch[0].pk).update(parked_at=clock.now(), last_error=_brief(error))
        return
    RealtimeEvent.objects.filter(pk__in=[event.pk for event in batch]).update(sent_at=clock.now())


def _refused_for_good(error: pusher.errors.PusherError) -> bool:
    return isinstance(error, pusher.errors.PusherBadRequest) or str(error).startswith(REFUSED_FOR_GOOD)


def _brief(error: Exception) -> str:
    """The kind of failure and what Pusher said of it; never what was sent, nor the signed address."""
    said = f": {str(error)[:120]}" if isinstance(error, pusher.errors.PusherError) else ""
    return f"{type(error).__name__}{said}"


# --- the thread of the web process ------------------------------------------------------------------------------------


def start_thread() -> Relay:
    """Run a relay as a daemon thread of this process; called by the server's start, never on import."""
    relay = Relay()
    wakeup.relay_started()

    def run() -> None:
        try:
            relay.run()
        finally:
            wakeup.relay_stopped()

    relay.thread = threading.Thread(target=run, name="relay", daemon=True)
    relay.thread.start()
    return relay
