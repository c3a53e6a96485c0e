"""The drill's plan of faults: the same for the same seed, but for the exact moments, which depend on the machine."""

import random
from collections.abc import Iterator
from typing import NamedTuple

# Faults of the Pusher server, and their duration in seconds. A relay's call to it times out after 5 seconds.
FAULTS = {
    "none": (1.0, 2.0),
    "crashed": (0.2, 3.0),  # SIGKILL, then restarted
    "stopped": (0.2, 3.0),  # SIGTERM, then restarted
    "hung": (0.5, 7.0),  # SIGSTOP, then SIGCONT: it accepts connections and sends nothing
    "slowed": (2.0, 4.0),  # many short SIGSTOPs
}
RECOVERY = (0.2, 1.0)
KILLABLE = ("web", "worker")


class PlannedFault(NamedTuple):
    """One fault of the Pusher server, the processes killed during it, and a pause to recover."""

    fault: str
    seconds: float
    kills: tuple[tuple[float, str], ...]  # seconds after the start, and the kind of process; ascending
    recovery: float


# Once a run, and longer: the server is down until the relays wait long between attempts, then it is back and hangs, so
# that one attempt fails during the hang and the next one succeeds. The relays must not blame an event for that.
LONG_AWAY, LONG_HANG = (13.0, 17.0), (7.0, 9.5)


def plan(seed: int) -> Iterator[PlannedFault]:
    """Endless faults: each round has every fault once, in random order; the long ones follow the first round."""
    rng = random.Random(seed)
    yield from _round(rng)
    yield PlannedFault("crashed", rng.uniform(*LONG_AWAY), (), 0.0)
    yield PlannedFault("hung", rng.uniform(*LONG_HANG), (), rng.uniform(*RECOVERY))
    while True:
        yield from _round(rng)


def _round(rng: random.Random) -> Iterator[PlannedFault]:
    faults = sorted(FAULTS)
    rng.shuffle(faults)
    for fault in faults:
        seconds = rng.uniform(*FAULTS[fault])
        moments = sorted(rng.uniform(0, seconds) for _ in range(rng.choice((1, 1, 2, 2))))
        kills = tuple((moment, rng.choice(KILLABLE)) for moment in moments)
        yield PlannedFault(fault, seconds, kills, rng.uniform(*RECOVERY))
