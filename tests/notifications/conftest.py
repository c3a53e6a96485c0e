"""Fixtures for real processes (the Pusher server, the worker, gunicorn) and real clients, and for a fake transport."""

import contextlib
import hashlib
import hmac
import json
import logging
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pusher
import pysher
import pytest
import requests
from django.db import connection
from websockets.sync.client import ClientConnection, connect

from common import clock
from notifications import relay, transport
from tests.notifications.every_operation import Work, operation_targets, operations
from tests.notifications.smtp_server import MailServer
from tests.room_bookings.small_hotel import NOW

Value = TypeVar("Value")

ROOT = Path(__file__).parents[2]
APP_ID, KEY, SECRET = "1001", "hotel-key", "hotel-secret"
CREDENTIALS = {"PUSHER_APP_ID": APP_ID, "PUSHER_KEY": KEY, "PUSHER_SECRET": SECRET}

# Long enough for a loaded machine; only a failing test waits this long.
PATIENCE = 10
# For a HotelMate process to start.
STARTING = 20

# Names the folder in which processes share their metrics.
COUNTERS = "PROMETHEUS_MULTIPROC_DIR"

# A worker's first log line.
HELLO = "Worker running: events, mail, deadlines and payments. Press Ctrl-C to stop.\n"


def hmac_hex(text: str, secret: str = SECRET) -> str:
    """Sign as in Pusher's documentation, independently of the server's code."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def start_process(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the server with nothing in its environment but ``environ``; a warning in it is an error."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "local.pusher_server", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **(CREDENTIALS if environ is None else environ)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class RawClient:
    """A WebSocket that sends exactly what a test passes to it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def receive(self) -> dict[str, Any]:
        return json.loads(self.socket.recv(timeout=PATIENCE))

    def send(self, event: str, data: object = None, **more: object) -> None:
        self.socket.send(json.dumps({"event": event, "data": data, **more}))

    def ask(self, event: str, data: object = None, **more: object) -> dict[str, Any]:
        self.send(event, data, **more)
        return self.receive()

    def subscribe(self, channel: str, auth: str | None = None) -> dict[str, Any]:
        return self.ask("pusher:subscribe", {"channel": channel} | ({"auth": auth} if auth else {}))

    def established(self) -> str:
        """Read the greeting and return the socket_id."""
        greeting = self.receive()
        assert greeting["event"] == "pusher:connection_established"
        return json.loads(greeting["data"])["socket_id"]

    def received_nothing(self) -> bool:
        """Whether nothing was pending: the next message is the response to a ping sent now."""
        return self.ask("pusher:ping", {}) == {"event": "pusher:pong", "data": "{}"}


class PysherClient:
    """The client library ``pysher``, with every event on any channel put into a queue."""

    def __init__(self, port: int, **options: Any) -> None:
        # Its thread outlives the test for a moment, and would log to a stream that pytest has closed.
        options = {"log_level": logging.CRITICAL, **options}
        self._client = pysher.Pusher(KEY, secure=False, custom_host="127.0.0.1", port=port, **options)
        self._heard: queue.Queue[tuple[str, str, Any]] = queue.Queue()
        # Not bound to pysher's channels: it creates one only after sending the subscription, and may miss the response.
        self._client.connection.event_handler = lambda event, data, channel: self._heard.put((channel, event, data))
        connected: queue.Queue[str] = queue.Queue()
        self._client.connection.bind("pusher:connection_established", connected.put)
        self._client.connect()
        self.socket_id = json.loads(connected.get(timeout=PATIENCE))["socket_id"]

    def subscribe(self, channel: str) -> tuple[str, str, Any]:
        """Subscribe, and return the server's response."""
        self.request(channel)
        return self.next()

    def request(self, channel: str) -> None:
        """Request a subscription without waiting."""
        self._client.subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        self._client.unsubscribe(channel)

    def next(self) -> tuple[str, str, Any]:
        """Return (channel, event, data) of the next event."""
        return self._heard.get(timeout=PATIENCE)

    def next_envelope(self) -> dict[str, Any]:
        """Return the envelope of the next event."""
        return json.loads(self.next()[2])

    def received_nothing_more(self) -> bool:
        """Whether no event is pending."""
        return self._heard.empty()

    def disconnect(self) -> None:
        # Without waiting: pysher closes the socket under its own thread, which may notice it up to ten seconds later.
        self._client.disconnect(timeout=0)


