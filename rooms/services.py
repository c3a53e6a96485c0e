"""The hotel's inventory of rooms and room types; nothing here writes a room's status."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet

from common import clock, prepared
from common.database import constraint
from common.errors import Conflict, FieldConflict, FieldError, NotFound, ReadOnlyField
from common.guards import require
from common.money import amount_to_store
from hotel.models import Hotel, Staff
from housekeeping.models import Source
from notifications import notification_manager
from room_bookings.capacity import CapacityExceeded, parties_too_large, parties_too_large_in
from room_bookings.inventory import conflict
from room_bookings.models import RoomBooking
from room_bookings.room_demand import RoomDemand
from rooms.errors import RoomNotFound, RoomOccupied
from rooms.models import Room, RoomType
from rooms.selectors import room_list, room_lock
from rooms.snapshots import is_occupied


class RoomNumberTaken(FieldConflict):
    code = "ROOM_NUMBER_TAKEN"

    def __init__(self, number: int):
        super().__init__("room_number", f"Room {number} already exists.")


class RoomInUse(Conflict):
    code = "ROOM_IN_USE"


class RoomTypeNotFound(NotFound):
    code = "ROOM_TYPE_NOT_FOUND"


class RoomTypeTaken(FieldConflict):
    code = "ROOM_TYPE_TAKEN"

    def __init__(self, field: str):
        super().__init__(field, f"A room type with this {field} already exists.")


class RoomTypeInUse(Conflict):
    code = "ROOM_TYPE_IN_USE"


class BulkResult(NamedTuple):
    """The rooms that ``create_rooms`` created, and the numbers that already existed."""

    created: list[Room]
    skipped: list[int]


def refuse_status(fields: Any) -> None:
    """Raise ReadOnlyField if the request tries to set the status."""
    if "room_status" in fields:
        raise ReadOnlyField({"room_status": "room_status is read-only here: POST to the room's status/ instead."})


@transaction.atomic
def create_room(*, hotel: Hotel, room_number: int, room_type_id: int, is_active: bool = True) -> Room:
    """Create a room, ready for its first guest."""
    room_type = _room_type(hotel, room_type_id)
    with _unless_taken(room_number_unique=RoomNumberTaken(room_number)):
        room = Room.objects.create(hotel=hotel, room_number=room_number, room_type=room_type, is_active=is_active)
    return room_list(hotel).get(pk=room.pk)


@transaction.atomic
def create_rooms(*, room_type: RoomType, numbers: Sequence[int]) -> BulkResult:
    """Create rooms of one type by number, skipping numbers that exist, in a constant number of statements."""
    # One create_rooms per hotel at a time; NO KEY, as a plain lock would block every insert that references the hotel.
    hotel = Hotel.objects.select_for_update(no_key=True).get(pk=room_type.hotel_id)
    existing = set(Room.objects.filter(hotel=hotel, room_number__in=numbers).values_list("room_number", flat=True))
    new = [number for number in numbers if number not in existing]
    Room.objects.bulk_create([Room(hotel=hotel, room_number=number, room_type=room_type) for number in new])
    created = list(room_list(hotel).filter(room_number__in=new).order_by("room_number"))
    return BulkResult(created, sorted(existing))


@transaction.atomic
def update_room(*, room: Room, staff: Staff | None, forced: bool = False, reason: str = "", **fields: Any) -> Room:
    """Change ``room_number``, ``room_type_id`` or ``is_active``, and publish the change.

    Raises RoomNeeded when bookings need a room that would be deactivated or change type, unless ``forced``: then the
    caller has unassigned its arrivals first (``room_bookings.services.room_removal``). Raises CapacityExceeded when the
    new type does not sleep a party in the room.
    """
    rooms = room_lock([room.pk])
    if not rooms:
        raise RoomNotFound("Room not found: it was deleted in the meantime.")
    [locked] = rooms
    if "room_type_id" in fields:
        fields["room_type"] = _room_type(locked.hotel, fields.pop("room_type_id"))
    changed = [name for name, value in fields.items() if getattr(locked, name) != value]
    if not changed:
        return locked
    if "is_active" in changed and is_occupied(locked):
        raise RoomOccupied(f"Room occupied: room {locked.room_number} has a guest in house.")
    overbooked = []
    if "room_type" in changed or ("is_active" in changed and locked.is_active):
        demand = RoomDemand(
            [locked], to_type=fields.get("room_type") if fields.get("is_active", locked.is_active) else None
        )
        require(demand.refusals(locked, forced=forced))
        overbooked = demand.take(locked, staff=staff, reason=reason)
    if "room_type" in changed:
        to_type, max_occupancy = fields["room_type"], fields["room_type"].max_occupancy
        what = f"Room {locked.room_number} can't be a {to_type.name}, which sleeps {max_occupancy}"
        _require_parties_fit(what, max_occupancy, parties_too_large_in(locked, max_occupancy))
    for name in changed:
        setattr(locked, name, fields[name])
    locked.updated_at = clock.now()
    with _unless_taken(room_number_unique=RoomNumberTaken(locked.room_number)):
        locked.save(update_fields=[*changed, "updated_at"])
    prepared.insert(overbooked)
    notification_manager.realtime_room_updated(
        locked,
        changed_fields=[*changed, "updated_at"],
        source=Source.SYSTEM,
        from_status=locked.room_status,
        staff=staff,
    )
    return locked


@transaction.atomic
def delete_room(*, room: Room) -> None:
    """Delete a room that was never used; one with history, bookings or tasks must be deactivated instead.

    Raises RoomNeeded when every room of its type is sold.
    """
    locked = room_lock([room.pk])  # waits for a status change in progress
    demand = RoomDemand(locked) if locked else None
    try:
        room.delete()
    except ProtectedError as error:
        raise RoomInUse(
            f"Room {room.room_number} has a history, bookings or tasks. Deactivate it instead (is_active: false)."
        ) from error
    if demand is not None:
        require(demand.refusals(locked[0]))


@transaction.atomic
def create_room_type(*, hotel: Hotel, **fields: Any) -> RoomType:
    """Create a room type."""
    room_type = RoomType(hotel=hotel, **fields)
    room_type.starting_price_from = amount_to_store(
        room_type.starting_price_from, room_type.currency, "starting_price_from"
    )
    with _unless_taken(room_type_name_unique=RoomTypeTaken("name"), room_type_code_unique=RoomTypeTaken("code")):
        room_type.save(force_insert=True)
    return room_type


@transaction.atomic
def update_room_type(*, room_type: RoomType, **fields: Any) -> RoomType:
    """Change a room type. Raises CapacityExceeded when a booked party would no longer fit."""
    locked = RoomType.objects.select_for_update(no_key=True).filter(pk=room_type.pk).order_by("pk").first()
    if locked is None:
        raise RoomTypeNotFound("There is no such room type.")
    max_occupancy = fields.get("max_occupancy", locked.max_occupancy)
    if max_occupancy < locked.max_occupancy:
        _require_parties_fit(
            f"{locked.name} can't sleep only {max_occupancy}", max_occupancy, parties_too_large(locked, max_occupancy)
        )
    for name, value in fields.items():
        setattr(locked, name, value)
    if money := [name for name in ("starting_price_from", "currency") if name in fields]:
        locked.starting_price_from = amount_to_store(locked.starting_price_from, locked.currency, money[0])
    with _unless_taken(room_type_name_unique=RoomTypeTaken("name"), room_type_code_unique=RoomTypeTaken("code")):
        locked.save(update_fields=list(fields))
    return locked


def _require_parties_fit(what: str, max_occupancy: int, too_large: QuerySet[RoomBooking]) -> None:
    """Raise CapacityExceeded, its message starting with ``what``, if any party is too large for ``max_occupancy``."""
    parties = list(too_large.select_related("assigned_room").order_by("check_in", "pk")[:100])
    if parties:
        conflicts = [conflict(booking, booking.assigned_room) for booking in parties]
        raise CapacityExceeded(
            f"{what}: the party of {parties[0].booking_id} is larger.",
            details={"max_occupancy": max_occupancy, "conflicts": conflicts},
            extra={"conflicts": conflicts},
        )


@transaction.atomic
def delete_room_type(*, room_type: RoomType) -> None:
    """Delete a room type that no room and no booking uses."""
    try:
        room_type.delete()
    except ProtectedError as error:
        raise RoomTypeInUse("Rooms or bookings use this type. Deactivate it instead (is_active: false).") from error


@contextmanager
def _unless_taken(**refusals: Conflict) -> Iterator[None]:
    """Turn a violation of one of the named unique constraints into its refusal."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        refusal = refusals.get(constraint(error))
        if refusal is None:
            raise
        raise refusal from error


def _room_type(hotel: Hotel, room_type_id: int) -> RoomType:
    found = RoomType.objects.filter(hotel=hotel, pk=room_type_id).first()
    if found is None:
        raise FieldError("room_type_id", "This hotel has no such room type.")
    return found
