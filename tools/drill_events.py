"""``make drill-events``: checks that no event is lost, out of order or sent under two numbers; measures delivery.

Three parts, in a throw-away installation. *Chaos*: four clients change rooms of three hotels while web processes,
workers and the Pusher server are killed, stopped, hung and slowed. *Relays*: nothing is killed and nothing may be sent
twice, however many relays there are; measures the time from the commit to the client. *Requests*: whether requests are
slower while the Pusher server is down or hangs. The exit code is 1 if a check failed.
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
from tools.harness.delivery import delivery_times, failures, percentile, repeats
from tools.harness.installation import Installation, throwaway_installation
from tools.harness.writer import Request

WRITERS = 4
RATE = 50  # changes a second; limited during the chaos too, or a fast machine would finish before the first fault
WARM_UP = 2.0  # seconds: a process loads modules in its first requests
WEB_PROCESSES, WORKERS = 3, 2  # in the first part
ROLLING = 1.0  # seconds between two restarts in the second part
STATES = {"up": "none", "down": "stopped", "hanging": "hung"}  # of the Pusher server, and chaos.FAULTS
TARGET_P50, TARGET_P99 = 10.0, 50.0  # milliseconds from the commit to the client


class Relays(NamedTuple):
    """The processes that send events, in a row of the second part."""

    title: str
    web: int  # processes
    threads: bool  # whether each of them relays
    workers: int
    rolling: bool = False  # the workers are restarted one after the other


DEPLOYMENTS = (
    Relays("2 web threads, 1 worker", web=2, threads=True, workers=1),
    Relays("4 web threads", web=4, threads=True, workers=0),
    Relays("2 workers", web=2, threads=False, workers=2),
    Relays("4 workers", web=2, threads=False, workers=4),
    Relays("2 workers, restarted", web=2, threads=False, workers=2, rolling=True),
)


class Scale(NamedTuple):
    """The length of each part."""

    changes: int
    seconds: float  # of each row of the second part
    cycles: int  # of the third part: every state of the Pusher server once
    block: float  # seconds of each state


FULL, QUICK = Scale(5000, 12, 5, 2.5), Scale(1000, 3, 1, 2.5)


class Report:
    """The report printed at the end, and the failures."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failures: list[str] = []

    def head(self, title: str) -> None:
        self.lines += ["", title]

    def fact(self, name: str, text: str) -> None:
        self.lines.append(f"  {name:<26}{text}")

    def row(self, title: str, *cells: str | float, word: str = "") -> None:
        texts = (cell if isinstance(cell, str) else f"{cell:,.1f}" for cell in cells)
        self.fact(title, "".join(f"{text:>9}" for text in texts) + f"  {word}".rstrip())

    def judge(self, part: str, found: Sequence[str]) -> None:
        self.failures += [f"{part}: {sentence}" for sentence in found]


def main(arguments: list[str] | None = None) -> int:
    """Run the drill; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make drill-events ARGS='…'", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeat the plan of an earlier run; default: random, and printed")
    parser.add_argument("--changes", type=int, help=f"changes in the chaos part (default: {FULL.changes:,})")
    parser.add_argument("--quick", action="store_true", help="a run of about a minute")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the database and the logs")
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
        with throwaway_installation(signals.pause, keep=options.keep) as installation:
            say(f"Seed {seed}, in {installation.data.path}")
            report.lines.append(machine(installation))
            for part in (run_chaos, measure_relays, measure_requests):
                if not report.failures:  # figures of a failed run mean nothing
                    part(installation, seed, scale, report)
    except StopRequestedError:
        say("\nStopped.")
        return 130
    except LocalError as error:
        say(f"\n{error}")
        return 1
    say("\n".join([*report.lines, ""]))
    say(f"Seed {seed}, {time.monotonic() - began:.0f} s")
    if report.failures:
        say("\nFAILED:\n" + "\n".join(report.failures))
        return 1
    say("All checks passed.")
    return 0


def machine(installation: Installation) -> str:
    """The machine's properties that the times depend on."""
    times = []
    with tempfile.TemporaryFile(dir=installation.data.path) as file:
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


