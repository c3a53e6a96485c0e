"""Today's figures of houses, as the admin's home page shows them: three statements for any number of hotels.

Each hotel has its own date. The hotels' dates are rows that the statements join, so that their text does not grow with
the number of hotels: PostgreSQL compiles a condition for each of 500 hotels for minutes.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, DateField, DateTimeField, F, Q, QuerySet

from common import clock
from common.joins import join_rows
from hotel import calendar
from hotel.models import Hotel
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask
from housekeeping.selectors import late_tasks
from room_bookings.models import BookingStatus, RoomBooking
from room_bookings.selectors import arriving, departed, departed_since, late_arrivals
from rooms.models import Priority, Room, RoomStatus

logger = logging.getLogger(__name__)


def _bookable(room: str = "") -> Q:
    """``Room.is_bookable`` in SQL, of the row itself or of the ``room`` that it refers to."""
    facts = {"room_status": RoomStatus.READY_FOR_GUEST, "is_active": True, "maintenance_required": False}
    return Q(**{f"{room}{name}": value for name, value in facts.items()})


_READY = _bookable("assigned_room__")


_ARRIVING = arriving(F("today"))
_IN_HOUSE = Q(status=BookingStatus.IN_HOUSE)
_REQUEST = Q(status=BookingStatus.PENDING_APPROVAL)

# What a house has to see to today: name → which of its bookings, once they are ``on_their_day``. The list of bookings
# filters by the same conditions.
DUES: dict[str, Q] = {
    "arrivals": _ARRIVING,
    "late_arrivals": late_arrivals(F("today")),
    "without_room": _ARRIVING & Q(assigned_room=None),
    "room_ready": _ARRIVING & _READY,
    "room_not_ready": _ARRIVING & Q(assigned_room__isnull=False) & ~_READY,
    "due_out": _IN_HOUSE & Q(check_out__lte=F("today")),
    "in_house": _IN_HOUSE,
    "overdue": _IN_HOUSE & departed(F("overdue_departure"), F("overdue_day_use")),
    "requests": _REQUEST,
    "late_requests": _REQUEST & Q(approval_deadline_at__lt=F("now")),
}


@dataclass
class HouseFigures:
    """One house today. Counts of rooms are of those in service; what was not asked for is empty.

    A house whose day can't be told has no ``business_date``, and no ``dues`` are counted.
    """

    hotel: Hotel
    business_date: date | None
    rooms: int = 0
    bookable: int = 0
    statuses: Mapping[str, int] = field(default_factory=Counter)
    faults: Mapping[str, int] = field(default_factory=Counter)
    dues: Mapping[str, int] = field(default_factory=Counter)
    open_tasks: int = 0
    late_tasks: int = 0


def on_their_day(bookings: QuerySet[RoomBooking], hotels: Iterable[Hotel]) -> QuerySet[RoomBooking]:
    """The bookings of ``hotels``, each with the dates of its own hotel that the conditions of ``DUES`` refer to; none
    of a hotel whose day can't be told."""
    return _dated(bookings, _days(hotels))


def _dated(bookings: QuerySet[RoomBooking], days: Sequence[Mapping[str, Any]]) -> QuerySet[RoomBooking]:
    dates = {name: DateField() for name in ("today", "overdue_departure", "overdue_day_use")}
    return join_rows(bookings, days, on="hotel", columns={"now": DateTimeField(), **dates})


def _days(hotels: Iterable[Hotel]) -> list[dict[str, Any]]:
    """The present day of each hotel. An error in one, such as a timezone that nobody knows, is logged, and hides only
    that one."""
    now = clock.now()
    days = []
    for hotel in hotels:
        try:
            grace = timedelta(minutes=hotel.late_checkout_grace_minutes)
            departure, day_use = departed_since(hotel, now - grace)
            today = calendar.business_date(hotel, now)
        except Exception as error:
            logger.exception("the day of hotel %s can't be told: %s", hotel.slug, type(error).__name__)
            continue
        days.append(
            {"hotel": hotel.pk, "now": now, "today": today, "overdue_departure": departure, "overdue_day_use": day_use}
        )
    return days


def todays_figures(
    hotels: Sequence[Hotel], *, rooms: bool = True, bookings: bool = True, tasks: bool = True
) -> list[HouseFigures]:
    """The figures of each hotel, in the order given; one statement for each of rooms, bookings and tasks."""
    days = _days(hotels)
    dates = {day["hotel"]: day["today"] for day in days}
    houses = {hotel.pk: HouseFigures(hotel, dates.get(hotel.pk)) for hotel in hotels}
    if houses and rooms:
        _count_rooms(houses)
    if days and bookings:
        _count_bookings(houses, days)
    if houses and tasks:
        _count_tasks(houses)
    return list(houses.values())


def _of(houses: Iterable[int], things: QuerySet[Any]) -> QuerySet[Any]:
    return join_rows(things, [{"hotel": pk} for pk in houses], on="hotel", columns={})


def _count_rooms(houses: Mapping[int, HouseFigures]) -> None:
    counts: dict[str, Count] = {status: Count("pk", filter=Q(room_status=status)) for status in RoomStatus.values}
    counts |= {
        f"fault_{priority}": Count("pk", filter=Q(maintenance_required=True, maintenance_priority=priority))
        for priority in Priority.values
    }
    in_service = _of(houses, Room.objects.filter(is_active=True)).order_by().values("hotel")
    row: Any
    for row in in_service.annotate(**counts, bookable=Count("pk", filter=_bookable()), rooms=Count("pk")):
        house = houses[row["hotel"]]
        house.rooms, house.bookable = row["rooms"], row["bookable"]
        house.statuses = Counter({status: row[status] for status in RoomStatus.values})
        house.faults = Counter({priority: row[f"fault_{priority}"] for priority in Priority.values})


def _count_bookings(houses: Mapping[int, HouseFigures], days: Sequence[Mapping[str, Any]]) -> None:
    counts = {name: Count("pk", filter=condition) for name, condition in DUES.items()}
    bookings = _dated(RoomBooking.objects.order_by(), days)
    # The wide ones contain the others.
    wanted = DUES["arrivals"] | DUES["in_house"] | DUES["requests"]
    row: Any
    for row in bookings.filter(wanted).values("hotel").annotate(**counts):
        houses[row["hotel"]].dues = Counter({name: row[name] for name in DUES})


def _count_tasks(houses: Mapping[int, HouseFigures]) -> None:
    tasks = _of(houses, HousekeepingTask.objects.filter(status__in=OPEN_TASK_STATUSES)).order_by().values("hotel")
    for row in tasks.annotate(open=Count("pk"), late=Count("pk", filter=late_tasks())):
        house = houses[row["hotel"]]
        house.open_tasks, house.late_tasks = row["open"], row["late"]
