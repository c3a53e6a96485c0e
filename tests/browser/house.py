"""A HotelMate for a browser to visit: gunicorn with its relay, the Pusher server, the tests' database; and hotels."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client, override_settings
from factory import Transformer
from playwright.sync_api import Cookie

from common import clock
from hotel import rights
from hotel.models import Hotel, Staff
from hotelmate.local.datadir import PROJECT
from hotelmate.local.service import free_port
from rooms.models import Room, RoomType
from tests.factories import PASSWORD, HotelFactory, RoomTypeFactory, StaffFactory, room_in
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


def now_ms() -> float:
    """The moment on the clock that ``Date.now()`` reads in the browser."""
    return time.time() * 1000
