"""How long an event takes from the commit to a subscriber, at several rates of change.

The first of all sections: the others leave events that nobody has sent, and a relay would begin with those.
"""

import time

from tqdm import tqdm

from local import LocalError
from tools.bench import meters
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.harness.delivery import percentile, way_to_screen
from tools.harness.stage import Stage

WRITERS = 8
WARM_UP = 2.0  # seconds


def measure(stage: Stage, scale: Scale, report: Report) -> None:
    """Clients change rooms over HTTP, web processes relay, screens of the drill listen; the rates take turns."""
    stage.start_web(processes=2, relay="thread")
    stage.start_screens()
    rounds: dict[int, list[dict[str, float]]] = {rate: [] for rate in scale.event_rates}
    try:
        for number in tqdm(range(scale.event_rounds), unit=" rounds", disable=None):
            for rate in scale.event_rates:
                rounds[rate].append(_one_block(stage, rate, scale.event_seconds, number))
    finally:
        stage.stop_screens()
        stage.stop_relays()
    report.add(
        "Events, from the commit to the screen",
        [Row(f"{rate} changes a second", meters.medians(found)) for rate, found in rounds.items()],
    )


def _one_block(stage: Stage, rate: int, seconds: float, number: int) -> dict[str, float]:
    stage.start_writers(min(WRITERS, rate), seed=f"{rate}.{number}", rate=rate)
    stage.pause(WARM_UP)
    began = time.time()
    stage.pause(seconds)
    ended = time.time()
    stage.stop_writers()
    if stage.drain() is None:
        raise LocalError("The events did not arrive within a minute and a half.")
    stage.read_sent()
    to_pusher, to_screen = way_to_screen(stage.changes(), stage.sent, stage.screens.arrivals, since=began, until=ended)
    return {
        "events": len(to_screen),
        "events/s": len(to_screen) / (ended - began),
        "p50 ms": percentile(to_screen, 0.5),
        "p99 ms": percentile(to_screen, 0.99),
        "to Pusher p50 ms": percentile(to_pusher, 0.5),
    }
