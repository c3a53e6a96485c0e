"""One WebSocket client: its handshake, its subscriptions, its heartbeat and its end."""

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

# How many messages may wait for a client that reads too slowly; it bounds what one stuck browser tab costs.
MAX_WAITING = 1000

# How many channels one client may listen to at once; no screen needs a hundredth of it.
MAX_CHANNELS = 10_000

# A client that has been asked for a sign of life has this long to answer, in seconds; Pusher's recommendation.
PONG_TIMEOUT = 30

# How long a client that we turn away may take to read why, in seconds.
FAREWELL_TIMEOUT = 5


class Code:
    """Pusher's error codes. A client gives up on 40xx, comes back later on 41xx and at once on 42xx."""

    UNKNOWN_APP = 4001
    UNKNOWN_PATH = 4005
    INVALID_VERSION = 4006
    UNSUPPORTED_VERSION = 4007
    NO_VERSION = 4008
    OVER_CAPACITY = 4100
    PONG_NOT_RECEIVED = 4201


@dataclass(frozen=True)
class Goodbye:
    """The last thing that is sent to a client: a close frame."""

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
    """Serve one WebSocket from its handshake to its end; meanwhile it is one of the ``connections``.

    A client that may not connect is accepted first and refused then: a browser shows its page neither the status nor
    the body of a refused handshake, so this is the only way for a client library to learn why.
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
    """Return a ``pusher:error``; like Pusher's, its code is null when the connection stays as it was."""
    return json_text({"event": "pusher:error", "data": {"code": code, "message": message}})


def read_message(text: str) -> tuple[str, Any]:
    """Return the event name and the data of what a client sent."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError("Invalid message: it is not JSON, or nested too deeply") from error
    if not isinstance(message, dict) or not isinstance(message.get("event"), str):
        raise RefusedError('Invalid message: an object with an "event" name was expected')
    return message["event"], message.get("data")


def read_channel(data: Any) -> str:
    """Return the channel that a client means."""
    if not isinstance(data, dict) or not isinstance(data.get("channel"), str):
        raise RefusedError('Invalid message: its data must be an object with a "channel" name')
    channel: str = data["channel"]
    return channel


class Connection:
    """A connected client.

    One task reads what the client sends, another writes what waits for it. Only the writer ever sends, so messages
    leave in the order in which they were queued, and no publisher waits for a slow client.
    """

    def __init__(
        self, receive: Receive, send: Send, *, hub: Hub, credentials: Credentials, activity_timeout: int
    ) -> None:
        # Two numbers with a dot, like Pusher's: client and server libraries check that form.
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
        """Greet the client and serve it until either side has had enough."""
        # Pusher encodes the data of its own events as a string within the message, and clients decode it twice.
        established = {"socket_id": self.socket_id, "activity_timeout": self._activity_timeout}
        self._tell("pusher:connection_established", json_text(established))
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        closing = asyncio.create_task(self._closing.wait())
        tasks = (reader, writer, closing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._closing.is_set():
                reader.cancel()  # nothing that it asks for now would be answered
                # A client that has stopped reading must not keep us: after this its socket is simply closed.
                await asyncio.wait([writer], timeout=FAREWELL_TIMEOUT)
        finally:
            self._leave_all()
            for task in tasks:
                task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            # OSError is how an ASGI server says that the client is gone; anything else is a bug and must be seen.
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                raise outcome

    def enqueue(self, text: str) -> None:
        """Queue one message for this client, or turn the client away when too many wait already."""
        if self._closing.is_set():
            return
        if self._outbox.qsize() < MAX_WAITING:
            self._outbox.put_nowait(text)
            return
        # A gap in the middle of a stream would go unnoticed; a lost connection makes the client read what it missed.
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
            # What is already here is received without a pause: let the writer send its answers in between, or a client
            # that subscribes to thousands of channels at once would count as one that does not read.
            await asyncio.sleep(0)

    async def _next_message(self) -> Message | None:
        """Return what the client sends next, or None once it is gone: it left, or it no longer answers a ping."""
        try:
            async with asyncio.timeout(self._activity_timeout):
                message = await self._receive()
        except TimeoutError:
            self._tell("pusher:ping", "{}")
            try:
                # A short activity timeout asks for silent clients to be found quickly: the answer is then due as fast.
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
        """Do what one message from the client asks for, or answer with what is wrong about it."""
        try:
            event, data = read_message(text)
            if event == "pusher:ping":
                self._tell("pusher:pong", "{}")
            elif event == "pusher:pong":
                pass  # having heard from the client is all that counts
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
            # Pusher never says this, so we may: said on the channel, it reaches the code that subscribed.
            problem = {"type": "ChannelError", "error": str(refusal), "status": refusal.status}
            self._tell("pusher:subscription_error", problem, channel)
            return
        if len(self._channels) >= MAX_CHANNELS:
            raise RefusedError(f"Too many channels: a connection may listen to at most {MAX_CHANNELS}")
        if channel.startswith("private-"):
            self._check_auth(channel, data)
        self._channels.add(channel)
        self._hub.join(channel, self)
        self._tell("pusher_internal:subscription_succeeded", "{}", channel)

    def _check_auth(self, channel: str, data: Mapping[str, Any]) -> None:
        """Raise ``RefusedError``, in Pusher's words, unless the subscription was signed for this very connection."""
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
        """Say why and close, once; nothing is delivered any more."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._leave_all()
        # Since protocol 6 the close code says it all, but pysher reads this event only, and would not come back.
        self._outbox.put_nowait(error_text(code, reason))
        self._outbox.put_nowait(Goodbye(code, reason))

    def _tell(self, event: str, data: object, channel: str | None = None) -> None:
        addressed = {} if channel is None else {"channel": channel}
        self.enqueue(json_text({"event": event, **addressed, "data": data}))

    def _error(self, message: str) -> None:
        self.enqueue(error_text(None, message))
