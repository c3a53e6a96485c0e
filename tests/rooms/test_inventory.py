"""room-management/ and room-types/ (docs/api.md, Inventory)."""

import pytest
from django.db import IntegrityError, transaction

from hotel import rights
from notifications.models import RealtimeEvent
from rooms.models import Room, RoomType
from tests.conftest import url
from tests.factories import (
    BookingFactory,
    HotelFactory,
    NewRoomFactory,
    RoomTypeFactory,
    StaffFactory,
    TaskFactory,
    in_house,
    room_in,
)
from tests.http import assert_error, nothing_written

TYPE_FIELDS = {
    "id",
    "name",
    "code",
    "starting_price_from",
    "currency",
    "max_occupancy",
    "credits",
    "bed_setup",
    "short_description",
    "availability_message",
    "is_active",
    "photo_url",
}


@pytest.fixture
def room_type(hotel) -> RoomType:
    return RoomTypeFactory(hotel=hotel, code="A", name="Standard")


# --- rooms ------------------------------------------------------------------------------------------------------------


def test_the_list_is_a_page_of_rooms_by_number(api, hotel, housekeeper, room_type):
    for number in (112, *range(101, 112)):
        NewRoomFactory(hotel=hotel, room_type=room_type, room_number=number)
    NewRoomFactory(hotel=HotelFactory(), room_number=100)
    client = api(housekeeper)
    first = client.get(url(housekeeper, "room-management/")).json()
    assert set(first) == {"count", "next", "previous", "results"}
    assert (first["count"], first["previous"]) == (12, None)
    assert [room["room_number"] for room in first["results"]] == list(range(101, 111))
    second = client.get(first["next"]).json()
    assert [room["room_number"] for room in second["results"]] == [111, 112]
    assert second["next"] is None
    assert client.get(second["previous"]).json() == first


@pytest.mark.parametrize(("size", "shown"), [("1", 1), ("100", 100), ("101", 100), ("9" * 30, 100)])
def test_a_page_holds_at_most_a_hundred(api, hotel, housekeeper, room_type, size, shown):
    Room.objects.bulk_create(Room(hotel=hotel, room_type=room_type, room_number=n) for n in range(1, 103))
    body = api(housekeeper).get(url(housekeeper, f"room-management/?page_size={size}")).json()
    assert (body["count"], len(body["results"])) == (102, shown)


def test_a_room_is_read_by_number_and_written_by_id(api, hotel, manager, room_type):
    first = NewRoomFactory(hotel=hotel, room_type=room_type)
    Room.objects.filter(pk=first.pk).update(room_number=first.pk + 1)
    second = NewRoomFactory(hotel=hotel, room_type=room_type)  # its id is the first one's number
    assert second.pk == first.pk + 1
    Room.objects.filter(pk=second.pk).update(room_number=5)
    client = api(manager)
    assert client.get(url(manager, f"room-management/{second.pk}/")).json()["id"] == first.pk
    assert client.patch(url(manager, f"room-management/{second.pk}/"), {"is_active": False}).json()["id"] == second.pk
    assert client.delete(url(manager, f"room-management/{second.pk}/")).status_code == 204
    assert list(Room.objects.values_list("pk", flat=True)) == [first.pk]


@pytest.mark.parametrize("name", ["room_type_id", "room_type"])
@pytest.mark.parametrize("as_text", [False, True], ids=["int", "numeric string"])
def test_a_new_room_is_ready_for_its_first_guest(api, hotel, manager, room_type, name, as_text):
    body = {"room_number": "101" if as_text else 101, name: str(room_type.pk) if as_text else room_type.pk}
    answer = api(manager).post(url(manager, "room-management/"), body)
    assert answer.status_code == 201
    room = answer.json()
    assert (room["room_number"], room["room_type"], room["room_type_name"]) == (101, room_type.pk, "Standard")
    assert (room["room_status"], room["status_version"], room["is_active"]) == ("READY_FOR_GUEST", 0, True)
    assert Room.objects.get().hotel == hotel


def test_a_new_room_may_start_inactive(api, manager, room_type):
    body = {"room_number": 101, "room_type_id": room_type.pk, "is_active": False}
    assert api(manager).post(url(manager, "room-management/"), body).json()["is_active"] is False


