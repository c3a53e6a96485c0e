"""Whether the hotel can spare a room, checked before it is blocked or deactivated, changes type or is deleted."""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import islice
from typing import Any

from django.db.models import Q, QuerySet

from common.errors import Conflict, Lift
from common.guards import Guard
from hotel import calendar
from hotel.models import Hotel, Staff
from room_bookings.inventory import (
    BEING_SOLD,
    Holder,
    Inventory,
    NightsRequest,
    ReadInventory,
    allows_overselling,
    blocked_by,
    conflict,
    holders,
    lock_types,
    nights,
    nights_booked,
    nights_held,
    stretches,
)
from room_bookings.models import ACTIVE_STATUSES, BookingStatus, Overbooking, RoomBooking
from room_bookings.overrides import SUPERVISE
from rooms.live_blocks import END_OF_TIME
from rooms.models import BlockKind, Room, RoomType

MOST_CONFLICTS = 100  # listed in a refusal
BY_FORCE = Lift((SUPERVISE,), "force")


class RoomNeeded(Conflict):
    """Bookings need this room, or every room of its type."""

    code = "ROOM_NEEDED"


def arrivals_of(room_ids: Iterable[int], hotel: Hotel, *, in_house: bool = False) -> QuerySet[RoomBooking]:
    """The confirmed bookings with one of the rooms assigned, for tonight or later; also those in house, if wanted."""
    today = calendar.business_date(hotel)
    return RoomBooking.objects.filter(
        Q(check_out__gt=today) | Q(check_in=today),
        hotel=hotel,
        status__in=ACTIVE_STATUSES if in_house else [BookingStatus.CONFIRMED],
        assigned_room__in=list(room_ids),
    )


def _conflict(stay: Holder, room: Room | None) -> dict[str, Any]:
    return {**conflict(stay, room), "in_house": stay.status == BookingStatus.IN_HOUSE}


