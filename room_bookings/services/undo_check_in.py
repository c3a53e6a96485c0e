"""Undoing a mistaken check-in."""

from django.db import transaction

from common.errors import Conflict
from hotel import calendar
from hotel.models import Staff
from notifications.notification_manager import realtime_booking_updated
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.services.checks import require_in_house, require_supervisor
from room_bookings.services.errors import refusal_details
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking
from room_bookings.services.overstay import resolve_overstays
from room_bookings.services.vacating import vacate


class CheckInTooLongAgo(Conflict):
    """The business day of the check-in is over."""

    code = "CHECKIN_TOO_LONG_AGO"


@transaction.atomic
def undo_check_in(*, booking: RoomBooking, staff: Staff, reason: str) -> RoomBooking:
    """As a supervisor, undo a check-in on the same business day: the booking keeps its room, which becomes dirty.

    Returns the current booking.
    """
    require_supervisor(staff, "undoing a check-in")
    locked = lock_booking(booking)
    require_in_house(locked)
    hotel, room = locked.hotel, locked.assigned_room
    if calendar.business_date(hotel, locked.checked_in_at) != calendar.business_date(hotel):
        raise CheckInTooLongAgo(
            f"Booking {locked.booking_id} was checked in on another day: check the guest out instead.",
            details=refusal_details(locked),
        )
    was = locked.status
    resolve_overstays([locked])
    locked.status, locked.checked_in_at, locked.arrived_on = BookingStatus.CONFIRMED, None, None
    # The coming stay is neither overdue nor moved.
    locked.overstay_flagged_at = locked.overstay_acknowledged_at = locked.room_moved_at = None
    save_bookings(
        [locked],
        *("status", "checked_in_at", "arrived_on", "room_moved_at"),
        *("overstay_flagged_at", "overstay_acknowledged_at"),
    )
    save_history(
        [history_row(locked, BookingAction.CHECK_IN_UNDONE, was=was, staff=staff, reason=reason, to_room=room)]
    )
    vacated = [(locked, room)] if room else []
    vacate(vacated, staff=staff, note=f"check-in of {locked.booking_id} undone", for_good=False)
    realtime_booking_updated(locked, "booking_updated", rooms=[room for _, room in vacated])
    return locked
