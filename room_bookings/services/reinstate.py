"""Reinstating a cancelled booking or a no-show."""

from collections.abc import Mapping
from datetime import date

from django.db import transaction

from hotel import calendar
from hotel.models import Staff
from notifications.mail import queue_booking_mail
from notifications.models import MailKind
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import extra_beds
from room_bookings.inventory import nights_held
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.services.checks import require_availability, require_supervisor, sell_nights
from room_bookings.services.errors import BookingNotEligible, not_eligible, refusal_details
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking

SUPERVISED = "reinstating a booking"


@transaction.atomic
def reinstate_booking(*, booking: RoomBooking, staff: Staff, reason: str) -> RoomBooking:
    """As a supervisor, confirm a cancelled booking or a no-show again, without a room.

    Raises NoAvailability. The cancellation note stays in the special requests and in the history. Returns the current
    booking.
    """
    require_supervisor(staff, SUPERVISED)
    locked = lock_booking(booking)
    _require_eligible(locked)
    sell_nights(locked, locked.room_type_id, nights_held(locked.hotel, locked))
    was = locked.status
    locked.status = BookingStatus.CONFIRMED
    locked.cancelled_at = locked.cancelled_by = None
    locked.cancellation_reason = ""
    # A stay that was cancelled in house starts over.
    locked.checked_in_at = locked.checked_out_at = locked.arrived_on = locked.room_moved_at = None
    locked.overstay_flagged_at = locked.overstay_acknowledged_at = None
    # The type may now sleep fewer, which is allowed: a supervisor reinstates, with a reason.
    locked.extra_beds = extra_beds(locked)
    save_bookings(
        [locked],
        *("status", "cancelled_at", "cancelled_by", "cancellation_reason"),
        *(
            "checked_in_at",
            "checked_out_at",
            "arrived_on",
            "room_moved_at",
            "overstay_flagged_at",
            "overstay_acknowledged_at",
            "extra_beds",
        ),
    )
    save_history([history_row(locked, BookingAction.REINSTATED, was=was, staff=staff, reason=reason)])
    realtime_booking_updated(locked, "booking_updated")
    queue_booking_mail(locked, MailKind.CONFIRMATION)
    return locked


def check_reinstatement(booking: RoomBooking, staff: Staff, nights: Mapping[int, date]) -> bool:
    """Raise unless the booking can be reinstated, with ``nights`` from ``sold_out_for``. Writes nothing."""
    require_supervisor(staff, SUPERVISED)
    _require_eligible(booking)
    require_availability(booking, nights)
    return True


def _require_eligible(booking: RoomBooking) -> None:
    """Raise unless the booking is cancelled or a no-show, and its stay is not over."""
    if booking.status not in (BookingStatus.CANCELLED, BookingStatus.NO_SHOW):
        raise not_eligible(booking, "reinstated")
    if booking.check_out < calendar.business_date(booking.hotel):
        raise BookingNotEligible(f"The stay of booking {booking.booking_id} is over.", details=refusal_details(booking))
