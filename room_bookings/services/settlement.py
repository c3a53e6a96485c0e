"""Records approvals and declines, and the payment requests that they need.

The provider is never called while a row is locked. First the request is recorded and committed (an …ING state), then
the provider is called, then its response is recorded together with the decision. A second caller or the sweep that
finds an …ING state finishes the request: docs/decisions/0007-payments.md.
"""

import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from enum import Enum, auto
from typing import Any, NamedTuple

from common import clock, dry_run
from common.errors import Conflict, HotelMateError
from common.guards import Guard
from common.money import money
from hotel.models import Staff
from housekeeping.task_following import end_arrivals
from notifications.mail import queue_booking_mail
from notifications.models import MailKind
from notifications.notification_manager import realtime_booking_updated
from room_bookings import payments
from room_bookings.errors import booking_status_label, in_progress, refusal_details
from room_bookings.models import BookingAction, BookingStatus, PaymentRetry, PaymentState, RoomBooking
from room_bookings.payments import Standing
from room_bookings.services.create import new_confirmation_number
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking
from room_bookings.services.room_assignment import ASSIGNMENT, release_room

logger = logging.getLogger(__name__)

# For this long the first request may still be running; after that, a caller that wants the opposite looks up the
# payment at the provider.
FRESH = timedelta(seconds=60)


class AuthorisationExpired(Conflict):
    """The authorisation has expired, or was voided or refunded: nothing can be captured."""

    code = "AUTHORIZATION_EXPIRED"


class CaptureFailed(HotelMateError):
    """The provider did not capture the payment, or could not be reached."""

    status = 502
    code = "PAYMENT_CAPTURE_FAILED"


class VoidFailed(HotelMateError):
    """The provider did not void the authorisation, or could not be reached."""

    status = 502
    code = "PAYMENT_VOID_FAILED"


class RefundFailed(HotelMateError):
    """The provider did not refund the payment, or could not be reached."""

    status = 502
    code = "PAYMENT_REFUND_FAILED"


class Request(NamedTuple):
    """A kind of request to the provider."""

    word: str
    send: Callable[[str, str], Standing]
    refusal: type[HotelMateError]
    failed: str  # for the error message
    back_to: PaymentState
    done: Standing


REQUESTS = {
    PaymentState.CAPTURING: Request(
        "capture",
        payments.capture,
        CaptureFailed,
        "the payment was not captured",
        PaymentState.AUTHORISED,
        Standing.CAPTURED,
    ),
    PaymentState.VOIDING: Request(
        "void",
        payments.void,
        VoidFailed,
        "the authorisation was not voided",
        PaymentState.AUTHORISED,
        Standing.VOIDED,
    ),
    PaymentState.REFUNDING: Request(
        "refund",
        payments.refund,
        RefundFailed,
        "the payment was not refunded",
        PaymentState.CAPTURED,
        Standing.REFUNDED,
    ),
}
# No caller is waiting for these any more, but the guest's money must be returned: requested until it is done.
ABANDONED = (BookingStatus.EXPIRED, BookingStatus.CANCELLED_DRAFT)
APPROVAL = (PaymentState.CAPTURING,)
DECLINE = (PaymentState.VOIDING, PaymentState.REFUNDING)
PAYMENT = ("payment_state", "payment_attempt", "payment_requested_at", "payment_requested_by", "paid_at")
REASON = ("decline_reason_code", "decline_reason_note")


# --- decisions --------------------------------------------------------------------------------------------------------


def write_confirmed(locked: RoomBooking, action: BookingAction, staff: Staff | None) -> None:
    """Confirm a locked booking, with history, events and e-mail; an approval also marks it as seen."""
    was = locked.status
    locked.status = BookingStatus.CONFIRMED
    locked.confirmation_number = locked.confirmation_number or new_confirmation_number()
    written = _decided(locked, staff, seen=action == BookingAction.APPROVED)
    save_bookings([locked], "status", "confirmation_number", *written, *PAYMENT)
    save_history([history_row(locked, action, was=was, staff=staff)])
    realtime_booking_updated(locked, "booking_confirmed", guest_type="booking_confirmed")
    queue_booking_mail(locked, MailKind.CONFIRMATION)


