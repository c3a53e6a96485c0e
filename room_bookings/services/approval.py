"""Decisions on a booking: confirm, approve, decline."""

from collections.abc import Callable, Collection
from contextlib import ExitStack

from django.db import transaction

from common import clock, dry_run
from common.errors import Conflict
from common.formats import iso
from common.guards import Guard, require
from hotel.models import Staff
from room_bookings import payments
from room_bookings.eligibility import card_refusals, is_in_flight
from room_bookings.errors import endpoint_path, in_progress, not_eligible, refusal_details
from room_bookings.inventory import nights_held
from room_bookings.models import STRIPE, BookingAction, BookingStatus, PaymentState, RoomBooking
from room_bookings.services.checks import night_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.locks import lock_booking
from room_bookings.services.settlement import (
    APPROVAL,
    DECLINE,
    Outcome,
    join,
    join_refusals,
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
UNDECIDED = (BookingStatus.PENDING_APPROVAL, BookingStatus.PENDING_PAYMENT)
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
    if require(confirmation_refusals(locked, LockedFacts(locked.hotel))):
        write_confirmed(locked, BookingAction.CONFIRMED, staff)
    return locked


def confirmation_refusals(booking: RoomBooking, facts: Facts) -> Guard[bool]:
    """The refusals of ``confirm_booking``; returns whether there is anything to confirm."""
    if booking.status == BookingStatus.CONFIRMED:
        return False
    yield from card_refusals(booking)
    if booking.status != BookingStatus.PENDING_PAYMENT:
        yield from _open_refusals(booking, "confirmed")
    if booking.status in UNDECIDED:
        yield from night_refusals(booking, booking.room_type, nights_held(booking.hotel, booking), facts=facts)
    return True


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
            with dry_run.durable() if booking.payment_provider == STRIPE else transaction.atomic():
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
    # From here on the nights belong to this guest, even during the provider call (inventory.BEING_SOLD).
    if not require(approval_refusals(locked, LockedFacts(locked.hotel))):
        return None
    if is_in_flight(locked):
        return join(locked, APPROVAL)
    if locked.payment_state in NOTHING_TO_CAPTURE:
        write_confirmed(locked, BookingAction.APPROVED, staff)
        return None
    return record_request(locked, PaymentState.CAPTURING, staff)


def approval_refusals(booking: RoomBooking, facts: Facts) -> Guard[bool]:
    """The refusals of ``approve_booking`` but the provider's own; returns whether there is anything to approve."""
    if booking.status == BookingStatus.CONFIRMED:
        return False
    if is_in_flight(booking):
        # Already decided before the deadline, which is not checked again.
        yield from join_refusals(booking, APPROVAL)
        return True
    yield from _open_refusals(booking, "approved")
    if booking.status in UNDECIDED:
        if booking.payment_state not in NOTHING_TO_CAPTURE:
            yield from payments.configuration_refusals()
        yield from night_refusals(booking, booking.room_type, nights_held(booking.hotel, booking), facts=facts)
    return True


def _begin_decline(locked: RoomBooking, staff: Staff, code: str, note: str) -> PaymentState | None:
    if not require(decline_refusals(locked)):
        return None
    if is_in_flight(locked):
        return join(locked, DECLINE)
    captured = locked.payment_state == PaymentState.CAPTURED
    locked.decline_reason_code, locked.decline_reason_note = code, note
    if not locked.payment_state:
        write_declined(locked, staff)
        return None
    return record_request(locked, PaymentState.REFUNDING if captured else PaymentState.VOIDING, staff)


def decline_refusals(booking: RoomBooking) -> Guard[bool]:
    """The refusals of ``decline_booking`` but the provider's own; returns whether there is anything to decline."""
    if booking.status == BookingStatus.DECLINED:
        return False
    if is_in_flight(booking):
        yield from join_refusals(booking, DECLINE)
        return True
    if booking.status == BookingStatus.CONFIRMED and booking.payment_state != PaymentState.CAPTURED:
        yield CancelInstead(
            f"No card payment was taken for booking {booking.booking_id}: cancel it instead.",
            details=refusal_details(booking) | {"required_endpoint": endpoint_path(booking, "cancel")},
        )
    elif booking.status not in (BookingStatus.PENDING_APPROVAL, BookingStatus.CONFIRMED):
        yield not_eligible(booking, "declined")
    elif booking.payment_state:
        yield from payments.configuration_refusals()
    return True


def _open_refusals(booking: RoomBooking, what: str) -> Guard[None]:
    """Refused unless the booking is pending approval and its deadline has not passed."""
    deadline = booking.approval_deadline_at
    if booking.status == BookingStatus.EXPIRED or (
        booking.status == BookingStatus.PENDING_APPROVAL and deadline is not None and deadline < clock.now()
    ):
        yield BookingExpired(
            f"The approval deadline of booking {booking.booking_id} has passed.",
            details=refusal_details(booking) | {"approval_deadline_at": iso(deadline)},
        )
    elif booking.status != BookingStatus.PENDING_APPROVAL:
        yield not_eligible(booking, what)
