"""``python -m tools.conformance``: the contract row by row, against a HotelMate of its own or a demo that runs."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local import LocalError
from local.run import say
from local.signals import StopRequestedError, StopSignals
from tools.conformance.client import Wire
from tools.conformance.play import TABLES
from tools.conformance.report import Report
from tools.conformance.world import World
from tools.harness.pusher_client import Ears
from tools.harness.server import Place, opened
from tools.harness.two_hotels import OTHER, SLUG


def arguments() -> argparse.Namespace:
    """What the caller wants."""
    parser = argparse.ArgumentParser(prog="make contract ARGS=…", description=__doc__)
    parser.add_argument("--url", help="of a demo that runs, with REALTIME_PUBLIC_CHANNELS=1; its data is changed")
    parser.add_argument("--password", help="the demo's")
    parser.add_argument("--pusher", metavar="HOST:PORT/KEY", help="the demo's Pusher server, as `make run` prints it")
    parser.add_argument("--only", metavar="WORD", default="", help="only the rows with this word in section or title")
    options = parser.parse_args()
    if options.url and not (options.password and options.pusher):
        parser.error("--url needs --password and --pusher")
    return options


@contextmanager
def place(options: argparse.Namespace, signals: StopSignals) -> Iterator[Place]:
    """The HotelMate that was given, or one that is made for this run."""
    if not options.url:
        say("Starting a HotelMate for this run ...")
        with opened(signals.pause) as made:
            yield made
        return
    host, _, key = options.pusher.partition("/")
    socket = f"ws://{host}/app/{key}?protocol=7&client=js&version=8.4.0"
    yield Place(options.url.rstrip("/"), socket, options.password)


def play(where: Place, *, own: bool, only: str) -> bool:
    """All rows; returns whether there was no deviation."""
    report = Report(say)
    wire, ears = Wire(where.url), Ears(where.pusher)
    slugs = {"hotel": SLUG, "other": OTHER} if own else {"hotel": "resort", "other": "city"}
    world = World(wire, ears, report, password=where.password, own=own, **slugs)
    world.stripe, world.database_url = where.stripe, where.database_url
    rows = [row for table in TABLES for row in table.rows]
    chosen = [row for row in rows if only.lower() in f"{row.section} {row.title}".lower()]
    wire.row = rows[0]
    with world.opened():
        for row in chosen:
            world.play(row)
    ears.close()
    return report.summary()


def main() -> int:
    """The exit code: 1 on any deviation."""
    options, signals = arguments(), StopSignals()
    signals.install()
    try:
        with place(options, signals) as where:
            return 0 if play(where, own=not options.url, only=options.only) else 1
    except LocalError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except StopRequestedError:
        return 130


if __name__ == "__main__":
    sys.exit(main())
