"""Dry runs: a request does all its work in one transaction, reports what that changed, and is rolled back.

Most code does not know about them: triggers (``common.triggers.ReportedInDryRun``) note each changed row in a
table whose rows never outlive the transaction. The few places that do know are those that PostgreSQL cannot roll back
or repeat: keys from sequences (``new_key``), values that the real call will choose anew (``made_up``), durable
transactions (``durable``), and calls to the payment provider. See docs/decisions/0012-dry-run.md.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any, NamedTuple, TypeVar

from django.db import connection, transaction

from common.errors import HotelMateError

T = TypeVar("T")
Row = dict[str, Any]  # a stored row by column, as PostgreSQL writes it in JSON


class Change(NamedTuple):
    """One row before and after the dry run; ``None`` if there is none."""

    before: Row | None
    after: Row | None


# What an answer reports, each a list (docs/api.md, Dry run).
EFFECTS = ("rooms", "bookings", "blocks", "tasks", "room_types", "settings", "events", "mails", "payments")
NOTED = """
    SELECT table_name, before::text, after::text FROM hotel_dryrunchange
    WHERE before IS DISTINCT FROM after ORDER BY table_name, row_id < 0, row_id
"""


class Rehearsal:
    """One dry run, and what it found out when it has ended; ``effects`` is for the caller to set."""

    def __init__(self) -> None:
        self.changes: dict[str, list[Change]] = {}  # by table; in the order of their ids, new rows last
        self.payments: list[dict[str, Any]] = []  # what the provider would have been asked
        self.effects: dict[str, Any] = {name: [] for name in EFFECTS}
        self.made_up: set[Any] = set()
        # Below every real key, unlike any other dry run's, and ascending.
        self.keys = count(-(2**61) - secrets.randbits(61))

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Run the block in a transaction that is rolled back.

        A refusal that the block raises is raised. ``changes`` then has what it leaves behind: nothing, unless the
        service has two transactions and has committed the first by then.
        """
        token = _current.set(self)
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL hotelmate.dry_run = 'on'")
                try:
                    yield
                except HotelMateError:
                    self._end()
                    raise
                self._end()
                transaction.set_rollback(True)
        finally:
            _current.reset(token)

    def _end(self) -> None:
        with connection.cursor() as cursor:
            # As a commit does: deferred constraints may still refuse.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(NOTED)
            for table, *images in cursor.fetchall():
                before, after = (image and json.loads(image) for image in images)
                self.changes.setdefault(table, []).append(Change(before, after))

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the real call's response, with the effects, and null for each made-up value."""
        answer: dict[str, Any] = _without({**body, "dry_run": True, "effects": self.effects}, self.made_up)
        return answer


_current: ContextVar[Rehearsal | None] = ContextVar("dry_run", default=None)


def is_on() -> bool:
    """Whether this is a dry run."""
    return _current.get() is not None


def new_key() -> int | None:
    """A primary key for a new row of a dry run; ``None`` outside, where PostgreSQL numbers it.

    A sequence does not roll back, so a dry run must not use one. Such a row sorts before all others: where the newest
    is meant, order by time.
    """
    found = _current.get()
    return None if found is None else made_up(next(found.keys))


def made_up(value: T) -> T:
    """A value that the real call will choose anew, such as a random number: a dry run answers null in its place."""
    found = _current.get()
    if found is not None:
        found.made_up.add(value)
    return value


@contextmanager
def durable() -> Iterator[None]:
    """``transaction.atomic(durable=True)``; in a dry run, whose transaction is open already, a part of it."""
    with transaction.atomic(durable=not is_on()):
        yield


def note_payment(**request: Any) -> None:
    """Note what the payment provider would have been asked now. Only in a dry run."""
    found = _current.get()
    assert found is not None
    found.payments.append(request)


def _without(value: Any, made_up: set[Any]) -> Any:
    """JSON-safe data with null in place of each value of ``made_up``."""
    if isinstance(value, Mapping):
        return {key: _without(inner, made_up) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without(inner, made_up) for inner in value]
    return None if isinstance(value, int | str) and value in made_up else value
