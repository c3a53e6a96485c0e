"""Confirm, approve and decline, with and without a card payment: each decision and each charge happens once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from common import clock
from common.errors import HotelMateError
from hotel import calendar
from hotel.models import Hotel, Staff
from notifications.mail import SUBJECTS
from notifications.models import BookingMail, MailKind, RealtimeEvent
from room_bookings.errors import PaymentInProgress
from room_bookings.models import BookingChange, BookingStatus, PaymentState, RoomBooking
from room_bookings.payments import Standing, provider_slot
from room_bookings.services.approval import approve_booking, confirm_booking, decline_booking
from room_bookings.services.check_in import check_in, check_in_rooms
from room_bookings.services.expire import expire_approvals
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.payment_sweep import settle_payments
from room_bookings.services.settlement import Outcome, settle
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, StaffFactory
from tests.races import Writer, locks_removed, overlap
from tests.room_bookings.small_hotel import queued_mails
from tools.harness.stripe_server import StripeServer

pytestmark = pytest.mark.django_db

references = count(1)
LATER = timedelta(minutes=5)


def waiting(hotel, **fields) -> RoomBooking:
    """A booking that awaits approval, without a card payment."""
    defaults = {
        "status": BookingStatus.PENDING_APPROVAL,
        "approval_deadline_at": clock.now() + timedelta(hours=4),
        "primary_email": "ada@example.com",
    }
    if "room_type" not in fields:
        defaults["room_type"] = NewRoomFactory(hotel=hotel).room_type
    return BookingFactory(hotel=hotel, **{**defaults, **fields})


def card(stripe: StripeServer | None, hotel, payment_state=PaymentState.AUTHORISED, **fields) -> RoomBooking:
    """A request with a card payment, authorised at the fake Stripe."""
    reference = f"pi_{next(references)}"
    if stripe:
        stripe.authorise(reference)
    in_flight = payment_state in ("CAPTURING", "VOIDING", "REFUNDING")
    defaults = {
        "payment_provider": "stripe",
        "payment_reference": reference,
        "payment_state": payment_state,
        "payment_attempt": int(in_flight),
        "payment_requested_at": clock.now() if in_flight else None,
        "paid_at": clock.now() if payment_state in ("CAPTURED", "REFUNDING") else None,
    }
    return waiting(hotel, **{**defaults, **fields})


def captured(stripe: StripeServer, hotel, **fields) -> RoomBooking:
    """A confirmed booking whose card payment was captured."""
    booking = card(stripe, hotel, PaymentState.CAPTURED, status=BookingStatus.CONFIRMED, **fields)
    stripe.intents[booking.payment_reference].status = "succeeded"
    return booking


def trace(booking: RoomBooking, *, without: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """Everything that a decision writes: the row, history, events and mails."""
    row = RoomBooking.objects.filter(pk=booking.pk).values().get()
    return (
        {name: value for name, value in row.items() if name not in without},
        list(BookingChange.objects.filter(booking=booking).order_by("pk").values()),
        list(RealtimeEvent.objects.order_by("pk").values_list("event_id", flat=True)),
        list(BookingMail.objects.order_by("pk").values_list("pk", flat=True)),
    )


@contextmanager
def unchanged(booking: RoomBooking) -> Iterator[None]:
    """Assert that the block changes nothing but the internal number of the payment attempt."""
    before = trace(booking, without=("payment_attempt",))
    yield
    assert trace(booking, without=("payment_attempt",)) == before


def published_pairs() -> list[tuple[str, str]]:
    """The published events as (stream, type), in order."""
    return list(RealtimeEvent.objects.order_by("pk").values_list("stream", "type"))


def history(booking: RoomBooking) -> list[tuple[str, str, str]]:
    rows = BookingChange.objects.filter(booking=booking).order_by("pk")
    return list(rows.values_list("action", "from_status", "to_status"))


def mails() -> list[str]:
    """The queued and sent mails, including those superseded by newer ones."""
    queued = BookingMail.objects.select_related("booking").order_by("pk")
    return [SUBJECTS[MailKind(mail.kind)].format(mail.booking.booking_id) for mail in queued]


def refused(work: Callable[[], Any], status: int, code: str) -> HotelMateError:
    """``work`` is refused that way; returns the refusal."""
    with pytest.raises(HotelMateError) as refusal:
        work()
    assert (refusal.value.status, refusal.value.code) == (status, code)
    return refusal.value


def stored(booking: RoomBooking) -> tuple[str, str]:
    row = RoomBooking.objects.get(pk=booking.pk)
    return row.status, row.payment_state


CONFIRMED_EVENTS = [("room-bookings", "booking_confirmed"), ("guest-bookings", "booking_confirmed")]
DECLINED_EVENTS = [("room-bookings", "booking_updated"), ("guest-bookings", "booking_declined")]


# --- confirm ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [BookingStatus.PENDING_APPROVAL, BookingStatus.PENDING_PAYMENT])
def test_confirm_records_publishes_and_mails(hotel, agent, status):
    booking = waiting(hotel, status=status)
    confirmed = confirm_booking(booking=booking, staff=agent)
    assert (confirmed.status, confirmed.decided_by, confirmed.version) == ("CONFIRMED", agent, booking.version + 1)
    assert confirmed.decision_at is not None
    assert len(confirmed.confirmation_number) == 8
    assert confirmed.staff_seen_at is None
    assert history(booking) == [("CONFIRMED", status, "CONFIRMED")]
    assert published_pairs() == CONFIRMED_EVENTS
    assert mails() == [f"Your booking {booking.booking_id} is confirmed"]
    with unchanged(booking):
        assert confirm_booking(booking=booking, staff=agent).status == "CONFIRMED"


def test_confirming_a_card_booking_points_to_approve_and_decline(hotel, agent):
    booking = card(None, hotel)
    with unchanged(booking):
        refusal = refused(lambda: confirm_booking(booking=booking, staff=agent), 403, "STRIPE_BOOKING")
    assert set(refusal.details["required_endpoints"]) == {"approve", "decline"}
    # Stripe is queried first, so there is nothing to do.
    done = card(None, hotel, PaymentState.CAPTURED, status=BookingStatus.CONFIRMED)
    assert confirm_booking(booking=done, staff=agent).status == "CONFIRMED"


# --- without a card ---------------------------------------------------------------------------------------------------


def test_approve_without_a_card_does_not_call_stripe(hotel, agent):
    booking = waiting(hotel, confirmation_number="KEPT1234")
    approved = approve_booking(booking=booking, staff=agent)
    assert (approved.status, approved.decided_by, approved.staff_seen_by) == ("CONFIRMED", agent, agent)
    assert approved.staff_seen_at == approved.decision_at
    assert (approved.confirmation_number, approved.paid_at, approved.payment_state) == ("KEPT1234", None, "")
    assert history(booking) == [("APPROVED", "PENDING_APPROVAL", "CONFIRMED")]
    assert published_pairs() == CONFIRMED_EVENTS
    assert mails() == [f"Your booking {booking.booking_id} is confirmed"]
    with unchanged(booking):
        assert approve_booking(booking=booking, staff=agent).status == "CONFIRMED"


def test_approval_keeps_the_first_viewer(hotel, agent, manager):
    seen_at = clock.now() - timedelta(hours=1)
    for decide in (approve_booking, decline_booking):
        booking = waiting(hotel, staff_seen_at=seen_at, staff_seen_by=manager)
        decided = decide(booking=booking, staff=agent)
        assert (decided.staff_seen_at, decided.staff_seen_by_id) == (seen_at, manager.pk)


def test_decline_without_a_card(hotel, agent):
    booking = waiting(hotel)
    declined = decline_booking(booking=booking, staff=agent, reason_code="FULL", reason_note="A wedding party.")
    assert (declined.status, declined.decided_by, declined.staff_seen_by) == ("DECLINED", agent, agent)
    assert (declined.decline_reason_code, declined.decline_reason_note) == ("FULL", "A wedding party.")
    assert history(booking) == [("DECLINED", "PENDING_APPROVAL", "DECLINED")]
    assert BookingChange.objects.get(booking=booking).reason == "FULL: A wedding party."
    assert published_pairs() == DECLINED_EVENTS
    assert RealtimeEvent.objects.get(type="booking_declined").envelope["payload"]["reason"] == "A wedding party."
    assert mails() == [f"Your booking {booking.booking_id} was declined"]
    assert "A wedding party." in queued_mails()[0].body
    with unchanged(booking):
        assert decline_booking(booking=booking, staff=agent, reason_note="again").status == "DECLINED"


def test_decline_past_the_deadline(hotel, agent):
    booking = waiting(hotel, approval_deadline_at=clock.now() - timedelta(minutes=1))
    assert decline_booking(booking=booking, staff=agent).status == "DECLINED"


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decide", [confirm_booking, approve_booking])
def test_decisions_past_the_deadline_are_refused(hotel, agent, decide):
    late = waiting(hotel, approval_deadline_at=clock.now() - timedelta(seconds=1))
    expired = waiting(hotel, status=BookingStatus.EXPIRED, expired_at=clock.now())
    for booking in (late, expired):
        with unchanged(booking):
            refused(partial(decide, booking=booking, staff=agent), 409, "BOOKING_EXPIRED")


def test_a_card_is_not_charged_past_the_deadline(stripe, hotel, agent):
    late = card(stripe, hotel, approval_deadline_at=clock.now() - timedelta(seconds=1))
    with unchanged(late):
        refused(lambda: approve_booking(booking=late, staff=agent), 409, "BOOKING_EXPIRED")
    assert stripe.calls == []


FIELDS: dict[str, dict[str, Any]] = {
    "PENDING_PAYMENT": {},
    "CONFIRMED": {},
    "COMPLETED": {"checked_in_at": clock.now(), "checked_out_at": clock.now()},
    "DECLINED": {},
    "CANCELLED": {"cancelled_at": clock.now()},
    "CANCELLED_DRAFT": {},
    "EXPIRED": {"expired_at": clock.now()},
    "NO_SHOW": {},
    "IN_HOUSE": {"checked_in_at": clock.now()},
}


@pytest.mark.parametrize(
    ("decide", "statuses"),
    [
        (confirm_booking, "IN_HOUSE COMPLETED DECLINED CANCELLED CANCELLED_DRAFT NO_SHOW"),
        (approve_booking, "PENDING_PAYMENT IN_HOUSE COMPLETED DECLINED CANCELLED CANCELLED_DRAFT NO_SHOW"),
        (
            decline_booking,
            "PENDING_PAYMENT CONFIRMED IN_HOUSE COMPLETED CANCELLED CANCELLED_DRAFT EXPIRED NO_SHOW",
        ),
    ],
)
def test_other_statuses_cannot_be_decided_on(hotel, agent, decide, statuses):
    for status in statuses.split():
        room = NewRoomFactory(hotel=hotel) if status in ("IN_HOUSE", "COMPLETED") else None
        booking = waiting(hotel, status=status, assigned_room=room, **FIELDS[status])
        with unchanged(booking):
            refused(partial(decide, booking=booking, staff=agent), 409, "BOOKING_NOT_ELIGIBLE")


def test_a_confirmed_booking_without_a_card_payment_is_cancelled_instead(hotel, agent):
    booking = waiting(hotel, status=BookingStatus.CONFIRMED)
    refusal = refused(lambda: decline_booking(booking=booking, staff=agent), 409, "BOOKING_NOT_ELIGIBLE")
    assert refusal.details["required_endpoint"].endswith(f"/{booking.booking_id}/cancel/")
    assert "cancel it instead" in refusal.message


def test_without_a_key_a_card_booking_is_refused(hotel, agent):
    for booking in (card(None, hotel), card(None, hotel, PaymentState.CAPTURING)):
        with unchanged(booking):
            for decide in (approve_booking, decline_booking):
                refused(partial(decide, booking=booking, staff=agent), 503, "PAYMENTS_NOT_CONFIGURED")
    confirmed = card(None, hotel, PaymentState.CAPTURED, status=BookingStatus.CONFIRMED)
    refused(lambda: decline_booking(booking=confirmed, staff=agent), 503, "PAYMENTS_NOT_CONFIGURED")
    assert approve_booking(booking=confirmed, staff=agent).status == "CONFIRMED"  # Stripe must not be called


# --- with a card ------------------------------------------------------------------------------------------------------


def test_approve_captures_once(stripe, hotel, agent):
    booking = card(stripe, hotel)
    approved = approve_booking(booking=booking, staff=agent)
    assert (approved.status, approved.payment_state, approved.payment_attempt) == ("CONFIRMED", "CAPTURED", 1)
    assert (approved.decided_by, approved.staff_seen_by) == (agent, agent)
    assert approved.paid_at is not None
    assert approved.payment_requested_at is approved.payment_requested_by is None
    assert approved.version == booking.version + 1
    assert history(booking) == [("APPROVED", "PENDING_APPROVAL", "CONFIRMED")]
    assert published_pairs() == CONFIRMED_EVENTS
    assert mails() == [f"Your booking {booking.booking_id} is confirmed"]
    with unchanged(booking):
        assert approve_booking(booking=booking, staff=agent).status == "CONFIRMED"
    assert [(call.action, call.key) for call in stripe.calls] == [("capture", f"{booking.payment_reference}-capture-1")]
    assert stripe.moved(booking.payment_reference) == {"captured": 1}


def test_decline_voids_the_authorisation(stripe, hotel, agent):
    booking = card(stripe, hotel)
    declined = decline_booking(booking=booking, staff=agent, reason_code="FULL", reason_note="Sorry.")
    assert (declined.status, declined.payment_state, declined.paid_at) == ("DECLINED", "VOIDED", None)
    assert (declined.decline_reason_code, declined.decline_reason_note) == ("FULL", "Sorry.")
    assert (declined.decided_by, declined.staff_seen_by) == (agent, agent)
    assert published_pairs() == DECLINED_EVENTS
    assert mails() == [f"Your booking {booking.booking_id} was declined"]
    with unchanged(booking):
        assert decline_booking(booking=booking, staff=agent).status == "DECLINED"
    assert [(call.action, call.key) for call in stripe.calls] == [("cancel", f"{booking.payment_reference}-void-1")]
    assert stripe.moved(booking.payment_reference) == {"voided": 1}


def test_decline_of_a_confirmed_booking_refunds_and_releases_the_room(stripe, hotel, agent):
    room = NewRoomFactory(hotel=hotel)
    booking = captured(stripe, hotel, assigned_room=room, room_type=room.room_type, room_assigned_at=clock.now())
    declined = decline_booking(booking=booking, staff=agent)
    assert (declined.status, declined.payment_state) == ("DECLINED", "REFUNDED")
    assert declined.assigned_room is declined.room_assigned_at is None
    assert declined.paid_at is not None  # paid and refunded
    assert BookingChange.objects.get(booking=booking).from_room == room
    assert published_pairs() == DECLINED_EVENTS
    assert mails() == [f"Your booking {booking.booking_id} was declined"]
    with unchanged(booking):
        decline_booking(booking=booking, staff=agent)
    assert stripe.moved(booking.payment_reference) == {"refunded": 1}


PROVIDER_FAILS = [
    (card, approve_booking, "capture", "PAYMENT_CAPTURE_FAILED"),
    (card, decline_booking, "cancel", "PAYMENT_VOID_FAILED"),
    (captured, decline_booking, "refund", "PAYMENT_REFUND_FAILED"),
]


@pytest.mark.parametrize("fault", ["refuse", "error", "lost before"])
@pytest.mark.parametrize(("make", "decide", "action", "code"), PROVIDER_FAILS)
def test_a_provider_that_fails_changes_nothing(stripe, hotel, agent, make, decide, action, code, fault):
    booking = make(stripe, hotel)
    stripe.fail(action, fault, 3 if fault == "lost before" else 1)
    with unchanged(booking):
        refused(partial(decide, booking=booking, staff=agent), 502, code)
    assert stripe.moved(booking.payment_reference) == {}
    # The retry uses a new idempotency key: under the old one, Stripe would repeat its refusal.
    decide(booking=booking, staff=agent)
    assert list(stripe.moved(booking.payment_reference).values()) == [1]
    assert len(mails()) == 1


@pytest.mark.parametrize(("make", "decide", "action", "code"), PROVIDER_FAILS)
def test_lost_response_to_a_capture_counts_as_success(stripe, hotel, agent, make, decide, action, code):
    booking = make(stripe, hotel)
    stripe.fail(action, "lost after", 3)
    assert decide(booking=booking, staff=agent).status in ("CONFIRMED", "DECLINED")
    assert list(stripe.moved(booking.payment_reference).values()) == [1]
    assert (len(history(booking)), len(published_pairs()), len(mails())) == (1, 2, 1)


@pytest.mark.parametrize(("make", "decide", "action", "code"), PROVIDER_FAILS)
def test_retry_completes_a_decision_with_unknown_outcome(stripe, hotel, agent, make, decide, action, code):
    booking = make(stripe, hotel)
    stripe.fail(action, "lost after", 3)
    stripe.fail("look up", "lost before", 2)
    before = trace(booking)[1:]
    refused(partial(decide, booking=booking, staff=agent), 502, code)
    assert stored(booking)[0] == booking.status
    assert stored(booking)[1].endswith("ING")
    assert trace(booking)[1:] == before
    decided = decide(booking=booking, staff=agent)
    assert decided.payment_attempt == 1
    assert {call.key for call in stripe.calls if call.action == action} == {stripe.calls[0].key}
    assert list(stripe.moved(booking.payment_reference).values()) == [1]
    assert (len(history(booking)), len(published_pairs()), len(mails())) == (1, 2, 1)


def test_expired_authorisation_is_reported(stripe, hotel, agent):
    booking = card(stripe, hotel)
    stripe.expire(booking.payment_reference)
    with unchanged(booking):
        refusal = refused(lambda: approve_booking(booking=booking, staff=agent), 409, "AUTHORIZATION_EXPIRED")
    assert "expired" in refusal.message
    # It can still be declined; there is nothing left to void.
    assert decline_booking(booking=booking, staff=agent).payment_state == "VOIDED"
    assert stripe.moved(booking.payment_reference) == {}


def test_payment_unknown_to_stripe_stays_undecided(stripe, hotel, agent):
    booking = card(None, hotel)
    with unchanged(booking):
        refused(lambda: approve_booking(booking=booking, staff=agent), 502, "PAYMENT_CAPTURE_FAILED")
        refused(lambda: decline_booking(booking=booking, staff=agent), 502, "PAYMENT_VOID_FAILED")


def test_opposite_decision_waits_for_the_one_in_flight(stripe, hotel, agent):
    capturing, voiding = card(stripe, hotel, PaymentState.CAPTURING), card(stripe, hotel, PaymentState.VOIDING)
    with unchanged(capturing), unchanged(voiding):
        refused(lambda: decline_booking(booking=capturing, staff=agent), 409, "PAYMENT_IN_PROGRESS")
        refused(lambda: approve_booking(booking=voiding, staff=agent), 409, "PAYMENT_IN_PROGRESS")
    assert stripe.calls == []


def long_ago(staff: Staff, **fields) -> dict[str, Any]:
    """The fields of a payment that ``staff`` started to move and that was never finished."""
    return {"payment_requested_at": clock.now() - LATER, "payment_requested_by": staff, **fields}


def test_opposite_decision_after_an_old_one_that_never_reached_stripe(stripe, hotel, agent, manager):
    booking = card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager))
    declined = decline_booking(booking=booking, staff=agent)
    assert (declined.status, declined.payment_state, declined.decided_by) == ("DECLINED", "VOIDED", agent)
    assert stripe.moved(booking.payment_reference) == {"voided": 1}
    booking = card(stripe, hotel, PaymentState.VOIDING, **long_ago(manager, decline_reason_note="No room."))
    approved = approve_booking(booking=booking, staff=agent)
    assert (approved.status, approved.payment_state, approved.decline_reason_note) == ("CONFIRMED", "CAPTURED", "")
    assert stripe.moved(booking.payment_reference) == {"captured": 1}


def test_opposite_decision_after_an_old_one_that_stripe_executed(stripe, hotel, agent, manager):
    """The unfinished approval is completed first; the decline then refunds a confirmed booking."""
    booking = card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager))
    stripe.intents[booking.payment_reference].status = "succeeded"
    assert decline_booking(booking=booking, staff=agent).payment_state == "REFUNDED"
    assert history(booking) == [
        ("APPROVED", "PENDING_APPROVAL", "CONFIRMED"),
        ("DECLINED", "CONFIRMED", "DECLINED"),
    ]
    assert stripe.moved(booking.payment_reference) == {"refunded": 1}
    booking = card(stripe, hotel, PaymentState.VOIDING, **long_ago(manager, decline_reason_note="No room."))
    stripe.intents[booking.payment_reference].status = "canceled"
    refused(lambda: approve_booking(booking=booking, staff=agent), 409, "BOOKING_NOT_ELIGIBLE")
    row = RoomBooking.objects.get(pk=booking.pk)
    assert (row.status, row.decided_by, row.decline_reason_note) == ("DECLINED", manager, "No room.")


def test_opposite_decision_is_refused_while_stripe_is_unreachable(stripe, hotel, agent, manager):
    booking = card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager))
    stripe.fail("look up", "lost before", 2)
    with unchanged(booking):
        refused(lambda: decline_booking(booking=booking, staff=agent), 502, "PAYMENT_VOID_FAILED")


def test_approval_started_in_time_is_completed_past_the_deadline(stripe, hotel, agent, manager):
    late = clock.now() - timedelta(seconds=1)
    booking = card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager, approval_deadline_at=late))
    approved = approve_booking(booking=booking, staff=agent)
    assert (approved.status, approved.decided_by) == ("CONFIRMED", manager)


@pytest.mark.parametrize(
    ("decide", "payment_state", "moved"),
    [(approve_booking, "CAPTURED", {}), (decline_booking, "REFUNDED", {"refunded": 1})],
)
def test_capture_executed_after_it_was_abandoned(stripe, hotel, agent, decide, payment_state, moved):
    booking = card(stripe, hotel)
    stripe.fail("capture", "lost before", 3)
    refused(lambda: approve_booking(booking=booking, staff=agent), 502, "PAYMENT_CAPTURE_FAILED")
    stripe.intents[booking.payment_reference].status = "succeeded"  # Stripe executed it late
    assert decide(booking=booking, staff=agent).payment_state == payment_state
    assert stripe.moved(booking.payment_reference) == moved
    assert (len(history(booking)), len(mails())) == (1, 1)


def test_failed_refund_after_a_late_capture_leaves_the_booking_approvable(stripe, hotel, agent):
    booking = card(stripe, hotel)
    stripe.intents[booking.payment_reference].status = "succeeded"
    stripe.fail("refund", "error")
    refused(lambda: decline_booking(booking=booking, staff=agent), 502, "PAYMENT_REFUND_FAILED")
    assert stored(booking) == ("PENDING_APPROVAL", "CAPTURED")
    calls = len(stripe.calls)
    assert approve_booking(booking=booking, staff=agent).payment_state == "CAPTURED"
    assert len(stripe.calls) == calls


def test_payment_refunded_in_stripes_dashboard(stripe, hotel, agent):
    """It was refunded by hand in Stripe's dashboard."""
    booking = card(stripe, hotel)
    intent = stripe.intents[booking.payment_reference]
    intent.status, intent.refunded = "succeeded", True
    refusal = refused(lambda: approve_booking(booking=booking, staff=agent), 409, "AUTHORIZATION_EXPIRED")
    assert "already been voided or refunded" in refusal.message
    assert decline_booking(booking=booking, staff=agent).payment_state == "REFUNDED"