def test_duplicate_number_is_409_but_another_hotels_number_is_free(api, hotel, manager, room_type):
    NewRoomFactory(hotel=HotelFactory(), room_number=101)
    client = api(manager)
    body = {"room_number": 101, "room_type_id": room_type.pk}
    assert client.post(url(manager, "room-management/"), body).status_code == 201
    with nothing_written():
        assert_error(client.post(url(manager, "room-management/"), body), 409, "ROOM_NUMBER_TAKEN")
        other = NewRoomFactory.build(room_number=102)
    assert client.post(url(manager, "room-management/"), {**body, "room_number": other.room_number}).status_code == 201
    second = Room.objects.get(hotel=hotel, room_number=102)
    with nothing_written():
        answer = client.patch(url(manager, f"room-management/{second.pk}/"), {"room_number": 101})
    body = assert_error(answer, 409, "ROOM_NUMBER_TAKEN")
    assert body["details"] == {"room_number": ["Room 101 already exists."]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "room_number"),
        ({"room_number": 101}, "room_type_id"),
        ({"room_number": 101, "room_type_id": None}, "room_type_id"),
        ({"room_number": 101, "room_type_id": 10**30}, "room_type_id"),
        ({"room_number": 101, "room_type_id": 99_999_999}, "room_type_id"),
        ({"room_number": None, "room_type_id": "$"}, "room_number"),
        ({"room_number": 0, "room_type_id": "$"}, "room_number"),
        ({"room_number": -5, "room_type_id": "$"}, "room_number"),
        ({"room_number": 1.5, "room_type_id": "$"}, "room_number"),
        ({"room_number": "A/12", "room_type_id": "$"}, "room_number"),
        ({"room_number": 10**30, "room_type_id": "$"}, "room_number"),
        ({"room_number": True, "room_type_id": "$"}, "room_number"),
        ({"room_number": 101, "room_type_id": "$", "is_active": "perhaps"}, "is_active"),
        ({"room_number": 101, "room_type_id": "$", "is_active": None}, "is_active"),
    ],
)
def test_a_bad_new_room_is_400_and_names_the_field(api, manager, room_type, body, field):
    filled = {key: room_type.pk if value == "$" else value for key, value in body.items()}
    with nothing_written():
        answer = assert_error(api(manager).post(url(manager, "room-management/"), filled), 400, "VALIDATION_ERROR")
    assert field in answer["details"]


def test_room_type_of_another_hotel_is_unknown(api, hotel, manager):
    foreign = RoomTypeFactory()
    room = NewRoomFactory(hotel=hotel)
    client = api(manager)
    with nothing_written():
        created = client.post(url(manager, "room-management/"), {"room_number": 1, "room_type_id": foreign.pk})
        changed = client.patch(url(manager, f"room-management/{room.pk}/"), {"room_type": foreign.pk})
    assert "room_type_id" in assert_error(created, 400)["details"]
    assert "room_type_id" in assert_error(changed, 400)["details"]


@pytest.mark.parametrize("value", ["OCCUPIED", "READY_FOR_GUEST", None, "nonsense"])
def test_room_status_is_read_only_here(api, hotel, manager, room_type, value):
    room = NewRoomFactory(hotel=hotel, room_type=room_type)
    client = api(manager)
    with nothing_written():
        patched = client.patch(url(manager, f"room-management/{room.pk}/"), {"room_status": value, "is_active": False})
        created = client.post(
            url(manager, "room-management/"), {"room_number": 7, "room_type_id": room_type.pk, "room_status": value}
        )
    for answer in (patched, created):
        body = assert_error(answer, 400, "READ_ONLY_FIELD")
        assert "room_status" in body["details"]
        assert "room_status" in body


def test_change_is_published_to_staff(api, hotel, manager, room_type):
    room = NewRoomFactory(hotel=hotel, room_number=101)
    answer = api(manager).patch(
        url(manager, f"room-management/{room.pk}/"),
        {"room_number": 201, "room_type_id": room_type.pk, "is_active": False},
    )
    body = answer.json()
    assert answer.status_code == 200
    assert (body["room_number"], body["room_type"], body["is_active"]) == (201, room_type.pk, False)
    [event] = RealtimeEvent.objects.all()
    payload = event.envelope["payload"]
    assert event.type == "room_updated"
    assert payload["room_number"] == 201
    assert payload["from_status"] == payload["to_status"] == "READY_FOR_GUEST"
    assert payload["changed_by_name"] == manager.name
    assert {"room_number", "room_type", "is_active"} <= set(payload["changed_fields"])


