"""What became of each room of a bulk check-in or check-out."""

from dataclasses import dataclass, field
from typing import NamedTuple

from common.errors import Conflict, HotelMateError
from room_bookings.models import RoomBooking
from rooms.models import Room


class NothingDone(Conflict):
    """Not one of the rooms could be done."""

    code = "NOTHING_DONE"


class BulkFailure(NamedTuple):
    """A room that could not be done, and why."""

    room_id: int
    refusal: HotelMateError


@dataclass
class BulkResult:
    """The bookings that were checked in or out, their rooms, and the rooms that were refused."""

    bookings: list[RoomBooking] = field(default_factory=list)
    rooms: list[Room] = field(default_factory=list)
    failed: list[BulkFailure] = field(default_factory=list)
