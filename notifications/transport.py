"""The one place that talks to Pusher."""

from functools import lru_cache
from typing import Any

import pusher
from django.conf import settings

MISSING = "Set PUSHER_APP_ID, PUSHER_KEY and PUSHER_SECRET, or start with `make run`."


@lru_cache(maxsize=1)
def client() -> Any:
    """The Pusher client that the settings describe."""
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
        allow_redirects=False,  # followed, a POST becomes a GET, and its events are lost with an answer of 200
        **where,
    )


class PusherNotConfigured(Exception):
    """No credentials in the environment."""


def send(batch: list[dict[str, str]]) -> None:
    """Send at most ten events, each ``{channel, name, data}`` with ``data`` a JSON string of at most 10,240 bytes.

    Raises ``pusher.errors.PusherError`` or ``requests.exceptions.RequestException``; then some may have arrived.
    """
    # Encoded already: the library's own limit counts Python's memory, so that it would refuse short texts in Irish.
    client().trigger_batch(batch, already_encoded=True)


def ping() -> None:
    """Send what nobody hears, as nobody may listen there. Raises as ``send`` does, where the provider fails."""
    send([{"channel": "private-hotelmate.ping", "name": "ping", "data": "{}"}])


def sign(channel: str, socket_id: str) -> dict[str, str]:
    """The answer that lets the socket ``socket_id`` into a private channel. A malformed name or id: ``ValueError``."""
    return client().authenticate(channel=channel, socket_id=socket_id)


def listener_settings() -> dict[str, Any] | None:
    """What a browser's Pusher client needs: ``{key, host, port, tls, cluster}``; ``None`` when there is no Pusher.

    With a server of our own ``cluster`` is blank; with Pusher Channels ``host`` is.
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
    """Where a browser's Pusher client connects, as a Content-Security-Policy names it."""
    listener = listener_settings()
    if listener is None:
        return []
    if listener["host"]:
        return [f"{'wss' if listener['tls'] else 'ws'}://{listener['host']}:{listener['port']}"]
    return [f"wss://ws-{listener['cluster']}.pusher.com"]


def websocket_url() -> str:
    """Where the listeners connect. Raises ``PusherNotConfigured``."""
    origins = listener_origins()
    if not origins:
        raise PusherNotConfigured(MISSING)
    return f"{origins[0]}/app/{settings.PUSHER_KEY}?protocol=7"
