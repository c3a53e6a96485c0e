"""A row that is locked for too long causes a 503 with Retry-After, in the API and in the admin."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest
from django.db import connection
from rest_framework.test import APIClient

from housekeeping.models import RoomStatusEvent
from notifications.models import RealtimeEvent
from rooms.models import Room
from tests.conftest import url
from tests.factories import NewRoomFactory, room_in
from tests.http import assert_error, nothing_written

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def row_locked_elsewhere(room: Room) -> Iterator[None]:
    """Lock the row on another connection; ours gives up after 50 ms."""
    settings = connection.get_connection_params()
    other = psycopg2.connect(
        **{key: settings[key] for key in ("dbname", "user", "password", "host", "port") if key in settings}
    )
    try:
        with other.cursor() as cursor, connection.cursor() as ours:
            cursor.execute("SELECT 1 FROM rooms_room WHERE id = %s FOR UPDATE", [room.pk])
            ours.execute("SET lock_timeout = '50ms'")
        yield
    finally:
        other.close()
        with connection.cursor() as ours:
            ours.execute("RESET lock_timeout")


def test_the_connection_waits_three_seconds_by_default():
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("3s",)


def test_a_locked_room_is_503_in_the_api_and_nothing_is_written(api, hotel, manager):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    client, body = api(manager), {"to_status": "CHECKOUT_DIRTY"}
    path = url(manager, f"rooms/{room.pk}/status/")
    with row_locked_elsewhere(room), nothing_written():
        answer = client.post(path, body, HTTP_ORIGIN="http://localhost:3000")
    assert_error(answer, 503, "BUSY")
    assert int(answer["Retry-After"]) >= 1
    assert answer["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert client.post(path, body).status_code == 200  # the connection is usable again
    assert (RoomStatusEvent.objects.count(), RealtimeEvent.objects.count()) == (1, 1)


@pytest.mark.parametrize("call", ["patch", "delete"])
def test_the_inventory_returns_503(api, hotel, manager, call):
    room = NewRoomFactory(hotel=hotel)
    body = {"is_active": False} if call == "patch" else None
    with row_locked_elsewhere(room), nothing_written():
        answer = getattr(api(manager), call)(url(manager, f"room-management/{room.pk}/"), body)
    assert_error(answer, 503, "BUSY")
    assert int(answer["Retry-After"]) >= 1


def test_a_locked_room_is_503_in_the_admin(hotel, manager):
    room = NewRoomFactory(hotel=hotel)
    browser = APIClient(raise_request_exception=False)
    browser.force_login(manager.user)
    with row_locked_elsewhere(room), nothing_written():
        answer = browser.post(
            "/admin/rooms/room/",
            {
                "action": "change_status",
                "apply": "1",
                "_selected_action": [room.pk],
                "to_status": "CHECKOUT_DIRTY",
                "reason": "seen it",
            },
            format="multipart",
        )
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) >= 1
    assert "ry again" in answer.content.decode()


def test_reads_do_not_wait(api, hotel, manager):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    with row_locked_elsewhere(room):
        assert api(manager).get(url(manager, "turnover/rooms/")).status_code == 200
