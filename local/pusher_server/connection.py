"""One WebSocket client: its handshake, subscriptions, heartbeat and close."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from local.pusher_server.asgi import Message, Receive, Scope, Send
from local.pusher_server.credentials import Credentials, same_text, subscription_text
from local.pusher_server.hub import Hub, RefusedError, UnsupportedChannelError, check_channel_name, json_text

PROTOCOL_VERSIONS = ("5", "6", "7")

# How many messages may be queued for a slow client; limits the memory that a stuck browser tab takes.
MAX_WAITING = 1000

# How many channels one client may subscribe to; no client needs a hundredth of it.
MAX_CHANNELS = 10_000

# Seconds that a client has to answer a ping; Pusher's recommendation.
PONG_TIMEOUT = 30

# Seconds that a rejected client has to read the reason.
FAREWELL_TIMEOUT = 5


class Code:
    """Pusher's error codes. Clients give up on 40xx, reconnect later on 41xx and immediately on 42xx."""

    UNKNOWN_APP = 4001
    UNKNOWN_PATH = 4005
    INVALID_VERSION = 4006
    UNSUPPORTED_VERSION = 4007
    NO_VERSION = 4008
    OVER_CAPACITY = 4100
    PONG_NOT_RECEIVED = 4201


@dataclass(frozen=True)
class Goodbye:
    """The close frame, the last message that a client gets."""

    code: int
    reason: str


def handshake_refusal(scope: Scope, credentials: Credentials) -> Goodbye | None:
    """Return why this WebSocket may not connect, or None when it may."""
    path: str = scope["path"]
    key = path.removeprefix("/app/")
    if key in ("", path):
        return Goodbye(Code.UNKNOWN_PATH, "Path not found: connect to /app/{key}")
    if not same_text(key, credentials.key):
        return Goodbye(
            Code.UNKNOWN_APP, "Application does not exist: the key is not the one this server was started with"
        )
    version = parse_qs(scope["query_string"].decode("latin-1")).get("protocol", [""])[0]
    if not version:
        return Goodbye(Code.NO_VERSION, "No protocol version supplied")
    if not (version.isascii() and version.isdigit()):
        return Goodbye(Code.INVALID_VERSION, "Invalid version string format")
    if version not in PROTOCOL_VERSIONS:
        return Goodbye(
            Code.UNSUPPORTED_VERSION, f"Unsupported protocol version: use one of {', '.join(PROTOCOL_VERSIONS)}"
        )
    return None


async def serve_websocket(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    hub: Hub,
    credentials: Credentials,
    activity_timeout: int,
    connections: set["Connection"],
) -> None:
    """Serve one WebSocket from handshake to close; until then it is in ``connections``.

    A client that may not connect is first accepted and then closed with a reason: a browser hides the status and body
    of a refused handshake from the page, so this is the only way for a client library to learn the reason.
    """
    await receive()  # ASGI's "websocket.connect"
    await send({"type": "websocket.accept"})
    refusal = handshake_refusal(scope, credentials)
    if refusal is None:
        connection = Connection(receive, send, hub=hub, credentials=credentials, activity_timeout=activity_timeout)
        connections.add(connection)
        try:
            await connection.run()
        finally:
            connections.discard(connection)
        return
    await send({"type": "websocket.send", "text": error_text(refusal.code, refusal.reason)})
    await send({"type": "websocket.close", "code": refusal.code, "reason": refusal.reason})


def error_text(code: int | None, message: str) -> str:
    """Return a ``pusher:error``; as in Pusher's, the code is null if the connection stays open."""
    return json_text({"event": "pusher:error", "data": {"code": code, "message": message}})


def read_message(text: str) -> tuple[str, Any]:
    """Return the event name and the data of a client's message."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError("Invalid message: it is not JSON, or nested too deeply") from error
    if not isinstance(message, dict) or not isinstance(message.get("event"), str):
        raise RefusedError('Invalid message: an object with an "event" name was expected')
    return message["event"], message.get("data")


def read_channel(data: Any) -> str:
    """Return the channel that the client's message names."""
    if not isinstance(data, dict) or not isinstance(data.get("channel"), str):
        raise RefusedError('Invalid message: its data must be an object with a "channel" name')
    channel: str = data["channel"]
    return channel


