"""Payments that cannot be settled: retried with growing delays, then parked until staff retry them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from common import clock
from common.formats import iso
from notifications.models import RealtimeEvent
from operations import invariants
from operations.periodic import tick
from room_bookings.models import BookingChange, BookingStatus, PaymentRetry, RoomBooking
from room_bookings.payments import Unclear
from room_bookings.selectors import booking_read
from room_bookings.services import payment_sweep
from room_bookings.services.approval import approve_booking, decline_booking
from room_bookings.services.payment_sweep import (
    FIRST_PAUSE,
    GIVE_UP_AFTER,
    LONGEST_PAUSE,
    retry_payment,
    settle_payments,
)
from room_bookings.snapshots import booking_detail
from tests.factories import HotelFactory, StaffFactory
from tests.races import Writer
from tests.room_bookings.test_approval import card, long_ago, refused, stored, sweep, unchanged

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def lapsed(stripe, hotel) -> RoomBooking:
    """An expired request whose payment the worker is to void."""
    return card(
        stripe,
        hotel,
        "VOIDING",
        status=BookingStatus.EXPIRED,
        expired_at=clock.now(),
        payment_requested_at=clock.now() - 5 * MINUTE,
    )


def hang_up(stripe, bookings: int = 1) -> None:
    """Make the next call for each fail to reach Stripe, and the look-up after it too."""
    for action in ("cancel", "capture", "refund"):
        stripe.fail(action, "lost before", 3 * bookings)
    stripe.fail("look up", "lost before", 2 * bookings)


@contextmanager
def later(span: timedelta) -> Iterator[datetime]:
    with clock.set_to(clock.now() + span) as moment:
        yield moment


def retry_of(booking: RoomBooking) -> PaymentRetry | None:
    return PaymentRetry.objects.filter(booking=booking).first()


def parked(booking: RoomBooking) -> RoomBooking:
    """A booking whose payment the sweep has parked."""
    PaymentRetry.objects.create(
        booking=booking, failures=GIVE_UP_AFTER, last_error="Unclear", parked_at=clock.now() - MINUTE
    )
    return booking


def test_sweep_is_a_separate_job_and_part_of_the_tick_command(stripe, lapsed, capsys):
    """A Stripe call that hangs in the sweep delays no deadline: the periodic work makes no Stripe calls."""
    assert not any(name.startswith("payments") for name in tick())
    assert stripe.calls == []
    call_command("tick")
    assert "payments settled: 1\n" in capsys.readouterr().out
    assert stored(lapsed) == ("EXPIRED", "VOIDED")


# --- delays and parking -----------------------------------------------------------------------------------------------


def test_delays_grow_until_the_payment_is_parked(stripe, lapsed, caplog):
    """About a day of retries with growing delays; then one logged error, and no more calls."""
    began = moment = clock.now()
    tries = []
    while moment:
        tries.append(moment)
        with clock.set_to(moment - timedelta.resolution):
            assert len(tries) == 1 or sweep() is None
        hang_up(stripe)
        with clock.set_to(moment):
            sweep(unanswered=1, **({"parked": 1} if len(tries) == GIVE_UP_AFTER else {}))
        moment = retry_of(lapsed).next_try_at
    pauses = [second - first for first, second in pairwise(tries)]
    assert pauses == [min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) for number in range(GIVE_UP_AFTER - 1)]
    assert timedelta(hours=12) < tries[-1] - began < timedelta(hours=36)
    with clock.set_to(tries[-1] + timedelta(days=30)):
        sweep()
    retry = retry_of(lapsed)
    assert (retry.failures, retry.last_error, retry.next_try_at, retry.parked_at) == (
        *(GIVE_UP_AFTER, "Unclear", None, tries[-1]),
    )
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [
        f"the payment of {lapsed.booking_id} of hotel {lapsed.hotel.slug} is parked after 12 tries: Unclear"
    ]
    assert stored(lapsed) == ("EXPIRED", "VOIDING")


@pytest.mark.parametrize("fault", ["refuse", "error"])
def test_refusal_by_stripe_counts_as_a_failure(stripe, lapsed, fault):
    """A refusal is retried and parked like any other failure, not logged forever."""
    moment = clock.now()
    for number in range(1, GIVE_UP_AFTER + 1):
        stripe.fail("cancel", fault)
        with clock.set_to(moment):
            sweep(retry=1, **({"parked": 1} if number == GIVE_UP_AFTER else {}))
        moment += LONGEST_PAUSE
    with clock.set_to(moment + 10 * LONGEST_PAUSE):
        sweep()
    assert retry_of(lapsed).last_error == "Refused"


def test_unexpected_error_is_parked_too(stripe, caplog):
    """No event can be built in a hotel with an invalid timezone; the payments of other hotels are not delayed."""
    odd = HotelFactory(timezone="Mars/Olympus")
    booking = card(stripe, odd, "CAPTURING", **long_ago(StaffFactory(hotel=odd)))
    stripe.intents[booking.payment_reference].status = "succeeded"
    sweep(failed=1)
    assert retry_of(booking).last_error == "ZoneInfoNotFoundError"
    PaymentRetry.objects.update(failures=GIVE_UP_AFTER - 1)
    with later(5 * MINUTE):
        sweep(failed=1, parked=1)
    assert "Lovelace" not in caplog.text


def test_failing_payment_delays_no_other(stripe, hotel, lapsed, manager):
    hang_up(stripe)
    sweep(unanswered=1)
    stripe.faults.clear()
    other = card(stripe, hotel, "CAPTURING", **long_ago(manager))
    sweep(reverted=1)
    assert stored(other) == ("PENDING_APPROVAL", "AUTHORISED")
    assert retry_of(other) is None


def test_success_deletes_the_retry(stripe, lapsed):
    hang_up(stripe)
    sweep(unanswered=1)
    assert retry_of(lapsed).failures == 1
    stripe.faults.clear()
    with later(3 * MINUTE):
        sweep(finished=1)
    assert retry_of(lapsed) is None
    assert stored(lapsed) == ("EXPIRED", "VOIDED")


def test_refund_instead_of_a_void_starts_a_new_count(stripe, lapsed):
    """The void finds a capture that was thought lost: the refund gets all its retries."""
    hang_up(stripe)
    sweep(unanswered=1)
    PaymentRetry.objects.update(failures=GIVE_UP_AFTER - 1)
    stripe.faults.clear()
    stripe.intents[lapsed.payment_reference].status = "succeeded"
    with later(3 * MINUTE):
        sweep(retry=1)
        assert retry_of(lapsed) is None
        assert stored(lapsed) == ("EXPIRED", "REFUNDING")


def test_failure_is_not_counted_if_settled_or_counted_concurrently(stripe, hotel, manager, monkeypatch):
    """Meanwhile an approval has settled the payment, or another sweep has counted this failure."""
    booking = card(stripe, hotel, "CAPTURING", **long_ago(manager))

    def settled_meanwhile(_booking) -> None:
        RoomBooking.objects.filter(pk=booking.pk).update(payment_state="AUTHORISED", payment_requested_at=None)
        raise Unclear

    def counted_meanwhile(_booking) -> None:
        PaymentRetry.objects.create(
            booking=booking, failures=1, last_error="Unclear", next_try_at=clock.now() + FIRST_PAUSE
        )
        raise Unclear

    monkeypatch.setattr(payment_sweep, "settle_one", counted_meanwhile)
    sweep(unanswered=1)
    assert retry_of(booking).failures == 1
    PaymentRetry.objects.all().delete()
    monkeypatch.setattr(payment_sweep, "settle_one", settled_meanwhile)
    sweep(unanswered=1)
    assert retry_of(booking) is None


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_sweeps_count_a_failure_once(stripe, lapsed):
    hang_up(stripe, 2)
    stripe.on_loss = lambda call: stripe.wait_for("cancel", 2) if call.action == "cancel" else None
    writers = [Writer(settle_payments) for _ in range(2)]
    for writer in writers:
        writer.start()
    assert [writer.outcome()["payments_unanswered"] for writer in writers] == [1, 1]
    assert retry_of(lapsed).failures == 1


def test_failure_is_counted_under_the_lock(stripe, lapsed, statements):
    hang_up(stripe)
    with statements() as made:
        sweep(unanswered=1)
    [lock] = [place for place, sql in enumerate(made.sql()) if "FOR NO KEY UPDATE" in sql]
    [write] = [place for place, sql in enumerate(made.sql()) if sql.startswith("INSERT")]
    assert lock < write


# --- parked -----------------------------------------------------------------------------------------------------------


def test_parked_payment_is_in_the_detail(stripe, lapsed):
    assert booking_detail(booking_read(lapsed.pk))["payment_parked_at"] is None
    parked(lapsed)
    assert booking_detail(booking_read(lapsed.pk))["payment_parked_at"] == iso(retry_of(lapsed).parked_at)


def test_staff_can_retry_a_parked_payment(stripe, lapsed, agent):
    """For an expired request this is the only action left; it is published and recorded in the history."""
    parked(lapsed)
    with later(MINUTE):
        sweep()
        again = retry_payment(booking=lapsed, staff=agent)
        assert (again.status, again.version, retry_of(lapsed)) == ("EXPIRED", lapsed.version + 1, None)
        [change] = BookingChange.objects.filter(booking=lapsed)
        assert (change.action, change.staff, change.reason) == ("EDITED", agent, "payment_retry")
        assert [event.type for event in RealtimeEvent.objects.all()] == ["booking_updated"]
        assert booking_detail(again)["payment_parked_at"] is None
        hang_up(stripe)
        sweep(unanswered=1)  # the first failure of a new count
        assert retry_of(lapsed).failures == 1
    with later(5 * MINUTE):
        sweep(finished=1)
    assert stripe.moved(lapsed.payment_reference) == {"voided": 1}


def test_only_a_parked_payment_can_be_retried(stripe, hotel, lapsed, agent):
    hang_up(stripe)
    sweep(unanswered=1)
    for booking in (lapsed, card(stripe, hotel)):  # retried automatically; nothing in flight
        with unchanged(booking):
            refused(partial(retry_payment, booking=booking, staff=agent), 409, "PAYMENT_NOT_PARKED")


@pytest.mark.parametrize(
    ("state", "decide", "end", "moved"),
    [
        ("CAPTURING", approve_booking, ("CONFIRMED", "CAPTURED"), {"captured": 1}),
        ("CAPTURING", decline_booking, ("DECLINED", "VOIDED"), {"voided": 1}),
        ("VOIDING", decline_booking, ("DECLINED", "VOIDED"), {"voided": 1}),
        ("VOIDING", approve_booking, ("CONFIRMED", "CAPTURED"), {"captured": 1}),
    ],
)
def test_staff_can_decide_on_a_parked_payment(stripe, hotel, agent, manager, state, decide, end, moved):
    booking = parked(card(stripe, hotel, state, **long_ago(manager)))
    decided = decide(booking=booking, staff=agent)
    assert (decided.status, decided.payment_state) == end == stored(booking)
    assert stripe.moved(booking.payment_reference) == moved
    assert retry_of(booking) is None
    assert invariants.violations() == []


def test_failed_staff_retry_leaves_it_to_the_sweep(stripe, hotel, agent, manager):
    booking = parked(card(stripe, hotel, "CAPTURING", **long_ago(manager)))
    hang_up(stripe)
    refused(lambda: approve_booking(booking=booking, staff=agent), 502, "PAYMENT_CAPTURE_FAILED")
    assert retry_of(booking) is None
    with later(5 * MINUTE):
        sweep(reverted=1)


def test_opposite_decision_too_early_changes_nothing(stripe, hotel, agent):
    booking = parked(card(stripe, hotel, "CAPTURING"))
    refused(lambda: decline_booking(booking=booking, staff=agent), 409, "PAYMENT_IN_PROGRESS")
    assert retry_of(booking).parked_at is not None


# --- the database -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"failures": 0, "next_try_at": clock.now()}, "payment_retry_has_failed"),
        ({"failures": 1}, "payment_retry_due_or_parked"),
        ({"failures": 1, "next_try_at": clock.now(), "parked_at": clock.now()}, "payment_retry_due_or_parked"),
    ],
)
def test_retry_has_failures_and_is_either_due_or_parked(stripe, lapsed, fields, rule):
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        PaymentRetry.objects.create(booking=lapsed, last_error="Unclear", **fields)
    assert refusal.value.__cause__.diag.constraint_name == rule


def test_retry_without_a_payment_in_flight_is_a_violation(stripe, hotel):
    booking = parked(card(stripe, hotel))
    [violation] = invariants.violations()
    assert (violation.rule, violation.subject) == ("payments", booking.booking_id)
    assert "AUTHORISED" in violation.detail
