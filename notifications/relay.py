"""Sends the stored events to Pusher: numbered in order per stream, at least once, outside every transaction.

Two short phases for each stream (a hotel's rooms, a hotel's bookings). *Number*: lock the stream's row, assign ``seq``
to the committed events in id order, commit. *Send*: under a session advisory lock on the stream, in order, ten at a
time, and mark the events as sent. A number never changes, so an event that is sent again after a crash is the same
event.

One thread numbers and a few send, so that a provider that hangs on one hotel's event delays neither numbering nor the
other hotels. Any number of relays can run at once.
"""

import json
import logging
import queue
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pusher.errors
import requests.exceptions
from django.db import connection, transaction
from django.db.models import QuerySet

from common import clock, outage
from common.database import DATABASE_FAILURES, advisory_lock, is_unreachable
from common.formats import printable
from notifications import metrics, notification_manager, timeline, transport, wakeup
from notifications.models import EventStream, RealtimeEvent

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0  # the longest wait of an event if the relay was not woken
# While another relay numbers a stream, we cannot know whether it has seen the latest commits: check again soon.
OVERLAP_SECONDS = 0.02
SENDERS = 4  # threads; each keeps a database connection
MAX_RETRYING = 2  # how many of them may work on streams that have failed; the others serve the healthy ones
BATCH = 10  # Pusher's limit per call
NUMBERED_AT_ONCE = 1000
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.5, 30.0  # seconds
# After this many failures in a row the relay finds out whether the provider or a single event is at fault.
ISOLATE_AFTER, ISOLATION_TRIES = 5, 3
ADVISORY_NAMESPACE = 7_301  # the first key of our advisory locks; the second is the stream's id
# Pusher will never accept this event: it is malformed or too large.
REFUSED_FOR_GOOD = ("400", "413")

# Expected while the provider or the network fails, such as a response that is not JSON.
PROVIDER_FAILURES = (
    pusher.errors.PusherError,
    requests.exceptions.RequestException,
    transport.PusherNotConfigured,
    json.JSONDecodeError,
)

# From one waiting stream to the next, by one lookup in a partial index for each: neither the number of hotels nor the
# length of a backlog matters.
WAITING = """
    WITH RECURSIVE unnumbered AS (
        (
            SELECT hotel_id, stream FROM notifications_realtimeevent
            WHERE seq IS NULL
            ORDER BY hotel_id, stream LIMIT 1
        )
        UNION ALL
        SELECT later.hotel_id, later.stream FROM unnumbered CROSS JOIN LATERAL (
            SELECT hotel_id, stream FROM notifications_realtimeevent event
            WHERE seq IS NULL AND (event.hotel_id, event.stream) > (unnumbered.hotel_id, unnumbered.stream)
            ORDER BY hotel_id, stream LIMIT 1
        ) later
    ), unsent AS (
        (
            SELECT hotel_id, stream FROM notifications_realtimeevent
            WHERE seq IS NOT NULL AND sent_at IS NULL AND parked_at IS NULL
            ORDER BY hotel_id, stream LIMIT 1
        )
        UNION ALL
        SELECT later.hotel_id, later.stream FROM unsent CROSS JOIN LATERAL (
            SELECT hotel_id, stream FROM notifications_realtimeevent event
            WHERE seq IS NOT NULL AND sent_at IS NULL AND parked_at IS NULL
                AND (event.hotel_id, event.stream) > (unsent.hotel_id, unsent.stream)
            ORDER BY hotel_id, stream LIMIT 1
        ) later
    )
    SELECT hotel_id, stream, bool_or(is_unnumbered) FROM (
        SELECT hotel_id, stream, true AS is_unnumbered FROM unnumbered
        UNION ALL
        SELECT hotel_id, stream, false FROM unsent
    ) waiting
    GROUP BY hotel_id, stream
    ORDER BY hotel_id, stream
"""

