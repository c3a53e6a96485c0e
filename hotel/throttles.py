"""How often a sign-in may be tried: per user name and address, and in all per address."""

import hashlib
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle


class LoginThrottle(SimpleRateThrottle):
    """Tries for one user name from one address."""

    scope = "login"

    def get_cache_key(self, request: Request, view: Any) -> str:
        username = request.data.get("username", "") if isinstance(request.data, dict) else ""
        # Hashed: any text makes a key of one length, and the cache holds no names.
        name = hashlib.sha256(str(username).casefold().encode(errors="replace")).hexdigest()
        return self.cache_format % {"scope": self.scope, "ident": f"{name}-{self.get_ident(request)}"}


class LoginAddressThrottle(SimpleRateThrottle):
    """Tries from one address; high, because a whole desk may sit behind one."""

    scope = "login-address"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}
