"""Fuzzes the embedded Pusher server with malformed frames, handshakes and requests, while a bystander is subscribed and
must receive every event."""

import hashlib
import hmac
import itertools
import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import psutil
import requests
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tqdm import tqdm
from websockets.sync.client import ClientConnection, connect

from tools.harness.throwaway import HotelMate

PATIENCE = 10  # seconds; only a hanging server takes so long
SHORT = 0.2  # seconds for a response to a request that may be incomplete
ROUND = 40  # examples of one kind before the bystander is checked
CROWD_GROWTH, GROWTH = 8 * 2**20, 24 * 2**20  # bytes that the server may grow by: for one crowd, and in all
LORISES, SUBSCRIPTIONS, ECHOES, PINGS = 60, 5000, 1500, 500_000
LISTENING = 3  # seconds after which the server should have stopped reading from a client that does not read
HANDSHAKE = (
    "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Target(NamedTuple):
    """A Pusher server and its app."""

    port: int
    app_id: str
    key: str
    secret: str
    pid: int

    def sign(self, text: str) -> str:
        """Sign as Pusher's documentation describes."""
        return hmac.new(self.secret.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def signed(self, method: str, path: str, body: bytes, **changes: str) -> str:
        """The query of a valid request; ``changes`` are made after signing."""
        query = {
            "auth_key": self.key,
            "auth_timestamp": str(int(time.time())),
            "auth_version": "1.0",
            "body_md5": hashlib.md5(body, usedforsecurity=False).hexdigest(),
        }
        text = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
        return urlencode({**query, "auth_signature": self.sign(f"{method}\n{path}\n{text}"), **changes})

    def resident(self) -> int:
        """The resident memory in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)


# --- inputs -----------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)  # with lone surrogates
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(2**63), 1e308])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("channel"), inner, max_size=3),
    max_leaves=6,
)
PREFIXES = [
    "",
    "private-",
    "presence-",
    "private-encrypted-",
    "cache-",
    "private-cache-",
    "#server-to-user-",
    "client-",
]
CHANNELS = st.builds(
    str.__add__,
    st.sampled_from(PREFIXES),
    TEXT | st.from_regex(r"[-a-zA-Z0-9_=@,.;]{1,164}", fullmatch=True) | st.just("r" * 5_000),
)
EVENTS = st.sampled_from(
    ["pusher:subscribe", "pusher:subscribe", "pusher:unsubscribe", "pusher:ping", "pusher:pong", "pusher:signin",
     "pusher_internal:subscription_succeeded", "client-x", ""]
)  # fmt: skip
SUBSCRIPTION = st.fixed_dictionaries(
    {"channel": CHANNELS | VALUES},
    optional={"auth": st.sampled_from(["hotel-key:00", ":", "é:\ud800"]) | VALUES, "channel_data": TEXT | VALUES},
)
MESSAGES = st.fixed_dictionaries({"event": EVENTS | VALUES, "data": SUBSCRIPTION | VALUES}) | VALUES
DEEP = st.sampled_from([b"[" * 60_000, b'{"event":' * 6_000, b"9" * 5_000, b"\xff\xfe", b"\xed\xa0\x80", b"x" * 70_000])
PAYLOADS = MESSAGES.map(lambda message: json.dumps(message).encode()) | st.binary(max_size=200) | DEEP


def frame(
    payload: bytes, opcode: int = 1, *, fin: bool = True, masked: bool = True, rsv: int = 0, lie: int = 0
) -> bytes:
    """A WebSocket frame, valid or not; ``lie`` is added to its length."""
    length = max(len(payload) + lie, 0)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask_bit = masked << 7
    if length < 126:
        head += bytes([mask_bit | length])
    elif length < 65536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", length)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", length)
    # A mask of zeros leaves the payload unchanged.
    return head + (b"\0\0\0\0" if masked else b"") + payload


GOOD_FRAMES = st.builds(frame, PAYLOADS)
BAD_FRAMES = st.builds(
    frame,
    PAYLOADS,
    st.integers(0, 15),
    fin=st.booleans(),
    masked=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0, 0, 0, 1, 4, 7]),
    lie=st.sampled_from([0, 0, 0, 1, -1, 2**16, 2**62]),
)
FRAGMENTS = st.lists(PAYLOADS, min_size=2, max_size=4).map(
    lambda parts: b"".join(
        frame(part, 1 if place == 0 else 0, fin=place == len(parts) - 1) for place, part in enumerate(parts)
    )
)
CONVERSATIONS = st.lists(GOOD_FRAMES | BAD_FRAMES | FRAGMENTS, min_size=1, max_size=8)

PATHS = st.sampled_from(["/app/{key}", "/app/", "/app/x", "/", "/apps/1", "/app/{key}/x", "/app/%ff", "/app/%00", "//"])
QUERIES = st.sampled_from(["protocol=7", "protocol=7&protocol=x", "protocol=%D9%A7", "protocol=" + "9" * 5000, "&=&%",
                           "protocol", "protocol=7&x=" + "y" * 9000, ";".join("abc")])  # fmt: skip
HEADERS = st.sampled_from(
    ["", "Sec-WebSocket-Version: 12\r\n", "Sec-WebSocket-Extensions: permessage-deflate; x=\r\n", "Origin: \x80\r\n",
     "Sec-WebSocket-Protocol: a, b,,\r\n", "Sec-WebSocket-Key: short\r\n", "Upgrade: h2c\r\n", "Content-Length: 5\r\n",
     "Transfer-Encoding: chunked\r\n", "X: " + "y" * 70_000 + "\r\n", "no colon\r\n", " folded\r\n", "\0: \0\r\n"]
)  # fmt: skip
HANDSHAKES = st.tuples(st.sampled_from(["GET", "POST", "get", "HEAD", ""]), PATHS, QUERIES, HEADERS)

METHODS = st.sampled_from(["POST", "POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE", "p\0st", ""])
ENDPOINTS = st.sampled_from(
    [
        "/events",
        "/batch_events",
        "/channels",
        "/channels/rooms",
        "/channels/%00",
        "/channels/r/users",
        "/users/1/x",
        "/x",
    ]
)
EVENT = st.fixed_dictionaries(
    {"name": TEXT | VALUES, "data": TEXT | VALUES},
    optional={"channel": CHANNELS | VALUES, "channels": st.lists(CHANNELS, max_size=3) | VALUES, "info": TEXT | VALUES,
              "socket_id": st.sampled_from(["1.2", "1", "", "1.2\n"]) | VALUES},
)  # fmt: skip
BODIES = (EVENT | st.fixed_dictionaries({"batch": st.lists(EVENT | VALUES, max_size=12) | VALUES}) | VALUES).map(
    lambda value: json.dumps(value).encode()
) | DEEP
FRAMINGS = st.sampled_from(["length", "length", "length", "chunked", "bad chunks", "short", "long", "twice", "negative",
                            "both", "none"])  # fmt: skip
LIES = st.sampled_from(
    [{}, {}, {}, {"auth_signature": "0" * 64}, {"auth_signature": "é"}, {"auth_timestamp": "9" * 30}, {"auth_key": ""},
     {"auth_timestamp": "١"}, {"body_md5": "\ud800".encode("utf-8", "surrogatepass")}, {"auth_version": "2"}]
)  # fmt: skip


class Call(NamedTuple):
    """One request to the HTTP API, valid except for the parts drawn to be wrong."""

    method: str
    endpoint: str
    body: bytes
    framing: str
    lies: dict[str, Any]
    junk: str

    def bytes(self, target: Target, *, last: bool) -> bytes:
        """The request as sent."""
        path = f"/apps/{target.app_id}{self.endpoint}"
        query = target.signed(self.method, path, self.body, **self.lies)
        length, chunks = len(self.body), b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.body), self.body)
        lines, body = {
            "length": (f"Content-Length: {length}\r\n", self.body),
            "chunked": ("Transfer-Encoding: chunked\r\n", chunks if self.body else b"0\r\n\r\n"),
            "bad chunks": ("Transfer-Encoding: chunked\r\n", b"zz\r\n" + self.body),
            "short": (f"Content-Length: {max(length - 1, 0)}\r\n", self.body),
            "long": (f"Content-Length: {length + 9}\r\n", self.body),
            "twice": (f"Content-Length: {length}\r\nContent-Length: {length + 1}\r\n", self.body),
            "negative": ("Content-Length: -1\r\n", self.body),
            "both": (f"Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n", chunks),
            "none": ("", self.body),
        }[self.framing]
        end = "Connection: close\r\n" if last else ""
        head = f"{self.method} {path}?{query} HTTP/1.1\r\nHost: x\r\n{self.junk}{lines}{end}\r\n"
        return head.encode("latin-1") + body


CALLS = st.builds(Call, METHODS, ENDPOINTS, BODIES, FRAMINGS, LIES, HEADERS)
# A 5xx status; a WebSocket close frame with code 1011 (internal error).
SERVERS_FAULT = re.compile(rb"HTTP/1\.1 5\d\d|\x88[\x02-\x7d]\x03\xf3")
PIPELINES = st.lists(CALLS, min_size=1, max_size=4)
GARBAGE = st.binary(min_size=1, max_size=2000)


# --- sending ----------------------------------------------------------------------------------------------------------


@contextmanager
def raw(target: Target) -> Iterator[socket.socket]:
    """A plain connection."""
    with socket.create_connection(("127.0.0.1", target.port), timeout=PATIENCE) as made:
        yield made


def upgraded(made: socket.socket, target: Target) -> None:
    """Upgrade the connection to a WebSocket."""
    made.sendall(f"GET /app/{target.key}?protocol=7 HTTP/1.1\r\n{HANDSHAKE}\r\n".encode())
    if not made.recv(4096).startswith(b"HTTP/1.1 101"):
        raise AssertionError("the server no longer accepts WebSockets")


def to_the_end(made: socket.socket) -> bytes:
    """Read until the server closes the connection. Raises TimeoutError if it neither sends nor closes."""
    made.settimeout(PATIENCE)
    received = bytearray()
    with suppress(ConnectionError):
        while piece := made.recv(65536):
            received += piece
    return bytes(received)


def for_a_moment(made: socket.socket) -> bytes:
    """Read what the server sends immediately; it may wait for more input."""
    made.settimeout(SHORT)
    received = bytearray()
    with suppress(ConnectionError, TimeoutError):
        while piece := made.recv(65536):
            received += piece
    return bytes(received)


def send(made: socket.socket, data: bytes) -> None:
    """Send as much as the server accepts; it may close the connection early."""
    with suppress(ConnectionError):
        made.sendall(data)


def converse(target: Target, frames: list[bytes]) -> None:
    """Send frames over a WebSocket and stop sending; the server must close the connection."""
    with raw(target) as made:
        upgraded(made, target)
        send(made, b"".join(frames))
        with suppress(OSError):
            made.shutdown(socket.SHUT_WR)
        judge(to_the_end(made))


def knock(target: Target, parts: tuple[str, str, str, str]) -> None:
    """Send a handshake; the response must be below 500, or missing."""
    method, path, query, header = parts
    with raw(target) as made:
        text = f"{method} {path.format(key=target.key)}?{query} HTTP/1.1\r\n{header}{HANDSHAKE}\r\n"
        send(made, text.encode("latin-1"))
        with suppress(OSError):
            made.shutdown(socket.SHUT_WR)
        judge(to_the_end(made))


def call(target: Target, calls: list[Call]) -> None:
    """Send requests in one piece; no response may be a 5xx."""
    with raw(target) as made:
        send(made, b"".join(one.bytes(target, last=one is calls[-1]) for one in calls))
        judge(for_a_moment(made))  # it may wait for the rest of a body


def spill(target: Target, data: bytes) -> None:
    """Send bytes that are not HTTP on a new connection."""
    with raw(target) as made:
        send(made, data)
        with suppress(OSError):
            made.shutdown(socket.SHUT_WR)
        judge(to_the_end(made))


def judge(response: bytes) -> None:
    """Raise AssertionError if one of the concatenated responses reports a server error."""
    blame = SERVERS_FAULT.search(response)
    if blame:
        raise AssertionError(f"the server returns {response[blame.start() : blame.start() + 200]!r}")


KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Target, Any], None]]] = {
    "conversations": (CONVERSATIONS, converse),
    "handshakes": (HANDSHAKES, knock),
    "requests": (PIPELINES, call),
    "garbage": (GARBAGE, spill),
}


# --- many at once -----------------------------------------------------------------------------------------------------


@contextmanager
def lorises(target: Target, count: int = LORISES) -> Iterator[None]:
    """Within the block many connections have started a request and do not continue it."""
    begun = [
        b"",
        b"POST /apps/1001/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
        b"POST /apps/1001/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
        f"GET /app/{target.key}?protocol=7 HTTP/1.1\r\n".encode(),
        f"GET /app/{target.key}?protocol=7 HTTP/1.1\r\n{HANDSHAKE}\r\n".encode() + frame(b"{" * 100, lie=60_000),
    ]
    with ExitStack() as stack:
        for _, start in zip(range(count), itertools.cycle(begun), strict=False):
            send(stack.enter_context(raw(target)), start)
        yield


def hoard() -> list[bytes]:
    """Frames that subscribe to thousands of channels."""
    names = (f"hoard.{number}.{'r' * 140}" for number in range(SUBSCRIPTIONS))
    return [frame(json.dumps({"event": "pusher:subscribe", "data": {"channel": name}}).encode()) for name in names]


def echo() -> list[bytes]:
    """Frames of maximum length that the server quotes in its errors; in JSON é is six characters."""
    text = json.dumps({"event": "pusher:unsubscribe", "data": {"channel": "é" * 30_000}}, ensure_ascii=False)
    return [frame(text.encode())] * ECHOES


def pings() -> list[bytes]:
    """Pings, each of which gets a pong of the same length."""
    return [frame(b"x" * 125, 9)] * PINGS


@contextmanager
def unread(target: Target, frames: list[bytes]) -> Iterator[None]:
    """Within the block a client that never reads has sent the frames, or as many as the server accepted."""
    with raw(target) as made:
        upgraded(made, target)
        made.settimeout(LISTENING)
        with suppress(OSError):
            made.sendall(b"".join(frames))
        yield


# Clients that use the server's resources for as long as they are connected.
CROWDS: dict[str, Callable[[Target], AbstractContextManager[None]]] = {
    "lorises": lorises,
    "hoard": lambda target: unread(target, hoard()),
    "echo": lambda target: unread(target, echo()),
    "pings": lambda target: unread(target, pings()),
}


class Bystander:
    """A well-behaved client, and a publisher of its events."""

    def __init__(self, target: Target, socket: ClientConnection) -> None:
        self._target, self._socket = target, socket
        self._numbers = itertools.count()
        self._publisher = requests.Session()
        self._receive()
        socket.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "bystander"}}))
        self._receive()

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=PATIENCE))
        return message

    def check_delivery(self) -> None:
        """Publish an event; raise AssertionError unless it is the next one received."""
        path, marker = f"/apps/{self._target.app_id}/events", str(next(self._numbers))
        body = json.dumps({"name": "marker", "channel": "bystander", "data": marker}).encode()
        url = f"http://127.0.0.1:{self._target.port}{path}?{self._target.signed('POST', path, body)}"
        response = self._publisher.post(url, data=body, timeout=PATIENCE)
        received = self._receive()
        if response.status_code != 200 or (received["event"], received["data"]) != ("marker", marker):
            raise AssertionError(f"published ({response.status_code}) marker {marker}, but received {received}")


@contextmanager
def bystander(target: Target) -> Iterator[Bystander]:
    """A bystander that is connected within the block."""
    url = f"ws://127.0.0.1:{target.port}/app/{target.key}?protocol=7"
    with connect(url, open_timeout=PATIENCE, close_timeout=1) as made:
        yield Bystander(target, made)


class PusherFuzz:
    """Runs all attacks repeatedly, each time with other examples."""

    def __init__(self, hotelmate: HotelMate, seed: int) -> None:
        env, service = hotelmate.environment, hotelmate.services["pusher"]
        self.service, self.seed = service, seed
        port = urlsplit(hotelmate.pusher).port or 0
        self.target = Target(port, env["PUSHER_APP_ID"], env["PUSHER_KEY"], env["PUSHER_SECRET"], service.pid or 0)

    def run(self, seconds: float, pause: Callable[[float], None]) -> list[str]:
        """Fuzz for ``seconds``; returns the failures."""
        wrong: list[str] = []
        ends_at = time.monotonic() + seconds
        before = self.target.resident()
        with tqdm(unit=" attacks", desc="Pusher server", disable=None) as bar:
            for number in itertools.count():
                for name in (*KINDS, *CROWDS):
                    if time.monotonic() > ends_at or wrong:
                        break
                    pause(0)
                    try:
                        with bystander(self.target) as listener:
                            attack(self.target, listener, name, self.seed + number)
                    except (AssertionError, OSError, TimeoutError) as error:
                        wrong.append(f"the Pusher server, {name}: {type(error).__name__}: {error!s:.600}")
                    bar.update(ROUND if name in KINDS else 1)
                if time.monotonic() > ends_at or wrong:
                    break
        if not self.service.is_running():
            return [*wrong, "the Pusher server has ended"]
        if (grown := self.target.resident() - before) > GROWTH:
            wrong.append(f"the Pusher server has grown by {grown // 2**20} MB")
        if logged := [line for line in self.service.log_tail(1000).splitlines() if "listening on" not in line]:
            wrong.append("the Pusher server has logged:\n" + "\n".join(logged[-40:]))
        return wrong


def attack(target: Target, listener: Bystander, name: str, number: int, examples: int = ROUND) -> None:
    """Run one attack, seeded by ``number``; AssertionError unless the listener receives events during and after it."""
    if name in KINDS:
        strategy, deliver = KINDS[name]

        def example(drawn: Any) -> None:
            deliver(target, drawn)

        quiet = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(quiet(given(strategy)(example)))()
    else:
        before = target.resident()
        with CROWDS[name](target):
            listener.check_delivery()
            if (grown := target.resident() - before) > CROWD_GROWTH:
                raise AssertionError(f"it has grown by {grown // 2**20} MB")
    listener.check_delivery()
