"""The credentials of the one app that this server knows, and every signature made with them."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field


class CredentialsError(Exception):
    """The environment does not name a usable app."""


def same_text(left: str, right: str) -> bool:
    """Compare in constant time, so that an answer's delay says nothing about a secret.

    ``hmac.compare_digest`` raises on non-ASCII strings, and what clients send may even hold lone surrogates, so the
    comparison is one of bytes.
    """
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class Credentials:
    """A Pusher app: ``app_id`` and ``key`` are public, ``secret`` signs."""

    app_id: str
    key: str
    secret: str = field(repr=False)

    def sign(self, text: str) -> str:
        """Return the hex HMAC-SHA256 of ``text``, the only signature that Pusher uses."""
        return hmac.new(self.secret.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def subscription_text(socket_id: str, channel: str, channel_data: str | None = None) -> str:
    """Return what is signed to let the connection ``socket_id`` subscribe to a private ``channel``."""
    return f"{socket_id}:{channel}" if channel_data is None else f"{socket_id}:{channel}:{channel_data}"


def credentials_from(environ: Mapping[str, str]) -> Credentials:
    """Read PUSHER_APP_ID, PUSHER_KEY and PUSHER_SECRET; ``CredentialsError`` says in one sentence what is wrong."""
    names = ("PUSHER_APP_ID", "PUSHER_KEY", "PUSHER_SECRET")
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise CredentialsError(f"Set {', '.join(missing)} in the environment before starting the Pusher server.")
    app_id, key, secret = (environ[name] for name in names)
    if not (app_id.isascii() and app_id.isdigit()):
        # Pusher's own libraries refuse anything else before they send a request.
        raise CredentialsError("PUSHER_APP_ID must be made of digits only.")
    return Credentials(app_id=app_id, key=key, secret=secret)
