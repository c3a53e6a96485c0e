"""Ends a wait for a database that does not answer although its machine acknowledges every packet: a disk that hangs.

The kernel's timeouts (settings.py) do not notice it, the server's own do not run, and the driver has none.
"""

import logging
import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Protocol
from weakref import WeakSet

import psycopg2

LOOK = 0.5  # seconds

logger = logging.getLogger(__name__)


class Waiting(Protocol):
    """A Django connection; ``in_driver_since`` is when its thread called the driver (``time.monotonic``), if it has."""

    connection: Any
    in_driver_since: float | None


_watched: "WeakSet[Waiting]" = WeakSet()
_lock = threading.Lock()


def watch(connection: Waiting) -> None:
    """Include this connection."""
    with _lock:
        _watched.add(connection)


def limit_waits(seconds: float) -> None:
    """From now on, end every wait of this process after ``seconds``: the statement fails as if the server had gone."""

    def run() -> None:
        while True:
            time.sleep(LOOK)
            end_waits(seconds)

    threading.Thread(target=run, name="database patience", daemon=True).start()


def end_waits(seconds: float) -> None:
    """End the waits that have lasted for ``seconds``."""
    with _lock:
        watched = list(_watched)
    for one in watched:
        since, driver = one.in_driver_since, one.connection
        if since is None or driver is None or time.monotonic() - since < seconds:
            continue
        with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(driver.fileno())) as line:
            logger.warning("the database has not answered for %.0f s: the connection is dropped", seconds)
            line.shutdown(socket.SHUT_RDWR)
