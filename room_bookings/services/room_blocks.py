"""Blocking rooms that arrivals have: which rooms are free instead, and moving the arrivals there."""

from collections.abc import Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.db import transaction

from common.errors import Lift
from common.guards import Guard, require
from common.room_numbers import key
from hotel.models import Hotel, Staff
from housekeeping.blocks import BlockOutcome, NewBlock, create_blocks, extend_block
from housekeeping.task_following import follow_arrivals
from notifications.notification_manager import BookingUpdate, realtime_bookings_updated
from room_bookings.capacity import guests
from room_bookings.eligibility import supervisor_refusals
from room_bookings.errors import RightMissing
from room_bookings.inventory import holders as stays_holding
from room_bookings.inventory import is_upgraded, lock_types, nights_booked, nights_held, type_of
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.room_demand import RoomNeeded, arrivals_of
from room_bookings.selectors import booking_list, booking_lock
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.room_assignment import ASSIGN, ASSIGNMENT, assignment_reason, take_room
from room_bookings.services.room_removal import lost_upgrade_overbookings, release_rooms
from rooms.live_blocks import END_OF_TIME, live_blocks
from rooms.models import Room, RoomBlock
from rooms.selectors import room_list, room_lock

SUGGESTED = 10  # free rooms listed for each conflict


@transaction.atomic
def block_rooms(
    *,
    rooms: Sequence[Room],
    wanted: NewBlock,
    staff: Staff,
    all_or_nothing: bool = True,
    relocate: bool = False,
    force: bool = False,
) -> list[BlockOutcome]:
    """``create_blocks``; ``relocate`` first moves the rooms' arrivals to free rooms of their types, ``force`` unassigns
    those that are left and accepts that nights are oversold.

    Guests in house stay where they are, and refuse the block. Without a room to move to, an arrival refuses it too. The
    conflicts of RoomNeeded name the rooms that are free instead.
    """
    require(move_refusals(staff, relocate=relocate, force=force))
    _make_way(rooms, wanted.first_night, wanted.free, staff, wanted.remarks, relocate=relocate, force=force)
    with _free_rooms_named(staff.hotel):
        outcomes = create_blocks(rooms=rooms, wanted=wanted, staff=staff, all_or_nothing=all_or_nothing, forced=force)
    _name_free_rooms(staff.hotel, [each.refusal for each in outcomes if isinstance(each.refusal, RoomNeeded)])
    return outcomes


@transaction.atomic
def extend_room_block(
    *,
    block: RoomBlock,
    free_from: date | None,
    staff: Staff,
    note: str = "",
    relocate: bool = False,
    force: bool = False,
) -> RoomBlock:
    """``extend_block``, with ``relocate`` and ``force`` as in ``block_rooms``, for the added nights."""
    require(move_refusals(staff, relocate=relocate, force=force))
    free = free_from or END_OF_TIME
    if block.free_from is not None and free > block.free_from:
        _make_way([block.room], block.free_from, free, staff, note, relocate=relocate, force=force)
    with _free_rooms_named(staff.hotel):
        return extend_block(block=block, free_from=free_from, staff=staff, note=note, forced=force)


def move_refusals(staff: Staff, *, relocate: bool, force: bool) -> Guard[None]:
    """Refused without the right to move arrivals, or to unassign them and oversell."""
    if relocate and not staff.can(ASSIGN):
        yield RightMissing("Permission denied: your role can't move arrivals.", lift=Lift((ASSIGN,)))
    if force:
        yield from supervisor_refusals(staff, "blocking rooms that bookings need")


def _make_way(
    rooms: Sequence[Room], first: date, free: date, staff: Staff, reason: str, *, relocate: bool, force: bool
) -> None:
    """Move the arrivals of these nights, or unassign them. Bookings are locked first, then the rooms, then types."""
    if not (relocate or force):
        return
    hotel, leaving = staff.hotel, {room.pk for room in rooms}
    arrivals = [
        booking
        for booking in booking_lock(arrivals_of(leaving, hotel).order_by().values_list("pk", flat=True))
        if booking.status == BookingStatus.CONFIRMED
        and booking.assigned_room_id in leaving
        and _overlap(nights_booked(booking), (first, free))
    ]
    if not arrivals:
        return
    kinds = {type_of(booking).pk for booking in arrivals}
    others = Room.objects.filter(hotel=hotel, is_active=True, room_type__in=kinds).values_list("pk", flat=True)
    locked = {room.pk: room for room in room_lock({*leaving, *(others if relocate else ())}, hotel=hotel)}
    for booking in arrivals:
        booking.assigned_room = locked.get(booking.assigned_room_id or 0)
    lock_types(kinds | {booking.room_type_id for booking in arrivals})
    moved = list[tuple[RoomBooking, Room]]()
    if relocate:
        candidates = [room for room in locked.values() if room.pk not in leaving and room.is_active]
        moved = _allocate(hotel, arrivals, candidates)
        _move(moved, staff, reason)
    stuck = [booking for booking in arrivals if booking not in {moving for moving, _ in moved}]
    if force and stuck:
        upgraded = [booking for booking in stuck if is_upgraded(booking)]
        release_rooms(stuck, staff, reason)
        if upgraded:
            save_overbookings(lost_upgrade_overbookings(upgraded, staff, reason))


