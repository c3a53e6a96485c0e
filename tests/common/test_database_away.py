"""A database that goes away in the middle of things is a 503, in the API's shape and on pages."""

import pytest
from django.db import connection
from django.test import Client

from tests.conftest import url
from tests.factories import StaffFactory

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
