"""Runs a whole replay: creates the hotels and simulates them day by day, in one process or several in step."""

import gc
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from django.db import connection, connections, transaction

from hotel import calendar
from hotel.models import Hotel
from notifications import wakeup
from operations.replay.hotels import HOTELS, HotelSetup, HotelSpec, make_rooms, make_staff
from operations.replay.itinerary import Step, steps
from operations.replay.meter import Meter
from operations.replay.records import Stay
from operations.replay.simulation import HotelSimulation

# Losing the end of a replay in a crash is acceptable. Keeping joins in written order, which suits statements that start
# from one row, saves most of PostgreSQL's planning time.
SESSION = "SET synchronous_commit = off; SET join_collapse_limit = 1"

# Called after each day with the date and the number of booking steps on it.
Progress = Callable[[date, int], None]


class HotelExistsError(Exception):
    """The hotel already exists, and its history can't be deleted."""


class WorkerFailedError(Exception):
    """A worker process stopped early; its output is on stderr."""


@dataclass(frozen=True)
class Replay:
    """A hotel with the stays to replay in it, and their steps."""

    setup: HotelSetup
    stays: Sequence[Stay]
    plan: Sequence[Step]

    @property
    def first_day(self) -> date:
        return min(stay.arrival for stay in self.stays)


class Share(NamedTuple):
    """One worker's share: room types for each replay, in the order of the replays."""

    types: Sequence[frozenset[str]]


@transaction.atomic
def create_hotels(stays: Sequence[Stay], *, prefix: str) -> list[Replay]:
    """Create a hotel for each hotel of the data set that has ``stays``. Raises HotelExistsError."""
    hotels = []
    for original in HOTELS:
        of_hotel = [stay for stay in stays if stay.hotel == original.slug]
        if of_hotel:
            spec = replace(original, slug=f"{prefix}-{original.slug}", name=f"{original.name}, replayed")
            hotels.append(_create(spec, of_hotel))
    return hotels


def _create(spec: HotelSpec, stays: Sequence[Stay]) -> Replay:
    hotel, is_new = Hotel.objects.get_or_create(
        slug=spec.slug,
        # The real hotels overbooked.
        defaults={
            "name": spec.name,
            "phone": spec.phone,
            "timezone": spec.timezone,
            "allow_overbooking": True,
        },
    )
    if not is_new:
        raise HotelExistsError(spec.slug)
    make_staff(hotel)
    setup = make_rooms(hotel, spec, stays)
    first_day = min(stay.arrival for stay in stays)
    return Replay(setup, stays, [step for stay in stays for step in steps(stay, hotel, first_day)])


def replay_all(replays: Sequence[Replay], *, workers: int, progress: Progress) -> Meter:
    """Replay every day of every hotel, in order; returns the totals.

    With several workers, each takes some room types of each hotel, and all start each day together. A booking's outcome
    and room do not depend on the number of workers.
    """
    shares = deal(replays, workers)
    if len(shares) == 1:
        return _run(replays, shares[0], progress, lambda: None)
    return _run_in_processes(replays, shares, progress)


def deal(replays: Sequence[Replay], workers: int) -> list[Share]:
    """Divide the room types so that the workers have about the same number of steps."""
    weights: dict[tuple[int, str], int] = {}
    for place, replay in enumerate(replays):
        types = {stay.number: stay.room_type for stay in replay.stays}
        for step in replay.plan:
            key = place, types[step.subject]
            weights[key] = weights.get(key, 0) + 1
    loads = [0] * workers
    dealt: list[list[set[str]]] = [[set() for _ in replays] for _ in range(workers)]
    for (place, code), weight in sorted(weights.items(), key=lambda item: (-item[1], item[0])):
        lightest = loads.index(min(loads))
        loads[lightest] += weight
        dealt[lightest][place].add(code)
    return [Share([frozenset(types) for types in share]) for share, load in zip(dealt, loads, strict=True) if load]


def _run(replays: Sequence[Replay], share: Share, progress: Progress, wait: Callable[[], Any]) -> Meter:
    meter = Meter()
    simulations = [_simulation(replay, types, meter) for replay, types in zip(replays, share.types, strict=True)]
    with _quick_session(), wakeup.without_wakeups(), meter.reading():
        for day in _days(replays):
            wait()
            done = 0
            for replay, simulation in zip(replays, simulations, strict=True):
                done += simulation.run(until=calendar.business_day(replay.setup.hotel, day)[1])
            progress(day, done)
    return meter


def _simulation(replay: Replay, types: frozenset[str], meter: Meter) -> HotelSimulation:
    stays = [stay for stay in replay.stays if stay.room_type in types]
    numbers = {stay.number for stay in stays}
    return HotelSimulation(replay.setup, stays, [step for step in replay.plan if step.subject in numbers], meter)


def _days(replays: Sequence[Replay]) -> Iterator[date]:
    """All days from the first arrival to the end of housekeeping after the last departure."""
    day = min(replay.first_day for replay in replays)
    last = max(step.moment for replay in replays for step in replay.plan).date() + timedelta(days=1)
    while day <= last:
        yield day
        day += timedelta(days=1)


@contextmanager
def _quick_session() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(SESSION)
    gc.collect()
    gc.freeze()  # hundreds of thousands of long-lived steps: not worth scanning
    try:
        yield
    finally:
        gc.unfreeze()
        with connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit; RESET join_collapse_limit")


# --- several processes ------------------------------------------------------------------------------------------------


def _run_in_processes(replays: Sequence[Replay], shares: Sequence[Share], progress: Progress) -> Meter:
    # Forked, so that the children inherit stays and settings; connections must not be shared.
    connections.close_all()
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(shares))
    pipes = []
    processes = []
    for share in shares:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(replays, share, theirs, barrier), daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        pipes.append(ours)
    try:
        return _gather(pipes, progress)
    finally:
        barrier.abort()
        for process in processes:
            process.join(10)
            process.kill()


def _gather(pipes: Sequence[Connection], progress: Progress) -> Meter:
    """Forward the workers' progress until each has sent its meter."""
    total, open_pipes = Meter(), list(pipes)
    while open_pipes:
        for pipe in multiprocessing.connection.wait(open_pipes):
            assert isinstance(pipe, Connection)
            try:
                message = pipe.recv()
            except EOFError:
                raise WorkerFailedError from None
            if isinstance(message, Meter):
                total.add(message)
                open_pipes.remove(pipe)
            else:
                progress(*message)
    return total


def _work(replays: Sequence[Replay], share: Share, pipe: Connection, barrier: Any) -> None:
    """A worker process. The parent handles Ctrl-C by breaking the barrier, so the current day is finished first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(threading.BrokenBarrierError, BrokenPipeError):
        try:
            meter = _run(replays, share, lambda day, done: pipe.send((day, done)), lambda: barrier.wait())
            pipe.send(meter)
        except BaseException:
            barrier.abort()
            raise
    connections.close_all()