# --- the sweep --------------------------------------------------------------------------------------------------------


def sweep(**expected: int) -> None:
    """Run the sweep and assert its counts."""
    found = {name.removeprefix("payments_"): number for name, number in settle_payments().items() if number}
    assert found == expected


def test_sweep_skips_recent_payments(stripe, hotel):
    booking = card(stripe, hotel, PaymentState.CAPTURING)
    with unchanged(booking):
        sweep()
    assert stripe.calls == []


class LockTimeoutError(Exception):
    """A lock timeout as the database driver raises it."""

    pgcode = "55P03"


def test_sweep_skips_a_locked_booking_and_stops_without_a_database(stripe, hotel, manager, monkeypatch, caplog):
    for _ in range(2):
        card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager))
    busy, away = OperationalError("canceling statement due to lock timeout"), OperationalError("server closed")
    busy.__cause__ = LockTimeoutError()
    settle_one = Mock(side_effect=[busy, Outcome.FINISHED])
    monkeypatch.setattr("room_bookings.services.payment_sweep.settle_one", settle_one)
    sweep(failed=1, finished=1)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    caplog.clear()
    settle_one.side_effect = [IntegrityError("a bug"), Outcome.FINISHED]
    sweep(failed=1, finished=1)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    settle_one.side_effect = [away]
    with pytest.raises(OperationalError, match="server closed"):
        settle_payments()


