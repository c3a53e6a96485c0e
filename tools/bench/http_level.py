"""Requests to gunicorn, 2 processes of 4 threads, over 16 connections: HotelMate and the floor, alternating.

The web processes send no events (``REALTIME_RELAY=off``), so that only the request is measured.
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
TURNS = 3  # of the status change and its floors in each round: a machine's speed varies within seconds
PROCESSES = 2
NOTHING, SQL, UPDATE = "view that does nothing", "view with SQL by hand", "status update"


class Call(NamedTuple):
    """A request, sent over the wire or, to count its statements, within this process."""

    method: str
    path: str
    token: str = ""
    body: dict[str, object] | None = None

    def wire(self) -> bytes:
        return request(self.method, self.path, token=self.token, body=self.body)

    def inside(self) -> None:
        """Send it with Django's test client; raises RuntimeError unless the status is 2xx."""
        headers = {"Authorization": f"Token {self.token}"} if self.token else {}
        body = "" if self.body is None else json.dumps(self.body)
        response = Client(SERVER_NAME="127.0.0.1").generic(
            self.method,
            self.path,
            body,
            content_type="application/json",
            headers=headers,
        )
        if not 200 <= response.status_code < 300:
            raise RuntimeError(f"{self.path} returned {response.status_code}: {response.content[:500]!r}")


class Case(NamedTuple):
    """A row of the table; ``calls`` returns new calls for each block."""

    name: str
    calls: Callable[[int], list[Call]]
    share: float = 1.0  # of a block's requests: less for slow ones
    is_huge: bool = False  # thousands of rooms: a worker's memory is also reported without these


class FrontDesk:
    """A hotel whose bookings go through all actions in each round.

    Each kind of call starts from the state that the previous kind leaves.
    """

    def __init__(self, hotel: BenchHotel, size: int) -> None:
        self.hotel = hotel
        self.first, self.second = hotel.rooms[:size], hotel.rooms[size : 2 * size]
        self.arrivals: list[RoomBooking] = []
        self.later: list[RoomBooking] = []

    def open(self) -> None:
        """Start a round: all rooms ready, an arrival today for each of the first rooms, and as many next week."""
        dirty = Room.objects.filter(hotel=self.hotel.hotel, room_status=RoomStatus.CHECKOUT_DIRTY)
        self.hotel.set(list(dirty), RoomStatus.READY_FOR_GUEST)
        self.arrivals = self.hotel.add([self.hotel.booking(assigned_room=room) for room in self.first])
        begin, end = self.hotel.today + timedelta(days=7), self.hotel.today + timedelta(days=9)
        self.later = self.hotel.add(
            [self.hotel.booking(room_type=room.room_type, check_in=begin, check_out=end) for room in self.first]
        )

    def cases(self) -> list[Case]:
        """The booking actions in their natural order."""
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
    """Status changes back and forth, each room once in a block; by HotelMate or by the floor."""

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
    """Create the hotels, start the server and measure all rounds."""
    size = scale.requests + scale.alone + 1  # calls of each kind in a round; the last one counts statements
    hotel = BenchHotel("changes", 2 * size)
    hotel.set(hotel.rooms, RoomStatus.CHECKOUT_DIRTY)
    front_desk = FrontDesk(BenchHotel("front-desk", 4 * size), size)
    compared = [
        Case(NOTHING, lambda count: [Call("GET", "/floor/nothing/")] * count),
        Case(SQL, Changes(hotel, hotel.rooms[:size], by_hand=True).calls),
        Case(UPDATE, Changes(hotel, hotel.rooms[size:], by_hand=False).calls),
    ]
    others = sorted([*reads(scale), *front_desk.cases()], key=lambda case: case.is_huge)
    cases = [*compared * TURNS, *others]
    usual = 0.0  # MB of a worker, before the huge cases
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    installation.start_web(processes=PROCESSES, relay="off")
    wakeup.relay_started()  # as in a web process that relays: statements are counted in this process
    rounds: dict[str, list[dict[str, float]]] = {case.name: [] for case in cases}
    bar = tqdm(total=(scale.rounds + 1) * len(cases), unit=" blocks", disable=None)
    try:
        for number in range(scale.rounds + 1):
            front_desk.open()
            for place, case in enumerate(cases, start=1):
                installation.pause(0)
                bar.set_postfix_str(case.name)
                if case.is_huge and not usual:
                    usual = meters.resident_megabytes(installation.web_processes())
                figures = block(installation, case, scale)
                if number:  # the first round is a warm-up
                    rounds[case.name].append(figures)
                    if case not in compared:
                        add_ratios(rounds, [case.name])
                    elif place % len(compared) == 0:
                        add_ratios(rounds, [one.name for one in compared])
                bar.update()
        memory = meters.resident_megabytes(installation.web_processes())
    except LocalError as error:
        raise LocalError(f"{error}\n{installation.web.log_tail(20)}") from error
    finally:
        bar.close()
        wakeup.relay_stopped()
        installation.web.stop()
        connection.close()
    report.add("HTTP", [Row(name, meters.medians(figures)) for name, figures in rounds.items()])
    workers = {"worker, hotels of up to 1,000 rooms": usual or memory, "worker": memory}
    report.add("Memory after that", [Row(name, {"MB": megabytes}) for name, megabytes in workers.items()])


def reads(scale: Scale) -> list[Case]:
    """The pages, in hotels of several sizes."""
    found = []
    for count in scale.rooms:
        hotel = BenchHotel(f"rooms-{count}", count)
        hotel.occupy()
        share = min(1.0, 100 / count)
        page = page_calls(hotel, "/turnover/rooms/")
        found.append(Case(f"rooms by status, {count:,} rooms", page, share, is_huge=count > 1000))
        if count == 1000:
            found.append(Case("dashboard, 1,000 rooms", page_calls(hotel, "/housekeeping/dashboard/"), share))
    for count in scale.bookings:
        hotel = BenchHotel(f"bookings-{count}", 60)
        hotel.add_past(count)
        found.append(Case(f"bookings page of {count:,}", page_calls(hotel, "/room-bookings/"), 0.25))
    return found


def page_calls(hotel: BenchHotel, path: str) -> Callable[[int], list[Call]]:
    return lambda count: [Call("GET", hotel.path + path, hotel.token)] * count


def block(installation: Installation, case: Case, scale: Scale) -> dict[str, float]:
    """Measure a case: requests one after the other, then over all connections, then one for its statements."""
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
    """Add to the newest figures their share of the floors' newest throughput, and their CPU time in status updates."""
    bases = {"× nothing": rounds[NOTHING][-1]["requests/s"], "× SQL view": rounds[SQL][-1]["requests/s"]}
    for figures in (rounds[name][-1] for name in names):
        for name, base in bases.items():
            figures[name] = figures["requests/s"] / base
        figures["web × update"] = figures["web ms"] / rounds[UPDATE][-1]["web ms"]
