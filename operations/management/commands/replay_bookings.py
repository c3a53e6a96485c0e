"""``manage.py replay_bookings``: replays years of real bookings through the services, in chronological order."""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from operations.invariants import RULES, violations
from operations.replay.records import Stay, read_stays
from operations.replay.report import (
    mails_waiting,
    operation_lines,
    outcome_lines,
    refusal_lines,
    result_of,
    written_lines,
)
from operations.replay.runner import HotelExistsError, Progress, Replay, WorkerFailedError, create_hotels, replay_all

LISTED = 20  # violations


class Command(BaseCommand):
    help = (
        "Create a new hotel for each hotel in the file and replay its bookings through the real services, day by day. "
        "Exit with 1 if the outcomes differ from the file or an invariant is violated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="The data set, as .csv or .csv.gz.")
        parser.add_argument("--hotel", choices=["resort", "city"], help="One of the two hotels (default both).")
        parser.add_argument("--from", dest="first", type=_day, metavar="YYYY-MM-DD", help="First day of arrival.")
        parser.add_argument("--to", dest="last", type=_day, metavar="YYYY-MM-DD", help="Last day of arrival.")
        parser.add_argument("--workers", type=int, default=1, help="Processes that share the room types (default 1).")
        parser.add_argument("--prefix", default="replay", help="The hotels are PREFIX-resort and PREFIX-city.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError("--workers must be 1 or more.")
        stays = self._stays(options)
        try:
            replays = create_hotels(stays, prefix=options["prefix"])
        except HotelExistsError as error:
            raise CommandError(
                f"Hotel {error} already exists, and a hotel's history can't be deleted: "
                "choose another name with --prefix, or use a new database."
            ) from None
        mails, began = mails_waiting(), time.perf_counter()
        try:
            with _bar(replays) as progress:
                meter = replay_all(replays, workers=options["workers"], progress=progress)
        except KeyboardInterrupt:
            self.stderr.write("\nInterrupted. Completed work is kept; a new replay needs another --prefix.")
            raise SystemExit(130) from None
        except WorkerFailedError:
            raise CommandError("A worker stopped early; see its output above.") from None
        seconds = time.perf_counter() - began
        results = [result_of(replay) for replay in replays]
        for result in results:
            self._say(outcome_lines(result))
        self._say(refusal_lines(meter))
        self._say(written_lines([replay.setup for replay in replays], mails=mails_waiting() - mails))
        self._say(operation_lines(meter))
        speed = f"{len(stays) / seconds:.1f} bookings/s"
        self._say([f"{len(stays):,} bookings in {seconds:,.0f} s with {options['workers']} worker(s): {speed}."])
        if not self._check() or not all(result.is_right for result in results):
            raise SystemExit(1)

    def _stays(self, options: dict[str, Any]) -> list[Stay]:
        try:
            every = list(read_stays(options["file"]))
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        first, last = options["first"] or date.min, options["last"] or date.max
        of_hotel = [stay for stay in every if options["hotel"] in (None, stay.hotel)]
        stays = [stay for stay in of_hotel if first <= stay.arrival <= last]
        if not stays:
            raise CommandError(f"{options['file']} has no such booking.")
        skipped = len(of_hotel) - len(stays)
        left_out = f"; {skipped:,} arrive on other days and are left out" if skipped else ""
        self._say([f"{len(stays):,} bookings of {options['file'].name}{left_out}."])
        return stays

    def _check(self) -> bool:
        found = violations()
        if found:
            self._say(
                [
                    f"{len(found)} violation{'' if len(found) == 1 else 's'} of invariants:",
                    *(str(each) for each in found[:LISTED]),
                ]
            )
        else:
            self._say([f"Invariants: {len(RULES)} rules checked over the whole database, no violations."])
        return not found

    def _say(self, lines: Sequence[str] | Iterator[str]) -> None:
        self.stdout.write("\n".join(lines) + "\n\n", ending="")
        self.stdout.flush()


def _day(text: str) -> date:
    return date.fromisoformat(text)


@contextmanager
def _bar(replays: Sequence[Replay]) -> Iterator[Progress]:
    """A progress bar over the actions of the bookings, labelled with the current day."""
    tqdm.monitor_interval = 0  # no monitor thread, as the workers are forked
    steps = sum(len(replay.plan) for replay in replays)
    with tqdm(total=steps, unit=" steps", file=sys.stderr, smoothing=0.05) as bar:

        def progress(day: date, done: int) -> None:
            bar.set_description(day.isoformat(), refresh=False)
            bar.update(done)

        yield progress