def run_chaos(installation: Installation, seed: int, scale: Scale, report: Report) -> None:
    """Change rooms while every process that delivers events is disturbed."""
    installation.start_web(processes=WEB_PROCESSES, relay="thread")
    installation.start_workers(WORKERS)
    installation.start_subscribers()
    rng = random.Random(seed)
    began = time.monotonic()
    with progress(installation, scale.changes):
        installation.start_writers(WRITERS, seed=seed, rate=RATE)
        planned_faults = chaos.plan(seed)
        while installation.committed() < scale.changes:
            installation.perform(next(planned_faults), rng)
    seconds = time.monotonic() - began
    say("Waiting for all events to arrive ...")
    drained = settle(installation, "chaos", report)

    changes, arrivals = installation.committed(), installation.subscribers.arrivals
    report.head(
        f"Chaos: {WRITERS} clients write, 3 hotels, {WEB_PROCESSES} web processes with a relay each, {WORKERS} workers"
    )
    report.fact("committed", f"{changes:,} changes in {seconds:.0f} s: {changes / seconds:.0f} events/s in all")
    report.fact(
        "killed with SIGKILL", listed(installation.kills + Counter(pusher=installation.fault_counts["crashed"]))
    )
    report.fact(
        "Pusher server faults", listed(Counter({k: v for k, v in installation.fault_counts.items() if k != "none"}))
    )
    report.fact("requests", outcomes(installation.requests))
    report.fact("sent", f"{len(installation.sent):,} times, {repeats(installation.sent):,} of them repeats")
    report.fact("arrived", f"{len({arrival.event_id for arrival in arrivals}):,} events")
    live = [arrival for arrival in arrivals if arrival.way == "live"]
    report.fact("  live", f"{len(live):,}, {repeats(live):,} of them repeats")
    again = installation.subscribers.counts["connected"] - len(installation.last_seqs())
    report.fact("  from the log", f"{len(arrivals) - len(live):,}; {again:,} reconnects")
    report.fact("all arrived after", f"{drained:.1f} s" if drained is not None else "never")


@contextmanager
def progress(installation: Installation, total: int) -> Iterator[None]:
    """A progress bar, updated in every pause."""
    due = 0.0
    with tqdm(total=total, unit=" changes", disable=None) as bar:

        def show() -> None:
            nonlocal due
            if time.monotonic() >= due:
                due = time.monotonic() + 0.5
                bar.n = min(installation.committed(), total)
                installation.subscribers.read()
                bar.set_postfix_str(
                    f"arrived {len(installation.subscribers.applied):,}, killed {installation.kills.total()}"
                )

        installation.on_pause = show
        yield
        installation.on_pause = lambda: None
        bar.n = total


def settle(installation: Installation, part: str, report: Report) -> float | None:
    """End a part: wait for all events, and compare all changes so far with all events received so far.

    Returns the seconds it took, or None on a timeout.
    """
    installation.stop_writers()
    drained = installation.drain()
    if drained is None:
        report.judge(part, ["not all events arrived within a minute and a half"])
    installation.stop_relays()
    installation.subscribers.read()
    installation.read_sent()
    report.judge(
        part,
        failures(
            list(installation.changes()),
            installation.stored(),
            installation.sent,
            installation.subscribers.arrivals,
            installation.subscribers.applied,
            last_seqs=installation.last_seqs(),
            acknowledged=installation.acknowledged(),
        ),
    )
    try:
        installation.run("manage.py", "check_invariants")
    except LocalError as error:
        report.judge(part, [str(error)])
    return drained


def listed(counts: Counter[str]) -> str:
    return " · ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "nothing"


def outcomes(requests: Sequence[Request]) -> str:
    """The outcomes of the writers' requests."""
    counts = Counter(str(request.status) for request in requests if request.status)
    unanswered = sum(not request.status for request in requests)
    slowest = max(request.seconds for request in requests)
    return (
        f"{len(requests):,}: {listed(counts)} · no response {unanswered:,}; the slowest took {slowest * 1000:,.0f} ms"
    )


# --- 2: relays --------------------------------------------------------------------------------------------------------


def measure_relays(installation: Installation, seed: int, scale: Scale, report: Report) -> None:
    """Kill nothing: check that nothing is sent twice, and measure the delivery times."""
    report.head("Relays: nothing killed; milliseconds from the commit to the Pusher server (p50) and to the client")
    report.row("all hotels together", "events", "events/s", "twice", "Pusher", "p50", "p95", "p99", "max")
    for relays in DEPLOYMENTS:
        say(f"{relays.title} ...")
        measure_deployment(installation, relays, seed, scale, report)
    report.row("target", "", f"{RATE}", "0", "", TARGET_P50, "", TARGET_P99)


