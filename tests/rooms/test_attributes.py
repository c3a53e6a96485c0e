"""What a room has besides its number and status: where it is, its features, its connecting rooms, its credits."""

import pytest
from django.db import IntegrityError, connection, transaction

from common.room_numbers import floor_of
from notifications.models import RealtimeEvent
from rooms.models import Room
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory
from tests.http import assert_error, nothing_written

pytestmark = pytest.mark.django_db
PLAIN = {
    "floor": "1",
    "building": "",
    "section": "",
    "features": [],
    "is_accessible": False,
    "connecting_rooms": [],
    "walking_order": None,
    "credits": "1.00",
}
GIVEN = {
    "floor": "Ground",
    "building": "Garden wing",
    "section": "North",
    "features": ["bath", "sea view"],
    "is_accessible": True,
    "walking_order": 7,
    "credits": "1.50",
}


@pytest.fixture
def rooms(hotel):
    hotel.room_features = ["sea view", "bath", "balcony"]
    hotel.save(update_fields=["room_features"])
    room_type = RoomTypeFactory(hotel=hotel)
    return [NewRoomFactory(hotel=hotel, room_type=room_type, room_number=number) for number in (101, 102, 103)]


@pytest.fixture
def change(api, office_manager):
    def patch(room, **body):
        return api(office_manager).patch(url(office_manager, f"room-management/{room.pk}/"), body)

    return patch


def connections(hotel):
    return {room.room_number: room.connecting_rooms for room in hotel.rooms.all() if room.connecting_rooms}


@pytest.mark.parametrize(
    ("number", "floor"),
    [
        *((101, "1"), (1203, "12"), (100, "1"), ("0101", "1"), ("101-2", "1"), ("0112A", "1")),
        *((7, ""), (99, ""), ("12A", ""), ("PH1", ""), ("Villa 101", ""), ("001", "")),
    ],
)
def test_the_floor_that_a_number_tells(number, floor):
    assert floor_of(number) == floor


def test_attributes_are_set_when_a_room_is_created_or_changed(api, manager, rooms, change):
    made = api(manager).post(
        url(manager, "room-management/"),
        {"room_number": 104, "room_type_id": rooms[0].room_type_id, **GIVEN, "connecting_rooms": [rooms[2].pk]},
    )
    assert made.status_code == 201
    assert PLAIN.keys() <= made.json().keys()
    assert {name: made.json()[name] for name in PLAIN} == {**GIVEN, "connecting_rooms": [rooms[2].pk]}
    changed = change(rooms[0], **GIVEN, features_of="ignored").json()
    assert {name: changed[name] for name in PLAIN} == {**GIVEN, "connecting_rooms": []}
    payload = RealtimeEvent.objects.latest("pk").envelope["payload"]
    assert {name: payload[name] for name in GIVEN} == GIVEN
    assert set(payload["changed_fields"]) == {*GIVEN, "updated_at"}
    back = change(rooms[0], floor="", building="", section="", features=[], is_accessible=False, walking_order=None,
                  credits=None)  # fmt: skip
    assert {name: back.json()[name] for name in PLAIN} == PLAIN
    board = api(manager).get(url(manager, "turnover/rooms/")).json()["READY_FOR_GUEST"]["rooms"]
    assert {name: board[-1][name] for name in PLAIN} == {**GIVEN, "connecting_rooms": [rooms[2].pk]}


def test_a_new_room_is_refused_like_a_change(api, manager, rooms):
    room = {"room_number": 104, "room_type_id": rooms[0].room_type_id}
    foreign = NewRoomFactory(hotel=HotelFactory())
    for field, value in (("features", ["helipad"]), ("connecting_rooms", [foreign.pk])):
        with nothing_written():
            answer = api(manager).post(url(manager, "room-management/"), {**room, field: value})
            assert field in assert_error(answer, 400)["details"]


def test_an_unknown_feature_is_400(change, rooms):
    with nothing_written():
        refused = assert_error(change(rooms[0], features=["bath", "helipad"]), 400)
    assert refused["details"] == {"features": ["The hotel has no such room feature: helipad."]}


def test_credits_are_the_types_unless_the_room_has_its_own(api, manager, rooms, change):
    client = api(manager)
    answer = client.patch(url(manager, f"room-types/{rooms[0].room_type_id}/"), {"credits": "2"})
    assert answer.json()["credits"] == "2.00"
    change(rooms[1], credits=0)
    listed = client.get(url(manager, "room-management/")).json()["results"]
    assert [room["credits"] for room in listed] == ["2.00", "0.00", "2.00"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("floor", "x" * 21),
        ("building", "a\nb"),
        ("features", ["helipad"]),
        ("features", "bath"),
        ("is_accessible", None),
        ("connecting_rooms", ["x"]),
        ("connecting_rooms", [10**30]),
        ("walking_order", -1),
        ("credits", "-1"),
        ("credits", "100"),
    ],
)
def test_a_bad_attribute_is_400_and_names_the_field(change, rooms, field, value):
    with nothing_written():
        assert field in assert_error(change(rooms[0], **{field: value}), 400, "VALIDATION_ERROR")["details"]


