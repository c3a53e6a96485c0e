"""The connection to PostgreSQL: Django's, but that a kept one is looked at, and not asked, before it is used again, and
that a list in portions tells why it ended."""

import select
from contextlib import suppress
from typing import Any

import psycopg2
from django.db.backends.postgresql import base
from psycopg2 import extensions
from psycopg2.extensions import TRANSACTION_STATUS_INERROR


class DatabaseWrapper(base.DatabaseWrapper):
    """With ``CONN_HEALTH_CHECKS`` Django sends ``SELECT 1`` at the first statement of each request."""

    def create_cursor(self, name: str | None = None) -> Any:
        """Django's; one with a name, for what is read in portions, makes no noise of its own when it is closed."""
        if name is None:
            return super().create_cursor()
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
