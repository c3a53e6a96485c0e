"""Checks the settings of the real connection: in ``manage.py check --database default``, and whenever a web process or
a worker starts."""

import logging
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db import connection
from django.db.backends.base.validation import BaseDatabaseValidation

from common.database import DATABASE_FAILURES, waits_without_limit

logger = logging.getLogger(__name__)

NO_LOCK_TIMEOUT = Error(
    "lock_timeout is not in force: a request would wait for a locked row without limit.",
    hint="A pooler between HotelMate and PostgreSQL drops the start-up parameter `options`, as PgBouncer does where "
    "ignore_startup_parameters names it. Connect without the pooler, or set the timeout on the database's role: "
    "ALTER ROLE hotelmate SET lock_timeout = '3s'. If DATABASE_URL itself sets it to 0, use another value there.",
    id="hotelmate.E001",
)


class DatabaseValidation(BaseDatabaseValidation):
    """Django runs it with its database checks, also before each ``migrate``."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [*super().check(**kwargs), *([NO_LOCK_TIMEOUT] if waits_without_limit(self.connection) else [])]


def log_problems() -> None:
    """Log what is wrong with this process's database settings; if the database is unreachable, log only that."""
    try:
        for problem in connection.validation.check():
            logger.error("%s %s", problem.msg, problem.hint)
    except DATABASE_FAILURES as error:
        logger.warning("the settings of the database could not be checked: %s", type(error).__name__)
    finally:
        connection.close()
