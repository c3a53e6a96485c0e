"""Whether the hotel can do without a room: asked before one goes out of order, out of service or to another type, or is
deleted."""

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import islice

from django.db.models import Q, QuerySet

from common.errors import Conflict
from hotel import calendar
from hotel.models import Hotel, Staff
from room_bookings.inventory import (
    BEING_SOLD,
    END_OF_TIME,
    Inventory,
    NightsRequest,
    allows_overselling,
    conflict,
    holders,
    lock_types,
    nights,
    nights_held,
    stretches,
)
from room_bookings.models import ACTIVE_STATUSES, BookingStatus, Overbooking, RoomBooking
from rooms.models import Room, RoomStatus, RoomType

MOST_CONFLICTS = 100  # that a refusal names


class RoomNeeded(Conflict):
    """Bookings need the room, or as many rooms of its type as there are."""

    code = "ROOM_NEEDED"


def is_in_service(room: Room) -> bool:
    """Whether the room counts among those that are sold, as ``inventory.IN_SERVICE`` has it."""
    return room.is_active and room.room_status != RoomStatus.OUT_OF_ORDER


def arrivals_of(room_ids: Iterable[int], hotel: Hotel) -> QuerySet[RoomBooking]:
    """The confirmed bookings that are to have one of the rooms, tonight or later."""
    today = calendar.business_date(hotel)
    return RoomBooking.objects.filter(
        Q(check_out__gt=today) | Q(check_in=today),
        hotel=hotel,
        status=BookingStatus.CONFIRMED,
        assigned_room__in=list(room_ids),
    )


class RoomDemand:
    """The bookings that need rooms of one hotel that are about to be taken away; a constant number of statements.

    ``require_spare`` asks for one room after the other, and ``take`` takes it, so that of two rooms only the first may
    be spared.
    """

    def __init__(self, rooms: Sequence[Room], *, to_type: RoomType | None = None, lock: bool = True) -> None:
        """The rooms are locked. With ``lock`` their types are, too: a night that is sold meanwhile waits for us."""
        self._hotel = rooms[0].hotel
        self._today = calendar.business_date(self._hotel)
        types = {room.room_type_id for room in rooms}
        if lock:
            lock_types(types)
        self._allows_overselling = allows_overselling(self._hotel)
        self._inventory = Inventory(
            [NightsRequest(self._hotel, kind, self._today, END_OF_TIME) for kind in sorted(types)]
        )
        coming = arrivals_of([room.pk for room in rooms], self._hotel)
        if to_type is not None:
            coming = coming.exclude(room_type=to_type)
        self._arrivals: dict[int | None, list[RoomBooking]] = {}
        for booking in coming.order_by("check_in", "pk"):
            self._arrivals.setdefault(booking.assigned_room_id, []).append(booking)
        # Nights whose stay goes to the other type together with the room that it has: nothing changes on those.
        self._moving: dict[int | None, set[date]] = {}
        if to_type is not None:
            for stay in holders(self._hotel, self._today, END_OF_TIME, assigned_room__in=rooms):
                self._moving.setdefault(stay.assigned_room_id, set()).update(nights(*nights_held(self._hotel, stay)))

    def require_spare(self, room: Room, *, forced: bool = False) -> None:
        """Raise RoomNeeded when arrivals have the room, or nights of its type would be oversold without it.

        ``forced``: a supervisor takes it all the same, but not from an arrival that has it.
        """
        arrivals = self._arrivals.get(room.pk, [])
        oversold = [] if forced else self.oversold_without(room)
        if not arrivals and not oversold:
            return
        conflicts = [conflict(booking, room) for booking in arrivals]
        if oversold:
            conflicts += [conflict(booking, None) for booking in self._without_room(room, oversold)]
        if arrivals:
            why = f"it is promised to {arrivals[0].booking_id} from {arrivals[0].check_in}"
        else:
            why = f"every {room.room_type.name} is sold for the night of {oversold[0]}"
        raise RoomNeeded(
            f"Room {room.room_number} is needed: {why}.",
            details={"room_id": room.pk, "room_number": room.room_number, "conflicts": conflicts},
            extra={"conflicts": conflicts},
        )

    def oversold_without(self, room: Room) -> list[date]:
        """The nights of the room's type, in order, of which more are sold beyond its rooms once this one is gone."""
        moving = self._moving.get(room.pk, set())
        return [night for night in self._beyond(room) if night not in moving]

    def _beyond(self, room: Room) -> list[date]:
        """The nights of the room's type, in order, that are sold beyond its rooms once this one is gone."""
        if self._allows_overselling or not is_in_service(room):
            return []
        kind, inventory, moving = room.room_type_id, self._inventory, self._moving.get(room.pk, set())
        return sorted(
            night
            for sold_kind, night in inventory.sold
            if sold_kind == kind and night >= self._today and inventory.left(kind, night) < (night not in moving)
        )

    def take(self, room: Room, *, staff: Staff | None, reason: str) -> list[Overbooking]:
        """The room is gone; returns the records of what is oversold by that, to be stored."""
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
        if is_in_service(room):
            self._inventory.rooms[room.room_type_id] -= 1
        return taken

    def _without_room(self, room: Room, oversold: Sequence[date]) -> list[RoomBooking]:
        """Bookings of the type that have no room yet, on nights that would be oversold."""
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
