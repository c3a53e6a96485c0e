"""Endpoints of room blocks (docs/api.md, Room blocks)."""

from datetime import timedelta

import pytest

from common import clock
from hotel import calendar
from rooms.models import BlockReason, RoomBlock
from tests.conftest import url
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, RoomTypeFactory, room_in
from tests.http import assert_error, nothing_written
from tests.room_bookings.small_hotel import assert_invariants_hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def rooms(hotel):
    kind = RoomTypeFactory(hotel=hotel)
    BlockReason.objects.create(hotel=hotel, code="REPAIR", label="Repair", default_return_status="CLEANED_UNINSPECTED")
    return [NewRoomFactory(hotel=hotel, room_type=kind, room_number=number) for number in (101, 102, 103)]


def day(hotel, offset: int) -> str:
    return (calendar.business_date(hotel) + timedelta(days=offset)).isoformat()


def asked(hotel, *rooms, first=1, free=3, **more):
    times = {"from": day(hotel, first), "to": None if free is None else day(hotel, free)}
    return {"room_ids": [room.pk for room in rooms], "reason": "REPAIR", **times, **more}


def arrival(hotel, room, first=1, last=2):
    return BookingFactory(
        hotel=hotel,
        room_type=room.room_type,
        assigned_room=room,
        check_in=day(hotel, first),
        check_out=day(hotel, last),
    )


def test_a_block_takes_the_defaults_of_its_reason(api, hotel, supervisor, rooms):
    client = api(supervisor)
    answer = client.post(url(supervisor, "room-blocks/"), asked(hotel, rooms[0], remarks="new shower"))
    assert answer.status_code == 201
    [block] = answer.json()["blocks"]
    assert (block["kind"], block["return_status"], block["status"]) == (
        "OUT_OF_ORDER",
        "CLEANED_UNINSPECTED",
        "PLANNED",
    )
    shown = client.get(url(supervisor, f"room-blocks/{block['id']}/")).json()
    assert [change["action"] for change in shown.pop("history")] == ["CREATED"]
    assert shown == block
    room = client.get(url(supervisor, "room-management/101/")).json()
    assert (room["block"], room["next_block"]["id"], room["next_block"]["reason"]) == (None, block["id"], "REPAIR")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": "WHIM"}, "reason"),
        ({"room_ids": []}, "room_ids"),
        ({"room_ids": [2**40]}, "room_ids"),
        ({"from": "1999-12-31"}, "from"),
        ({"from": "2026-13-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"kind": "CLOSED"}, "kind"),
        ({"return_status": "OCCUPIED"}, "return_status"),
        ({"relocate": "yes"}, "relocate"),
    ],
)
def test_a_malformed_request_is_refused(api, hotel, supervisor, rooms, fields, field):
    with nothing_written():
        answer = api(supervisor).post(url(supervisor, "room-blocks/"), asked(hotel, rooms[0]) | fields)
    assert field in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


def test_conflicts_say_who_is_in_house_and_which_rooms_are_free(api, hotel, office_manager, rooms):
    booking = arrival(hotel, rooms[0])
    arrival(hotel, rooms[2], 0, 4)
    with nothing_written():
        answer = api(office_manager).post(url(office_manager, "room-blocks/"), asked(hotel, rooms[0]))
    [conflict] = assert_error(answer, 409, "ROOM_NEEDED")["conflicts"]
    assert (conflict["booking_id"], conflict["in_house"]) == (booking.booking_id, False)
    assert conflict["free_rooms"] == [102]