def test_sweep_completes_executed_payments_and_resets_others(stripe, hotel, manager):
    begun = partial(card, stripe, hotel, **long_ago(manager))
    approvals = [begun(PaymentState.CAPTURING) for _ in range(2)]
    declines = [begun(PaymentState.VOIDING, decline_reason_code="FULL") for _ in range(2)]
    refunds = [begun(PaymentState.REFUNDING, status="CONFIRMED", decline_reason_code="FULL") for _ in range(2)]
    stripe.intents[approvals[0].payment_reference].status = "succeeded"
    stripe.intents[declines[0].payment_reference].status = "canceled"
    for booking in refunds:
        stripe.intents[booking.payment_reference].status = "succeeded"
    stripe.intents[refunds[0].payment_reference].refunded = True
    sweep(finished=3, reverted=3)
    rows = {row.pk: row for row in RoomBooking.objects.all()}
    found = [
        (rows[pair[i].pk].status, rows[pair[i].pk].payment_state, rows[pair[i].pk].decline_reason_code)
        for i in (0, 1)
        for pair in (approvals, declines, refunds)
    ]
    assert found == [
        ("CONFIRMED", "CAPTURED", ""),
        ("DECLINED", "VOIDED", "FULL"),
        ("DECLINED", "REFUNDED", "FULL"),
        ("PENDING_APPROVAL", "AUTHORISED", ""),
        ("PENDING_APPROVAL", "AUTHORISED", ""),
        ("CONFIRMED", "CAPTURED", ""),
    ]
    assert {rows[pair[0].pk].decided_by for pair in (approvals, declines, refunds)} == {manager}
    assert all(stripe.moved(reference) == {} for reference in stripe.intents)  # it only queries Stripe
    assert (len(mails()), len(published_pairs()), BookingChange.objects.count()) == (3, 6, 3)
    sweep()
    assert (len(mails()), len(published_pairs()), BookingChange.objects.count()) == (3, 6, 3)


