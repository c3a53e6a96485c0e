"""Room status changes: the only module that writes ``Room.room_status``.

Housekeeping actions, which choose the new status from the locked room, are in ``housekeeping.turnover``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import transaction

from common import clock, prepared
from common.errors import Conflict, HotelMateError, InvalidInput, Lift
from common.formats import iso
from common.guards import Guard, examine, require
from hotel import calendar
from hotel.models import Staff
from housekeeping.block_records import (
    BlockChange,
    block_by_status,
    complete_block,
    insert_blocks,
    stored_block,
    stored_with,
)
from housekeeping.models import TURNED_OVER, RoomStatusEvent, Source
from housekeeping.policy import OVERRIDE, rights_refusals
from housekeeping.selectors import latest_events
from housekeeping.task_following import finish_turnovers
from notifications import notification_manager
from room_bookings.models import Overbooking
from room_bookings.room_demand import RoomDemand
from rooms.errors import RoomNotFound, RoomOccupied, blocked, guest_of
from rooms.live_blocks import closing_block, live_blocks
from rooms.models import Priority, Room, RoomStatus
from rooms.selectors import room_list, room_lock
from rooms.snapshots import LABELS, facts_allow, is_occupied

# --- refusals ---------------------------------------------------------------------------------------------------------


class UnknownStatus(InvalidInput):
    code = "UNKNOWN_STATUS"


class NoteRequired(InvalidInput):
    code = "NOTE_REQUIRED"


class StatusChanged(Conflict):
    """The room is no longer in the status that the caller saw."""

    code = "STATUS_CHANGED"


class VersionChanged(HotelMateError):
    """The room is no longer at the version that the caller saw (``If-Match``)."""

    status = 412
    code = "PRECONDITION_FAILED"


class TransitionNotAllowed(Conflict):
    """The workflow map has no such transition."""

    code = "INVALID_TRANSITION"


class NobodyInHouse(Conflict):
    """A physical fact: OCCUPIED needs a guest in house."""

    code = "NOBODY_IN_HOUSE"


class MaintenanceOpen(Conflict):
    """A fault is still open, and this change would clear it."""

    code = "MAINTENANCE_OPEN"


IN_REPAIR = (RoomStatus.MAINTENANCE_REQUIRED, RoomStatus.OUT_OF_ORDER)
# The statuses of a room after a check-out, from which a guest who has not left after all can have it back.
TURNED = (
    RoomStatus.CHECKOUT_DIRTY,
    RoomStatus.CLEANING_IN_PROGRESS,
    RoomStatus.CLEANED_UNINSPECTED,
    RoomStatus.READY_FOR_GUEST,
)
FLAG, CLEAR = "rooms.maintenance_flag", "rooms.maintenance_clear"
BY_OVERRIDE = Lift((OVERRIDE,), "note")

# --- the writer -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StatusOutcome:
    """The result for one room: changed (``event``), refused (``refusal``), or unchanged (neither)."""

    room: Room
    event: RoomStatusEvent | None = None
    refusal: HotelMateError | None = None


@dataclass(frozen=True)
class StatusRequest:
    """The caller and the options of a status change, shared by every room in one call."""

    staff: Staff | None
    source: str
    note: str
    expected_status: str | None = None
    expected_versions: Sequence[int] | None = None
    priority: str | None = None
    inspected: bool = False
    clears_fault: bool = False
    forced: bool = False
    returning: bool = False
    by_block: bool = False  # a block that begins or ends changes a vacant room, whatever its status

    @property
    def overrides(self) -> bool:
        """Whether the workflow map does not apply."""
        return self.by_block or self.source == Source.MANAGER_OVERRIDE

    def expects(self, room: Room) -> bool:
        """Whether the room matches the status and version that the caller expects, if any."""
        return self.expected_status in (None, room.room_status) and (
            self.expected_versions is None or room.status_version in self.expected_versions
        )


def set_room_status(
    *,
    room: Room,
    to_status: str,
    staff: Staff | None = None,
    source: str = Source.HOUSEKEEPING,
    note: str = "",
    expected_status: str | None = None,
    expected_versions: Sequence[int] | None = None,
    forced: bool = False,
) -> Room:
    """Move a room to ``to_status``.

    The decision is made on the locked row: only the key and the hotel of the passed ``room`` are used, and RoomNotFound
    is raised if that hotel has no such room. ``expected_status`` and ``expected_versions`` (any of them matches) refuse
    the change if somebody else was faster. Setting the current status writes and sends nothing. Returns ``room`` with
    the new values and, as ``status_event``, the audit row (``None`` if nothing changed).

    Raises RoomNeeded when bookings need a room that would go out of order, unless ``forced``: then the caller has
    unassigned its arrivals first (``room_bookings.services.room_removal``). A room out of order has a block for as
    long as it is; any other block that keeps it so refuses the change (RoomBlocked).

    Raises the errors of this module; then nothing was written.
    """
    request = StatusRequest(staff, source, note, expected_status, expected_versions, forced=forced)
    with transaction.atomic():
        [locked] = lock_rooms([room])
        _change([(locked, to_status)], request, all_or_nothing=True)
        return copy_state_to(room, locked)


def set_room_statuses(
    *,
    changes: Iterable[tuple[Room, str]],
    staff: Staff | None = None,
    source: str = Source.HOUSEKEEPING,
    note: str = "",
    expected_status: str | None = None,
    all_or_nothing: bool = False,
    returning: bool = False,
) -> list[StatusOutcome]:
    """Move many rooms of one hotel, each to its own status, by the rules of ``set_room_status``.

    A constant number of statements. A refused room is reported in its outcome while the others are changed; with
    ``all_or_nothing`` the first refusal is raised and nothing is written. ``returning``: the guests are back in the
    rooms that they had just left, which need not be clean. Outcomes come in the order of ``changes``, which must not
    contain a room twice. The rooms passed in carry the new values.
    """
    requested = list(changes)
    if len({room.pk for room, _ in requested}) < len(requested):
        raise ValueError("a room is named twice")
    request = StatusRequest(staff, source, note, expected_status, returning=returning)
    with transaction.atomic():
        locked = lock_rooms([room for room, _ in requested])
        outcomes = _change(
            [(fresh, to_status) for fresh, (_, to_status) in zip(locked, requested, strict=True)],
            request,
            all_or_nothing,
        )
    return [
        StatusOutcome(copy_state_to(room, outcome.room), outcome.event, outcome.refusal)
        for (room, _), outcome in zip(requested, outcomes, strict=True)
    ]


@dataclass(frozen=True)
class StatusForecast:
    """The expected result for one room: changed, refused (with every reason), or unchanged (neither)."""

    room: Room
    changes: bool = False
    refusals: Sequence[HotelMateError] = ()


def preview_room_statuses(
    *, changes: Iterable[tuple[Room, str]], staff: Staff | None, source: str = Source.HOUSEKEEPING, note: str = ""
) -> list[StatusForecast]:
    """What ``set_room_statuses`` would do now, by the same checks; nothing is locked, written or sent.

    One statement. Forecasts come in the order of ``changes``; their rooms come from ``selectors.room_list``.
    """
    requested = [(room.pk, to_status) for room, to_status in changes]
    rooms = {room.pk: room for room in room_list().filter(pk__in=[pk for pk, _ in requested])}
    request = StatusRequest(staff, source, note)
    previewed = [(rooms[pk], to_status) for pk, to_status in requested if pk in rooms]
    demand = _demand(previewed, request, lock=False)
    return [_preview(room, to_status, request, demand) for room, to_status in previewed]


def _preview(room: Room, to_status: str, request: StatusRequest, demand: RoomDemand | None) -> StatusForecast:
    refusals, changes = examine(status_refusals(room, to_status, request, None, demand))
    if refusals:
        return StatusForecast(room, refusals=refusals)
    if changes and demand is not None and to_status == RoomStatus.OUT_OF_ORDER:
        demand.take(room, staff=request.staff, reason=request.note)
    return StatusForecast(room, changes=changes)


def change_locked_room(room: Room, to_status: str, request: StatusRequest) -> Room:
    """The change of a room that is locked, for a service whose own guard includes ``status_refusals``."""
    if room.room_status != to_status:
        _write([_begin(room, to_status, request)], [], request.staff)
    return room


def change_rooms_by_block(
    changes: Sequence[tuple[Room, str, str]],
    blocks: Sequence[BlockChange],
    *,
    staff: Staff | None,
    overbooked: Sequence[Overbooking] = (),
    events: Sequence[notification_manager.RoomEvent] = (),
) -> None:
    """Store ``blocks``, and the status changes that come with them: of each locked, vacant room, its new status and a
    note. New blocks have been inserted."""
    for room, to_status, note in changes:
        require(status_refusals(room, to_status, _by_block(staff, to_status, note)))
    _write(
        [_begin(room, to_status, _by_block(staff, to_status, note)) for room, to_status, note in changes],
        overbooked,
        staff,
        blocks=blocks,
        events=events,
    )


def _by_block(staff: Staff | None, to_status: str, note: str) -> StatusRequest:
    # A room that returns ready for a guest has been inspected.
    return StatusRequest(staff, Source.SYSTEM, note, inspected=to_status == RoomStatus.READY_FOR_GUEST, by_block=True)


class _Change(NamedTuple):
    """A change of a locked room, not yet stored, and that of the block that its status makes or ends."""

    room: Room
    event: RoomStatusEvent
    fields: list[str]
    block: BlockChange | None


def _change(changes: Sequence[tuple[Room, str]], request: StatusRequest, all_or_nothing: bool) -> list[StatusOutcome]:
    """Check, change, record, publish. The rooms are locked and fresh."""
    authors = latest_events(room for room, _ in changes if not request.expects(room))
    demand, overbooked = _demand(changes, request), list[Overbooking]()
    outcomes: list[StatusOutcome] = []
    changed: list[_Change] = []
    for room, to_status in changes:
        try:
            needed = require(status_refusals(room, to_status, request, authors.get(room.pk), demand))
        except HotelMateError as refusal:
            if all_or_nothing:
                raise
            outcomes.append(StatusOutcome(room, refusal=refusal))
            continue
        if not needed:
            outcomes.append(StatusOutcome(room))
            continue
        if demand is not None and to_status == RoomStatus.OUT_OF_ORDER:
            overbooked += demand.take(room, staff=request.staff, reason=request.note)
        changed.append(_begin(room, to_status, request))
        outcomes.append(StatusOutcome(room, room.status_event))
    if changed:
        _write(changed, overbooked, request.staff)
    return outcomes


def _begin(room: Room, to_status: str, request: StatusRequest) -> _Change:
    event = room.status_event = _event(room, to_status, request)
    block = None if request.by_block else _block_of_status(room, event)
    return _Change(room, event, _apply(room, to_status, event, request), block)


def _block_of_status(room: Room, event: RoomStatusEvent) -> BlockChange | None:
    """The block that the change makes or ends, if any."""
    today, staff = calendar.business_date(room.hotel), event.changed_by
    if event.to_status == RoomStatus.OUT_OF_ORDER:
        return block_by_status(room, today, event.created_at, staff=staff, note=event.note)
    block = closing_block(room) if room.room_status == RoomStatus.OUT_OF_ORDER else None
    if block is None:
        return None
    return complete_block(stored_block(room, block), today, event.created_at, staff=staff, note=event.note)


def _write(
    changed: Sequence[_Change],
    overbooked: Sequence[Overbooking],
    staff: Staff | None,
    *,
    blocks: Sequence[BlockChange] = (),
    events: Sequence[notification_manager.RoomEvent] = (),
) -> None:
    rooms, names = [each.room for each in changed], {field for each in changed for field in each.fields}
    blocks = [*blocks, *(each.block for each in changed if each.block)]
    insert_blocks(blocks)
    stored = stored_with(blocks)  # before the events, which show the rooms' blocks
    updates = [
        notification_manager.RoomUpdate(each.room, each.fields, each.event.source, each.event.from_status, staff)
        for each in changed
    ]
    prepared.write(
        prepared.Update(rooms, names),
        *stored,
        prepared.Insert(overbooked),
        notification_manager.rooms_updated(updates, events),
        prepared.Insert([each.event for each in changed]),  # last, so that they get their keys
    )
    _finish_turnovers(rooms, staff)


def _demand(changes: Sequence[tuple[Room, str]], request: StatusRequest, *, lock: bool = True) -> RoomDemand | None:
    """The demand on the rooms that would go out of order, or None if there are none."""
    leaving = [
        room
        for room, to_status in changes
        if to_status == RoomStatus.OUT_OF_ORDER != room.room_status and request.expects(room)
    ]
    return RoomDemand(leaving, lock=lock) if leaving else None


def status_refusals(
    room: Room,
    to_status: str,
    request: StatusRequest,
    author: RoomStatusEvent | None = None,
    demand: RoomDemand | None = None,
) -> Guard[bool]:
    """The refusals of ``set_room_status``; returns whether the room needs to change.

    ``author`` is the room's latest change, for a caller who expected another state; ``demand`` is that of the rooms
    that would go out of order.
    """
    if to_status not in LABELS:
        yield UnknownStatus(f"{to_status} is not a room status.")
        return False
    if not request.expects(room):
        refusal = VersionChanged if request.expected_status in (None, room.room_status) else StatusChanged
        yield refusal(
            f"Room {room.room_number} has changed since you read it; it is {room_status_label(room.room_status)} now.",
            details=current_state(room) | author_of(author),
        )
    overrides = request.overrides
    if request.source == Source.MANAGER_OVERRIDE and not request.note.strip():
        yield NoteRequired("An override needs a note that says why.")
    yield from rights_refusals(request.staff, room, to_status, request.source, request.note)
    if room.room_status == to_status:
        return False
    returns = request.returning and room.room_status in TURNED and to_status == RoomStatus.OCCUPIED
    if not (overrides or returns or room.can_transition_to(to_status)):
        yield TransitionNotAllowed(
            f"Invalid transition: room {room.room_number} can't go from {room_status_label(room.room_status)} "
            f"to {room_status_label(to_status)}.",
            details=current_state(room),
            lift=BY_OVERRIDE,
        )
    if not request.by_block:
        yield from _block_refusals(room, to_status)
    if not facts_allow(to_status, is_occupied(room)):
        if is_occupied(room):
            yield RoomOccupied(
                f"Room occupied: room {room.room_number} has a guest in house.",
                details=current_state(room),
                blocker=guest_of(room),
            )
        else:
            yield NobodyInHouse(
                f"Invalid transition: nobody is checked in to room {room.room_number}.", details=current_state(room)
            )
    if _clears_fault(room, to_status, request) and not _may_clear_fault(room, request):
        yield MaintenanceOpen(
            f"Room not ready: room {room.room_number} still has an open fault.",
            details=current_state(room),
            lift=BY_OVERRIDE,
        )
    if demand is not None and to_status == RoomStatus.OUT_OF_ORDER:
        yield from demand.refusals(room, forced=request.forced)
    return True


def _block_refusals(room: Room, to_status: str) -> Guard[None]:
    """Refused if a block keeps the room out of order, or has taken it for tonight already."""
    if RoomStatus.OUT_OF_ORDER not in (room.room_status, to_status):
        return
    today = calendar.business_date(room.hotel)
    for block in live_blocks(room):
        if room.room_status == RoomStatus.OUT_OF_ORDER:
            stands = block.closes and not block.by_status
        else:
            stands = block.is_off_sale and block.first_night <= today
        if stands:
            yield blocked(room, block, details=current_state(room))
            return


def _clears_fault(room: Room, to_status: str, request: StatusRequest) -> bool:
    """Whether the change clears an open fault: explicitly, or because the new status allows none."""
    return room.maintenance_required and (
        request.clears_fault
        or to_status == RoomStatus.READY_FOR_GUEST
        or (to_status == RoomStatus.OCCUPIED and room.room_status in IN_REPAIR)
    )


def _may_clear_fault(room: Room, request: StatusRequest) -> bool:
    """Only an override, or staff with the right to clear faults on a room in repair, can clear a fault."""
    if request.source == Source.MANAGER_OVERRIDE:
        return True
    return room.room_status in IN_REPAIR and request.staff is not None and request.staff.can(CLEAR)


def _event(room: Room, to_status: str, request: StatusRequest) -> RoomStatusEvent:
    return RoomStatusEvent(
        hotel=room.hotel,
        room=room,
        version=room.status_version + 1,
        from_status=room.room_status,
        to_status=to_status,
        changed_by=request.staff,
        source=request.source,
        note=request.note.strip(),
        created_at=clock.now(),
    )


def _apply(room: Room, to_status: str, event: RoomStatusEvent, request: StatusRequest) -> list[str]:
    """Set the new status and its related fields on ``room``; returns the names of the changed fields."""
    from_status, note = room.room_status, event.note
    clears_fault = _clears_fault(room, to_status, request)
    before = {field: getattr(room, field) for field in STATUS_FIELDS}
    room.room_status = to_status
    room.status_version = event.version
    room.status_changed_at = room.updated_at = event.created_at
    if to_status in (RoomStatus.CLEANING_IN_PROGRESS, RoomStatus.CLEANED_UNINSPECTED):
        room.turnover_notes = append_note(room.turnover_notes, note)
    if to_status == RoomStatus.CLEANED_UNINSPECTED:
        room.last_cleaned_at, room.cleaned_by_staff = event.created_at, request.staff
    passed = to_status == RoomStatus.READY_FOR_GUEST and from_status == RoomStatus.CLEANED_UNINSPECTED
    if passed or request.inspected:
        room.last_inspected_at, room.inspected_by_staff = event.created_at, request.staff
    if to_status == RoomStatus.CHECKOUT_DIRTY and (
        from_status == RoomStatus.OCCUPIED or request.source == Source.SYSTEM
    ):
        room.turnover_notes = ""  # a departure: the notes of the last turnover no longer apply
    if to_status == RoomStatus.MAINTENANCE_REQUIRED:
        flag_fault(room, request.priority, note)
    elif clears_fault:
        clear_fault(room)
    return [field for field in STATUS_FIELDS if getattr(room, field) != before[field]]


# Every field that a status change may write.
STATUS_FIELDS = (
    "room_status",
    "status_version",
    "status_changed_at",
    "maintenance_required",
    "maintenance_priority",
    "maintenance_notes",
    "last_cleaned_at",
    "cleaned_by_staff",
    "last_inspected_at",
    "inspected_by_staff",
    "turnover_notes",
    "updated_at",
)


def flag_fault(room: Room, priority: str | None, note: str) -> None:
    """Set the maintenance flag on a locked room: the note is appended, the priority can rise but never falls."""
    order = ["", *Priority.values]
    reported = priority or room.maintenance_priority or Priority.MED
    room.maintenance_required = True
    room.maintenance_priority = max(room.maintenance_priority, reported, key=order.index)
    room.maintenance_notes = append_note(room.maintenance_notes, note)


def clear_fault(room: Room) -> None:
    """Clear the maintenance flag, priority and notes of a locked room."""
    room.maintenance_required, room.maintenance_priority, room.maintenance_notes = False, "", ""


def append_note(text: str, note: str) -> str:
    """``text`` with ``note`` appended on a new line; either may be empty."""
    return "\n".join(part for part in (text, note) if part)


def _finish_turnovers(rooms: Sequence[Room], staff: Staff | None) -> None:
    """Complete the open turnover tasks of rooms that are now clean, however they became so."""
    clean = [room for room in rooms if room.room_status in TURNED_OVER and room.has_turnover]  # type: ignore[attr-defined]
    if clean:
        finish_turnovers(clean, staff, clean[0].status_changed_at)


def lock_rooms(rooms: Sequence[Room]) -> list[Room]:
    """The rooms, locked and re-read, in the order given.

    All must belong to the same hotel; otherwise, or if one no longer exists, raises RoomNotFound.
    """
    if not rooms:
        return []
    fresh = {room.pk: room for room in room_lock([room.pk for room in rooms], hotel=rooms[0].hotel_id)}
    for room in rooms:
        if room.pk not in fresh:
            raise RoomNotFound("Room not found: this hotel has no such room.")
    return [fresh[room.pk] for room in rooms]


def copy_state_to(room: Room, fresh: Room) -> Room:
    """Copy the fresh values to the caller's instance."""
    vars(room).update(vars(fresh), status_event=fresh.status_event)
    return room


def room_status_label(status: str) -> str:
    """The status label for use in a sentence."""
    return LABELS[status].lower() if status in LABELS else status


def current_state(room: Room) -> dict[str, Any]:
    """The room's current state for an error's ``details``; JSON-safe."""
    return {
        "room_id": room.pk,
        "room_number": room.room_number,
        "current_status": str(room.room_status),
        "status_version": room.status_version,
        "status_changed_at": iso(room.status_changed_at),
    }


def author_of(event: RoomStatusEvent | None) -> dict[str, Any]:
    """Who made the latest change, for an error's ``details``."""
    return {
        "changed_by": event.changed_by_id if event else None,
        "changed_by_name": event.changed_by.name if event and event.changed_by else None,
        "source": str(event.source) if event else None,
    }
