"""The tools' Pusher client: the connection, a recorder of all events, and a subscriber that catches up.

``python -m tools.harness.pusher_client HOTELS …`` runs a subscriber in each hotel until SIGTERM. It prints JSON lines:
``{"kind": "event", …}`` for every event received, applied or not; ``applied``, ``connected``, ``lost``, ``failed``.
"""

import argparse
import asyncio
import json
import signal
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import requests
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tools.harness.delivery import digest

TIMEOUT = 10  # seconds for one API call, and to connect
LIMIT = 500  # events on one page of the events endpoint
GIVE_UP = range(4000, 4100)  # error codes after which a Pusher client must not reconnect
PAUSE = 0.2  # seconds before the next attempt to connect or to call the API
PATIENCE = 5  # seconds the recorder waits for an event to arrive


class Message(NamedTuple):
    """One message as it arrived: its event name, its channel, its data as parsed JSON, and the raw text."""

    name: str
    channel: str
    data: dict[str, Any]
    text: str

    @property
    def envelope(self) -> dict[str, Any]:
        return self.data

    @property
    def event_id(self) -> str:
        return str(self.data["meta"]["event_id"])


class PusherConnection:
    """One WebSocket with Pusher protocol 7: parses messages, answers pings, keeps the socket id."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.socket_id = ""

    async def messages(self) -> AsyncIterator[Message]:
        """Every message but pings, until the connection ends."""
        async for text in self._socket:
            content = json.loads(text)
            data = content.get("data") or {}
            data = json.loads(data) if isinstance(data, str) else data
            message = Message(content["event"], content.get("channel", ""), data, str(text))
            if message.name == "pusher:ping":
                await self._send("pusher:pong", {})
                continue
            if message.name == "pusher:connection_established":
                self.socket_id = data["socket_id"]
            yield message

    async def subscribe(self, channel: str, auth: str = "") -> None:
        """Ask for a channel; the server's reply is one of ``messages()``."""
        await self._send("pusher:subscribe", {"channel": channel} | ({"auth": auth} if auth else {}))

    async def _send(self, event: str, data: dict[str, str]) -> None:
        await self._socket.send(json.dumps({"event": event, "data": data}))


# --- a recorder -------------------------------------------------------------------------------------------------------


class SubscriptionError(Exception):
    """The Pusher server did not establish the connection, or refused a subscription."""


class EventRecorder:
    """One connection in its own thread, for synchronous callers: keeps every event received, by channel."""

    def __init__(self, url: str) -> None:
        self._received: dict[str, list[Message]] = defaultdict(list)
        self._subscribed: set[str] = set()
        self._errors: list[str] = []
        self._news = threading.Condition()
        self._connection: PusherConnection | None = None
        self._loop = asyncio.new_event_loop()
        self._listening = asyncio.run_coroutine_threadsafe(self._listen(url), self._loop)
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._await(lambda: bool(self.socket_id), "no connection_established from the Pusher server")

    @property
    def socket_id(self) -> str:
        return self._connection.socket_id if self._connection else ""

    def subscribe(self, channel: str, auth: str = "") -> None:
        """Subscribe to a channel; raises SubscriptionError when the server refuses."""
        assert self._connection
        asyncio.run_coroutine_threadsafe(self._connection.subscribe(channel, auth), self._loop).result(TIMEOUT)
        self._await(lambda: channel in self._subscribed, f"subscription to {channel} not confirmed")

    def on(self, channel: str) -> list[Message]:
        """The events received on ``channel`` up to now."""
        with self._news:
            return list(self._received[channel])

    def wait(self, condition: Callable[[], bool]) -> bool:
        """Whether ``condition`` becomes true within ``PATIENCE``; checked after every message."""
        with self._news:
            return self._news.wait_for(condition, PATIENCE)

    def wait_for(self, channel: str, event_id: str) -> None:
        """Wait until that event has arrived, for at most ``PATIENCE``."""
        self.wait(lambda: event_id in [message.event_id for message in self._received[channel]])

    def wait_for_count(self, channel: str, count: int) -> None:
        """Wait until that many events have arrived, for at most ``PATIENCE``."""
        self.wait(lambda: len(self._received[channel]) >= count)

    def close(self) -> None:
        """Disconnect."""
        self._listening.cancel()

    def _await(self, condition: Callable[[], bool], problem: str) -> None:
        if not self.wait(lambda: bool(self._errors) or condition()) or self._errors:
            raise SubscriptionError(f"{problem} {self._errors or ''}")

    async def _listen(self, url: str) -> None:
        try:
            async with connect(url, open_timeout=PATIENCE) as socket:
                self._connection = PusherConnection(socket)
                async for message in self._connection.messages():
                    with self._news:
                        self._record(message)
                        self._news.notify_all()
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            with self._news:
                self._errors.append(f"{type(error).__name__}: {error}")
                self._news.notify_all()

    def _record(self, message: Message) -> None:
        if message.name == "pusher_internal:subscription_succeeded":
            self._subscribed.add(message.channel)
        elif message.name in ("pusher:error", "pusher:subscription_error"):
            self._errors.append(message.text)
        elif not message.name.startswith("pusher"):
            self._received[message.channel].append(message)


# --- a subscriber -----------------------------------------------------------------------------------------------------


class UnexpectedResponse(Exception):
    """A response of the API or the Pusher server that is not documented."""


