"""What befalls the soak, by a seed, and which answers each fault explains. Pure; ``stage`` lets it happen."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tools.soak.client import Asked

# What happens, for how many seconds, and how often among the others.
KINDS = {
    "web": (0.0, 0.0, 5),  # SIGKILL of a web process
    "worker": (0.0, 0.0, 3),  # SIGKILL of a worker
    "backends": (0.0, 0.0, 5),  # pg_terminate_backend of a few
    "crash": (0.0, 0.0, 1),  # SIGKILL of one: PostgreSQL ends all, and recovers
    "locks": (2.0, 6.0, 4),  # rows held, mostly for longer than anybody waits
    "card failing": (3.0, 8.0, 3),
    "card hanging": (3.0, 8.0, 1),
    "pusher crashed": (0.2, 4.0, 1),
    "pusher stopped": (0.2, 4.0, 1),
    "pusher hung": (1.0, 8.0, 2),
}
CALM = (0.3, 2.5)
LONGEST = 20.0  # seconds that an answer may take, whatever happens: a few rows waited for, and a provider that hangs
# Seconds for which a fault is felt when it is over. Whoever waited for a held row held others meanwhile (3 s each); the
# client notes the time a moment before or after.
SLACK, AFTER_LOCKS, AFTER_CARDS = 0.3, 3.5, 1.0


class Strike(NamedTuple):
    kind: str
    seconds: float
    calm: float


class Fault(NamedTuple):
    """A strike that happened, from when to when (seconds since 1970)."""

    kind: str
    began: float
    ended: float


def plan(seed: int) -> Iterator[Strike]:
    """Strikes without end: first each kind once, then as often as they are."""
    rng = random.Random(f"faults {seed}")
    first = sorted(KINDS)
    rng.shuffle(first)
    weights = [often for _, _, often in KINDS.values()]
    while True:
        kind = first.pop() if first else rng.choices(list(KINDS), weights)[0]
        shortest, longest, _ = KINDS[kind]
        yield Strike(kind, rng.uniform(shortest, longest), rng.uniform(*CALM))


def explanation(asked: Asked, faults: Iterable[Fault]) -> str:
    """The kind of the fault, or other clients' payments, that explains an answer of 500 or more, or none; empty when
    nothing does.

    The code and the headers must be those that the contract names for it, too: a 500 is never explained. Nor is who
    waited for ever: a process that is killed hangs up.
    """
    kinds: tuple[str, ...]
    if asked.seconds > LONGEST:
        return ""
    if asked.status == 0:
        kinds, after = ("web",), SLACK
    elif asked.status == 503 and asked.retry_after and asked.code == "BUSY":
        kinds, after = ("locks",), AFTER_LOCKS
    elif asked.status == 503 and asked.retry_after and asked.code == "PAYMENTS_BUSY":
        return "other payments"  # whoever else is at the provider, with no fault needed
    elif asked.status == 503 and asked.retry_after and asked.code == "UNAVAILABLE":
        kinds, after = ("backends", "crash"), SLACK
    elif asked.status == 502 and asked.code in (
        "PAYMENT_CAPTURE_FAILED",
        "PAYMENT_VOID_FAILED",
        "PAYMENT_REFUND_FAILED",
    ):
        kinds, after = ("card failing", "card hanging"), AFTER_CARDS
    else:
        return ""
    ended = asked.started + asked.seconds
    for fault in faults:
        if fault.kind in kinds and asked.started <= fault.ended + after and fault.began <= ended + SLACK:
            return fault.kind
    return ""


def unexplained(requests: Sequence[Asked], faults: Sequence[Fault]) -> list[str]:
    """A sentence for each answer of 500 or more, or none at all, that no fault explains."""
    return [
        f"{asked.hotel}: {asked.op} was answered {asked.status or 'not at all'} {asked.code} at {asked.started:.2f}"
        f" after {asked.seconds:.2f} s{'' if asked.status != 503 or asked.retry_after else ' without Retry-After'}"
        for asked in requests
        if (asked.status == 0 or asked.status >= 500) and not explanation(asked, faults)
    ]
