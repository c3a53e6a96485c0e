"""The connection to PostgreSQL: Django's, but that a kept one is looked at, and not asked, before it is used again, and
that a list in portions tells why it ended."""

import secrets
import select
import time
from contextlib import suppress
from typing import Any

import psycopg2
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg2 import extensions
from psycopg2.extensions import TRANSACTION_STATUS_INERROR

from common.database import READ_ONLY
from common.postgres.validation import DatabaseValidation


class DatabaseWrapper(base.DatabaseWrapper):
    """With ``CONN_HEALTH_CHECKS`` Django sends ``SELECT 1`` at the first statement of each request."""

    validation_class = DatabaseValidation

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        """Django's, from the driver's errors to its own."""
        return ErrorWrapper(self)

    def create_cursor(self, name: str | None = None) -> Any:
        """Django's; one with a name, for what is read in portions, makes no noise of its own when it is closed.

        Nobody else has a cursor of that name: where a pooler hands connections round, Django's counter would lead to
        the rows of another process.
        """
        if name is None:
            return super().create_cursor()
        name = f"{name}_{secrets.token_hex(8)}"
        withhold = self.connection.autocommit
        cursor = self.connection.cursor(name, cursor_factory=PortionsCursor, scrollable=False, withhold=withhold)
        cursor.tzinfo_factory = self.tzinfo_factory
        return cursor

    def is_usable(self) -> bool:
        """Whether the connection still stands.

        A server that has ended it, by a restart say, has told so, and there is something to read. Where there is
        nothing, ``SELECT 1`` would say no more; it is sent where there is, and after an error.
        """
        driver = self.connection
        if driver is None or driver.closed or self.errors_occurred:
            return bool(super().is_usable())
        if driver.info.transaction_status == TRANSACTION_STATUS_INERROR or _is_readable(driver.fileno()):
            return bool(super().is_usable())
        return True


class ErrorWrapper(DatabaseErrorWrapper):
    """A connection through which nothing can be written leads to a standby, and a new one may lead to the primary."""

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if getattr(error, "pgcode", None) == READ_ONLY:
            self.wrapper.close_at = time.monotonic()  # type: ignore[attr-defined]  # as if kept for long enough
        super().__exit__(kind, error, traceback)


class PortionsCursor(extensions.cursor):
    """A cursor of PostgreSQL's.

    Where it could not be made, for a lock say, there is none to be closed either: Django closes it all the same, and
    that error would hide the first.
    """

    def close(self) -> None:
        with suppress(psycopg2.Error):
            super().close()


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
