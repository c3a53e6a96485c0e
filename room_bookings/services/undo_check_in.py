"""Undoing a mistaken check-in."""

from django.db import transaction

from common.errors import Conflict
from common.guards import Guard, require
from hotel import calendar
from hotel.models import Staff
from notifications.notification_manager import realtime_booking_updated
from room_bookings.eligibility import in_house_refusals, supervisor_refusals
from room_bookings.errors import refusal_details
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking
from room_bookings.services.overstay import resolve_overstays
from room_bookings.services.vacating import vacate

UNDOING = "undoing a check-in"


class CheckInTooLongAgo(Conflict):
    """The business day of the check-in is over."""

    code = "CHECKIN_TOO_LONG_AGO"


@transaction.atomic
def undo_check_in(*, booking: RoomBooking, staff: Staff, reason: str) -> RoomBooking:
    """As a supervisor, undo a check-in on the same business day: the booking keeps its room, which becomes dirty.

    Returns the current booking.
    """
    require(supervisor_refusals(staff, UNDOING))
    locked = lock_booking(booking)
    require(undo_check_in_refusals(locked, staff))
    was, room = locked.status, locked.assigned_room
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


def undo_check_in_refusals(booking: RoomBooking, staff: Staff) -> Guard[None]:
    """The refusals of ``undo_check_in``."""
    yield from supervisor_refusals(staff, UNDOING)
    yield from in_house_refusals(booking)
    hotel, since = booking.hotel, booking.checked_in_at
    if since is not None and calendar.business_date(hotel, since) != calendar.business_date(hotel):
        yield CheckInTooLongAgo(
            f"Booking {booking.booking_id} was checked in on another day: check the guest out instead.",
            details=refusal_details(booking),
        )
