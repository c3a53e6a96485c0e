"""The demo: two houses of the size of the real ones in the data set, with staff, guests and rooms in every state."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from common import clock
from hotel import rights
from hotel.models import Hotel, Staff
from housekeeping.models import Source
from housekeeping.services import set_room_statuses
from housekeeping.turnover import flag_maintenance
from room_bookings.models import BookingGuest, BookingStatus, RoomBooking
from rooms.models import Priority, Room, RoomStatus, RoomType

ROOMS_PER_FLOOR = 30
FIRST_NAMES = (
    *("Aoife", "Brendan", "Ciara", "Declan", "Eimear", "Fionn", "Gráinne", "Hugh"),
    *("Isolde", "James", "Kate", "Liam", "Muireann", "Niall", "Orla", "Pádraig"),
)
LAST_NAMES = (
    *("Byrne", "Casey", "Doyle", "Egan", "Fallon", "Garvey", "Healy", "Joyce"),
    *("Keane", "Lynch", "Moran", "Nolan", "O’Brien", "Power", "Quinn", "Ryan"),
)


@dataclass(frozen=True)
class House:
    """A demo hotel: rooms per type, sized to each type's own peak in the real data."""

    slug: str
    name: str
    phone: str
    timezone: str
    rooms: dict[str, int]


HOUSES = (
    House(
        "resort",
        "Resort Hotel",
        "+353 1 555 0100",
        "Europe/Lisbon",
        {"A": 75, "B": 2, "C": 13, "D": 53, "E": 33, "F": 13, "G": 9, "H": 4, "I": 8},
    ),
    House(
        "city",
        "City Hotel",
        "+353 1 555 0200",
        "Europe/Dublin",
        {"A": 159, "B": 15, "C": 3, "D": 59, "E": 10, "F": 8, "G": 5, "K": 8},
    ),
)
# User name after the slug, role, department, first name, last name.
MEMBERS = (
    ("manager", rights.HOTEL_MANAGER, Staff.Department.MANAGEMENT, "Nora", "Keane"),
    ("supervisor", rights.HOUSEKEEPING_SUPERVISOR, Staff.Department.HOUSEKEEPING, "Orla", "Walsh"),
    ("housekeeper", rights.HOUSEKEEPER, Staff.Department.HOUSEKEEPING, "Maeve", "Byrne"),
    ("frontdesk", rights.FRONT_DESK_AGENT, Staff.Department.FRONT_OFFICE, "Tom", "Daly"),
)
# Of a hundred rooms, on a morning: how many end up where.
SPREAD = (
    (RoomStatus.OCCUPIED, 58),
    (RoomStatus.CHECKOUT_DIRTY, 11),
    (RoomStatus.CLEANING_IN_PROGRESS, 5),
    (RoomStatus.CLEANED_UNINSPECTED, 6),
    (RoomStatus.READY_FOR_GUEST, 17),
    (RoomStatus.MAINTENANCE_REQUIRED, 2),
    (RoomStatus.OUT_OF_ORDER, 1),
)
FAULTS = ("shower drips", "window does not close", "air conditioning is loud", "lamp by the bed is broken")

Report = Callable[[str], None]


def seed(password: str, report: Report) -> None:
    """Make whatever of the demo is missing; a house that is there already is left as it is."""
    rights.create_roles(apps)  # again: a flush takes away what the migration made
    user_model = get_user_model()
    admin, _ = user_model.objects.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
    _set_password(admin, password)
    for house in HOUSES:
        _seed_house(house, password, report)


def _set_password(user: object, password: str) -> None:
    if not user.check_password(password):  # type: ignore[attr-defined]
        user.set_password(password)  # type: ignore[attr-defined]
        user.save()  # type: ignore[attr-defined]


@transaction.atomic
def _seed_house(house: House, password: str, report: Report) -> None:
    hotel, _ = Hotel.objects.get_or_create(
        slug=house.slug, defaults={"name": house.name, "phone": house.phone, "timezone": house.timezone}
    )
    staff = {name: _seed_member(hotel, name, *rest, password=password) for name, *rest in MEMBERS}
    if hotel.rooms.exists():
        report(f"{house.slug}: {hotel.rooms.count()} rooms are there already")
        return
    chance = random.Random(house.slug)  # noqa: S311 - the same demo every time
    floors = _seed_rooms(hotel, house, chance)
    for number, rooms in enumerate(floors, start=1):
        _live_a_morning(hotel, rooms, staff, chance)
        report(f"{house.slug}: floor {number} of {len(floors)}")


def _seed_member(
    hotel: Hotel, name: str, role: str, department: str, first_name: str, last_name: str, *, password: str
) -> Staff:
    user, _ = get_user_model().objects.get_or_create(
        username=f"{hotel.slug}-{name}",
        defaults={"first_name": first_name, "last_name": last_name, "is_staff": name == "manager"},
    )
    _set_password(user, password)
    member, _ = Staff.objects.get_or_create(
        user=user, defaults={"hotel": hotel, "role": Group.objects.get(name=role), "department": department}
    )
    return member


