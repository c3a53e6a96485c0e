"""How the gateway reads Stripe's responses: refusals that mean "already done", lost responses, replays, timeouts."""

import logging
import threading

import pytest
from django.test.utils import override_settings

from common.guards import require
from room_bookings import payments
from room_bookings.payments import PaymentsNotConfigured, Standing, Unclear, UnderWay
from tools.harness.stripe_server import PATIENCE, Intent, StripeServer

PAYMENT = "pi_1"


@pytest.fixture
def intent(stripe: StripeServer) -> Intent:
    return stripe.authorise(PAYMENT)


def captured(key: str = "to start with") -> None:
    assert payments.capture(PAYMENT, key) == Standing.CAPTURED


def test_a_payment_is_captured_and_refunded(stripe, intent):
    assert payments.look_up(PAYMENT) == Standing.AUTHORISED
    assert payments.capture(PAYMENT, "a") == Standing.CAPTURED
    assert payments.look_up(PAYMENT) == Standing.CAPTURED
    assert payments.refund(PAYMENT, "b") == Standing.REFUNDED
    assert payments.look_up(PAYMENT) == Standing.REFUNDED
    assert stripe.moved(PAYMENT) == {"captured": 1, "refunded": 1}
    assert [(call.action, call.key) for call in stripe.calls if call.method == "POST"] == [
        ("capture", "a"),
        ("refund", "b"),
    ]


def test_an_authorisation_is_voided(stripe, intent):
    assert payments.void(PAYMENT, "a") == Standing.VOIDED
    assert payments.look_up(PAYMENT) == Standing.VOIDED
    assert stripe.moved(PAYMENT) == {"voided": 1}


def test_already_done_is_no_failure(stripe, intent):
    captured()
    assert payments.capture(PAYMENT, "b") == Standing.CAPTURED
    assert payments.refund(PAYMENT, "c") == Standing.REFUNDED
    assert payments.refund(PAYMENT, "d") == Standing.REFUNDED
    assert stripe.moved(PAYMENT) == {"captured": 1, "refunded": 1}
    stripe.authorise("pi_2")
    assert payments.void("pi_2", "e") == Standing.VOIDED
    assert payments.void("pi_2", "f") == Standing.VOIDED
    assert stripe.moved("pi_2") == {"voided": 1}


def test_impossible_request_returns_the_current_state(stripe, intent):
    stripe.expire(PAYMENT)
    assert payments.capture(PAYMENT, "a") == Standing.EXPIRED
    assert payments.void(PAYMENT, "b") == Standing.EXPIRED
    stripe.authorise("pi_2").status = "canceled"
    assert payments.capture("pi_2", "c") == Standing.VOIDED
    stripe.authorise("pi_3").status = "succeeded"
    assert payments.void("pi_3", "d") == Standing.CAPTURED
    stripe.authorise("pi_4")
    assert payments.refund("pi_4", "e") == Standing.AUTHORISED
    stripe.authorise("pi_5").status = "requires_payment_method"
    assert payments.capture("pi_5", "f") == Standing.OTHER
    assert all(not stripe.moved(reference) for reference in stripe.intents)


def test_payment_unknown_to_stripe(stripe):
    assert payments.capture("pi_none", "a") == Standing.MISSING
    assert payments.look_up("pi_none") == Standing.MISSING


def test_refund_refused_by_the_bank_is_no_refund(stripe, intent):
    captured()
    stripe.refund_status = "failed"
    assert payments.refund(PAYMENT, "b") == Standing.CAPTURED


def test_pending_refund_counts_as_made(stripe, intent):
    captured()
    stripe.refund_status = "pending"
    assert payments.refund(PAYMENT, "b") == Standing.REFUNDED


def test_same_idempotency_key_returns_the_same_capture(stripe, intent):
    assert [payments.capture(PAYMENT, "a") for _ in range(3)] == [Standing.CAPTURED] * 3
    assert stripe.moved(PAYMENT) == {"captured": 1}
    assert stripe.count("look up") == 0  # the stored response, three times


