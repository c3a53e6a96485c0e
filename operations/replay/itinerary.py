"""When the steps of a stay happen: the file knows the days, the hours are plausible ones, the same in every run.

A day in the house, on its own clock: who did not come last night is a no-show (02:30), departures (07:30 to 10:55) and
housekeeping behind them (until 13:00), day use in (13:00 to 14:00), overnight arrivals (14:00 to 22:00, a few until
00:50), day use out (16:00 to 17:00) and housekeeping again. Requests and cancellations come in all day. No hour is one
that summer time skips or repeats.
"""

import random
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from hotel import calendar
from hotel.models import Hotel
from operations.replay.records import Outcome, Stay


class Operation(StrEnum):
    """The steps, each one call of a service."""

    CREATE = "create"
    CANCEL = "cancel"
    NO_SHOW = "no-show"
    CHECK_IN = "check-in"
    CHECK_OUT = "check-out"
    START_CLEANING = "start cleaning"
    MARK_CLEANED = "mark cleaned"
    INSPECT = "inspect"


class Step(NamedTuple):
    """``operation`` on ``subject`` (a row number, or a room's id) at ``moment``; steps sort by when they happen."""

    moment: datetime
    subject: int
    operation: Operation


AUDIT = time(2, 30)  # after the business day is over, by the default late_arrival_cutoff
LATE_SHARE = 0.04  # of overnight arrivals, who come between 22:00 and 00:50
SOON = timedelta(minutes=10)


def steps(stay: Stay, hotel: Hotel, first_day: date) -> Iterator[Step]:
    """All steps of the stay, from its creation, which is no earlier than ``first_day``, to its end."""
    chance = random.Random(f"{stay.hotel} {stay.number}")  # noqa: S311 - the same hours in every run
    created = _at(hotel, max(stay.booked, first_day), chance, 7, 21)
    if stay.outcome is Outcome.CANCELED:
        # Before its own creation where the lead time was cut short: then right after it.
        cancelled = max(_at(hotel, stay.decided, chance, 9, 21.75), created + SOON)
        yield Step(created, stay.number, Operation.CREATE)
        yield Step(cancelled, stay.number, Operation.CANCEL)
        return
    arrives = _arrival(stay, hotel, chance)
    # A walk-in is booked at the desk.
    yield Step(min(created, arrives - SOON), stay.number, Operation.CREATE)
    if stay.outcome is Outcome.NO_SHOW:
        audit = calendar.at(hotel, stay.arrival + timedelta(days=1), AUDIT)
        yield Step(audit + timedelta(minutes=chance.uniform(0, 30)), stay.number, Operation.NO_SHOW)
        return
    yield Step(arrives, stay.number, Operation.CHECK_IN)
    leaves = _at(hotel, stay.left, chance, *((16, 17) if stay.is_day_use else (7.5, 10.9)))
    yield Step(leaves, stay.number, Operation.CHECK_OUT)


def _arrival(stay: Stay, hotel: Hotel, chance: random.Random) -> datetime:
    if stay.is_day_use:
        return _at(hotel, stay.arrival, chance, 13, 14)
    if chance.random() < LATE_SHARE:
        return calendar.at(hotel, stay.arrival, time(22)) + timedelta(minutes=chance.uniform(0, 170))
    return _at(hotel, stay.arrival, chance, 14, 22)


def turnover(room_id: int, vacated: datetime, *, in_a_hurry: bool) -> Iterator[Step]:
    """Housekeeping's steps on a room that a guest has just left; ``in_a_hurry`` when the next may come this evening."""
    chance = random.Random(f"{room_id} {vacated}")  # noqa: S311 - the same hours in every run
    began = vacated + timedelta(minutes=chance.uniform(5, 10 if in_a_hurry else 40))
    cleaned = began + timedelta(minutes=chance.uniform(20, 25 if in_a_hurry else 45))
    yield Step(began, room_id, Operation.START_CLEANING)
    yield Step(cleaned, room_id, Operation.MARK_CLEANED)
    yield Step(cleaned + timedelta(minutes=chance.uniform(5, 30)), room_id, Operation.INSPECT)


def _at(hotel: Hotel, day: date, chance: random.Random, first_hour: float, last_hour: float) -> datetime:
    """A moment of the hotel's ``day`` between two hours of its clock, to the second."""
    seconds = int(chance.uniform(first_hour, last_hour) * 3600)
    wall = time(seconds // 3600, seconds // 60 % 60, seconds % 60)
    return calendar.at(hotel, day, wall)
