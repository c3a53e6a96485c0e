"""Runs a request with an ``Idempotency-Key`` once, however often it is sent."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import transaction

from common import clock
from common.errors import Conflict, HotelMateError, InvalidInput
from hotel.models import IdempotentAnswer, Staff

LONGEST_KEY = 255


class KeyReused(HotelMateError):
    """The same key came with another request."""

    status = 422
    code = "IDEMPOTENCY_KEY_REUSED"


class StoredResponse(NamedTuple):
    status: int
    body: dict[str, Any]


def run_once(
    *,
    staff: Staff,
    key: str,
    request: Any,
    act: Callable[[], StoredResponse],
    forget: frozenset[str] = frozenset(),
) -> StoredResponse:
    """Run ``act`` and store its response in the same transaction, to return it for a retry of ``request`` (JSON-safe).

    Without a key, ``act`` just runs. Of two concurrent requests the second waits and returns the first's response. A
    refusal is raised, and the key stays unused. ``forget`` names keys of the body that are returned once and never
    stored (``None`` in the response to a retry).
    """
    if not key:
        return act()
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidInput(f"An Idempotency-Key has at most {LONGEST_KEY} printable characters.")
    fingerprint = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        # The unique constraint makes a concurrent request wait here for our commit; it cannot see our row before.
        IdempotentAnswer.objects.bulk_create(
            [IdempotentAnswer(staff=staff, key=key, fingerprint=fingerprint, created_at=clock.now())],
            ignore_conflicts=True,
        )
        row = IdempotentAnswer.objects.filter(staff=staff, key=key).first()
        if row is None:
            raise Conflict("This Idempotency-Key has just expired. Try again.")
        if row.fingerprint != fingerprint:
            raise KeyReused("This Idempotency-Key has already been used for another request.")
        if row.status:
            return StoredResponse(row.status, row.body)
        answer = act()
        row.status, row.body = answer.status, {**answer.body, **dict.fromkeys(forget & answer.body.keys())}
        row.save(update_fields=["status", "body"])
    return answer
