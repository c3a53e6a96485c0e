"""The connection to PostgreSQL: Django's, but that a kept one is looked at, and not asked, before it is used again."""

import select

from django.db.backends.postgresql import base
from psycopg2.extensions import TRANSACTION_STATUS_INERROR


class DatabaseWrapper(base.DatabaseWrapper):
    """With ``CONN_HEALTH_CHECKS`` Django sends ``SELECT 1`` at the first statement of each request."""

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


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
