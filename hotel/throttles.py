"""Limits sign-in attempts, through the API, the admin and the board: per IP address, and per user name and address."""

import hashlib
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, transaction
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle

ADVISORY_NAMESPACE = 7_303  # the first key of our advisory locks; the second is a hash of the counter's key


class _CountedThrottle(SimpleRateThrottle):
    """Counts attempts one after another; all IPv6 addresses of one /64 network count as one."""

    def allow_request(self, request: Any, view: Any) -> bool:
        # Concurrent attempts would all read the same count and pass together. So each holds a lock until the count is
        # stored, in the same transaction, because the cache is a table.
        lock = int.from_bytes(hashlib.sha256(str(self.get_cache_key(request, view)).encode()).digest()[:4], signed=True)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ADVISORY_NAMESPACE, lock])
            return super().allow_request(request, view)

    def get_ident(self, request: Any) -> str:
        given = super().get_ident(request) or ""
        try:
            address = ip_address(given)
        except ValueError:
            return given
        if isinstance(address, IPv6Address):
            # One subscriber usually has a whole /64.
            return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
        return str(address)


class _AddressThrottle(_CountedThrottle):
    """Attempts from one address; the limit is high, because a whole front desk may share one."""

    scope = "login-address"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


class _NameThrottle(_CountedThrottle):
    """Attempts for one user name from one address."""

    scope = "login"

    def __init__(self, username: str) -> None:
        super().__init__()
        self.name = hashlib.sha256(_as_read(username).encode(errors="replace")).hexdigest()  # the cache holds no names

    def get_cache_key(self, request: Any, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": f"{self.name}-{self.get_ident(request)}"}


def _as_read(username: str) -> str:
    """One text for all spellings that the sign-in takes for the same name (``hotel.backends``), whatever their Unicode
    form, case and surrounding spaces. PostgreSQL compares upper case, and both i and ı become I.
    """
    return str(AbstractBaseUser.normalize_username(username)).strip().upper().casefold()


def seconds_to_wait(request: Any, username: str) -> float | None:
    """Count a sign-in attempt; returns the seconds to wait if it is over the limit, else ``None``.

    ``request`` is DRF's or Django's. Addresses are counted first, so that a throttled one cannot fill the cache.
    """
    throttle: SimpleRateThrottle
    for throttle in (_AddressThrottle(), _NameThrottle(username)):
        if not throttle.allow_request(request, None):
            return throttle.wait() or 1.0
    return None


class LoginThrottle(BaseThrottle):
    """Throttles the API's sign-in."""

    def allow_request(self, request: Any, view: Any) -> bool:
        self.seconds = seconds_to_wait(request, str(request.data.get("username", "")))
        return self.seconds is None

    def wait(self) -> float | None:
        return self.seconds
