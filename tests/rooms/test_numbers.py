"""Room numbers such as 12A, 0101 or Villa Rosa: what is one, in which order, and where it is found in any case."""

import random

import pytest
from django.db import IntegrityError, NotSupportedError, connection, transaction

from common.room_numbers import LARGEST, checked, key
from common.text import Unreadable
from notifications.models import RealtimeEvent
from rooms.models import Room
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory, booking_in, room_in
from tests.http import assert_error

pytestmark = pytest.mark.django_db
IN_ORDER = [1, "09", 9, 12, "12 B", "12A", "12b", "0101", 101, "101-2", 1203, "A2", "A10", "PH1", "Villa Rosa", "Ñ1"]


@pytest.fixture
def room_type(hotel):
    return RoomTypeFactory(hotel=hotel)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (101, 101),
        ("101", 101),
        (" 101 ", 101),
        (str(LARGEST), LARGEST),
        ("0101", "0101"),
        ("12A", "12A"),
        (" Villa   Rosa", "Villa Rosa"),
        ("Cafe\u0301 1", "Café 1"),
        ("३०१", "३०१"),
        ("x" * 20, "x" * 20),
    ],
)
def test_a_number_is_an_integer_only_if_that_is_all_it_is(given, number):
    assert checked(given) == number
    assert type(checked(given)) is type(number)


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(text, id=f"empty{text}") for text in ("", "  ")),
        pytest.param("x" * 21, id="long"),
        *(pytest.param(text, id=f"begins with {text[0]}") for text in ("-1", ".", "'A", "_1")),
        *(pytest.param(text, id=f"has {text[1:-1]!a}") for text in ("2/3", "1,2", "a\\b", "5%b", "a\nb", "a\0b")),
        *(pytest.param(text, id=f"zero {text}") for text in ("0", "000")),
        pytest.param(str(LARGEST + 1), id="large"),
    ],
)
def test_what_is_no_room_number(text):
    with pytest.raises(Unreadable):
        checked(text)


def test_rooms_sort_as_people_sort_them(hotel, room_type):
    shuffled = random.sample(IN_ORDER, len(IN_ORDER))
    Room.objects.bulk_create(Room(hotel=hotel, room_type=room_type, room_number=number) for number in shuffled)
    assert list(hotel.rooms.values_list("room_number", flat=True)) == IN_ORDER
    assert sorted(shuffled, key=key) == IN_ORDER


def test_a_number_is_taken_in_any_case(api, manager, hotel, room_type):
    client, path = api(manager), url(manager, "room-management/")
    made = client.post(path, {"room_number": "12a", "room_type_id": room_type.pk})
    assert (made.status_code, made.json()["room_number"]) == (201, "12a")
    again = client.post(path, {"room_number": "12A", "room_type_id": room_type.pk})
    assert assert_error(again, 409, "ROOM_NUMBER_TAKEN")["details"] == {"room_number": ["Room 12A already exists."]}
    NewRoomFactory(hotel=HotelFactory(), room_number="12A")  # another hotel's
    bulk = {"room_numbers": ["12A", "ph1", "PH1", "0101", "101"]}
    body = client.post(url(manager, f"room-types/{room_type.pk}/rooms/bulk-create/"), bulk).json()
    assert body["skipped_existing"] == ["12a"]
    assert [room["room_number"] for room in body["created_rooms"]] == ["0101", 101, "PH1"]
    change = client.patch(url(manager, f"room-management/{made.json()['id']}/"), {"room_number": "12A"})
    assert (change.status_code, change.json()["room_number"]) == (200, "12A")
    assert RealtimeEvent.objects.latest("pk").envelope["meta"]["scope"] == {"room_number": "12A"}


def test_paths_take_a_number_as_it_is_written_in_any_case(api, supervisor, hotel):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel, room_number="Villa Rosa")
    client = api(supervisor)
    body = client.get(url(supervisor, "room-management/villa%20rosa/"), {"expand": "actions"}).json()
    assert (body["id"], body["room_number"]) == (room.pk, "Villa Rosa")
    [start] = [action for action in body["actions"] if action["action"] == "start_cleaning"]
    assert start["url"] == url(supervisor, "rooms/Villa%20Rosa/start-cleaning/")
    assert client.post(start["url"], start["body"]).json()["room"]["room_status"] == "CLEANING_IN_PROGRESS"
    for unknown in ("Villa", "villa%2Frosa", "0", "a,b"):
        assert_error(client.get(url(supervisor, f"room-management/{unknown}/")), 404)


def test_bookings_are_found_by_the_number_of_their_room(api, agent, hotel):
    staying = {
        number: booking_in("IN_HOUSE", assigned_room=NewRoomFactory(hotel=hotel, room_number=number)).booking_id
        for number in ("12A", "Villa Rosa", 101, "0101")
    }
    for query, numbers in (
        ("room_number=villa rosa,12a", ["Villa Rosa", "12A"]),
        ("room_number=101", [101]),
        ("room_number=0101", ["0101", 101]),
        ("room_number=,/, ,B%00", []),
        ("q=12a", ["12A"]),
    ):
        found = api(agent).get(url(agent, f"room-bookings/?{query}")).json()["results"]
        assert {row["booking_id"] for row in found} == {staying[number] for number in numbers}, query


def test_the_previous_release_writes_and_reads_integers(hotel, room_type):
    """Its statements on the new schema: it knows only the integer column."""
    written = NewRoomFactory(hotel=hotel, room_type=room_type, room_number="12A")
    columns = [
        field.column for field in Room._meta.concrete_fields if field.name not in ("id", "room_number", "sort_key")
    ]
    copied = ", ".join(f'"{column}"' for column in columns)
    insert = f"INSERT INTO rooms_room (room_number, {copied}) SELECT %s, {copied} FROM rooms_room WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.execute(insert, [7, written.pk])
        old = Room.objects.get(room_number=7)
        cursor.execute("UPDATE rooms_room SET room_number = 8 WHERE id = %s", [old.pk])
        old.refresh_from_db()
        assert (old.room_number, key(8)) == (8, tuple(old.sort_key.split("\t")))
        with pytest.raises(IntegrityError) as refusal, transaction.atomic():
            cursor.execute(insert, [8, written.pk])
        assert refusal.value.__cause__.diag.constraint_name == "room_number_unique"
        Room.objects.filter(pk=old.pk).update(room_number="9")
        cursor.execute("SELECT room_number FROM rooms_room ORDER BY id")
        assert cursor.fetchall() == [(None,), (9,)]


def test_numbers_are_compared_with_values_only():
    with pytest.raises(NotSupportedError):
        Room.objects.filter(room_number__in=Room.objects.values("room_number")).exists()


def test_nobody_chooses_the_key(hotel):
    room = NewRoomFactory(hotel=hotel, room_number="12A")
    Room.objects.filter(pk=room.pk).update(sort_key="first")
    assert tuple(Room.objects.get(pk=room.pk).sort_key.split("\t")) == key("12A")
