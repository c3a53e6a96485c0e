"""Runs the steps of a hotel's stays in chronological order, each as one call of a service.

The simulation keeps only what hotel staff would know: which rooms are ready and which guest is in which room. All other
decisions are made by the services, on the database, in hotel local time.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from common import clock
from common.errors import Conflict, HotelMateError
from hotel.models import Staff
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask, TaskType
from housekeeping.task_services import complete_task, start_task
from housekeeping.turnover import inspect_room, mark_cleaned, start_cleaning
from operations.replay.hotels import HotelSetup
from operations.replay.itinerary import Operation, Step, turnover
from operations.replay.meter import Meter
from operations.replay.records import Stay
from room_bookings.models import RoomBooking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out
from room_bookings.services.create import create_booking
from room_bookings.services.no_show import mark_no_show
from rooms.models import Room

FIRST_NAMES = (
    *("Aoife", "Brendan", "Ciara", "Declan", "Eimear", "Fionn", "Gráinne", "Hugh", "Ana", "Bruno", "Clara", "Duarte"),
    *("Isolde", "James", "Kate", "Liam", "Muireann", "Niall", "Orla", "Pádraig", "Elif", "Farid", "Giulia", "Hanna"),
)
LAST_NAMES = (
    *("Byrne", "Casey", "Doyle", "Egan", "Fallon", "Garvey", "Healy", "Joyce", "Almeida", "Brandt", "Costa", "Dubois"),
    *("Keane", "Lynch", "Moran", "Nolan", "O’Brien", "Power", "Quinn", "Ryan", "Eriksen", "Ferreira", "Gomes", "Haas"),
)
CANCELLATIONS = ("travel plans changed", "illness", "found another date", "flight cancelled", "no reason given")


def guest_names(stay: Stay) -> tuple[str, str]:
    """An invented first and last name: the data set contains no names."""
    chance = random.Random(f"{stay.number} {stay.hotel}")  # noqa: S311 - the same guests in every run
    return chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)


def companions(stay: Stay) -> list[dict[str, str]]:
    """The other adults, with the guest's last name."""
    first_name, last_name = guest_names(stay)
    start = FIRST_NAMES.index(first_name)
    others = [FIRST_NAMES[(start + place) % len(FIRST_NAMES)] for place in range(1, stay.adults)]
    return [{"first_name": other, "last_name": last_name} for other in others]


HOUSEKEEPING = (Operation.START_CLEANING, Operation.MARK_CLEANED, Operation.INSPECT)
AFTER_CREATION = (Operation.CANCEL, Operation.NO_SHOW, Operation.CHECK_IN, Operation.CHECK_OUT)


class NoReadyRoom(Conflict):
    """Every room of the type is occupied or not ready."""

    code = "NO_READY_ROOM"


