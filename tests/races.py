"""Overlapping writers: the first holds its transaction open until PostgreSQL reports that the others wait for it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from common import clock
from common.prepared import PreparedRead

PATIENCE = 10  # seconds; a passing test needs less than one


@contextmanager
def locks_removed() -> Iterator[None]:
    """Disable row locks, to show that the race happens without them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuerySet, "select_for_update", lambda self, **_options: self)
        # Prepared reads contain their own FOR UPDATE.
        patch.setattr(PreparedRead, "read", lambda self, **keys: list(self.queryset(**keys)))
        yield


class Writer(threading.Thread):
    """Runs ``work`` in a thread with its own database connection; ``outcome()`` returns its result or its exception."""

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
        assert not self.is_alive(), "the writer is still running"
        return self.result


def waiting(condition: str = "true") -> int:
    """How many sessions in the test database wait for a lock; ``condition`` is SQL about ``blockers``, their pids.

    Behind a pooler a writer has no session of its own until its transaction begins, so none is asked for by its pid.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction keeps seeing its first result
        cursor.execute(f"""
            SELECT count(*) FROM pg_stat_activity CROSS JOIN LATERAL pg_blocking_pids(pid) blockers
            WHERE datname = current_database() AND cardinality(blockers) > 0 AND {condition}
        """)
        return int(cursor.fetchone()[0])


def in_time(work: Callable[[], Any]) -> Callable[[], Any]:
    """``work`` in another thread, at the same fixed time."""
    now = clock.now()

    def run() -> Any:
        with clock.set_to(now):
            return work()

    return run


def overlap(first: Callable[[], Any], *others: Callable[[], Any], waits: bool = True) -> tuple[Any, list[Any]]:
    """Run ``first``, hold its transaction open until all the others wait for a lock, then commit.

    Returns the result of ``first`` and those of the others (the exception if one was raised). With ``waits=False``
    the others must finish while the first is still open, as they do without a lock.
    """
    with transaction.atomic():
        result = first()
        writers = [Writer(work) for work in others]
        for writer in writers:
            writer.start()
        for writer in writers:
            assert writer.connected.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        # Locks queue: the second may wait for the first, and the third for the second.
        while waits and not waiting("pg_backend_pid() = ANY(blockers)"):
            assert any(writer.is_alive() for writer in writers), [writer.result for writer in writers]
            assert time.monotonic() < deadline, "no writer waited: there is no lock"
            time.sleep(0.005)
        while waits and waiting() < len(writers):
            assert time.monotonic() < deadline, "some writer never waited"
            time.sleep(0.005)
        if not waits:
            for writer in writers:
                writer.outcome()
    return result, [writer.outcome() for writer in writers]
