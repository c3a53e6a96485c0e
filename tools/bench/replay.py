"""The replay's bookings per second, with one and two processes, in one hotel and in many."""

import time
from datetime import date
from itertools import count

from django.db import connection
from tqdm import tqdm

from local.datadir import PROJECT
from operations.replay.records import Stay, read_stays
from operations.replay.runner import create_hotels, replay_all
from tools.bench import meters
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.harness.installation import Installation

SLICE = PROJECT / "operations" / "demo_data" / "bookings.csv"  # the part of the data set that the project contains
THINNED = 10  # with many hotels, each replays every tenth booking of its original
_prefixes = (f"replay-{number}" for number in count(1))


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """Alternate one and two workers, one hotel and many, each time with new hotels."""
    stays = list(read_stays(SLICE))
    resort = [stay for stay in stays if stay.hotel == "resort"]
    cases = [
        (f"{hotels} {'hotel' if hotels == 1 else 'hotels'}", hotels, resort if hotels == 1 else stays[::THINNED])
        for hotels in (1, scale.replay_hotels)
    ]
    rounds: dict[str, list[dict[str, float]]] = {title: [] for title, _, _ in cases}
    tqdm.monitor_interval = 0  # no monitor thread: the workers are forked
    for _ in tqdm(range(scale.replay_rounds), unit=" rounds", disable=None):
        for title, hotels, replayed in cases:
            one, two = (_speed(installation, replayed, hotels, workers) for workers in (1, 2))
            rounds[title].append({"1 worker, bookings/s": one, "2 workers, bookings/s": two, "× one worker": two / one})
    connection.close()
    report.add("Replay", [Row(f"replay, {title}", meters.medians(found)) for title, found in rounds.items()])


def _speed(installation: Installation, stays: list[Stay], hotels: int, workers: int) -> float:
    replays = [replay for _ in range((hotels + 1) // 2) for replay in create_hotels(stays, prefix=next(_prefixes))]

    def progress(day: date, done: int) -> None:
        installation.pause(0)

    began = time.perf_counter()
    replay_all(replays, workers=workers, progress=progress)
    return sum(len(replay.stays) for replay in replays) / (time.perf_counter() - began)