@dataclass
class RunningServer:
    """A server that listens on ``port``."""

    process: subprocess.Popen[str]
    port: int

    def library(self, **changes: Any) -> pusher.Pusher:
        """Return the real ``pusher`` library, set up for this server."""
        arguments = {
            "app_id": APP_ID,
            "key": KEY,
            "secret": SECRET,
            "host": "127.0.0.1",
            "port": self.port,
            "ssl": False,
        }
        return pusher.Pusher(**(arguments | changes))

    def auth(self, socket_id: str, channel: str, extra: str = "", secret: str = SECRET) -> str:
        """Return the response of a correct auth endpoint for a private channel."""
        return f"{KEY}:{hmac_hex(f'{socket_id}:{channel}{extra}', secret)}"

    @contextlib.contextmanager
    def websocket(self, path: str = f"/app/{KEY}?protocol=7", **options: Any) -> Iterator[RawClient]:
        with connect(f"ws://127.0.0.1:{self.port}{path}", open_timeout=PATIENCE, **options) as socket:
            yield RawClient(socket)

    @contextlib.contextmanager
    def pysher(self, **options: Any) -> Iterator[PysherClient]:
        """A client that signs its own subscriptions by default."""
        client = PysherClient(self.port, **(options or {"secret": SECRET}))
        try:
            yield client
        finally:
            client.disconnect()

    def call(
        self, method: str, path: str, body: bytes = b"", *, secret: str = SECRET, **query: str | None
    ) -> requests.Response:
        """Send a signed request; ``query`` replaces parts of the signed query, or drops those that are None."""
        signed = {
            "auth_key": KEY,
            "auth_timestamp": str(int(time.time())),
            "auth_version": "1.0",
            "body_md5": hashlib.md5(body).hexdigest(),
        }
        signature = query.pop("auth_signature", "")
        parts = {name: value for name, value in {**signed, **query}.items() if value is not None}
        to_sign = "&".join(f"{name}={value}" for name, value in sorted(parts.items()))
        if signature is not None:
            parts["auth_signature"] = signature or hmac_hex(f"{method}\n{path}\n{to_sign}", secret)
        url = f"http://127.0.0.1:{self.port}{path}"
        return requests.request(method, url, params=parts, data=body, timeout=PATIENCE)

    def post(self, endpoint: str, value: object, **query: str | None) -> requests.Response:
        """Post ``value`` as signed JSON to an endpoint of the app."""
        return self.call("POST", f"/apps/{APP_ID}{endpoint}", json.dumps(value).encode(), **query)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> tuple[int, str, float]:
        """Stop the server; return its exit code, its stderr and how many seconds it took."""
        asked_at = time.monotonic()
        self.process.send_signal(with_signal)
        try:
            _, errors = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, errors, time.monotonic() - asked_at


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start a server process that may fail to start."""
    return start_process


@pytest.fixture(scope="session")
def launch() -> Callable[..., contextlib.AbstractContextManager[RunningServer]]:
    """Run a separate server on a free port, with changes to its environment; it is stopped at the end."""

    @contextlib.contextmanager
    def running(port: int = 0, **environ: str) -> Iterator[RunningServer]:
        process = start_process("--port", str(port), environ=CREDENTIALS | environ)
        # The line is printed once the socket listens; an early exit gives an empty line instead of a hang.
        line = process.stdout.readline()
        if not line.startswith("Pusher server listening on http://127.0.0.1:"):
            process.kill()
            pytest.fail(f"the server did not start: {line}{process.communicate()[1]}")
        server = RunningServer(process, int(line.rpartition(":")[2]))
        try:
            yield server
        finally:
            if process.poll() is None:
                code, errors, _ = server.stop()
                # No traceback, no warning and no log of any content.
                assert (code, errors) == (0, "")

    return running


@pytest.fixture(scope="session")
def server(launch: Callable[..., contextlib.AbstractContextManager[RunningServer]]) -> Iterator[RunningServer]:
    """The server that tests share; each test uses its own channels."""
    with launch() as running:
        yield running


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """A public channel that no other test uses."""
    return f"{request.node.name.partition('[')[0][:100]}.{time.monotonic_ns()}"


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def relay_to(settings):
    """``relay_to(port)`` starts a relay thread that sends to that port; it is stopped at the end."""
    started: list[relay.Relay] = []

    def start(port: int) -> relay.Relay:
        settings.PUSHER_APP_ID, settings.PUSHER_KEY, settings.PUSHER_SECRET = APP_ID, KEY, SECRET
        settings.PUSHER_HOST, settings.PUSHER_PORT, settings.PUSHER_SSL = "127.0.0.1", port, False
        transport.client.cache_clear()
        started.append(relay.start_thread())
        return started[-1]

    yield start
    for running in started:
        running.stop()
        running.join(10)
    transport.client.cache_clear()


class FakePusher:
    """A fake transport: records what was sent, and raises the given failures."""

    def __init__(self):
        self.batches: list[list[dict]] = []
        self.failures: list[Exception] = []
        self.refuses = lambda _message: None
        self.pings: list[Exception | None] = []

    def ping(self):
        """Succeeds, except for the given failures; ``None`` is a success."""
        if self.pings and (error := self.pings.pop(0)):
            raise error

    def send(self, batch):
        if self.failures:
            raise self.failures.pop(0)
        for message in batch:
            if error := self.refuses(message):
                raise error
        self.batches.append(batch)

    @property
    def envelopes(self) -> list[dict]:
        return [json.loads(message["data"]) for batch in self.batches for message in batch]

    @property
    def numbers(self) -> list[int]:
        return [envelope["meta"]["seq"] for envelope in self.envelopes]


@pytest.fixture
def sent(monkeypatch) -> FakePusher:
    fake = FakePusher()
    monkeypatch.setattr(transport, "send", fake.send)
    monkeypatch.setattr(transport, "ping", fake.ping)
    return fake


def sending_to(port: int) -> dict[str, str]:
    """The environment of a process that sends to this server."""
    return {**CREDENTIALS, "PUSHER_HOST": "127.0.0.1", "PUSHER_PORT": str(port), "PUSHER_SSL": "0"}


@pytest.fixture
def start_hotelmate() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``start_hotelmate("manage.py", "worker", NAME="value")`` runs a process on the test database.

    With the real settings, in development; a warning in it is an error. Killed at the end, with its children.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
        name = connection.settings_dict["NAME"]  # the test database, not the one in the URL
        urls = {key: os.environ[key] for key in ("DATABASE_URL", "DATABASE_DIRECT_URL") if key in os.environ}
        ours = {
            **{variable: urlsplit(url)._replace(path=f"/{name}").geturl() for variable, url in urls.items()},
            "DJANGO_SETTINGS_MODULE": "hotelmate.settings",  # not the test settings, which send nothing
            "DEVELOPMENT": "1",
        }
        inherited = {name: value for name, value in os.environ.items() if name != COUNTERS}
        process = subprocess.Popen(
            [sys.executable, "-W", "error", *arguments],
            cwd=ROOT,
            env={**inherited, **ours, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def start_worker(start_hotelmate) -> Callable[..., subprocess.Popen[str]]:
    """``start_worker(EMAIL_URL=…)`` starts a worker and waits until it runs; its log is in ``stderr``."""

    def start(**environ: str) -> subprocess.Popen[str]:
        process = start_hotelmate("manage.py", "worker", **environ)
        assert select.select([process.stdout], [], [], STARTING)[0], "the worker says nothing"
        assert process.stdout.readline() == HELLO
        return process

    return start


@pytest.fixture
def start_web(start_hotelmate) -> Callable[..., subprocess.Popen[str]]:
    """``start_web(PUSHER_HOST=…)`` runs gunicorn with two processes, which relay, on a free port by default."""

    def start(port: int = 0, **environ: str) -> subprocess.Popen[str]:
        arguments = ("-m", "gunicorn", "--config", "hotelmate/gunicorn.conf.py", "--bind", f"127.0.0.1:{port}")
        environ = {"REALTIME_RELAY": "thread", "WEB_CONCURRENCY": "2", **environ}
        return start_hotelmate(*arguments, "--no-control-socket", "--log-level", "warning", **environ)

    return start


def until(condition: Callable[[], Value], seconds: float = PATIENCE) -> Value:
    """Wait for a true result of ``condition``, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return value


@pytest.fixture
def targets(manager, stripe) -> Iterator[SimpleNamespace]:
    """The targets of the operations, on the afternoon of 1 July 2026."""
    with clock.set_to(NOW):
        yield operation_targets(manager, stripe)


@pytest.fixture
def work(targets, manager) -> dict[str, Work]:
    """The operations, by name."""
    return operations(targets, manager, cards=True)


@pytest.fixture
def mail_server() -> Iterator[Callable[..., MailServer]]:
    """``mail_server(…)`` starts a fake mail server."""
    servers: list[MailServer] = []

    def start(**options: Any) -> MailServer:
        servers.append(MailServer(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
