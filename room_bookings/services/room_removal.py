"""Taking a room away although bookings need it: its arrivals are unassigned in the same transaction."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction

from common.guards import require
from hotel.models import Staff
from housekeeping.services import set_room_status
from notifications.notification_manager import BookingUpdate, realtime_bookings_updated
from room_bookings.eligibility import supervisor_refusals
from room_bookings.inventory import Inventory, NightsRequest, allows_overselling, lock_types, nights_held
from room_bookings.models import BookingAction, BookingStatus, Overbooking, RoomBooking
from room_bookings.room_demand import arrivals_of
from room_bookings.selectors import booking_lock
from room_bookings.services.checks import overbookings_of
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.room_assignment import ASSIGNMENT, release_room
from rooms.models import Room, RoomStatus
from rooms.selectors import room_lock
from rooms.services import update_room


def force_room_status(*, room: Room, to_status: str, staff: Staff, note: str, **fields: Any) -> Room:
    """``set_room_status``, but a supervisor can take a room out of order even if bookings need it."""
    change = partial(set_room_status, to_status=to_status, staff=staff, note=note, **fields)
    if to_status != RoomStatus.OUT_OF_ORDER:
        return change(room=room)
    return _force(room, staff, note, partial(change, forced=True))


def force_room_update(*, room: Room, staff: Staff, reason: str = "", **fields: Any) -> Room:
    """``update_room``, but a supervisor can take a room out of service or change its type even if bookings need it."""
    change = partial(update_room, staff=staff, reason=reason, **fields)
    stays = fields.get("is_active", True)
    if stays and fields.get("room_type_id", room.room_type_id) == room.room_type_id:
        return change(room=room)
    # A booking of the room's new type keeps the room.
    stays_on = fields.get("room_type_id") if stays else None
    return _force(room, staff, reason, partial(change, forced=True), stays_on=stays_on)


@transaction.atomic
def _force(
    room: Room, staff: Staff, reason: str, take_away: Callable[..., Room], *, stays_on: int | None = None
) -> Room:
    """Unassign the room's arrivals, then take it away, recording the overbookings.

    Bookings are locked before the room. If it is assigned to another booking in between, ``RoomNeeded`` is still
    raised.
    """
    require(supervisor_refusals(staff, "taking away a room that bookings need"))
    arrivals = [
        booking
        for booking in booking_lock(arrivals_of([room.pk], room.hotel).order_by().values_list("pk", flat=True))
        if booking.status == BookingStatus.CONFIRMED
        and booking.assigned_room_id == room.pk
        and booking.room_type_id != stays_on
    ]
    if arrivals:
        [room] = room_lock([room.pk])  # a room with bookings is never deleted
        # All types in one query: two concurrent removals, each with an arrival that booked the other's type, must not
        # deadlock.
        lock_types({room.room_type_id, *(booking.room_type_id for booking in arrivals)})
        release_rooms(arrivals, staff, reason)
    upgraded = [booking for booking in arrivals if booking.room_type_id != room.room_type_id]
    taken = take_away(room=room)
    if upgraded:
        save_overbookings(lost_upgrade_overbookings(upgraded, staff, reason))
    return taken


def lost_upgrade_overbookings(bookings: list[RoomBooking], staff: Staff, reason: str) -> list[Overbooking]:
    """The overbookings of arrivals that lost an upgrade: they count as their booked types again, even if sold out.

    Their types are locked. No two of the arrivals share a night. A constant number of statements.
    """
    hotel = bookings[0].hotel
    if allows_overselling(hotel):
        return []
    requests = [NightsRequest(hotel, booking.room_type_id, *nights_held(hotel, booking)) for booking in bookings]
    inventory = Inventory(requests)
    overbooked = []
    for booking, request in zip(bookings, requests, strict=True):
        nights = [night for night in request.nights() if inventory.left(request.room_type_id, night) < 0]
        overbooked += overbookings_of(booking, request.room_type_id, nights, staff=staff, reason=reason)
    return overbooked


def release_rooms(bookings: list[RoomBooking], staff: Staff, reason: str) -> None:
    """Unassign locked arrivals, whose types are locked too."""
    changes = [
        history_row(
            booking,
            BookingAction.UNASSIGNED,
            was=booking.status,
            staff=staff,
            reason=reason,
            from_room=booking.assigned_room,
        )
        for booking in bookings
    ]
    for booking in bookings:
        release_room(booking)
    save_bookings(bookings, *ASSIGNMENT)
    save_history(changes)
    realtime_bookings_updated([BookingUpdate(booking, "booking_updated") for booking in bookings])
