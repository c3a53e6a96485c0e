"""The result of a bulk check-in or check-out, per room."""

from dataclasses import dataclass, field
from typing import NamedTuple

from common.errors import Conflict, HotelMateError
from room_bookings.models import RoomBooking
from rooms.models import Room


class NothingDone(Conflict):
    """Every room was refused."""

    code = "NOTHING_DONE"


class BulkFailure(NamedTuple):
    """A refused room, and why."""

    room_id: int
    refusal: HotelMateError


@dataclass
class BulkResult:
    """The bookings that were checked in or out, their rooms, and the refused rooms."""

    bookings: list[RoomBooking] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)
    failed: list[BulkFailure] = field(default_factory=list)
