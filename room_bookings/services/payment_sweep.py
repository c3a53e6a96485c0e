"""The payment sweep: the worker finishes card payments whose request was interrupted, with growing pauses.

A payment that can't be settled is retried for about a day and then parked. Parked payments show as an error in the log,
a gauge, an admin filter and a field of the booking's detail; staff can retry one here, or by approving or declining the
booking.
"""

import logging
from datetime import timedelta

from django.db import OperationalError, transaction
from django.db.models import Q

from common import clock
from common.database import is_unreachable
from common.errors import Conflict
from common.guards import Guard, require
from hotel.models import Staff
from notifications.notification_manager import realtime_booking_updated
from room_bookings import payments
from room_bookings.errors import refusal_details
from room_bookings.models import IN_FLIGHT_PAYMENTS, BookingAction, PaymentRetry, RoomBooking
from room_bookings.services.history import history_row, save_bookings, save_history
from room_bookings.services.locks import lock_booking
from room_bookings.services.settlement import Outcome, failures, forget_failures, settle_one

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=2), timedelta(hours=4)
# 2, 4, 8 … 128 minutes, then every four hours: about a day, after which staff have to intervene.
GIVE_UP_AFTER = 12


class PaymentNotParked(Conflict):
    """The sweep has not given up on the payment."""

    code = "PAYMENT_NOT_PARKED"


def settle_payments(older_than: timedelta = timedelta(minutes=2)) -> dict[str, int]:
    """Finish payment requests started more than ``older_than`` ago; any number of sweeps can run at once.

    Returns the number of bookings by outcome: ``payments_finished``, ``…_reverted`` (nothing had happened), ``…_retry``
    (to be requested again), ``…_unanswered``, ``…_superseded``, ``…_failed``, ``…_not_configured``, and how many were
    then ``…_parked``. Do not call within a transaction. Raises if the database is unavailable.
    """
    now = clock.now()
    waiting = RoomBooking.objects.filter(
        Q(payment_retry=None) | Q(payment_retry__next_try_at__lte=now),
        payment_state__in=IN_FLIGHT_PAYMENTS,
        payment_requested_at__lt=now - older_than,
    )
    outcomes = [*(outcome.name.lower() for outcome in Outcome), "unanswered", "failed", "not_configured", "parked"]
    counts = {f"payments_{outcome}": 0 for outcome in outcomes}
    if not payments.is_configured():
        return counts | {"payments_not_configured": waiting.count()}
    for booking in list(waiting.select_related("hotel", "payment_retry").order_by("payment_requested_at", "pk")):
        for outcome in _attempt(booking):
            counts[f"payments_{outcome}"] += 1
    return counts


def _attempt(booking: RoomBooking) -> list[str]:
    """Settle one payment, catching its errors so that the others still run; returns the outcomes."""
    try:
        outcome, error = _settled(booking)
        if error and _note_failure(booking, error):
            return [outcome, "parked"]
        return [outcome]
    except Exception as error:
        if is_unreachable(error):
            raise  # the others would fail too
        if isinstance(error, OperationalError):
            logger.warning("the payment of %s waits: %s", _name(booking), type(error).__name__)
        else:
            logger.exception("the payment of %s could not be settled: %s", _name(booking), type(error).__name__)
        return ["failed"]


def _settled(booking: RoomBooking) -> tuple[str, str]:
    """The outcome of one try, and the kind of failure if any. Raises if the database is unavailable or a row is locked:
    that does not count as a failure of the payment."""
    try:
        outcome = settle_one(booking)
    except (payments.Unclear, payments.UnderWay) as error:
        return "unanswered", type(error).__name__
    except Exception as error:  # a bug or unexpected data: counts as a failure, so that the retries end
        if is_unreachable(error) or isinstance(error, OperationalError):
            raise
        logger.exception("the payment of %s could not be settled: %s", _name(booking), type(error).__name__)
        return "failed", type(error).__name__
    return outcome.name.lower(), "Refused" if outcome is Outcome.RETRY else ""


@transaction.atomic
def _note_failure(tried: RoomBooking, error: str) -> bool:
    """Count a failed try; returns whether the payment is now parked.

    Does nothing if the payment was settled or requested again meanwhile, or if another sweep has counted this try.
    """
    locked = lock_booking(tried)
    if (locked.payment_state, _count(locked)) != (tried.payment_state, _count(tried)):
        return False
    count, moment = _count(locked) + 1, clock.now()
    parked = count >= GIVE_UP_AFTER
    PaymentRetry(
        booking=locked,
        failures=count,
        last_error=error[:100],
        next_try_at=None if parked else moment + min(FIRST_PAUSE * 2 ** (count - 1), LONGEST_PAUSE),
        parked_at=moment if parked else None,
    ).save()
    if parked:
        logger.error("the payment of %s is parked after %d tries: %s", _name(tried), count, error)
    return parked


def _count(booking: RoomBooking) -> int:
    retry = failures(booking)
    return retry.failures if retry else 0


def _name(booking: RoomBooking) -> str:
    return f"{booking.booking_id} of hotel {booking.hotel.slug}"


@transaction.atomic
def retry_payment(*, booking: RoomBooking, staff: Staff) -> RoomBooking:
    """Let the sweep retry a parked payment, with its failures reset.

    Raises PaymentNotParked. Returns the current booking.
    """
    locked = lock_booking(booking)
    require(retry_refusals(locked))
    forget_failures(locked)
    save_bookings([locked])
    save_history([history_row(locked, BookingAction.EDITED, was=locked.status, staff=staff, reason="payment_retry")])
    realtime_booking_updated(locked, "booking_updated")
    return locked


def retry_refusals(booking: RoomBooking) -> Guard[bool]:
    """The refusals of ``retry_payment``: there is always something to do otherwise."""
    retry = failures(booking)
    if retry is None or retry.parked_at is None:
        yield PaymentNotParked(
            f"No payment of booking {booking.booking_id} is parked.", details=refusal_details(booking)
        )
    return True