def test_unchanged_values_write_nothing(api, hotel, manager, room_type):
    room = NewRoomFactory(hotel=hotel, room_number=101, room_type=room_type)
    client = api(manager)
    with nothing_written():
        for body in ({}, {"room_number": 101}, {"room_type_id": room_type.pk, "is_active": True}):
            assert client.patch(url(manager, f"room-management/{room.pk}/"), body).status_code == 200


def test_a_room_with_a_guest_in_house_is_not_deactivated(api, hotel, manager):
    room = NewRoomFactory(hotel=hotel)
    in_house(room)
    with nothing_written():
        answer = api(manager).patch(url(manager, f"room-management/{room.pk}/"), {"is_active": False})
    assert assert_error(answer, 409, "ROOM_OCCUPIED")["message"].startswith("Room occupied")


@pytest.mark.parametrize("used_by", ["history", "booking", "task"])
def test_a_used_room_is_not_deleted(api, hotel, manager, used_by):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel) if used_by == "history" else NewRoomFactory(hotel=hotel)
    if used_by == "booking":
        BookingFactory(hotel=hotel, room_type=room.room_type, assigned_room=room)
    if used_by == "task":
        TaskFactory(room=room)
    with nothing_written():
        answer = api(manager).delete(url(manager, f"room-management/{room.pk}/"))
    assert "eactivate" in assert_error(answer, 409)["message"]


def test_a_room_that_was_never_used_is_deleted(api, hotel, manager):
    room = NewRoomFactory(hotel=hotel)
    answer = api(manager).delete(url(manager, f"room-management/{room.pk}/"))
    assert (answer.status_code, answer.content) == (204, b"")
    assert not Room.objects.exists()


def test_front_office_manager_can_edit_but_not_create_rooms(api, hotel, office_manager, room_type):
    room = NewRoomFactory(hotel=hotel)
    client = api(office_manager)
    assert client.patch(url(office_manager, f"room-management/{room.pk}/"), {"is_active": False}).status_code == 200
    assert_error(client.post(url(office_manager, "room-management/"), {}), 403, "PERMISSION_DENIED")


# --- room types -------------------------------------------------------------------------------------------------------


def test_room_types_are_a_plain_array(api, hotel, housekeeper):
    for code in ("C", "A", "B"):
        RoomTypeFactory(hotel=hotel, code=code)
    RoomTypeFactory()
    body = api(housekeeper).get(url(housekeeper, "room-types/?page=7&page_size=1")).json()
    assert isinstance(body, list)
    assert [item["code"] for item in body] == ["A", "B", "C"]
    assert all(set(item) == TYPE_FIELDS for item in body)


def test_a_room_type_is_added_changed_and_removed(api, hotel, manager):
    client = api(manager)
    created = client.post(
        url(manager, "room-types/"),
        {"name": "Suite", "code": "S", "starting_price_from": "250.5", "max_occupancy": "4"},
    )
    assert created.status_code == 201
    body = created.json()
    assert body == {
        "id": RoomType.objects.get().pk,
        "name": "Suite",
        "code": "S",
        "starting_price_from": "250.50",
        "currency": "EUR",
        "max_occupancy": 4,
        "credits": "1.00",
        "bed_setup": "",
        "short_description": "",
        "availability_message": "",
        "is_active": True,
        "photo_url": None,
    }
    path = url(manager, f"room-types/{body['id']}/")
    changed = client.patch(path, {"starting_price_from": None, "bed_setup": "1 double", "photo_url": "http://x/"})
    assert changed.json() == {**body, "starting_price_from": None, "bed_setup": "1 double"}
    assert client.delete(path).status_code == 204
    assert not RoomType.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "Suite"}, "code"),
        ({"name": "", "code": "S"}, "name"),
        ({"name": "x" * 101, "code": "S"}, "name"),
        ({"name": "Suite", "code": "x" * 21}, "code"),
        ({"name": "Suite", "code": None}, "code"),
        ({"name": "Suite", "code": "S", "starting_price_from": "-1"}, "starting_price_from"),
        ({"name": "Suite", "code": "S", "starting_price_from": "1.234"}, "starting_price_from"),
        ({"name": "Suite", "code": "S", "starting_price_from": "abc"}, "starting_price_from"),
        ({"name": "Suite", "code": "S", "starting_price_from": "NaN"}, "starting_price_from"),
        ({"name": "Suite", "code": "S", "starting_price_from": 10**30}, "starting_price_from"),
        ({"name": "Suite", "code": "S", "currency": "eur"}, "currency"),
        ({"name": "Suite", "code": "S", "currency": "EURO"}, "currency"),
        ({"name": "Suite", "code": "S", "currency": "QQQ"}, "currency"),
        ({"name": "Suite", "code": "S", "currency": "JPY", "starting_price_from": "9000.5"}, "starting_price_from"),
        ({"name": "Suite", "code": "S", "max_occupancy": 0}, "max_occupancy"),
        ({"name": "Suite", "code": "S", "max_occupancy": 40_000}, "max_occupancy"),
        ({"name": "Suite", "code": "S", "short_description": "x" * 2001}, "short_description"),
    ],
)
def test_a_bad_room_type_is_400_and_names_the_field(api, manager, body, field):
    with nothing_written():
        answer = assert_error(api(manager).post(url(manager, "room-types/"), body), 400, "VALIDATION_ERROR")
    assert field in answer["details"]


