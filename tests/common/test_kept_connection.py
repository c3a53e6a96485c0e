"""A kept connection is checked at a request's first statement, without a round trip if it is healthy."""

import select

import pytest
from django.conf import settings
from django.db import connection
from django.db.backends.postgresql import base

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def kept():
    """The connection at the start of a request: used before, not yet checked."""
    connection.ensure_connection()
    connection.health_check_enabled = settings.DATABASES["default"]["CONN_HEALTH_CHECKS"]
    connection.health_check_done = False
    yield
    connection.close()


@pytest.fixture
def health_checks(monkeypatch) -> list[object]:
    """An entry for each health check that is sent to PostgreSQL."""
    times: list[object] = []
    ask = base.DatabaseWrapper.is_usable
    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", lambda self: times.append(self) or ask(self))
    return times


def backend() -> int:
    """The pid of the backend."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def test_a_healthy_connection_is_used_without_a_check(health_checks):
    before = connection.connection.info.backend_pid
    assert backend() == before
    assert not health_checks


def test_a_closed_connection_is_replaced(health_checks):
    before = connection.connection.info.backend_pid
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
    other.close()
    assert backend() != before
    assert health_checks


def test_a_connection_with_pending_input_is_checked_and_kept(health_checks):
    with connection.cursor() as cursor:
        cursor.execute("LISTEN kept")
    connection.health_check_done = False
    before = connection.connection.info.backend_pid
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("NOTIFY kept")
    other.close()
    assert select.select([connection.connection], [], [], 5)[0]  # the notification has arrived
    assert backend() == before
    assert len(health_checks) == 1


def test_a_connection_with_errors_is_checked(health_checks):
    connection.errors_occurred = True
    backend()
    assert len(health_checks) == 1


def test_cursor_names_are_unique():
    """Django numbers cursors per process, and a pooler may share one connection between processes."""
    names = []
    for _ in range(2):
        with connection.chunked_cursor() as cursor:
            names.append(cursor.cursor.name)
        connection._named_cursor_idx = 0
    assert names[0] != names[1]
    assert all(len(name) < 64 for name in names)  # PostgreSQL truncates longer ones
