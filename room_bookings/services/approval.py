"""Decisions on a booking: confirm, approve, decline."""

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from datetime import date

from django.db import transaction

from common import clock
from common.errors import Conflict
from common.formats import iso
from hotel.models import Staff
from room_bookings import payments
from room_bookings.inventory import nights_held
from room_bookings.models import STRIPE, BookingAction, BookingStatus, PaymentState, RoomBooking
from room_bookings.services.checks import is_in_flight, refuse_stripe, require_availability, sell_nights
from room_bookings.services.errors import endpoint_path, in_progress, not_eligible, refusal_details
from room_bookings.services.locks import lock_booking
from room_bookings.services.settlement import (
    APPROVAL,
    DECLINE,
    Outcome,
    check_join,
    join,
    record_request,
    refusal,
    send_or_look_up,
    settle,
    write_confirmed,
    write_declined,
)

# How often a superseded caller retries before giving up.
ROUNDS = 4
NOTHING_TO_CAPTURE = ("", PaymentState.CAPTURED)
DECIDED = (BookingStatus.CONFIRMED, BookingStatus.DECLINED)


class BookingExpired(Conflict):
    """The approval deadline has passed."""

    code = "BOOKING_EXPIRED"


class CancelInstead(Conflict):
    """A confirmed booking without a captured card payment is cancelled, not declined."""

    code = "BOOKING_NOT_ELIGIBLE"


@transaction.atomic
def confirm_booking(*, booking: RoomBooking, staff: Staff) -> RoomBooking:
    """Confirm a booking without a card payment; a confirmed booking is left unchanged.

    Raises StripeBooking, BookingExpired, NoAvailability. Returns the current booking.
    """
    locked = lock_booking(booking)
    if locked.status == BookingStatus.CONFIRMED:
        return locked
    refuse_stripe(locked)
    if locked.status != BookingStatus.PENDING_PAYMENT:
        _require_open(locked, "confirmed")
    sell_nights(locked, locked.room_type_id, nights_held(locked.hotel, locked))
    write_confirmed(locked, BookingAction.CONFIRMED, staff)
    return locked


def approve_booking(*, booking: RoomBooking, staff: Staff) -> RoomBooking:
    """Approve a request before its deadline: captures the card payment, confirms the booking and marks it as seen.

    A confirmed booking is left unchanged. Raises BookingExpired, NoAvailability (before anything is captured),
    CaptureFailed, AuthorisationExpired, PaymentInProgress, PaymentsBusy, PaymentsNotConfigured; the booking is then
    unchanged. Returns the current booking. With a card payment, do not call within a transaction.
    """
    return _decide(booking, APPROVAL, lambda locked: _begin_approval(locked, staff))


def decline_booking(*, booking: RoomBooking, staff: Staff, reason_code: str = "", reason_note: str = "") -> RoomBooking:
    """Decline a request, or a confirmed booking whose card payment was captured: the guest gets the money back.

    A declined booking is left unchanged. ``reason_note`` is sent to the guest. Raises CancelInstead, VoidFailed,
    RefundFailed, PaymentInProgress, PaymentsBusy, PaymentsNotConfigured; the booking is then unchanged. Returns the
    current booking. With a card payment, do not call within a transaction.
    """
    return _decide(booking, DECLINE, lambda locked: _begin_decline(locked, staff, reason_code, reason_note))


def _decide(
    booking: RoomBooking,
    wanted: Collection[PaymentState],
    begin: Callable[[RoomBooking], PaymentState | None],
) -> RoomBooking:
    """Record the payment request, call the provider, record the result; start over if another caller was faster.

    ``begin`` gets the locked booking and returns the payment state now in progress, or ``None`` when nothing is left to
    do. If that state is not in ``wanted``, the provider is only asked for the payment's status.
    """
    for _ in range(ROUNDS):
        with ExitStack() as slot:
            # Durable, so that no transaction is open during the call. (A booking's provider never changes.)
            with transaction.atomic(durable=booking.payment_provider == STRIPE):
                locked = lock_booking(booking)
                under_way = begin(locked)
                if under_way is not None:
                    slot.enter_context(payments.provider_slot())  # raising rolls back what ``begin`` has written
            if under_way is None:
                return locked
            standing = send_or_look_up(locked, wanted)
        settled, outcome = settle(locked, standing)
        if outcome is Outcome.REVERTED and under_way in wanted:
            raise refusal(settled, under_way, standing)
        if outcome is Outcome.FINISHED and settled.status in DECIDED and under_way in wanted:
            return settled
    raise in_progress(booking)


