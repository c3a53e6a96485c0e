"""``make bench``: the cost of status changes, pages and bulk operations, compared with the least possible.

It runs in a throw-away installation. Every time is measured alternating with its floor, and is the median of several
rounds. Prints tables and writes them as JSON; the exit code does not depend on the targets.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django

from local import LocalError
from local.datadir import PROJECT
from local.run import say
from local.signals import StopRequestedError, StopSignals
from tools.bench import meters
from tools.bench.report import Report
from tools.bench.scale import FULL, QUICK, Scale
from tools.harness.installation import Installation, throwaway_installation


def sections() -> dict[str, Callable[[Installation, Scale, Report], None]]:
    """The sections by name, in the order in which they run. Call it after ``django.setup()``."""
    from tools.bench import bulk, events, growth, http_level, many_hotels, pooled, profile, replay, service_level

    return {
        "events": events.measure,
        "service": service_level.measure,
        "http": http_level.measure,
        "pooled": pooled.measure,
        "profile": profile.measure,
        "bulk": bulk.measure,
        "replay": replay.measure,
        "growth": growth.measure,
        "hotels": many_hotels.measure,
    }


SECTIONS = ("events", "service", "http", "pooled", "profile", "bulk", "replay", "growth", "hotels")
ONLY_IF_NAMED = ("hotels",)


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make bench ARGS='…'", description=__doc__)
    named = f"any of {', '.join(SECTIONS)} (default: all but {', '.join(ONLY_IF_NAMED)})"
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=named)
    parser.add_argument("--quick", action="store_true", help="a run of a minute or two; no useful figures")
    parser.add_argument("--rounds", type=int, help=f"number of measurements of each block (default: {FULL.rounds})")
    parser.add_argument("--hotels", type=int, help=f"hotels of the section hotels (default: {FULL.many_hotels})")
    parser.add_argument("--bookings", type=int, help=f"their bookings (default: {FULL.many_bookings})")
    parser.add_argument("--audit-rows", type=int, help="of the section growth, in the larger number of hotels only")
    parser.add_argument("--json", type=Path, default=PROJECT / "bench.json", help="output file (default: bench.json)")
    options = parser.parse_args(arguments)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = scale._replace(rounds=options.rounds)

    scale = scale._replace(
        many_hotels=options.hotels or scale.many_hotels, many_bookings=options.bookings or scale.many_bookings
    )
    if options.audit_rows:
        rows = (*(count for count in scale.audit_rows[:2] if count < options.audit_rows), options.audit_rows)
        scale = scale._replace(audit_rows=rows, hotels=scale.hotels[-1:])
    chosen = options.sections or set(SECTIONS) - set(ONLY_IF_NAMED)

    signals = StopSignals()
    signals.install()
    began = time.monotonic()
    try:
        with throwaway_installation(signals.pause, keep=False, settings="tools.bench.settings") as installation:
            report = Report(meters.machine(installation.query), quick=options.quick)
            os.environ.update(installation.environment)
            django.setup()
            try:
                for name, measure in sections().items():
                    if name in chosen:
                        say(f"{name} ...")
                        measure(installation, scale, report)
            finally:
                from django.db import connections

                connections.close_all()
    except StopRequestedError:
        say("\nStopped.")
        return 130
    except LocalError as error:
        say(f"\n{error}")
        return 1
    report.write(options.json)
    say(f"\n{report.text()}\nIn {time.monotonic() - began:.0f} s; written to {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