class RoomDemand:
    """The demand for rooms of one hotel that are about to be taken away, for good or for the nights from ``first`` to
    before ``free``; a constant number of statements.

    Call ``refusals`` and then ``take`` for one room after the other, so that the second check counts the first room as
    taken.
    """

    def __init__(
        self,
        rooms: Sequence[Room],
        *,
        to_type: RoomType | None = None,
        lock: bool = True,
        first: date | None = None,
        free: date = END_OF_TIME,
    ) -> None:
        """``rooms`` are locked. ``lock`` also locks their types, so that concurrent sales of nights wait for us.

        With ``first``, guests in house who hold the room on one of the nights need it too.
        """
        self._hotel = rooms[0].hotel
        self._today = calendar.business_date(self._hotel)
        self._first, self._free = max(first or self._today, self._today), free
        types = {room.room_type_id for room in rooms}
        if lock:
            lock_types(types)
        self._allows_overselling = allows_overselling(self._hotel)
        self._inventory = Inventory([NightsRequest(self._hotel, kind, self._first, free) for kind in sorted(types)])
        coming = arrivals_of([room.pk for room in rooms], self._hotel, in_house=first is not None)
        if to_type is not None:
            coming = coming.exclude(room_type=to_type)
        self._arrivals: dict[int | None, list[Holder]] = {}
        for booking in coming.order_by("check_in", "pk"):
            begins, ends = nights_booked(booking)
            if begins < free and ends > self._first:
                self._arrivals.setdefault(booking.assigned_room_id, []).append(booking)
        # Nights whose stay moves to the other type together with its room: nothing changes for them.
        self._moving: dict[int | None, set[date]] = {}
        if to_type is not None:
            ids = [room.pk for room in rooms]
            for stay in holders(self._hotel, self._today, END_OF_TIME, assigned_room__pk__any=ids):
                self._moving.setdefault(stay.assigned_room_id, set()).update(nights(*nights_held(self._hotel, stay)))

    def refusals(self, room: Room, *, forced: bool = False, lift: Lift | None = BY_FORCE) -> Guard[None]:
        """RoomNeeded if arrivals have the room, or if nights of its type would be oversold without it.

        ``forced``: a supervisor accepts the overselling, but the room is still refused while an arrival has it.
        ``lift`` is what lifts the refusal, if anything does.
        """
        arrivals = self._arrivals.get(room.pk, [])
        oversold = [] if forced else self.oversold_without(room)
        if not arrivals and not oversold:
            return
        conflicts = [_conflict(booking, room) for booking in arrivals]
        if oversold:
            conflicts += [_conflict(booking, None) for booking in self._without_room(room, oversold)]
        if arrivals:
            why = f"it is assigned to {arrivals[0].booking_id} from {arrivals[0].check_in}"
            if arrivals[0].status == BookingStatus.IN_HOUSE:
                why = f"the guest of {arrivals[0].booking_id} is in house until {arrivals[0].check_out}"
        else:
            why = f"every {room.room_type.name} is sold for the night of {oversold[0]}"
        yield RoomNeeded(
            f"Room {room.room_number} is needed: {why}.",
            details={"room_id": room.pk, "room_number": room.room_number, "conflicts": conflicts},
            extra={"conflicts": conflicts},
            lift=lift,
            blocker=blocked_by(arrivals[0]) if arrivals else None,
        )

    def oversold_without(self, room: Room) -> list[date]:
        """The nights, in order, on which the room's type would be oversold further without this room."""
        moving = self._moving.get(room.pk, set())
        return [night for night in self._beyond(room) if night not in moving]

    def _beyond(self, room: Room) -> list[date]:
        """The nights, in order, on which the room's type would be oversold without this room."""
        if self._allows_overselling or not room.is_active:
            return []
        kind, inventory, moving = room.room_type_id, self._inventory, self._moving.get(room.pk, set())
        return sorted(
            night
            for sold_kind, night in inventory.sold
            if sold_kind == kind
            and self._first <= night < self._free
            and inventory.left(kind, night) < (night not in moving)
            and not inventory.is_off_sale(room, night)
        )

    def take(self, room: Room, *, staff: Staff | None, reason: str) -> list[Overbooking]:
        """Count the room as taken; returns the resulting overbookings, to be stored."""
        taken = [
            Overbooking(
                hotel=self._hotel,
                room_type_id=room.room_type_id,
                room=room,
                first_night=first,
                free_from=free,
                staff=staff,
                reason=reason,
            )
            for first, free in stretches(self._beyond(room))
        ]
        if room.is_active:
            self._inventory.take(room.pk, room.room_type_id, self._first, self._free, kind=BlockKind.OUT_OF_ORDER)
        return taken

    def _without_room(self, room: Room, oversold: Sequence[date]) -> Sequence[Holder]:
        """Bookings of the type without a room, on nights that would be oversold."""
        wanted = set(oversold)
        waiting = RoomBooking.objects.filter(
            Q(status__in=ACTIVE_STATUSES) | BEING_SOLD,
            room_type=room.room_type_id,
            assigned_room=None,
            check_in__lte=oversold[-1],
            check_out__gte=oversold[0],
        )
        found = (
            booking
            for booking in waiting.order_by("check_in", "pk")
            if wanted.intersection(nights(*nights_held(self._hotel, booking)))
        )
        return list(islice(found, MOST_CONFLICTS))


class ReadDemand(RoomDemand):
    """The same for pre-flight, for any number of rooms: nothing is locked, and each room is asked about by itself."""

    def __init__(self, hotel: Hotel, inventory: ReadInventory) -> None:
        """``inventory`` has the nights of the rooms' types from today to the end of time."""
        self._hotel, self._today = hotel, calendar.business_date(hotel)
        self._first, self._free = self._today, END_OF_TIME
        self._allows_overselling = hotel.allow_overbooking
        self._inventory: ReadInventory = inventory
        self._arrivals = {}
        for stay in inventory.stays:
            if stay.status == BookingStatus.CONFIRMED and (
                stay.check_out > self._today or stay.check_in == self._today
            ):
                self._arrivals.setdefault(stay.assigned_room_id, []).append(stay)
        self._moving = {}
        self._oversold: dict[int, list[date]] = {}
        self._waiting: dict[int, list[Holder]] = {}

    def oversold_without(self, room: Room) -> list[date]:
        if not room.is_active:
            return []
        if room.pk in self._inventory.live_blocks:  # on those nights it is missing already
            return super().oversold_without(room)
        kind = room.room_type_id
        if kind not in self._oversold:
            self._oversold[kind] = super().oversold_without(room)
        return self._oversold[kind]

    def _without_room(self, room: Room, oversold: Sequence[date]) -> list[Holder]:
        kind, wanted = room.room_type_id, set(oversold)
        if kind not in self._waiting:
            found = (
                stay
                for stay in self._inventory.stays
                if stay.assigned_room_id is None
                and stay.room_type_id == kind
                and wanted.intersection(nights(*nights_held(self._hotel, stay)))
            )
            self._waiting[kind] = list(islice(found, MOST_CONFLICTS))
        return self._waiting[kind]
