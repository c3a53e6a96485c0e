"""The probes /healthz, /readyz and /metrics: over plain http, by IP address, and while the database is unavailable."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections
from django.db.backends.signals import connection_created
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from common import clock
from hotelmate import probes
from notifications.metrics import BACKLOG
from notifications.models import BOOKINGS, GUESTS, ROOMS, STREAMS, RealtimeEvent
from room_bookings.models import PaymentRetry
from tests.factories import HotelFactory, booking_in
from tests.http import assert_error
from tests.notifications.event_log import log_of, unnumbered

PATHS = ("/healthz", "/readyz", "/metrics")
READY = {
    "status": "ready",
    "database": "ok",
    "role": "primary",
    "migrations": "applied",
    "relay": {"waiting": 0, "oldest_waiting_seconds": 0.0},
}
AWAY = {"status": "unavailable", "database": "unreachable", "role": None, "migrations": "unknown", "relay": None}


@pytest.fixture(autouse=True)
def _in_production(settings) -> None:
    settings.DEVELOPMENT, settings.SECURE_SSL_REDIRECT = False, True
    settings.ALLOWED_HOSTS, settings.METRICS_TOKEN = ["hotel.example"], "a-token"


@pytest.fixture
def probe() -> Callable[..., Any]:
    """Requests a probe over plain http, by IP address, with the metrics token; in one process, with its cache."""
    client = Client(raise_request_exception=False, headers={"host": "10.0.0.7:8000", "authorization": "Bearer a-token"})
    return lambda path, method="GET", **extra: client.generic(method, path, **extra)


@pytest.fixture
def no_database(monkeypatch) -> None:
    """No server listens at the database's address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setitem(connections["default"].settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", str(port))


class HangingDatabase:
    """A server that accepts connections and sends nothing, like a hung machine."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0)
        self.port = self._server.getsockname()[1]
        self._asked: list[socket.socket] = []

    def asked(self) -> int:
        """The number of connections so far."""
        with suppress(BlockingIOError):
            while True:
                self._asked.append(self._server.accept()[0])
        return len(self._asked)

    def close(self) -> None:
        for one in (*self._asked, self._server):
            one.close()


@pytest.fixture
def hanging_database(monkeypatch) -> Iterator[HangingDatabase]:
    """The database hangs."""
    with closing(HangingDatabase()) as database:
        monkeypatch.setitem(connections["default"].settings_dict, "HOST", "127.0.0.1")
        monkeypatch.setitem(connections["default"].settings_dict, "PORT", str(database.port))
        yield database


@pytest.fixture
def made_statements() -> Iterator[Callable[[], list[str]]]:
    """``made_statements()`` returns the statements on the probes' connections so far, after the one for the timeout."""
    opened: list[Any] = []

    def note(connection: Any, **_: Any) -> None:
        connection.force_debug_cursor = True
        opened.append(connection)

    connection_created.connect(note)
    yield lambda: [query["sql"] for one in opened for query in list(one.queries_log)[2:]]
    connection_created.disconnect(note)


def ago(seconds: float) -> dict[str, Any]:
    """Fields of an event that was created so long ago."""
    return {"created_at": clock.now() - timedelta(seconds=seconds)}


# --- how they are reached ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_probes_accept_plain_http_by_ip_address(probe, path):
    answer = probe(path)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert int(answer["Content-Length"]) == len(answer.content) > 0


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_head_returns_the_same_without_a_body(probe, path):
    full, head = probe(path), probe(path, "HEAD")
    assert (head.status_code, head.content, head["Content-Type"]) == (200, b"", full["Content-Type"])
    assert int(head["Content-Length"]) > 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(probe, path, method):
    answer = probe(path, method)
    assert_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/healthz/", "/readyz/x", "//healthz", "/api/healthz", "/"])
def test_other_paths_still_require_https_and_a_host(probe, path):
    assert probe(path).status_code == 400  # no such host
    answer = Client(headers={"host": "hotel.example"}).get(path)
    assert (answer.status_code, answer["Location"].partition(":")[0]) == (301, "https")


# --- alive ------------------------------------------------------------------------------------------------------------


