"""Requests to gunicorn, 2 processes of 4 threads, over 16 connections: HotelMate's and those to the floor, in turns.

The web processes send no events (``REALTIME_RELAY=off``): what is measured is the request, whoever relays.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from statistics import median
from typing import NamedTuple

from django.db import connection
from django.test import Client
from tqdm import tqdm

from local import LocalError
from notifications import wakeup
from room_bookings.models import RoomBooking
from rooms.models import Room, RoomStatus
from tools.bench import floor, meters
from tools.bench.hotels import BenchHotel
from tools.bench.load import drive, request
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.bench.service_level import STEPS
from tools.harness.installation import Installation

CONNECTIONS = 16
TURNS = 3  # of the change of status and its floors in each round: machines change their speed within seconds
PROCESSES = 2
NOTHING, SQL = "view that does nothing", "view with SQL by hand"


class Call(NamedTuple):
    """A request, to be sent over the wire or, to count its statements, within this process."""

    method: str
    path: str
    token: str = ""
    body: dict[str, object] | None = None

    def wire(self) -> bytes:
        return request(self.method, self.path, token=self.token, body=self.body)

    def inside(self) -> None:
        """The same by Django's test client; raises for an answer that is not 2xx."""
        headers = {"Authorization": f"Token {self.token}"} if self.token else {}
        body = "" if self.body is None else json.dumps(self.body)
        answer = Client(SERVER_NAME="127.0.0.1").generic(
            self.method,
            self.path,
            body,
            content_type="application/json",
            headers=headers,
        )
        if not 200 <= answer.status_code < 300:
            raise RuntimeError(f"{self.path} answered {answer.status_code}: {answer.content[:500]!r}")


class Case(NamedTuple):
    """A row: as many calls as it is asked for, anew for each round."""

    name: str
    calls: Callable[[int], list[Call]]
    share: float = 1.0  # of a block's requests: less where each takes long
    is_huge: bool = False  # thousands of rooms: what that takes of a worker's memory is told apart


class Desk:
    """A hotel whose bookings go through the whole of their life in each round.

    Of each kind of call as many as a round needs; what a call leaves is what the next kind starts from.
    """

    def __init__(self, hotel: BenchHotel, size: int) -> None:
        self.hotel = hotel
        self.first, self.second = hotel.rooms[:size], hotel.rooms[size : 2 * size]
        self.arrivals: list[RoomBooking] = []
        self.later: list[RoomBooking] = []

    def open(self) -> None:
        """A new round: all rooms ready, a booking that arrives today in each of the first, as many for next week."""
        dirty = Room.objects.filter(hotel=self.hotel.hotel, room_status=RoomStatus.CHECKOUT_DIRTY)
        self.hotel.set(list(dirty), RoomStatus.READY_FOR_GUEST)
        self.arrivals = self.hotel.add([self.hotel.booking(assigned_room=room) for room in self.first])
        begin, end = self.hotel.today + timedelta(days=7), self.hotel.today + timedelta(days=9)
        self.later = self.hotel.add(
            [self.hotel.booking(room_type=room.room_type, check_in=begin, check_out=end) for room in self.first]
        )

    def cases(self) -> list[Case]:
        """In the order of a booking's life."""
        return [
            Case("assign", lambda _: self._calls("safe-assign-room", self.later, self._assigned)),
            Case("cancel", lambda _: self._calls("cancel", self.later, lambda _: {"reason": "changed plans"})),
            Case("check-in", lambda _: self._calls("check-in", self.arrivals, lambda _: {})),
            Case("move", lambda _: self._calls("move-room", self.arrivals, self._moved)),
            Case("check-out", lambda _: self._calls("check-out", self.arrivals, lambda _: {})),
        ]

    def _assigned(self, place: int) -> dict[str, object]:
        return {"room_id": self.first[place].pk}

    def _moved(self, place: int) -> dict[str, object]:
        return {"to_room_id": self.second[place].pk, "reason": "the shower drips"}

    def _calls(self, action: str, bookings: list[RoomBooking], body: Callable[[int], dict[str, object]]) -> list[Call]:
        path, token = f"{self.hotel.path}/room-bookings", self.hotel.token
        return [
            Call("POST", f"{path}/{booking.booking_id}/{action}/", token, body(place))
            for place, booking in enumerate(bookings)
        ]


