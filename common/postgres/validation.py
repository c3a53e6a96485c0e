"""Checks that the database connection keeps HotelMate's guarantees: in ``manage.py check --database default``, before
each ``migrate``, and whenever a web process or a worker starts."""

import logging
import os
import signal
import sys
import threading
import time
from contextlib import closing
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.db import connection
from django.db.backends.base.validation import BaseDatabaseValidation

from common.database import DATABASE_FAILURES, waits_without_limit

logger = logging.getLogger(__name__)

NO_LOCK_TIMEOUT = Error(
    "lock_timeout is not in force: a request would wait for a locked row without limit.",
    hint="A pooler does not pass on the settings of a connection, so set it on the database's role: "
    "ALTER ROLE hotelmate SET lock_timeout = '3s' (docs/scaling.md), and reconnect the pooler. If DATABASE_URL itself "
    "sets it to 0, use another value there.",
    id="hotelmate.E001",
)
TRANSACTION_POOLER = Error(
    "A transaction pooler is between HotelMate and PostgreSQL: session locks would leak, and statements would not find "
    "what they prepared.",
    hint="For web processes set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL; the worker and all commands must "
    "connect directly or through a pooler in session mode (docs/scaling.md).",
    id="hotelmate.E002",
)
NO_SESSION = Error(
    "The worker needs sessions of its own, and its connection is set up for a transaction pooler.",
    hint="Start it with `manage.py worker`, which connects to DATABASE_DIRECT_URL.",
    id="hotelmate.E003",
)
ASCII_LOCALE = Error(
    "The database's locale or encoding knows no letters beyond ASCII: a search for елена would not find Елена.",
    hint="Create the database with --encoding=UTF8 --locale=C.UTF-8 --template=template0, and restore a dump into it "
    "(docs/deployment.md).",
    id="hotelmate.E004",
)
NO_OPTIONS = Error(
    "A pooler refuses the start-up parameter `options`, by which each connection sets lock_timeout.",
    hint="For PgBouncer in transaction mode set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL; in session mode "
    "set ignore_startup_parameters = options there, and lock_timeout on the database's role (docs/scaling.md).",
    id="hotelmate.E005",
)
UNSET = "hotelmate.W001"
# Seconds between attempts to check an unreachable database.
PAUSE = 1.0
EXIT_CODE = 3  # gunicorn's "worker failed to boot": its master then stops, instead of starting the next one


class DatabaseValidation(BaseDatabaseValidation):
    """Django runs it with its database checks, also before each ``migrate``."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [*super().check(**kwargs), *problems(self.connection)]


def problems(database: Any) -> list[CheckMessage]:
    """What is wrong with the settings of this connection: errors for lost guarantees, a warning for lost speed."""
    found: list[CheckMessage] = []
    try:
        database.ensure_connection()
    except DATABASE_FAILURES as error:
        if "startup parameter" in str(error):  # PgBouncer's refusal; libpq knows no code for it
            return [NO_OPTIONS]
        raise
    if not database.is_pooled and shares_sessions(database):
        found.append(TRANSACTION_POOLER)
    if waits_without_limit(database):
        found.append(NO_LOCK_TIMEOUT)
    if not folds_letters(database):
        found.append(ASCII_LOCALE)
    if unset := [name for name in unset_settings(database) if name != "lock_timeout"]:
        found.append(checks.Warning(f"Not set on the database's role: {', '.join(unset)} (docs/scaling.md).", id=UNSET))
    return found


def shares_sessions(database: Any) -> bool:
    """Whether a pooler shares PostgreSQL's sessions between clients, after each transaction or statement.

    Otherwise two clients keep two sessions. Shared sessions show when two clients meet in one, or one client in two.
    """
    with closing(database.copy()) as other:
        own, theirs = _backend(database), _backend(other)
        # In this order, a pool that hands out its sessions in turn shows itself, too.
        order = [(other, theirs), (database, own)] * 3
        return own == theirs or any(_backend(client) != before for client, before in order)


def _backend(database: Any) -> int:
    """The id of the process that runs our statement."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    return int(pid)


def folds_letters(database: Any) -> bool:
    """Whether the database's locale and encoding have upper and lower case beyond ASCII, as searches need."""
    with database.cursor() as cursor:
        cursor.execute("SELECT getdatabaseencoding()")
        if cursor.fetchone() != ("UTF8",):
            return False
        cursor.execute("SELECT lower('Е') = 'е'")  # Cyrillic
        return bool(cursor.fetchone()[0])


def unset_settings(database: Any) -> list[str]:
    """The names of our session settings that neither the connection, nor the role, nor the server sets."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND source = 'default' ORDER BY name",
            [list(settings.SESSION_SETTINGS)],
        )
        return [name for (name,) in cursor.fetchall()]


def require_guarantees(*, session: bool = False) -> None:
    """Exit this process, with one sentence in the log, if the database connection loses a guarantee.

    An unreachable database is no reason: it is checked as soon as it is back. ``session``: the process needs sessions
    of its own. Call it before serving or working; it leaves no connection open.
    """
    if session and connection.is_pooled:  # type: ignore[attr-defined]  # common.postgres.base's
        _log([NO_SESSION])
        sys.exit(EXIT_CODE)
    try:
        is_sound = _look()
    except DATABASE_FAILURES as error:
        logger.warning("the settings of the database could not be checked: %s", type(error).__name__)
        threading.Thread(target=_look_again, name="database-check", daemon=True).start()
        return
    if not is_sound:
        sys.exit(EXIT_CODE)


def _look() -> bool:
    try:
        found = problems(connection)
    finally:
        connection.close()
    _log(found)
    return not any(problem.is_serious() for problem in found)


def _look_again() -> None:
    """Check the database when it is back. If it loses a guarantee, stop as on SIGTERM: the next start is refused."""
    while True:
        time.sleep(PAUSE)
        try:
            if not _look():
                os.kill(os.getpid(), signal.SIGTERM)
            return
        except DATABASE_FAILURES:
            continue


def _log(found: list[CheckMessage]) -> None:
    for problem in found:
        logger.log(problem.level, " ".join(filter(None, [problem.msg, problem.hint])))
