"""Wakes the relay when there are events to send: directly within the process, by NOTIFY across processes."""

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from django.db import connection

CHANNEL = "hotelmate_events"

_running = threading.Event()
_no_wakeups = threading.Event()
# Written after a commit, read by the relay: unlike an Event, it can be polled together with the database connection.
_reader, _writer = os.pipe()
for _end in (_reader, _writer):
    os.set_blocking(_end, False)


def relay_started() -> None:
    """A relay thread of this process is now listening."""
    _running.set()


def relay_stopped() -> None:
    """No relay thread of this process is listening any more."""
    _running.clear()


@contextmanager
def without_wakeups() -> Iterator[None]:
    """Within the block this process wakes no other process's relay: polling is soon enough for backdated events."""
    _no_wakeups.set()
    try:
        yield
    finally:
        _no_wakeups.clear()


def wake() -> None:
    """Wake a relay after a commit: the one in this process, otherwise those listening on the database."""
    if _running.is_set():
        wake_local()
    elif not _no_wakeups.is_set():
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


def wake_local() -> None:
    """End a ``wait`` of this process."""
    with suppress(BlockingIOError):  # the pipe is full of unread wake-ups: one more adds nothing
        os.write(_writer, b"!")


def listen() -> bool:
    """Listen for NOTIFY on this thread's connection; returns whether the connection is new."""
    connection.ensure_connection()
    if getattr(connection, "listens_on", None) is connection.connection:
        return False
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")
    connection.listens_on = connection.connection  # type: ignore[attr-defined]
    return True


def wait(seconds: float) -> None:
    """Wait in the relay's thread until there are events to send, for at most ``seconds``."""
    database = connection.connection
    # Notifications that arrived with the relay's own statements are already here, not on the socket.
    if database is not None and not database.closed and not database.notifies:
        try:
            _wait_for(seconds, _reader, database.fileno())
            database.poll()
        except (psycopg2.Error, OSError, ValueError):
            connection.close()  # the relay's next iteration reconnects
    elif database is None or database.closed:
        _wait_for(seconds, _reader)
    if connection.connection is not None:
        connection.connection.notifies.clear()
    with suppress(BlockingIOError):
        while os.read(_reader, 4096):
            pass


def _wait_for(seconds: float, *descriptors: int) -> None:
    """Wait until a descriptor is readable; not with ``select``, which cannot handle descriptors above 1,023."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(seconds * 1000)
