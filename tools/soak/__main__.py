"""``make soak``: real stays in five hotels of three time zones, with fault injection, past midnights and both changes
of daylight saving time; at the end all records are compared. The exit code is 1 if anything disagrees."""

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from local import LocalError
from local.datadir import PROJECT
from local.run import say
from local.signals import StopRequestedError, StopSignals
from tools.harness.delivery import percentile, some
from tools.soak import comparison
from tools.soak.client import Attempt
from tools.soak.faults import explanation, plan, unexplained
from tools.soak.hotels import ZONES
from tools.soak.installation import WEB_PROCESSES, WORKERS, SoakInstallation, throwaway_installation

STAYS = PROJECT / "operations" / "demo_data" / "bookings.csv"
MINUTES, CLIENTS, REST = 3.0, 4, 0.05
ACTIONS = ("CREATED", "CHECKED_IN", "CHECKED_OUT", "APPROVED", "ASSIGNED", "EDITED", "NO_SHOW")


class Report:
    """The figures, and the failures of each check as sentences."""

    def __init__(self, seed: int) -> None:
        self.figures: dict[str, Any] = {"seed": seed}
        self.checks: dict[str, list[str]] = {}

    def check(self, name: str, work: Callable[[], list[str]]) -> None:
        """Record the failures that ``work`` returns; a LocalError is a failure, too."""
        try:
            self.checks[name] = work()
        except LocalError as error:
            self.checks[name] = [str(error)]

    @property
    def failed(self) -> bool:
        return any(self.checks.values())

    def table(self) -> str:
        """The report as text."""
        lines = [f"  {name:<28}{_cell(figure)}" for name, figure in self.figures.items()]
        lines += ["", *(f"  {name:<58}{'ok' if not found else 'FAILED'}" for name, found in self.checks.items())]
        lines += [f"\n{name}:\n  " + "\n  ".join(found) for name, found in self.checks.items() if found]
        return "\n".join(lines)