def write_declined(locked: RoomBooking, staff: Staff | None) -> None:
    """Decline a locked booking, which already has the reason: releases its room and notifies staff and the guest."""
    was, room = locked.status, locked.assigned_room
    locked.status = BookingStatus.DECLINED
    release_room(locked)
    written = _decided(locked, staff, seen=True)
    save_bookings([locked], "status", *REASON, *ASSIGNMENT, *written, *PAYMENT)
    code, note = locked.decline_reason_code, locked.decline_reason_note
    reason = ": ".join(part for part in (code, note) if part)
    save_history([history_row(locked, BookingAction.DECLINED, was=was, staff=staff, reason=reason, from_room=room)])
    end_arrivals([locked])
    realtime_booking_updated(locked, "booking_updated", guest_type="booking_declined", reason=note)
    queue_booking_mail(locked, MailKind.DECLINE)


def _decided(locked: RoomBooking, staff: Staff | None, *, seen: bool) -> list[str]:
    """Set who decided and when and, if ``seen``, who has seen it; returns the fields to save."""
    moment = clock.now()
    locked.decision_at, locked.decided_by = moment, staff
    if not seen or locked.staff_seen_at is not None:
        return ["decision_at", "decided_by"]
    locked.staff_seen_at, locked.staff_seen_by = moment, staff
    return ["decision_at", "decided_by", "staff_seen_at", "staff_seen_by"]


# --- the payment ------------------------------------------------------------------------------------------------------


class Outcome(Enum):
    """The result of recording a provider's response."""

    FINISHED = auto()
    REVERTED = auto()  # it did not happen: the payment is back in its previous state
    RETRY = auto()  # the same or another request has to be sent again
    SUPERSEDED = auto()  # another caller has recorded a response since


def join(locked: RoomBooking, wanted: Collection[PaymentState]) -> PaymentState:
    """Continue another caller's request, which ``join_refusals`` allow: one in ``wanted``, or older than ``FRESH``."""
    under_way = PaymentState(locked.payment_state)
    if under_way in wanted:
        forget_failures(locked)
        locked.payment_requested_at = clock.now()
        locked.save(update_fields=["payment_requested_at"])
    return under_way


def join_refusals(booking: RoomBooking, wanted: Collection[PaymentState]) -> Guard[None]:
    """The refusals of ``join``; the provider is not called."""
    yield from payments.configuration_refusals()
    since = booking.payment_requested_at
    if booking.payment_state not in wanted and since is not None and since > clock.now() - FRESH:
        yield in_progress(booking)


def failures(booking: RoomBooking) -> PaymentRetry | None:
    """The sweep's failures for a booking from ``booking_list`` or ``booking_lock``, parked or not."""
    return getattr(booking, "payment_retry", None)


def forget_failures(locked: RoomBooking) -> None:
    """Reset the sweep's failures, as the payment is settled or staff want it retried."""
    if failures(locked) is not None:
        PaymentRetry.objects.filter(booking=locked).delete()
        locked.payment_retry = None


def record_request(locked: RoomBooking, request: PaymentState, staff: Staff | None) -> PaymentState:
    """Record the request about to be sent to the provider. Clients do not see it, so the version stays the same."""
    locked.payment_state = request
    # A new number, hence a new idempotency key: with the old key the provider would repeat its old response, even an
    # error.
    locked.payment_attempt += 1
    locked.payment_requested_at, locked.payment_requested_by = clock.now(), staff
    locked.save(update_fields=[*PAYMENT, *REASON])
    return request


def send_or_look_up(booking: RoomBooking, wanted: Collection[PaymentState]) -> Standing:
    """Send the current request to the provider if it is in ``wanted``; otherwise only look up the payment.

    If the provider can't be reached, the state stays unchanged, for a retry or the sweep. A dry run assumes that the
    request under way succeeds, or has succeeded.
    """
    under_way = PaymentState(booking.payment_state)
    if dry_run.is_on():
        dry_run.note_payment(
            booking_id=booking.booking_id,
            request=REQUESTS[under_way].word if under_way in wanted else "look_up",
            amount=money(booking.total_amount, booking.currency),
            currency=booking.currency,
        )
        return REQUESTS[under_way].done
    try:
        return _send(booking) if under_way in wanted else payments.look_up(booking.payment_reference)
    except payments.UnderWay as busy:
        raise in_progress(booking) from busy
    except payments.Unclear as unclear:
        request = REQUESTS[under_way if under_way in wanted else next(iter(wanted))]
        raise request.refusal(
            f"The payment provider could not be reached for booking {booking.booking_id}. Try again in a moment.",
            details=refusal_details(booking),
        ) from unclear