@pytest.mark.parametrize(("status", "fields"), [("EXPIRED", {"expired_at": clock.now()}), ("CANCELLED_DRAFT", {})])
def test_void_without_a_caller_is_never_lost(stripe, hotel, status, fields):
    booking = card(
        stripe, hotel, PaymentState.VOIDING, status=status, payment_requested_at=clock.now() - LATER, **fields
    )
    stripe.fail("cancel", "error")
    sweep(retry=1)
    assert stored(booking) == (status, "VOIDING")
    sweep()  # no immediate retry
    with clock.set_to(clock.now() + LATER):
        stripe.fail("cancel", "lost after", 3)
        stripe.fail("look up", "lost before", 2)
        sweep(unanswered=1)
        sweep()
    with clock.set_to(clock.now() + 2 * LATER):
        before = trace(booking)[1:]
        sweep(finished=1)
        sweep()
    assert stored(booking) == (status, "VOIDED")
    assert trace(booking)[1:] == before  # no event: the guest was never charged
    assert stripe.moved(booking.payment_reference) == {"voided": 1}
    assert len({call.key for call in stripe.calls if call.action == "cancel"}) == 2


def test_an_expired_request_that_was_captured_after_all_is_refunded(stripe, hotel):
    booking = card(
        stripe,
        hotel,
        PaymentState.VOIDING,
        status="EXPIRED",
        expired_at=clock.now(),
        payment_requested_at=clock.now() - LATER,
    )
    stripe.intents[booking.payment_reference].status = "succeeded"
    sweep(retry=1)
    with clock.set_to(clock.now() + LATER):
        sweep(finished=1)
    assert stored(booking) == ("EXPIRED", "REFUNDED")
    assert stripe.moved(booking.payment_reference) == {"refunded": 1}


