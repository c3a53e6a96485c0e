"""How often a sign-in may be tried, through the API or the admin: per address, and per user name and address."""

import hashlib
from typing import Any

from rest_framework.throttling import BaseThrottle, SimpleRateThrottle


class _AddressThrottle(SimpleRateThrottle):
    """Tries from one address; high, because a whole desk may sit behind one."""

    scope = "login-address"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


class _NameThrottle(SimpleRateThrottle):
    """Tries for one user name from one address."""

    scope = "login"

    def __init__(self, username: str) -> None:
        super().__init__()
        # As the sign-in reads it, so that white space makes no new name. Hashed: the cache holds no names.
        self.name = hashlib.sha256(username.strip().casefold().encode(errors="replace")).hexdigest()

    def get_cache_key(self, request: Any, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": f"{self.name}-{self.get_ident(request)}"}


def seconds_to_wait(request: Any, username: str) -> float | None:
    """Count a try to sign in; seconds until the next is allowed when this one is not, else ``None``.

    ``request`` is DRF's or Django's. The address comes first, so that a throttled one cannot fill the cache with names.
    """
    throttle: SimpleRateThrottle
    for throttle in (_AddressThrottle(), _NameThrottle(username)):
        if not throttle.allow_request(request, None):  # type: ignore[arg-type]  # no view is asked
            return throttle.wait() or 1.0
    return None


class LoginThrottle(BaseThrottle):
    """The API's sign-in."""

    def allow_request(self, request: Any, view: Any) -> bool:
        self.seconds = seconds_to_wait(request, str(request.data.get("username", "")))
        return self.seconds is None

    def wait(self) -> float | None:
        return self.seconds
