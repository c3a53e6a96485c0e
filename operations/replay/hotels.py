"""The two hotels of the data set: their room types, rooms and staff."""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from hotel import rights
from hotel.models import Hotel, Staff
from operations.replay.records import Stay
from rooms.models import Room, RoomType

ROOMS_PER_FLOOR = 30


@dataclass(frozen=True)
class HotelSpec:
    """A hotel to create; ``rooms`` are the number of rooms by type, sized to the type's peak in the data set."""

    slug: str
    name: str
    phone: str
    timezone: str
    rooms: dict[str, int]


HOTELS = (
    HotelSpec(
        "resort",
        "Resort Hotel",
        "+353 1 555 0100",
        "Europe/Lisbon",
        {"A": 75, "B": 2, "C": 13, "D": 53, "E": 33, "F": 13, "G": 9, "H": 4, "I": 8},
    ),
    HotelSpec(
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
    ("housekeeper2", rights.HOUSEKEEPER, Staff.Department.HOUSEKEEPING, "Petra", "Novak"),
    ("frontdesk", rights.FRONT_DESK_AGENT, Staff.Department.FRONT_OFFICE, "Tom", "Daly"),
)


@dataclass
class HotelSetup:
    """A created hotel with staff, room types and rooms, ready for its first booking."""

    hotel: Hotel
    staff: dict[str, Staff]  # by the name after the slug
    types: dict[str, RoomType]  # by code
    rooms: dict[str, list[Room]]  # by code

    @property
    def desk(self) -> Staff:
        return self.staff["frontdesk"]

    @property
    def supervisor(self) -> Staff:
        return self.staff["supervisor"]

    @property
    def housekeepers(self) -> list[Staff]:
        return [self.staff["housekeeper"], self.staff["housekeeper2"]]


def make_staff(hotel: Hotel, *, password: str | None = None) -> dict[str, Staff]:
    """Create the hotel's missing staff; returns all by the name after the slug. No password means no sign-in."""
    return {name: _make_member(hotel, name, *rest, password=password) for name, *rest in MEMBERS}


def _make_member(
    hotel: Hotel, name: str, role: str, department: str, first_name: str, last_name: str, *, password: str | None
) -> Staff:
    user, _ = get_user_model().objects.get_or_create(
        username=f"{hotel.slug}-{name}",
        defaults={"first_name": first_name, "last_name": last_name, "is_staff": name == "manager"},
    )
    set_password(user, password)
    member, _ = Staff.objects.get_or_create(
        user=user, defaults={"hotel": hotel, "role": Group.objects.get(name=role), "department": department}
    )
    return member


def set_password(user: object, password: str | None) -> None:
    """Set the user's password, unless it is already this one."""
    if password is None or not user.check_password(password):  # type: ignore[attr-defined]
        user.set_password(password)  # type: ignore[attr-defined]
        user.save(update_fields=["password"])  # type: ignore[attr-defined]


def make_rooms(hotel: Hotel, spec: HotelSpec, stays: Iterable[Stay] = ()) -> HotelSetup:
    """Create room types and rooms in a hotel that has staff and no rooms.

    Types are mixed over the floors and large enough for the parties of the ``stays``. A type that only the ``stays``
    have gets no room.
    """
    beds_by_type = {code: 2 + place // 3 for place, code in enumerate(spec.rooms)}
    for stay in sorted(stays, key=lambda stay: stay.room_type):
        beds_by_type[stay.room_type] = max(beds_by_type.get(stay.room_type, 2), stay.adults + stay.children)
    types = {code: _make_type(hotel, code, place, beds) for place, (code, beds) in enumerate(beds_by_type.items())}
    room_types = [types[code] for code, count in spec.rooms.items() for _ in range(count)]
    random.Random(spec.slug).shuffle(room_types)  # noqa: S311 - the same layout every time
    # The database requires new rooms to be ready; every other status is set by the services.
    rooms = Room.objects.bulk_create(
        Room(hotel=hotel, room_type=room_type, room_number=_number(place)) for place, room_type in enumerate(room_types)
    )
    by_type: dict[str, list[Room]] = defaultdict(list)
    for room in rooms:
        by_type[room.room_type.code].append(room)
    staff = {
        member.user.username.removeprefix(f"{hotel.slug}-"): member for member in hotel.staff.select_related("user")
    }
    return HotelSetup(hotel, staff, types, by_type)


def _make_type(hotel: Hotel, code: str, place: int, beds: int) -> RoomType:
    return RoomType.objects.create(
        hotel=hotel,
        code=code,
        name=f"Type {code}",
        max_occupancy=beds,
        starting_price_from=Decimal(80 + 15 * place),
        bed_setup="1 double or 2 single",
    )


def _number(place: int) -> int:
    """101 … 130, 201 … 230, and so on."""
    floor, door = divmod(place, ROOMS_PER_FLOOR)
    return 100 * (floor + 1) + door + 1
