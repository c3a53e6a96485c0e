"""Reads the data set's bookings: N. Antonio, A. de Almeida, L. Nunes, "Hotel booking demand datasets", Data in Brief 22
(2019), CC BY 4.0. One row per booking, without names."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TextIO

SLUGS = {"Resort Hotel": "resort", "City Hotel": "city"}
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class Outcome(StrEnum):
    """The final status of a booking, as spelled in the file."""

    CHECK_OUT = "Check-Out"
    CANCELED = "Canceled"
    NO_SHOW = "No-Show"


@dataclass(frozen=True, slots=True)
class Stay:
    """One row. ``arrival`` equals ``departure`` for day use; ``decided`` is the date of the final status."""

    number: int  # of the row
    hotel: str  # resort or city
    room_type: str  # the assigned one
    booked: date
    arrival: date
    departure: date
    adults: int
    children: int
    amount: Decimal
    outcome: Outcome
    decided: date

    @property
    def is_day_use(self) -> bool:
        return self.arrival == self.departure

    @property
    def left(self) -> date:
        """The actual departure date: some guests leave early, but no overnight guest leaves on the arrival date."""
        first = self.arrival if self.is_day_use else self.arrival + timedelta(days=1)
        return min(self.departure, max(first, self.decided))


def read_stays(path: Path) -> Iterator[Stay]:
    """The rows of a ``.csv`` or ``.csv.gz`` file. Raises ValueError with the number of a row that can't be read."""
    with _text(path) as file:
        for number, row in enumerate(csv.DictReader(file), start=1):
            try:
                yield _stay(number, row)
            except (KeyError, ValueError, ArithmeticError, TypeError) as error:
                raise ValueError(f"row {number} of {path} is not a row of the data set: {error!r}") from error


def _text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def _stay(number: int, row: dict[str, str]) -> Stay:
    month = MONTHS.index(row["arrival_date_month"]) + 1
    arrival = date(int(row["arrival_date_year"]), month, int(row["arrival_date_day_of_month"]))
    nights = int(row["stays_in_weekend_nights"]) + int(row["stays_in_week_nights"])
    # A few rows have only children: one adult is assumed. One has a negative rate, a correction: it counts as zero.
    return Stay(
        number=number,
        hotel=SLUGS[row["hotel"]],
        room_type=row["assigned_room_type"].strip(),
        booked=arrival - timedelta(days=int(row["lead_time"])),
        arrival=arrival,
        departure=arrival + timedelta(days=nights),
        adults=max(1, _count(row["adults"])),
        children=_count(row["children"]) + _count(row["babies"]),
        amount=max(Decimal(0), Decimal(row["adr"]) * nights).quantize(Decimal("0.01")),
        outcome=Outcome(row["reservation_status"].strip()),
        decided=date.fromisoformat(row["reservation_status_date"]),
    )


def _count(text: str) -> int:
    return 0 if text in ("NA", "NULL", "") else int(float(text))
