"""Reinstating a cancelled booking or a no-show."""

from django.db import transaction

from common.guards import Guard, require
from hotel import calendar
from hotel.models import Staff
from notifications.mail import queue_booking_mail
from notifications.models import MailKind
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import extra_beds
from room_bookings.eligibility import supervisor_refusals
from room_bookings.errors import BookingNotEligible, not_eligible, refusal_details
from room_bookings.inventory import nights_held
from room_bookings.models import BookingAction, BookingStatus, Overbooking, RoomBooking
from room_bookings.services.checks import night_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking

REINSTATING = "reinstating a booking"


@transaction.atomic
def reinstate_booking(*, booking: RoomBooking, staff: Staff, reason: str) -> RoomBooking:
    """As a supervisor, confirm a cancelled booking or a no-show again, without a room.

    Raises NoAvailability. The cancellation note stays in the special requests and in the history. Returns the current
    booking.
    """
    require(supervisor_refusals(staff, REINSTATING))
    locked = lock_booking(booking)
    require(reinstatement_refusals(locked, staff, LockedFacts(locked.hotel)))
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


def reinstatement_refusals(booking: RoomBooking, staff: Staff, facts: Facts) -> Guard[list[Overbooking]]:
    """The refusals of ``reinstate_booking``."""
    yield from supervisor_refusals(staff, REINSTATING)
    if booking.status not in (BookingStatus.CANCELLED, BookingStatus.NO_SHOW):
        yield not_eligible(booking, "reinstated")
        return []
    if booking.check_out < calendar.business_date(booking.hotel):
        yield BookingNotEligible(f"The stay of booking {booking.booking_id} is over.", details=refusal_details(booking))
    return (yield from night_refusals(booking, booking.room_type, nights_held(booking.hotel, booking), facts=facts))
