"""Pusher's HTTP API: authentication, publishing events, and reading channels."""

import hashlib
import json
import re
import time
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from local.pusher_server.asgi import Receive, Scope, Send
from local.pusher_server.credentials import Credentials, same_text
from local.pusher_server.hub import Event, Hub, RefusedError, check_channel_name, check_event, json_text

MAX_BATCH = 10

# Seconds by which the clocks of caller and server may differ; the same as Pusher's.
MAX_CLOCK_SKEW = 600

# Enough for any request within the other limits: ten events of 10,240 bytes, each byte escaped to six characters.
MAX_BODY_BYTES = 1024 * 1024

SOCKET_ID = re.compile(r"[0-9]+\.[0-9]+")
TIMESTAMP = re.compile(r"[0-9]{1,12}")

JsonObject = dict[str, Any]


async def serve_http(scope: Scope, receive: Receive, send: Send, *, hub: Hub, credentials: Credentials) -> None:
    """Serve one HTTP request: JSON on success, otherwise a sentence in plain text, as Pusher does."""
    body = await read_body(receive)
    if body is None:
        return
    api = HttpApi(hub, credentials)
    try:
        if len(body) > MAX_BODY_BYTES:
            raise RefusedError(f"The request body exceeds the allowed maximum ({MAX_BODY_BYTES} bytes)", status=413)
        result = api.answer(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), body)
        status, content_type, text = 200, b"application/json", json_text(result)
    except RefusedError as refusal:
        status, content_type, text = refusal.status, b"text/plain; charset=utf-8", f"{refusal}\n"
    payload = text.encode()
    headers = [(b"content-type", content_type), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else payload})


async def read_body(receive: Receive) -> bytes | None:
    """Return the request body, or None if the caller has disconnected.

    A body over the limit is read to its end but not kept: a response in the middle of an upload would reset the
    connection, and the caller would see a broken pipe instead of our 413.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(body) <= MAX_BODY_BYTES:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


class HttpApi:
    """The endpoints; each returns a JSON object or raises ``RefusedError``."""

    def __init__(self, hub: Hub, credentials: Credentials) -> None:
        self._hub = hub
        self._credentials = credentials

    def answer(self, method: str, path: str, query_string: str, body: bytes) -> JsonObject:
        """Handle one complete request."""
        if path in ("/", "/healthz") and method in ("GET", "HEAD"):
            return {"status": "ok", "service": "pusher"}
        match = re.fullmatch(r"/apps/([^/]+)(/.+)", path)
        if match is None:
            raise RefusedError(f"Not found: {path!r:.80}", status=404)
        app_id, endpoint = match.groups()
        if not same_text(app_id, self._credentials.app_id):
            raise RefusedError("Unknown app_id: it is not the one this server was started with", status=404)
        try:
            query = dict(parse_qsl(query_string, keep_blank_values=True, max_num_fields=50))
        except ValueError as error:
            raise RefusedError("The query has too many parameters") from error
        self._check_signature(method, path, query, body)
        return self._dispatch(method, endpoint, query, body)

    def _check_signature(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> None:
        """Raise a 401 unless the caller has signed exactly this request with the secret, just now."""
        if not same_text(query.get("auth_key", ""), self._credentials.key):
            raise RefusedError("Unknown auth_key", status=401)
        if not same_text(query.get("auth_version", ""), "1.0"):
            raise RefusedError("Unsupported auth_version: use 1.0", status=401)
        timestamp = query.get("auth_timestamp", "")
        if not TIMESTAMP.fullmatch(timestamp):
            raise RefusedError("Invalid auth_timestamp: seconds since 1970 were expected", status=401)
        if abs(time.time() - int(timestamp)) > MAX_CLOCK_SKEW:
            raise RefusedError(
                f"Timestamp expired: it is not within {MAX_CLOCK_SKEW} seconds of this server's clock", status=401
            )
        if body or "body_md5" in query:
            # The protocol requires MD5; the signature over it protects the body.
            digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
            if not same_text(query.get("body_md5", ""), digest):
                raise RefusedError("Invalid body_md5: it is not the MD5 of the body", status=401)
        signed = "&".join(f"{name}={value}" for name, value in sorted(query.items()) if name != "auth_signature")
        if not same_text(query.get("auth_signature", ""), self._credentials.sign(f"{method}\n{path}\n{signed}")):
            raise RefusedError("Invalid signature: it was not made with this app's secret for this request", status=401)

    def _dispatch(self, method: str, endpoint: str, query: Mapping[str, str], body: bytes) -> JsonObject:
        channel = re.fullmatch(r"/channels/([^/]+)", endpoint)
        if endpoint == "/events":
            require_method(method, "POST")
            event = read_event(read_json(body))
            self._trigger([event])
            if event.info is None:
                return {}
            return {"channels": {name: self._attributes(name, event.info) for name in event.channels}}
        if endpoint == "/batch_events":
            require_method(method, "POST")
            events = read_batch(read_json(body))
            self._trigger(events)
            if all(event.info is None for event in events):
                return {}
            return {"batch": [self._attributes(event.channels[0], event.info or ()) for event in events]}
        if endpoint == "/channels":
            require_method(method, "GET")
            return self._channel_list(query)
        if channel:
            require_method(method, "GET")
            return self._channel_info(channel[1], query)
        if re.fullmatch(r"/channels/[^/]+/users", endpoint) or endpoint.startswith("/users/"):
            raise RefusedError("Users are not supported by this server: it has no presence channels and no sign-in")
        raise RefusedError(f"Not found: {endpoint!r:.80}", status=404)

    def _trigger(self, events: list[Event]) -> None:
        # All are checked before any is published, so that a refused call publishes nothing.
        for event in events:
            check_event(event)
        for event in events:
            self._hub.publish(event)

    def _channel_list(self, query: Mapping[str, str]) -> JsonObject:
        prefix, attributes = query.get("filter_by_prefix", ""), read_attributes(query.get("info", ""))
        names = [name for name in self._hub.occupied_channels() if name.startswith(prefix)]
        return {"channels": {name: self._attributes(name, attributes) for name in names}}

    def _channel_info(self, channel: str, query: Mapping[str, str]) -> JsonObject:
        check_channel_name(channel)
        occupied = self._hub.subscription_count(channel) > 0
        return {"occupied": occupied, **self._attributes(channel, read_attributes(query.get("info", "")))}

    def _attributes(self, channel: str, attributes: Collection[str]) -> JsonObject:
        return {"subscription_count": self._hub.subscription_count(channel)} if attributes else {}


def require_method(method: str, expected: str) -> None:
    """Raise a 405 unless ``method`` is the expected one."""
    if method != expected:
        raise RefusedError(f"Method not allowed: use {expected}", status=405)


def read_attributes(info: str) -> frozenset[str]:
    """Return the channel attributes named in ``info``; only ``subscription_count`` is supported."""
    attributes = frozenset(filter(None, info.split(",")))
    if "user_count" in attributes:
        raise RefusedError("user_count may only be requested for presence channels, which this server does not support")
    unknown = attributes - {"subscription_count"}
    if unknown:
        raise RefusedError(f"Unknown info attribute {min(unknown)!r:.80}: use subscription_count")
    return attributes


def read_json(body: bytes) -> JsonObject:
    """Return the JSON object in a request body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError("The request body is not JSON, or nested too deeply") from error
    if not isinstance(value, dict):
        raise RefusedError("The request body must be a JSON object")
    return value


