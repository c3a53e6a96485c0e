"""Django's PostgreSQL connection with some changes: a persistent connection is checked without a query before it is
reused, a commit that may get lost is an error, closing a server-side cursor does not hide the error that ended it, and
it knows whether a pooler shares it."""

import secrets
import select
import time
from contextlib import suppress
from typing import Any

import psycopg2
from django.db import OperationalError
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg2 import extensions
from psycopg2.extensions import TRANSACTION_STATUS_INERROR

from common.database import READ_ONLY
from common.postgres import patience
from common.postgres.validation import DatabaseValidation

# How those messages begin, in English, that are no warnings.
BELOW_WARNING = ("DEBUG:", "LOG:", "INFO:", "NOTICE:")


class DatabaseWrapper(base.DatabaseWrapper):
    """With ``CONN_HEALTH_CHECKS``, Django would send ``SELECT 1`` before the first statement of each request."""

    validation_class = DatabaseValidation
    in_driver_since: float | None = None  # of this thread's call to the driver (common/postgres/patience.py)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        patience.watch(self)

    @property
    def is_pooled(self) -> bool:
        """Whether a pooler may run each transaction in another session of PostgreSQL (``DATABASE_POOLER``)."""
        return bool(self.settings_dict["DISABLE_SERVER_SIDE_CURSORS"])

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        """Converts the driver's errors to Django's, as Django's own wrapper does."""
        return ErrorWrapper(self)

    def _commit(self) -> None:
        """Commit; raises OperationalError if the server warns of it, although it reports success.

        With synchronous replication, a commit waits for the standby. If that wait is cancelled (by
        ``statement_timeout`` or ``pg_cancel_backend``), PostgreSQL commits locally and merely warns, in its own
        language and without an error code that the driver would show. Nothing else warns in a commit. In English,
        messages below a warning can be told from it; in other languages everything counts.
        """
        notices = self.connection.notices if self.connection is not None else []
        del notices[:]
        super()._commit()  # type: ignore[misc]  # Django's stubs lack it
        if any(not notice.startswith(BELOW_WARNING) for notice in notices):
            raise OperationalError("The change was committed, but may not have been replicated to the standby.")

    def create_cursor(self, name: str | None = None) -> Any:
        """Django's cursor, or a named one, which reads in portions, under a random name.

        Behind a pooler that shares connections, a name from Django's counter could be another process's cursor.
        """
        if name is None:
            return super().create_cursor()
        name = f"{name}_{secrets.token_hex(8)}"
        withhold = self.connection.autocommit
        cursor = self.connection.cursor(name, cursor_factory=PortionsCursor, scrollable=False, withhold=withhold)
        cursor.tzinfo_factory = self.tzinfo_factory
        return cursor

    def is_usable(self) -> bool:
        """Whether the connection is still open.

        A server that has closed it, for example by a restart, has sent something, so there is data to read. Only then,
        or after an error, is ``SELECT 1`` sent; otherwise it would tell us nothing more.
        """
        driver = self.connection
        if driver is None or driver.closed or self.errors_occurred:
            return bool(super().is_usable())
        if driver.info.transaction_status == TRANSACTION_STATUS_INERROR or _is_readable(driver.fileno()):
            return bool(super().is_usable())
        return True


class ErrorWrapper(DatabaseErrorWrapper):
    """Notes how long a call lasts, and closes a read-only connection after use.

    That leads to a standby, and a new one may lead to the primary.
    """

    def __enter__(self) -> None:
        self.wrapper.in_driver_since = time.monotonic()  # type: ignore[attr-defined]  # ours
        super().__enter__()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.wrapper.in_driver_since = None  # type: ignore[attr-defined]
        if getattr(error, "pgcode", None) == READ_ONLY:
            self.wrapper.close_at = time.monotonic()  # type: ignore[attr-defined]  # as if its maximum age were reached
        super().__exit__(kind, error, traceback)


class PortionsCursor(extensions.cursor):
    """A server-side cursor, for reading in portions.

    If declaring it failed, for example on a lock, there is nothing to close: Django closes it all the same, and that
    error would hide the first.
    """

    def close(self) -> None:
        with suppress(psycopg2.Error):
            super().close()


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
