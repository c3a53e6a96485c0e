"""What a replay counts as it goes: calls, statements and seconds of each operation, and refusals."""

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
    """One operation: how often, how long in all, how many statements in all (savepoints, BEGIN and COMMIT aside)."""

    calls: int = 0
    seconds: float = 0.0
    statements: int = 0


@dataclass
class Meter:
    """Adds up over the steps of one process, then over all processes."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)  # (operation, code)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    _statements: int = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within the block, the connection's statements are counted."""
        with connection.execute_wrapper(self._count):
            yield

    @contextmanager
    def measure(self, operation: str) -> Iterator[None]:
        """The block is one call of ``operation``, refused or not."""
        began, statements = time.perf_counter(), self._statements
        try:
            yield
        finally:
            tally = self.tallies.setdefault(operation, Tally())
            tally.calls += 1
            tally.seconds += time.perf_counter() - began
            tally.statements += self._statements - statements

    def refused(self, operation: str, code: str, sentence: str) -> None:
        """Note a refusal; the first sentence of each kind is kept."""
        self.refusals[operation, code] += 1
        self.examples.setdefault((operation, code), sentence)

    def add(self, other: "Meter") -> None:
        """Take over what another process counted."""
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