def measure_deployment(installation: Installation, relays: Relays, seed: int, scale: Scale, report: Report) -> None:
    """Measure one row of the table."""
    installation.start_web(processes=relays.web, relay="thread" if relays.threads else "off")
    installation.start_workers(relays.workers)
    began = time.time()
    installation.start_writers(WRITERS, seed=f"{seed}.{relays.title}", rate=RATE)
    installation.pause(WARM_UP)
    counted_from, end = time.time(), time.monotonic() + scale.seconds
    workers = cycle(installation.workers)
    while (left := end - time.monotonic()) > 0:
        installation.pause(min(ROLLING, left))
        if relays.rolling:
            installation.restart(next(workers))
    counted_to = time.time()
    settle(installation, relays.title, report)

    arrived = [
        arrival for arrival in installation.subscribers.arrivals if arrival.way == "live" and arrival.at >= began
    ]
    twice = max(repeats(arrived), repeats(event for event in installation.sent if event.at >= began))
    if twice:
        report.judge(relays.title, [f"{twice} events were sent twice although nothing was killed"])
    to_pusher, to_client = delivery_times(
        installation.changes(),
        installation.sent,
        installation.subscribers.arrivals,
        since=counted_from,
        until=counted_to,
    )
    p50, p95, p99, longest = (percentile(to_client, share) for share in (0.5, 0.95, 0.99, 1.0))
    word = "within target" if p50 <= TARGET_P50 and p99 <= TARGET_P99 else "over target"
    counts = f"{len(to_client):,}", f"{len(to_client) / (counted_to - counted_from):.0f}", f"{twice:,}"
    report.row(relays.title, *counts, percentile(to_pusher, 0.5), p50, p95, p99, longest, word=word)


# --- 3: requests ------------------------------------------------------------------------------------------------------


def measure_requests(installation: Installation, seed: int, scale: Scale, report: Report) -> None:
    """Measure requests while the Pusher server is up, down and hanging, in alternating blocks."""
    say("Requests with the Pusher server up, down and hanging ...")
    installation.start_web(processes=2, relay="thread")
    installation.start_workers(1)
    first = len(installation.requests)
    installation.start_writers(WRITERS, seed=f"{seed}.desk", rate=RATE)
    installation.pause(WARM_UP)
    blocks: dict[str, list[tuple[float, float]]] = defaultdict(list)
    rng = random.Random(seed)
    for _ in range(scale.cycles):
        for state in rng.sample(sorted(STATES), len(STATES)):
            with installation.pusher_in(STATES[state]):
                installation.pause(0.3)  # until every relay has noticed
                began = time.time()
                installation.pause(scale.block)
                blocks[state].append((began, time.time()))
            # Every block starts alike: with few events waiting to be sent.
            wait_until(lambda: installation.waiting() <= RATE / 5, 60, installation.pause)
    settle(installation, "requests", report)

    requests = installation.requests[first:]
    times = {
        state: [
            request.seconds * 1000
            for request in requests
            if any(began <= request.started < ended for began, ended in blocks[state])
        ]
        for state in STATES
    }
    report.head("Requests: milliseconds for a status change while the Pusher server is")
    report.row("", "requests", "p50", "p95", "max", "p50 / up", "p95 / up")
    for state, values in times.items():
        p50, p95, longest = (percentile(values, share) for share in (0.5, 0.95, 1.0))
        ratios = (f"{value / percentile(times['up'], share):.2f}" for value, share in ((p50, 0.5), (p95, 0.95)))
        report.row(state, f"{len(values):,}", p50, p95, longest, *ratios)
    report.fact("outcomes", outcomes(requests))
    # A writer that waits for a relay waits as long as the relay waits for Pusher: until the block ends or its timeout.
    blocked = sum(value > scale.block * 1000 / 2 for state in ("down", "hanging") for value in times[state])
    busy = sum(request.status == 503 for request in requests)
    if blocked or busy:
        report.judge("requests", [f"{blocked} writers waited for a relay, {busy} got 503 BUSY"])


if __name__ == "__main__":
    sys.exit(main())
