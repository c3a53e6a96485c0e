"""``make drill-events``: whether an event is ever lost, out of order or sent under two numbers; and how fast they are.

Three parts, in a house of its own that is thrown away afterwards. *Chaos*: four clients change rooms of three hotels
while web processes, workers and the Pusher server are killed, stopped, hung and slowed. *Relays*: nothing is killed and
nothing may be sent twice, however many relays there are; measures the way from the commit to the screen. *Requests*:
whether a client at the desk notices that the Pusher server is down or hangs. Exit code 1 when a promise was broken.
"""

import argparse
import math
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import NamedTuple

from tqdm import tqdm

from bench import chaos
from bench.stage import Request, Stage, opened
from bench.verdict import Arrival, failures, percentile, repeats
from hotelmate.local import LocalError
from hotelmate.local.run import say
from hotelmate.local.signals import StopRequestedError, StopSignals

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
        self.lines.append(f"  {name:<28}{text}")

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
    with progress(stage, scale.changes) as enough:
        stage.start_writers(WRITERS, seed=seed, rate=RATE)
        for strike in chaos.plan(seed):
            stage.perform(strike, rng)
            if enough():
                break
    stage.stop_writers()
    seconds = time.monotonic() - began
    say("Waiting until all has arrived ...")
    drained = stage.drain()
    verify(stage, "chaos", report)

    changes, arrivals = stage.committed(), stage.screens.arrivals
    ways = Counter(arrival.way for arrival in arrivals)
    report.head(
        f"Chaos: {WRITERS} clients write, 3 hotels, {WEB_PROCESSES} web processes with a relay each, {WORKERS} workers"
    )
    report.fact("committed", f"{changes:,} changes in {seconds:.0f} s")
    report.fact("killed with SIGKILL", listed(stage.kills + Counter(pusher=stage.troubles["crashed"])))
    report.fact("the Pusher server", listed(Counter({k: v for k, v in stage.troubles.items() if k != "none"})))
    report.fact("requests", answers(stage.requests))
    report.fact(
        "sent",
        f"{len(stage.sent):,} times, {repeats(event.event_id for event in stage.sent):,} of them again",
    )
    report.fact("arrived", f"{len({arrival.event_id for arrival in arrivals}):,} events")
    report.fact("  live", f"{ways['live']:,}, {sent_again(arrivals):,} of them again")
    again = stage.screens.counts["connected"] - len(stage.last_seqs())
    report.fact("  from the log", f"{ways['replay']:,}; the screens had to connect again {again:,} times")
    report.fact("all there after", f"{drained:.1f} s" if drained is not None else "never")
    stage.stop_relays()


@contextmanager
def progress(stage: Stage, wanted: int) -> Iterator[Callable[[], bool]]:
    """A bar that moves whenever somebody waits; gives a function that says whether there are enough changes."""
    quietly, due = stage.pause, 0.0
    with tqdm(total=wanted, unit=" changes", disable=None) as bar:

        def pause(seconds: float) -> None:
            nonlocal due
            quietly(seconds)
            if time.monotonic() >= due:
                due = time.monotonic() + 0.5
                bar.n = min(stage.committed(), wanted)
                stage.screens.read()
                bar.set_postfix_str(f"arrived {len(stage.screens.applied):,}, killed {stage.kills.total()}")

        stage.pause = pause
        try:
            yield lambda: stage.committed() >= wanted
        finally:
            stage.pause = quietly
            bar.n = wanted


def verify(stage: Stage, part: str, report: Report) -> None:
    """Compare all that ever happened with all that ever arrived."""
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


def sent_again(arrivals: Iterable[Arrival]) -> int:
    """How often a screen got live what it had got live before."""
    return repeats(arrival.event_id for arrival in arrivals if arrival.way == "live")


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
    columns = "".join(f"{name:>8}" for name in ("changes", "a s", "twice", "Pusher", "p50", "p95", "p99", "max"))
    report.lines.append(f"  {'':<28}{columns}")
    for relays in DEPLOYMENTS:
        say(f"{relays.title} ...")
        one_deployment(stage, relays, seed, scale, report)
    report.lines.append(f"  {'target':<36}{RATE:>8}{0:>8}{'':>8}{TARGET_P50:>8.1f}{'':>8}{TARGET_P99:>8.1f}")


