"""Logs an outage of the database once when it begins and once when it ends, however many threads of a process retry."""

import logging
import threading
import time

from common.logs import error_summary

logger = logging.getLogger(__name__)


class Outage:
    """Whether the database is away, as the threads of one process have found."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None

    def noticed(self, error: BaseException) -> None:
        """A thread could not reach the database, or not write to it, and will try again."""
        with self._lock:
            if self._since is not None:
                return
            self._since = time.monotonic()
        logger.warning("the database is away (%s): retrying", error_summary(error))

    def over(self) -> None:
        """A thread has used the database successfully."""
        if self._since is None:  # read without the lock: nearly always so
            return
        with self._lock:
            began, self._since = self._since, None
        if began is not None:
            logger.warning("the database is back, after %.0f s", time.monotonic() - began)


database = Outage()