def test_a_feature_that_a_room_has_stays_in_the_hotels_list(api, office_manager, rooms, change, hotel):
    change(rooms[1], features=["bath"])
    NewRoomFactory(hotel=HotelFactory(room_features=["sea view"]), room_number=7, features=["sea view"])
    client, path = api(office_manager), url(office_manager, "access-config/")
    with nothing_written():
        refused = assert_error(client.patch(path, {"room_features": ["sea view"]}), 400)
        assert refused["details"] == {"room_features": ["Room 102 has bath: take it away there first."]}
        for wrong in (["bath", "Bath"], ["bath", "tea, coffee"]):
            assert_error(client.patch(path, {"room_features": wrong}), 400)
    assert client.patch(path, {"room_features": ["bath"]}).json()["room_features"] == ["bath"]
    with pytest.raises(IntegrityError, match="a room has a feature") as refusal, transaction.atomic():
        type(hotel).objects.update(room_features=[])
    assert refusal.value.__cause__.diag.constraint_name == "hotel_has_features_of_rooms"
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        Room.objects.filter(pk=rooms[0].pk).update(features=["sauna"])
    assert refusal.value.__cause__.diag.constraint_name == "room_features_known"


def test_connecting_rooms_name_each_other_and_both_are_published(change, rooms, hotel):
    first, second, third = rooms
    assert change(first, connecting_rooms=[third.pk, second.pk, third.pk]).json()["connecting_rooms"] == [
        second.pk,
        third.pk,
    ]
    assert connections(hotel) == {101: [second.pk, third.pk], 102: [first.pk], 103: [first.pk]}
    published = [event.envelope["payload"] for event in RealtimeEvent.objects.order_by("-pk")[:3]]
    assert {payload["room_number"]: payload["connecting_rooms"] for payload in published} == connections(hotel)
    change(second, connecting_rooms=[])
    assert connections(hotel) == {101: [third.pk], 103: [first.pk]}
    with nothing_written():
        assert change(third, connecting_rooms=[first.pk]).status_code == 200


def test_any_number_of_rooms_is_connected_in_a_constant_number_of_statements(rooms, change, statements):
    counts = []
    change(rooms[0], is_accessible=True)  # the first request also reads the rights
    for others in ([rooms[1].pk], [], [rooms[1].pk, rooms[2].pk]):
        with statements() as made:
            change(rooms[0], connecting_rooms=others)
        counts.append(len(made))
    assert counts[0] == counts[1] == counts[2]


def test_a_room_connects_only_to_others_of_its_hotel(api, manager, change, rooms, hotel):
    foreign = NewRoomFactory(hotel=HotelFactory())
    with nothing_written():
        for other in (rooms[0].pk, foreign.pk, 99_999_999):
            refused = assert_error(change(rooms[0], connecting_rooms=[rooms[1].pk, other]), 400)
            assert refused["details"] == {"connecting_rooms": [f"There is no other room with the id {other}."]}
    change(rooms[0], connecting_rooms=[rooms[1].pk])
    gone = api(manager).delete(url(manager, f"room-management/{rooms[1].pk}/"))
    assert "connects to other rooms" in assert_error(gone, 409, "ROOM_IN_USE")["message"]


@pytest.mark.parametrize("broken", ["itself", "unknown", "one way", "foreign", "deleted", "one end removed"])
def test_the_database_refuses_connections_of_one_side(rooms, hotel, broken):
    first, second, _ = rooms
    foreign = NewRoomFactory(hotel=HotelFactory())
    with transaction.atomic():
        Room.objects.filter(pk=first.pk).update(connecting_rooms=[second.pk])
        Room.objects.filter(pk=second.pk).update(connecting_rooms=[first.pk])
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        named = {"itself": [first.pk], "unknown": [99_999_999], "one way": [rooms[2].pk], "foreign": [foreign.pk]}
        if broken == "deleted":
            second.delete()
        else:
            if broken == "foreign":
                Room.objects.filter(pk=foreign.pk).update(connecting_rooms=[first.pk])
            kept = [] if broken == "one end removed" else [second.pk]
            Room.objects.filter(pk=first.pk).update(connecting_rooms=kept + named.get(broken, []))
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert refusal.value.__cause__.diag.constraint_name == "room_connections_mutual"


@pytest.mark.parametrize(
    ("rule", "fields"),
    [("room_walking_order_not_negative", {"walking_order": -1}), ("room_credits_not_negative", {"credits": -1})],
)
def test_the_database_refuses_negative_numbers(rooms, rule, fields):
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        Room.objects.filter(pk=rooms[0].pk).update(**fields)
    assert refusal.value.__cause__.diag.constraint_name == rule


def test_attributes_cost_a_status_change_no_statement(statements, rooms, api, supervisor, change):
    change(rooms[0], connecting_rooms=[rooms[1].pk], features=["bath"], floor="2")
    seen = []
    for room in (rooms[0], rooms[2]):
        with statements() as counted:
            done = api(supervisor).post(
                url(supervisor, f"rooms/{room.pk}/status/"), {"to_status": "MAINTENANCE_REQUIRED"}
            )
        assert done.status_code == 200
        seen.append(len(counted))
    assert seen[0] == seen[1]
