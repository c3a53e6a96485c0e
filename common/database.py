"""What a Django database error says of itself in PostgreSQL's terms, and locks that outlive a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection

# Whatever goes wrong between us and PostgreSQL, as Django wraps it and, where it does not, as the driver says it.
DATABASE_FAILURES = (DatabaseError, psycopg2.Error)


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's five-character code of the error; ``None`` where there was no answer."""
    return getattr(error.__cause__, "pgcode", None)


def constraint(error: BaseException) -> str:
    """The name of the constraint or rule that refused; it names no data."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "unnamed"


# The classes of its code for a broken connection, too many of them, a server that stops. No code at all: no connection.
UNREACHABLE = ("08", "53", "57")
# A write where nothing can be written: on a standby, or a primary that has been made one under our connection.
READ_ONLY = "25006"


def is_unreachable(error: BaseException) -> bool:
    """Whether the database is away, rather than busy or of another opinion."""
    state = sqlstate(error) or ""
    if isinstance(error, OperationalError | InterfaceError):
        return not state or state.startswith(UNREACHABLE)
    return isinstance(error, DatabaseError) and state == READ_ONLY


def is_read_only(connection: Any) -> bool:
    """Whether nothing can be written through this connection of Django's: it leads to a standby, say."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        return bool(cursor.fetchone() == ("on",))


def waits_without_limit(connection: Any) -> bool:
    """Whether a statement of this connection never gives up on a lock: no ``lock_timeout`` is in force."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        return bool(cursor.fetchone() == ("0",))


# What two at the same moment can break although each has checked: a unique, an exclusion or a foreign-key constraint
# (the last has another code where it restricts, as of PostgreSQL 18). Rows of others decide these, and no check sees
# all of them. A CHECK, a NOT NULL and our triggers (23000) are about rows that the writer has locked.
UNIQUE = "23505"
RACES = {UNIQUE, "23P01", "23503", "23001"}


def is_race(error: BaseException) -> bool:
    """Whether a constraint refused what was right a moment before; otherwise nobody had checked, which is a bug."""
    return sqlstate(error) in RACES


@contextmanager
def advisory_lock(namespace: int, number: int) -> Iterator[bool]:
    """Hold one of PostgreSQL's session locks, for work that must have no transaction open (docs/locking.md).

    Never waits: yields whether the lock was to be had. It goes with the connection, however the process ends.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [namespace, number])
        [alone] = cursor.fetchone()
    try:
        yield alone
    finally:
        if alone and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [namespace, number])
