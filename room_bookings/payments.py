"""Card payments at Stripe; the only module that calls it, and never while a transaction is open.

The guest's browser has authorised the payment (a PaymentIntent with manual capture); here it is captured, voided or
refunded, and looked up. Each of these returns the payment's status afterwards, whether or not the request succeeded: an
error may mean that it was already done, and a lost response that it was carried out. If the status cannot be
determined, the call raises ``Unclear``.
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

from common import dry_run
from common.errors import HotelMateError
from common.guards import Guard

logger = logging.getLogger(__name__)

# Otherwise the library stores an id of this machine in the home directory and sends it with each request.
stripe.enable_telemetry = False

# The library itself retries, with the same key, lost connections and 409 (the same request is in progress).
RETRIES = 2
RETRIES_OF_LOOK_UP = 1


class Standing(StrEnum):
    """A payment's status at the provider."""

    AUTHORISED = "AUTHORISED"
    CAPTURED = "CAPTURED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"  # voided by the provider because it was not captured in time
    REFUNDED = "REFUNDED"
    MISSING = "MISSING"  # the provider has no such payment, or not for this API key
    OTHER = "OTHER"  # never authorised


class PaymentsNotConfigured(HotelMateError):
    """No API key is configured for the provider."""

    status = 503
    code = "PAYMENTS_NOT_CONFIGURED"


class PaymentsBusy(HotelMateError):
    """The maximum number of threads in this process are waiting for the provider."""

    status = 503
    code = "PAYMENTS_BUSY"
    retry_after = 5


class Unclear(Exception):
    """The provider could not be reached, so the payment's status is unknown."""


class UnderWay(Exception):
    """The provider is already processing this request: another caller sent it with the same key."""


def is_configured() -> bool:
    """Whether an API key is configured."""
    return bool(settings.STRIPE_SECRET_KEY)


def configuration_refusals() -> Guard[None]:
    """Refused unless an API key is configured."""
    if not is_configured():
        yield PaymentsNotConfigured("Card payments are not configured: STRIPE_SECRET_KEY is missing.")


@contextmanager
def provider_slot() -> Iterator[None]:
    """Occupy one of this process's slots for provider calls made within a request.

    Raises PaymentsBusy immediately if all are taken: a hanging provider blocks at most ``PAYMENT_CALLS_AT_ONCE``
    threads, and the others keep serving requests. A dry run makes no call and takes no slot from those who do.
    """
    if dry_run.is_on():
        yield
        return
    slots = _slots(settings.PAYMENT_CALLS_AT_ONCE)
    if not slots.acquire(blocking=False):
        raise PaymentsBusy("Other card payments are in progress; nothing was changed. Try again in a few seconds.")
    try:
        yield
    finally:
        slots.release()


@cache
def _slots(number: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(number)


def capture(reference: str, key: str) -> Standing:
    """Capture the whole authorised amount. ``key`` makes retries idempotent."""
    return _change(
        reference, lambda client: client.v1.payment_intents.capture(reference, options={"idempotency_key": key})
    )


def void(reference: str, key: str) -> Standing:
    """Void an authorisation that has not been captured."""
    return _change(
        reference, lambda client: client.v1.payment_intents.cancel(reference, options={"idempotency_key": key})
    )


def refund(reference: str, key: str) -> Standing:
    """Refund the whole captured amount."""
    return _change(
        reference,
        lambda client: client.v1.refunds.create({"payment_intent": reference}, options={"idempotency_key": key}),
    )


def look_up(reference: str) -> Standing:
    """The payment's current status. Raises Unclear."""
    try:
        intent = _client().v1.payment_intents.retrieve(
            reference, {"expand": ["latest_charge"]}, options={"max_network_retries": RETRIES_OF_LOOK_UP}
        )
    except stripe.StripeError as error:
        if error.http_status == 404:
            return Standing.MISSING
        _note("could not look up a payment", error)
        raise Unclear from error
    return _standing(intent)


def _change(reference: str, request: Callable[[StripeClient], PaymentIntent | Refund]) -> Standing:
    try:
        answer = request(_client())
    except stripe.StripeError as error:
        if error.http_status == 409:
            raise UnderWay from error
        _note("refused a request or did not respond", error)
        return look_up(reference)
    if isinstance(answer, PaymentIntent):
        return _standing(answer)
    # A pending refund counts as refunded; a failed one does not.
    return look_up(reference) if answer.status in ("failed", "canceled") else Standing.REFUNDED


def _standing(intent: PaymentIntent) -> Standing:
    if intent.status == "requires_capture":
        return Standing.AUTHORISED
    if intent.status == "canceled":
        by_itself = intent.cancellation_reason in ("automatic", "expired")
        return Standing.EXPIRED if by_itself else Standing.VOIDED
    if intent.status == "succeeded":
        # The charge is only an id unless expanded, as ``look_up`` does.
        charge = intent.latest_charge
        refunded = isinstance(charge, stripe.Charge) and charge.refunded
        return Standing.REFUNDED if refunded else Standing.CAPTURED
    return Standing.OTHER


def _note(what: str, error: stripe.StripeError) -> None:
    """Log the error without Stripe's message, which may contain card details."""
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
    if dry_run.is_on():
        raise RuntimeError("a dry run never calls the payment provider")
    return _client_for(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_TIMEOUT)


@cache
def _client_for(key: str, base: str, timeout: float) -> StripeClient:
    """A cached client, so that its connections to Stripe stay open."""
    return StripeClient(
        key,
        base_addresses={"api": base},
        max_network_retries=RETRIES,
        http_client=RequestsClient(timeout=timeout),
    )