@pytest.mark.parametrize(("refunded", "payment_state"), [(True, "REFUNDED"), (False, "CAPTURED")])
def test_booking_checked_in_during_the_refund_is_not_declined(stripe, hotel, agent, refunded, payment_state):
    """The booking changed during the refund: the payment state is recorded, and the stay is left alone."""
    booking = card(stripe, hotel, PaymentState.REFUNDING, status="NO_SHOW", **long_ago(agent))
    intent = stripe.intents[booking.payment_reference]
    intent.status, intent.refunded = "succeeded", refunded
    before = trace(booking)[1:]
    refused(lambda: decline_booking(booking=booking, staff=agent), 409, "BOOKING_NOT_ELIGIBLE")
    settle_payments()
    assert stored(booking) == ("NO_SHOW", payment_state)
    assert trace(booking)[1:] == before
    assert stripe.moved(booking.payment_reference) == {}


@pytest.mark.django_db(transaction=True)
def test_decline_overtaken_by_a_no_show_is_reported(stripe, hotel, agent):
    booking = captured(stripe, hotel)

    def meanwhile(_call) -> None:
        RoomBooking.objects.filter(pk=booking.pk).update(status=BookingStatus.NO_SHOW)
        connection.close()

    stripe.before_work = meanwhile
    refused(lambda: decline_booking(booking=booking, staff=agent), 409, "BOOKING_NOT_ELIGIBLE")
    assert stored(booking) == ("NO_SHOW", "REFUNDED")
    assert not mails()