def _send(booking: RoomBooking) -> Standing:
    request = REQUESTS[PaymentState(booking.payment_state)]
    # One key per attempt, so that it happens once. Not built from our booking reference, as other installations may
    # share the Stripe account.
    key = f"{booking.payment_reference}-{request.word}-{booking.payment_attempt}"
    return request.send(booking.payment_reference, key)


@dry_run.durable()
def settle(asked: RoomBooking, standing: Standing) -> tuple[RoomBooking, Outcome]:
    """Record the provider's response to the request of ``asked``, together with the decision that depended on it."""
    locked = lock_booking(asked)
    if (locked.payment_state, locked.payment_attempt) != (asked.payment_state, asked.payment_attempt):
        return locked, Outcome.SUPERSEDED
    under_way, staff = PaymentState(locked.payment_state), locked.payment_requested_by
    if under_way == PaymentState.CAPTURING and standing == Standing.CAPTURED:
        _end(locked, PaymentState.CAPTURED)
        write_confirmed(locked, BookingAction.APPROVED, staff)
        return locked, Outcome.FINISHED
    if under_way != PaymentState.CAPTURING and standing in (Standing.VOIDED, Standing.EXPIRED, Standing.REFUNDED):
        refunded = under_way == PaymentState.REFUNDING or standing == Standing.REFUNDED
        _end(locked, PaymentState.REFUNDED if refunded else PaymentState.VOIDED)
        if locked.status in (BookingStatus.PENDING_APPROVAL, BookingStatus.CONFIRMED):
            write_declined(locked, staff)
        else:
            locked.save(update_fields=PAYMENT)
        return locked, Outcome.FINISHED
    if under_way == PaymentState.VOIDING and standing == Standing.CAPTURED:
        # A capture that was thought lost did happen: refund it.
        locked.payment_state, locked.paid_at = PaymentState.REFUNDING, clock.now()
        forget_failures(locked)
    elif locked.status not in ABANDONED:
        _end(locked, REQUESTS[under_way].back_to)
        locked.decline_reason_code = locked.decline_reason_note = ""
        locked.save(update_fields=[*PAYMENT, *REASON])
        return locked, Outcome.REVERTED
    locked.payment_attempt += 1
    locked.payment_requested_at = clock.now()
    locked.save(update_fields=PAYMENT)
    return locked, Outcome.RETRY


def _end(locked: RoomBooking, payment_state: PaymentState) -> None:
    """Set the final state, with no request in progress; the caller saves ``PAYMENT``."""
    forget_failures(locked)
    locked.payment_state = payment_state
    locked.payment_requested_at = locked.payment_requested_by = None
    if payment_state == PaymentState.CAPTURED and locked.paid_at is None:
        locked.paid_at = clock.now()


def settle_one(booking: RoomBooking) -> Outcome:
    """Settle one payment: send the request if no caller will, otherwise look up the payment."""
    standing = _send(booking) if booking.status in ABANDONED else payments.look_up(booking.payment_reference)
    _, outcome = settle(booking, standing)
    logger.log(
        logging.WARNING if outcome is Outcome.RETRY else logging.INFO,
        "%s of %s: %s, %s",
        REQUESTS[PaymentState(booking.payment_state)].word,
        booking.booking_id,
        standing.lower(),
        outcome.name.lower(),
    )
    return outcome


def refusal(booking: RoomBooking, under_way: PaymentState, standing: Standing) -> HotelMateError:
    """The error for a request that the provider did not carry out."""
    request = REQUESTS[under_way]
    details: dict[str, Any] = refusal_details(booking) | {"payment": standing.lower()}
    if standing == Standing.EXPIRED:
        message = f"The card authorisation of booking {booking.booking_id} has expired: nothing can be captured."
        return AuthorisationExpired(message, details=details)
    if standing in (Standing.VOIDED, Standing.REFUNDED):
        message = (
            f"The card payment of booking {booking.booking_id} has already been voided or refunded: nothing can be "
            "captured."
        )
        return AuthorisationExpired(message, details=details)
    still = f"Booking {booking.booking_id} is still {booking_status_label(booking)}."
    return request.refusal(f"The payment provider refused: {request.failed}. {still}", details=details)