@pytest.mark.parametrize("dry", [True, False])
def test_relocate_moves_the_arrivals_to_free_rooms(api, hotel, office_manager, rooms, dry):
    first, second = arrival(hotel, rooms[0], 1, 2), arrival(hotel, rooms[0], 2, 3)
    later = arrival(hotel, rooms[0], 3, 4)
    arrival(hotel, rooms[1], 2, 3)
    where = url(office_manager, "room-blocks/") + ("?dry_run=true" if dry else "")
    answer = api(office_manager).post(where, asked(hotel, rooms[0], relocate=True))
    assert answer.status_code == 201
    if dry:
        changed = {each["booking_id"]: each["changes"] for each in answer.json()["effects"]["bookings"]}
        assert changed.keys() == {first.booking_id, second.booking_id}
        assert len(answer.json()["effects"]["blocks"]) == 1
        assert not RoomBlock.objects.exists()
        return
    for booking in (first, second, later):
        booking.refresh_from_db()
    assert [first.assigned_room, second.assigned_room, later.assigned_room] == [rooms[1], rooms[2], rooms[0]]
    assert [change.action for change in first.changes.all()] == ["ASSIGNED"]
    assert_invariants_hold()


def test_an_arrival_without_a_free_room_refuses_the_block(api, hotel, manager, rooms):
    stays = [arrival(hotel, room) for room in rooms]
    client, body = api(manager), asked(hotel, rooms[0], relocate=True)
    with nothing_written():
        answer = client.post(url(manager, "room-blocks/"), body)
    [conflict] = [each for each in assert_error(answer, 409, "ROOM_NEEDED")["conflicts"] if each["room_number"]]
    assert (conflict["booking_id"], conflict["free_rooms"]) == (stays[0].booking_id, [])
    answer = client.post(url(manager, "room-blocks/"), body | {"force": True})
    assert answer.status_code == 201
    stays[0].refresh_from_db()
    assert stays[0].assigned_room is None
    assert_invariants_hold()


@pytest.mark.parametrize("option", ["relocate", "force"])
def test_moving_arrivals_needs_its_own_right(api, hotel, supervisor, rooms, option):
    arrival(hotel, rooms[0])
    with nothing_written():
        answer = api(supervisor).post(url(supervisor, "room-blocks/"), asked(hotel, rooms[0], **{option: True}))
    assert_error(answer, 403, "PERMISSION_DENIED")


def test_each_room_has_its_own_result(api, hotel, supervisor, rooms):
    arrival(hotel, rooms[0])
    client = api(supervisor)
    answer = client.post(url(supervisor, "room-blocks/"), asked(hotel, *rooms[:2], per_room=True))
    assert answer.status_code == 201
    assert [block["room_number"] for block in answer.json()["blocks"]] == [102]
    assert [(each["room_id"], each["code"]) for each in answer.json()["failed"]] == [(rooms[0].pk, "ROOM_NEEDED")]
    none = client.post(url(supervisor, "room-blocks/"), asked(hotel, rooms[0], per_room=True))
    assert_error(none, 409, "NOTHING_DONE")


def test_the_life_of_a_block(api, hotel, supervisor, rooms):
    client = api(supervisor)
    client.post(url(supervisor, "room-blocks/"), asked(hotel, rooms[0], first=0))
    client.post(url(supervisor, "room-blocks/"), asked(hotel, rooms[1]))
    now, soon = RoomBlock.objects.order_by("pk")
    longer = client.post(url(supervisor, f"room-blocks/{now.pk}/extend/"), {"to": None}).json()
    assert (longer["to"], [change["new_to"] for change in longer["history"]]) == (None, [day(hotel, 3), None])
    done = client.post(url(supervisor, f"room-blocks/{now.pk}/complete/"), {"notes": "works"}).json()
    assert (done["status"], done["ended_on"], done["history"][-1]["note"]) == ("COMPLETED", day(hotel, 0), "works")
    rooms[0].refresh_from_db()
    assert rooms[0].room_status == "CLEANED_UNINSPECTED"
    gone = client.post(url(supervisor, f"room-blocks/{soon.pk}/cancel/")).json()
    assert (gone["status"], gone["started_at"]) == ("CANCELLED", None)
    assert_error(
        client.post(url(supervisor, f"room-blocks/{soon.pk}/extend/"), {"to": None}), 409, "INVALID_BLOCK_STEP"
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [3, 2, 1]),
        ("?status=ACTIVE", [1]),
        ("?kind=OUT_OF_SERVICE", [3]),
        ("?from={4}", [3]),
        ("?to={1}", [1]),
        ("?from={2}&to={3}", [2]),
    ],
)
def test_the_list_is_filtered(api, hotel, supervisor, rooms, query, found, statements):
    client, ids = api(supervisor), {}
    for number, (first, free, kind) in enumerate(
        [(0, 1, "OUT_OF_ORDER"), (1, 3, "OUT_OF_ORDER"), (4, None, "OUT_OF_SERVICE")], 1
    ):
        body = asked(hotel, rooms[0], first=first, free=free, kind=kind)
        ids[client.post(url(supervisor, "room-blocks/"), body).json()["blocks"][0]["id"]] = number
    query = query.format(*(day(hotel, offset) for offset in range(5)))
    answer = client.get(url(supervisor, f"room-blocks/{query}")).json()
    assert [ids[block["id"]] for block in answer["results"]] == found
    only = client.get(url(supervisor, f"room-blocks/?room_id={rooms[1].pk}")).json()
    assert only["results"] == []


