"""A database that goes away during a request causes a 503, in the API and on pages."""

import threading

import pytest
from django.db import OperationalError, connection
from django.test import Client

from common.database import is_unreachable
from common.postgres.base import PortionsCursor
from common.postgres.patience import end_waits
from common.renderers import JsonList
from rooms import rows
from tests.conftest import url
from tests.endpoints import MANAGER
from tests.factories import NewRoomFactory, StaffFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lose_connection():
    """Terminate this connection's backend, as a restart of PostgreSQL does."""

    def lose() -> None:
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
        other.close()

    yield lose
    connection.close()


def test_an_api_request_gets_503_and_the_next_one_succeeds(api, lose_connection):
    member = StaffFactory()
    client = api(member)
    lose_connection()
    answer = client.get(url(member, "turnover/rooms/"))
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "UNAVAILABLE", "1")
    connection.close()
    assert client.get(url(member, "turnover/rooms/")).status_code == 200


def test_a_page_gets_503(lose_connection):
    StaffFactory()
    client = Client(raise_request_exception=False)
    lose_connection()
    answer = client.post("/admin/login/", {"username": "somebody", "password": "something"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")


@pytest.fixture
def held_table():
    """Lock a table for longer than a request waits, as a migration may."""
    other = connection.copy()
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    with other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE room_bookings_bookingguest IN ACCESS EXCLUSIVE MODE")
        yield lambda: cursor.execute("ROLLBACK")
    other.close()
    connection.close()


@pytest.mark.parametrize("path", ["turnover/rooms/", "housekeeping/dashboard/"])
def test_a_room_list_that_waits_too_long_for_a_lock_is_busy(api, held_table, path):
    member = StaffFactory(role=MANAGER)
    client = api(member)
    answer = client.get(url(member, path))
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "BUSY", "1")
    held_table()
    assert client.get(url(member, path)).status_code == 200


def test_a_board_that_waits_too_long_for_a_lock_is_busy(held_table):
    member = StaffFactory(role=MANAGER)
    client = Client(raise_request_exception=False)
    client.force_login(member.user)
    path = f"/board/{member.hotel.slug}/"
    answer = client.get(path)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    held_table()
    assert client.get(path).status_code == 200


def test_a_connection_lost_while_streaming_a_list(api, lose_connection, monkeypatch):
    """Between two portions, and before the end of the result is known."""
    member = StaffFactory(role=MANAGER)
    for number in range(3):
        NewRoomFactory(hotel=member.hotel, room_number=100 + number)
    monkeypatch.setattr(rows, "AT_ONCE", 1)
    append, seen = JsonList.append, []

    def lose_once(self, item):
        seen.append(item)
        if len(seen) == at:
            lose_connection()
        append(self, item)

    monkeypatch.setattr(JsonList, "append", lose_once)
    client = api(member)
    for at in (1, 3):
        seen.clear()
        answer = client.get(url(member, "turnover/rooms/"))
        assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE"), at
        connection.close()
    seen.clear()
    at = 0
    assert client.get(url(member, "turnover/rooms/")).status_code == 200
    assert len(seen) == 3


def test_a_connection_lost_after_the_last_row(api, lose_connection, monkeypatch):
    """All rows were read, so failing to close the server-side cursor does no harm."""
    member = StaffFactory(role=MANAGER)
    client = api(member)
    close = PortionsCursor.close

    def lose_first(self):
        lose_connection()
        close(self)

    monkeypatch.setattr(PortionsCursor, "close", lose_first)
    assert client.get(url(member, "turnover/rooms/")).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer():
    """As if its disk hung: the machine acknowledges every packet. Only the connection that waits is dropped."""
    connection.ensure_connection()
    other = connection.copy()
    errors = []

    def wait() -> None:
        with other.cursor() as cursor, pytest.raises(OperationalError) as found:
            cursor.execute("SELECT pg_sleep(60)")
        errors.append(found.value)
        other.close()

    other.inc_thread_sharing()
    other.ensure_connection()
    pid = other.connection.info.backend_pid
    thread = threading.Thread(target=wait)
    thread.start()
    with connection.cursor() as cursor:
        sleeping = False
        while not sleeping:
            end_waits(3600)  # ends nothing
            cursor.execute("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s", [pid])
            [sleeping] = cursor.fetchone()
        end_waits(0)
        thread.join()
        assert is_unreachable(errors[0])
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
