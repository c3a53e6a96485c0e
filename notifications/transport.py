"""The only module that calls Pusher."""

from functools import lru_cache
from typing import Any

import pusher
from django.conf import settings

MISSING = "Set PUSHER_APP_ID, PUSHER_KEY and PUSHER_SECRET, or start with `make run`."


@lru_cache(maxsize=1)
def client() -> Any:
    """The Pusher client, configured by the settings."""
    if not (settings.PUSHER_APP_ID and settings.PUSHER_KEY and settings.PUSHER_SECRET):
        raise PusherNotConfigured(MISSING)
    where: dict[str, Any] = (
        {"host": settings.PUSHER_HOST, "port": settings.PUSHER_PORT, "ssl": settings.PUSHER_SSL}
        if settings.PUSHER_HOST
        else {"cluster": settings.PUSHER_CLUSTER or "mt1", "ssl": True}
    )
    return pusher.Pusher(
        app_id=settings.PUSHER_APP_ID,
        key=settings.PUSHER_KEY,
        secret=settings.PUSHER_SECRET,
        timeout=settings.PUSHER_TIMEOUT,
        allow_redirects=False,  # following one turns a POST into a GET: the events would be lost, with a 200
        **where,
    )


class PusherNotConfigured(Exception):
    """The environment contains no Pusher credentials."""


def send(batch: list[dict[str, str]]) -> None:
    """Send at most ten events, each ``{channel, name, data}`` with ``data`` a JSON string of at most 10,240 bytes.

    Raises ``pusher.errors.PusherError`` or ``requests.exceptions.RequestException``; then some may have arrived.
    """
    # Already encoded: the library's own size check measures Python's memory use and would refuse short texts in Irish.
    client().trigger_batch(batch, already_encoded=True)


def ping() -> None:
    """Send a test event on a channel that no client may subscribe to. Raises like ``send`` if the provider fails."""
    send([{"channel": "private-hotelmate.ping", "name": "ping", "data": "{}"}])


def sign(channel: str, socket_id: str) -> dict[str, str]:
    """The signature that admits the socket ``socket_id`` to a private channel.

    Raises ``ValueError`` for a malformed name or id.
    """
    return client().authenticate(channel=channel, socket_id=socket_id)


def listener_settings() -> dict[str, Any] | None:
    """The settings of a browser's Pusher client: ``{key, host, port, tls, cluster}``; ``None`` without Pusher.

    ``cluster`` is blank for our own server, ``host`` for Pusher Channels.
    """
    if not (settings.PUSHER_APP_ID and settings.PUSHER_KEY and settings.PUSHER_SECRET):
        return None
    own = bool(settings.PUSHER_HOST)
    return {
        "key": settings.PUSHER_KEY,
        "host": settings.PUSHER_HOST,
        "port": settings.PUSHER_PORT if own else 443,
        "tls": settings.PUSHER_SSL if own else True,
        "cluster": "" if own else settings.PUSHER_CLUSTER or "mt1",
    }


def listener_origins() -> list[str]:
    """The origins that a browser's Pusher client connects to, for the Content-Security-Policy."""
    listener = listener_settings()
    if listener is None:
        return []
    if listener["host"]:
        return [f"{'wss' if listener['tls'] else 'ws'}://{listener['host']}:{listener['port']}"]
    return [f"wss://ws-{listener['cluster']}.pusher.com"]


def websocket_url() -> str:
    """The WebSocket URL for clients. Raises ``PusherNotConfigured``."""
    origins = listener_origins()
    if not origins:
        raise PusherNotConfigured(MISSING)
    return f"{origins[0]}/app/{settings.PUSHER_KEY}?protocol=7"
