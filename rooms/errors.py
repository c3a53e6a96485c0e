"""Errors about rooms that services of several apps raise."""

from typing import Any

from common.errors import Blocker, Conflict, Lift, NotFound
from rooms.live_blocks import LiveBlock
from rooms.models import Room


class RoomNotFound(NotFound):
    code = "ROOM_NOT_FOUND"


class RoomOccupied(Conflict):
    """A physical fact: a guest is in house."""

    code = "ROOM_OCCUPIED"


class RoomBlocked(Conflict):
    """A block of the room stands in the way."""

    code = "ROOM_BLOCKED"


def blocked(
    room: Room,
    block: LiveBlock,
    error: type[Conflict] = RoomBlocked,
    *,
    details: dict[str, Any] | None = None,
    lift: Lift | None = None,
) -> Conflict:
    """The error for an action that a block of the room forbids."""
    return error(
        f"Room {room.room_number} is blocked: {block.describe()}.",
        details={"room_number": room.room_number, "block": block.snapshot()} | (details or {}),
        lift=lift,
        blocker=block.blocker(),
    )


def guest_of(room: Room) -> Blocker:
    """The stay in an occupied room, as what blocks an action; the room comes from ``rooms.selectors``."""
    return Blocker("booking", room.stay_booking_id, f"booking {room.stay_booking_id}")  # type: ignore[attr-defined]
