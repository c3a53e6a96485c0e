"""The soak's plan of faults by seed, and the responses that each fault explains. Pure."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tools.soak.client import Attempt

# For each kind: shortest and longest duration in seconds, and its relative frequency.
KINDS = {
    "web": (0.0, 0.0, 5),  # SIGKILL of a web process
    "worker": (0.0, 0.0, 3),  # SIGKILL of a worker
    "backends": (0.0, 0.0, 5),  # pg_terminate_backend of a few
    "crash": (0.0, 0.0, 1),  # SIGKILL of a backend: PostgreSQL ends all of them and recovers
    "locks": (2.0, 6.0, 4),  # rows locked, mostly for longer than lock_timeout
    "card failing": (3.0, 8.0, 3),
    "card hanging": (3.0, 8.0, 1),
    "pusher crashed": (0.2, 4.0, 1),
    "pusher stopped": (0.2, 4.0, 1),
    "pusher hung": (1.0, 8.0, 2),
}
RECOVERY = (0.3, 2.5)
LONGEST = 20.0  # seconds that a response may take during any fault: a few lock waits, and a provider that hangs
# Seconds for which a fault has effects after its end. A request that waited for a locked row locked others meanwhile (3
# s each); the client's timestamps are slightly off.
SLACK, AFTER_LOCKS, AFTER_CARDS = 0.3, 3.5, 1.0


class PlannedFault(NamedTuple):
    kind: str
    seconds: float
    recovery: float


class Fault(NamedTuple):
    """A strike that happened, with its start and end (seconds since 1970)."""

    kind: str
    began: float
    ended: float


def plan(seed: int) -> Iterator[PlannedFault]:
    """Endless strikes: first each kind once, then by frequency."""
    rng = random.Random(f"faults {seed}")
    first = sorted(KINDS)
    rng.shuffle(first)
    weights = [often for _, _, often in KINDS.values()]
    while True:
        kind = first.pop() if first else rng.choices(list(KINDS), weights)[0]
        shortest, longest, _ = KINDS[kind]
        yield PlannedFault(kind, rng.uniform(shortest, longest), rng.uniform(*RECOVERY))


def explanation(attempt: Attempt, faults: Iterable[Fault]) -> str:
    """The kind of fault (or other clients' payments) that explains a 5xx or a missing response; empty if nothing does.

    The code and the headers must also be those documented for it (docs/api.md, Errors): a 500 is never explained.
    Neither is a response that took too long: a killed process closes its connections.
    """
    kinds: tuple[str, ...]
    if attempt.seconds > LONGEST:
        return ""
    if attempt.status == 0:
        kinds, after = ("web",), SLACK
    elif attempt.status == 503 and attempt.retry_after and attempt.code == "BUSY":
        kinds, after = ("locks",), AFTER_LOCKS
    elif attempt.status == 503 and attempt.retry_after and attempt.code == "PAYMENTS_BUSY":
        return "other payments"  # other requests are at the provider; no fault needed
    elif attempt.status == 503 and attempt.retry_after and attempt.code == "UNAVAILABLE":
        kinds, after = ("backends", "crash"), SLACK
    elif attempt.status == 502 and attempt.code in (
        "PAYMENT_CAPTURE_FAILED",
        "PAYMENT_VOID_FAILED",
        "PAYMENT_REFUND_FAILED",
    ):
        kinds, after = ("card failing", "card hanging"), AFTER_CARDS
    else:
        return ""
    ended = attempt.started + attempt.seconds
    for fault in faults:
        if fault.kind in kinds and attempt.started <= fault.ended + after and fault.began <= ended + SLACK:
            return fault.kind
    return ""


def unexplained(requests: Sequence[Attempt], faults: Sequence[Fault]) -> list[str]:
    """A sentence for each 5xx or missing response that no fault explains."""
    return [
        f"{attempt.hotel}: {attempt.op} returned {attempt.status or 'nothing'} {attempt.code} at {attempt.started:.2f}"
        f" after {attempt.seconds:.2f} s"
        f"{'' if attempt.status != 503 or attempt.retry_after else ' without Retry-After'}"
        for attempt in requests
        if (attempt.status == 0 or attempt.status >= 500) and not explanation(attempt, faults)
    ]
