"""A browser, a running HotelMate, and a hotel for each test; unexpected console messages fail the test."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test.utils import setup_databases, teardown_databases
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from hotel.models import Staff
from local import npm
from local.datadir import PROJECT
from tests.browser.board_hotel import BoardHotel, Site, encoded_password, fill_busy_hotel, running, turn_rooms
from tests.browser.pages import expect_state

NAMED = "HOTELMATE_CHROMIUM"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESK = {"width": 1280, "height": 800}
# Only a failing test waits this long.
PATIENCE_MS = 10_000

Open = Callable[..., Page]
MEASURED = "measured"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests measured, whether they passed or not."""
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, line in report.user_properties:
            if name == MEASURED:
                terminalreporter.write_line(line)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """``measured("a sentence with a figure")`` prints the sentence at the end of the run."""
    return lambda line: record_property(MEASURED, line)


def pytest_configure() -> None:
    """Check for pusher-js and a browser before the run, with a clear error. Workers inherit the browser's path."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    npm.install(print, time.sleep)  # as `make run` does
    if not npm.is_installed(PROJECT):
        raise pytest.UsageError("The browser tests need pusher-js: install npm, which fetches it, and try again.")
    os.environ[NAMED] = chromium()


def chromium() -> str:
    """The path of the browser: from the environment, else an installed one, else Playwright's own."""
    named = os.environ.get(NAMED)
    found = [named] if named else [*filter(None, map(shutil.which, BROWSERS))]
    if not found:
        with sync_playwright() as playwright:
            found = [playwright.chromium.executable_path]
    if not os.access(found[0], os.X_OK):
        raise pytest.UsageError(
            f"The browser tests need a browser, and {found[0]} is none: `apt install chromium`, "
            f"`.venv/bin/playwright install chromium`, or name one in {NAMED}."
        )
    return found[0]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # As root, as on most CI machines, chromium runs only without its sandbox. No host name resolves.
        arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        started = playwright.chromium.launch(executable_path=os.environ[NAMED], args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="session")
def _database(
    browser: Browser, django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """A test database with committed writes, which the server processes can read.

    Nothing is rolled back or flushed: each test has its own hotel. pytest-django would create a database only for
    tests that it rolls back.
    """
    # Playwright runs an event loop in this thread, so Django takes the code for asynchronous. Connections made before
    # the loop are not those made under it, hence ``browser`` comes first.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default"})
        yield
        teardown_databases(made, verbosity=0)


@pytest.fixture(scope="session")
def site(_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site") / "web.log") as there:
        yield there
        said = there.log.read_text()
    # No traceback or warning, except the relay's while its server was away.
    assert [line for line in said.splitlines() if not re.search(r"notifications.relay stream \d+: attempt", line)] == []


@pytest.fixture(scope="session")
def password(_database: None) -> str:
    return encoded_password()


@pytest.fixture
def board_hotel(site: Site, password: str) -> BoardHotel:
    """A hotel for this test only."""
    return BoardHotel(password)


@pytest.fixture(scope="session")
def busy_hotel(site: Site, password: str) -> BoardHotel:
    """A hotel with 40 rooms, guests and arrivals; tests must not change it."""
    busy = BoardHotel(password)
    fill_busy_hotel(busy)
    return busy


@pytest.fixture(scope="session")
def hotel_with_turn_times(site: Site, password: str) -> BoardHotel:
    """A hotel with twelve days of turn times; tests must not change it."""
    turned = BoardHotel(password)
    turn_rooms(turned, days=12, rooms=4)
    return turned


# pusher-js may send a ping while its socket closes; it reconnects, and the browser mentions it.
CLOSING_SOCKET = r"WebSocket is already in CLOSING or CLOSED state.*/pusher-js/"


@dataclass
class Complaints:
    """Console warnings, exceptions, and requests to other hosts, from all pages of a test."""

    messages: list[str] = field(default_factory=list)
    _expected: list[str] = field(default_factory=lambda: [CLOSING_SOCKET])

    def expect(self, pattern: str) -> None:
        """Allow a message: the browser logs each response of 400 and above, and each lost connection."""
        self._expected.append(pattern)

    def follow(self, context: BrowserContext, site: Site) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.messages.append(f"thrown: {error.error}"))
        context.on("request", lambda request: self._require_ours(request.url))
        context.on("page", lambda page: page.on("websocket", lambda socket: self._require_ours(socket.url)))

    def unexpected(self) -> list[str]:
        return [text for text in self.messages if not any(re.search(pattern, text) for pattern in self._expected)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.messages.append(f"{message.type}: {message.text} [{message.location.get('url')}]")

    def _require_ours(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.messages.append(f"request to another host: {url}")


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Fails the test if a page has an unexpected complaint."""
    complaints = Complaints()
    yield complaints
    assert complaints.unexpected() == []


@pytest.fixture
def window(browser: Browser, site: Site, complaints: Complaints) -> Iterator[Callable[..., BrowserContext]]:
    """``window(member)`` opens a separate browser window, signed in as that member (``None``: signed out)."""
    opened: list[BrowserContext] = []

    def window(member: Staff | None = None, **options: Any) -> BrowserContext:
        options = {"viewport": DESK, "reduced_motion": "reduce", **options}
        context = browser.new_context(base_url=site.address, **options)
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        complaints.follow(context, site)
        if member is not None:
            context.add_cookies([site.session(member)])
        return context

    yield window
    for context in opened:
        context.close()


@pytest.fixture
def board(window: Callable[..., BrowserContext]) -> Open:
    """``board(member)`` opens the member's board in a separate window and waits until it is live."""

    def board(member: Staff, query: str = "", **options: Any) -> Page:
        page = window(member, **options).new_page()
        page.goto(f"/board/{member.hotel.slug}/{query}")
        expect_state(page, "live")
        return page

    return board
