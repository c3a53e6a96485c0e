"""The credentials of the server's only app, and the signatures made with them."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field


class CredentialsError(Exception):
    """The environment does not name a usable app."""


def same_text(left: str, right: str) -> bool:
    """Compare in constant time, so that the response time reveals nothing about a secret.

    Compares bytes: ``hmac.compare_digest`` raises on non-ASCII strings, and clients may even send lone surrogates.
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
    """Return the text to sign so that the connection ``socket_id`` can subscribe to a private ``channel``."""
    return f"{socket_id}:{channel}" if channel_data is None else f"{socket_id}:{channel}:{channel_data}"


def credentials_from(environ: Mapping[str, str]) -> Credentials:
    """Read PUSHER_APP_ID, PUSHER_KEY and PUSHER_SECRET; raises ``CredentialsError``, with one sentence."""
    names = ("PUSHER_APP_ID", "PUSHER_KEY", "PUSHER_SECRET")
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise CredentialsError(f"Set {', '.join(missing)} in the environment before starting the Pusher server.")
    app_id, key, secret = (environ[name] for name in names)
    if not (app_id.isascii() and app_id.isdigit()):
        # Pusher's own libraries accept nothing else.
        raise CredentialsError("PUSHER_APP_ID must consist of digits only.")
    return Credentials(app_id=app_id, key=key, secret=secret)