NUMBER = """
    WITH ready AS (
        SELECT id, row_number() OVER (ORDER BY id) AS place FROM notifications_realtimeevent
        WHERE hotel_id = %s AND stream = %s AND seq IS NULL
        ORDER BY id LIMIT %s
    ), stream AS (
        UPDATE notifications_eventstream SET last_seq = last_seq + (SELECT count(*) FROM ready)
        WHERE id = %s AND EXISTS (SELECT FROM ready)
        RETURNING last_seq - (SELECT count(*) FROM ready) AS before
    ), numbered AS (
        UPDATE notifications_realtimeevent event SET seq = stream.before + ready.place
        FROM ready, stream
        WHERE event.id = ready.id
        RETURNING event.id
    )
    SELECT count(*) FROM numbered
"""

# Plain SQL, as they run for every event: Django takes longer to build them than PostgreSQL to execute them.
NEXT = """
    SELECT * FROM notifications_realtimeevent
    WHERE hotel_id = %s AND stream = %s AND seq IS NOT NULL AND sent_at IS NULL AND parked_at IS NULL
    ORDER BY seq LIMIT %s
"""
MARK = "UPDATE notifications_realtimeevent SET sent_at = %s WHERE id = ANY(%s)"


class BackOff(NamedTuple):
    """A stream's consecutive failures, and when it may be retried (``time.monotonic``)."""

    failures: int = 0
    until: float = 0.0


