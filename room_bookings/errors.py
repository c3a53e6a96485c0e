"""Errors that booking actions share, and their details."""

from datetime import date
from typing import Any

from common.errors import Blocker, Conflict, HotelMateError, Lift, NotAllowed, NotFound
from room_bookings.models import (
    BookingStatus,
    PaymentState,
    RoomBooking,
)
from rooms.models import RoomType


class BookingNotFound(NotFound):
    code = "BOOKING_NOT_FOUND"


class RightMissing(NotAllowed):
    """The action requires a right that the caller lacks."""


class BookingChanged(HotelMateError):
    """The booking is no longer at the version that the caller saw (``If-Match``)."""

    status = 412
    code = "PRECONDITION_FAILED"


class BookingNotEligible(Conflict):
    """The booking's status does not allow the action."""

    code = "BOOKING_NOT_ELIGIBLE"


class BookingAlreadyCheckedIn(Conflict):
    code = "BOOKING_ALREADY_CHECKED_IN"


class BookingNotCheckedIn(Conflict):
    code = "BOOKING_NOT_CHECKED_IN"


class BookingNotCheckedOut(Conflict):
    code = "BOOKING_NOT_CHECKED_OUT"


class BookingAlreadyCheckedOut(Conflict):
    code = "BOOKING_ALREADY_CHECKED_OUT"


class StripeBooking(NotAllowed):
    """A booking with a card payment is approved or declined instead."""

    code = "STRIPE_BOOKING"


class PaymentInProgress(Conflict):
    """Another request is currently processing the payment."""

    code = "PAYMENT_IN_PROGRESS"


class RoomOverlap(Conflict):
    """Another stay holds the room on one of the nights."""

    code = "ROOM_OVERLAP_CONFLICT"


class RoomAssigned(Conflict):
    """The booking has a room that is not of the type that it is to be booked as."""

    code = "ROOM_ASSIGNED"


class NoAvailability(Conflict):
    """The room type is sold out on one of the nights."""

    code = "NO_AVAILABILITY"


def booking_status_label(booking: RoomBooking) -> str:
    """The booking's status for use in a sentence."""
    return BookingStatus(booking.status).label.lower()


def refusal_details(booking: RoomBooking) -> dict[str, Any]:
    """The booking's part of an error's ``details``; JSON-safe."""
    return {"booking_id": booking.booking_id, "status": str(booking.status), "version": booking.version}


def endpoint_path(booking: RoomBooking, step: str) -> str:
    """The path of the endpoint to which an error refers the client."""
    return f"/api/staff/hotel/{booking.hotel.slug}/room-bookings/{booking.booking_id}/{step}/"


def not_eligible(booking: RoomBooking, what: str) -> BookingNotEligible:
    """The error for a booking whose status does not allow ``what`` (a past participle)."""
    return BookingNotEligible(
        f"Booking {booking.booking_id} is {booking_status_label(booking)} and can't be {what}.",
        details=refusal_details(booking),
    )


def in_progress(booking: RoomBooking) -> PaymentInProgress:
    """The error for an action that must wait for a payment decision."""
    what = "refund" if booking.payment_state == PaymentState.REFUNDING else "card payment"
    return PaymentInProgress(
        f"The {what} of booking {booking.booking_id} is still being processed. Try again in a moment.",
        details=refusal_details(booking),
    )


def sold_out(room_type: RoomType, night: date, *, lift: Lift | None = None) -> NoAvailability:
    """The error for a stay whose room type is sold out on that night."""
    return NoAvailability(
        f"No {room_type.name} is left for the night of {night}.",
        details={"room_type_id": room_type.pk, "date": night.isoformat()},
        lift=lift,
        blocker=Blocker("room_type", room_type.pk, room_type.name),
    )
