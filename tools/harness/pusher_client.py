"""A Pusher client as the staff app has it: one socket, on public channels without signing in, on private ones with."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tools.conformance.report import Deviation

PATIENCE = 5  # seconds for an event to arrive


class Heard(NamedTuple):
    """One event as it arrived: Pusher's event name, the envelope, and the text that carried it."""

    name: str
    envelope: dict[str, Any]
    text: str

    @property
    def event_id(self) -> str:
        return str(self.envelope["meta"]["event_id"])


class Ears:
    """Everything that was heard, by channel."""

    def __init__(self, address: str) -> None:
        self._socket = connect(address, open_timeout=PATIENCE)
        self._heard: dict[str, list[Heard]] = defaultdict(list)
        self._subscribed: set[str] = set()
        self._errors: list[str] = []
        self._news = threading.Condition()
        self.socket_id = ""
        threading.Thread(target=self._listen, daemon=True).start()
        self._await(lambda: bool(self.socket_id), "the Pusher server does not greet")

    def subscribe(self, channel: str, auth: str = "") -> None:
        """Listen on a channel from now on; raises Deviation when the server does not let us."""
        data = {"channel": channel} | ({"auth": auth} if auth else {})
        self._socket.send(json.dumps({"event": "pusher:subscribe", "data": data}))
        self._await(lambda: channel in self._subscribed, f"no subscription to {channel}")

    def on(self, channel: str) -> list[Heard]:
        """What was heard there up to now."""
        with self._news:
            return list(self._heard[channel])

    def wait(self, condition: Callable[[], bool]) -> bool:
        """Whether ``condition`` comes true soon; looked at whenever something is heard."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._news.wait(left)
        return True

    def wait_for(self, channel: str, event_id: str) -> None:
        """Until that event has arrived there; not for ever."""
        self.wait(lambda: event_id in [one.event_id for one in self._heard[channel]])

    def wait_for_count(self, channel: str, count: int) -> None:
        """Until so many events have arrived there; not for ever."""
        self.wait(lambda: len(self._heard[channel]) >= count)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _await(self, condition: Callable[[], bool], trouble: str) -> None:
        if not self.wait(lambda: bool(self._errors) or condition()) or self._errors:
            raise Deviation(f"{trouble} {self._errors or ''}")

    def _listen(self) -> None:
        try:
            for text in self._socket:
                self._hear(json.loads(text), str(text))
        except ConnectionClosed:
            return

    def _hear(self, message: dict[str, Any], text: str) -> None:
        name = message["event"]
        data = message.get("data") or {}
        data = json.loads(data) if isinstance(data, str) else data
        if name == "pusher:ping":
            self._socket.send(json.dumps({"event": "pusher:pong", "data": {}}))
        with self._news:
            if name == "pusher:connection_established":
                self.socket_id = data["socket_id"]
            elif name == "pusher_internal:subscription_succeeded":
                self._subscribed.add(message["channel"])
            elif name in ("pusher:error", "pusher:subscription_error"):
                self._errors.append(text)
            elif not name.startswith("pusher"):
                self._heard[message["channel"]].append(Heard(name, data, text))
            self._news.notify_all()
