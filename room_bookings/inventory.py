"""Availability: the nights that stays and blocks hold, and the rooms that are left to sell.

Used by every booking action that sells a night or uses a room, and by the lists. A night counts under the type of the
assigned room, otherwise under the booked type. Only a caller that has locked the room type's row may rely on its
availability.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.models import BigIntegerField, CharField, Count, DateField, F, Q, QuerySet, Value
from django.db.models.functions import Cast, Coalesce

from common.errors import Blocker
from common.prepared import PreparedQuery
from hotel import calendar
from hotel.models import Hotel
from room_bookings.models import ACTIVE_STATUSES, BookingStatus, Overbooking, PaymentState, RoomBooking
from rooms.live_blocks import END_OF_TIME, LiveBlock
from rooms.models import LIVE_BLOCKS, OFF_SALE, Room, RoomBlock, RoomType

DAY = timedelta(days=1)

# A request whose payment is being captured counts as sold: the guest must not pay for a night that is then refused.
BEING_SOLD = Q(status=BookingStatus.PENDING_APPROVAL, payment_state=PaymentState.CAPTURING)


class StayRow(NamedTuple):
    """The fields that decide which nights a stay holds, as read by ``Inventory`` or for a hypothetical stay."""

    status: str
    check_in: date
    check_out: date
    arrived_on: date | None
    assigned_room_id: int | None = None


class ListedStay(NamedTuple):
    """A stay as ``ReadInventory`` lists it."""

    status: str
    check_in: date
    check_out: date
    arrived_on: date | None
    pk: int
    booking_id: str
    assigned_room_id: int | None
    room_type_id: int


Holder = RoomBooking | ListedStay  # of a room, or of a night
Stay = Holder | StayRow


def nights_booked(stay: Stay) -> tuple[date, date]:
    """The booked nights: the first, and the first day that is free again. Day use takes its day."""
    return stay.check_in, calendar.first_free_day(stay.check_in, stay.check_out)


def nights_held(hotel: Hotel, stay: Stay, *, in_house: bool = False) -> tuple[date, date]:
    """The nights that the stay currently holds: the first, and the first day that is free again.

    These are the booked nights. A guest in house, or about to be (``in_house``), also holds the nights from an early
    arrival to the booked arrival day and, once overdue, tonight.
    """
    first, free = nights_booked(stay)
    if in_house or stay.status == BookingStatus.IN_HOUSE:
        today = calendar.business_date(hotel)
        first = min(first, stay.arrived_on or today)
        # The first comparison avoids the calendar arithmetic for most stays.
        if stay.check_out <= today + DAY and calendar.is_overdue(hotel, stay.check_in, stay.check_out):
            free = max(free, today + DAY)
    return first, free


def type_of(booking: RoomBooking) -> RoomType:
    """The type under which the booking's nights count: that of the assigned room, otherwise the booked one."""
    return booking.assigned_room.room_type if booking.assigned_room else booking.room_type


def is_upgraded(booking: RoomBooking) -> bool:
    """Whether the booking has a room of another type than the booked one."""
    return type_of(booking).pk != booking.room_type_id


def holds(hotel: Hotel, stay: Stay, first: date, free: date) -> bool:
    """Whether the stay holds any night from ``first`` to before ``free``."""
    begins, ends = nights_held(hotel, stay)
    return begins < free and ends > first


def holding(first: date, free: date) -> Q:
    """Stays that may hold one of those nights, as an indexable condition; ``holds`` decides."""
    return Q(status__in=ACTIVE_STATUSES) & (
        Q(status=BookingStatus.IN_HOUSE) | Q(check_in__lt=free, check_out__gte=first)
    )


def holders(
    hotel: Hotel, first: date, free: date, *, without: RoomBooking | None = None, **rooms: Any
) -> list[RoomBooking]:
    """The stays that hold a room on one of those nights, in order of arrival; ``rooms`` are lookups on the stays.

    One statement.
    """
    if without is not None:
        rooms["without"] = without.pk
    found = _holders.read(first=first, free=free, hotel=hotel.pk, **rooms)
    return [stay for stay in found if holds(hotel, stay, first, free)]


def _holding_rooms(*, first: date, free: date, without: int | None = None, **lookups: Any) -> QuerySet[RoomBooking]:
    found = RoomBooking.objects.filter(holding(first, free), assigned_room__isnull=False, **lookups)
    return (found if without is None else found.exclude(pk=without)).order_by("check_in", "pk")


