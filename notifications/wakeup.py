"""How a relay hears that there is something to send: at once within the process, by NOTIFY from another."""

import threading

from django.db import connection

CHANNEL = "hotelmate_events"

_local = threading.Event()
_running = threading.Event()


def relay_started() -> None:
    """A relay thread of this process listens from now on."""
    _running.set()


def relay_stopped() -> None:
    """No relay thread of this process listens any more."""
    _running.clear()


def wake() -> None:
    """Tell a relay that events were committed: the one in this process, else whichever listens to the database."""
    if _running.is_set():
        _local.set()
    else:
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


def wait(seconds: float) -> None:
    """Wait in the relay thread until this process has something to send, or for ``seconds``."""
    _local.wait(seconds)
    _local.clear()


def wake_local() -> None:
    """End a ``wait`` of this process."""
    _local.set()