@pytest.mark.parametrize(
    ("currency", "given", "shown"), [("JPY", "9000", "9000"), ("BHD", "40.5", "40.500"), ("EUR", "95", "95.00")]
)
def test_price_has_the_decimals_of_its_currency_everywhere(api, hotel, manager, currency, given, shown):
    client = api(manager)
    kind = {"name": "Suite", "code": "S", "starting_price_from": given, "currency": currency}
    made = client.post(url(manager, "room-types/"), kind).json()
    assert made["starting_price_from"] == shown
    assert client.get(url(manager, "room-types/")).json() == [made]
    room = client.post(url(manager, "room-management/"), {"room_number": 7, "room_type_id": made["id"]}).json()
    prices = room["room_type_info"]
    assert (prices["base_rate"], prices["starting_price_from"]) == (shown, shown)
    assert room["current_price"] == {"amount": shown, "currency": currency}
    [column] = [column for column in client.get(url(manager, "turnover/rooms/")).json().values() if column["rooms"]]
    assert column["rooms"][0]["current_price"] == room["current_price"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"currency": "JPY"}, "currency"),
        ({"starting_price_from": "95.555"}, "starting_price_from"),
        ({"starting_price_from": "95.5", "currency": "JPY"}, "starting_price_from"),
        ({"starting_price_from": "95.555", "name": "Other"}, "starting_price_from"),
    ],
)
def test_a_price_and_its_currency_are_checked_together(api, hotel, manager, change, field):
    room_type = RoomTypeFactory(hotel=hotel, starting_price_from="95.50")
    client, path = api(manager), url(manager, f"room-types/{room_type.pk}/")
    with nothing_written():
        answer = assert_error(client.patch(path, change), 400, "VALIDATION_ERROR")
    currency = change.get("currency", "EUR")
    sentence = f"Amounts in {currency} have {'no' if currency == 'JPY' else 'at most 2'} decimals."
    assert answer[field] == [sentence]
    changed = client.patch(path, {"currency": "JPY", "starting_price_from": "9500"}).json()
    assert (changed["starting_price_from"], changed["currency"]) == ("9500", "JPY")


@pytest.mark.parametrize("change", [{"currency": "JPY"}, {"starting_price_from": "95.555"}])
def test_the_database_keeps_price_and_currency_together(room_type, change):
    RoomType.objects.update(starting_price_from="95.50")
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        RoomType.objects.update(**change)
    assert refused.value.__cause__.diag.constraint_name == "room_type_price_fits_currency"


@pytest.mark.parametrize("same", ["name", "code"])
def test_a_type_of_the_same_name_or_code_is_409(api, hotel, manager, room_type, same):
    body = {"name": "Other", "code": "O"} | {same: getattr(room_type, same)}
    other = RoomTypeFactory(hotel=hotel)
    client = api(manager)
    with nothing_written():
        for answer in (
            client.post(url(manager, "room-types/"), body),
            client.patch(url(manager, f"room-types/{other.pk}/"), body),
        ):
            # The field is named in details: at the top level, code is the error code.
            details = assert_error(answer, 409, "ROOM_TYPE_TAKEN")["details"]
            assert details == {same: [f"A room type with this {same} already exists."]}
    elsewhere = StaffFactory(role=rights.HOTEL_MANAGER)
    assert api(elsewhere).post(url(elsewhere, "room-types/"), body).status_code == 201


