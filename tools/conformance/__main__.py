"""``python -m tools.conformance``: calls the API as the staff app does, on a throw-away HotelMate or a demo."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local import LocalError
from local.run import say
from local.signals import StopRequestedError, StopSignals
from tools.conformance.checks import TABLES
from tools.conformance.client import Wire
from tools.conformance.report import Report
from tools.conformance.session import Session
from tools.harness.pusher_client import EventRecorder
from tools.harness.throwaway import HotelMate, throwaway_hotelmate
from tools.harness.two_hotels import OTHER, SLUG


def arguments() -> argparse.Namespace:
    """The command line options."""
    parser = argparse.ArgumentParser(prog="make contract ARGS=…", description=__doc__)
    parser.add_argument("--url", help="of a running demo with REALTIME_PUBLIC_CHANNELS=1; its data is changed")
    parser.add_argument("--password", help="the demo's")
    parser.add_argument("--pusher", metavar="HOST:PORT/KEY", help="the demo's Pusher server, as `make run` prints it")
    parser.add_argument("--only", metavar="WORD", default="", help="only the rows with this word in section or title")
    options = parser.parse_args()
    if options.url and not (options.password and options.pusher):
        parser.error("--url requires --password and --pusher")
    return options


@contextmanager
def target(options: argparse.Namespace, signals: StopSignals) -> Iterator[HotelMate]:
    """The HotelMate at --url, or a throw-away one."""
    if not options.url:
        say("Starting a HotelMate for this run ...")
        with throwaway_hotelmate(signals.pause) as started:
            yield started
        return
    host, _, key = options.pusher.partition("/")
    socket = f"ws://{host}/app/{key}?protocol=7&client=js&version=8.4.0"
    yield HotelMate(options.url.rstrip("/"), socket, options.password)


def run(hotelmate: HotelMate, *, own: bool, only: str) -> bool:
    """Run all rows; returns whether there was no deviation."""
    report = Report(say)
    wire, recorder = Wire(hotelmate.url), EventRecorder(hotelmate.pusher)
    slugs = {"hotel": SLUG, "other": OTHER} if own else {"hotel": "resort", "other": "city"}
    session = Session(wire, recorder, report, password=hotelmate.password, own=own, **slugs)
    session.stripe, session.database_url = hotelmate.stripe, hotelmate.database_url
    rows = [row for table in TABLES for row in table.rows]
    chosen = [row for row in rows if only.lower() in f"{row.section} {row.title}".lower()]
    wire.row = rows[0]
    with session.opened():
        for row in chosen:
            session.run_row(row)
    recorder.close()
    return report.summary()


def main() -> int:
    """Run the checks; returns the exit code, 1 on any deviation."""
    options, signals = arguments(), StopSignals()
    signals.install()
    try:
        with target(options, signals) as hotelmate:
            return 0 if run(hotelmate, own=not options.url, only=options.only) else 1
    except LocalError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except StopRequestedError:
        return 130


if __name__ == "__main__":
    sys.exit(main())