class HotelSimulation:
    """Simulates some of a hotel's room types, with the stays in them.

    Room types share no rooms, so the result for a type does not depend on which process simulates the others.
    """

    def __init__(
        self,
        setup: HotelSetup,
        stays: Iterable[Stay],
        plan: Iterable[Step],
        meter: Meter,
        *,
        works_off_tasks: bool = False,
        extras: Callable[[Stay], Mapping[str, Any]] = lambda _: {},
    ) -> None:
        """``works_off_tasks``: cleaning a room also completes its turnover task. ``extras`` returns more arguments of
        ``create_booking`` for a stay."""
        self.setup = setup
        self._works_off_tasks, self._extras = works_off_tasks, extras
        self.bookings: dict[int, RoomBooking] = {}  # by row number, until their last step
        self._stays = {stay.number: stay for stay in stays}
        self._pending = list(plan)
        heapq.heapify(self._pending)
        self.meter = meter
        self._rooms = {room.pk: room for rooms in setup.rooms.values() for room in rooms}
        # First in, first out, so that all rooms of a type get about the same number of guests.
        self.ready = {code: deque(rooms) for code, rooms in setup.rooms.items()}
        self._rooms_by_stay: dict[int, Room] = {}

    def run(self, until: datetime) -> int:
        """Run every step before ``until``; returns the number of steps, without those of housekeeping."""
        done = 0
        while self._pending and self._pending[0].moment < until:
            step = heapq.heappop(self._pending)
            done += step.operation not in HOUSEKEEPING
            if step.operation in AFTER_CREATION and step.subject not in self.bookings:
                continue  # an earlier step was refused, and counted
            with clock.set_to(step.moment):
                try:
                    with self.meter.measure(step.operation):
                        self._do(step)
                except HotelMateError as refusal:
                    self.meter.refused(step.operation, refusal.code, refusal.message)
                    self.bookings.pop(step.subject, None)
        return done

    def expected(self) -> list[tuple[Stay, RoomBooking]]:
        """The stays that have not checked in yet, with their bookings, by arrival date."""
        coming = [self._stays[number] for number in self.bookings if number not in self._rooms_by_stay]
        return [
            (stay, self.bookings[stay.number]) for stay in sorted(coming, key=lambda stay: (stay.arrival, stay.number))
        ]

    def _do(self, step: Step) -> None:
        match step.operation:
            case Operation.CREATE:
                self.bookings[step.subject] = self.create(
                    self._stays[step.subject], **self._extras(self._stays[step.subject])
                )
            case Operation.CANCEL:
                reason = CANCELLATIONS[step.subject % len(CANCELLATIONS)]
                cancel_booking(booking=self.bookings.pop(step.subject), staff=self.setup.desk, reason=reason)
            case Operation.NO_SHOW:
                mark_no_show(booking=self.bookings.pop(step.subject), staff=self.setup.desk)
            case Operation.CHECK_IN:
                self._arrive(step.subject)
            case Operation.CHECK_OUT:
                self._leave(step)
            case Operation.START_CLEANING:
                start_cleaning(room=self._rooms[step.subject], staff=self._cleaner(step.subject))
                for task in self._turnover_tasks(step.subject):
                    start_task(task=task, staff=self._cleaner(step.subject))
            case Operation.MARK_CLEANED:
                mark_cleaned(room=self._rooms[step.subject], staff=self._cleaner(step.subject))
                for task in self._turnover_tasks(step.subject):
                    complete_task(task=task, staff=self._cleaner(step.subject))
            case Operation.INSPECT:
                room = inspect_room(room=self._rooms[step.subject], staff=self.setup.supervisor, passed=True)
                self.ready[room.room_type.code].append(room)

    def _arrive(self, number: int) -> None:
        """Check in to the room of the type that has been ready longest."""
        ready = self.ready[self._stays[number].room_type]
        if not ready:
            raise NoReadyRoom("No room of the type is ready.")
        check_in(booking=self.bookings[number], staff=self.setup.desk, room_id=ready[0].pk)
        self._rooms_by_stay[number] = ready.popleft()

    def _leave(self, step: Step) -> None:
        stay, room = self._stays[step.subject], self._rooms_by_stay.pop(step.subject)
        check_out(booking=self.bookings.pop(step.subject), staff=self.setup.desk)
        for turn in turnover(room.pk, step.moment, in_a_hurry=stay.is_day_use):
            heapq.heappush(self._pending, turn)

    def _turnover_tasks(self, room_id: int) -> Iterable[HousekeepingTask]:
        if not self._works_off_tasks:
            return []
        return HousekeepingTask.objects.filter(room=room_id, task_type=TaskType.TURNOVER, status__in=OPEN_TASK_STATUSES)

    def _cleaner(self, room_id: int) -> Staff:
        return self.setup.housekeepers[room_id % 2]

    def create(self, stay: Stay, **more: Any) -> RoomBooking:
        """Book the stay at the current (simulated) time; ``more`` are further arguments of ``create_booking``."""
        first_name, last_name = guest_names(stay)
        return create_booking(
            hotel=self.setup.hotel,
            staff=self.setup.desk,
            room_type_id=self.setup.types[stay.room_type].pk,
            check_in=stay.arrival,
            check_out=stay.departure,
            primary_first_name=first_name,
            primary_last_name=last_name,
            adults=stay.adults,
            children=stay.children,
            total_amount=stay.amount,
            **more,
        )
