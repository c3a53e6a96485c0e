"""Guests who did not arrive."""

from django.db import transaction

from common.errors import Conflict
from hotel import calendar
from hotel.models import Staff
from notifications.notification_manager import realtime_booking_updated
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.services.core import change, lock_booking, not_eligible, record, require_settled, save, state
from room_bookings.services.room_assignment import ASSIGNMENT, release_room


class ArrivalNotOver(Conflict):
    """The guest may still come."""

    code = "ARRIVAL_NOT_OVER"


@transaction.atomic
def mark_no_show(*, booking: RoomBooking, staff: Staff | None, reason: str = "") -> RoomBooking:
    """A confirmed guest has not come and the arrival's business day is over: their room is released.

    The same again changes nothing. Returns the booking as it is now.
    """
    locked = lock_booking(booking)
    if locked.status == BookingStatus.NO_SHOW:
        return locked
    if locked.status != BookingStatus.CONFIRMED:
        raise not_eligible(locked, "a no-show")
    require_settled(locked)
    if calendar.business_date(locked.hotel) <= locked.check_in:
        raise ArrivalNotOver(
            f"The guest of booking {locked.booking_id} may still arrive: {locked.check_in} is not over.",
            details=state(locked) | {"check_in": locked.check_in.isoformat()},
        )
    was, room = locked.status, locked.assigned_room
    locked.status = BookingStatus.NO_SHOW
    release_room(locked)
    save([locked], "status", *ASSIGNMENT)
    record([change(locked, BookingAction.NO_SHOW, was=was, staff=staff, reason=reason, from_room=room)])
    realtime_booking_updated(locked, "booking_no_show")
    return locked
