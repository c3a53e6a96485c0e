"""A database that goes away in the middle of things is a 503, in the API's shape and on pages."""

import pytest
from django.db import connection
from django.test import Client

from common.postgres.base import PortionsCursor
from common.renderers import JsonList
from rooms import rows
from tests.conftest import url
from tests.endpoints import MANAGER
from tests.factories import NewRoomFactory, StaffFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lose_connection():
    """End this process's own backend, as a restart of PostgreSQL does."""

    def lose() -> None:
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
        other.close()

    yield lose
    connection.close()


def test_in_the_api(api, lose_connection):
    member = StaffFactory()
    client = api(member)
    lose_connection()
    answer = client.get(url(member, "turnover/rooms/"))
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "UNAVAILABLE", "1")
    connection.close()
    assert client.get(url(member, "turnover/rooms/")).status_code == 200


def test_on_a_page(lose_connection):
    StaffFactory()
    client = Client(raise_request_exception=False)
    lose_connection()
    answer = client.post("/admin/login/", {"username": "somebody", "password": "something"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")


@pytest.fixture
def held_table():
    """Somebody holds a table, as a migration may, for longer than a request waits."""
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
def test_a_list_of_all_rooms_that_cannot_begin(api, held_table, path):
    member = StaffFactory(role=MANAGER)
    client = api(member)
    answer = client.get(url(member, path))
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "BUSY", "1")
    held_table()
    assert client.get(url(member, path)).status_code == 200


def test_a_board_that_cannot_begin(held_table):
    member = StaffFactory(role=MANAGER)
    client = Client(raise_request_exception=False)
    client.force_login(member.user)
    path = f"/board/{member.hotel.slug}/"
    answer = client.get(path)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    held_table()
    assert client.get(path).status_code == 200


def test_a_list_that_ends_in_the_middle(api, lose_connection, monkeypatch):
    """Between two portions, and before it is known that there are no more."""
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


def test_a_list_that_is_read_when_the_connection_ends(api, lose_connection, monkeypatch):
    """All rooms are there: that PostgreSQL's cursor can no longer be closed is nobody's trouble."""
    member = StaffFactory(role=MANAGER)
    client = api(member)
    close = PortionsCursor.close

    def lose_first(self):
        lose_connection()
        close(self)

    monkeypatch.setattr(PortionsCursor, "close", lose_first)
    assert client.get(url(member, "turnover/rooms/")).status_code == 200
