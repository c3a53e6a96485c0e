"""Housekeeping's steps on one room: cleaning, inspection, and faults from their report to their end.

Each locks the room, decides on it as it is, and leaves the change of status to ``housekeeping.services``.
"""

from typing import Any

from django.db import transaction

from common import clock
from common.errors import Conflict
from hotel.models import Staff
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.selectors import latest_events
from housekeeping.services import (
    CLEAR,
    FLAG,
    StatusChangeNotAllowed,
    StatusRequest,
    TransitionNotAllowed,
    append_note,
    author_of,
    change_locked_room,
    clear_fault,
    copy_state_to,
    current_state,
    flag_fault,
    lock_rooms,
    room_status_label,
    set_room_status,
)
from notifications import notification_manager
from rooms.models import Priority, Room, RoomStatus
from rooms.snapshots import is_occupied


class AlreadyInProgress(Conflict):
    """Somebody else is cleaning the room."""

    code = "ALREADY_IN_PROGRESS"


@transaction.atomic
def start_cleaning(*, room: Room, staff: Staff, note: str = "") -> Room:
    """A housekeeper begins; refused with the name when somebody else is at it, nothing when it is the same person."""
    [locked] = lock_rooms([room])
    if locked.room_status == RoomStatus.CLEANING_IN_PROGRESS:
        event = latest_events([locked]).get(locked.pk)
        if event and event.changed_by and event.changed_by_id != staff.pk:
            raise AlreadyInProgress(
                f"{event.changed_by.name} is already cleaning room {locked.room_number}.",
                details=current_state(locked) | author_of(event),
            )
    request = StatusRequest(staff, Source.HOUSEKEEPING, note)
    return copy_state_to(room, change_locked_room(locked, RoomStatus.CLEANING_IN_PROGRESS, request))


def mark_cleaned(*, room: Room, staff: Staff, note: str = "") -> Room:
    """A housekeeper is done → CLEANED_UNINSPECTED."""
    return set_room_status(room=room, to_status=RoomStatus.CLEANED_UNINSPECTED, staff=staff, note=note)


@transaction.atomic
def inspect_room(*, room: Room, staff: Staff, passed: bool, note: str = "") -> Room:
    """An inspection: passed → READY_FOR_GUEST, or MAINTENANCE_REQUIRED while a fault is flagged; failed → dirty."""
    [locked] = lock_rooms([room])
    if not passed:
        to_status = RoomStatus.CHECKOUT_DIRTY
    elif locked.maintenance_required:
        to_status = RoomStatus.MAINTENANCE_REQUIRED
    else:
        to_status = RoomStatus.READY_FOR_GUEST
    if locked.room_status not in (RoomStatus.CLEANED_UNINSPECTED, to_status):
        raise TransitionNotAllowed(
            f"Invalid transition: room {locked.room_number} is {room_status_label(locked.room_status)}, "
            "and only a cleaned room is inspected.",
            details=current_state(locked),
        )
    # Stamped also when a fault keeps the room from being ready, so that it need not be cleaned again once mended.
    request = StatusRequest(staff, Source.HOUSEKEEPING, note, inspected=passed)
    return copy_state_to(room, change_locked_room(locked, to_status, request))


@transaction.atomic
def flag_maintenance(*, room: Room, staff: Staff, priority: str = Priority.MED, note: str = "") -> Room:
    """Report a fault → MAINTENANCE_REQUIRED. A room already there gets the note, and a higher priority if given."""
    [locked] = lock_rooms([room])
    _require(staff, locked, FLAG)
    if locked.room_status == RoomStatus.MAINTENANCE_REQUIRED:
        before = {name: getattr(locked, name) for name in _TOLD_OF_FAULT}
        flag_fault(locked, priority, note.strip())
        _save_details(locked, before, staff)
        return copy_state_to(room, locked)
    request = StatusRequest(staff, Source.HOUSEKEEPING, note, priority=priority)
    return copy_state_to(room, change_locked_room(locked, RoomStatus.MAINTENANCE_REQUIRED, request))


@transaction.atomic
def complete_maintenance(*, room: Room, staff: Staff, note: str = "") -> Room:
    """The fault is mended: clear the flag in any status, and take the room out of MAINTENANCE_REQUIRED.

    From there it goes to OCCUPIED with a guest in house, to READY_FOR_GUEST if it was cleaned and inspected since the
    last departure, else to CHECKOUT_DIRTY. A room without a fault is left as it is.
    """
    [locked] = lock_rooms([room])
    _require(staff, locked, CLEAR)
    if locked.room_status != RoomStatus.MAINTENANCE_REQUIRED:
        if locked.maintenance_required:
            before = {name: getattr(locked, name) for name in _TOLD_OF_FAULT}
            clear_fault(locked)
            # No change of status carries the note, so that it goes where housekeeping reads.
            locked.turnover_notes = append_note(locked.turnover_notes, note.strip())
            _save_details(locked, before, staff)
        return copy_state_to(room, locked)
    if is_occupied(locked):
        to_status = RoomStatus.OCCUPIED
    else:
        to_status = RoomStatus.READY_FOR_GUEST if _is_turned_over(locked) else RoomStatus.CHECKOUT_DIRTY
    request = StatusRequest(staff, Source.HOUSEKEEPING, note, clears_fault=True)
    return copy_state_to(room, change_locked_room(locked, to_status, request))


def _require(staff: Staff, room: Room, right: str) -> None:
    if staff.hotel_id != room.hotel_id or not staff.can(right):
        raise StatusChangeNotAllowed("Permission denied: your role does not include this.")


# What a report of a fault, or of its end, may change about a room whose status stays.
_TOLD_OF_FAULT = ("maintenance_required", "maintenance_priority", "maintenance_notes", "turnover_notes")


def _save_details(room: Room, before: dict[str, Any], staff: Staff) -> None:
    """Write and tell what differs from ``before`` about a room whose status stays."""
    changed = [name for name, value in before.items() if getattr(room, name) != value]
    if not changed:
        return
    changed.append("updated_at")
    room.updated_at = clock.now()
    room.save(update_fields=changed)
    notification_manager.realtime_room_updated(
        room, changed_fields=changed, source=Source.HOUSEKEEPING, from_status=room.room_status, staff=staff
    )


def _is_turned_over(room: Room) -> bool:
    """Whether the room was cleaned, then inspected, and neither dirtied (by a departure, say) nor begun again since."""
    if room.last_cleaned_at is None or room.last_inspected_at is None:
        return False
    unclean = (
        RoomStatusEvent.objects.filter(
            room=room, to_status__in=[RoomStatus.CHECKOUT_DIRTY, RoomStatus.CLEANING_IN_PROGRESS]
        )
        .order_by("-version")
        .values_list("created_at", flat=True)
        .first()
    )
    return (unclean is None or unclean <= room.last_cleaned_at) and room.last_cleaned_at <= room.last_inspected_at
