"""``make drill-events``: whether an event is ever lost, out of order or sent under two numbers; and how fast they are.

Three parts, in a house of its own that is thrown away afterwards. *Chaos*: four clients change rooms of three hotels
while web processes, workers and the Pusher server are killed, stopped, hung and slowed. *Relays*: nothing is killed and
nothing may be sent twice, however many relays there are; measures the way from the commit to the screen. *Requests*:
whether a client at the desk notices that the Pusher server is down or hangs. Exit code 1 when a promise was broken.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import NamedTuple

from tqdm import tqdm

from local import LocalError
from local.run import say
from local.service import wait_until
from local.signals import StopRequestedError, StopSignals
from tools.harness import chaos
from tools.harness.delivery import failures, percentile, repeats, way_to_screen
from tools.harness.stage import Stage, opened
from tools.harness.writer import Request

WRITERS = 4
RATE = 50  # changes a second; also amid the chaos, where a faster machine would be done before it has begun
WARM_UP = 2.0  # seconds: the first requests of a process load what it needs
WEB_PROCESSES, WORKERS = 3, 2  # of the chaos
ROLLING = 1.0  # seconds for which a step of the second part goes on undisturbed
STATES = {"up": "none", "down": "stopped", "hanging": "hung"}  # of the Pusher server, and chaos.TROUBLES
TARGET_P50, TARGET_P99 = 10.0, 50.0  # milliseconds from the commit to the screen


class Relays(NamedTuple):
    """Who sends, in a row of the second part."""

    title: str
    web: int  # processes
    threads: bool  # whether each of them relays
    workers: int
    rolling: bool = False  # the workers are told to stop and started anew, in turn


DEPLOYMENTS = (
    Relays("2 web threads, 1 worker", web=2, threads=True, workers=1),
    Relays("4 web threads", web=4, threads=True, workers=0),
    Relays("2 workers", web=2, threads=False, workers=2),
    Relays("4 workers", web=2, threads=False, workers=4),
    Relays("2 workers, SIGTERM in turn", web=2, threads=False, workers=2, rolling=True),
)


class Scale(NamedTuple):
    """How long each part takes."""

    changes: int
    seconds: float  # of each row of the second part
    cycles: int  # of the third part: each state of the Pusher server once
    block: float  # seconds of each state


FULL, QUICK = Scale(5000, 12, 5, 2.5), Scale(1000, 3, 1, 2.5)


class Report:
    """What is printed at the end: lines, and the promises that were broken."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.broken: list[str] = []

    def head(self, title: str) -> None:
        self.lines += ["", title]

    def fact(self, name: str, text: str) -> None:
        self.lines.append(f"  {name:<26}{text}")

    def row(self, title: str, *cells: str | float, word: str = "") -> None:
        texts = (cell if isinstance(cell, str) else f"{cell:,.1f}" for cell in cells)
        self.fact(title, "".join(f"{text:>9}" for text in texts) + f"  {word}".rstrip())

    def judge(self, part: str, found: Sequence[str]) -> None:
        self.broken += [f"{part}: {sentence}" for sentence in found]


