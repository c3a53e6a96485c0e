"""``make soak``: real stays in five hotels of three time zones over HTTP, amid faults, past midnights and both changes
of summer time; at the end everything is compared with everything. Exit code 1 when anything disagrees."""

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
from tools.harness.delivery import percentile
from tools.soak import verdict
from tools.soak.client import Asked
from tools.soak.faults import explanation, plan, unexplained
from tools.soak.houses import ZONES
from tools.soak.stage import WEB_PROCESSES, WORKERS, SoakStage, opened

STAYS = PROJECT / "operations" / "demo_data" / "bookings.csv"
MINUTES, CLIENTS, REST = 3.0, 4, 0.05
EVERYTHING = ("CREATED", "CHECKED_IN", "CHECKED_OUT", "APPROVED", "ASSIGNED", "EDITED", "NO_SHOW")


class Report:
    """What was found: each check with the sentences about what is wrong, and figures."""

    def __init__(self, seed: int) -> None:
        self.figures: dict[str, Any] = {"seed": seed}
        self.checks: dict[str, list[str]] = {}

    def check(self, name: str, work: Callable[[], list[str]]) -> None:
        """Note what ``work`` finds wrong; that it cannot be done is wrong, too."""
        try:
            self.checks[name] = work()
        except LocalError as error:
            self.checks[name] = [str(error)]

    @property
    def failed(self) -> bool:
        return any(self.checks.values())

    def table(self) -> str:
        """For people."""
        lines = [f"  {name:<28}{_cell(figure)}" for name, figure in self.figures.items()]
        lines += ["", *(f"  {name:<58}{'ok' if not found else 'BROKEN'}" for name, found in self.checks.items())]
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
    """Run the soak; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make soak ARGS='…'", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"of traffic and faults (default: {MINUTES:g})")
    parser.add_argument("--seed", type=int, help="repeats the plan of a run; without it a new one, which is printed")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"processes (default: {CLIENTS})")
    parser.add_argument("--bookings", type=Path, default=STAYS, help="another file of the data set, .csv or .csv.gz")
    parser.add_argument("--json", action="store_true", help="the report as JSON on standard output, the rest on error")
    parser.add_argument("--keep", action="store_true", help="leave the folder with database and logs for a look")
    options = parser.parse_args(arguments)
    if options.minutes <= 0 or options.clients < 1 or not options.bookings.is_file():
        parser.error("--minutes and --clients are positive, --bookings is a file")
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    signals = StopSignals()
    signals.install()
    tell: Callable[[str], None] = (lambda text: print(text, file=sys.stderr, flush=True)) if options.json else say
    report = Report(seed)
    try:
        with opened(signals.pause, seconds=options.minutes * 60, keep=options.keep) as stage:
            tell(f"Seed {seed}, in {stage.data.path}")
            soak(stage, seed, options, tell)
            judge(stage, report, tell)
    except StopRequestedError:
        tell("\nStopped.")
        return 130
    except LocalError as error:
        tell(f"\n{error}")
        return 1
    if options.json:
        print(json.dumps({**report.figures, "checks": report.checks, "passed": not report.failed}, indent=2))
    else:
        say(report.table())
    tell(f"\nSeed {seed}: " + ("something is BROKEN." if report.failed else "everything agrees."))
    return 1 if report.failed else 0


def soak(stage: SoakStage, seed: int, options: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Traffic and faults, for as long as was asked for."""
    stage.start_web(processes=WEB_PROCESSES, relay="thread")
    stage.start_workers(WORKERS)
    stage.start_screens()
    timeline = stage.timeline()
    while time.time() < timeline.began:
        stage.pause(0.1)
    tell(f"The house's clock runs {timeline.speed:,.0f} times as fast, in {len(timeline.starts)} windows.")
    stage.start_clients(options.clients, seed=seed, stays=options.bookings, rest=REST)
    strikes, rng = plan(seed), random.Random(seed)
    began = time.monotonic()
    total = options.minutes * 60
    with tqdm(total=round(total), unit="s", disable=None) as bar:

        def show() -> None:
            bar.n = min(round(time.monotonic() - began), round(total))
            stage.read_answers()
            stage.read_screens()
            bar.set_postfix_str(f"{timeline.moment(time.time()):%d %b}, {len(stage.asked):,} requests")

        stage.on_pause = show
        while time.monotonic() - began < total:
            stage.strike(next(strikes), rng)
        stage.on_pause = lambda: None
    tell("Letting everything come to rest ...")
    stage.stop_clients()