@pytest.mark.parametrize("fault", ["refuse", "error"])
def test_refusal_is_repeated_only_under_its_idempotency_key(stripe, intent, fault):
    stripe.fail("capture", fault)
    assert payments.capture(PAYMENT, "a") == Standing.AUTHORISED
    assert payments.capture(PAYMENT, "a") == Standing.AUTHORISED
    assert payments.capture(PAYMENT, "b") == Standing.CAPTURED
    assert stripe.count("capture") == 3
    assert stripe.moved(PAYMENT) == {"captured": 1}


@pytest.mark.parametrize("times", [1, 3])
def test_lost_response_is_recovered(stripe, intent, times):
    """If lost once, the library's retry gets the stored response; if lost every time, a look-up finds the state."""
    stripe.fail("capture", "lost after", times)
    assert payments.capture(PAYMENT, "a") == Standing.CAPTURED
    assert stripe.moved(PAYMENT) == {"captured": 1}
    assert stripe.count("capture") == min(times + 1, 3)
    assert stripe.count("look up") == (times == 3)


def test_request_that_never_arrived_is_detected(stripe, intent):
    stripe.fail("capture", "lost before", 3)
    assert payments.capture(PAYMENT, "a") == Standing.AUTHORISED
    assert stripe.moved(PAYMENT) == {}


@override_settings(STRIPE_TIMEOUT=0.1)
def test_hanging_stripe_call_times_out(stripe, intent):
    stripe.fail("capture", "hang", 3)
    assert payments.capture(PAYMENT, "a") == Standing.AUTHORISED
    stripe.fail("look up", "hang", 2)
    with pytest.raises(Unclear):
        payments.look_up(PAYMENT)


@pytest.mark.parametrize("fault", ["lost before", "error", "refuse"])
def test_outcome_is_unknown_when_stripe_is_unreachable(stripe, intent, fault):
    stripe.fail("capture", "lost after", 3)
    stripe.fail("look up", fault, 2)
    with pytest.raises(Unclear):
        payments.capture(PAYMENT, "a")
    assert stripe.moved(PAYMENT) == {"captured": 1}


def test_outcome_is_unclear_with_a_wrong_api_key(stripe, intent, settings):
    settings.STRIPE_SECRET_KEY = "sk_wrong"
    with pytest.raises(Unclear):
        payments.capture(PAYMENT, "a")


def test_same_request_twice_concurrently(stripe, intent):
    """The second is refused, retries automatically, and gets the first one's response."""
    stripe.before_work = lambda _call: stripe.wait_for("capture", 2)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(payments.capture(PAYMENT, "a"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [Standing.CAPTURED] * 2
    assert stripe.moved(PAYMENT) == {"captured": 1}
    assert stripe.count("capture") >= 3


def test_concurrent_request_with_the_same_key(stripe, intent):
    stripe.before_work = lambda _call: stripe.wait_for("capture", 4)
    first = threading.Thread(target=payments.capture, args=[PAYMENT, "a"])
    first.start()
    stripe.wait_for("capture", 1)
    with pytest.raises(UnderWay):
        payments.capture(PAYMENT, "a")
    first.join(PATIENCE)
    assert stripe.moved(PAYMENT) == {"captured": 1}


def test_without_a_key_nothing_is_configured(settings):
    assert not payments.is_configured()
    with pytest.raises(PaymentsNotConfigured) as refused:
        require(payments.configuration_refusals())
    assert (refused.value.status, refused.value.code) == (503, "PAYMENTS_NOT_CONFIGURED")
    settings.STRIPE_SECRET_KEY = "sk_test"
    require(payments.configuration_refusals())


def test_log_has_stripes_code_but_not_its_message(stripe, intent, caplog):
    caplog.set_level(logging.DEBUG, logger="room_bookings")
    stripe.fail("capture", "refuse")
    payments.capture(PAYMENT, "a")
    [line] = [record.getMessage() for record in caplog.records if record.name == "room_bookings.payments"]
    assert "CardError, status 402, code card_declined, request req_1" in line
    assert "Your card" not in line
