"""The hotel's inventory of rooms and room types; nothing here writes a room's status."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet

from common import clock, prepared
from common.database import constraint
from common.errors import Conflict, FieldConflict, FieldError, NotFound, ReadOnlyField
from common.guards import Guard, require
from common.money import amount_refusals
from common.room_numbers import RoomNumber, key
from hotel.models import Hotel, Staff
from housekeeping.models import Source
from notifications import notification_manager
from room_bookings.capacity import CapacityExceeded, parties_too_large, parties_too_large_in
from room_bookings.inventory import blocked_by, conflict
from room_bookings.models import RoomBooking
from room_bookings.room_demand import RoomDemand
from rooms.errors import RoomNotFound, RoomOccupied, guest_of
from rooms.models import BlockKind, BlockReason, Room, RoomStatus, RoomType
from rooms.selectors import room_list, room_lock
from rooms.snapshots import is_occupied


class RoomNumberTaken(FieldConflict):
    code = "ROOM_NUMBER_TAKEN"

    def __init__(self, number: RoomNumber):
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
    skipped: list[RoomNumber]


def refuse_status(fields: Any) -> None:
    """Raise ReadOnlyField if the request tries to set the status."""
    if "room_status" in fields:
        raise ReadOnlyField({"room_status": "room_status is read-only here: POST to the room's status/ instead."})


@transaction.atomic
def create_room(*, hotel: Hotel, room_number: RoomNumber, room_type_id: int, **fields: Any) -> Room:
    """Create a room, ready for its first guest. ``fields`` as in ``update_room``."""
    hotel = _lock_hotel_for(hotel.pk, fields) or hotel
    room = add_room(hotel=hotel, room_number=room_number, room_type=_room_type(hotel, room_type_id), **fields)
    return room_list(hotel).get(pk=room.pk)


def add_room(*, hotel: Hotel, room_number: RoomNumber, room_type: RoomType, **fields: Any) -> Room:
    """``create_room`` of a type of the hotel, which is locked if there are features or connecting rooms among
    ``fields``; the room is returned as it was stored, without what a snapshot shows.
    """
    fields = _in_order(fields)
    require(features_refusals(hotel, fields.get("features", ())))
    ids = fields.get("connecting_rooms", ())
    others = room_lock(ids, hotel=hotel) if ids else []
    require(connections_refusals(ids, others))
    with _unless_taken(room_number_unique=number_refusals(room_number, is_taken=True)):
        room = Room.objects.create(hotel=hotel, room_number=room_number, room_type=room_type, **fields)
    _connect(room, others, staff=None)
    return room


def number_refusals(number: RoomNumber, *, is_taken: bool) -> Guard[None]:
    """The refusals of ``create_room``; ``is_taken``: the hotel has a room with this number."""
    if is_taken:
        yield RoomNumberTaken(number)


@transaction.atomic
def create_rooms(*, room_type: RoomType, numbers: Sequence[RoomNumber]) -> BulkResult:
    """Create rooms of one type by number, skipping numbers that exist, in a constant number of statements."""
    # One create_rooms per hotel at a time; NO KEY, as a plain lock would block every insert that references the hotel.
    hotel = Hotel.objects.select_for_update(no_key=True).get(pk=room_type.hotel_id)
    rooms = Room.objects.filter(hotel=hotel, room_number__in=numbers).order_by("sort_key")
    existing = list(rooms.values_list("room_number", flat=True))
    known = set(map(key, existing))
    new = [number for number in numbers if key(number) not in known]
    Room.objects.bulk_create([Room(hotel=hotel, room_number=number, room_type=room_type) for number in new])
    created = list(room_list(hotel).filter(room_number__in=new).order_by("sort_key"))
    return BulkResult(created, existing)


@transaction.atomic
def update_room(*, room: Room, staff: Staff | None, forced: bool = False, reason: str = "", **fields: Any) -> Room:
    """Change the fields of ``rooms.serializers.RoomInput``, and publish the change.

    Rooms that become or cease to be ``connecting_rooms`` (ids) are changed, and published, too.
    Raises RoomNeeded when bookings need a room that would be deactivated or change type, unless ``forced``: then the
    caller has unassigned its arrivals first (``room_bookings.services.room_removal``). Raises CapacityExceeded when the
    new type does not sleep a party in the room.
    """
    _lock_hotel_for(room.hotel_id, fields)
    fields = _in_order(fields)
    others = {room.pk: room for room in room_lock([room.pk, *_connected(room, fields)], hotel=room.hotel_id)}
    if room.pk not in others:
        raise RoomNotFound("Room not found: it was deleted in the meantime.")
    locked = others.pop(room.pk)
    if "room_type_id" in fields:
        fields["room_type"] = _room_type(locked.hotel, fields.pop("room_type_id"))
    changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
    if not changed:
        return locked
    demand = require(update_refusals(locked, changed, forced=forced))
    require(connections_refusals(changed.get("connecting_rooms", ()), others.values()))
    overbooked = demand.take(locked, staff=staff, reason=reason) if demand else []
    for name, value in changed.items():
        setattr(locked, name, value)
    locked.updated_at = clock.now()
    with _unless_taken(room_number_unique=number_refusals(locked.room_number, is_taken=True)):
        locked.save(update_fields=[*changed, "updated_at"])
    prepared.insert(overbooked)
    _connect(locked, others.values(), staff=staff)
    notification_manager.realtime_room_updated(
        locked,
        changed_fields=[*changed, "updated_at"],
        source=Source.SYSTEM,
        from_status=locked.room_status,
        staff=staff,
    )
    return locked


def update_refusals(
    room: Room,
    changed: Mapping[str, Any],
    *,
    forced: bool = False,
    demand_of: Callable[..., RoomDemand] = RoomDemand,
    number_is_taken: bool = False,
) -> Guard[RoomDemand | None]:
    """The refusals of ``update_room`` for the fields that would change, with their new values.

    Returns the demand that a room which is taken away leaves to the others of its type. ``demand_of`` makes it; in
    pre-flight, one that locks nothing. ``number_is_taken``: another room has the new number.
    """
    if "is_active" in changed and is_occupied(room):
        yield RoomOccupied(f"Room occupied: room {room.room_number} has a guest in house.", blocker=guest_of(room))
    to_type: RoomType | None = changed.get("room_type")
    demand = None
    if to_type or ("is_active" in changed and room.is_active):
        demand = demand_of([room], to_type=to_type if changed.get("is_active", room.is_active) else None)
        yield from demand.refusals(room, forced=forced)
    if to_type:
        what = f"Room {room.room_number} can't be a {to_type.name}, which sleeps {to_type.max_occupancy}"
        yield from _fit_refusals(what, to_type.max_occupancy, parties_too_large_in(room, to_type.max_occupancy))
    yield from features_refusals(room.hotel, changed.get("features", ()))
    yield from number_refusals(changed.get("room_number", room.room_number), is_taken=number_is_taken)
    return demand


def features_refusals(hotel: Hotel, features: Collection[str]) -> Guard[None]:
    """Refused for features that are not in the hotel's list."""
    if unknown := [feature for feature in features if feature not in hotel.room_features]:
        yield FieldError("features", f"The hotel has no such room feature: {', '.join(unknown)}.")


