"""Errors about rooms that services of several apps raise."""

from common.errors import Blocker, Conflict, NotFound
from rooms.models import Room


class RoomNotFound(NotFound):
    code = "ROOM_NOT_FOUND"


class RoomOccupied(Conflict):
    """A physical fact: a guest is in house."""

    code = "ROOM_OCCUPIED"


def guest_of(room: Room) -> Blocker:
    """The stay in an occupied room, as what blocks an action; the room comes from ``rooms.selectors``."""
    return Blocker("booking", room.stay_booking_id, f"booking {room.stay_booking_id}")  # type: ignore[attr-defined]