def test_another_hotels_block_is_not_found(api, supervisor, rooms, hotel):
    elsewhere = room_in("OUT_OF_ORDER", hotel=HotelFactory())
    other = RoomBlock.objects.get(room=elsewhere)
    for call in ("", "extend/", "complete/", "cancel/"):
        method = api(supervisor).post if call else api(supervisor).get
        body = {"to": None} if call == "extend/" else None
        assert_error(method(url(supervisor, f"room-blocks/{other.pk}/{call}"), body), 404, "BLOCK_NOT_FOUND")
    answer = api(supervisor).post(url(supervisor, "room-blocks/"), asked(hotel, elsewhere))
    assert_error(answer, 400, "VALIDATION_ERROR")


def test_another_hotels_reason_is_unknown(api, hotel, supervisor, rooms):
    BlockReason.objects.create(hotel=HotelFactory(), code="THEIRS", label="Theirs")
    answer = api(supervisor).post(url(supervisor, "room-blocks/"), asked(hotel, rooms[0], reason="THEIRS"))
    assert "reason" in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


def test_a_later_end_moves_arrivals_too(api, hotel, office_manager, supervisor, rooms):
    client, booking = api(office_manager), arrival(hotel, rooms[0], 2, 3)
    body = asked(hotel, rooms[0], first=0, free=1)
    [made] = client.post(url(office_manager, "room-blocks/"), body).json()["blocks"]
    longer = {"to": day(hotel, 4), "relocate": True}
    where = url(office_manager, f"room-blocks/{made['id']}/extend/")
    assert_error(api(supervisor).post(where, longer), 403, "PERMISSION_DENIED")
    assert_error(client.post(where, {"to": day(hotel, 4)}), 409, "ROOM_NEEDED")
    assert client.post(where, longer).json()["to"] == day(hotel, 4)
    booking.refresh_from_db()
    assert booking.assigned_room == rooms[1]


def test_the_reasons_in_use(api, hotel, housekeeper, rooms):
    BlockReason.objects.create(hotel=hotel, code="OLD", label="Old", is_active=False)
    BlockReason.objects.create(hotel=HotelFactory(), code="THEIRS", label="Theirs")
    answer = api(housekeeper).get(url(housekeeper, "block-reasons/"))
    assert [reason["code"] for reason in answer.json()] == ["REPAIR"]


@pytest.mark.parametrize("size", [1, 3])
def test_blocking_takes_the_same_statements_for_any_number_of_rooms(api, hotel, supervisor, rooms, size, statements):
    client = api(supervisor)
    client.get(url(supervisor, "room-blocks/"))
    with statements() as made, clock.set_to(clock.now()):
        answer = client.post(url(supervisor, "room-blocks/"), asked(hotel, *rooms[:size], first=0))
    assert len(answer.json()["blocks"]) == size
    assert len(made) == 13, made.sql()
