"""Check-out of one booking, or of several rooms at once."""

from collections.abc import Sequence

from django.db import transaction

from common import clock
from common.errors import HotelMateError
from common.guards import Guard, require
from common.room_numbers import RoomNumber
from hotel.models import Hotel, Staff
from housekeeping.services import NobodyInHouse
from notifications.notification_manager import BookingUpdate, realtime_bookings_updated
from room_bookings.eligibility import in_house_refusals
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.selectors import booking_lock
from room_bookings.services.bulk import BulkFailure, BulkResult
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking
from room_bookings.services.overstay import resolve_overstays
from room_bookings.services.vacating import not_before_arrival, vacate
from rooms.errors import RoomNotFound
from rooms.models import Room


@transaction.atomic
def check_out(*, booking: RoomBooking, staff: Staff | None) -> RoomBooking:
    """Check the guest out: completes the stay and marks the room dirty from any status; a maintenance flag stays.

    A completed stay is left unchanged: nothing is written. Returns the current booking.
    """
    locked = lock_booking(booking)
    if require(departure_refusals(locked)):
        _leave([locked], staff, f"check-out of {locked.booking_id}")
    return locked


def departure_refusals(booking: RoomBooking) -> Guard[bool]:
    """The refusals of ``check_out``; returns whether there is a guest to check out."""
    if booking.status == BookingStatus.COMPLETED:
        return False
    yield from in_house_refusals(booking)
    return True


@transaction.atomic
def check_out_rooms(*, hotel: Hotel, room_ids: Sequence[int], staff: Staff) -> BulkResult:
    """Check out the guest in house in each room, in a constant number of statements; each room has its own result.

    A room with nobody in house is left unchanged and reported as failed.
    """
    in_house = RoomBooking.objects.filter(hotel=hotel, status=BookingStatus.IN_HOUSE, assigned_room__in=room_ids)
    locked = booking_lock(in_house.values_list("pk", flat=True))
    wanted = set(room_ids)
    # A guest may have left or moved to another room while we waited for the locks.
    guests = {
        booking.assigned_room_id: booking
        for booking in locked
        if booking.status == BookingStatus.IN_HOUSE and booking.assigned_room_id in wanted
    }
    result = BulkResult(bookings=list(guests.values()))
    result.rooms = _leave(result.bookings, staff, "check-out of several rooms") if guests else []
    vacant = [room_id for room_id in dict.fromkeys(room_ids) if room_id not in guests]
    numbers = dict(Room.objects.filter(hotel=hotel, pk__in=vacant).values_list("pk", "room_number")) if vacant else {}
    for room_id in vacant:
        try:
            require(room_departure_refusals(numbers.get(room_id), guests.get(room_id)))
        except HotelMateError as refusal:
            result.failed.append(BulkFailure(room_id, refusal))
    return result


def room_departure_refusals(room_number: RoomNumber | None, guest: RoomBooking | None) -> Guard[None]:
    """The refusals of ``check_out_rooms`` for one room: its number, if the hotel has it, and its guest in house."""
    if guest is not None:
        return
    if room_number is None:
        yield RoomNotFound("Room not found: this hotel has no such room.")
    else:
        yield NobodyInHouse(f"Room {room_number} has no guest in house.")


def _leave(bookings: Sequence[RoomBooking], staff: Staff | None, note: str) -> list[Room]:
    """Complete locked in-house bookings; returns the rooms that their guests have left."""
    moment = clock.now()
    vacated = [(booking, booking.assigned_room) for booking in bookings if booking.assigned_room]
    for booking in bookings:
        booking.status, booking.checked_out_at = BookingStatus.COMPLETED, not_before_arrival(booking, moment)
    save_bookings(bookings, "status", "checked_out_at")
    resolve_overstays(bookings)
    save_history(
        history_row(booking, BookingAction.CHECKED_OUT, was=BookingStatus.IN_HOUSE, staff=staff, from_room=room)
        for booking, room in vacated
    )
    vacate(vacated, staff=staff, note=note, for_good=True)
    rooms = [room for _, room in vacated]
    realtime_bookings_updated(
        [BookingUpdate(booking, "booking_checked_out", "booking_checked_out") for booking in bookings], rooms=rooms
    )
    return rooms
