"""Which rights allow which room status changes (docs/api.md, Rights)."""

from functools import cache
from typing import NamedTuple

from common.errors import Lift, NotAllowed
from common.guards import Guard
from hotel.models import Staff
from housekeeping.models import Source
from rooms.models import TRANSITIONS, Room, RoomStatus
from rooms.snapshots import LABELS

_S = RoomStatus
ANY = frozenset(_S)
OVERRIDE = "housekeeping.status_override"


class Grant(NamedTuple):
    """``right`` allows moving a room from any status in ``origins`` to any status in ``targets``."""

    right: str
    origins: frozenset[RoomStatus]
    targets: frozenset[RoomStatus]


def _grant(
    right: str, origins: set[RoomStatus] | frozenset[RoomStatus], targets: set[RoomStatus] | frozenset[RoomStatus]
) -> Grant:
    return Grant(right, frozenset(origins), frozenset(targets))


GRANTS = (
    _grant("bookings.checkin", ANY - {_S.MAINTENANCE_REQUIRED}, {_S.OCCUPIED}),
    _grant("bookings.assign_room", ANY - {_S.MAINTENANCE_REQUIRED}, {_S.OCCUPIED}),
    _grant("housekeeping.status_transition", {_S.CHECKOUT_DIRTY}, {_S.CLEANING_IN_PROGRESS, _S.CLEANED_UNINSPECTED}),
    _grant("housekeeping.status_transition", {_S.CLEANING_IN_PROGRESS}, {_S.CLEANED_UNINSPECTED, _S.CHECKOUT_DIRTY}),
    _grant("housekeeping.status_transition", {_S.CLEANED_UNINSPECTED}, {_S.CLEANING_IN_PROGRESS, _S.CHECKOUT_DIRTY}),
    _grant("rooms.inspect", {_S.CLEANED_UNINSPECTED}, {_S.READY_FOR_GUEST}),
    _grant("rooms.maintenance_flag", ANY, {_S.MAINTENANCE_REQUIRED}),
    _grant("rooms.maintenance_clear", {_S.MAINTENANCE_REQUIRED, _S.OUT_OF_ORDER}, ANY),
    _grant("rooms.maintenance_clear", ANY, {_S.OUT_OF_ORDER}),
    _grant("housekeeping.status_front_desk", {_S.READY_FOR_GUEST}, {_S.CHECKOUT_DIRTY}),
)
# A source is recorded only for callers who hold at least one of its rights.
SOURCE_RIGHTS = {
    Source.HOUSEKEEPING: (
        "housekeeping.status_transition",
        "rooms.inspect",
        "rooms.maintenance_flag",
        "rooms.maintenance_clear",
        OVERRIDE,
    ),
    Source.FRONT_DESK: ("housekeeping.status_front_desk", "bookings.checkin", "bookings.assign_room", OVERRIDE),
}


class StatusChangeNotAllowed(NotAllowed):
    """The caller has no right to make this change."""


def can_change_room_status(
    staff: Staff | None, room: Room, to_status: str, source: str, note: str = ""
) -> tuple[bool, str]:
    """Whether ``staff`` may move ``room`` from its status to ``to_status``, and if not, a sentence saying why."""
    refusal = next(rights_refusals(staff, room, to_status, source, note), None)
    return (True, "") if refusal is None else (False, refusal.message)


def rights_refusals(staff: Staff | None, room: Room, to_status: str, source: str, note: str = "") -> Guard[None]:
    """Why ``staff`` may not move ``room`` from its current status to ``to_status``: at most one reason.

    Checks rights only, not the workflow map or the physical facts. ``staff=None`` is the system itself and is allowed
    only with ``Source.SYSTEM``, whose callers have already checked their own right.
    """
    if staff is not None and (staff.hotel_id != room.hotel_id or not staff.is_active):
        yield StatusChangeNotAllowed("Permission denied: you are not on the staff of this hotel.")
    elif source == Source.SYSTEM:
        return
    elif staff is None:
        yield StatusChangeNotAllowed("Permission denied: a status change requires a staff member.")
    elif source == Source.MANAGER_OVERRIDE:
        if not staff.can(OVERRIDE):
            yield StatusChangeNotAllowed(
                "Permission denied: Manager privileges are needed to override a room status.", lift=Lift((OVERRIDE,))
            )
        elif not note.strip():
            yield StatusChangeNotAllowed("Permission denied: an override needs a note that says why.")
    elif not any(staff.can(right) for right in SOURCE_RIGHTS[Source(source)]):
        yield StatusChangeNotAllowed(
            f"Permission denied: your role can't use the source {Source(source).label}.",
            lift=Lift(SOURCE_RIGHTS[Source(source)]),
        )
    elif not (staff.can(OVERRIDE) or _granted(staff, room.room_status, to_status)):
        yield StatusChangeNotAllowed(
            f"Permission denied: your role may not take a room from {LABELS[room.room_status].lower()} "
            f"to {LABELS[to_status].lower()}.",
            lift=Lift((*_rights_to(room.room_status, to_status), OVERRIDE)),
        )


def default_source(staff: Staff) -> Source:
    """The source to record when the caller sends none: FRONT_DESK for front desk staff, otherwise HOUSEKEEPING."""
    if staff.can("housekeeping.status_transition") or staff.can(OVERRIDE):
        return Source.HOUSEKEEPING
    in_housekeeping = any(staff.can(right) for right in SOURCE_RIGHTS[Source.HOUSEKEEPING])
    if staff.can("housekeeping.status_front_desk") or not in_housekeeping:
        return Source.FRONT_DESK
    return Source.HOUSEKEEPING


def status_transitions(staff: Staff) -> dict[str, list[str]]:
    """By status, the transitions of the workflow map that this staff member's rights allow."""
    everything = staff.can(OVERRIDE)
    return {
        str(origin): [str(target) for target in targets if everything or _granted(staff, origin, target)]
        for origin, targets in TRANSITIONS.items()
    }


def _granted(staff: Staff, origin: str, target: str) -> bool:
    return any(staff.can(right) for right in _rights_to(origin, target))


@cache
def _rights_to(origin: str, target: str) -> tuple[str, ...]:
    """The rights that each allow this step."""
    # Setting the current status again changes nothing; it needs a right to reach that status from any origin.
    return tuple(
        grant.right for grant in GRANTS if target in grant.targets and (origin in grant.origins or origin == target)
    )
