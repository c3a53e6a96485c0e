"""Counts calls, statements and seconds of each operation of a replay, and its refusals."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

SAVEPOINTS = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT")


@dataclass
class Tally:
    """Totals of one operation; ``statements`` exclude savepoints, BEGIN and COMMIT."""

    calls: int = 0
    seconds: float = 0.0
    statements: int = 0


@dataclass
class Meter:
    """Totals over the steps of one process, then over all processes."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)  # (operation, code)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    _statements: int = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count the connection's statements within the block."""
        with connection.execute_wrapper(self._count):
            yield

    @contextmanager
    def measure(self, operation: str) -> Iterator[None]:
        """Count the block as one call of ``operation``, whether or not it is refused."""
        began, statements = time.perf_counter(), self._statements
        try:
            yield
        finally:
            tally = self.tallies.setdefault(operation, Tally())
            tally.calls += 1
            tally.seconds += time.perf_counter() - began
            tally.statements += self._statements - statements

    def refused(self, operation: str, code: str, sentence: str) -> None:
        """Count a refusal; the first message of each kind is kept."""
        self.refusals[operation, code] += 1
        self.examples.setdefault((operation, code), sentence)

    def add(self, other: "Meter") -> None:
        """Add the totals of another process."""
        for operation, theirs in other.tallies.items():
            tally = self.tallies.setdefault(operation, Tally())
            tally.calls += theirs.calls
            tally.seconds += theirs.seconds
            tally.statements += theirs.statements
        self.refusals += other.refusals
        self.examples = other.examples | self.examples

    def _count(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(SAVEPOINTS):
            self._statements += 1
        return execute(sql, params, many, context)