def one_deployment(stage: Stage, relays: Relays, seed: int, scale: Scale, report: Report) -> None:
    """One row of the table."""
    stage.start_web(processes=relays.web, relay="thread" if relays.threads else "off")
    stage.start_workers(relays.workers)
    stage.drain()
    stage.read_sent()
    known, first, first_sent = set(stage.changes()), len(stage.screens.arrivals), len(stage.sent)
    stage.start_writers(WRITERS, seed=f"{seed}.{relays.title}", rate=RATE)
    stage.pause(WARM_UP)
    counted_from = time.time()
    end = time.monotonic() + scale.seconds
    for worker in cycle(stage.workers if relays.rolling else [None]):
        stage.pause(min(ROLLING, max(0.0, end - time.monotonic())))
        if time.monotonic() >= end:
            break
        if worker:
            worker.stop()
            stage.start_worker(worker)
            stage.await_worker(worker)
    seconds = time.time() - counted_from
    stage.stop_writers()
    if stage.drain() is None:
        report.judge(relays.title, ["not all events arrived within a minute and a half"])

    arrivals = stage.screens.arrivals[first:]
    commits = {change: at for change, at in stage.changes().items() if change not in known}
    stage.read_sent()
    twice = max(sent_again(arrivals), repeats(event.event_id for event in stage.sent[first_sent:]))
    published = {event.event_id: event.at for event in stage.sent[first_sent:]}
    ways: dict[str, tuple[float, float]] = {}  # milliseconds to the Pusher server, and to the screen
    for arrival in arrivals:
        committed = commits.get(arrival.change, 0.0)
        if arrival.way == "live" and committed >= counted_from:
            to_pusher, to_screen = published[arrival.event_id] - committed, arrival.at - committed
            ways.setdefault(arrival.event_id, (to_pusher * 1000, to_screen * 1000))
    sent, seen = zip(*(ways.values() or [(math.nan, math.nan)]), strict=True)
    figures = [percentile(sent, 0.5), *(percentile(seen, share) for share in (0.5, 0.95, 0.99, 1.0))]
    row = "".join(f"{value:>8.1f}" for value in figures)
    report.lines.append(f"  {relays.title:<28}{len(commits):>8,}{len(ways) / seconds:>8.0f}{twice:>8,}{row}")
    if twice:
        report.judge(relays.title, [f"{twice} events were sent twice, and nobody was killed"])
    stage.stop_relays()
    verify(stage, relays.title, report)


# --- 3: requests ------------------------------------------------------------------------------------------------------


def at_the_desk(stage: Stage, seed: int, scale: Scale, report: Report) -> None:
    """Request times while the Pusher server is up, down and hanging, in blocks that take turns."""
    say("Requests with the Pusher server up, down and hanging ...")
    stage.start_web(processes=2, relay="thread")
    stage.start_workers(1)
    stage.drain()
    first = len(stage.requests)
    stage.start_writers(WRITERS, seed=f"{seed}.desk", rate=RATE)
    stage.pause(WARM_UP)
    blocks: list[tuple[str, float, float]] = []
    rng = random.Random(seed)
    for _ in range(scale.cycles):
        for state in rng.sample(sorted(STATES), len(STATES)):
            with stage.pusher_in(STATES[state]):
                stage.pause(0.3)  # by now every relay has noticed
                began = time.time()
                stage.pause(scale.block)
                blocks.append((state, began, time.time()))
            caught_up(stage)
    stage.stop_writers()
    if stage.drain() is None:
        report.judge("requests", ["not all events arrived within a minute and a half"])
    requests = stage.requests[first:]
    times = {
        state: [
            request.seconds * 1000
            for request in requests
            for name, began, ended in blocks
            if name == state and began <= request.started < ended
        ]
        for state in STATES
    }
    report.head("Requests: milliseconds for a change of status, while the Pusher server is")
    report.lines.append(f"  {'':<28}{'requests':>8}{'p50':>8}{'p95':>8}{'max':>8}{'p50 / up':>10}{'p95 / up':>10}")
    for state, values in times.items():
        p50, p95 = percentile(values, 0.5), percentile(values, 0.95)
        ratios = (p50 / percentile(times["up"], 0.5), p95 / percentile(times["up"], 0.95))
        report.lines.append(
            f"  {state:<28}{len(values):>8,}{p50:>8.1f}{p95:>8.1f}{max(values):>8.1f}"
            f"{ratios[0]:>10.2f}{ratios[1]:>10.2f}"
        )
    report.fact("answers", answers(requests))
    # A writer who waits for a relay waits as long as that waits for Pusher: till the block's end, or its own time-out.
    blocked = sum(value > scale.block * 1000 / 2 for state in ("down", "hanging") for value in times[state])
    busy = sum(request.status == 503 for request in requests)
    if blocked or busy:
        report.judge("requests", [f"{blocked} writers waited for a relay, {busy} were told that the house is busy"])
    stage.stop_relays()
    verify(stage, "requests", report)


def caught_up(stage: Stage) -> None:
    """Wait, for a minute at most, until what piled up meanwhile is sent: every block is to start alike."""
    give_up = time.monotonic() + 60
    while stage.waiting() > RATE / 5 and time.monotonic() < give_up:
        stage.pause(0.1)


if __name__ == "__main__":
    sys.exit(main())
