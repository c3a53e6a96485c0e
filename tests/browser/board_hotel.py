"""A running HotelMate for the browser tests (gunicorn, relay, Pusher server), and hotels to fill its board."""

import datetime as dt
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client, override_settings
from factory import Transformer
from playwright.sync_api import Cookie

from common import clock
from hotel import calendar, rights
from hotel.models import Hotel, Staff
from housekeeping.models import Source
from housekeeping.services import set_room_status
from local.datadir import PROJECT
from local.service import free_port
from room_bookings.models import BookingStatus
from rooms.models import Room, RoomStatus, RoomType
from tests.factories import (
    PASSWORD,
    BookingFactory,
    HotelFactory,
    RoomTypeFactory,
    StaffFactory,
    booking_in,
    room_in,
)
from tests.notifications.conftest import COUNTERS, CREDENTIALS, sending_to, start_process, until

# Seconds for a server to start.
STARTING = 30


class Pusher:
    """The embedded Pusher server; a test can kill it and restart it on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = start_process("--port", str(self.port), environ=CREDENTIALS)
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        assert line.startswith("Pusher server listening on "), line

    def freeze(self) -> None:
        """Keep connections open without sending anything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Stop abruptly, as after a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@dataclass
class Site:
    """A running HotelMate."""

    address: str
    pusher: Pusher
    log: Path

    def session(self, member: Staff) -> Cookie:
        """A session cookie of the staff member, without going through the sign-in page."""
        client = Client()
        client.force_login(member.user)
        return {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": self.address}


@contextmanager
def running(log: Path) -> Iterator[Site]:
    """Run everything that ``make run`` starts, except the worker, until the end of the block."""
    pusher = Pusher()
    pusher.start()
    port = free_port()
    name = connection.settings_dict["NAME"]  # the test database, not the one in the URL
    not_theirs = (COUNTERS, "DJANGO_ALLOW_ASYNC_UNSAFE")
    inherited = {variable: value for variable, value in os.environ.items() if variable not in not_theirs}
    environ = {
        **inherited,
        **sending_to(pusher.port),
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl(),
        "DJANGO_SETTINGS_MODULE": "hotelmate.settings",  # the test settings send no events
        "DEVELOPMENT": "1",
        "REALTIME_RELAY": "thread",
        "WEB_CONCURRENCY": "2",
    }
    command = [sys.executable, "-W", "error", "-m", "gunicorn", "--config", "hotelmate/gunicorn.conf.py"]
    command += ["--bind", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "warning"]
    with open(log, "w") as output:
        web = _started(command, environ, output)
        site = Site(f"http://127.0.0.1:{port}", pusher, log)
        try:
            until(lambda: _answers(f"{site.address}/readyz"), STARTING)
            yield site
        finally:
            web.send_signal(signal.SIGINT)  # a graceful stop would wait for connections that browsers keep open
            web.wait(STARTING)
            pusher.kill()


def _started(command: list[str], environ: dict[str, str], output: IO[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command, cwd=PROJECT, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def early_afternoon() -> str:
    """A timezone where it is between 13:00 and 14:00, so that due dates do not depend on the time of the run."""
    ahead = 13 - clock.now().hour
    # The sign in these zone names is inverted.
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def encoded_password() -> str:
    """``PASSWORD`` hashed for the running server, which does not accept the tests' fast hash."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"]):
        return make_password(PASSWORD)


@dataclass
class BoardHotel:
    """A hotel of its own for a board test, with methods that add staff, room types and rooms."""

    encoded_password: str
    hotel: Hotel = field(default_factory=lambda: HotelFactory(timezone=early_afternoon()))
    _types: dict[str, RoomType] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/board/{self.hotel.slug}/"

    @property
    def api(self) -> str:
        return f"/api/staff/hotel/{self.hotel.slug}/"

    def member(self, role: str = rights.HOTEL_MANAGER, first: str = "Maeve", **fields: Any) -> Staff:
        """A staff member with that role, who can sign in with ``PASSWORD``."""
        password = Transformer.Force(self.encoded_password)
        return StaffFactory(hotel=self.hotel, role=role, user__first_name=first, user__password=password, **fields)

    def room_type(self, name: str) -> RoomType:
        if name not in self._types:
            self._types[name] = RoomTypeFactory(hotel=self.hotel, name=name)
        return self._types[name]

    def room(self, number: int, status: str = "READY_FOR_GUEST", *, kind: str = "Double", fault: bool = False) -> Room:
        """A room that reached that status through the service."""
        return room_in(status, fault=fault, hotel=self.hotel, room_number=number, room_type=self.room_type(kind))


# The names of guests and arrivals.
GUESTS = [name.split() for name in ("Ada Lovelace", "Grace Hopper", "Mary Somerville", "Emmy Noether", "Joan Clarke")]


def fill_busy_hotel(board_hotel: BoardHotel) -> None:
    """Fill the hotel as in the early afternoon: 40 rooms on four floors in every status, 106 and 108 with a fault,
    arrivals with and without a ready room, departures on time and overdue."""
    today = calendar.business_date(board_hotel.hotel)
    kinds = {1: "Double", 2: "Double", 3: "Twin", 4: "Suite"}
    statuses = dict(enumerate(RoomStatus.values, 101)) | {
        **dict.fromkeys((203, 204, 302, 405), RoomStatus.CHECKOUT_DIRTY),
        **dict.fromkeys((205, 303), RoomStatus.CLEANING_IN_PROGRESS),
        **dict.fromkeys((108, 206, 304, 406), RoomStatus.CLEANED_UNINSPECTED),
        407: RoomStatus.OUT_OF_ORDER,
    }
    leaving = {207: 0, 305: 0, 408: 1}
    staying = {109, 208, 209, 306, 307, 308, 402, 409}
    rooms = {}
    for place, number in enumerate(floor * 100 + place for floor in range(1, 5) for place in range(1, 11)):
        with clock.set_to(clock.now() - timedelta(minutes=7 + 11 * (place * 17 % 23))):
            status = statuses.get(number, RoomStatus.READY_FOR_GUEST)
            rooms[number] = board_hotel.room(number, status, kind=kinds[number // 100], fault=number == 108)
    for place, number in enumerate([*leaving, *staying]):
        first, last = GUESTS[place % len(GUESTS)]
        until = today - timedelta(days=leaving[number]) if number in leaving else today + timedelta(days=1 + place % 3)
        since = today - timedelta(days=2 + place % 2)
        with clock.set_to(calendar.at(board_hotel.hotel, since, dt.time(15, 10 + place))):
            fields = {"primary_first_name": first, "primary_last_name": last, "check_in": since, "check_out": until}
            booking_in(BookingStatus.IN_HOUSE, assigned_room=rooms[number], **fields)
    for number, (first, last) in zip((104, 110, 204, 301, None), reversed(GUESTS), strict=True):
        BookingFactory(
            hotel=board_hotel.hotel,
            room_type=board_hotel.room_type("Twin" if number in (301, None) else "Double"),
            assigned_room=rooms.get(number),
            primary_first_name=first,
            primary_last_name=last,
            check_in=today,
            check_out=today + timedelta(days=2),
        )


def turn_rooms(board_hotel: BoardHotel, days: int, rooms: int) -> None:
    """Turn ``rooms`` rooms on each of the last ``days`` days, getting faster over time."""
    there = [board_hotel.room(number) for number in range(901, 901 + rooms)]
    noon = calendar.at(board_hotel.hotel, calendar.local_now(board_hotel.hotel).date(), dt.time(12, 0))
    for ago in range(days - 1, -1, -1):
        for place, room in enumerate(there):
            minutes = 40 + ago + place * 17 + (ago * 7 + place * 13) % 19
            for status, at in (("CHECKOUT_DIRTY", minutes), ("READY_FOR_GUEST", 0)):
                with clock.set_to(noon - timedelta(days=ago, minutes=at)):
                    set_room_status(room=room, to_status=status, source=Source.SYSTEM)
