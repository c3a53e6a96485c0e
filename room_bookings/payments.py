"""Card payments at Stripe: the only place that talks to it. Never called while a transaction is open.

The guest's browser has authorised the payment (a PaymentIntent with manual capture); here it is captured, voided or
refunded, and looked up. Each of the three answers how the payment stands afterwards, whatever became of the request: a
refusal may mean that it was so already, and a lost answer that it was done. Only when Stripe says neither, the call
raises ``Unclear``.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache

import stripe
from django.conf import settings
from stripe import PaymentIntent, Refund, RequestsClient, StripeClient

from common.errors import HotelMateError

logger = logging.getLogger(__name__)

# Else the library notes an id of this machine in the home directory and sends it along.
stripe.enable_telemetry = False

# What the library tries again by itself, with the same key: lost connections, and "the same is under way" (409).
RETRIES = 2
RETRIES_OF_LOOK_UP = 1


class Standing(StrEnum):
    """How a payment stands at the provider."""

    AUTHORISED = "AUTHORISED"
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"  # voided by the provider itself: nobody captured it in time
    REFUNDED = "REFUNDED"
    MISSING = "MISSING"  # the provider knows no such payment, or not with this key
    OTHER = "OTHER"  # never authorised


class PaymentsNotConfigured(HotelMateError):
    """There is no key with which to talk to the provider."""

    status = 503
    code = "PAYMENTS_NOT_CONFIGURED"


class PaymentsBusy(HotelMateError):
    """As many threads of this process wait for the provider as may."""

    status = 503
    code = "PAYMENTS_BUSY"
    retry_after = 5


class Unclear(Exception):
    """The provider could not be asked, so that nobody knows how the payment stands."""


class UnderWay(Exception):
    """The provider is at this very request already: somebody else sent it with the same key."""


def is_configured() -> bool:
    """Whether there is a key."""
    return bool(settings.STRIPE_SECRET_KEY)


def require_configured() -> None:
    """Raise PaymentsNotConfigured unless there is a key."""
    if not is_configured():
        raise PaymentsNotConfigured("Card payments are not set up here: STRIPE_SECRET_KEY is missing.")


@contextmanager
def place_at_provider() -> Iterator[None]:
    """Hold one of the places of this process for a call that somebody at a desk waits for.

    Raises PaymentsBusy at once when all are taken: a provider that hangs keeps ``PAYMENT_CALLS_AT_ONCE`` threads, and
    the others go on serving requests.
    """
    places = _places(settings.PAYMENT_CALLS_AT_ONCE)
    if not places.acquire(blocking=False):
        raise PaymentsBusy("Other card payments are under way, and nothing was changed. Try again in a few seconds.")
    try:
        yield
    finally:
        places.release()


@cache
def _places(number: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(number)


def capture(reference: str, key: str) -> Standing:
    """Take the whole amount that was authorised. ``key`` makes the same call again the same capture."""
    return _change(
        reference, lambda client: client.v1.payment_intents.capture(reference, options={"idempotency_key": key})
    )


def void(reference: str, key: str) -> Standing:
    """Give an authorisation back; nothing was taken yet."""
    return _change(
        reference, lambda client: client.v1.payment_intents.cancel(reference, options={"idempotency_key": key})
    )


def refund(reference: str, key: str) -> Standing:
    """Pay back all that was taken."""
    return _change(
        reference,
        lambda client: client.v1.refunds.create({"payment_intent": reference}, options={"idempotency_key": key}),
    )


def look_up(reference: str) -> Standing:
    """How the payment stands. Raises Unclear."""
    try:
        intent = _client().v1.payment_intents.retrieve(
            reference, {"expand": ["latest_charge"]}, options={"max_network_retries": RETRIES_OF_LOOK_UP}
        )
    except stripe.StripeError as error:
        if error.http_status == 404:
            return Standing.MISSING
        _note("does not say how a payment stands", error)
        raise Unclear from error
    return _standing(intent)


def _change(reference: str, request: Callable[[StripeClient], PaymentIntent | Refund]) -> Standing:
    try:
        answer = request(_client())
    except stripe.StripeError as error:
        if error.http_status == 409:
            raise UnderWay from error
        _note("refused or did not answer", error)
        return look_up(reference)
    if isinstance(answer, PaymentIntent):
        return _standing(answer)
    # A refund that is still on its way to the bank is made; a failed one is not.
    return look_up(reference) if answer.status in ("failed", "canceled") else Standing.REFUNDED


def _standing(intent: PaymentIntent) -> Standing:
    if intent.status == "requires_capture":
        return Standing.AUTHORISED
    if intent.status == "canceled":
        by_itself = intent.cancellation_reason in ("automatic", "expired")
        return Standing.EXPIRED if by_itself else Standing.VOIDED
    if intent.status == "succeeded":
        # Only when it was asked for is the charge more than an id, and only a look-up needs it.
        charge = intent.latest_charge
        refunded = isinstance(charge, stripe.Charge) and charge.refunded
        return Standing.REFUNDED if refunded else Standing.CAPTURED
    return Standing.OTHER


def _note(what: str, error: stripe.StripeError) -> None:
    """A line for the log: never Stripe's words, which may tell of the card."""
    code = error.error.code if error.error else None
    logger.warning(
        "Stripe %s: %s, status %s, code %s, request %s",
        what,
        type(error).__name__,
        error.http_status,
        code,
        error.request_id,
    )


def _client() -> StripeClient:
    return _client_for(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_TIMEOUT)


@cache
def _client_for(key: str, base: str, timeout: float) -> StripeClient:
    """One client, so that its connections to Stripe stay open."""
    return StripeClient(
        key,
        base_addresses={"api": base},
        max_network_retries=RETRIES,
        http_client=RequestsClient(timeout=timeout),
    )