def _overlap(one: tuple[date, date], other: tuple[date, date]) -> bool:
    return one[0] < other[1] and one[1] > other[0]


class _FreeRooms:
    """These rooms, which have their blocks, and the nights on which each is taken; one statement."""

    def __init__(self, hotel: Hotel, bookings: Sequence[RoomBooking], rooms: Sequence[Room]) -> None:
        """``bookings`` are those that ``fits`` is asked about."""
        self._hotel = hotel
        self._taken: dict[int | None, list[tuple[date, date]]] = {
            room.pk: [(block.first_night, block.free_from) for block in live_blocks(room)] for room in rooms
        }
        if not bookings or not rooms:
            return
        nights = [nights_held(hotel, booking) for booking in bookings]
        first, free = min(begin for begin, _ in nights), max(end for _, end in nights)
        for stay in stays_holding(hotel, first, free, assigned_room__pk__any=[room.pk for room in rooms]):
            self._taken[stay.assigned_room_id].append(nights_held(hotel, stay))

    def fits(self, booking: RoomBooking, room: Room) -> bool:
        """Whether the booking could be in the room."""
        return (
            room.room_type_id == type_of(booking).pk
            and guests(booking) - booking.extra_beds <= room.room_type.max_occupancy
            and not any(_overlap(nights_held(self._hotel, booking), each) for each in self._taken[room.pk])
        )

    def take(self, booking: RoomBooking, room: Room) -> None:
        """Count the room as taken by the booking."""
        self._taken[room.pk].append(nights_held(self._hotel, booking))


def _allocate(hotel: Hotel, bookings: Sequence[RoomBooking], rooms: Sequence[Room]) -> list[tuple[RoomBooking, Room]]:
    """A free room for each booking that finds one, in order of arrival."""
    free = _FreeRooms(hotel, bookings, rooms)
    found, in_order = [], sorted(rooms, key=lambda each: key(each.room_number))
    for booking in sorted(bookings, key=lambda each: (each.check_in, each.pk)):
        room = next((room for room in in_order if free.fits(booking, room)), None)
        if room is not None:
            free.take(booking, room)
            found.append((booking, room))
    return found


def _move(moved: Sequence[tuple[RoomBooking, Room]], staff: Staff, reason: str) -> None:
    before = {booking.pk: booking.assigned_room for booking, _ in moved}
    for booking, room in moved:
        take_room(booking, room, staff, booking.assignment_notes)
    bookings = [booking for booking, _ in moved]
    if not bookings:
        return
    save_bookings(bookings, *ASSIGNMENT)
    save_history(
        history_row(
            booking,
            BookingAction.ASSIGNED,
            was=booking.status,
            staff=staff,
            reason=assignment_reason(booking, reason),
            from_room=before[booking.pk],
            to_room=room,
        )
        for booking, room in moved
    )
    follow_arrivals(moved)
    realtime_bookings_updated(
        [BookingUpdate(booking, "booking_updated", "booking_room_assigned") for booking in bookings]
    )


# --- suggestions ------------------------------------------------------------------------------------------------------


@contextmanager
def _free_rooms_named(hotel: Hotel) -> Any:
    try:
        yield
    except RoomNeeded as refusal:
        _name_free_rooms(hotel, [refusal])
        raise


def _name_free_rooms(hotel: Hotel, refusals: Sequence[RoomNeeded]) -> None:
    """Add to each conflict of a booking with a room the rooms of its type that are free on its nights, by number."""
    conflicts = [each for refusal in refusals for each in refusal.details["conflicts"]]
    if not conflicts:
        return
    references = {each["booking_id"] for each in conflicts}
    bookings = {booking.booking_id: booking for booking in booking_list(hotel).filter(booking_id__in=references)}
    kinds = {type_of(booking).pk for booking in bookings.values()}
    rooms = list(room_list(hotel).filter(is_active=True, room_type__in=kinds).order_by("sort_key"))
    free = _FreeRooms(hotel, list(bookings.values()), rooms)
    for each in conflicts:
        booking = bookings[each["booking_id"]]
        each["free_rooms"] = [room.room_number for room in rooms if free.fits(booking, room)][:SUGGESTED]
