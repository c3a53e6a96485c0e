"""How a relay hears that there is something to send: at once within the process, by NOTIFY from another."""

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from django.db import connection

CHANNEL = "hotelmate_events"

_running = threading.Event()
_in_no_hurry = threading.Event()
# Written to by those who commit, read by the relay: unlike an Event, it can be waited for together with the database.
_reader, _writer = os.pipe()
for _end in (_reader, _writer):
    os.set_blocking(_end, False)


def relay_started() -> None:
    """A relay thread of this process listens from now on."""
    _running.set()


def relay_stopped() -> None:
    """No relay thread of this process listens any more."""
    _running.clear()


@contextmanager
def no_hurry() -> Iterator[None]:
    """Within the block this process wakes no relay: its poll finds soon enough what is told of long ago."""
    _in_no_hurry.set()
    try:
        yield
    finally:
        _in_no_hurry.clear()


def wake() -> None:
    """Tell a relay that events were committed: the one in this process, else whichever listens to the database."""
    if _running.is_set():
        wake_local()
    elif not _in_no_hurry.is_set():
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


def wake_local() -> None:
    """End a ``wait`` of this process."""
    with suppress(BlockingIOError):  # full of wake-ups that nobody has read yet: one more says nothing new
        os.write(_writer, b"!")


def listen() -> bool:
    """Hear the NOTIFY of other processes on this thread's connection; returns whether that is a new connection."""
    connection.ensure_connection()
    if getattr(connection, "listens_on", None) is connection.connection:
        return False
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")
    connection.listens_on = connection.connection  # type: ignore[attr-defined]
    return True


def wait(seconds: float) -> None:
    """Wait in the relay's thread until somebody has something to send, or for ``seconds``."""
    database = connection.connection
    # What came in answer to the relay's own statements is here already, and no longer on the wire.
    if database is not None and not database.closed and not database.notifies:
        try:
            _wait_for(seconds, _reader, database.fileno())
            database.poll()
        except (psycopg2.Error, OSError, ValueError):
            connection.close()  # the next turn of the relay connects anew
    elif database is None or database.closed:
        _wait_for(seconds, _reader)
    if connection.connection is not None:
        connection.connection.notifies.clear()
    with suppress(BlockingIOError):
        while os.read(_reader, 4096):
            pass


def _wait_for(seconds: float, *descriptors: int) -> None:
    """Until one can be read; not by ``select``, which knows no descriptor above 1,023."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(seconds * 1000)
