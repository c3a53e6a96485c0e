"""What befalls the house: a plan that a seed repeats. When exactly it strikes is the machine's."""

import random
from collections.abc import Iterator
from typing import NamedTuple

# What happens to the Pusher server, and for how many seconds. The relay gives one call to it 5 seconds.
TROUBLES = {
    "none": (1.0, 2.0),
    "crashed": (0.2, 3.0),  # SIGKILL, then started anew
    "stopped": (0.2, 3.0),  # SIGTERM, then started anew
    "hung": (0.5, 7.0),  # SIGSTOP, then SIGCONT: it takes connections and says nothing
    "slowed": (2.0, 4.0),  # many short SIGSTOPs
}
CALM = (0.2, 1.0)
KILLABLE = ("web", "worker")


class Strike(NamedTuple):
    """One trouble of the Pusher server, the processes that are killed meanwhile, and a moment to recover."""

    trouble: str
    seconds: float
    kills: tuple[tuple[float, str], ...]  # seconds after the beginning, and of what kind; ascending
    calm: float


# Once a run, and longer: away until the relays take long breaks between their tries, and then it is back and hangs, so
# that a try fails in the hang and the next one succeeds after it. No event may be taken for the cause of that.
LONG_AWAY, LONG_HANG = (13.0, 17.0), (7.0, 9.5)


def plan(seed: int) -> Iterator[Strike]:
    """Strikes without end: each round has every trouble once, in an order of its own; after the first, the long one."""
    rng = random.Random(seed)
    yield from _round(rng)
    yield Strike("crashed", rng.uniform(*LONG_AWAY), (), 0.0)
    yield Strike("hung", rng.uniform(*LONG_HANG), (), rng.uniform(*CALM))
    while True:
        yield from _round(rng)


def _round(rng: random.Random) -> Iterator[Strike]:
    troubles = sorted(TROUBLES)
    rng.shuffle(troubles)
    for trouble in troubles:
        seconds = rng.uniform(*TROUBLES[trouble])
        moments = sorted(rng.uniform(0, seconds) for _ in range(rng.choice((1, 1, 2, 2))))
        kills = tuple((moment, rng.choice(KILLABLE)) for moment in moments)
        yield Strike(trouble, seconds, kills, rng.uniform(*CALM))