def _seed_rooms(hotel: Hotel, house: House, chance: random.Random) -> list[list[Room]]:
    types = []
    for place, (code, count) in enumerate(house.rooms.items()):
        room_type = RoomType.objects.create(
            hotel=hotel,
            code=code,
            name=f"Type {code}",
            max_occupancy=2 + place // 3,
            starting_price_from=Decimal(80 + 15 * place),
            bed_setup="1 double or 2 single",
        )
        types += [room_type] * count
    chance.shuffle(types)
    rooms = [
        Room(hotel=hotel, room_type=room_type, room_number=_number(place)) for place, room_type in enumerate(types)
    ]
    # A new room starts ready, as the database demands; every other state comes by way of the service.
    Room.objects.bulk_create(rooms)
    return [rooms[start : start + ROOMS_PER_FLOOR] for start in range(0, len(rooms), ROOMS_PER_FLOOR)]


def _number(place: int) -> int:
    """101 … 130, 201 … 230, and so on."""
    floor, door = divmod(place, ROOMS_PER_FLOOR)
    return 100 * (floor + 1) + door + 1


def _live_a_morning(hotel: Hotel, rooms: Sequence[Room], staff: dict[str, Staff], chance: random.Random) -> None:
    """Yesterday's departures are turned, as far as the morning has come; the other guests stay."""
    plan = dict(zip(rooms, chance.choices(*zip(*SPREAD, strict=True), k=len(rooms)), strict=True))
    now = clock.now()
    began = now - timedelta(hours=chance.uniform(3, 5))

    def going_to(*statuses: RoomStatus) -> list[Room]:
        return [room for room in rooms if plan[room] in statuses]

    def step(
        at: datetime, chosen: list[Room], to_status: RoomStatus, member: str, source: Source, note: str = ""
    ) -> None:
        with clock.set_to(at):
            set_room_statuses(
                changes=[(room, to_status) for room in chosen],
                staff=staff[member],
                source=source,
                note=note,
                all_or_nothing=True,
            )

    _check_in(hotel, going_to(RoomStatus.OCCUPIED), began - timedelta(hours=chance.uniform(10, 20)), staff, chance)
    turned = going_to(RoomStatus.READY_FOR_GUEST)[::2]
    cleaned = turned + going_to(RoomStatus.CLEANED_UNINSPECTED)
    cleaning = cleaned + going_to(RoomStatus.CLEANING_IN_PROGRESS)
    dirty = cleaning + going_to(RoomStatus.CHECKOUT_DIRTY)
    minutes = chance.uniform(25, 50)
    step(began, dirty, RoomStatus.CHECKOUT_DIRTY, "frontdesk", Source.FRONT_DESK, "departure")
    step(began + timedelta(minutes=20), cleaning, RoomStatus.CLEANING_IN_PROGRESS, "housekeeper", Source.HOUSEKEEPING)
    step(
        began + timedelta(minutes=20 + minutes),
        cleaned,
        RoomStatus.CLEANED_UNINSPECTED,
        "housekeeper",
        Source.HOUSEKEEPING,
    )
    step(
        began + timedelta(minutes=30 + 1.5 * minutes),
        turned,
        RoomStatus.READY_FOR_GUEST,
        "supervisor",
        Source.HOUSEKEEPING,
    )
    for room in going_to(RoomStatus.MAINTENANCE_REQUIRED):
        with clock.set_to(began + timedelta(minutes=chance.uniform(10, 90))):
            flag_maintenance(
                room=room,
                staff=staff["housekeeper"],
                priority=chance.choice(Priority.values),
                note=chance.choice(FAULTS),
            )
    step(
        began,
        going_to(RoomStatus.OUT_OF_ORDER),
        RoomStatus.OUT_OF_ORDER,
        "manager",
        Source.HOUSEKEEPING,
        "refurbishment",
    )


def _check_in(hotel: Hotel, rooms: list[Room], at: datetime, staff: dict[str, Staff], chance: random.Random) -> None:
    """Guests who are in house, each with the check-in that the room's history shows."""
    arrival = at.date()
    year, used = arrival.year, RoomBooking.objects.count()
    bookings = RoomBooking.objects.bulk_create(
        RoomBooking(
            hotel=hotel,
            booking_id=f"BK-{year}-{used + place:04d}",
            confirmation_number=f"{hotel.slug.upper()}-{used + place:05d}",
            status=BookingStatus.IN_HOUSE,
            room_type=room.room_type,
            assigned_room=room,
            check_in=arrival,
            check_out=arrival + timedelta(days=chance.randint(2, 6)),
            adults=chance.choice([1, 2, 2]),
            primary_first_name=chance.choice(FIRST_NAMES),
            primary_last_name=chance.choice(LAST_NAMES),
            room_assigned_at=at,
            room_assigned_by=staff["frontdesk"],
            checked_in_at=at,
            created_at=at - timedelta(days=chance.randint(1, 60)),
        )
        for place, room in enumerate(rooms, start=1)
    )
    BookingGuest.objects.bulk_create(
        BookingGuest(booking=booking, first_name=chance.choice(FIRST_NAMES), last_name=booking.primary_last_name)
        for booking in bookings
        if booking.adults == 2
    )
    with clock.set_to(at):
        set_room_statuses(
            changes=[(room, RoomStatus.OCCUPIED) for room in rooms],
            staff=staff["frontdesk"],
            source=Source.FRONT_DESK,
            all_or_nothing=True,
        )
