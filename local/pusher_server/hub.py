"""Channels: their naming rules, their subscribers, and the delivery of events."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

# Pusher's documented limits.
MAX_CHANNEL_NAME = 164
MAX_EVENT_NAME = 200
MAX_DATA_BYTES = 10_240
MAX_CHANNELS_PER_EVENT = 100

CHANNEL_NAME = re.compile(rf"[-a-zA-Z0-9_=@,.;]{{1,{MAX_CHANNEL_NAME}}}")

# Each of these prefixes changes what a channel does: treating it as a plain channel would silently do less.
UNSUPPORTED_CHANNELS = {
    "presence-": "Presence channels",
    "private-encrypted-": "Encrypted channels",
    "cache-": "Cache channels",
    "private-cache-": "Cache channels",
    "#server-to-user-": "Events to signed-in users",
}


class RefusedError(Exception):
    """The request breaks a rule of the protocol, or needs a feature that this server does not have.

    ``status`` is the HTTP status; the message is meant for the developer of the client.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class UnsupportedChannelError(RefusedError):
    """The channel is of a type that Pusher supports and this server does not."""


class Subscriber(Protocol):
    """Receives complete messages, which ``enqueue`` does not wait to send; identified by its ``socket_id``."""

    socket_id: str

    def enqueue(self, text: str) -> None: ...


@dataclass(frozen=True)
class Event:
    """One event for one or more channels.

    ``exclude`` is the socket_id of the subscriber that must not get it. ``info`` names the channel attributes that the
    publisher wants in the response, if any.
    """

    channels: tuple[str, ...]
    name: str
    data: str
    exclude: str | None = None
    info: frozenset[str] | None = None


def json_text(value: object) -> str:
    """Encode compactly, in ASCII, which is always safe to send, even if a client's text is quoted."""
    return json.dumps(value, separators=(",", ":"))


def check_channel_name(name: str) -> None:
    """Raise ``RefusedError`` unless ``name`` is a public or private channel that this server can serve."""
    for prefix, feature in UNSUPPORTED_CHANNELS.items():
        if name.startswith(prefix):
            raise UnsupportedChannelError(f"{feature} are not supported by this server: {name!r:.80}")
    if not CHANNEL_NAME.fullmatch(name):
        raise RefusedError(
            f"Invalid channel name {name!r:.80}: use 1 to {MAX_CHANNEL_NAME} characters of a-z A-Z 0-9 _ - = @ , . ;"
        )


def check_event(event: Event) -> None:
    """Raise ``RefusedError`` unless ``event`` may be published as it is."""
    if len(event.channels) > MAX_CHANNELS_PER_EVENT:
        raise RefusedError(f"Too many channels: an event goes to at most {MAX_CHANNELS_PER_EVENT}")
    for name in event.channels:
        check_channel_name(name)
    if not 1 <= len(event.name) <= MAX_EVENT_NAME:
        raise RefusedError(f"The event name must have 1 to {MAX_EVENT_NAME} characters")
    if event.name.startswith(("pusher:", "pusher_internal:")):
        raise RefusedError(
            "Event names starting with 'pusher:' or 'pusher_internal:' are reserved for the protocol itself"
        )
    try:
        event.name.encode()
        data_bytes = len(event.data.encode())
    except UnicodeEncodeError as error:
        # JSON can encode half of a surrogate pair, but it cannot be sent to clients.
        raise RefusedError("The event name and data must be valid Unicode text") from error
    if data_bytes > MAX_DATA_BYTES:
        raise RefusedError(
            f"The data content of this event exceeds the allowed maximum ({MAX_DATA_BYTES} bytes)", status=413
        )


class Hub:
    """The subscribers of each channel. A channel exists as long as it has subscribers."""

    def __init__(self) -> None:
        # The dict is used as an ordered set: subscribers are served in the order in which they joined.
        self._channels: dict[str, dict[Subscriber, None]] = {}

    def join(self, channel: str, subscriber: Subscriber) -> None:
        """Subscribe ``subscriber`` to ``channel``."""
        self._channels.setdefault(channel, {})[subscriber] = None

    def leave(self, channel: str, subscriber: Subscriber) -> None:
        """Remove ``subscriber`` from ``channel``; removing it twice is harmless."""
        subscribers = self._channels.get(channel, {})
        subscribers.pop(subscriber, None)
        if not subscribers:
            self._channels.pop(channel, None)

    def publish(self, event: Event) -> None:
        """Queue a checked ``event`` for every subscriber.

        Nothing here waits, so each subscriber gets events in the order in which they were published.
        """
        for channel in event.channels:
            text = json_text({"event": event.name, "channel": channel, "data": event.data})
            # A copy, because a subscriber that cannot keep up leaves its channels during the loop.
            for subscriber in list(self._channels.get(channel, ())):
                if subscriber.socket_id != event.exclude:
                    subscriber.enqueue(text)

    def occupied_channels(self) -> Collection[str]:
        """Return the names of the channels that have subscribers."""
        return self._channels.keys()

    def subscription_count(self, channel: str) -> int:
        """Return the number of connections subscribed to ``channel``."""
        return len(self._channels.get(channel, ()))
