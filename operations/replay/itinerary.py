"""The times of a stay's actions: the data set has the dates, the hours are plausible and the same in every run.

A day in hotel local time: last night's no-shows (02:30), departures (07:30 to 10:55) followed by housekeeping (until
13:00), day use arrivals (13:00 to 14:00), overnight arrivals (14:00 to 22:00, a few until 00:50), day use departures
(16:00 to 17:00) and housekeeping again. Bookings and cancellations arrive all day. No time falls in an hour that
daylight saving skips or repeats.
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
    """The actions, each one call of a service."""

    CREATE = "create"
    CANCEL = "cancel"
    NO_SHOW = "no-show"
    CHECK_IN = "check-in"
    CHECK_OUT = "check-out"
    START_CLEANING = "start cleaning"
    MARK_CLEANED = "mark cleaned"
    INSPECT = "inspect"


class Step(NamedTuple):
    """``operation`` on ``subject`` (a row number or a room id) at ``moment``; steps sort by time."""

    moment: datetime
    subject: int
    operation: Operation


NO_SHOW_TIME = time(2, 30)  # after the default late_arrival_cutoff, when the business day has ended
LATE_SHARE = 0.04  # of overnight arrivals; these come between 22:00 and 00:50
SHORT_DELAY = timedelta(minutes=10)


def steps(stay: Stay, hotel: Hotel, first_day: date) -> Iterator[Step]:
    """All steps of the stay, from its creation (on ``first_day`` at the earliest) to its end."""
    chance = random.Random(f"{stay.hotel} {stay.number}")  # noqa: S311 - the same hours in every run
    created = _at(hotel, max(stay.booked, first_day), chance, 7, 21)
    if stay.outcome is Outcome.CANCELED:
        # Right after creation, where ``first_day`` has moved that past the cancellation.
        cancelled = max(_at(hotel, stay.decided, chance, 9, 21.75), created + SHORT_DELAY)
        yield Step(created, stay.number, Operation.CREATE)
        yield Step(cancelled, stay.number, Operation.CANCEL)
        return
    arrives = _arrival(stay, hotel, chance)
    # A walk-in is booked at the front desk.
    yield Step(min(created, arrives - SHORT_DELAY), stay.number, Operation.CREATE)
    if stay.outcome is Outcome.NO_SHOW:
        no_show_at = calendar.at(hotel, stay.arrival + timedelta(days=1), NO_SHOW_TIME)
        yield Step(no_show_at + timedelta(minutes=chance.uniform(0, 30)), stay.number, Operation.NO_SHOW)
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
    """Housekeeping steps on a vacated room; ``in_a_hurry`` if the next guest may arrive this evening."""
    chance = random.Random(f"{room_id} {vacated}")  # noqa: S311 - the same hours in every run
    began = vacated + timedelta(minutes=chance.uniform(5, 10 if in_a_hurry else 40))
    cleaned = began + timedelta(minutes=chance.uniform(20, 25 if in_a_hurry else 45))
    yield Step(began, room_id, Operation.START_CLEANING)
    yield Step(cleaned, room_id, Operation.MARK_CLEANED)
    yield Step(cleaned + timedelta(minutes=chance.uniform(5, 30)), room_id, Operation.INSPECT)


def _at(hotel: Hotel, day: date, chance: random.Random, first_hour: float, last_hour: float) -> datetime:
    """A random time on ``day`` between two hours of hotel local time, to the second."""
    seconds = int(chance.uniform(first_hour, last_hour) * 3600)
    wall = time(seconds // 3600, seconds // 60 % 60, seconds % 60)
    return calendar.at(hotel, day, wall)
