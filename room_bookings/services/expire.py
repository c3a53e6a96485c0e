"""Expiry of requests past their approval deadline, and removal of unfinished drafts."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet

from common import clock
from hotel.models import Hotel
from housekeeping.task_following import end_arrivals
from notifications.notification_manager import BookingUpdate, realtime_bookings_updated
from room_bookings.models import IN_FLIGHT_PAYMENTS, BookingAction, BookingStatus, PaymentState, RoomBooking
from room_bookings.selectors import booking_lock
from room_bookings.services.history import history_row, save_bookings, save_history

DRAFT_LIFETIME = timedelta(hours=24)  # for an unpaid draft
PAST_DEADLINE = "APPROVAL_DEADLINE_PASSED"


def late_requests(hotel: Hotel) -> QuerySet[RoomBooking]:
    """The hotel's requests whose approval deadline has passed.

    Requests whose payment is currently being captured or voided are left out: a decision on them is in progress.
    """
    return late_requests_anywhere().filter(hotel=hotel)


def late_requests_anywhere() -> QuerySet[RoomBooking]:
    """The ``late_requests`` of all hotels."""
    late = RoomBooking.objects.filter(status=BookingStatus.PENDING_APPROVAL, approval_deadline_at__lt=clock.now())
    return late.exclude(payment_state__in=IN_FLIGHT_PAYMENTS)


@transaction.atomic
def expire_approvals(hotel: Hotel, only: Sequence[int] | None = None) -> int:
    """Expire the hotel's ``late_requests``, or ``only`` these pks of them; returns how many.

    The payment sweep returns the guests' money.
    """
    now = clock.now()
    expired = [
        booking
        for booking in booking_lock(late_requests(hotel).values_list("pk", flat=True) if only is None else only)
        if booking.status == BookingStatus.PENDING_APPROVAL
        and booking.payment_state not in IN_FLIGHT_PAYMENTS
        and booking.approval_deadline_at is not None
        and booking.approval_deadline_at < now
    ]
    if not expired:
        return 0
    for booking in expired:
        booking.status, booking.expired_at = BookingStatus.EXPIRED, now
        booking.auto_expire_reason_code = PAST_DEADLINE
        _return_payment(booking)
    save_bookings(
        expired,
        *("status", "expired_at", "auto_expire_reason_code"),
        *("payment_state", "payment_requested_at", "payment_attempt"),
    )
    save_history(
        history_row(booking, BookingAction.EXPIRED, was=BookingStatus.PENDING_APPROVAL, staff=None)
        for booking in expired
    )
    end_arrivals(expired)
    realtime_bookings_updated([BookingUpdate(booking, "booking_expired") for booking in expired])
    return len(expired)


def stale_drafts(hotel: Hotel) -> QuerySet[RoomBooking]:
    """The hotel's unpaid drafts that are older than ``DRAFT_LIFETIME``."""
    return stale_drafts_anywhere().filter(hotel=hotel)


def stale_drafts_anywhere() -> QuerySet[RoomBooking]:
    """The ``stale_drafts`` of all hotels."""
    return RoomBooking.objects.filter(status=BookingStatus.PENDING_PAYMENT, created_at__lt=clock.now() - DRAFT_LIFETIME)


@transaction.atomic
def drop_drafts(hotel: Hotel, only: Sequence[int] | None = None) -> int:
    """Drop the hotel's ``stale_drafts``, or ``only`` these pks of them; returns how many."""
    dropped = [
        booking
        for booking in booking_lock(stale_drafts(hotel).values_list("pk", flat=True) if only is None else only)
        if booking.status == BookingStatus.PENDING_PAYMENT
    ]
    if not dropped:
        return 0
    for booking in dropped:
        booking.status = BookingStatus.CANCELLED_DRAFT
        _return_payment(booking)
    save_bookings(dropped, "status", "payment_state", "payment_requested_at", "payment_attempt")
    save_history(
        history_row(booking, BookingAction.DRAFT_DROPPED, was=BookingStatus.PENDING_PAYMENT, staff=None)
        for booking in dropped
    )
    end_arrivals(dropped)
    return len(dropped)


# The state that makes the sweep return a payment. Captured without approval: the provider's response came too late.
RETURN_STATES = {PaymentState.AUTHORISED: PaymentState.VOIDING, PaymentState.CAPTURED: PaymentState.REFUNDING}


def _return_payment(booking: RoomBooking) -> None:
    """Have the payment sweep return the guest's money; the caller saves."""
    if booking.payment_state in RETURN_STATES:
        booking.payment_state = RETURN_STATES[PaymentState(booking.payment_state)]
        booking.payment_requested_at = clock.now()
        booking.payment_attempt += 1
