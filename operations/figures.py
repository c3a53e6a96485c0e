"""Today's figures of hotels for the admin's home page, in three statements for any number of hotels.

Each hotel has its own business date. The statements join the dates as rows, so that their text does not grow with the
number of hotels: with a condition for each of 500 hotels, PostgreSQL spends minutes compiling.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db.models import Count, Q, QuerySet

from common.joins import join_rows
from hotel.models import Hotel
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask
from housekeeping.selectors import late_tasks
from room_bookings.models import RoomBooking
from room_bookings.today import TODAY_FILTERS, dated, days_of
from rooms.models import Priority, Room, RoomStatus
from rooms.selectors import bookable


@dataclass
class HotelFigures:
    """One hotel's figures today. Rooms out of service are not counted; figures that were not requested are empty.

    A hotel without a valid timezone has no ``business_date`` and no ``dues``.
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


def todays_figures(
    hotels: Sequence[Hotel], *, rooms: bool = True, bookings: bool = True, tasks: bool = True
) -> list[HotelFigures]:
    """The figures of each hotel, in the order given; one statement each for rooms, bookings and tasks."""
    days = days_of(hotels)
    dates = {day["hotel"]: day["today"] for day in days}
    by_hotel = {hotel.pk: HotelFigures(hotel, dates.get(hotel.pk)) for hotel in hotels}
    if by_hotel and rooms:
        _count_rooms(by_hotel)
    if days and bookings:
        _count_bookings(by_hotel, days)
    if by_hotel and tasks:
        _count_tasks(by_hotel)
    return list(by_hotel.values())


def _of(hotel_ids: Iterable[int], things: QuerySet[Any]) -> QuerySet[Any]:
    return join_rows(things, [{"hotel": pk} for pk in hotel_ids], on="hotel", columns={})


def _count_rooms(by_hotel: Mapping[int, HotelFigures]) -> None:
    counts: dict[str, Count] = {status: Count("pk", filter=Q(room_status=status)) for status in RoomStatus.values}
    counts |= {
        f"fault_{priority}": Count("pk", filter=Q(maintenance_required=True, maintenance_priority=priority))
        for priority in Priority.values
    }
    in_service = _of(by_hotel, Room.objects.filter(is_active=True)).order_by().values("hotel")
    row: Any
    for row in in_service.annotate(**counts, bookable=Count("pk", filter=bookable()), rooms=Count("pk")):
        figures = by_hotel[row["hotel"]]
        figures.rooms, figures.bookable = row["rooms"], row["bookable"]
        figures.statuses = Counter({status: row[status] for status in RoomStatus.values})
        figures.faults = Counter({priority: row[f"fault_{priority}"] for priority in Priority.values})


def _count_bookings(by_hotel: Mapping[int, HotelFigures], days: Sequence[Mapping[str, Any]]) -> None:
    counts = {name: Count("pk", filter=condition) for name, condition in TODAY_FILTERS.items()}
    bookings = dated(RoomBooking.objects.order_by(), days)
    # These three include all the others.
    counted = TODAY_FILTERS["arrivals"] | TODAY_FILTERS["in_house"] | TODAY_FILTERS["requests"]
    row: Any
    for row in bookings.filter(counted).values("hotel").annotate(**counts):
        by_hotel[row["hotel"]].dues = Counter({name: row[name] for name in TODAY_FILTERS})


def _count_tasks(by_hotel: Mapping[int, HotelFigures]) -> None:
    tasks = _of(by_hotel, HousekeepingTask.objects.filter(status__in=OPEN_TASK_STATUSES)).order_by().values("hotel")
    for row in tasks.annotate(open=Count("pk"), late=Count("pk", filter=late_tasks())):
        figures = by_hotel[row["hotel"]]
        figures.open_tasks, figures.late_tasks = row["open"], row["late"]