def _rows(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _cell(figure: Any) -> str:
    if isinstance(figure, dict):
        rows = [" · ".join(cells) for cells in _rows([f"{name} {_cell(count)}" for name, count in figure.items()], 6)]
        return f"\n{'':28}".join(rows) or "nothing"
    return f"{figure:,}" if isinstance(figure, int) else str(figure)


def main(arguments: list[str] | None = None) -> int:
    """Run the soak test; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make soak ARGS='…'", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"of traffic and faults (default: {MINUTES:g})")
    parser.add_argument("--seed", type=int, help="repeat the plan of an earlier run; default: random, and printed")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"processes (default: {CLIENTS})")
    parser.add_argument("--bookings", type=Path, default=STAYS, help="another file of bookings, .csv or .csv.gz")
    parser.add_argument(
        "--json", action="store_true", help="print the report as JSON to stdout, everything else to stderr"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with the database and the logs")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.clients < 1 or not options.bookings.is_file():
        parser.error("--minutes and --clients must be positive, --bookings must be a file")
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    signals = StopSignals()
    signals.install()
    log: Callable[[str], None] = (lambda text: print(text, file=sys.stderr, flush=True)) if options.json else say
    report = Report(seed)
    try:
        with throwaway_installation(signals.pause, seconds=options.minutes * 60, keep=options.keep) as installation:
            log(f"Seed {seed}, in {installation.data.path}")
            soak(installation, seed, options, log)
            compare(installation, report, log)
    except StopRequestedError:
        log("\nStopped.")
        return 130
    except LocalError as error:
        log(f"\n{error}")
        return 1
    if options.json:
        print(json.dumps({**report.figures, "checks": report.checks, "passed": not report.failed}, indent=2))
    else:
        say(report.table())
    log(f"\nSeed {seed}: " + ("some checks FAILED." if report.failed else "all records agree."))
    return 1 if report.failed else 0


def soak(installation: SoakInstallation, seed: int, options: argparse.Namespace, log: Callable[[str], None]) -> None:
    """Run traffic and faults for the requested time."""
    installation.start_web(processes=WEB_PROCESSES, relay="thread")
    installation.start_workers(WORKERS)
    installation.start_subscribers()
    timeline = installation.timeline()
    while time.time() < timeline.began:
        installation.pause(0.1)
    log(f"The hotels' clock runs {timeline.speed:,.0f} times as fast, in {len(timeline.starts)} windows.")
    installation.start_clients(options.clients, seed=seed, stays=options.bookings, rest=REST)
    planned, rng = plan(seed), random.Random(seed)
    began = time.monotonic()
    total = options.minutes * 60
    with tqdm(total=round(total), unit="s", disable=None) as bar:

        def show() -> None:
            bar.n = min(round(time.monotonic() - began), round(total))
            installation.read_results()
            installation.read_subscribers()
            bar.set_postfix_str(f"{timeline.moment(time.time()):%d %b}, {len(installation.attempts):,} requests")

        installation.on_pause = show
        while time.monotonic() - began < total:
            installation.inject(next(planned), rng)
        installation.on_pause = lambda: None
    log("Waiting for everything to settle ...")
    installation.stop_clients()


def compare(installation: SoakInstallation, report: Report, log: Callable[[str], None]) -> None:
    """Compare all records."""
    report.check("everything settled", installation.settle)
    log("Comparing ...")
    snapshot, attempts = installation.snapshot(), installation.attempts
    rooms, bookings = installation.rest_rows()
    figures(installation, report, snapshot)
    report.check("every 5xx is explained by a fault", lambda: some(unexplained(attempts, installation.faults)))
    report.check("the servers' logs show no bug", lambda: some(installation.bug_messages()))
    report.check("the database breaks no rule (check_invariants)", lambda: _invariants(installation))
    report.check("responses and database agree", lambda: comparison.responses(attempts, snapshot))
    report.check("history, audit log and event log agree", lambda: comparison.log(snapshot))
    report.check(
        "subscribers applied the event log",
        lambda: comparison.subscribers(snapshot, installation.applied, installation.published()),
    )
    report.check("REST agrees with the last events", lambda: comparison.rest(snapshot, rooms, bookings))
    report.check(
        "payment states agree with the card provider's",
        lambda: [*comparison.money(snapshot, installation.intents()), *map(str, installation.cards.server.errors)],
    )
    report.check("there was enough to compare", lambda: _enough(snapshot, attempts, installation.seconds))


def _invariants(installation: SoakInstallation) -> list[str]:
    installation.run("manage.py", "check_invariants")
    return []


def _enough(snapshot: comparison.Snapshot, attempts: list[Attempt], seconds: float) -> list[str]:
    """Check that every action happened; a short run has no time for all of them."""
    actions = Counter(row.action for row in snapshot.history)
    expected = ACTIONS if seconds >= 60 else ACTIONS[:1]
    found = [f"nothing was {action}" for action in expected if not actions[action]]
    if seconds >= 60 and {booking.hotel for booking in snapshot.bookings} != set(ZONES):
        found.append("not every hotel has bookings")
    return found + [f"{one.op} was not authorised" for one in attempts if one.status == 401][:1]


def figures(installation: SoakInstallation, report: Report, snapshot: comparison.Snapshot) -> None:
    """Add the run's figures to the report."""
    attempts = installation.attempts
    timeline = installation.timeline()
    report.figures |= {
        "minutes": round(timeline.seconds * len(timeline.starts) / 60, 1),
        "cores, load": f"{os.cpu_count()}, {os.getloadavg()[0]:.1f}",
        "clock": f"{timeline.speed:,.0f} times as fast, {len(timeline.starts)} daylight saving changes",
        "requests": len(attempts),
        "responses": dict(sorted(Counter(str(one.status or "none") for one in attempts).items())),
        "refusals": dict(Counter(one.code for one in attempts if 400 <= one.status < 500).most_common(20)),
        "5xx and none, explained by": dict(
            Counter(
                explanation(one, installation.faults) or "NOTHING"
                for one in attempts
                if one.status == 0 or one.status >= 500
            ).most_common()
        ),
        "faults": dict(sorted(Counter(fault.kind for fault in installation.faults).items())),
        "booking actions": dict(Counter(row.action for row in snapshot.history).most_common()),
        "room changes": len(snapshot.audit),
        "events": len(snapshot.events),
        "subscribers reconnected": installation.reconnects,
        "slowest response, p99": f"{_milliseconds(attempts, 1.0)}, {_milliseconds(attempts, 0.99)} ms",
    }


def _milliseconds(attempts: list[Attempt], share: float) -> str:
    return f"{percentile([one.seconds for one in attempts], share) * 1000:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
