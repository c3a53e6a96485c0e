"""Marking a booking as a no-show."""

from django.db import transaction

from common.errors import Conflict
from common.guards import Guard, require
from hotel import calendar
from hotel.models import Staff
from housekeeping.task_following import end_arrivals
from notifications.notification_manager import realtime_booking_updated
from room_bookings.eligibility import settled_refusals
from room_bookings.errors import not_eligible, refusal_details
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking
from room_bookings.services.room_assignment import ASSIGNMENT, release_room


class ArrivalNotOver(Conflict):
    """The guest may still arrive."""

    code = "ARRIVAL_NOT_OVER"


@transaction.atomic
def mark_no_show(*, booking: RoomBooking, staff: Staff | None, reason: str = "") -> RoomBooking:
    """Mark a confirmed booking as a no-show once the arrival's business day is over, and release its room.

    A no-show is left unchanged. Returns the current booking.
    """
    locked = lock_booking(booking)
    if not require(no_show_refusals(locked)):
        return locked
    was, room = locked.status, locked.assigned_room
    locked.status = BookingStatus.NO_SHOW
    release_room(locked)
    save_bookings([locked], "status", *ASSIGNMENT)
    save_history([history_row(locked, BookingAction.NO_SHOW, was=was, staff=staff, reason=reason, from_room=room)])
    end_arrivals([locked])
    realtime_booking_updated(locked, "booking_no_show")
    return locked


def no_show_refusals(booking: RoomBooking) -> Guard[bool]:
    """The refusals of ``mark_no_show``; returns whether there is anything to mark."""
    if booking.status == BookingStatus.NO_SHOW:
        return False
    if booking.status != BookingStatus.CONFIRMED:
        yield not_eligible(booking, "marked as a no-show")
        return True
    yield from settled_refusals(booking)
    if calendar.business_date(booking.hotel) <= booking.check_in:
        yield ArrivalNotOver(
            f"The guest of booking {booking.booking_id} may still arrive: {booking.check_in} is not over.",
            details=refusal_details(booking) | {"check_in": booking.check_in.isoformat()},
        )
    return True