def connections_refusals(ids: Collection[int], others: Iterable[Room]) -> Guard[None]:
    """Refused unless each id is of one of ``others``, locked rooms of the same hotel; a room is not among its own."""
    if unknown := set(ids) - {room.pk for room in others}:
        yield FieldError("connecting_rooms", f"There is no other room with the id {min(unknown)}.")


def _lock_hotel_for(hotel_id: int, fields: Mapping[str, Any]) -> Hotel | None:
    """Lock the hotel, if its list of features or the connections of its rooms must not change meanwhile."""
    if fields.keys() & {"features", "connecting_rooms"}:
        return Hotel.objects.select_for_update(no_key=True).get(pk=hotel_id)
    return None


def _in_order(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with their lists sorted and without duplicates, as they are stored."""
    return {name: sorted(set(value)) if isinstance(value, list) else value for name, value in fields.items()}


def _connected(room: Room, fields: Mapping[str, Any]) -> set[int]:
    """The rooms that the change connects to the room, or may disconnect from it."""
    if "connecting_rooms" not in fields:
        return set()
    [stored] = Room.objects.filter(pk=room.pk).values_list("connecting_rooms", flat=True) or [[]]
    return {*fields["connecting_rooms"], *stored}


def _connect(room: Room, others: Iterable[Room], *, staff: Staff | None) -> None:
    """Make the ``others`` name the room if it names them, and only then; two statements, or none."""
    changed, fields = list[Room](), ["connecting_rooms", "updated_at"]
    for other in others:
        connected = set(other.connecting_rooms) - {room.pk}
        if other.pk in room.connecting_rooms:
            connected.add(room.pk)
        if sorted(connected) != other.connecting_rooms:
            other.connecting_rooms, other.updated_at = sorted(connected), clock.now()
            changed.append(other)
    updates = [
        notification_manager.RoomUpdate(other, fields, Source.SYSTEM, other.room_status, staff) for other in changed
    ]
    if changed:
        Room.objects.bulk_update(changed, fields)  # lists do not fit into the arrays of ``prepared.Update``
        notification_manager.realtime_rooms_updated(updates)


@transaction.atomic
def delete_room(*, room: Room) -> None:
    """Delete a room that was never used; one with history, bookings or tasks must be deactivated instead.

    Raises RoomNeeded when every room of its type is sold.
    """
    locked = room_lock([room.pk])  # waits for a status change in progress
    if not locked:
        return
    demand = RoomDemand(locked)
    require(deletion_refusals(locked[0], demand, is_in_use=not _delete(room)))


def deletion_refusals(room: Room, demand: RoomDemand, *, is_in_use: bool) -> Guard[None]:
    """The refusals of ``delete_room``; ``is_in_use``: it has a history, bookings or tasks (``selectors.in_use``)."""
    if is_in_use:
        yield RoomInUse(
            f"Room {room.room_number} has a history, bookings or tasks. Deactivate it instead (is_active: false)."
        )
    if room.connecting_rooms:
        yield RoomInUse(f"Room {room.room_number} connects to other rooms. Empty its connecting_rooms first.")
    yield from demand.refusals(room, lift=None)


def _delete(row: Room | RoomType) -> bool:
    """Delete the row unless others refer to it; returns whether it was deleted."""
    try:
        row.delete()
    except ProtectedError:
        return False
    return True


# A hotel's reasons for blocks to begin with: code, label, kind, return status.
BLOCK_REASONS = (
    ("REPAIR", "Repair", BlockKind.OUT_OF_ORDER, RoomStatus.CHECKOUT_DIRTY),
    ("MINOR_FAULT", "Minor fault", BlockKind.OUT_OF_SERVICE, RoomStatus.READY_FOR_GUEST),
    ("DEEP_CLEAN", "Deep clean", BlockKind.OUT_OF_ORDER, RoomStatus.CLEANED_UNINSPECTED),
    ("PEST_CONTROL", "Pest control", BlockKind.OUT_OF_ORDER, RoomStatus.CHECKOUT_DIRTY),
    ("RENOVATION", "Renovation", BlockKind.OUT_OF_INVENTORY, RoomStatus.CHECKOUT_DIRTY),
    ("HOUSE_USE", "House use", BlockKind.HOUSE_USE, RoomStatus.CHECKOUT_DIRTY),
    ("OWNER", "Owner's use", BlockKind.HOUSE_USE, RoomStatus.CHECKOUT_DIRTY),
)


def create_block_reasons(hotel: Hotel) -> None:
    """Give a new hotel its list of reasons for blocks."""
    BlockReason.objects.bulk_create(
        BlockReason(hotel=hotel, code=code, label=label, default_kind=kind, default_return_status=status)
        for code, label, kind, status in BLOCK_REASONS
    )


@transaction.atomic
def create_room_type(*, hotel: Hotel, **fields: Any) -> RoomType:
    """Create a room type."""
    room_type = RoomType(hotel=hotel, **fields)
    room_type.starting_price_from = require(type_creation_refusals(room_type))
    with _unless_name_taken():
        room_type.save(force_insert=True)
    return room_type


def type_creation_refusals(room_type: RoomType, *, taken: Collection[str] = ()) -> Guard[Decimal | None]:
    """The refusals of ``create_room_type`` for a type that is not stored yet; ``taken`` as in ``name_refusals``.

    Returns the price to store.
    """
    price = yield from amount_refusals(room_type.starting_price_from, room_type.currency, "starting_price_from")
    yield from name_refusals(taken)
    return price


def name_refusals(taken: Collection[str]) -> Guard[None]:
    """Refused for those of ``name`` and ``code`` that are ``taken``: another type of the hotel has them."""
    for field in taken:
        yield RoomTypeTaken(field)


@transaction.atomic
def update_room_type(*, room_type: RoomType, **fields: Any) -> RoomType:
    """Change a room type. Raises CapacityExceeded when a booked party would no longer fit."""
    locked = RoomType.objects.select_for_update(no_key=True).filter(pk=room_type.pk).order_by("pk").first()
    if locked is None:
        raise RoomTypeNotFound("There is no such room type.")
    price = require(type_update_refusals(locked, fields))
    for name, value in fields.items():
        setattr(locked, name, value)
    locked.starting_price_from = price
    with _unless_name_taken():
        locked.save(update_fields=list(fields))
    return locked


def type_update_refusals(
    room_type: RoomType, fields: Mapping[str, Any], *, taken: Collection[str] = ()
) -> Guard[Decimal | None]:
    """The refusals of ``update_room_type``; ``taken`` as in ``name_refusals``. Returns the price to store."""
    max_occupancy = fields.get("max_occupancy", room_type.max_occupancy)
    if max_occupancy < room_type.max_occupancy:
        what = f"{room_type.name} can't sleep only {max_occupancy}"
        yield from _fit_refusals(what, max_occupancy, parties_too_large(room_type, max_occupancy))
    price: Decimal | None = fields.get("starting_price_from", room_type.starting_price_from)
    if money := [name for name in ("starting_price_from", "currency") if name in fields]:
        price = yield from amount_refusals(price, fields.get("currency", room_type.currency), money[0])
    yield from name_refusals(taken)
    return price


def _fit_refusals(what: str, max_occupancy: int, too_large: QuerySet[RoomBooking]) -> Guard[None]:
    """Refused, with a message that begins with ``what``, if any party is too large for ``max_occupancy``."""
    parties = list(too_large.select_related("assigned_room").order_by("check_in", "pk")[:100])
    if parties:
        conflicts = [conflict(booking, booking.assigned_room) for booking in parties]
        yield CapacityExceeded(
            f"{what}: the party of {parties[0].booking_id} is larger.",
            details={"max_occupancy": max_occupancy, "conflicts": conflicts},
            extra={"conflicts": conflicts},
            blocker=blocked_by(parties[0]),
        )


@transaction.atomic
def delete_room_type(*, room_type: RoomType) -> None:
    """Delete a room type that no room and no booking uses."""
    require(type_deletion_refusals(is_in_use=not _delete(room_type)))


def type_deletion_refusals(*, is_in_use: bool) -> Guard[None]:
    """The refusals of ``delete_room_type``; ``is_in_use``: rooms or bookings have the type (``selectors.in_use``)."""
    if is_in_use:
        yield RoomTypeInUse("Rooms or bookings use this type. Deactivate it instead (is_active: false).")


def _unless_name_taken() -> AbstractContextManager[None]:
    return _unless_taken(room_type_name_unique=name_refusals(["name"]), room_type_code_unique=name_refusals(["code"]))


@contextmanager
def _unless_taken(**guards: Guard[None]) -> Iterator[None]:
    """Ask the guard of a unique constraint that is violated: only the database knows for certain what is taken."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if guard := guards.get(constraint(error)):
            require(guard)
        raise


def _room_type(hotel: Hotel, room_type_id: int) -> RoomType:
    found = RoomType.objects.filter(hotel=hotel, pk=room_type_id).first()
    if found is None:
        raise FieldError("room_type_id", "This hotel has no such room type.")
    return found
