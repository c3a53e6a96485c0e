"""A rule of the database that a request breaks and nobody checked is a bug: a 500 of the one shape, and logged."""

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
    client = APIClient(raise_request_exception=False)  # no document says what a bug answers
    client.credentials(**token_client(manager)._credentials)
    return client


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["23514", "23000", "P0001"])
def test_a_rule_that_nobody_checked_is_a_500_and_a_line_in_the_log(client, manager, caplog, state):
    with unknown_constraint("rooms_roomtype", state):
        answer = client.post(url(manager, "room-types/"), {"name": "Planted", "code": "P"}, format="json")
    assert_error(answer, 500, "SERVER_ERROR")
    assert not RoomType.objects.exists()
    [line] = [record for record in caplog.records if record.name == "django.request"]
    assert line.levelno == logging.ERROR
    told = RedactingFormatter().format(line)
    assert f"SQLSTATE {state} rooms_roomtype planted_rule" in told
    assert "Planted" not in told  # whoever it is about


@pytest.mark.django_db
def test_a_check_that_speaks_at_once_is_no_conflict_either(client, manager):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE rooms_roomtype ADD CONSTRAINT planted CHECK (name <> 'Planted')")
    answer = client.post(url(manager, "room-types/"), {"name": "Planted", "code": "P"}, format="json")
    assert_error(answer, 500, "SERVER_ERROR")


@pytest.mark.django_db(transaction=True)
def test_who_was_slower_is_told_of_a_conflict_at_the_commit_too(client, manager):
    with unknown_constraint("rooms_roomtype", "23503"):
        answer = client.post(url(manager, "room-types/"), {"name": "Planted", "code": "P"}, format="json")
    assert_error(answer, 409, "CONFLICT")
