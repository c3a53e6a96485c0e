"""``python -m tools.fuzz``: fuzzes the API as every caller, then the Pusher server, on a throw-away HotelMate."""

import argparse
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import closing

import psycopg2
from tqdm import tqdm

from local import LocalError
from local.datadir import PROJECT
from local.run import say
from local.service import wait_until
from local.signals import StopRequestedError, StopSignals
from tools.fuzz import agreement
from tools.fuzz.api import ApiFuzz
from tools.fuzz.callers import callers
from tools.fuzz.pusher import PusherFuzz
from tools.harness.throwaway import HotelMate, throwaway_hotelmate

# The Pusher server's share of the time.
PUSHER_SHARE = 0.2
# Callers that are signed out sign in again, more often than the default throttle allows.
SETTINGS = {"LOGIN_THROTTLE": "100000/min", "LOGIN_THROTTLE_ADDRESS": "100000/min"}


def arguments() -> argparse.Namespace:
    """The command line options."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=…", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="duration (default: 5)")
    parser.add_argument("--seed", type=int, help="repeat the random choices of an earlier run (default: random)")
    parser.add_argument(
        "--only", metavar="WORD", default="", help="only the operations whose method and path contain this word"
    )
    parser.add_argument("--part", choices=("api", "pusher"), help="fuzz only this part")
    return parser.parse_args()


def fuzz_api(hotelmate: HotelMate, options: argparse.Namespace, seconds: float, signals: StopSignals) -> list[str]:
    """Fuzz the API and print the responses; returns the failures."""
    fuzz = ApiFuzz(hotelmate, callers(hotelmate), seed=options.seed, only=options.only)
    began = time.monotonic()
    with tqdm(total=round(seconds), unit="s", desc="API", disable=None) as bar:

        def tick() -> None:
            signals.pause(0)
            bar.update(min(int(time.monotonic() - began), round(seconds)) - int(bar.n))

        fuzz.run(seconds, tick)
    untried = print_summary(fuzz)
    for key, failure in fuzz.failures.items():
        say(f"\n{failure.operation}, as {failure.caller} (seen {fuzz.again[key]}×)\n  {failure.what}\n  {failure.curl}")
    wrong = [f"{failure.operation}: {failure.what.splitlines()[0]}" for failure in fuzz.failures.values()]
    return wrong + [f"never called in the time available: {operation}" for operation in untried]


def print_summary(fuzz: ApiFuzz) -> list[str]:
    """Print the number of requests and of each status, by operation and by caller.

    Returns the operations that were never called.
    """
    by_operation: dict[str, Counter[int]] = defaultdict(Counter)
    by_caller: dict[str, Counter[int]] = defaultdict(Counter)
    for (tried, status), count in fuzz.responses.items():
        by_operation[tried.operation][status] += count
        by_caller[tried.caller][status] += count
    say()
    for title, table in (("operation", by_operation), ("caller", by_caller)):
        say(f"{'requests':>8}  {title}")
        for name, statuses in sorted(table.items()):
            counts = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
            say(f"{sum(statuses.values()):>8}  {name}  {counts}")
    untried = sorted(operation.label for operation in fuzz.operations if operation.label not in by_operation)
    unsuccessful = [name for name, statuses in by_operation.items() if min(statuses) >= 300]
    say(f"{sum(fuzz.responses.values())} requests; {len(by_operation)} of {len(fuzz.operations)} operations called.")
    for title, names in (("never called", untried), ("never successful", unsuccessful)):
        if names:
            say(f"{title}: {', '.join(sorted(names))}")
    return untried


def check_state(hotelmate: HotelMate, signals: StopSignals) -> list[str]:
    """Check the invariants, the event log and the logs of the processes; returns the failures."""
    with closing(psycopg2.connect(hotelmate.database_url)) as connection:
        connection.autocommit = True
        if not wait_until(lambda: agreement.waiting(connection) == 0, 60, signals.pause):
            return ["the events were not sent within a minute"]
        wrong = agreement.problems(connection)
    command = [sys.executable, "manage.py", "check_invariants"]
    check = subprocess.run(command, env=dict(hotelmate.environment), cwd=PROJECT, capture_output=True, text=True)
    if check.returncode:
        wrong.append(f"check_invariants:\n{check.stdout[-3000:]}{check.stderr[-1000:]}")
    for name, service in hotelmate.services.items():
        if not service.is_running():
            wrong.append(f"the {name} process has ended")
        if "Traceback" in service.log_tail(1_000_000):
            wrong.append(f"the {name} process has logged a traceback:\n{service.log_tail(40)}")
    return wrong


def main() -> int:
    """Fuzz; returns the exit code, 1 on any failure."""
    options, signals = arguments(), StopSignals()
    signals.install()
    options.seed = options.seed if options.seed is not None else time.time_ns() % 10**6
    share = {None: PUSHER_SHARE, "api": 0.0, "pusher": 1.0}[options.part]
    seconds = options.minutes * 60
    say(f"Starting a HotelMate for this run; the seed is {options.seed} ...")
    wrong: list[str] = []
    try:
        with throwaway_hotelmate(signals.pause, **SETTINGS) as hotelmate:
            if share < 1:
                wrong += fuzz_api(hotelmate, options, seconds * (1 - share), signals)
            if share > 0:
                wrong += PusherFuzz(hotelmate, options.seed).run(seconds * share, signals.pause)
            wrong += check_state(hotelmate, signals)
    except LocalError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except StopRequestedError:
        return 130
    say()
    for line in wrong:
        say(f"FAILED  {line}")
    say(f"{len(wrong)} failures; repeat with ARGS='--seed {options.seed}'." if wrong else "No failures.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
