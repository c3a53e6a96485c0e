"""Today's figures of houses, as the admin's home page shows them: three statements for any number of hotels."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Count, Q

from common import clock
from hotel import calendar
from hotel.models import Hotel
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask
from housekeeping.selectors import late_tasks
from room_bookings.models import BookingStatus, RoomBooking
from room_bookings.selectors import overdue
from rooms.models import Priority, Room, RoomStatus


def _bookable(room: str = "") -> Q:
    """``Room.is_bookable`` in SQL, of the row itself or of the ``room`` that it refers to."""
    facts = {"room_status": RoomStatus.READY_FOR_GUEST, "is_active": True, "maintenance_required": False}
    return Q(**{f"{room}{name}": value for name, value in facts.items()})


_READY = _bookable("assigned_room__")


def _arriving(hotel: Hotel) -> Q:
    return Q(status=BookingStatus.CONFIRMED, check_in=calendar.business_date(hotel))


# What a house has to see to today: name → which of its bookings. The list of bookings filters by the same conditions.
DUES: dict[str, Callable[[Hotel], Q]] = {
    "arrivals": _arriving,
    "without_room": lambda hotel: _arriving(hotel) & Q(assigned_room=None),
    "room_ready": lambda hotel: _arriving(hotel) & _READY,
    "room_not_ready": lambda hotel: _arriving(hotel) & Q(assigned_room__isnull=False) & ~_READY,
    "due_out": lambda hotel: Q(status=BookingStatus.IN_HOUSE, check_out__lte=calendar.business_date(hotel)),
    "in_house": lambda _: Q(status=BookingStatus.IN_HOUSE),
    "overdue": lambda hotel: Q(status=BookingStatus.IN_HOUSE) & overdue(hotel),
    "requests": lambda _: Q(status=BookingStatus.PENDING_APPROVAL),
    "late_requests": lambda _: Q(status=BookingStatus.PENDING_APPROVAL, approval_deadline_at__lt=clock.now()),
}


@dataclass
class HouseFigures:
    """One house today. Counts of rooms are of those in service; what was not asked for is empty."""

    hotel: Hotel
    business_date: date
    rooms: int = 0
    bookable: int = 0
    statuses: Mapping[str, int] = field(default_factory=Counter)
    faults: Mapping[str, int] = field(default_factory=Counter)
    dues: Mapping[str, int] = field(default_factory=Counter)
    open_tasks: int = 0
    late_tasks: int = 0


def due(name: str, hotels: Collection[Hotel]) -> Q:
    """Which bookings of ``hotels`` are meant by ``name`` of ``DUES``, each by its own hotel's calendar."""
    conditions = [Q(hotel=hotel) & DUES[name](hotel) for hotel in hotels]
    return reduce(or_, conditions) if conditions else Q(pk__in=[])


def todays_figures(
    hotels: Sequence[Hotel], *, rooms: bool = True, bookings: bool = True, tasks: bool = True
) -> list[HouseFigures]:
    """The figures of each hotel, in the order given; one statement for each of rooms, bookings and tasks."""
    houses = {hotel.pk: HouseFigures(hotel, calendar.business_date(hotel)) for hotel in hotels}
    if houses and rooms:
        _count_rooms(houses)
    if houses and bookings:
        _count_bookings(houses)
    if houses and tasks:
        _count_tasks(houses)
    return list(houses.values())


def _count_rooms(houses: Mapping[int, HouseFigures]) -> None:
    counts: dict[str, Count] = {status: Count("pk", filter=Q(room_status=status)) for status in RoomStatus.values}
    counts |= {
        f"fault_{priority}": Count("pk", filter=Q(maintenance_required=True, maintenance_priority=priority))
        for priority in Priority.values
    }
    in_service = Room.objects.filter(hotel__in=houses, is_active=True).order_by().values("hotel")
    row: Any
    for row in in_service.annotate(**counts, bookable=Count("pk", filter=_bookable()), rooms=Count("pk")):
        house = houses[row["hotel"]]
        house.rooms, house.bookable = row["rooms"], row["bookable"]
        house.statuses = Counter({status: row[status] for status in RoomStatus.values})
        house.faults = Counter({priority: row[f"fault_{priority}"] for priority in Priority.values})


def _count_bookings(houses: Mapping[int, HouseFigures]) -> None:
    hotels = [house.hotel for house in houses.values()]
    counts = {name: Count("pk", filter=due(name, hotels)) for name in DUES}
    # The wide ones contain the others.
    wanted = [due(name, hotels) for name in ("arrivals", "in_house", "requests")]
    found = RoomBooking.objects.filter(reduce(or_, wanted)).order_by().values("hotel")
    row: Any
    for row in found.annotate(**counts):
        houses[row["hotel"]].dues = Counter({name: row[name] for name in DUES})


def _count_tasks(houses: Mapping[int, HouseFigures]) -> None:
    tasks = HousekeepingTask.objects.filter(hotel__in=houses, status__in=OPEN_TASK_STATUSES).order_by().values("hotel")
    for row in tasks.annotate(open=Count("pk"), late=Count("pk", filter=late_tasks())):
        house = houses[row["hotel"]]
        house.open_tasks, house.late_tasks = row["open"], row["late"]
