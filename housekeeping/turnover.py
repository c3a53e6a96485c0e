"""Housekeeping actions on one room: cleaning, inspection, reporting and clearing faults.

Each locks the room, decides on the locked row, and leaves the status change to ``housekeeping.services``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import transaction

from common import clock
from common.errors import Blocker, Conflict, Lift
from common.guards import Guard, require
from hotel.models import Staff
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.policy import StatusChangeNotAllowed
from housekeeping.selectors import latest_events
from housekeeping.services import (
    CLEAR,
    FLAG,
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
    status_refusals,
)
from notifications import notification_manager
from rooms.models import Priority, Room, RoomStatus
from rooms.snapshots import is_occupied


class AlreadyInProgress(Conflict):
    """Somebody else is cleaning the room."""

    code = "ALREADY_IN_PROGRESS"


class Step(NamedTuple):
    """The status change that an action comes to."""

    to_status: str
    request: StatusRequest


@transaction.atomic
def start_cleaning(*, room: Room, staff: Staff, note: str = "") -> Room:
    """Start cleaning → CLEANING_IN_PROGRESS; refused, naming the person, if somebody else is already cleaning."""
    [locked] = lock_rooms([room])
    in_progress = locked.room_status == RoomStatus.CLEANING_IN_PROGRESS
    latest = latest_events([locked]).get(locked.pk) if in_progress else None
    step = require(start_cleaning_refusals(locked, staff, note, latest))
    return copy_state_to(room, change_locked_room(locked, *step))


def start_cleaning_refusals(room: Room, staff: Staff, note: str, latest: RoomStatusEvent | None) -> Guard[Step]:
    """The refusals of ``start_cleaning``; ``latest`` is the latest change of a room that is being cleaned."""
    cleaner = latest and room.room_status == RoomStatus.CLEANING_IN_PROGRESS and latest.changed_by
    if cleaner and cleaner.pk != staff.pk:
        yield AlreadyInProgress(
            f"{cleaner.name} is already cleaning room {room.room_number}.",
            details=current_state(room) | author_of(latest),
            blocker=Blocker("staff", cleaner.pk, cleaner.name),
        )
    step = Step(RoomStatus.CLEANING_IN_PROGRESS, StatusRequest(staff, Source.HOUSEKEEPING, note))
    yield from status_refusals(room, *step)
    return step


def mark_cleaned(*, room: Room, staff: Staff, note: str = "") -> Room:
    """Finish cleaning → CLEANED_UNINSPECTED."""
    return set_room_status(room=room, to_status=RoomStatus.CLEANED_UNINSPECTED, staff=staff, note=note)


@transaction.atomic
def inspect_room(*, room: Room, staff: Staff, passed: bool, note: str = "") -> Room:
    """Inspect: passed → READY_FOR_GUEST, or MAINTENANCE_REQUIRED if a fault is open; failed → CHECKOUT_DIRTY."""
    [locked] = lock_rooms([room])
    step = require(inspection_refusals(locked, staff, passed=passed, note=note))
    return copy_state_to(room, change_locked_room(locked, *step))


def inspection_refusals(room: Room, staff: Staff, *, passed: bool, note: str) -> Guard[Step]:
    """The refusals of ``inspect_room``."""
    if not passed:
        to_status = RoomStatus.CHECKOUT_DIRTY
    elif room.maintenance_required:
        to_status = RoomStatus.MAINTENANCE_REQUIRED
    else:
        to_status = RoomStatus.READY_FOR_GUEST
    # Recorded even if a fault keeps the room from being ready, so that it is not cleaned again after the repair.
    step = Step(to_status, StatusRequest(staff, Source.HOUSEKEEPING, note, inspected=passed))
    if room.room_status in (RoomStatus.CLEANED_UNINSPECTED, to_status):
        yield from status_refusals(room, *step)
    else:
        yield TransitionNotAllowed(
            f"Invalid transition: room {room.room_number} is {room_status_label(room.room_status)}, "
            "and only a cleaned room can be inspected.",
            details=current_state(room),
        )
    return step


@transaction.atomic
def flag_maintenance(*, room: Room, staff: Staff, priority: str = Priority.MED, note: str = "") -> Room:
    """Report a fault → MAINTENANCE_REQUIRED. If the room is already there, add the note and raise the priority."""
    [locked] = lock_rooms([room])
    step = require(flag_refusals(locked, staff, priority=priority, note=note))
    if step is not None:
        return copy_state_to(room, change_locked_room(locked, *step))
    before = {name: getattr(locked, name) for name in _FAULT_FIELDS}
    flag_fault(locked, priority, note.strip())
    _save_details(locked, before, staff)
    return copy_state_to(room, locked)


def flag_refusals(room: Room, staff: Staff, *, priority: str, note: str) -> Guard[Step | None]:
    """The refusals of ``flag_maintenance``; without a step, only the fault's details change."""
    yield from _right_refusals(staff, room, FLAG)
    if room.room_status == RoomStatus.MAINTENANCE_REQUIRED:
        return None
    step = Step(RoomStatus.MAINTENANCE_REQUIRED, StatusRequest(staff, Source.HOUSEKEEPING, note, priority=priority))
    yield from status_refusals(room, *step)
    return step