def read_batch(value: JsonObject) -> list[Event]:
    """Return the events of a batch, each for one channel."""
    batch = value.get("batch")
    if not isinstance(batch, list):
        raise RefusedError('A "batch" list of events is required')
    if len(batch) > MAX_BATCH:
        raise RefusedError(f"Batch too large: it may hold at most {MAX_BATCH} events")
    for item in batch:
        if not isinstance(item, dict) or "channels" in item:
            raise RefusedError('Each event of a batch must be an object with one "channel"')
    return [read_event(item) for item in batch]


def read_event(value: JsonObject) -> Event:
    """Return the event described by a JSON object; ``check_event`` checks its limits."""
    channels = value["channels"] if "channels" in value else [value.get("channel")]
    if not isinstance(channels, list) or not channels or not all(isinstance(name, str) for name in channels):
        raise RefusedError('A "channel" name, or a "channels" list of names, is required')
    name, data, socket_id, info = (value.get(key) for key in ("name", "data", "socket_id", "info"))
    if not isinstance(name, str):
        raise RefusedError('A "name" for the event is required')
    if not isinstance(data, str):
        raise RefusedError('The "data" of an event is required and must be a string: encode anything else as JSON')
    if socket_id is not None and not (isinstance(socket_id, str) and SOCKET_ID.fullmatch(socket_id)):
        raise RefusedError("Invalid socket_id: two numbers with a dot between them were expected")
    if not isinstance(info, str | None):
        raise RefusedError("Invalid info: the names of attributes were expected, with commas between them")
    attributes = None if info is None else read_attributes(info)
    return Event(channels=tuple(channels), name=name, data=data, exclude=socket_id, info=attributes)