def judge(stage: SoakStage, report: Report, tell: Callable[[str], None]) -> None:
    """Compare everything with everything."""
    report.check("everything came to rest", stage.settle)
    tell("Comparing ...")
    house, asked = stage.house(), stage.asked
    rooms, bookings = stage.shown()
    figures(stage, report, house)
    report.check("every 5xx has its fault", lambda: verdict.some(unexplained(asked, stage.faults)))
    report.check("the servers' logs tell of no bug", lambda: verdict.some(stage.complaints()))
    report.check("the database keeps every rule (check_invariants)", lambda: _invariants(stage))
    report.check("answers and database agree", lambda: verdict.answers(asked, house))
    report.check("history, audit trail and log of events agree", lambda: verdict.log(house))
    report.check("screens drew the log", lambda: verdict.screens(house, stage.drawn, stage.published()))
    report.check("REST shows what the last events showed", lambda: verdict.rest(house, rooms, bookings))
    report.check(
        "our books and the card provider's agree",
        lambda: [*verdict.money(house, stage.intents()), *map(str, stage.cards.trouble)],
    )
    report.check("there was something to compare", lambda: _enough(house, asked, stage.seconds))


def _invariants(stage: SoakStage) -> list[str]:
    stage.run("manage.py", "check_invariants")
    return []


def _enough(house: verdict.House, asked: list[Asked], seconds: float) -> list[str]:
    """A soak in which nothing happens proves nothing; a short one has no time for everything."""
    actions = Counter(step.action for step in house.steps)
    wanted = EVERYTHING if seconds >= 60 else EVERYTHING[:1]
    found = [f"nothing was {action}" for action in wanted if not actions[action]]
    if seconds >= 60 and {booking.hotel for booking in house.bookings} != set(ZONES):
        found.append("not every hotel has bookings")
    return found + [f"{one.op} was not authorised" for one in asked if one.status == 401][:1]


def figures(stage: SoakStage, report: Report, house: verdict.House) -> None:
    """What it was like."""
    asked = stage.asked
    timeline = stage.timeline()
    report.figures |= {
        "minutes": round(timeline.seconds * len(timeline.starts) / 60, 1),
        "cores, load": f"{os.cpu_count()}, {os.getloadavg()[0]:.1f}",
        "clock": f"{timeline.speed:,.0f} times as fast, {len(timeline.starts)} changes of summer time",
        "requests": len(asked),
        "answers": dict(sorted(Counter(str(one.status or "none") for one in asked).items())),
        "refusals": dict(Counter(one.code for one in asked if 400 <= one.status < 500).most_common(20)),
        "5xx and none, explained by": dict(
            Counter(
                explanation(one, stage.faults) or "NOTHING" for one in asked if one.status == 0 or one.status >= 500
            ).most_common()
        ),
        "faults": dict(sorted(Counter(fault.kind for fault in stage.faults).items())),
        "steps of bookings": dict(Counter(step.action for step in house.steps).most_common()),
        "changes of rooms": len(house.audit),
        "events": len(house.events),
        "screens connected again": stage.reconnects,
        "slowest answer, p99": f"{_milliseconds(asked, 1.0)}, {_milliseconds(asked, 0.99)} ms",
    }


def _milliseconds(asked: list[Asked], share: float) -> str:
    return f"{percentile([one.seconds for one in asked], share) * 1000:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
