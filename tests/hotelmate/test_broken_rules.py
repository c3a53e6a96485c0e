"""A request that violates a constraint without a check in the code is a bug: a logged 500 with the error body."""

import logging

import pytest
from django.db import connection
from rest_framework.test import APIClient

from common.logs import RedactingFormatter
from rooms.models import RoomType
from tests.conftest import token_client, url
from tests.http import assert_error
from tests.unknown_constraint import unknown_constraint


@pytest.fixture
def client(manager) -> APIClient:
    client = APIClient(raise_request_exception=False)  # 500 responses are not documented
    client.credentials(**token_client(manager)._credentials)
    return client


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["23514", "23000", "P0001"])
def test_an_unchecked_constraint_is_a_logged_500(client, manager, caplog, state):
    with unknown_constraint("rooms_roomtype", state):
        answer = client.post(url(manager, "room-types/"), {"name": "Planted", "code": "P"}, format="json")
    assert_error(answer, 500, "SERVER_ERROR")
    assert not RoomType.objects.exists()
    [line] = [record for record in caplog.records if record.name == "django.request"]
    assert line.levelno == logging.ERROR
    reported = RedactingFormatter().format(line)
    assert f"SQLSTATE {state} rooms_roomtype planted_rule" in reported
    assert "Planted" not in reported  # the row itself is not disclosed


@pytest.mark.django_db
def test_an_immediate_check_constraint_is_not_a_conflict(client, manager):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE rooms_roomtype ADD CONSTRAINT planted CHECK (name <> 'Planted')")
    answer = client.post(url(manager, "room-types/"), {"name": "Planted", "code": "P"}, format="json")
    assert_error(answer, 500, "SERVER_ERROR")


@pytest.mark.django_db(transaction=True)
def test_a_race_lost_at_commit_is_a_conflict(client, manager):
    with unknown_constraint("rooms_roomtype", "23503"):
        answer = client.post(url(manager, "room-types/"), {"name": "Planted", "code": "P"}, format="json")
    assert_error(answer, 409, "CONFLICT")
