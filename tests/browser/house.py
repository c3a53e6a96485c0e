"""A HotelMate for a browser to visit: gunicorn with its relay, the Pusher server, the tests' database; and hotels."""

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

# For a server to answer; only a failing test waits so long.
STARTING = 30


class Pusher:
    """The embedded server, which a test may kill and bring back at the same address."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = start_process("--port", str(self.port), environ=CREDENTIALS)
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        assert line.startswith("Pusher server listening on "), line

    def freeze(self) -> None:
        """Its connections stay open, and nothing comes over them any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Gone from one moment to the next, as after a power cut."""
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
        """The cookie of somebody who has signed in; the sign-in page has tests of its own."""
        client = Client()
        client.force_login(member.user)
        return {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": self.address}


@contextmanager
def running(log: Path) -> Iterator[Site]:
    """Everything that ``make run`` starts but the worker, until the end of the block."""
    pusher = Pusher()
    pusher.start()
    port = free_port()
    name = connection.settings_dict["NAME"]  # of the tests, not the one that the URL names
    not_theirs = (COUNTERS, "DJANGO_ALLOW_ASYNC_UNSAFE")
    inherited = {variable: value for variable, value in os.environ.items() if variable not in not_theirs}
    environ = {
        **inherited,
        **sending_to(pusher.port),
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl(),
        "DJANGO_SETTINGS_MODULE": "hotelmate.settings",  # not those of the tests, which send nothing
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
            web.send_signal(signal.SIGINT)  # at once: a graceful stop waits for connections that browsers keep
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
    """A timezone in which it is between 13:00 and 14:00, so that what is due today does not depend on when we look."""
    ahead = 13 - clock.now().hour
    # In these names the sign is the other way round.
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def encoded_password() -> str:
    """``PASSWORD`` as the running house stores it: the tests' own hash is none that it takes."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"]):
        return make_password(PASSWORD)


@dataclass
class House:
    """One hotel, and whoever and whatever a test puts into it."""

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
        """Somebody in that role, who can sign in with ``PASSWORD``."""
        password = Transformer.Force(self.encoded_password)
        return StaffFactory(hotel=self.hotel, role=role, user__first_name=first, user__password=password, **fields)

    def room_type(self, name: str) -> RoomType:
        if name not in self._types:
            self._types[name] = RoomTypeFactory(hotel=self.hotel, name=name)
        return self._types[name]

    def room(self, number: int, status: str = "READY_FOR_GUEST", *, kind: str = "Double", fault: bool = False) -> Room:
        """A room that got to that status through the service."""
        return room_in(status, fault=fault, hotel=self.hotel, room_number=number, room_type=self.room_type(kind))


# Who sleeps here, and who is expected.
GUESTS = [name.split() for name in ("Ada Lovelace", "Grace Hopper", "Mary Somerville", "Emmy Noether", "Joan Clarke")]


def furnish(house: House) -> None:
    """A house at work in the early afternoon: 40 rooms on four floors in every status, 106 and 108 with a fault,
    arrivals with and without a room that is ready, departures in time and late."""
    today = calendar.business_date(house.hotel)
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
            rooms[number] = house.room(number, status, kind=kinds[number // 100], fault=number == 108)
    for place, number in enumerate([*leaving, *staying]):
        first, last = GUESTS[place % len(GUESTS)]
        until = today - timedelta(days=leaving[number]) if number in leaving else today + timedelta(days=1 + place % 3)
        since = today - timedelta(days=2 + place % 2)
        with clock.set_to(calendar.at(house.hotel, since, dt.time(15, 10 + place))):
            fields = {"primary_first_name": first, "primary_last_name": last, "check_in": since, "check_out": until}
            booking_in(BookingStatus.IN_HOUSE, assigned_room=rooms[number], **fields)
    for number, (first, last) in zip((104, 110, 204, 301, None), reversed(GUESTS), strict=True):
        BookingFactory(
            hotel=house.hotel,
            room_type=house.room_type("Twin" if number in (301, None) else "Double"),
            assigned_room=rooms.get(number),
            primary_first_name=first,
            primary_last_name=last,
            check_in=today,
            check_out=today + timedelta(days=2),
        )


def turn_rooms(house: House, days: int, rooms: int) -> None:
    """So many days on each of which so many rooms were turned, faster from week to week."""
    there = [house.room(number) for number in range(901, 901 + rooms)]
    noon = calendar.at(house.hotel, calendar.local_now(house.hotel).date(), dt.time(12, 0))
    for ago in range(days - 1, -1, -1):
        for place, room in enumerate(there):
            minutes = 40 + ago + place * 17 + (ago * 7 + place * 13) % 19
            for status, at in (("CHECKOUT_DIRTY", minutes), ("READY_FOR_GUEST", 0)):
                with clock.set_to(noon - timedelta(days=ago, minutes=at)):
                    set_room_status(room=room, to_status=status, source=Source.SYSTEM)