_holders = PreparedQuery(_holding_rooms)


def conflict(stay: Holder, room: Room | None) -> dict[str, Any]:
    """A conflicting stay, with or without a room; JSON-safe."""
    return {
        "booking_id": stay.booking_id,
        "room_number": room.room_number if room else None,
        "start_date": stay.check_in.isoformat(),
        "end_date": stay.check_out.isoformat(),
    }


def blocked_by(stay: Holder) -> Blocker:
    """A stay as what blocks an action."""
    return Blocker("booking", stay.booking_id, f"booking {stay.booking_id}")


def nights(first: date, free: date) -> Iterator[date]:
    """The nights from ``first`` to before ``free``."""
    return (first + timedelta(days=number) for number in range((free - first).days))


def stretches(days: Iterable[date]) -> list[tuple[date, date]]:
    """Sorted nights as stretches without gaps: the first night of each, and the first day that is free again."""
    found = list(days)
    if not found:
        return []
    breaks = [place for place, (day, after) in enumerate(pairwise(found), start=1) if after != day + DAY]
    return [(found[begin], found[end - 1] + DAY) for begin, end in pairwise([0, *breaks, len(found)])]


class NightsRequest(NamedTuple):
    """Requested nights of a room type: from ``first`` to before ``free``."""

    hotel: Hotel
    room_type_id: int
    first: date
    free: date

    def nights(self) -> Iterator[date]:
        """The requested nights that are not over."""
        return nights(max(self.first, calendar.business_date(self.hotel)), self.free)


class BlockedNights(NamedTuple):
    """Nights of a room that a block takes."""

    room_id: int
    kind: str
    first: date
    free: date


class Inventory:
    """How many rooms each type has, which of them are blocked, and how many are sold each night; one statement for any
    number of types.

    A block takes its room from a night unless a stay holds the room on it: a guest who is overdue has the room for one
    more night, and that counts once.
    """

    def __init__(self, requests: Sequence[NightsRequest], *, without: RoomBooking | None = None) -> None:
        """The current inventory for the nights of ``requests``, leaving out the stay ``without``, which asks."""
        self._begin()
        if not requests:
            return
        hotels = {request.room_type_id: request.hotel for request in requests}
        first, free = min(request.first for request in requests), max(request.free for request in requests)
        asking = {} if without is None else {"without": without.pk}
        for room_type_id, rooms, *stay in _rooms_and_stays.read(kinds=list(hotels), first=first, free=free, **asking):
            if rooms > 0:
                self.rooms[room_type_id] = rooms
            elif rooms == BLOCK_ROW:
                self._add_block(room_type_id, StayRow(*stay))
            else:
                self._add_stay(hotels[room_type_id], room_type_id, StayRow(*stay), first, free)

    def _begin(self) -> None:
        self.rooms: Counter[int] = Counter()
        self.sold: Counter[tuple[int, date]] = Counter()
        self.blocks: dict[int, list[BlockedNights]] = {}  # of active rooms, by type
        self._held: dict[int, list[tuple[date, date]]] = {}  # the nights that stays hold, by room

    def _add_block(self, room_type_id: int, block: StayRow | ListedStay) -> None:
        assert block.assigned_room_id is not None  # the columns of a stay have the block's room, kind and nights
        self.take(block.assigned_room_id, room_type_id, block.check_in, block.check_out, kind=block.status)

    def _add_stay(self, hotel: Hotel, room_type_id: int, stay: StayRow | ListedStay, first: date, free: date) -> None:
        begins, ends = nights_held(hotel, stay)
        self.sold.update((room_type_id, night) for night in nights(max(begins, first), min(ends, free)))
        if stay.assigned_room_id is not None:
            self._held.setdefault(stay.assigned_room_id, []).append((begins, ends))

    def take(self, room_id: int, room_type_id: int, first: date, free: date, *, kind: str) -> None:
        """Count the room as blocked from ``first`` to before ``free``."""
        self.blocks.setdefault(room_type_id, []).append(BlockedNights(room_id, kind, first, free))

    def blocked(self, room_type_id: int, night: date) -> dict[int, str]:
        """The rooms of the type that are blocked for the night and that no stay holds, each with the kind of its block.

        If a room is out of service as well as off sale, the kind is that which takes it off sale.
        """
        found: dict[int, str] = {}
        for block in self.blocks.get(room_type_id, ()):
            is_missing = block.first <= night < block.free and not any(
                begins <= night < ends for begins, ends in self._held.get(block.room_id, ())
            )
            if is_missing and found.get(block.room_id) not in OFF_SALE:
                found[block.room_id] = block.kind
        return found

    def is_off_sale(self, room: Room, night: date) -> bool:
        """Whether a block takes this room off sale for the night."""
        return self.blocked(room.room_type_id, night).get(room.pk) in OFF_SALE

    def left(self, room_type_id: int, night: date) -> int:
        """How many rooms of the type are left for the night; below 0 when it is oversold."""
        off_sale = sum(kind in OFF_SALE for kind in self.blocked(room_type_id, night).values())
        return self.rooms[room_type_id] - off_sale - self.sold[room_type_id, night]

    def sold_out(self, request: NightsRequest) -> list[date]:
        """The requested nights on which no room is left, in order."""
        return [night for night in request.nights() if self.left(request.room_type_id, night) <= 0]


