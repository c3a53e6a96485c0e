"""A running HotelMate for the documentation's examples: database, embedded Pusher server and gunicorn."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg2
import pytest

from local.datadir import PROJECT
from local.service import free_port
from tests.docs.pages import Page, Played, play
from tests.notifications.conftest import CREDENTIALS, sending_to, start_process, until

PASSWORD = "a password of the documentation"
LISBON = ZoneInfo("Europe/Lisbon")
# Too close to midnight in Lisbon: a page started now would end on the next day, with yesterday's arrivals.
LAST_MINUTES = timedelta(minutes=2)
HOUR = 15


@dataclass
class DocsSite:
    """HotelMate running at ``address`` for one day."""

    address: str
    day: date
    environ: dict[str, str]
    folder: Path

    def play(self, page: Page) -> list[Played]:
        """Run a page in a new folder."""
        folder = self.folder / f"page-{time.monotonic_ns()}"
        return play(page, folder, address=self.address, password=PASSWORD, environ=self.environ)


def require_curl() -> None:
    """Fail with a clear message if curl is missing; no test is skipped."""
    if shutil.which("curl") is None:
        pytest.fail(
            "The documentation's requests are made with curl, and there is none here: install it.", pytrace=False
        )


@pytest.fixture(scope="session")
def _site_of_today(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], DocsSite]]:
    require_curl()
    houses: list[DocsSite] = []
    with ExitStack() as stack:

        def of_today() -> DocsSite:
            _leave_the_day_to_its_end()
            if not houses or houses[-1].day != _today():
                houses.append(stack.enter_context(_start_site(tmp_path_factory.mktemp("docs"))))
            return houses[-1]

        yield of_today


@pytest.fixture
def docs_site(_site_of_today: Callable[[], DocsSite]) -> DocsSite:
    """The site of the current day, by the calendar of the shell in which the pages run."""
    return _site_of_today()


def _today() -> date:
    return datetime.now(LISBON).date()


def _leave_the_day_to_its_end() -> None:
    while (datetime.now(LISBON) + LAST_MINUTES).date() != _today():
        time.sleep(1)


@contextmanager
def _start_site(folder: Path) -> Iterator[DocsSite]:
    now = datetime.now(LISBON)
    offset = now.replace(hour=HOUR, minute=0) - now
    served = folder / "served"
    served.touch()
    with _database() as url, _pusher() as pusher_port:
        port = free_port()
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
            **sending_to(pusher_port),
            "CLOCK_OFFSET": str(offset.total_seconds()),
            "DATABASE_URL": url,
            "DEMO_PASSWORD": PASSWORD,
            "DEVELOPMENT": "1",
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "HOTELMATE_DATA_DIR": str(folder / "data"),
            "LOGIN_THROTTLE": "1000/min",
            "LOGIN_THROTTLE_ADDRESS": "1000/min",
            "PORT": str(port),
            "REALTIME_RELAY": "thread",
            "SERVED": str(served),
            "WEB_CONCURRENCY": "1",
        }
        environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        subprocess.run(
            [sys.executable, "-m", "tests.docs.demo_hotel"], cwd=PROJECT, env=environ, check=True, timeout=100
        )
        web = [sys.executable, "-m", "gunicorn", "-c", "hotelmate/gunicorn.conf.py", "--no-control-socket"]
        web += ["--log-level", "warning", "--bind", f"127.0.0.1:{port}", "tests.docs.demo_hotel:application"]
        process = subprocess.Popen(web, cwd=PROJECT, env=environ)
        try:
            until(lambda: _answers(port) or process.poll() is not None, 30)
            assert process.poll() is None, "the documentation's server did not start"
            yield DocsSite(f"http://127.0.0.1:{port}", now.date(), environ, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _answers(port: int) -> bool:
    return subprocess.run(["curl", "-sf", f"http://127.0.0.1:{port}/healthz"], capture_output=True).returncode == 0


@contextmanager
def _database() -> Iterator[str]:
    """An empty database beside that of the tests."""
    name = f"docs_{os.getpid()}_{time.monotonic_ns()}"
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
            try:
                yield urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
            finally:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _pusher() -> Iterator[int]:
    process = start_process("--port", "0", environ=CREDENTIALS)
    try:
        yield int(process.stdout.readline().rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate(timeout=20)