class Changes:
    """Changes of status back and forth, each room once in a block; by the product or by hand."""

    def __init__(self, hotel: BenchHotel, rooms: list[Room], *, by_hand: bool) -> None:
        self._hotel, self._rooms, self._by_hand = hotel, rooms, by_hand
        self._blocks = 0

    def calls(self, count: int) -> list[Call]:
        to_status = STEPS[self._blocks % 2]
        self._blocks += 1
        if self._by_hand:
            body: dict[str, object] = {"to_status": to_status, "staff": self._hotel.staff.pk}
            return [Call("POST", f"/floor/status/{room.pk}/", body=body) for room in self._rooms]
        path, token = f"{self._hotel.path}/rooms", self._hotel.token
        return [Call("POST", f"{path}/{room.pk}/status/", token, {"to_status": to_status}) for room in self._rooms]


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """Build the hotels, start the server, go round."""
    size = scale.requests + scale.alone + 1  # of each kind of change in a round; the last is for its statements
    house = BenchHotel("changes", 2 * size)
    house.set(house.rooms, RoomStatus.CHECKOUT_DIRTY)
    desk = Desk(BenchHotel("desk", 4 * size), size)
    compared = [
        Case(NOTHING, lambda count: [Call("GET", "/floor/nothing/")] * count),
        Case(SQL, Changes(house, house.rooms[:size], by_hand=True).calls),
        Case("status update", Changes(house, house.rooms[size:], by_hand=False).calls),
    ]
    others = sorted([*reads(scale), *desk.cases()], key=lambda case: case.is_huge)
    cases = [*compared * TURNS, *others]
    usual = 0.0  # MB of a worker, before anything huge
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    installation.start_web(processes=PROCESSES, relay="off")
    wakeup.relay_started()  # for the statements that are counted in this process: as in a web process that relays
    rounds: dict[str, list[dict[str, float]]] = {case.name: [] for case in cases}
    bar = tqdm(total=(scale.rounds + 1) * len(cases), unit=" blocks", disable=None)
    try:
        for number in range(scale.rounds + 1):
            desk.open()
            for place, case in enumerate(cases, start=1):
                installation.pause(0)
                bar.set_postfix_str(case.name)
                if case.is_huge and not usual:
                    usual = meters.resident_megabytes(installation.web_processes())
                figures = block(installation, case, scale)
                if number:  # the first warms up
                    rounds[case.name].append(figures)
                    if case not in compared:
                        add_ratios(rounds, [case.name])
                    elif place % len(compared) == 0:
                        add_ratios(rounds, [one.name for one in compared])
                bar.update()
        memory = meters.resident_megabytes(installation.web_processes())
    except LocalError as error:
        raise LocalError(f"{error}\n{installation.web.last_words(20)}") from error
    finally:
        bar.close()
        wakeup.relay_stopped()
        installation.web.stop()
        connection.close()
    report.add("HTTP", [Row(name, meters.medians(figures)) for name, figures in rounds.items()])
    workers = {"worker, houses of up to 1,000 rooms": usual or memory, "worker": memory}
    report.add("Memory after that", [Row(name, {"MB": megabytes}) for name, megabytes in workers.items()])


def reads(scale: Scale) -> list[Case]:
    """The pages, of houses of several sizes."""
    found = []
    for count in scale.rooms:
        hotel = BenchHotel(f"rooms-{count}", count)
        hotel.live_in()
        share = min(1.0, 100 / count)
        page = _page(hotel, "/turnover/rooms/")
        found.append(Case(f"rooms by status, {count:,} rooms", page, share, is_huge=count > 1000))
        if count == 1000:
            found.append(Case("dashboard, 1,000 rooms", _page(hotel, "/housekeeping/dashboard/"), share))
    for count in scale.bookings:
        hotel = BenchHotel(f"bookings-{count}", 60)
        hotel.add_past(count)
        found.append(Case(f"bookings page of {count:,}", _page(hotel, "/room-bookings/"), 0.25))
    return found


def _page(hotel: BenchHotel, path: str) -> Callable[[int], list[Call]]:
    return lambda count: [Call("GET", hotel.path + path, hotel.token)] * count


def block(installation: Installation, case: Case, scale: Scale) -> dict[str, float]:
    """One case, in one round: a few requests one after the other, then many over all connections, one for its SQL."""
    alone = max(3, int(scale.alone * case.share))
    many = max(CONNECTIONS, int(scale.requests * case.share))
    calls = case.calls(alone + many + 1)
    assert len(calls) > alone + many
    one_by_one = drive(installation.web_port, [call.wire() for call in calls[:alone]], connections=1)
    messages = [call.wire() for call in calls[alone:-1]]
    web, postgres = meters.Processor(installation.web.pid or 0), meters.Processor(installation.postgres)
    load = drive(installation.web_port, messages, connections=CONNECTIONS)
    web_ms, postgres_ms = web.milliseconds(), postgres.milliseconds()
    with meters.statements() as seen:
        calls[-1].inside()
    by_hand = floor.STATEMENTS if case.name == SQL else 0
    return {
        "requests/s": len(messages) / load.seconds,
        "alone ms": median(one_by_one.latencies) * 1000,
        "statements": len(seen) + by_hand,
        "web ms": web_ms / len(messages),
        "PostgreSQL ms": postgres_ms / len(messages),
    }


def add_ratios(rounds: dict[str, list[dict[str, float]]], names: list[str]) -> None:
    """Beside the newest figures of these, what share of the floors' newest throughput they are."""
    bases = {"× nothing": rounds[NOTHING][-1]["requests/s"], "× SQL view": rounds[SQL][-1]["requests/s"]}
    for figures in (rounds[name][-1] for name in names):
        for name, base in bases.items():
            figures[name] = figures["requests/s"] / base