class ReadInventory(Inventory):
    """The same for many who ask, with the stays themselves; nothing may be sold by it, as no type is locked."""

    def __init__(self, hotel: Hotel, first: date, free: date, rows: Iterable[Sequence[Any]]) -> None:
        """``rows`` are those of ``counts_and_listed_stays`` for the nights from ``first`` to before ``free``."""
        self._begin()
        self.stays: list[ListedStay] = []
        self.live_blocks: dict[int | None, list[LiveBlock]] = {}  # by room, in order of their first nights
        self._kinds: dict[int, int] = {}
        for kind, rooms, *stay in rows:
            if rooms > 0:
                self.rooms[kind] = rooms
                continue
            listed = ListedStay(*stay)
            if rooms == BLOCK_ROW:
                self._add_block(kind, listed)
                self.live_blocks.setdefault(listed.assigned_room_id, []).append(_listed_block(listed))
                continue
            self.stays.append(listed)
            self._kinds[listed.pk] = kind
            self._add_stay(hotel, kind, listed, first, free)
        for blocks in self.live_blocks.values():
            blocks.sort(key=lambda block: (block.first_night, block.id))
        self.stays.sort(key=lambda stay: (stay.check_in, stay.pk))
        self._listed = {stay.pk: stay for stay in self.stays}

    def sold_out_for(self, booking: RoomBooking, request: NightsRequest) -> list[date]:
        """The requested nights on which no room is left for ``booking``, in order; its own stay takes none."""
        own: set[date] = set()
        if self._kinds.get(booking.pk) == request.room_type_id:
            own.update(nights(*nights_held(request.hotel, self._listed[booking.pk])))
        return [night for night in request.nights() if self.left(request.room_type_id, night) + (night in own) <= 0]


def _count_rooms_and_stays(
    *, kinds: list[int], first: date, free: date, without: int | None = None
) -> QuerySet[Any, tuple[Any, ...]]:
    """Rows of (type, number of active rooms, nulls), of (type, 0, ``StayRow`` fields), and of (type, ``BLOCK_ROW``, the
    same columns with a live block's kind, nights and room)."""
    return _counts_and_stays(StayRow._fields, kinds=kinds, first=first, free=free, without=without)


def counts_and_listed_stays(*, kinds: Any, first: date, free: date) -> QuerySet[Any, tuple[Any, ...]]:
    """The same with ``ListedStay`` fields, for a ``ReadInventory``; ``kinds`` may be an expression for an array."""
    return _counts_and_stays(ListedStay._fields, kinds=kinds, first=first, free=free)


