"""The JSON of a room and of a status change: one shape each, in every answer and every event."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from common.formats import iso
from common.money import money
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from rooms.models import TRANSITIONS, Room, RoomStatus, RoomType

if TYPE_CHECKING:
    from housekeeping.rows import RoomRow

# What an event says so that a client that merges forgets a departed guest.
NOBODY: dict[str, Any] = {"primary_guest": None, "companions": [], "guests_in_room": [], "current_booking": None}
PRIMARY_GUEST_ID = 0  # the primary guest's name is on the booking; companions are rows, numbered from 1


def is_occupied(room: "Room | RoomRow") -> bool:
    """Whether an in-house booking is in the room; ``room`` comes from ``selectors.room_list`` or ``rows``."""
    return room.stay_id is not None  # type: ignore[union-attr]


def facts_allow(to_status: str, occupied: bool) -> bool:
    """The physical facts: OCCUPIED needs a guest in house, MAINTENANCE_REQUIRED takes either, the others need none."""
    if to_status == RoomStatus.MAINTENANCE_REQUIRED:
        return True
    return occupied == (to_status == RoomStatus.OCCUPIED)


LABELS = {status: str(label) for status, label in RoomStatus.choices}
# By status, and whether the room is occupied: the steps that the workflow map has and the facts do not forbid.
ALLOWED = {
    (str(status), occupied): [str(to_status) for to_status in steps if facts_allow(to_status, occupied)]
    for status, steps in TRANSITIONS.items()
    for occupied in (False, True)
}


def type_snapshot(room_type: RoomType) -> dict[str, Any]:
    """What a room's snapshot says of its type."""
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
    """The contract's Room (section 3), JSON-safe; ``guests`` adds who is in it, for eyes with a bookings right.

    ``room`` comes from ``selectors.room_list`` or ``room_lock``, or from ``rows``; no statement is made here. Whoever
    shows many rooms gives a ``type_snapshot`` that remembers. What snapshots say is shared among them: never change it.
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
        "allowed_transitions": ALLOWED[status, occupied],
        "updated_at": iso(room.updated_at),
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


def status_event_snapshot(event: RoomStatusEvent | None, room: Room) -> dict[str, Any] | None:
    """One row of a room's history (contract section 4), JSON-safe."""
    if event is None:
        return None
    return {
        "id": event.pk,
        "hotel": event.hotel_id,
        "hotel_name": room.hotel.name,
        "room": event.room_id,
        "room_number": room.room_number,
        "from_status": str(event.from_status),
        "to_status": str(event.to_status),
        "changed_by": event.changed_by_id,
        "changed_by_name": event.changed_by.name if event.changed_by else None,
        "source": str(event.source),
        "source_display": event.get_source_display(),
        "note": event.note,
        "created_at": iso(event.created_at),
    }


def task_snapshot(task: HousekeepingTask, now: datetime) -> dict[str, Any]:
    """A task as lists and answers show it, JSON-safe; ``task`` comes from ``selectors.task_list``."""
    return {
        "id": task.pk,
        "room": task.room_id,
        "room_number": task.room.room_number,
        "booking": task.booking.booking_id if task.booking else None,
        "task_type": str(task.task_type),
        "task_type_display": task.get_task_type_display(),
        "status": str(task.status),
        "status_display": task.get_status_display(),
        "priority": str(task.priority),
        "note": task.note,
        "assigned_to": task.assigned_to_id,
        "assigned_to_name": task.assigned_to.name if task.assigned_to else None,
        "created_by": task.created_by_id,
        "created_by_name": task.created_by.name if task.created_by else None,
        "created_at": iso(task.created_at),
        "started_at": iso(task.started_at),
        "completed_at": iso(task.completed_at),
        "cancelled_at": iso(task.cancelled_at),
        "is_overdue": task.is_overdue_at(now),
    }
