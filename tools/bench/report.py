"""The figures and their targets, as Markdown tables and as JSON."""

import json
from pathlib import Path
from typing import Any, NamedTuple

# The upper limit of each row's figure; AT_LEAST has lower limits. ``× SQL view`` is a share of the floor's throughput.
AT_MOST = {
    ("set_room_status", "× by hand"): 3.0,
    ("status update", "statements"): 7,
    ("status update", "web ms"): 5.0,
    ("status update", "PostgreSQL ms"): 2.0,
    ("status update, pooled", "× direct"): 1.6,
    ("rooms by status, 50 rooms", "web × update"): 1.5,
    ("rooms by status, 1,000 rooms", "statements"): 5,
    ("rooms by status, 1,000 rooms", "alone ms"): 60.0,
    ("dashboard, 1,000 rooms", "statements"): 5,
    ("dashboard, 1,000 rooms", "alone ms"): 60.0,
    ("bookings page of 100,000", "statements"): 8,
    ("bookings page of 100,000", "alone ms"): 60.0,
    ("bookings page of 2,000", "web × update"): 2.0,
    ("cancel", "statements"): 13,
    ("assign", "statements"): 13,
    ("check-in", "statements"): 17,
    ("check-out", "statements"): 17,
    ("move", "statements"): 22,
    ("move", "web × update"): 3.5,
    ("check-out of 50 rooms", "statements"): 40,
    ("check-out of 50 rooms", "ms"): 250.0,
    ("status update, 5,000,000 rows, 1 hotel", "× buffers"): 1.2,
    ("status update, 5,000,000 rows, 1 hotel", "other plans"): 0,
    ("status update, 5,000,000 rows, 1 hotel", "read all of it"): 0,
    ("status update, 5,000,000 rows, 500 hotels", "× buffers"): 1.2,
    ("status update, 5,000,000 rows, 500 hotels", "other plans"): 0,
    ("status update, 5,000,000 rows, 500 hotels", "read all of it"): 0,
    ("history, 5,000,000 rows, 1 hotel", "× buffers"): 1.2,
    ("history, 5,000,000 rows, 500 hotels", "× buffers"): 1.2,
    ("worker, hotels of up to 1,000 rooms", "MB"): 100.0,
    ("worker", "MB"): 100.0,
    ("tick, nothing due, many hotels", "ms"): 200.0,
    ("tick, 1 % due, many hotels", "ms"): 5000.0,
    ("admin home of a superuser, many hotels", "ms"): 300.0,
    ("/metrics, many hotels", "ms"): 300.0,
    ("/readyz, many hotels", "ms"): 300.0,
    ("check_invariants, many hotels", "ms"): 600_000.0,
    ("idle worker with relay, many hotels", "% of a core"): 2.0,
}
AT_LEAST = {("status update", "× SQL view"): 0.5}


class Row(NamedTuple):
    """A line of a section's table."""

    name: str
    figures: dict[str, float]


class Verdict(NamedTuple):
    """A target and the measured figure."""

    row: str
    figure: str
    measured: float
    target: str
    word: str  # within target, or over target


class Report:
    """The measured sections."""

    def __init__(self, machine: dict[str, Any], *, quick: bool) -> None:
        self.machine = machine
        self.quick = quick
        self.sections: dict[str, list[Row]] = {}
        self.notes: list[str] = []

    def add(self, section: str, rows: list[Row]) -> None:
        self.sections[section] = rows

    def verdicts(self) -> list[Verdict]:
        """The verdict on each target that was measured."""
        rows = {row.name: row.figures for rows in self.sections.values() for row in rows}
        found = []
        for limits, sign in ((AT_MOST, "≤"), (AT_LEAST, "≥")):
            for (name, figure), limit in limits.items():
                if figure in rows.get(name, {}):
                    measured = rows[name][figure]
                    # Compare the displayed figure: 3.004 counts as 3.00.
                    shown = round(measured, 2)
                    kept = shown <= limit if sign == "≤" else shown >= limit
                    found.append(
                        Verdict(
                            name,
                            figure,
                            measured,
                            f"{sign} {number(limit)}",
                            "within target" if kept else "over target",
                        )
                    )
        return found

    def text(self) -> str:
        """The report as Markdown tables, readable in a terminal."""
        facts = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        lines = [f"Measured on: {facts}."]
        if not self.machine["quiet"]:
            lines += ["", "THE MACHINE WAS BUSY with other things: ignore the times; the counts are right."]
        if self.quick:
            lines += ["", "A quick run: too short for useful figures."]
        for title, rows in self.sections.items():
            columns = list(dict.fromkeys(figure for row in rows for figure in row.figures))
            cells = [[row.name, *(number(row.figures.get(column)) for column in columns)] for row in rows]
            lines += ["", f"## {title}", "", *table([title, *columns], cells)]
        if verdicts := self.verdicts():
            cells = [[v.row, v.figure, number(v.measured), v.target, v.word] for v in verdicts]
            lines += ["", "## Targets", "", *table(["", "figure", "measured", "target", ""], cells)]
        return "\n".join([*lines, "", *self.notes])

    def write(self, file: Path) -> None:
        """Write the report as JSON."""
        content = {
            "machine": self.machine,
            "quick": self.quick,
            "sections": {
                title: [{"name": row.name, **row.figures} for row in rows] for title, rows in self.sections.items()
            },
            "targets": [verdict._asdict() for verdict in self.verdicts()],
            "notes": self.notes,
        }
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def number(value: float | None) -> str:
    """Format with the significant digits."""
    if value is None:
        return ""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table with aligned columns: names to the left, figures to the right."""
    widths = [max(len(line[place]) for line in [head, *rows]) for place in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *rest = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return [line(head), line(rule), *(line(cells) for cells in rows)]
