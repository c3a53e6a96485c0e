"""Requests that carry an ``Idempotency-Key``: done once, however often they are sent."""

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


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]


def answer_once(
    *,
    staff: Staff,
    key: str,
    request: Any,
    act: Callable[[], Answer],
    forget: frozenset[str] = frozenset(),
) -> Answer:
    """Act, and keep the answer in the same transaction; a repeat of ``request`` (JSON-safe: address and body) gets it.

    Without a key it just acts. Two at once: the second waits, and gets the first's answer. A refusal is raised and uses
    nothing up. ``forget`` names keys of the body that are told once and never stored (a repeat gets ``None`` for them).
    """
    if not key:
        return act()
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidInput(f"An Idempotency-Key has at most {LONGEST_KEY} printable characters.")
    fingerprint = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        # The unique rule makes the second wait for the first one's commit here; a row of our own nobody else sees.
        IdempotentAnswer.objects.bulk_create(
            [IdempotentAnswer(staff=staff, key=key, fingerprint=fingerprint, created_at=clock.now())],
            ignore_conflicts=True,
        )
        row = IdempotentAnswer.objects.filter(staff=staff, key=key).first()
        if row is None:
            raise Conflict("This Idempotency-Key is just being forgotten. Try again.")
        if row.fingerprint != fingerprint:
            raise KeyReused("This Idempotency-Key has already been used for another request.")
        if row.status:
            return Answer(row.status, row.body)
        answer = act()
        row.status, row.body = answer.status, {**answer.body, **dict.fromkeys(forget & answer.body.keys())}
        row.save(update_fields=["status", "body"])
    return answer
