"""Taking back a cancellation or a no-show."""

from collections.abc import Mapping, Sequence
from datetime import date

from django.db import transaction

from hotel import calendar
from hotel.models import Staff
from notifications.mail import queue_booking_mail
from notifications.notification_manager import realtime_booking_updated
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.selectors import sold_out_nights
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
    sold_out,
    state,
)

SUPERVISED = "reinstating a booking"


@transaction.atomic
def reinstate_booking(*, booking: RoomBooking, staff: Staff, reason: str) -> RoomBooking:
    """A supervisor makes a cancelled booking or a no-show a confirmed one again, without a room.

    Raises NoAvailability. What was noted of the cancellation stays among the special requests and in the history.
    Returns the booking as it is now.
    """
    require_supervisor(staff, SUPERVISED)
    locked = lock_booking(booking)
    _require_eligible(locked)
    # Last: whoever sells a night of the type waits for it.
    lock_type(locked.hotel, locked.room_type_id)
    require_availability(locked.hotel, locked.room_type, locked.check_in, locked.check_out)
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


def sold_out_for(bookings: Sequence[RoomBooking]) -> dict[int, date]:
    """By the pk of a booking the first night for which its type is sold out now; those that fit in are not there.

    Two statements for any number of bookings. Nothing is locked: by the time of the step it may have changed.
    """
    nights = sold_out_nights([(booking.room_type_id, booking.check_in, booking.check_out) for booking in bookings])
    return {booking.pk: night for booking, night in zip(bookings, nights, strict=True) if night is not None}


def check_reinstatement(booking: RoomBooking, staff: Staff, nights: Mapping[int, date]) -> bool:
    """That the booking may be reinstated, by what ``sold_out_for`` found; raises the refusal if not. Writes nothing."""
    require_supervisor(staff, SUPERVISED)
    _require_eligible(booking)
    if booking.pk in nights and not booking.hotel.allow_overbooking:
        raise sold_out(booking.room_type, nights[booking.pk])
    return True


def _require_eligible(booking: RoomBooking) -> None:
    """Raise unless it is a cancellation or a no-show of a stay that is not over."""
    if booking.status not in (BookingStatus.CANCELLED, BookingStatus.NO_SHOW):
        raise not_eligible(booking, "reinstated")
    if booking.check_out < calendar.business_date(booking.hotel):
        raise BookingNotEligible(f"The stay of booking {booking.booking_id} is over.", details=state(booking))