def main(arguments: list[str] | None = None) -> int:
    """Run the drill; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make drill-events ARGS='…'", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats the plan of a run; without it a new one, which is printed")
    parser.add_argument("--changes", type=int, help=f"changes amid the chaos (default: {FULL.changes:,})")
    parser.add_argument("--quick", action="store_true", help="a minute, to see whether it works")
    parser.add_argument("--keep", action="store_true", help="leave the folder with database and logs for a look")
    options = parser.parse_args(arguments)
    scale = QUICK if options.quick else FULL
    if options.changes:
        scale = scale._replace(changes=options.changes)
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed

    signals = StopSignals()
    signals.install()
    began = time.monotonic()
    report = Report()
    try:
        with opened(signals.pause, keep=options.keep) as stage:
            say(f"Seed {seed}, in {stage.data.path}")
            report.lines.append(machine(stage))
            for part in (under_chaos, with_relays, at_the_desk):
                if not report.broken:  # what is broken already would only spoil the figures
                    part(stage, seed, scale, report)
    except StopRequestedError:
        say("\nStopped.")
        return 130
    except LocalError as error:
        say(f"\n{error}")
        return 1
    say("\n".join([*report.lines, ""]))
    say(f"Seed {seed}, {time.monotonic() - began:.0f} s")
    if report.broken:
        say("\nBROKEN:\n" + "\n".join(report.broken))
        return 1
    say("Every promise was kept.")
    return 0


def machine(stage: Stage) -> str:
    """What the times depend on."""
    times = []
    with tempfile.TemporaryFile(dir=stage.data.path) as file:
        for _ in range(50):
            file.write(b"x" * 8192)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return (
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"fsync {percentile(times, 0.5):.1f} ms (p99 {percentile(times, 0.99):.1f} ms)"
    )


# --- 1: chaos ---------------------------------------------------------------------------------------------------------


def under_chaos(stage: Stage, seed: int, scale: Scale, report: Report) -> None:
    """Changes while everything that delivers them is struck."""
    stage.start_web(processes=WEB_PROCESSES, relay="thread")
    stage.start_workers(WORKERS)
    stage.start_screens()
    rng = random.Random(seed)
    began = time.monotonic()
    with progress(stage, scale.changes):
        stage.start_writers(WRITERS, seed=seed, rate=RATE)
        strikes = chaos.plan(seed)
        while stage.committed() < scale.changes:
            stage.perform(next(strikes), rng)
    seconds = time.monotonic() - began
    say("Waiting until all has arrived ...")
    drained = settle(stage, "chaos", report)

    changes, arrivals = stage.committed(), stage.screens.arrivals
    report.head(
        f"Chaos: {WRITERS} clients write, 3 hotels, {WEB_PROCESSES} web processes with a relay each, {WORKERS} workers"
    )
    report.fact("committed", f"{changes:,} changes in {seconds:.0f} s: {changes / seconds:.0f} events/s in all")
    report.fact("killed with SIGKILL", listed(stage.kills + Counter(pusher=stage.troubles["crashed"])))
    report.fact("the Pusher server", listed(Counter({k: v for k, v in stage.troubles.items() if k != "none"})))
    report.fact("requests", answers(stage.requests))
    report.fact("sent", f"{len(stage.sent):,} times, {repeats(stage.sent):,} of them again")
    report.fact("arrived", f"{len({arrival.event_id for arrival in arrivals}):,} events")
    live = [arrival for arrival in arrivals if arrival.way == "live"]
    report.fact("  live", f"{len(live):,}, {repeats(live):,} of them again")
    again = stage.screens.counts["connected"] - len(stage.last_seqs())
    report.fact("  from the log", f"{len(arrivals) - len(live):,}; the screens had to connect again {again:,} times")
    report.fact("all there after", f"{drained:.1f} s" if drained is not None else "never")


@contextmanager
def progress(stage: Stage, wanted: int) -> Iterator[None]:
    """A bar that moves whenever somebody waits."""
    due = 0.0
    with tqdm(total=wanted, unit=" changes", disable=None) as bar:

        def show() -> None:
            nonlocal due
            if time.monotonic() >= due:
                due = time.monotonic() + 0.5
                bar.n = min(stage.committed(), wanted)
                stage.screens.read()
                bar.set_postfix_str(f"arrived {len(stage.screens.applied):,}, killed {stage.kills.total()}")

        stage.on_pause = show
        yield
        stage.on_pause = lambda: None
        bar.n = wanted


def settle(stage: Stage, part: str, report: Report) -> float | None:
    """End a part: let all arrive, and compare all that ever happened with all that ever arrived.

    Returns after how many seconds it was there, or None when it was not.
    """
    stage.stop_writers()
    drained = stage.drain()
    if drained is None:
        report.judge(part, ["not all events arrived within a minute and a half"])
    stage.stop_relays()
    stage.screens.read()
    stage.read_sent()
    report.judge(
        part,
        failures(
            list(stage.changes()),
            stage.stored(),
            stage.sent,
            stage.screens.arrivals,
            stage.screens.applied,
            last_seqs=stage.last_seqs(),
            acknowledged=stage.acknowledged(),
        ),
    )
    try:
        stage.run("manage.py", "check_invariants")
    except LocalError as error:
        report.judge(part, [str(error)])
    return drained


def listed(counts: Counter[str]) -> str:
    return " · ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "nothing"


def answers(requests: Sequence[Request]) -> str:
    """How the writers' requests were answered."""
    counts = Counter(str(request.status) for request in requests if request.status)
    unanswered = sum(not request.status for request in requests)
    slowest = max(request.seconds for request in requests)
    return f"{len(requests):,}: {listed(counts)} · no answer {unanswered:,}; the slowest took {slowest * 1000:,.0f} ms"


# --- 2: relays --------------------------------------------------------------------------------------------------------


