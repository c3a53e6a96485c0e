"""What is printed: one line for each row of the contract, and what was wrong."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.conformance.world import World

Play = Callable[["World"], None]


class Deviation(Exception):
    """An answer that leaves no way to go on with the row."""


@dataclass
class Row:
    """One row of the contract: where it stands, what it is about, and the calls that try it."""

    section: str
    title: str
    play: Play
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    # What this HotelMate gives no occasion for; with the one that is made for the purpose there is nothing.
    not_reached: str = ""


class Table:
    """The rows of one section, in the order in which they are played."""

    def __init__(self, section: str) -> None:
        self.section = section
        self.rows: list[Row] = []

    def row(self, title: str) -> Callable[[Play], Play]:
        """Marks a function that plays one row."""

        def add(play: Play) -> Play:
            self.rows.append(Row(self.section, title, play))
            return play

        return add


def once(lines: list[str]) -> list[str]:
    """Each deviation once, wherever in an array it stands."""
    return list(dict.fromkeys(re.sub(r"\[\d+\]", "[]", line) for line in lines))


class Report:
    """Counts, and prints each row when it is done."""

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self.rows: list[Row] = []
        self._say = say
        self._began = time.monotonic()

    def done(self, row: Row) -> None:
        """Print the row's line."""
        self.rows.append(row)
        verdict = "WRONG" if row.wrong else (f"not reached: {row.not_reached}" if row.not_reached else "ok")
        self._say(f"{row.section:>2}  {row.title:<66.66} {row.calls:>4}  {verdict}")
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