def test_one_failing_booking_does_not_hold_up_the_others(stripe, hotel, manager, caplog):
    odd = HotelFactory(timezone="Mars/Olympus")  # building its event fails
    first, third = (card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager)) for _ in range(2))
    second = card(stripe, odd, PaymentState.CAPTURING, **long_ago(StaffFactory(hotel=odd)))
    for booking in (first, second, third):
        stripe.intents[booking.payment_reference].status = "succeeded"
    stripe.fail("look up", "lost before", 2)
    sweep(unanswered=1, failed=1, finished=1)
    assert [stored(booking) for booking in (first, second, third)] == [
        ("PENDING_APPROVAL", "CAPTURING"),
        ("PENDING_APPROVAL", "CAPTURING"),
        ("CONFIRMED", "CAPTURED"),
    ]
    assert second.booking_id in caplog.text
    assert not any(word in caplog.text for word in ("Lovelace", "ada@"))
    assert f"of hotel {odd.slug}" in caplog.text
    Hotel.objects.filter(pk=odd.pk).update(timezone="Europe/Dublin")
    with clock.set_to(clock.now() + LATER):
        sweep(finished=2)
    assert len(mails()) == 3


def test_sweep_without_a_stripe_key_is_reported(hotel, manager):
    booking = card(None, hotel, PaymentState.CAPTURING, **long_ago(manager))
    with unchanged(booking):
        sweep(not_configured=1)


# --- concurrency ------------------------------------------------------------------------------------------------------


def fresh(work: Callable[..., RoomBooking], booking: RoomBooking, staff: Staff) -> Callable[[], str]:
    """Do the work as another process would, on its own instance of the booking."""
    return lambda: work(booking=RoomBooking.objects.get(pk=booking.pk), staff=staff).status


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_during_a_stripe_call(stripe, hotel, agent):
    booking, done = card(stripe, hotel), captured(stripe, hotel)
    seen = []

    def lock_everything(call) -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT payment_state FROM room_bookings_roombooking FOR UPDATE NOWAIT")
                seen.append((call.action, sorted(row[0] for row in cursor.fetchall())))
        finally:
            connection.close()

    stripe.before_work = lock_everything
    approve_booking(booking=booking, staff=agent)
    decline_booking(booking=done, staff=agent)
    assert seen == [("capture", ["CAPTURED", "CAPTURING"]), ("refund", ["CAPTURED", "REFUNDING"])]


@pytest.mark.django_db(transaction=True)
def test_stripe_is_not_called_within_a_transaction(stripe, hotel, agent):
    booking = card(stripe, hotel)
    for decide in (approve_booking, decline_booking):
        with unchanged(booking), pytest.raises(RuntimeError, match="durable"), transaction.atomic():
            decide(booking=booking, staff=agent)
    assert stripe.calls == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("make", "decide", "action", "code"), PROVIDER_FAILS)
