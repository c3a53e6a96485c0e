"""Taking back a cancellation or a no-show."""

from django.db import transaction

from hotel import calendar
from hotel.models import Staff
from notifications.mail import queue_booking_mail
from notifications.notification_manager import realtime_booking_updated
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.services.core import (
    BookingNotEligible,
    change,
    lock_booking,
    lock_type,
    not_eligible,
    record,
    require_availability,
    require_supervisor,
    save,
    state,
)


@transaction.atomic
def reinstate_booking(*, booking: RoomBooking, staff: Staff, reason: str) -> RoomBooking:
    """A supervisor makes a cancelled booking or a no-show a confirmed one again, without a room.

    Raises NoAvailability. What was noted of the cancellation stays among the special requests and in the history.
    Returns the booking as it is now.
    """
    require_supervisor(staff, "reinstating a booking")
    locked = lock_booking(booking)
    if locked.status not in (BookingStatus.CANCELLED, BookingStatus.NO_SHOW):
        raise not_eligible(locked, "reinstated")
    if locked.check_out < calendar.business_date(locked.hotel):
        raise BookingNotEligible(f"The stay of booking {locked.booking_id} is over.", details=state(locked))
    if room_type := lock_type(locked.hotel, locked.room_type_id):
        require_availability(locked.hotel, room_type, locked.check_in, locked.check_out)
    was = locked.status
    locked.status = BookingStatus.CONFIRMED
    locked.cancelled_at = locked.cancelled_by = None
    locked.cancellation_reason = ""
    # A stay that was cancelled in house begins anew.
    locked.checked_in_at = locked.checked_out_at = locked.room_moved_at = None
    locked.overstay_flagged_at = locked.overstay_acknowledged_at = None
    save(
        [locked],
        *("status", "cancelled_at", "cancelled_by", "cancellation_reason"),
        *("checked_in_at", "checked_out_at", "room_moved_at", "overstay_flagged_at", "overstay_acknowledged_at"),
    )
    record([change(locked, BookingAction.REINSTATED, was=was, staff=staff, reason=reason)])
    realtime_booking_updated(locked, "booking_updated")
    queue_booking_mail(locked, "confirmation")
    return locked
