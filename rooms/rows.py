"""A hotel's rooms as light rows for ``room_snapshot``, without the cost of a model instance for each."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db.models import QuerySet

from common.prepared import PreparedRead
from common.room_numbers import RoomNumber
from hotel.models import Hotel, Staff
from rooms.models import Room, RoomType
from rooms.selectors import room_list

TYPE = ("name", "max_occupancy", "starting_price_from", "currency", "credits")
PERSON = ("first_name", "last_name", "username")
AT_ONCE = 250  # rows per FETCH: memory taken by thousands at once is not returned to the system
ONE_PERSON = 1 + len(PERSON)  # columns: the id before them


class RoomRow(NamedTuple):
    """The fields of a ``selectors.room_list`` room that ``room_snapshot`` reads, under the same names; read-only.

    Rooms of the same type share one ``RoomType`` instance, rooms cleaned by the same person one ``Staff``; both carry
    only the fields shown.
    """

    pk: int
    room_number: RoomNumber
    is_active: bool
    floor: str
    building: str
    section: str
    features: list[str]
    is_accessible: bool
    connecting_rooms: list[int]
    walking_order: int | None
    credits: Decimal | None
    room_status: str
    status_version: int
    status_changed_at: datetime
    maintenance_required: bool
    maintenance_priority: str
    maintenance_notes: str
    last_cleaned_at: datetime | None
    last_inspected_at: datetime | None
    turnover_notes: str
    updated_at: datetime
    stay_id: int | None
    stay_booking_id: str | None
    stay_check_out: date | None
    stay_first_name: str | None
    stay_last_name: str | None
    stay_companions: list[dict[str, Any]]
    blocks_json: list[dict[str, Any]]
    hotel: Hotel
    room_type: RoomType
    cleaned_by_staff: Staff | None
    inspected_by_staff: Staff | None

    # Room's rules, on the same field names.
    is_bookable = Room.is_bookable  # type: ignore[misc]
    shown_floor = Room.shown_floor  # type: ignore[misc]
    shown_credits = Room.shown_credits  # type: ignore[misc]


PLAIN = RoomRow._fields[: RoomRow._fields.index("hotel")]


def rooms_in_service(hotel: Hotel) -> Iterator[RoomRow]:
    """The hotel's active rooms by number, in one statement, sent when the first row is read.

    Can be iterated once. Rows arrive in batches through a server-side cursor.
    """
    types: dict[int, RoomType] = {}
    people: dict[int, Staff] = {}

    def room_type(pk: int, *values: Any) -> RoomType:
        return types.get(pk) or types.setdefault(pk, RoomType(pk=pk, **dict(zip(TYPE, values, strict=True))))

    def person(pk: int | None, *values: Any) -> Staff | None:
        if pk is None:
            return None
        return people.get(pk) or people.setdefault(pk, _member(pk, values))

    def room(row: tuple[Any, ...]) -> RoomRow:
        own, rest = row[: len(PLAIN)], row[len(PLAIN) :]
        kind, cleaner, inspector = rest[: -2 * ONE_PERSON], rest[-2 * ONE_PERSON : -ONE_PERSON], rest[-ONE_PERSON:]
        return RoomRow._make((*own, hotel, room_type(*kind), person(*cleaner), person(*inspector)))

    return map(room, _in_service.stream(AT_ONCE, hotel=hotel.pk))


def _rows() -> QuerySet[Room, tuple[Any, ...]]:
    columns = [*PLAIN, "room_type_id", *(f"room_type__{name}" for name in TYPE)]
    for who in ("cleaned_by_staff", "inspected_by_staff"):
        columns += [f"{who}_id", *(f"{who}__user__{name}" for name in PERSON)]
    return room_list().filter(is_active=True).order_by("sort_key").values_list(*columns)


_in_service = PreparedRead(_rows)


def _member(pk: int, values: tuple[str, ...]) -> Staff:
    return Staff(pk=pk, user=get_user_model()(**dict(zip(PERSON, values, strict=True))))