def test_calls_beyond_the_stripe_limit_are_refused_immediately(
    stripe, settings, hotel, agent, manager, make, decide, action, code
):
    """A refused call leaves no trace, the sweep needs no slot, and a slot is freed even after an error."""
    settings.PAYMENT_CALLS_AT_ONCE = 1
    first, second = make(stripe, hotel), make(stripe, hotel)
    begun = card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager))
    late = []

    def meanwhile(call) -> None:
        if call.reference == first.payment_reference and not late:
            before = trace(second)
            writer = Writer(fresh(decide, second, manager))
            writer.start()
            late.append(writer.outcome())
            assert trace(second) == before
            sweep(reverted=1)
            connection.close()

    stripe.before_work = meanwhile
    stripe.fail(action, "error")
    refused(partial(decide, booking=first, staff=agent), 502, code)
    [refusal] = late
    assert (refusal.status, refusal.code, refusal.retry_after) == (503, "PAYMENTS_BUSY", 5)
    assert not any(call.reference == second.payment_reference for call in stripe.calls)
    assert stored(begun) == ("PENDING_APPROVAL", "AUTHORISED")
    assert decide(booking=second, staff=agent).status in ("CONFIRMED", "DECLINED")


@pytest.mark.django_db(transaction=True)
def test_decisions_without_a_card_need_no_stripe_slot(stripe, settings, hotel, agent):
    settings.PAYMENT_CALLS_AT_ONCE = 1
    booking, other = waiting(hotel), captured(stripe, hotel)
    with provider_slot():
        assert approve_booking(booking=booking, staff=agent).status == "CONFIRMED"
        assert approve_booking(booking=other, staff=agent).status == "CONFIRMED"
        refused(
            lambda: decline_booking(booking=waiting(hotel, status="CANCELLED_DRAFT"), staff=agent),
            409,
            "BOOKING_NOT_ELIGIBLE",
        )
        refused(lambda: decline_booking(booking=other, staff=agent), 503, "PAYMENTS_BUSY")


@pytest.mark.django_db(transaction=True)
def test_two_approvals_at_once_are_one_capture(stripe, hotel, agent, manager):
    booking = card(stripe, hotel)
    stripe.before_work = lambda _call: stripe.wait_for("capture", 2)
    writers = [Writer(fresh(approve_booking, booking, staff)) for staff in (agent, manager)]
    for writer in writers:
        writer.start()
    assert [writer.outcome() for writer in writers] == ["CONFIRMED", "CONFIRMED"]
    assert stripe.moved(booking.payment_reference) == {"captured": 1}
    assert {call.key for call in stripe.calls} == {f"{booking.payment_reference}-capture-1"}
    assert (published_pairs(), len(mails())) == (CONFIRMED_EVENTS, 1)
    assert history(booking) == [("APPROVED", "PENDING_APPROVAL", "CONFIRMED")]


@pytest.mark.django_db(transaction=True)
def test_two_declines_at_once_are_one_refund(stripe, hotel, agent, manager):
    booking = captured(stripe, hotel)
    stripe.before_work = lambda _call: stripe.wait_for("refund", 2)
    writers = [Writer(fresh(decline_booking, booking, staff)) for staff in (agent, manager)]
    for writer in writers:
        writer.start()
    assert [writer.outcome() for writer in writers] == ["DECLINED", "DECLINED"]
    assert stripe.moved(booking.payment_reference) == {"refunded": 1}
    assert (published_pairs(), len(mails())) == (DECLINED_EVENTS, 1)


@pytest.mark.django_db(transaction=True)
def test_two_callers_with_stripes_response_write_it_once(hotel, agent):
    """Both have Stripe's response and are held before they write."""
    booking = card(
        None,
        hotel,
        PaymentState.REFUNDING,
        status=BookingStatus.CONFIRMED,
        payment_requested_by=agent,
        decline_reason_code="FULL",
    )

    def held() -> RoomBooking:
        return RoomBooking.objects.select_for_update().get(pk=booking.pk)

    def answered() -> str:
        return settle(RoomBooking.objects.get(pk=booking.pk), Standing.REFUNDED)[1].name

    _, outcomes = overlap(held, answered, answered)
    assert sorted(outcomes) == ["FINISHED", "SUPERSEDED"]
    assert (published_pairs(), len(mails())) == (DECLINED_EVENTS, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("first", "second", "action", "end", "moved"),
    [
        (approve_booking, decline_booking, "capture", ("CONFIRMED", "CAPTURED"), {"captured": 1}),
        (decline_booking, approve_booking, "cancel", ("DECLINED", "VOIDED"), {"voided": 1}),
    ],
)
def test_approve_against_decline(stripe, hotel, agent, manager, first, second, action, end, moved):
    """While the first call waits for Stripe, the second is refused."""
    booking = card(stripe, hotel)
    late = []

    def meanwhile(_call) -> None:
        writer = Writer(fresh(second, booking, manager))
        writer.start()
        late.append(writer.outcome())

    stripe.before_work = meanwhile
    assert first(booking=booking, staff=agent).status == end[0]
    [refusal] = late
    assert (refusal.status, refusal.code) == (409, "PAYMENT_IN_PROGRESS")
    assert stored(booking) == end
    assert stripe.moved(booking.payment_reference) == moved
    assert (len(history(booking)), len(published_pairs()), len(mails())) == (1, 2, 1)
    assert [call.action for call in stripe.calls] == [action]


