"""What guards look up beside the booking: rooms, the stays that hold them, and the nights that are sold out.

A service's guard runs on ``LockedFacts``, which locks what it looks up, in the order of docs/locking.md. Pre-flight
runs the same guard on ``ReadFacts``, which locks nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, Protocol

from common.prepared import PreparedQuery
from hotel import calendar
from hotel.models import Hotel
from room_bookings.inventory import (
    Holder,
    Inventory,
    NightsRequest,
    ReadInventory,
    allows_overselling,
    counts_and_listed_stays,
    holders,
    holds,
)
from room_bookings.models import BookingStatus, RoomBooking
from room_bookings.services.locks import lock_type, lock_type_capacity
from rooms.live_blocks import LiveBlock, live_blocks
from rooms.models import Room, RoomType
from rooms.selectors import room_lock

Stays = Sequence[tuple[date, date]]  # each the first night, and the first day that is free again


class Facts(Protocol):
    """What a guard may look up."""

    def rooms(self, room_ids: Iterable[int]) -> dict[int, Room]:
        """These rooms of the hotel, by id; those that it does not have are left out."""

    def room_type(self, room_type_id: int) -> RoomType | None:
        """This type, if the hotel has it."""

    def refresh_capacity(self, room_type: RoomType) -> None:
        """Make ``max_occupancy`` current, for the rest of the action."""

    def holders(self, room: Room, first: date, free: date, *, without: RoomBooking) -> Sequence[Holder]:
        """The other stays that hold the room on a night from ``first`` to before ``free``, in order of arrival."""

    def blocks(self, room: Room, first: date, free: date) -> Sequence[LiveBlock]:
        """The room's blocks that cover a night from ``first`` to before ``free``, in order; it comes from ``rooms``."""

    def sold_out(self, booking: RoomBooking, room_type: RoomType, stays: Stays) -> list[date]:
        """The nights of ``stays`` on which the type has no room left for the booking, in order.

        Past nights are ignored; none are sold out if the hotel allows overbooking.
        """


_rows = PreparedQuery(counts_and_listed_stays)


class LockedFacts:
    """Facts for a service, in its transaction: each is locked, and stays as it is until the commit."""

    def __init__(self, hotel: Hotel) -> None:
        self._hotel = hotel
        self._types: set[int] = set()

    def rooms(self, room_ids: Iterable[int]) -> dict[int, Room]:
        return {room.pk: room for room in room_lock(room_ids, hotel=self._hotel)}

    def room_type(self, room_type_id: int) -> RoomType | None:
        self._types.add(room_type_id)
        return lock_type(self._hotel, room_type_id)

    def refresh_capacity(self, room_type: RoomType) -> None:
        self._types.add(room_type.pk)
        lock_type_capacity(room_type)

    def holders(self, room: Room, first: date, free: date, *, without: RoomBooking) -> Sequence[Holder]:
        return holders(self._hotel, first, free, without=without, assigned_room=room.pk)

    def blocks(self, room: Room, first: date, free: date) -> Sequence[LiveBlock]:
        # Read with the room, whose lock every change of its blocks takes.
        return [block for block in live_blocks(room) if block.takes(first, free)]

    def sold_out(self, booking: RoomBooking, room_type: RoomType, stays: Stays) -> list[date]:
        if room_type.pk not in self._types:  # only the booking reference counter is locked after a type
            self.room_type(room_type.pk)
        if allows_overselling(self._hotel):
            return []
        requests = [NightsRequest(self._hotel, room_type.pk, first, free) for first, free in stays]
        inventory = Inventory(requests, without=booking if booking.pk else None)
        return sorted({night for request in requests for night in inventory.sold_out(request)})


class ReadFacts:
    """Facts for pre-flight, for any number of bookings of one hotel: read in one statement, and nothing is locked.

    Run the guards twice. The first time they ask, and are told that all is free; ``load`` then reads what was asked
    for; the second time they get the answers.
    """

    def __init__(self, hotel: Hotel, rooms: Iterable[Room] = (), types: Iterable[RoomType] = ()) -> None:
        """``rooms``, with their types, and ``types`` are all that the guards will find; ``load`` says who is in the
        rooms."""
        self._hotel = hotel
        self._types = {room_type.pk: room_type for room_type in types}
        self._rooms: dict[int, Any] = {room.pk: room for room in rooms}
        for room in self._rooms.values():
            room.stay_id = room.stay_booking_id = None
        self._asked: list[NightsRequest] = []
        self._inventory: ReadInventory | None = None

    def load(self, read: Callable[..., Iterable[Sequence[Any]]] | None = None) -> None:
        """Read what has been asked for so far, in one statement, or in none if nothing was.

        ``read`` reads the rows of ``counts_and_listed_stays`` instead, even for nothing.
        """
        today = calendar.business_date(self._hotel)
        self._asked += [NightsRequest(self._hotel, room.room_type_id, today, today) for room in self._rooms.values()]
        kinds = sorted({request.room_type_id for request in self._asked})
        first = min((request.first for request in self._asked), default=date.max)
        free = max((request.free for request in self._asked), default=date.min)
        rows: Iterable[Sequence[Any]] = ()
        if read or self._asked:
            rows = (read or _rows.read)(kinds=kinds, first=first, free=free)
        self._inventory = ReadInventory(self._hotel, first, free, rows)
        for stay in self._inventory.stays:
            if stay.status == BookingStatus.IN_HOUSE and stay.assigned_room_id in self._rooms:
                room = self._rooms[stay.assigned_room_id]
                room.stay_id, room.stay_booking_id = stay.pk, stay.booking_id

    def rooms(self, room_ids: Iterable[int]) -> dict[int, Room]:
        return {pk: self._rooms[pk] for pk in room_ids if pk in self._rooms}

    def room_type(self, room_type_id: int) -> RoomType | None:
        return self._types.get(room_type_id)

    def refresh_capacity(self, room_type: RoomType) -> None:
        pass

    def holders(self, room: Room, first: date, free: date, *, without: RoomBooking) -> Sequence[Holder]:
        if self._inventory is None:
            self._asked.append(NightsRequest(self._hotel, room.room_type_id, first, free))
            return []
        return [
            stay
            for stay in self._inventory.stays
            if stay.assigned_room_id == room.pk and stay.pk != without.pk and holds(self._hotel, stay, first, free)
        ]

    def blocks(self, room: Room, first: date, free: date) -> Sequence[LiveBlock]:
        if self._inventory is None:
            self._asked.append(NightsRequest(self._hotel, room.room_type_id, first, free))
            return []
        return [block for block in self._inventory.live_blocks.get(room.pk, ()) if block.takes(first, free)]

    def sold_out(self, booking: RoomBooking, room_type: RoomType, stays: Stays) -> list[date]:
        if self._hotel.allow_overbooking:
            return []
        requests = [NightsRequest(self._hotel, room_type.pk, first, free) for first, free in stays]
        if self._inventory is None:
            self._asked += requests
            return []
        return sorted({night for request in requests for night in self._inventory.sold_out_for(booking, request)})
