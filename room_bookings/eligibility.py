"""Which bookings an action is open to by their own state: guards of one booking, without its room or its nights.

The services' guards begin with these, and the ``flags`` of a booking's detail are these alone.
"""

from common import clock
from common.errors import Conflict, InvalidInput, Lift
from common.formats import iso
from common.guards import Guard
from hotel import calendar
from hotel.models import Staff
from room_bookings.errors import (
    BookingAlreadyCheckedIn,
    BookingAlreadyCheckedOut,
    BookingNotCheckedIn,
    RightMissing,
    StripeBooking,
    booking_status_label,
    endpoint_path,
    in_progress,
    not_eligible,
    refusal_details,
)
from room_bookings.models import IN_FLIGHT_PAYMENTS, STRIPE, BookingStatus, RoomBooking
from room_bookings.overrides import BY_REASON, SUPERVISE

PARTY_EDITABLE = (BookingStatus.PENDING_APPROVAL, BookingStatus.CONFIRMED, BookingStatus.IN_HOUSE)


def in_house_refusals(booking: RoomBooking) -> Guard[None]:
    """Refused unless the guest is in house."""
    if booking.status == BookingStatus.IN_HOUSE:
        return
    if booking.checked_out_at is not None:
        yield BookingAlreadyCheckedOut(
            f"The guest of booking {booking.booking_id} has already left.",
            details=refusal_details(booking) | {"checked_out_at": iso(booking.checked_out_at)},
        )
    else:
        yield BookingNotCheckedIn(
            f"Booking {booking.booking_id} is {booking_status_label(booking)}: the guest is not in house.",
            details=refusal_details(booking),
        )


def party_edit_refusals(booking: RoomBooking) -> Guard[None]:
    """Refused once the booking is over: then only its notes can change."""
    if booking.status not in PARTY_EDITABLE:
        yield not_eligible(booking, "changed")


def missing_guests(booking: RoomBooking) -> int:
    """How many of the adults have no name yet; children need none. ``booking`` comes from ``booking_list``."""
    return max(0, booking.adults - 1 - len(booking.party))  # type: ignore[attr-defined]


def party_complete(booking: RoomBooking) -> bool:
    """Whether all names that the hotel requires are present; always true if it requires none.

    The existing staff app offers rooms only to a complete party.
    """
    return not booking.hotel.require_complete_party or missing_guests(booking) == 0


class PartyIncomplete(InvalidInput):
    """The hotel requires every adult's name first."""

    code = "PARTY_INCOMPLETE"


def party_refusals(booking: RoomBooking) -> Guard[None]:
    """Refused until all names that the hotel requires are present."""
    if not party_complete(booking):
        missing = missing_guests(booking)
        yield PartyIncomplete(
            f"Name all {booking.adults} adults of booking {booking.booking_id} first: {missing} still missing.",
            details={"party_missing_count": missing},
        )


def supervisor_refusals(staff: Staff, what: str) -> Guard[None]:
    """Refused unless the caller holds the supervising right, which ``what`` requires."""
    if not staff.can(SUPERVISE):
        yield RightMissing(f"Permission denied: {what} requires a supervisor.", lift=Lift((SUPERVISE,)))


def card_refusals(booking: RoomBooking) -> Guard[None]:
    """Refused with a card payment: such bookings are approved or declined instead."""
    if booking.payment_provider == STRIPE:
        yield StripeBooking(
            f"Booking {booking.booking_id} has a card payment: approve or decline it instead.",
            details={"required_endpoints": {step: endpoint_path(booking, step) for step in ("approve", "decline")}},
        )


def is_in_flight(booking: RoomBooking) -> bool:
    """Whether a decision on the booking has been started and the provider's response is not recorded yet."""
    return booking.payment_state in IN_FLIGHT_PAYMENTS and booking.status in (
        BookingStatus.PENDING_APPROVAL,
        BookingStatus.CONFIRMED,
    )


def settled_refusals(booking: RoomBooking) -> Guard[None]:
    """Refused while a payment decision is in progress: no check-in, and no no-show, meanwhile."""
    if is_in_flight(booking):
        yield in_progress(booking)


def assignable_refusals(booking: RoomBooking, what: str = "given a room") -> Guard[None]:
    """Refused unless the booking's status allows assigning or unassigning a room (``what``, a past participle)."""
    if booking.status == BookingStatus.IN_HOUSE:
        yield BookingAlreadyCheckedIn(
            f"The guest of booking {booking.booking_id} is in house: move them to another room instead.",
            details=refusal_details(booking),
        )
    elif booking.status != BookingStatus.CONFIRMED:
        yield not_eligible(booking, what)


class CheckInTooEarly(Conflict):
    """It is the arrival day, but before the hotel's earliest check-in time."""

    code = "CHECKIN_TOO_EARLY"


class CheckInWrongDate(Conflict):
    """The arrival day has not come."""

    code = "CHECKIN_WRONG_DATE"


class CheckInTooLate(Conflict):
    """The last night of the stay is over."""

    code = "CHECKIN_TOO_LATE"


def arrival_window_refusals(booking: RoomBooking) -> Guard[None]:
    """Refused outside the arrival window; a supervisor's reason lifts it."""
    hotel = booking.hotel
    now = calendar.local_now(hotel)
    details = refusal_details(booking) | {
        "check_in": booking.check_in.isoformat(),
        "check_out": booking.check_out.isoformat(),
        "hotel_time": now.replace(tzinfo=None).isoformat(timespec="minutes"),
    }
    opens, closes = calendar.arrival_window(hotel, booking.check_in, booking.check_out)
    if now.date() < booking.check_in:
        message = f"The guest of booking {booking.booking_id} is due on {booking.check_in}, not today."
        yield CheckInWrongDate(message, details=details, lift=BY_REASON)
    elif clock.now() < opens:
        message = f"Check-in begins at {hotel.early_checkin_from:%H:%M} today."
        yield CheckInTooEarly(message, details=details, lift=BY_REASON)
    # The guest may arrive on any night of the stay; a night ends with the hotel's business day.
    elif clock.now() >= closes:
        message = f"The last night of booking {booking.booking_id} is over."
        yield CheckInTooLate(message, details=details, lift=BY_REASON)
