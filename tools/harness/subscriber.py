"""``python -m tools.harness.subscriber``: a screen in each hotel, written as the contract tells the authors of clients.

Each signs in to its private channel, applies an event once and in order, drops repeats by ``event_id``, and catches up
from the log when it has connected or sees a gap in ``seq``. It prints a line of JSON for each thing that happens:
``{"kind": "event", …}`` for every event that arrived, applied or not; ``applied``, ``connected``, ``lost``, ``failed``.
"""

import argparse
import asyncio
import hashlib
import json
import signal
import time
from collections.abc import Container
from pathlib import Path
from typing import Any

import requests
import websockets
from websockets.asyncio.client import ClientConnection, connect

TIMEOUT = 10  # seconds for one call to the API
LIMIT = 500  # events in one answer of the log
GIVE_UP = range(4000, 4100)  # the codes with which a Pusher server sends a client away for good
PAUSE = 0.2  # seconds before the next try to connect, or to be answered


class WrongAnswer(Exception):
    """The API refuses what the contract promises."""


class Screen:
    """One client of one hotel's rooms."""

    events: tuple[str, ...] = ("room_updated",)  # how their names begin
    give_up: Container[int] = GIVE_UP

    def __init__(self, hotel: dict[str, Any], *, api: str, pusher: str) -> None:
        self.slug: str = hotel["slug"]
        self._channel = f"private-{self.slug}.rooms"
        self._headers = {"Authorization": f"Token {hotel['tokens']['frontdesk']}"}
        self._api = api
        self._pusher = pusher
        self._seen: set[str] = set()
        self._last: int | None = None

    async def follow(self) -> None:
        """Listen for ever; connect again whenever the connection is lost."""
        try:
            self._last = (await self._events(after=None))["latest_seq"]
            while True:
                try:
                    async with connect(self._pusher, open_timeout=TIMEOUT) as socket:
                        await self._listen(socket)
                except (OSError, TimeoutError, websockets.WebSocketException) as error:
                    self._tell("lost", error=type(error).__name__)
                await asyncio.sleep(PAUSE)
        except Exception as error:  # whatever it is, the drill must hear of it
            self._tell("failed", error=f"{type(error).__name__}: {error}")
            raise

    async def _listen(self, socket: ClientConnection) -> None:
        async for text in socket:
            now = time.time()
            message = json.loads(text)
            event = message["event"]
            if event == "pusher:connection_established":
                socket_id = json.loads(message["data"])["socket_id"]
                body = {"socket_id": socket_id, "channel_name": self._channel}
                auth = (await self._ask("POST", "/pusher/auth/", json=body))["auth"]
                subscription = {"event": "pusher:subscribe", "data": {"channel": self._channel, "auth": auth}}
                await socket.send(json.dumps(subscription))
            elif event == "pusher_internal:subscription_succeeded":
                self._tell("connected")
                await self._catch_up()
            elif event == "pusher:ping":
                await socket.send(json.dumps({"event": "pusher:pong", "data": {}}))
            elif event == "pusher:error" and message["data"]["code"] not in self.give_up:
                pass  # it closes the connection next, and wants us back
            elif event.startswith(self.events):
                await self._live(json.loads(message["data"]), now)
            else:
                raise WrongAnswer(f"the Pusher server says {text!r:.200}")

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
        """What a screen would draw now."""
        self._seen.add(envelope["meta"]["event_id"])
        self._last = envelope["meta"]["seq"]
        self._tell("applied", event_id=envelope["meta"]["event_id"], seq=self._last)

    def _arrived(self, envelope: dict[str, Any], way: str, now: float) -> None:
        meta, payload = envelope["meta"], envelope["payload"]
        body = hashlib.sha256(json.dumps(envelope, sort_keys=True).encode()).hexdigest()[:16]
        self._tell(
            "event",
            at=now,
            way=way,
            event_id=meta["event_id"],
            seq=meta["seq"],
            room=payload["room_number"],
            version=payload["status_version"],
            from_status=payload["from_status"],
            to_status=payload["to_status"],
            body=body,
        )

    async def _events(self, *, after: int | None) -> dict[str, Any]:
        query = {"channel": "rooms", "limit": str(LIMIT)} | ({} if after is None else {"after": str(after)})
        return await self._ask("GET", f"/staff/hotel/{self.slug}/events/", params=query)

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """One answer of the API; asked again while nobody is there to answer."""
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
            raise WrongAnswer(f"{method} {path}: {response.status_code} {response.text:.200}")
        answer: dict[str, Any] = response.json()
        return answer

    def _tell(self, kind: str, **facts: Any) -> None:
        print(json.dumps({"kind": kind, "hotel": self.slug, **facts}), flush=True)


async def listen(screens: list[Screen]) -> None:
    """All screens, until SIGTERM."""
    following = asyncio.gather(*(screen.follow() for screen in screens))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, following.cancel)
    try:
        await following
    except asyncio.CancelledError:
        return


def main() -> None:
    """Follow every hotel of the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hotels", type=Path)
    parser.add_argument("--port", type=int, required=True, help="of the web server")
    parser.add_argument("--pusher", required=True, help="the WebSocket address of the Pusher server")
    options = parser.parse_args()
    api = f"http://127.0.0.1:{options.port}/api"
    hotels = json.loads(options.hotels.read_text())
    asyncio.run(listen([Screen(hotel, api=api, pusher=options.pusher) for hotel in hotels]))


if __name__ == "__main__":
    main()
