"""Refusals that steps in a booking's life have in common, and what they tell of the booking."""

from datetime import date
from typing import Any

from common.errors import Conflict, HotelMateError, NotAllowed, NotFound
from room_bookings.models import (
    BookingStatus,
    PaymentState,
    RoomBooking,
)
from rooms.models import RoomType


class BookingNotFound(NotFound):
    code = "BOOKING_NOT_FOUND"


class RightMissing(NotAllowed):
    """The step takes a right that the caller lacks."""


class BookingChanged(HotelMateError):
    """The booking is no longer at the version that the caller saw (``If-Match``)."""

    status = 412
    code = "PRECONDITION_FAILED"


class BookingNotEligible(Conflict):
    """The booking's status does not lead there."""

    code = "BOOKING_NOT_ELIGIBLE"


class BookingAlreadyCheckedIn(Conflict):
    code = "BOOKING_ALREADY_CHECKED_IN"


class BookingNotCheckedIn(Conflict):
    code = "BOOKING_NOT_CHECKED_IN"


class BookingAlreadyCheckedOut(Conflict):
    code = "BOOKING_ALREADY_CHECKED_OUT"


class StripeBooking(NotAllowed):
    """A booking with a card payment is ended where the payment is, by approve or decline."""

    code = "STRIPE_BOOKING"


class PaymentInProgress(Conflict):
    """Somebody else has the payment in hand at this moment."""

    code = "PAYMENT_IN_PROGRESS"


class RoomOverlap(Conflict):
    """Somebody else holds the room on one of the nights."""

    code = "ROOM_OVERLAP_CONFLICT"


class NoAvailability(Conflict):
    """The room type is sold out on one of the nights."""

    code = "NO_AVAILABILITY"


def booking_status_label(booking: RoomBooking) -> str:
    """The booking's status as it stands in a sentence."""
    return BookingStatus(booking.status).label.lower()


def refusal_details(booking: RoomBooking) -> dict[str, Any]:
    """What a refusal tells of the booking; JSON-safe."""
    return {"booking_id": booking.booking_id, "status": str(booking.status), "version": booking.version}


def endpoint_path(booking: RoomBooking, step: str) -> str:
    """Where clients find the step that a refusal points them to."""
    return f"/api/staff/hotel/{booking.hotel.slug}/room-bookings/{booking.booking_id}/{step}/"


def not_eligible(booking: RoomBooking, what: str) -> BookingNotEligible:
    """The refusal of a booking whose status does not lead to ``what`` (a past participle)."""
    return BookingNotEligible(
        f"Booking {booking.booking_id} is {booking_status_label(booking)} and can't be {what}.",
        details=refusal_details(booking),
    )


def in_progress(booking: RoomBooking) -> PaymentInProgress:
    """The refusal of a step that has to wait for a decision."""
    what = "refund" if booking.payment_state == PaymentState.REFUNDING else "decision"
    return PaymentInProgress(
        f"The {what} of booking {booking.booking_id} is under way and not finished. Try again in a moment.",
        details=refusal_details(booking),
    )


def sold_out(room_type: RoomType, night: date) -> NoAvailability:
    """The refusal of a stay of whose type no room is left on that night."""
    return NoAvailability(
        f"No {room_type.name} is left for the night of {night}.",
        details={"room_type_id": room_type.pk, "date": night.isoformat()},
    )