def with_relays(stage: Stage, seed: int, scale: Scale, report: Report) -> None:
    """Nobody is killed: nothing is sent twice; and how long the way to the screen is."""
    report.head("Relays: nothing killed; milliseconds from the commit to the Pusher server (p50) and to the screen")
    report.row("all hotels together", "events", "events/s", "twice", "Pusher", "p50", "p95", "p99", "max")
    for relays in DEPLOYMENTS:
        say(f"{relays.title} ...")
        one_deployment(stage, relays, seed, scale, report)
    report.row("wanted", "", f"{RATE}", "0", "", TARGET_P50, "", TARGET_P99)


def one_deployment(stage: Stage, relays: Relays, seed: int, scale: Scale, report: Report) -> None:
    """One row of the table."""
    stage.start_web(processes=relays.web, relay="thread" if relays.threads else "off")
    stage.start_workers(relays.workers)
    began = time.time()
    stage.start_writers(WRITERS, seed=f"{seed}.{relays.title}", rate=RATE)
    stage.pause(WARM_UP)
    counted_from, end = time.time(), time.monotonic() + scale.seconds
    workers = cycle(stage.workers)
    while (left := end - time.monotonic()) > 0:
        stage.pause(min(ROLLING, left))
        if relays.rolling:
            stage.restart(next(workers))
    counted_to = time.time()
    settle(stage, relays.title, report)

    arrived = [arrival for arrival in stage.screens.arrivals if arrival.way == "live" and arrival.at >= began]
    twice = max(repeats(arrived), repeats(event for event in stage.sent if event.at >= began))
    if twice:
        report.judge(relays.title, [f"{twice} events were sent twice, and nobody was killed"])
    to_pusher, to_screen = way_to_screen(
        stage.changes(), stage.sent, stage.screens.arrivals, since=counted_from, until=counted_to
    )
    p50, p95, p99, longest = (percentile(to_screen, share) for share in (0.5, 0.95, 0.99, 1.0))
    word = "as wanted" if p50 <= TARGET_P50 and p99 <= TARGET_P99 else "slower"
    counts = f"{len(to_screen):,}", f"{len(to_screen) / (counted_to - counted_from):.0f}", f"{twice:,}"
    report.row(relays.title, *counts, percentile(to_pusher, 0.5), p50, p95, p99, longest, word=word)


# --- 3: requests ------------------------------------------------------------------------------------------------------


def at_the_desk(stage: Stage, seed: int, scale: Scale, report: Report) -> None:
    """Request times while the Pusher server is up, down and hanging, in blocks that take turns."""
    say("Requests with the Pusher server up, down and hanging ...")
    stage.start_web(processes=2, relay="thread")
    stage.start_workers(1)
    first = len(stage.requests)
    stage.start_writers(WRITERS, seed=f"{seed}.desk", rate=RATE)
    stage.pause(WARM_UP)
    blocks: dict[str, list[tuple[float, float]]] = defaultdict(list)
    rng = random.Random(seed)
    for _ in range(scale.cycles):
        for state in rng.sample(sorted(STATES), len(STATES)):
            with stage.pusher_in(STATES[state]):
                stage.pause(0.3)  # by now every relay has noticed
                began = time.time()
                stage.pause(scale.block)
                blocks[state].append((began, time.time()))
            # Every block is to start alike: with little that still waits to be sent.
            wait_until(lambda: stage.waiting() <= RATE / 5, 60, stage.pause)
    settle(stage, "requests", report)

    requests = stage.requests[first:]
    times = {
        state: [
            request.seconds * 1000
            for request in requests
            if any(began <= request.started < ended for began, ended in blocks[state])
        ]
        for state in STATES
    }
    report.head("Requests: milliseconds for a change of status, while the Pusher server is")
    report.row("", "requests", "p50", "p95", "max", "p50 / up", "p95 / up")
    for state, values in times.items():
        p50, p95, longest = (percentile(values, share) for share in (0.5, 0.95, 1.0))
        ratios = (f"{value / percentile(times['up'], share):.2f}" for value, share in ((p50, 0.5), (p95, 0.95)))
        report.row(state, f"{len(values):,}", p50, p95, longest, *ratios)
    report.fact("answers", answers(requests))
    # A writer who waits for a relay waits as long as that waits for Pusher: till the block's end, or its own time-out.
    blocked = sum(value > scale.block * 1000 / 2 for state in ("down", "hanging") for value in times[state])
    busy = sum(request.status == 503 for request in requests)
    if blocked or busy:
        report.judge("requests", [f"{blocked} writers waited for a relay, {busy} were told that the house is busy"])


if __name__ == "__main__":
    sys.exit(main())
