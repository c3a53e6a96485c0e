"""Logs an outage of the database once when it begins and once when it ends, however many threads of a process retry."""

import logging
import threading
import time

from django.db import connection

from common.database import server_of
from common.logs import error_summary

logger = logging.getLogger(__name__)


class Outage:
    """Whether the database is away, as the parts of one process (jobs, relay) have found.

    It lasts until each part that noticed it has found a database that accepts writes: a job that only reads, or still
    has its connection, sees no outage where others do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noticed_by: set[str] = set()
        self._since = 0.0

    def noticed(self, part: str, error: BaseException) -> None:
        """This part of the process could not reach the database, or not write to it, and will try again."""
        with self._lock:
            is_new = not self._noticed_by
            self._noticed_by.add(part)
            if not is_new:
                return
            self._since = time.monotonic()
        logger.warning("the database is away (%s): retrying", error_summary(error))

    def over(self, part: str) -> None:
        """This part has used the database successfully. Raises if it noticed an outage and the database fails now."""
        if part not in self._noticed_by:  # read without the lock: nearly always so
            return
        if server_of(connection).is_read_only:
            return
        with self._lock:
            self._noticed_by.discard(part)
            if self._noticed_by:
                return
            seconds = time.monotonic() - self._since
        logger.warning("the database is back, after %.0f s", seconds)


database = Outage()