class Relay:
    """One relay; its only state is which streams are backing off and which are being sent."""

    def __init__(self) -> None:
        self._streams: dict[tuple[int, str], EventStream] = {}
        # Shared by the threads without a lock: each operation is atomic in Python, and a stream that is picked up twice
        # or late only costs a query; the lock in the database decides which thread sends.
        self._back_off: dict[int, BackOff] = {}
        self._sending: set[int] = set()
        self._queue: queue.SimpleQueue[EventStream | None] = queue.SimpleQueue()
        self._overlapped = False
        self._is_away = False  # the database, as one of the threads has found since the last round
        self._stopping = threading.Event()
        self.thread: threading.Thread | None = None

    def stop(self) -> None:
        """Ask ``run`` to return after the current batches."""
        self._stopping.set()
        wakeup.wake_local()

    def join(self, seconds: float) -> None:
        """Wait for the thread started by ``start_thread`` to end."""
        if self.thread is not None:
            self.thread.join(seconds)

    def run(self) -> None:
        """Relay until ``stop``; survives every failure of the provider and of the database."""
        senders = [
            threading.Thread(target=self._run_sender, name=f"relay-sender-{number}", daemon=True)
            for number in range(1, SENDERS + 1)
        ]
        for sender in senders:
            sender.start()
        while not self._stopping.is_set():
            self._overlapped = False
            with self._errors_logged("relay"):
                if wakeup.listen():
                    self._streams.clear()  # while we were disconnected, the database may have been restored
                    timeline.follow()
                self._hand_out()
                was_away, self._is_away = self._is_away, False
                if not was_away:
                    outage.database.over("relay")
            wakeup.wait(OVERLAP_SECONDS if self._overlapped else POLL_SECONDS)
        for _ in senders:
            self._queue.put(None)
        for sender in senders:
            sender.join()
        connection.close()

    def run_once(self) -> None:
        """Number and send all waiting events, once and in this thread, for tests; ``run`` uses sender threads."""
        for stream in self._number_waiting():
            if self._may_try(stream):
                self._send(stream)

    def _hand_out(self) -> None:
        for stream in self._number_waiting():
            if stream.pk not in self._sending and self._may_try(stream) and not self._retry_slots_full(stream):
                self._sending.add(stream.pk)
                self._queue.put(stream)

    def _retry_slots_full(self, stream: EventStream) -> bool:
        retrying = sum(pk in self._back_off for pk in self._sending.copy())
        return stream.pk in self._back_off and retrying >= MAX_RETRYING

    def _run_sender(self) -> None:
        while (stream := self._queue.get()) is not None:
            was_retrying = stream.pk in self._back_off
            with self._errors_logged("relay sender"):
                connection.close_if_unusable_or_obsolete()  # it may have been lost since the last stream
                self._send(stream)
            self._sending.discard(stream.pk)
            if was_retrying and stream.pk not in self._back_off:
                wakeup.wake_local()  # the provider works again for this stream: perhaps for others, too
        connection.close()

    # --- numbering ---

    def _number_waiting(self) -> Iterator[EventStream]:
        """Number the committed events; yields the streams with events to send."""
        for stream, unnumbered in self._waiting_streams():
            if unnumbered:
                with self._errors_logged("relay"):
                    while (count := number(stream)) == NUMBERED_AT_ONCE:
                        pass  # a long backlog is numbered in parts: each locks the stream's row only briefly
                    self._overlapped |= count is None
            yield stream

    def _waiting_streams(self) -> list[tuple[EventStream, bool]]:
        """The streams with events to send, and whether any need numbering first."""
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            waiting = [((hotel_id, name), unnumbered) for hotel_id, name, unnumbered in cursor.fetchall()]
        if any(key not in self._streams for key, _ in waiting):
            self._load_streams([key for key, _ in waiting])
        return [(self._streams[key], unnumbered) for key, unnumbered in waiting]

    def _load_streams(self, keys: Sequence[tuple[int, str]]) -> None:
        """Load these streams; a stream's row is created on its first event."""
        EventStream.objects.bulk_create(
            [EventStream(hotel_id=hotel_id, name=name) for hotel_id, name in keys], ignore_conflicts=True
        )
        for stream in EventStream.objects.filter(hotel__in={hotel_id for hotel_id, _ in keys}):
            self._streams[stream.hotel_id, stream.name] = stream

    # --- sending ---

    def _may_try(self, stream: EventStream) -> bool:
        return time.monotonic() >= self._back_off.get(stream.pk, BackOff()).until

    def _send(self, stream: EventStream) -> None:
        while not self._stopping.is_set():
            with advisory_lock(ADVISORY_NAMESPACE, stream.pk) as alone:
                if not (alone and self._send_batches(stream)):
                    return
            self._sending.discard(stream.pk)
            # Events numbered meanwhile: other relays found the lock taken, and our numbering thread saw us sending.
            if not _next(stream, 1):
                return
            self._sending.add(stream.pk)

    def _send_batches(self, stream: EventStream) -> bool:
        """Send the numbered events until stopped; returns whether everything succeeded."""
        failures = self._back_off.get(stream.pk, BackOff()).failures
        singles = BATCH if failures >= ISOLATE_AFTER else 0  # how many to send singly: the one at fault is among them
        batch: list[RealtimeEvent] = []
        try:
            while not self._stopping.is_set() and (batch := _next(stream, 1 if singles else BATCH)):
                if singles:
                    singles = singles - 1 if self._isolate(batch[0]) else 0
                else:
                    self._deliver(batch)
        except DATABASE_FAILURES:
            raise
        except Exception as error:  # a bug triggered by one event is treated like a refusal of that event
            self._fail(stream, len(batch), error)
            return False
        self._back_off.pop(stream.pk, None)
        return True

    def _deliver(self, batch: Sequence[RealtimeEvent]) -> None:
        """Send a batch and mark it; if Pusher refuses it, send one by one, and park events refused permanently."""
        messages = [message for event in batch for message in notification_manager.messages(event)]
        try:
            for start in range(0, len(messages), BATCH):
                transport.send(messages[start : start + BATCH])
        except pusher.errors.PusherError as error:
            if not _refused_for_good(error):
                raise
            self._deliver_singly(batch, error)
        else:
            _mark(batch)

    def _deliver_singly(self, refused: Sequence[RealtimeEvent], error: Exception) -> None:
        if len(refused) == 1:
            transport.ping()  # fails too if everything is refused, for example by a misconfigured proxy
            _park(refused[0], error)
            return
        for event in refused:
            if self._stopping.is_set():
                return
            self._deliver([event])

    def _isolate(self, event: RealtimeEvent) -> bool:
        """Send one event that may be why a batch keeps failing; returns whether it was sent, otherwise parks it.

        It is parked only if every try fails between two successful pings, so that an outage that is just ending is not
        blamed on the event.
        """
        for _ in range(ISOLATION_TRIES):
            transport.ping()
            try:
                self._deliver([event])
                return True
            except DATABASE_FAILURES:
                raise
            except Exception as error:
                if self._stopping.is_set():
                    raise
                fault = error
        transport.ping()
        _park(event, fault)
        return False

    def _fail(self, stream: EventStream, events: int, error: Exception) -> None:
        failures = self._back_off.get(stream.pk, BackOff()).failures + 1
        pause = min(FIRST_BACK_OFF * 2 ** (failures - 1), LONGEST_BACK_OFF) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._back_off[stream.pk] = BackOff(failures, time.monotonic() + pause)
        metrics.events_retried(events)
        logger.warning(
            "stream %s: attempt %d failed (%s); next in %.1f s",
            stream.pk,
            failures,
            _brief(error),
            pause,
            exc_info=not isinstance(error, PROVIDER_FAILURES),
        )

    @contextmanager
    def _errors_logged(self, what: str) -> Iterator[None]:
        """Log errors and continue: no error may stop live events until somebody restarts the process."""
        try:
            yield
        except DATABASE_FAILURES as error:
            if is_unreachable(error):
                self._is_away = True
                outage.database.noticed("relay", error)
            else:
                logger.warning("%s: the database failed, retrying", what, exc_info=True)
            connection.close()
        except Exception:
            logger.exception("%s failed, retrying", what)


