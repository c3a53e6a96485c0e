"""A kept connection is checked at the first statement of a request, without a round trip while it stands."""

import select

import pytest
from django.conf import settings
from django.db import connection
from django.db.backends.postgresql import base

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def kept():
    """The connection as a request finds it: used before, not yet checked."""
    connection.ensure_connection()
    connection.health_check_enabled = settings.DATABASES["default"]["CONN_HEALTH_CHECKS"]
    connection.health_check_done = False
    yield
    connection.close()


@pytest.fixture
def asked(monkeypatch) -> list[object]:
    """Grows each time that PostgreSQL is asked whether it is there."""
    times: list[object] = []
    ask = base.DatabaseWrapper.is_usable
    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", lambda self: times.append(self) or ask(self))
    return times


def backend() -> int:
    """The process of PostgreSQL that answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def test_one_that_stands_is_used_unasked(asked):
    before = connection.connection.info.backend_pid
    assert backend() == before
    assert not asked


def test_one_that_the_server_has_ended_is_replaced(asked):
    before = connection.connection.info.backend_pid
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
    other.close()
    assert backend() != before
    assert asked


def test_one_that_has_something_to_say_is_asked_and_kept(asked):
    with connection.cursor() as cursor:
        cursor.execute("LISTEN kept")
    connection.health_check_done = False
    before = connection.connection.info.backend_pid
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("NOTIFY kept")
    other.close()
    assert select.select([connection.connection], [], [], 5)[0]  # it has come
    assert backend() == before
    assert len(asked) == 1


def test_one_that_has_failed_is_asked(asked):
    connection.errors_occurred = True
    backend()
    assert len(asked) == 1


def test_no_two_cursors_have_one_name():
    """Django counts them for itself in each process, and a pooler may hand one connection to two."""
    names = []
    for _ in range(2):
        with connection.chunked_cursor() as cursor:
            names.append(cursor.cursor.name)
        connection._named_cursor_idx = 0
    assert names[0] != names[1]
    assert all(len(name) < 64 for name in names)  # longer ones PostgreSQL cuts