def _counts_and_stays(
    fields: Sequence[str], *, kinds: Any, first: date, free: date, without: int | None = None
) -> QuerySet[Any, tuple[Any, ...]]:
    """A union, as each part has its own index."""
    booked, assigned = Q(room_type__pk__any=kinds), Q(assigned_room__room_type__pk__any=kinds)
    rooms = Room.objects.filter(is_active=True, room_type__pk__any=kinds).order_by()
    blocks = RoomBlock.objects.filter(
        Q(free_from=None) | Q(free_from__gt=first),
        status__in=LIVE_BLOCKS,
        first_night__lt=free,
        room__is_active=True,
        room__room_type__pk__any=kinds,
    ).order_by()
    stays = RoomBooking.objects.filter(holding(first, free)).order_by()
    being_sold = RoomBooking.objects.filter(BEING_SOLD, booked, check_in__lt=free, check_out__gte=first).order_by()
    parts = [stays.filter(Q(assigned_room=None) | assigned, booked), stays.filter(assigned, ~booked), being_sold]
    if without is not None:
        parts = [part.exclude(pk=without) for part in parts]
    counted = Coalesce(F("assigned_room__room_type"), F("room_type"))
    counts = rooms.values(kind=F("room_type")).annotate(rooms=Count("pk"))
    return counts.values_list("kind", "rooms", *(NO_STAY[name] for name in fields)).union(
        *(part.values_list(counted, Value(0), *fields) for part in parts),
        blocks.values_list("room__room_type", Value(BLOCK_ROW), *(_BLOCK[name] for name in fields)),
        all=True,
    )


# What stands in a column of a stay, by its name, where a row counts rooms.
_NO_DAY, _NO_ID, _NO_TEXT = (Cast(Value(None), kind()) for kind in (DateField, BigIntegerField, CharField))
NO_STAY = {
    "status": _NO_TEXT,
    "check_in": _NO_DAY,
    "check_out": _NO_DAY,
    "arrived_on": _NO_DAY,
    "pk": _NO_ID,
    "booking_id": _NO_TEXT,
    "assigned_room_id": _NO_ID,
    "room_type_id": _NO_ID,
}
# In place of the number of rooms, in a row about a block; and which of its values is in which column of a stay.
BLOCK_ROW = -1
_BLOCK: dict[str, Any] = NO_STAY | {
    "status": F("kind"),
    "check_in": F("first_night"),
    "check_out": Coalesce(F("free_from"), Value(END_OF_TIME)),
    "pk": F("pk"),
    "booking_id": Coalesce(F("reason__label"), Value("")),
    "assigned_room_id": F("room"),
    "room_type_id": F("room__room_type"),
}


def _listed_block(row: ListedStay) -> LiveBlock:
    """A block of a row of ``counts_and_listed_stays``, as far as what stands in the way of a stay is concerned."""
    return LiveBlock(
        id=row.pk,
        kind=row.status,
        reason=None,
        label=row.booking_id or None,
        first_night=row.check_in,
        free_from=row.check_out,
        return_status="",
        status="",
        by_status=False,
        version=0,
    )


_rooms_and_stays = PreparedQuery(_count_rooms_and_stays)


def sold_out_nights(requests: Sequence[NightsRequest], *, without: RoomBooking | None = None) -> list[date | None]:
    """For each request the first night on which no room is left, or ``None``; one statement for any number of them."""
    inventory = Inventory(requests, without=without)
    return [next(iter(inventory.sold_out(request)), None) for request in requests]


def lock_types(room_types: Iterable[int]) -> None:
    """Lock room types, in pk order, after bookings and rooms; this serialises the sales of their nights."""
    list(RoomType.objects.select_for_update(no_key=True).filter(pk__in=room_types).order_by("pk"))


def allows_overselling(hotel: Hotel) -> bool:
    """Whether the hotel still allows overbooking, checked while the room type is locked: ``hotel`` may have been read
    before it was disallowed. One statement if ``hotel`` allows it, otherwise none."""
    return hotel.allow_overbooking and Hotel.objects.filter(pk=hotel.pk, allow_overbooking=True).exists()


def record_allowed_overbookings(hotel: Hotel) -> None:
    """Record the existing overbookings of a hotel that no longer allows them: these nights were oversold with
    permission. Locks its types, so that sales in progress finish first."""
    types = RoomType.objects.select_for_update(no_key=True).filter(hotel=hotel).order_by("pk")
    today = calendar.business_date(hotel)
    kinds = [room_type.pk for room_type in types]
    inventory = Inventory([NightsRequest(hotel, kind, today, END_OF_TIME) for kind in kinds])
    nights_by: dict[tuple[int, int], list[date]] = {}
    for kind, night in sorted(inventory.sold):
        if night >= today and (left := inventory.left(kind, night)) < 0:
            nights_by.setdefault((kind, -left), []).append(night)
    Overbooking.objects.bulk_create(
        Overbooking(hotel=hotel, room_type_id=kind, first_night=first, free_from=free, rooms=rooms)
        for (kind, rooms), oversold in nights_by.items()
        for first, free in stretches(oversold)
    )
