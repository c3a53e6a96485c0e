"""A whole replay: the houses made, their days lived one after the other, by one process or by several in step."""

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

# A crash may lose the last moments of a replay, which nobody misses; joins in the order in which they are written,
# which is right for statements that begin at one row, spare PostgreSQL most of the planning.
SESSION = "SET synchronous_commit = off; SET join_collapse_limit = 1"

# Called after each day with the day and the number of steps that the bookings made on it.
Progress = Callable[[date, int], None]


class HotelExistsError(Exception):
    """The hotel is there already, and what it lived through can't be taken back."""


class WorkerFailedError(Exception):
    """A worker process ended before its time; what it had to say is on stderr."""


@dataclass(frozen=True)
class Replay:
    """A house with the stays that it is to live through."""

    setup: HotelSetup
    stays: Sequence[Stay]
    plan: Sequence[Step]

    @property
    def first_day(self) -> date:
        return min(stay.arrival for stay in self.stays)


class Share(NamedTuple):
    """What one worker does: these room types of each replay, by the replay's place."""

    types: Sequence[frozenset[str]]


@transaction.atomic
def create_hotels(stays: Sequence[Stay], *, prefix: str) -> list[Replay]:
    """A fresh house for each hotel of the data that ``stays`` speak of. Raises HotelExistsError."""
    opened = []
    for original in HOTELS:
        mine = [stay for stay in stays if stay.hotel == original.slug]
        if mine:
            spec = replace(original, slug=f"{prefix}-{original.slug}", name=f"{original.name}, replayed")
            opened.append(_create(spec, mine))
    return opened


def _create(spec: HotelSpec, stays: Sequence[Stay]) -> Replay:
    hotel, is_new = Hotel.objects.get_or_create(
        slug=spec.slug,
        # The real houses sold more than they had.
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
    opened = make_rooms(hotel, spec, stays)
    first_day = min(stay.arrival for stay in stays)
    return Replay(opened, stays, [step for stay in stays for step in steps(stay, hotel, first_day)])


def replay_all(replays: Sequence[Replay], *, workers: int, progress: Progress) -> Meter:
    """Every day of every house, in order; returns what was counted.

    With several workers each takes some room types of each house, and all begin a day together. What becomes of a
    booking, and in which room, does not depend on how many they are.
    """
    shares = deal(replays, workers)
    if len(shares) == 1:
        return _run(replays, shares[0], progress, lambda: None)
    return _run_in_processes(replays, shares, progress)


def deal(replays: Sequence[Replay], workers: int) -> list[Share]:
    """The room types dealt out so that the workers have about equally many steps to make."""
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
    return [Share([frozenset(types) for types in mine]) for mine, load in zip(dealt, loads, strict=True) if load]


def _run(replays: Sequence[Replay], share: Share, progress: Progress, wait: Callable[[], Any]) -> Meter:
    meter = Meter()
    simulations = [_simulation(replay, types, meter) for replay, types in zip(replays, share.types, strict=True)]
    with _quick_session(), wakeup.no_hurry(), meter.reading():
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
    """From the first arrival until housekeeping is done after the last departure."""
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
    gc.freeze()  # hundreds of thousands of steps that stay: nothing to look for among them
    try:
        yield
    finally:
        gc.unfreeze()
        with connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit; RESET join_collapse_limit")


# --- several processes ------------------------------------------------------------------------------------------------


def _run_in_processes(replays: Sequence[Replay], shares: Sequence[Share], progress: Progress) -> Meter:
    # Forked: the children have the stays and the settings at hand. A connection must never be shared.
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
    """Pass on what the workers report, until each has sent its meter."""
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
    """A worker process. A Ctrl-C is the parent's business, who breaks the barrier: the day is finished first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(threading.BrokenBarrierError, BrokenPipeError):
        try:
            meter = _run(replays, share, lambda day, done: pipe.send((day, done)), lambda: barrier.wait())
            pipe.send(meter)
        except BaseException:
            barrier.abort()
            raise
    connections.close_all()
