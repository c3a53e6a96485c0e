"""What whoever runs HotelMate asks it: does it live, can it work, how is it doing.

``/healthz``, ``/readyz`` and ``/metrics`` are asked by machines, over plain http and by address. So they are answered
before any other middleware: whatever host is named, and with no redirect to https. Nothing else is.
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
from common.database import DATABASE_FAILURES, is_read_only, waits_without_limit
from common.handlers import error_body
from notifications.metrics import backlog, backlog_gauges
from room_bookings.metrics import payment_gauges

# Seconds: what a database that hangs may cost whoever asks.
PATIENCE = 2
# Seconds for which an answer stands: however often it is asked, the database is asked once.
FRESH = 1.0
# Seconds; screens that are later than this are worth a look.
LATE = 60.0

UNAVAILABLE: dict[str, Any] = {
    "status": "unavailable",
    "database": "unreachable",
    "migrations": "unknown",
    "relay": None,
}


@contextmanager
def patient_connection() -> Iterator[BaseDatabaseWrapper]:
    """A connection of its own, which never keeps one waiting: the thread's may be stuck in a statement for ever."""
    other = connections["default"].copy()
    options = other.settings_dict.setdefault("OPTIONS", {})
    options["connect_timeout"] = PATIENCE
    options["options"] = f"{options.get('options', '')} -c statement_timeout={PATIENCE}s"
    try:
        yield other
    finally:
        other.close()


class Readiness:
    """Whether this process can answer requests; what it has found is remembered for a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._migrated = False
        self._until = 0.0
        self._found: tuple[int, dict[str, Any]] = (503, {})

    def look(self) -> tuple[int, dict[str, Any]]:
        """The status and the body of the answer.

        503 while the database cannot be reached, takes no changes (a standby) or lacks migrations. Screens that are
        late are reported (``late``) with 200, as are statements that would wait for a lock for ever
        (``misconfigured``): every web process shares that, and to take them all out of service would leave none.
        """
        # Whoever comes while somebody looks gets what they find; not for ever, as a database may freeze.
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
            with patient_connection() as connection:
                connection.ensure_connection()
                body["database"] = "read-only" if is_read_only(connection) else "ok"
                if body["database"] != "ok":
                    return 503, body
                # Once they are applied they stay so, until a restart brings new ones.
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
            pass  # the body says how far it came; the counting of a long backlog alone does not make it unavailable
        return (503 if body["status"] == "unavailable" else 200), body


def pending_migrations(connection: BaseDatabaseWrapper) -> bool:
    """Whether this code has migrations that the database has not seen. Asks this connection; Django's executor would
    ask the thread's."""
    if not MigrationRecorder(connection).has_table():
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        return not set(MigrationLoader(None).graph.nodes) <= set(cursor.fetchall())


class DatabaseGauges:
    """What is asked of the database at the moment that somebody reads the metrics; without it, only that it is away."""

    def collect(self) -> Iterator[Metric]:
        answers, found = False, list[Metric]()
        try:
            with patient_connection() as connection:
                connection.ensure_connection()
                answers = True
                found += backlog_gauges(backlog(connection))
                found += payment_gauges(connection)
        except DATABASE_FAILURES:
            pass
        yield GaugeMetricFamily("hotelmate_database_up", "Whether the database answers.", value=answers)
        yield from found


class ProbesMiddleware:
    """Answers the three addresses; stands before all other middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]):
        self.get_response = get_response
        self._readiness = Readiness()
        self._answers = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self._answers.get(request.path_info)
        if answer is None:
            return self.get_response(request)
        if request.method in ("GET", "HEAD"):
            response = answer(request)
        else:
            response = refusal(405, f'Method "{request.method}" not allowed.')
            response["Allow"] = "GET, HEAD"
        response["Cache-Control"] = "no-store"
        response["Content-Length"] = str(len(response.content))
        if request.method == "HEAD":
            response.content = b""
        return response

    def _healthz(self, request: HttpRequest) -> HttpResponse:
        """The process answers; nothing else is asked, as a restart of it mends nothing else."""
        return JsonResponse({"status": "ok"})

    def _readyz(self, request: HttpRequest) -> HttpResponse:
        status, body = self._readiness.look()
        return JsonResponse(body, status=status)

    def _metrics(self, request: HttpRequest) -> HttpResponse:
        """For whoever has ``METRICS_TOKEN``; where none is set there is no such address, but in development."""
        if settings.METRICS_TOKEN:
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if not secrets.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode()):
                response = refusal(401, "Send the metrics token: Authorization: Bearer …")
                response["WWW-Authenticate"] = "Bearer"
                return response
        elif not settings.DEVELOPMENT:
            return refusal(404, "There is nothing at this address.")
        return HttpResponse(metrics.page(DatabaseGauges()), content_type=CONTENT_TYPE_LATEST)


CODES = {401: "NOT_AUTHENTICATED", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def refusal(status: int, message: str) -> HttpResponse:
    return JsonResponse(error_body(CODES[status], message), status=status)