class Connection:
    """A connected client.

    One task reads the client's messages, another writes the queued ones. Only the writer sends, so messages leave in
    the order in which they were queued, and no publisher waits for a slow client.
    """

    def __init__(
        self, receive: Receive, send: Send, *, hub: Hub, credentials: Credentials, activity_timeout: int
    ) -> None:
        # Two numbers with a dot, like Pusher's: client and server libraries check that format.
        self.socket_id = f"{secrets.randbelow(10**9)}.{secrets.randbelow(10**9)}"
        self._receive = receive
        self._send = send
        self._hub = hub
        self._credentials = credentials
        self._activity_timeout = activity_timeout
        self._channels: set[str] = set()
        self._outbox: asyncio.Queue[str | Goodbye] = asyncio.Queue()
        self._closing = asyncio.Event()

    async def run(self) -> None:
        """Send the greeting, and serve the client until either side closes."""
        # Pusher encodes the data of its own events as a string within the message, and clients decode it twice.
        established = {"socket_id": self.socket_id, "activity_timeout": self._activity_timeout}
        self._emit("pusher:connection_established", json_text(established))
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        closing = asyncio.create_task(self._closing.wait())
        tasks = (reader, writer, closing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._closing.is_set():
                reader.cancel()  # further requests would not be answered
                # A client that has stopped reading must not hold us up: after the timeout its socket is just closed.
                await asyncio.wait([writer], timeout=FAREWELL_TIMEOUT)
        finally:
            self._leave_all()
            for task in tasks:
                task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            # An ASGI server raises OSError if the client has disconnected; anything else is a bug and must be raised.
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                raise outcome

    def enqueue(self, text: str) -> None:
        """Queue one message for this client, or close the connection if too many are already queued."""
        if self._closing.is_set():
            return
        if self._outbox.qsize() < MAX_WAITING:
            self._outbox.put_nowait(text)
            return
        # A gap in the stream would go unnoticed; a lost connection makes the client fetch what it missed.
        while not self._outbox.empty():
            self._outbox.get_nowait()
        self.close(Code.OVER_CAPACITY, "Over capacity: this client reads more slowly than events arrive")

    async def _read(self) -> None:
        while (message := await self._next_message()) is not None:
            text = message.get("text")
            if text is None:
                self._error("Binary messages are not supported: send JSON text")
            else:
                self._handle(text)
            # Messages that have already arrived are received without a pause. Let the writer send replies in between:
            # otherwise a client that subscribes to thousands of channels at once would count as too slow.
            await asyncio.sleep(0)

    async def _next_message(self) -> Message | None:
        """Return the client's next message, or None if it has disconnected or did not answer a ping."""
        try:
            async with asyncio.timeout(self._activity_timeout):
                message = await self._receive()
        except TimeoutError:
            self._emit("pusher:ping", "{}")
            try:
                # A short activity timeout is meant to detect silent clients fast, so it limits this wait, too.
                async with asyncio.timeout(min(PONG_TIMEOUT, self._activity_timeout)):
                    message = await self._receive()
            except TimeoutError:
                self.close(Code.PONG_NOT_RECEIVED, "Pong reply not received")
                return None
        return message if message["type"] == "websocket.receive" else None

    async def _write(self) -> None:
        while True:
            item = await self._outbox.get()
            if isinstance(item, Goodbye):
                await self._send({"type": "websocket.close", "code": item.code, "reason": item.reason})
                return
            await self._send({"type": "websocket.send", "text": item})

    def _handle(self, text: str) -> None:
        """Handle one message from the client, or reply with an error."""
        try:
            event, data = read_message(text)
            if event == "pusher:ping":
                self._emit("pusher:pong", "{}")
            elif event == "pusher:pong":
                pass  # it only has to arrive
            elif event == "pusher:subscribe":
                self._subscribe(data)
            elif event == "pusher:unsubscribe":
                self._unsubscribe(data)
            elif event == "pusher:signin":
                raise RefusedError("Signing in as a user is not supported by this server")
            elif event.startswith("client-"):
                raise RefusedError("Client events are not supported by this server")
            else:
                raise RefusedError(f"Unsupported event received on socket: {event!r:.80}")
        except RefusedError as refusal:
            self._error(str(refusal))

    def _subscribe(self, data: Any) -> None:
        channel = read_channel(data)
        if channel in self._channels:
            raise RefusedError(f"Existing subscription to channel {channel}")
        try:
            check_channel_name(channel)
        except UnsupportedChannelError as refusal:
            # Pusher has no such refusal. An error on the channel reaches the code that subscribed.
            problem = {"type": "ChannelError", "error": str(refusal), "status": refusal.status}
            self._emit("pusher:subscription_error", problem, channel)
            return
        if len(self._channels) >= MAX_CHANNELS:
            raise RefusedError(f"Too many channels: a connection may listen to at most {MAX_CHANNELS}")
        if channel.startswith("private-"):
            self._check_auth(channel, data)
        self._channels.add(channel)
        self._hub.join(channel, self)
        self._emit("pusher_internal:subscription_succeeded", "{}", channel)

    def _check_auth(self, channel: str, data: Mapping[str, Any]) -> None:
        """Raise ``RefusedError``, with Pusher's messages, unless the subscription was signed for this connection."""
        auth, channel_data = data.get("auth"), data.get("channel_data")
        if not auth:
            raise RefusedError(f"Auth info required to subscribe to {channel}")
        if not (isinstance(auth, str) and isinstance(channel_data, str | None) and ":" in auth):
            raise RefusedError(
                f"Auth value for subscription to {channel} is invalid: should be of format 'key:signature'"
            )
        key, signature = auth.split(":", 1)
        if not same_text(key, self._credentials.key):
            raise RefusedError(f"Invalid key in subscription auth data: {key!r:.80}")
        signed = subscription_text(self.socket_id, channel, channel_data)
        if not same_text(signature, self._credentials.sign(signed)):
            raise RefusedError(
                f"Invalid signature: Expected HMAC SHA256 hex digest of {signed:.400}, but got {signature:.80}"
            )

    def _unsubscribe(self, data: Any) -> None:
        channel = read_channel(data)
        if channel not in self._channels:
            raise RefusedError(f"No current subscription to channel {channel:.200}, or subscription in progress")
        self._channels.discard(channel)
        self._hub.leave(channel, self)

    def _leave_all(self) -> None:
        for channel in self._channels:
            self._hub.leave(channel, self)
        self._channels.clear()

    def close(self, code: int, reason: str) -> None:
        """Send the reason and close, once; nothing else is delivered after that."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._leave_all()
        # Since protocol 6 the close code is enough, but pysher reads only this event, and would not reconnect.
        self._outbox.put_nowait(error_text(code, reason))
        self._outbox.put_nowait(Goodbye(code, reason))

    def _emit(self, event: str, data: object, channel: str | None = None) -> None:
        addressed = {} if channel is None else {"channel": channel}
        self.enqueue(json_text({"event": event, **addressed, "data": data}))

    def _error(self, message: str) -> None:
        self.enqueue(error_text(None, message))