class Subscriber:
    """One client of one hotel's rooms, written as docs/realtime.md describes a client.

    It signs in to the private channel, applies each event once and in order, drops repeats by ``event_id``, and catches
    up from the event log when it has connected or sees a gap in ``seq``.
    """

    events: tuple[str, ...] = ("room_updated",)  # prefixes of their names
    give_up: Container[int] = GIVE_UP
    stream = "rooms"

    def __init__(self, hotel: dict[str, Any], *, api: str, pusher: str) -> None:
        self.slug: str = hotel["slug"]
        self._headers = {"Authorization": f"Token {hotel['tokens']['frontdesk']}"}
        self._api = api
        self._pusher = pusher
        self._seen: set[str] = set()
        self._last: int | None = None

    async def follow(self) -> None:
        """Listen until cancelled; reconnect whenever the connection is lost."""
        try:
            self._last = (await self._events(after=None))["latest_seq"]
            while True:
                try:
                    async with connect(self._pusher, open_timeout=TIMEOUT) as socket:
                        await self._listen(PusherConnection(socket))
                except (OSError, TimeoutError, websockets.WebSocketException) as error:
                    self._print("lost", error=type(error).__name__)
                await asyncio.sleep(PAUSE)
        except Exception as error:  # the parent process reads failures from the output
            self._print("failed", error=f"{type(error).__name__}: {error}")
            raise

    async def _listen(self, connection: PusherConnection) -> None:
        channel = f"private-{self.slug}.{self.stream}"
        async for message in connection.messages():
            now = time.time()
            if message.name == "pusher:connection_established":
                body = {"socket_id": connection.socket_id, "channel_name": channel}
                await connection.subscribe(channel, (await self._call("POST", "/pusher/auth/", json=body))["auth"])
            elif message.name == "pusher_internal:subscription_succeeded":
                self._print("connected")
                await self._catch_up()
            elif message.name == "pusher:error" and message.data["code"] not in self.give_up:
                pass  # the server closes the connection next and expects a reconnect
            elif message.name.startswith(self.events):
                await self._live(message.envelope, now)
            else:
                raise UnexpectedResponse(f"unexpected message from the Pusher server: {message.text!r:.200}")

    async def _live(self, envelope: dict[str, Any], now: float) -> None:
        self._arrived(envelope, "live", now)
        if envelope["meta"]["event_id"] in self._seen:
            return
        assert self._last is not None
        if envelope["meta"]["seq"] == self._last + 1:
            self._apply(envelope)
        else:
            await self._catch_up()

    async def _catch_up(self) -> None:
        while True:
            page = await self._events(after=self._last)
            for envelope in page["results"]:
                self._arrived(envelope, "replay", time.time())
                if envelope["meta"]["event_id"] not in self._seen:
                    self._apply(envelope)
            if not page["results"] or self._last == page["latest_seq"]:
                return

    def _apply(self, envelope: dict[str, Any]) -> None:
        """Note that a client would display this event now."""
        self._seen.add(envelope["meta"]["event_id"])
        self._last = envelope["meta"]["seq"]
        self._print("applied", event_id=envelope["meta"]["event_id"], seq=self._last)

    def _arrived(self, envelope: dict[str, Any], way: str, now: float) -> None:
        meta, payload = envelope["meta"], envelope["payload"]
        self._print(
            "event",
            at=now,
            way=way,
            event_id=meta["event_id"],
            seq=meta["seq"],
            room=payload["room_number"],
            version=payload["status_version"],
            from_status=payload["from_status"],
            to_status=payload["to_status"],
            body=digest(envelope),
        )

    async def _events(self, *, after: int | None) -> dict[str, Any]:
        query = {"channel": self.stream, "limit": str(LIMIT)} | ({} if after is None else {"after": str(after)})
        return await self._call("GET", f"/staff/hotel/{self.slug}/events/", params=query)

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One call to the API, retried while the server is down."""
        while True:
            try:
                response = await asyncio.to_thread(
                    requests.request, method, self._api + path, headers=self._headers, timeout=TIMEOUT, **options
                )
                if response.status_code < 500:
                    break
            except requests.RequestException:
                pass  # the web process was killed meanwhile
            await asyncio.sleep(PAUSE)
        if response.status_code != 200:
            raise UnexpectedResponse(f"{method} {path} returned {response.status_code}: {response.text:.200}")
        content: dict[str, Any] = response.json()
        return content

    def _print(self, kind: str, **facts: Any) -> None:
        print(json.dumps({"kind": kind, "hotel": self.slug, **facts}), flush=True)


async def follow_all(subscribers: Sequence[Subscriber]) -> None:
    """Run all subscribers until SIGTERM."""
    following = asyncio.gather(*(subscriber.follow() for subscriber in subscribers))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, following.cancel)
    try:
        await following
    except asyncio.CancelledError:
        return


def run(*kinds: type[Subscriber]) -> None:
    """Parse the command line and run a subscriber of each kind in each hotel of the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hotels", type=Path, help="a JSON file with the hotels' slugs and tokens")
    parser.add_argument("--port", type=int, required=True, help="of the web server")
    parser.add_argument("--pusher", required=True, help="the WebSocket URL of the Pusher server")
    options = parser.parse_args()
    api = f"http://127.0.0.1:{options.port}/api"
    hotels = json.loads(options.hotels.read_text())
    asyncio.run(follow_all([kind(hotel, api=api, pusher=options.pusher) for hotel in hotels for kind in kinds]))


if __name__ == "__main__":
    run(Subscriber)
