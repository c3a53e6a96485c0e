"""Database errors and settings in PostgreSQL's own terms, and locks that outlive a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg2
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from django.db.models import QuerySet

# Any failure of the database or the connection: as Django wraps it or, where it does not, as the driver raises it.
DATABASE_FAILURES = (DatabaseError, psycopg2.Error)


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's five-character code of the error; ``None`` if the server sent none."""
    driver = error if isinstance(error, psycopg2.Error) else error.__cause__
    return getattr(driver, "pgcode", None)


def constraint(error: BaseException) -> str:
    """The name of the constraint or rule that was violated; it reveals no data."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "unnamed"


CONNECTION_FAILURES = (OperationalError, InterfaceError, psycopg2.OperationalError, psycopg2.InterfaceError)
# How SQLSTATEs begin of a broken connection, too many connections, a server that stops, a disk that fails. No code at
# all: no connection. (Not all of class 57: 57014 is a statement that took too long.)
UNREACHABLE = ("08", "53", "57P", "58")
# A write on a standby, or on a primary that became a standby while we were connected.
READ_ONLY = "25006"


def is_unreachable(error: BaseException) -> bool:
    """Whether the database cannot be reached or written to, as opposed to being busy or refusing the statement."""
    state = sqlstate(error) or ""
    if isinstance(error, CONNECTION_FAILURES):
        return not state or state.startswith(UNREACHABLE)
    return isinstance(error, DATABASE_FAILURES) and state == READ_ONLY


class Server(NamedTuple):
    """The server to which a connection leads: its role, primary or standby, and whether it refuses writes."""

    role: str
    is_read_only: bool


def server_of(connection: Any) -> Server:
    """The server of this Django connection. A primary, too, can be set to refuse writes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'")
        is_standby, is_read_only = cursor.fetchone()
    return Server("standby" if is_standby else "primary", is_read_only)


def waits_without_limit(connection: Any) -> bool:
    """Whether statements on this connection wait for a lock without limit: no ``lock_timeout`` is in force."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        return bool(cursor.fetchone() == ("0",))


# Constraints that two concurrent transactions can violate although each has checked: unique, exclusion and foreign key
# (with another code for RESTRICT, as of PostgreSQL 18). They depend on other rows, which no check sees in full. CHECK,
# NOT NULL and our triggers (23000) concern rows that the writer has locked.
UNIQUE = "23505"
RACES = {UNIQUE, "23P01", "23503", "23001"}


def is_race(error: BaseException) -> bool:
    """Whether a concurrent change explains the violation; if not, a check is missing, which is a bug."""
    return sqlstate(error) in RACES


@contextmanager
def advisory_lock(namespace: int, number: int) -> Iterator[bool]:
    """Hold one of PostgreSQL's session locks, for work that must have no transaction open (docs/locking.md).

    Never waits: yields whether the lock was free. PostgreSQL releases it with the connection, however the process ends.
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


PORTION = 1000  # rows that one transaction deletes


def delete_in_portions(rows: QuerySet[Any]) -> int:
    """Delete ``rows``, a portion in each transaction, in their order; returns how many.

    So nobody waits for a million rows. ``rows`` are ordered by what they are selected by, so that an index finds them.
    """
    deleted = 0
    while found := list(rows.values_list("pk", flat=True)[:PORTION]):
        # The condition is checked again: a row may have been renewed meanwhile.
        deleted += rows.order_by().filter(pk__in=found).delete()[0]
        if len(found) < PORTION:
            break
    return deleted