@pytest.mark.django_db(transaction=True)
def test_twenty_approvals_and_declines_at_once(stripe, hotel, agent):
    booking = card(stripe, hotel)
    writers = [Writer(fresh(decide, booking, agent)) for decide in (approve_booking, decline_booking) * 10]
    for writer in writers:
        writer.start()
    outcomes = [writer.outcome() for writer in writers]
    status, payment_state = stored(booking)
    moved = stripe.moved(booking.payment_reference)
    assert (status, payment_state, moved) in [
        ("CONFIRMED", "CAPTURED", {"captured": 1}),
        ("DECLINED", "VOIDED", {"voided": 1}),
        ("DECLINED", "REFUNDED", {"captured": 1, "refunded": 1}),
    ]
    steps = {"CAPTURED": 1, "VOIDED": 1, "REFUNDED": 2}[payment_state]
    assert (len(history(booking)), len(published_pairs()), len(mails())) == (steps, 2 * steps, steps)
    for outcome in outcomes:
        assert outcome in ("CONFIRMED", "DECLINED") or outcome.status == 409, outcome


@pytest.mark.django_db(transaction=True)
def test_approval_that_the_sweep_had_reset(stripe, hotel, agent):
    """The sweep runs while the capture is still in flight and resets it; the approval succeeds all the same."""
    booking = card(stripe, hotel)

    def sweep_meanwhile(call) -> None:
        if call.action == "capture" and stripe.count("capture") == 1:
            with clock.set_to(clock.now() + LATER):
                sweep(reverted=1)
            connection.close()

    stripe.before_work = sweep_meanwhile
    assert approve_booking(booking=booking, staff=agent).payment_state == "CAPTURED"
    assert stripe.moved(booking.payment_reference) == {"captured": 1}
    assert (len(history(booking)), len(published_pairs()), len(mails())) == (1, 2, 1)


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_finish_once(stripe, hotel, manager):
    booking = card(stripe, hotel, PaymentState.CAPTURING, **long_ago(manager))
    stripe.intents[booking.payment_reference].status = "succeeded"
    stripe.before_answer = lambda _call: stripe.wait_for("look up", 2)
    writers = [Writer(settle_payments) for _ in range(2)]
    for writer in writers:
        writer.start()
    counts = [writer.outcome() for writer in writers]
    assert sorted((found["payments_finished"], found["payments_superseded"]) for found in counts) == [(0, 1), (1, 0)]
    assert (len(history(booking)), len(published_pairs()), len(mails())) == (1, 2, 1)


@pytest.mark.django_db(transaction=True)
def test_approve_against_decline_without_a_card(hotel, agent, manager):
    booking = waiting(hotel)
    first, [second] = overlap(fresh(approve_booking, booking, agent), fresh(decline_booking, booking, manager))
    assert first == "CONFIRMED"
    assert (second.status, second.code) == (409, "BOOKING_NOT_ELIGIBLE")
    assert (history(booking), len(mails())) == ([("APPROVED", "PENDING_APPROVAL", "CONFIRMED")], 1)


@pytest.mark.django_db(transaction=True)
def test_approve_against_decline_without_a_card_and_without_the_lock(hotel, agent, manager):
    """The twin: without the lock, the second call decides on data read before the first committed."""
    booking = waiting(hotel)
    with locks_removed():
        _, [second] = overlap(fresh(approve_booking, booking, agent), fresh(decline_booking, booking, manager))
    assert second == "DECLINED"
    assert len(mails()) == 2


def test_the_row_is_locked_before_it_is_read(hotel, agent, statements):
    booking = waiting(hotel)
    with statements() as made:
        approve_booking(booking=booking, staff=agent)
    assert "FOR NO KEY UPDATE" in made.sql()[0]
    assert not any(sql.startswith(("UPDATE", "INSERT")) for sql in made.sql()[:2])


# --- payments in flight -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [check_in, mark_no_show])
def test_no_check_in_or_no_show_during_a_refund(hotel, manager, step):
    yesterday = clock.now().date() - timedelta(days=1)
    booking = card(
        None,
        hotel,
        PaymentState.REFUNDING,
        status=BookingStatus.CONFIRMED,
        check_in=yesterday,
        check_out=yesterday + timedelta(days=5),
    )
    before = trace(booking)
    with pytest.raises(PaymentInProgress):
        step(booking=booking, staff=manager)
    assert trace(booking) == before


def test_no_bulk_check_in_during_a_refund(hotel, manager):
    room, today = NewRoomFactory(hotel=hotel), calendar.business_date(hotel)
    confirmed = {"status": BookingStatus.CONFIRMED, "check_in": today, "check_out": today + timedelta(days=1)}
    booking = card(None, hotel, PaymentState.REFUNDING, **confirmed, assigned_room=room, room_type=room.room_type)
    before = trace(booking)
    result = check_in_rooms(hotel=hotel, room_ids=[room.pk], staff=manager)
    assert [refusal.code for _, refusal in result.failed] == ["PAYMENT_IN_PROGRESS"]
    assert trace(booking) == before


@pytest.mark.parametrize(("before", "after"), [("AUTHORISED", "VOIDING"), ("CAPTURED", "REFUNDING")])
def test_expiring_a_request_leaves_the_refund_to_the_sweep(hotel, before, after):
    """Captured: the response to an abandoned capture arrived late."""
    booking = card(None, hotel, PaymentState(before), approval_deadline_at=clock.now() - timedelta(minutes=1))
    assert expire_approvals(hotel) == 1
    booking.refresh_from_db()
    assert (booking.status, booking.payment_state, booking.payment_attempt) == ("EXPIRED", after, 1)
