"""The time from the commit of a change to its event's arrival at a client, at several rates.

This section runs first: the others leave unsent events, which a relay would send first.
"""

import time

from tqdm import tqdm

from local import LocalError
from tools.bench import meters
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.harness.delivery import delivery_times, percentile
from tools.harness.installation import Installation

WRITERS = 8
WARM_UP = 2.0  # seconds


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """Measure each rate in turn: clients change rooms over HTTP, web processes relay, subscribers receive."""
    installation.start_web(processes=2, relay="thread")
    installation.start_subscribers()
    rounds: dict[int, list[dict[str, float]]] = {rate: [] for rate in scale.event_rates}
    try:
        for number in tqdm(range(scale.event_rounds), unit=" rounds", disable=None):
            for rate in scale.event_rates:
                rounds[rate].append(_one_block(installation, rate, scale.event_seconds, number))
    finally:
        installation.stop_subscribers()
        installation.stop_relays()
    report.add(
        "Events, from the commit to the client",
        [Row(f"{rate} changes a second", meters.medians(found)) for rate, found in rounds.items()],
    )


def _one_block(installation: Installation, rate: int, seconds: float, number: int) -> dict[str, float]:
    installation.start_writers(min(WRITERS, rate), seed=f"{rate}.{number}", rate=rate)
    installation.pause(WARM_UP)
    began = time.time()
    installation.pause(seconds)
    ended = time.time()
    installation.stop_writers()
    if installation.drain() is None:
        raise LocalError("The events did not arrive within a minute and a half.")
    installation.read_sent()
    to_pusher, to_client = delivery_times(
        installation.changes(), installation.sent, installation.subscribers.arrivals, since=began, until=ended
    )
    return {
        "events": len(to_client),
        "events/s": len(to_client) / (ended - began),
        "p50 ms": percentile(to_client, 0.5),
        "p99 ms": percentile(to_client, 0.99),
        "to Pusher p50 ms": percentile(to_pusher, 0.5),
    }