@transaction.atomic
def complete_maintenance(*, room: Room, staff: Staff, note: str = "") -> Room:
    """The fault is repaired: clear the flag in any status, and take the room out of MAINTENANCE_REQUIRED.

    The room goes to OCCUPIED with a guest in house, to READY_FOR_GUEST if it was cleaned and inspected since the last
    departure, otherwise to CHECKOUT_DIRTY. A room without a fault is not changed.
    """
    [locked] = lock_rooms([room])
    step = require(repair_refusals(locked, staff, note, _is_turned_over))
    if step is not None:
        return copy_state_to(room, change_locked_room(locked, *step))
    if locked.maintenance_required:
        before = {name: getattr(locked, name) for name in _FAULT_FIELDS}
        clear_fault(locked)
        # There is no status change to carry the note, so it goes to the turnover notes.
        locked.turnover_notes = append_note(locked.turnover_notes, note.strip())
        _save_details(locked, before, staff)
    return copy_state_to(room, locked)


def repair_refusals(room: Room, staff: Staff, note: str, is_turned_over: Callable[[Room], bool]) -> Guard[Step | None]:
    """The refusals of ``complete_maintenance``; without a step, the status stays.

    ``is_turned_over`` tells whether a vacant room was cleaned and inspected since the last departure.
    """
    yield from _right_refusals(staff, room, CLEAR)
    if room.room_status != RoomStatus.MAINTENANCE_REQUIRED:
        return None
    if is_occupied(room):
        to_status = RoomStatus.OCCUPIED
    else:
        to_status = RoomStatus.READY_FOR_GUEST if is_turned_over(room) else RoomStatus.CHECKOUT_DIRTY
    step = Step(to_status, StatusRequest(staff, Source.HOUSEKEEPING, note, clears_fault=True))
    yield from status_refusals(room, *step)
    return step


def _right_refusals(staff: Staff, room: Room, right: str) -> Guard[None]:
    if staff.hotel_id != room.hotel_id or not staff.can(right):
        yield StatusChangeNotAllowed("Permission denied: your role does not include this.", lift=Lift((right,)))


# The fields that reporting or clearing a fault can change without a status change.
_FAULT_FIELDS = ("maintenance_required", "maintenance_priority", "maintenance_notes", "turnover_notes")


def _save_details(room: Room, before: dict[str, Any], staff: Staff) -> None:
    """Save and publish the fields that differ from ``before``, without a status change."""
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
    """Whether the room was cleaned and then inspected, and has not been dirtied or cleaned again since."""
    if room.last_cleaned_at is None or room.last_inspected_at is None:
        return False
    became_dirty_at = (
        RoomStatusEvent.objects.filter(
            room=room, to_status__in=[RoomStatus.CHECKOUT_DIRTY, RoomStatus.CLEANING_IN_PROGRESS]
        )
        .order_by("-version")
        .values_list("created_at", flat=True)
        .first()
    )
    is_clean = became_dirty_at is None or became_dirty_at <= room.last_cleaned_at
    return is_clean and room.last_cleaned_at <= room.last_inspected_at