def test_healthz_does_not_use_the_database(probe, no_database):
    """This test has no access to a database."""
    answer = probe("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


# --- ready ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_readyz_succeeds_with_a_database(probe):
    answer = probe("/readyz")
    assert (answer.status_code, answer.json()) == (200, READY)


@pytest.mark.django_db
def test_readyz_without_a_database_is_503_without_details(probe, no_database, caplog):
    answer = probe("/readyz")
    assert (answer.status_code, answer.json()) == (503, AWAY)
    assert "Traceback" not in caplog.text


@pytest.fixture
def session(monkeypatch) -> Callable[[str], None]:
    """``session(setting)`` starts connections with that setting."""
    options = connections["default"].settings_dict["OPTIONS"]
    return lambda setting: monkeypatch.setitem(options, "options", f"{options['options']} -c {setting}")


@pytest.mark.django_db
def test_a_standby_is_not_ready(probe, session):
    """A read-only session, as on a standby."""
    session("default_transaction_read_only=on")
    answer = probe("/readyz")
    assert (answer.status_code, answer.json()) == (503, AWAY | {"database": "read-only", "role": "primary"})
    assert answer["Retry-After"] == "1"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seconds", [0, 2 * probes.LATE])
def test_a_session_without_lock_timeout_is_reported_with_200(probe, session, seconds):
    unnumbered(HotelFactory(), **ago(seconds))
    session("lock_timeout=0")
    answer = probe("/readyz")
    found = {name: answer.json()[name] for name in ("status", "database", "migrations")}
    assert (answer.status_code, found) == (
        200,
        {"status": "misconfigured", "database": "lock_timeout is not in force", "migrations": "applied"},
    )


@pytest.mark.django_db
def test_a_hanging_database_gets_one_connection_for_many_probes(probe, hanging_database, monkeypatch):
    monkeypatch.setattr(probes, "FRESH", 3600)
    assert probe("/healthz").status_code == 200  # Django's client sets up at its first call; then it is one process
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(probe("/readyz"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(answer.status_code, answer.json()) for answer in answers] == [(503, AWAY)] * 4
    assert hanging_database.asked() == 1


@pytest.mark.django_db
def test_readyz_recovers(probe, monkeypatch):
    monkeypatch.setattr(probes, "FRESH", 0)
    port = connections["default"].settings_dict["PORT"]
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", "1")
    assert probe("/readyz").status_code == 503
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", port)
    assert probe("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_missing_migration_is_not_ready_until_applied(probe, monkeypatch):
    monkeypatch.setattr(probes, "FRESH", 0)
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("notifications", "0001_initial")
    try:
        answer = probe("/readyz")
        assert answer.status_code == 503
        assert answer.json() == AWAY | {"database": "ok", "role": "primary", "migrations": "pending"}
    finally:
        recorder.record_applied("notifications", "0001_initial")
    assert probe("/readyz").json() == READY


@pytest.mark.django_db
def test_the_result_is_cached_briefly(probe, made_statements, monkeypatch):
    monkeypatch.setattr(probes, "FRESH", 3600)
    assert probe("/readyz").status_code == 200
    first = len(made_statements())
    # Read-only?, migrations table?, applied migrations, lock_timeout, waiting events.
    assert first == 5, made_statements()
    assert probe("/readyz").json() == READY
    assert len(made_statements()) == first


@pytest.mark.django_db
def test_migrations_are_checked_only_until_applied(probe, made_statements, monkeypatch):
    monkeypatch.setattr(probes, "FRESH", 0)
    assert probe("/readyz").status_code == 200
    first = len(made_statements())
    assert probe("/readyz").json() == READY
    asked_again = made_statements()[first:]
    assert asked_again[:2] == [
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'",
        "SHOW lock_timeout",
    ]
    [last] = asked_again[2:]
    assert "notifications_realtimeevent" in last


def test_a_result_is_cached_for_a_second():
    assert probes.FRESH == 1


@pytest.mark.django_db(transaction=True)
def test_waiting_events_are_reported(probe):
    hotel = HotelFactory()
    unnumbered(hotel, **ago(30))
    log_of(hotel, 1, stream=GUESTS, sent_at=None, **ago(20))
    log_of(hotel, 1, stream=BOOKINGS, **ago(500))
    log_of(hotel, 1, stream=BOOKINGS, sent_at=None, parked_at=clock.now(), **ago(500))
    body = probe("/readyz").json()
    assert (body["status"], body["relay"]["waiting"]) == ("ready", 2)
    assert 30 <= body["relay"]["oldest_waiting_seconds"] < 40


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [None, 1])
def test_late_events_are_reported_with_200(probe, number):
    unnumbered(HotelFactory(), seq=number, **ago(probes.LATE + 1))
    answer = probe("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "late")


# --- metrics ----------------------------------------------------------------------------------------------------------


def samples(answer: Any) -> dict[tuple[str, str], float]:
    """``{(name, value of the label "stream"): number}``; the page is in Prometheus's format."""
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, sample.labels.get("stream", "")): sample.value for family in families for sample in family.samples
    }


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Bearer a-toke", "bearer a-token", "a-token", "Bearer ü"]
)
def test_metrics_require_the_token(given):
    client = Client() if given is None else Client(headers={"authorization": given})
    answer = client.get("/metrics")
    assert_error(answer, 401, "NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("authorization", ["Bearer a-token", "Bearer ", "Bearer None", ""])
def test_metrics_are_404_without_a_configured_token(settings, authorization):
    settings.METRICS_TOKEN = ""
    assert_error(Client(headers={"authorization": authorization}).get("/metrics"), 404, "NOT_FOUND")


@pytest.mark.django_db
def test_metrics_are_public_in_development_without_a_token(settings):
    settings.DEVELOPMENT = True
    assert Client().get("/metrics").status_code == 401
    settings.METRICS_TOKEN = ""
    assert Client().get("/metrics").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_waiting_and_parked_events_by_stream(probe, made_statements):
    hotel = HotelFactory()
    log_of(hotel, 1, sent_at=None, **ago(30))
    unnumbered(hotel, **ago(100))
    log_of(hotel, 1, sent_at=None, parked_at=clock.now())
    log_of(hotel, 1)
    log_of(hotel, 1, stream=GUESTS, sent_at=None, parked_at=clock.now())
    found = samples(probe("/metrics"))
    assert found["hotelmate_database_up", ""] == 1
    assert [found["hotelmate_events_waiting", name] for name in STREAMS] == [2, 0, 0]
    assert [found["hotelmate_events_parked_now", name] for name in STREAMS] == [1, 0, 1]
    assert 100 <= found["hotelmate_oldest_waiting_seconds", ROOMS] < 110
    assert found["hotelmate_oldest_waiting_seconds", BOOKINGS] == 0
    assert len(made_statements()) == 2, made_statements()


@pytest.mark.django_db(transaction=True)
def test_failed_payment_attempts(probe):
    for fields in ({"next_try_at": clock.now()}, {"parked_at": clock.now()}, {"parked_at": clock.now()}):
        booking = booking_in("EXPIRED", card="VOIDING")
        PaymentRetry.objects.create(booking=booking, failures=3, last_error="Unclear", **fields)
    found = samples(probe("/metrics"))
    assert found["hotelmate_payments_failing", ""] == 1
    assert found["hotelmate_payments_parked_now", ""] == 2


@pytest.mark.django_db
def test_counters_are_shown_while_the_database_is_away(probe, no_database):
    found = samples(probe("/metrics"))
    assert found["hotelmate_database_up", ""] == 0
    assert ("hotelmate_events_sent_total", "") in found
    assert ("hotelmate_events_waiting", ROOMS) not in found


@pytest.mark.django_db
def test_metrics_read_only_unsent_events():
    """The planner uses the small indexes of unsent events and never reads the log of sent ones."""
    hotel = HotelFactory()
    RealtimeEvent.objects.bulk_create(
        RealtimeEvent(hotel=hotel, stream=ROOMS, channel="c", type="t", envelope={}, seq=number, sent_at=sent)
        for number, sent in enumerate([None] * 50 + [clock.now()] * 5000, 1)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notifications_realtimeevent")
        cursor.execute(f"EXPLAIN {BACKLOG}")
        plan = "\n".join(line for [line] in cursor.fetchall())
    assert "Seq Scan" not in plan, plan
    for index in ("realtime_event_unnumbered", "realtime_event_unsent", "realtime_event_parked"):
        assert index in plan


def test_the_probe_middleware_comes_first():
    assert django_settings.MIDDLEWARE[0] == "hotelmate.probes.ProbesMiddleware"
