"""Cancelling a booking before the arrival or, as a supervisor, ending a stay."""

from django.db import transaction

from common import clock
from common.errors import Conflict
from common.guards import Guard, require
from hotel import calendar
from hotel.models import Staff
from housekeeping.task_following import end_arrivals
from notifications.mail import queue_booking_mail
from notifications.models import MailKind
from notifications.notification_manager import realtime_booking_updated
from room_bookings.eligibility import card_refusals
from room_bookings.errors import endpoint_path, not_eligible, refusal_details
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.overrides import BY_REASON, is_override
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking
from room_bookings.services.overstay import resolve_overstays
from room_bookings.services.room_assignment import ASSIGNMENT, release_room
from room_bookings.services.vacating import not_before_arrival, vacate


class DeclineInstead(Conflict):
    """A request awaiting approval is declined, not cancelled."""

    code = "BOOKING_NOT_ELIGIBLE"


class GuestInHouse(Conflict):
    """Only a supervisor can cancel a stay in house, with a reason; otherwise the guest is checked out."""

    code = "BOOKING_ALREADY_CHECKED_IN"


@transaction.atomic
def cancel_booking(*, booking: RoomBooking, staff: Staff, reason: str = "") -> RoomBooking:
    """Cancel a confirmed booking: releases its room and notifies the guest and staff.

    For a guest in house (by a supervisor, with a reason) it also ends the stay. A cancelled booking is left unchanged:
    nothing is written, sent or mailed. Returns the current booking.
    """
    locked = lock_booking(booking)
    if not require(cancellation_refusals(locked, staff, reason)):
        return locked
    was, room, moment = locked.status, locked.assigned_room, not_before_arrival(locked, clock.now())
    in_house = was == BookingStatus.IN_HOUSE
    locked.status = BookingStatus.CANCELLED
    locked.cancelled_at, locked.cancelled_by, locked.cancellation_reason = moment, staff, reason
    if in_house:
        locked.checked_out_at = moment
    locked.special_requests = "\n\n".join(
        part for part in (locked.special_requests, _cancellation_note(locked, staff)) if part
    )
    release_room(locked)
    save_bookings(
        [locked],
        *("status", "cancelled_at", "cancelled_by", "cancellation_reason", "checked_out_at", "special_requests"),
        *ASSIGNMENT,
    )
    save_history([history_row(locked, BookingAction.CANCELLED, was=was, staff=staff, reason=reason, from_room=room)])
    vacated = [(locked, room)] if in_house and room else []
    if vacated:
        resolve_overstays([locked])
        vacate(vacated, staff=staff, note=f"stay of {locked.booking_id} cancelled", for_good=True)
    else:
        end_arrivals([locked])
    realtime_booking_updated(
        locked,
        "booking_cancelled",
        guest_type="booking_cancelled",
        reason=reason,
        rooms=[room for _, room in vacated],
    )
    queue_booking_mail(locked, MailKind.CANCELLATION)
    return locked


def cancellation_refusals(booking: RoomBooking, staff: Staff, reason: str) -> Guard[bool]:
    """The refusals of ``cancel_booking``; returns whether there is anything to cancel."""
    yield from card_refusals(booking)
    if booking.status == BookingStatus.CANCELLED:
        return False
    if booking.status == BookingStatus.PENDING_APPROVAL:
        yield DeclineInstead(
            f"Booking {booking.booking_id} is pending approval: decline it instead.",
            details=refusal_details(booking) | {"required_endpoint": endpoint_path(booking, "decline")},
        )
    elif booking.status == BookingStatus.IN_HOUSE:
        if not is_override(staff, reason):
            yield GuestInHouse(
                f"The guest of booking {booking.booking_id} is in house: check them out, or have a supervisor cancel "
                "the stay with a reason.",
                details=refusal_details(booking),
                lift=BY_REASON,
            )
    elif booking.status != BookingStatus.CONFIRMED:
        yield not_eligible(booking, "cancelled")
    return True


def _cancellation_note(booking: RoomBooking, staff: Staff) -> str:
    """The cancellation note that is appended to the special requests."""
    moment = calendar.local_time(booking.hotel, booking.cancelled_at or clock.now())
    reason = booking.cancellation_reason or "no reason given"
    return f"[CANCELLED {moment:%Y-%m-%d %H:%M} by {staff.name}] {reason}"