@transaction.atomic
def number(stream: EventStream) -> int | None:
    """Assign ``seq`` to the stream's committed events; returns how many, ``None`` if another relay is doing it."""
    timeline.follow()  # before the stream's row is locked, as another relay may be moving all numbers ahead
    locked = EventStream.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=stream.pk)
    if not locked.values_list("pk"):
        return None
    # A separate statement, so that it sees everything committed and numbered before we got the lock.
    with connection.cursor() as cursor:
        cursor.execute(NUMBER, [stream.hotel_id, stream.name, NUMBERED_AT_ONCE, stream.pk])
        return int(cursor.fetchone()[0])


def _next(stream: EventStream, count: int) -> list[RealtimeEvent]:
    """The stream's next ``count`` numbered events waiting to be sent."""
    return list(RealtimeEvent.objects.raw(NEXT, [stream.hotel_id, stream.name, count]))


def _mark(batch: Sequence[RealtimeEvent]) -> None:
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(MARK, [now, [event.pk for event in batch]])
    for event in batch:
        waited = (now - event.created_at).total_seconds()
        metrics.event_sent(waited)
        logger.info("event_sent %s waited_ms=%d", _identity(event), waited * 1000)


def _park(event: RealtimeEvent, error: Exception) -> None:
    """Give up this event; clients see the gap and get the event by catching up (``manage.py parked``)."""
    RealtimeEvent.objects.filter(pk=event.pk).update(parked_at=clock.now(), last_error=_brief(error))
    metrics.event_parked()
    logger.error("event_parked %s error=%s", _identity(event), json.dumps(_brief(error)))


def unpark(events: QuerySet[RealtimeEvent]) -> int:
    """Queue these parked events again, with their existing numbers; returns how many."""
    count = events.order_by().update(parked_at=None, last_error="")
    wakeup.wake()
    return count


def _identity(event: RealtimeEvent) -> str:
    """How logs identify an event: enough to find it, without personal data."""
    return f"event_id={event.event_id} hotel={event.hotel_id} stream={event.stream} type={event.type} seq={event.seq}"


def _refused_for_good(error: pusher.errors.PusherError) -> bool:
    return isinstance(error, pusher.errors.PusherBadRequest) or str(error).startswith(REFUSED_FOR_GOOD)


def _brief(error: Exception) -> str:
    """The exception type and Pusher's message; never the event's content or the signed URL."""
    message = f": {printable(error)[:120]}" if isinstance(error, pusher.errors.PusherError) else ""
    return f"{type(error).__name__}{message}"


# --- the thread of the web process ------------------------------------------------------------------------------------


def start_thread() -> Relay:
    """Run a relay as a daemon thread of this process; called when the server starts, never on import."""
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
