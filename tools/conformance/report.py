"""The printed report: a line for each row, and its deviations."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.conformance.session import Session

Check = Callable[["Session"], None]


class Deviation(Exception):
    """A response after which the row cannot continue."""


@dataclass
class Row:
    """One row of the checks: its section of the API, its title, and the function that makes the requests."""

    section: str
    title: str
    check: Check
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    # Why this installation cannot reach the case; in the one started for the run everything can be reached.
    not_reached: str = ""


class Table:
    """The rows of one section, in the order in which they run."""

    def __init__(self, section: str) -> None:
        self.section = section
        self.rows: list[Row] = []

    def row(self, title: str) -> Callable[[Check], Check]:
        """Register a function as a row."""

        def add(check: Check) -> Check:
            self.rows.append(Row(self.section, title, check))
            return check

        return add


def once(lines: list[str]) -> list[str]:
    """Each deviation once, whatever its index in an array."""
    return list(dict.fromkeys(re.sub(r"\[\d+\]", "[]", line) for line in lines))


class Report:
    """Counts the deviations, and prints each row when it is done."""

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self.rows: list[Row] = []
        self._say = say
        self._began = time.monotonic()

    def done(self, row: Row) -> None:
        """Print the row's line."""
        self.rows.append(row)
        verdict = "WRONG" if row.wrong else (f"not reached: {row.not_reached}" if row.not_reached else "ok")
        self._say(f"{row.section:<12} {row.title:<66.66} {row.calls:>4}  {verdict}")
        row.wrong = once(row.wrong)
        for line in row.wrong[:12]:
            self._say(f"      {line}")
        if len(row.wrong) > 12:
            self._say(f"      and {len(row.wrong) - 12} more")

    def summary(self) -> bool:
        """Print the summary; returns whether there was no deviation."""
        wrong = [row for row in self.rows if row.wrong]
        left = [row for row in self.rows if row.not_reached and not row.wrong]
        deviations = sum(len(row.wrong) for row in wrong)
        self._say(
            f"\n{len(self.rows)} rows, {sum(row.calls for row in self.rows):,} requests, "
            f"{time.monotonic() - self._began:.0f} s: {deviations or 'no'} deviations"
            + (f" in {len(wrong)} rows" if wrong else "")
            + (f", {len(left)} rows not reached" if left else "")
        )
        return not wrong
