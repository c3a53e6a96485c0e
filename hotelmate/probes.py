"""The endpoints for monitoring: ``/healthz`` (liveness), ``/readyz`` (readiness) and ``/metrics``.

Machines call them over plain http and by IP address. So they alone are handled before any other middleware, for any
Host header and without a redirect to https.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, Metric
from prometheus_client.core import GaugeMetricFamily

from common import metrics
from common.database import DATABASE_FAILURES, server_of, waits_without_limit
from common.handlers import error_body
from notifications.metrics import backlog, backlog_gauges
from room_bookings.metrics import payment_gauges

# Seconds that a probe waits for a database that hangs.
PATIENCE = 2
# Seconds for which a result is reused, so that frequent probes do not load the database.
FRESH = 1.0
# Seconds; if the oldest unsent event is older than this, ``/readyz`` reports ``late``.
LATE = 60.0

UNAVAILABLE: dict[str, Any] = {
    "status": "unavailable",
    "database": "unreachable",
    "role": None,
    "migrations": "unknown",
    "relay": None,
}


@contextmanager
def probe_connection() -> Iterator[BaseDatabaseWrapper]:
    """A separate connection with short timeouts, in a transaction: the thread's own may be stuck in a statement."""
    other = connections["default"].copy()
    other.settings_dict["OPTIONS"]["connect_timeout"] = PATIENCE
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            # Not by a start-up option, which a pooler does not pass on.
            cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE}s'")
        yield other
    finally:
        other.close()


class Readiness:
    """Whether this process can serve requests; the result is reused for a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._migrated = False
        self._until = 0.0
        self._found: tuple[int, dict[str, Any]] = (503, {})

    def look(self) -> tuple[int, dict[str, Any]]:
        """The status and the body of the response.

        503 while the database cannot be reached, is read-only (a standby) or lacks migrations. Late events (``late``)
        and a missing ``lock_timeout`` (``misconfigured``) are reported with 200: they affect every web process, and
        taking all of them out of service would leave none.
        """
        # Concurrent probes wait for the one that is running; not without limit, as the database may hang.
        if not self._lock.acquire(timeout=2 * PATIENCE):
            return 503, UNAVAILABLE
        try:
            if time.monotonic() >= self._until:
                self._found = self._look()
                self._until = time.monotonic() + FRESH
            return self._found
        finally:
            self._lock.release()

    def _look(self) -> tuple[int, dict[str, Any]]:
        body = dict(UNAVAILABLE)
        try:
            with probe_connection() as connection:
                server = server_of(connection)
                body.update(database="read-only" if server.is_read_only else "ok", role=server.role)
                if body["database"] != "ok":
                    return 503, body
                # Once applied, they stay applied until a restart brings new ones.
                self._migrated = self._migrated or not pending_migrations(connection)
                body["migrations"] = "applied" if self._migrated else "pending"
                if self._migrated:
                    if waits_without_limit(connection):
                        body.update(status="misconfigured", database="lock_timeout is not in force")
                    else:
                        body["status"] = "ready"
                    found = backlog(connection).values()
                    oldest = max(one.oldest_seconds for one in found)
                    body["relay"] = {
                        "waiting": sum(one.waiting for one in found),
                        "oldest_waiting_seconds": round(oldest, 1),
                    }
                    if oldest > LATE and body["status"] == "ready":
                        body["status"] = "late"
        except DATABASE_FAILURES:
            pass  # the body has what was found so far; failing to count a long backlog does not make it unavailable
        return (503 if body["status"] == "unavailable" else 200), body


def pending_migrations(connection: BaseDatabaseWrapper) -> bool:
    """Whether migrations of this code are not yet applied. Uses this connection; Django's executor would use the
    thread's own."""
    if not MigrationRecorder(connection).has_table():
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        return not set(MigrationLoader(None).graph.nodes) <= set(cursor.fetchall())


class DatabaseGauges:
    """Metrics read from the database at each scrape; while it is unreachable, only that it is down."""

    def collect(self) -> Iterator[Metric]:
        is_up, found = False, list[Metric]()
        try:
            with probe_connection() as connection:
                is_up = True
                found += backlog_gauges(backlog(connection))
                found += payment_gauges(connection)
        except DATABASE_FAILURES:
            pass
        yield GaugeMetricFamily("hotelmate_database_up", "Whether the database can be reached.", value=is_up)
        yield from found


class ProbesMiddleware:
    """Serves the three endpoints; it comes before all other middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response
        self._readiness = Readiness()
        self._endpoints = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        endpoint = self._endpoints.get(request.path_info)
        if endpoint is None:
            return self.get_response(request)
        if request.method in ("GET", "HEAD"):
            response = endpoint(request)
        else:
            response = refusal(405, f'Method "{request.method}" not allowed.')
            response["Allow"] = "GET, HEAD"
        response["Cache-Control"] = "no-store"
        response["Content-Length"] = str(len(response.content))
        if request.method == "HEAD":
            response.content = b""
        return response

    def _healthz(self, request: HttpRequest) -> HttpResponse:
        """The process responds. Nothing else is checked, because a restart would fix nothing else."""
        return JsonResponse({"status": "ok"})

    def _readyz(self, request: HttpRequest) -> HttpResponse:
        status, body = self._readiness.look()
        return JsonResponse(body, status=status, headers={"Retry-After": "1"} if status == 503 else None)

    def _metrics(self, request: HttpRequest) -> HttpResponse:
        """For callers with ``METRICS_TOKEN``. If it is not set: 404, except in development."""
        if settings.METRICS_TOKEN:
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if not secrets.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode()):
                response = refusal(401, "Send the metrics token: Authorization: Bearer …")
                response["WWW-Authenticate"] = "Bearer"
                return response
        elif not settings.DEVELOPMENT:
            return refusal(404, "There is nothing at this URL.")
        return HttpResponse(metrics.page(DatabaseGauges()), content_type=CONTENT_TYPE_LATEST)


CODES = {401: "NOT_AUTHENTICATED", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def refusal(status: int, message: str) -> HttpResponse:
    return JsonResponse(error_body(CODES[status], message), status=status)
