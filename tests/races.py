"""Forcing two writers to overlap: one holds its transaction open until PostgreSQL says that the other waits for it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from common.prepared import PreparedRead

PATIENCE = 10  # seconds; nothing here takes one


@contextmanager
def locks_removed() -> Iterator[None]:
    """The code as it would be if somebody forgot to lock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuerySet, "select_for_update", lambda self, **_options: self)
        # What is prepared already locks.
        patch.setattr(PreparedRead, "read", lambda self, **keys: list(self.queryset(**keys)))
        yield


class Writer(threading.Thread):
    """Runs ``work`` in a thread with a database connection of its own; ``outcome()`` gives its result or its error."""

    def __init__(self, work: Callable[[], Any]):
        super().__init__(daemon=True)
        self.work = work
        self.connected = threading.Event()
        self.pid: int = 0
        self.result: Any = None

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.pid = cursor.fetchone()[0]
            self.connected.set()
            self.result = self.work()
        except Exception as error:
            self.result = error
        finally:
            self.connected.set()
            connection.close()

    def outcome(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "the writer never ended"
        return self.result


def blocked_by_me(pid: int) -> bool:
    """Whether the backend ``pid`` waits for a lock of this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid() = ANY(pg_blocking_pids(%s))", [pid])
        return bool(cursor.fetchone()[0])


def overlap(first: Callable[[], Any], *others: Callable[[], Any], waits: bool = True) -> tuple[Any, list[Any]]:
    """Run ``first`` and hold its transaction open until every other one waits for it; then commit and let them go.

    Returns the result of ``first`` and those of the others (an exception where one was raised). With ``waits=False``
    the others are expected to run through while the first is still open, as they do without a lock.
    """
    with transaction.atomic():
        result = first()
        writers = [Writer(work) for work in others]
        for writer in writers:
            writer.start()
        for writer in writers:
            assert writer.connected.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        # Not all need wait for us directly: the second waits for the first, the third for the second.
        while waits and not any(blocked_by_me(writer.pid) for writer in writers):
            assert any(writer.is_alive() for writer in writers), [writer.result for writer in writers]
            assert time.monotonic() < deadline, "nobody ever waited: there is no lock"
            time.sleep(0.005)
        while waits and not all(is_waiting(writer.pid) for writer in writers):
            assert time.monotonic() < deadline, "some writer never waited"
            time.sleep(0.005)
        if not waits:
            for writer in writers:
                writer.outcome()
    return result, [writer.outcome() for writer in writers]


def is_waiting(pid: int) -> bool:
    """Whether the backend ``pid`` waits for any lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid])
        return bool(cursor.fetchone()[0])
