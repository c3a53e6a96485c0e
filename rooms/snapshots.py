"""A room's JSON, the same in every response and every event."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from common.formats import iso
from common.money import money
from rooms.live_blocks import blocks_shown, is_kept_out
from rooms.models import TRANSITIONS, Room, RoomStatus, RoomType

if TYPE_CHECKING:
    from rooms.rows import RoomRow

# The guest fields of a vacant room: explicit, so that a client that merges snapshots drops a departed guest.
NOBODY: dict[str, Any] = {"primary_guest": None, "companions": [], "guests_in_room": [], "current_booking": None}
PRIMARY_GUEST_ID = 0  # the primary guest's name is on the booking; companions are rows, numbered from 1


def is_occupied(room: "Room | RoomRow") -> bool:
    """Whether an in-house booking is in the room; ``room`` comes from ``selectors.room_list`` or ``rows``."""
    return room.stay_id is not None  # type: ignore[union-attr]


def facts_allow(to_status: str, occupied: bool) -> bool:
    """The physical facts: OCCUPIED needs a guest in house, MAINTENANCE_REQUIRED allows one, all others forbid one."""
    if to_status == RoomStatus.MAINTENANCE_REQUIRED:
        return True
    return occupied == (to_status == RoomStatus.OCCUPIED)


LABELS = {status: str(label) for status, label in RoomStatus.choices}
# By status and occupancy: the transitions of the workflow map that the physical facts allow. The guard of a status
# change asks the map and the facts too; a test compares the two.
ALLOWED = {
    (str(status), occupied): [str(to_status) for to_status in steps if facts_allow(to_status, occupied)]
    for status, steps in TRANSITIONS.items()
    for occupied in (False, True)
}


def type_snapshot(room_type: RoomType) -> dict[str, Any]:
    """The room type's part of a room snapshot."""
    price = money(room_type.starting_price_from, room_type.currency)
    return {
        "room_type": room_type.pk,
        "room_type_name": room_type.name,
        "room_type_info": {
            "id": room_type.pk,
            "name": room_type.name,
            "capacity": room_type.max_occupancy,
            "max_occupancy": room_type.max_occupancy,
            "base_rate": price,
            "starting_price_from": price,
        },
        "current_price": None if price is None else {"amount": price, "currency": room_type.currency},
    }


def room_snapshot(
    room: "Room | RoomRow", *, guests: bool = False, of_type: Callable[[RoomType], dict[str, Any]] = type_snapshot
) -> dict[str, Any]:
    """A Room (docs/api.md, Rooms), JSON-safe; ``guests`` adds the guests, for callers with a bookings right.

    ``room`` comes from ``selectors.room_list``, ``room_lock`` or ``rows``; no queries are made here. For many rooms,
    pass a cached ``type_snapshot``. Snapshots may share nested values: never mutate them.
    """
    occupied = is_occupied(room)
    status = str(room.room_status)
    cleaned_by = room.cleaned_by_staff.name if room.cleaned_by_staff else None
    inspected_by = room.inspected_by_staff.name if room.inspected_by_staff else None
    snapshot = {
        "id": room.pk,
        "hotel_slug": room.hotel.slug,
        "room_number": room.room_number,
        **of_type(room.room_type),
        "floor": room.shown_floor,
        "building": room.building,
        "section": room.section,
        "features": room.features,
        "is_accessible": room.is_accessible,
        "connecting_rooms": room.connecting_rooms,
        "walking_order": room.walking_order,
        "credits": f"{room.shown_credits:.2f}",
        "room_status": status,
        "room_status_display": LABELS[status],
        "is_occupied": occupied,
        "is_active": room.is_active,
        "is_bookable": room.is_bookable,
        "is_out_of_order": status == RoomStatus.OUT_OF_ORDER,
        "maintenance_required": room.maintenance_required,
        "maintenance_priority": str(room.maintenance_priority) or None,
        "maintenance_notes": room.maintenance_notes,
        "last_cleaned_at": iso(room.last_cleaned_at),
        "cleaned_by_staff": cleaned_by,
        "cleaned_by_staff_name": cleaned_by,
        "last_inspected_at": iso(room.last_inspected_at),
        "inspected_by_staff": inspected_by,
        "inspected_by_staff_name": inspected_by,
        "turnover_notes": room.turnover_notes,
        "status_version": room.status_version,
        "status_changed_at": iso(room.status_changed_at),
        "allowed_transitions": [] if is_kept_out(room) else ALLOWED[status, occupied],
        "updated_at": iso(room.updated_at),
        **blocks_shown(room),
    }
    if guests:
        snapshot |= _guests(room) if occupied else NOBODY
    return snapshot


def _guests(room: Any) -> dict[str, Any]:
    primary = {"first_name": room.stay_first_name, "last_name": room.stay_last_name}
    return {
        "primary_guest": primary,
        "companions": room.stay_companions,
        "guests_in_room": [{"id": PRIMARY_GUEST_ID, **primary}, *room.stay_companions],
        "current_booking": {"booking_id": room.stay_booking_id, "check_out": room.stay_check_out.isoformat()},
    }