@pytest.mark.parametrize("used_by", ["room", "booking"])
def test_a_used_room_type_is_not_deleted(api, hotel, manager, room_type, used_by):
    if used_by == "room":
        NewRoomFactory(hotel=hotel, room_type=room_type)
    else:
        BookingFactory(hotel=hotel, room_type=room_type)
    with nothing_written():
        assert_error(api(manager).delete(url(manager, f"room-types/{room_type.pk}/")), 409, "ROOM_TYPE_IN_USE")


# --- bulk creation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        ({"room_numbers": [103, 101, "102", 101]}, [101, 102, 103]),
        ({"ranges": [{"start": 201, "end": 203}, {"start": "101", "end": 101}, {"start": 203, "end": 204}]},
         [101, 201, 202, 203, 204]),
        ({"range_from": 101, "range_to": "103"}, [101, 102, 103]),
    ],
    ids=["numbers", "ranges", "one range"],
)  # fmt: skip
def test_bulk_create_accepts_three_forms(api, hotel, manager, room_type, body, numbers):
    answer = api(manager).post(url(manager, f"room-types/{room_type.pk}/rooms/bulk-create/"), body)
    made = answer.json()
    assert answer.status_code == 201
    assert made["created_count"] == len(numbers)
    assert made["skipped_existing"] == []
    assert [room["room_number"] for room in made["created_rooms"]] == numbers
    assert all(room["room_type"] == room_type.pk for room in made["created_rooms"])
    assert made["room_type"]["id"] == room_type.pk
    assert set(made["room_type"]) == TYPE_FIELDS
    assert list(hotel.rooms.order_by("room_number").values_list("room_number", flat=True)) == numbers


def test_numbers_that_exist_are_skipped(api, hotel, manager, room_type):
    NewRoomFactory(hotel=hotel, room_number=102)
    NewRoomFactory(hotel=HotelFactory(), room_number=103)
    body = {"range_from": 101, "range_to": 103}
    client = api(manager)
    path = url(manager, f"room-types/{room_type.pk}/rooms/bulk-create/")
    made = client.post(path, body).json()
    assert (made["created_count"], made["skipped_existing"]) == (2, [102])
    with nothing_written():
        again = client.post(path, body)
    assert again.status_code == 201
    assert again.json()["created_count"] == 0
    assert again.json()["skipped_existing"] == [101, 102, 103]


def test_bulk_create_of_five_hundred_rooms_takes_few_statements(api, hotel, manager, room_type, statements):
    client = api(manager)
    with statements() as made:
        answer = client.post(
            url(manager, f"room-types/{room_type.pk}/rooms/bulk-create/"), {"range_from": 1, "range_to": 500}
        )
    assert answer.json()["created_count"] == 500
    assert len(made) == 6


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "room_numbers"),
        ({"room_numbers": []}, "room_numbers"),
        ({"room_numbers": "101"}, "room_numbers"),
        ({"room_numbers": [0]}, "room_numbers"),
        ({"room_numbers": [None]}, "room_numbers"),
        ({"room_numbers": [10**30]}, "room_numbers"),
        ({"room_numbers": list(range(1, 502))}, "room_numbers"),
        ({"range_from": 1, "range_to": 501}, "room_numbers"),
        ({"range_from": 1, "range_to": 999_999}, "room_numbers"),
        ({"ranges": [{"start": 1, "end": 300}, {"start": 1001, "end": 1300}]}, "room_numbers"),
        ({"ranges": [{"start": 3, "end": 1}]}, "ranges"),
        ({"ranges": [{"start": 3}]}, "ranges"),
        ({"ranges": {"start": 1, "end": 2}}, "ranges"),
        ({"ranges": ["1-3"]}, "ranges"),
        ({"range_from": 1}, "range_to"),
        ({"range_to": 1}, "range_to"),
        ({"range_from": 3, "range_to": 1}, "ranges"),
        ({"range_from": 1, "range_to": 1_000_000}, "range_to"),
    ],
)
def test_bulk_create_with_bad_numbers_creates_nothing(api, manager, room_type, body, field):
    path = url(manager, f"room-types/{room_type.pk}/rooms/bulk-create/")
    with nothing_written():
        answer = assert_error(api(manager).post(path, body), 400, "VALIDATION_ERROR")
    assert field in answer["details"]