def _begin_approval(locked: RoomBooking, staff: Staff) -> PaymentState | None:
    if not check_approval(locked):
        return None
    if is_in_flight(locked):
        return join(locked, APPROVAL)
    # From here on the nights belong to this guest, even during the provider call (inventory.BEING_SOLD).
    sell_nights(locked, locked.room_type_id, nights_held(locked.hotel, locked))
    if locked.payment_state in NOTHING_TO_CAPTURE:
        write_confirmed(locked, BookingAction.APPROVED, staff)
        return None
    return record_request(locked, PaymentState.CAPTURING, staff)


def preview_approval(booking: RoomBooking, nights: Mapping[int, date]) -> bool:
    """``check_approval``, and check that a room is left, with ``nights`` from ``sold_out_for``."""
    wanted = check_approval(booking)
    if wanted and not is_in_flight(booking):
        require_availability(booking, nights)
    return wanted


def check_approval(booking: RoomBooking) -> bool:
    """Whether there is anything to approve; raises if that is refused. Writes nothing, does not call the provider."""
    if booking.status == BookingStatus.CONFIRMED:
        return False
    if is_in_flight(booking):
        # Already decided before the deadline, which is not checked again.
        check_join(booking, APPROVAL)
        return True
    _require_open(booking, "approved")
    if booking.payment_state not in NOTHING_TO_CAPTURE:
        payments.require_configured()
    return True


def _begin_decline(locked: RoomBooking, staff: Staff, code: str, note: str) -> PaymentState | None:
    if not check_decline(locked):
        return None
    if is_in_flight(locked):
        return join(locked, DECLINE)
    captured = locked.payment_state == PaymentState.CAPTURED
    locked.decline_reason_code, locked.decline_reason_note = code, note
    if not locked.payment_state:
        write_declined(locked, staff)
        return None
    return record_request(locked, PaymentState.REFUNDING if captured else PaymentState.VOIDING, staff)


def check_decline(booking: RoomBooking) -> bool:
    """Whether there is anything to decline; raises if that is refused. Writes nothing, does not call the provider."""
    if booking.status == BookingStatus.DECLINED:
        return False
    if is_in_flight(booking):
        check_join(booking, DECLINE)
        return True
    if booking.status == BookingStatus.CONFIRMED and booking.payment_state != PaymentState.CAPTURED:
        raise CancelInstead(
            f"No card payment was taken for booking {booking.booking_id}: cancel it instead.",
            details=refusal_details(booking) | {"required_endpoint": endpoint_path(booking, "cancel")},
        )
    if booking.status not in (BookingStatus.PENDING_APPROVAL, BookingStatus.CONFIRMED):
        raise not_eligible(booking, "declined")
    if booking.payment_state:
        payments.require_configured()
    return True


def _require_open(locked: RoomBooking, what: str) -> None:
    """Raise unless the booking is pending approval and its deadline has not passed."""
    deadline = locked.approval_deadline_at
    if locked.status == BookingStatus.EXPIRED or (
        locked.status == BookingStatus.PENDING_APPROVAL and deadline is not None and deadline < clock.now()
    ):
        raise BookingExpired(
            f"The approval deadline of booking {locked.booking_id} has passed.",
            details=refusal_details(locked) | {"approval_deadline_at": iso(deadline)},
        )
    if locked.status != BookingStatus.PENDING_APPROVAL:
        raise not_eligible(locked, what)
