"""POST housekeeping/rooms/{rid}/manager_override/ (docs/api.md, Housekeeping)."""

import pytest

from housekeeping.models import RoomStatusEvent
from tests.conftest import url
from tests.factories import in_house, room_in
from tests.http import assert_error, nothing_written

STATUSES = (
    "CHECKOUT_DIRTY",
    "CLEANING_IN_PROGRESS",
    "CLEANED_UNINSPECTED",
    "READY_FOR_GUEST",
    "MAINTENANCE_REQUIRED",
    "OUT_OF_ORDER",
)


def override(api, staff, room, body=None, **headers):
    return api(staff).post(url(staff, f"housekeeping/rooms/{room.pk}/manager_override/"), body, **headers)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("to_status", STATUSES)
def test_a_manager_can_set_any_status_of_an_empty_room(api, hotel, manager, status, to_status):
    room = room_in(status, hotel=hotel)
    before = RoomStatusEvent.objects.count()
    answer = override(api, manager, room, {"to_status": to_status, "note": "looked myself"})
    body = answer.json()
    assert answer.status_code == 200, body
    assert set(body) == {"message", "room", "status_event"}
    assert body["room"]["room_status"] == to_status
    if status == to_status:
        assert body["status_event"] is None
        assert RoomStatusEvent.objects.count() == before
    else:
        assert body["status_event"]["source"] == "MANAGER_OVERRIDE"
        assert body["status_event"]["source_display"] == "Manager override"
        assert body["status_event"]["note"] == "looked myself"
        assert body["status_event"]["changed_by"] == manager.pk


@pytest.mark.parametrize("who", ["agent", "office_manager", "housekeeper", "supervisor"])
def test_without_the_right_the_message_names_it(request, api, hotel, who):
    room = room_in("OUT_OF_ORDER", hotel=hotel)
    with nothing_written():
        answer = override(api, request.getfixturevalue(who), room, {"to_status": "READY_FOR_GUEST", "note": "please"})
    message = assert_error(answer, 403, "PERMISSION_DENIED")["message"]
    assert message.startswith("Permission denied")
    assert "Manager privileges" in message


@pytest.mark.parametrize(
    "note", [None, "", "   ", "\n\t", ..., "x" * 2001, ["a"], "\ud800", "\u0000"], ids=lambda v: repr(v)[:9]
)
def test_an_override_requires_a_note(api, hotel, manager, note):
    room = room_in("OUT_OF_ORDER", hotel=hotel)
    body = {"to_status": "READY_FOR_GUEST"} | ({} if note is ... else {"note": note})
    with nothing_written():
        answer = override(api, manager, room, body)
    assert "note" in assert_error(answer, 400)["details"]


@pytest.mark.parametrize("to_status", [None, "", "CLEAN", [], 1])
def test_an_unknown_status_is_400(api, hotel, manager, to_status):
    room = room_in("OUT_OF_ORDER", hotel=hotel)
    with nothing_written():
        answer = override(api, manager, room, {"to_status": to_status, "note": "x"})
    assert "to_status" in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


@pytest.mark.parametrize("status", STATUSES)
def test_an_override_cannot_occupy_an_empty_room(api, hotel, manager, status):
    room = room_in(status, hotel=hotel)
    with nothing_written():
        answer = override(api, manager, room, {"to_status": "OCCUPIED", "note": "the guest is there"})
    assert_error(answer, 409, "NOBODY_IN_HOUSE")


@pytest.mark.parametrize("to_status", [status for status in STATUSES if status != "MAINTENANCE_REQUIRED"])
def test_an_override_cannot_empty_an_occupied_room(api, hotel, manager, to_status):
    room = room_in("OCCUPIED", hotel=hotel)
    with nothing_written():
        answer = override(api, manager, room, {"to_status": to_status, "note": "the guest left"})
    assert assert_error(answer, 409, "ROOM_OCCUPIED")["message"].startswith("Room occupied")


@pytest.mark.parametrize("status", ["CHECKOUT_DIRTY", "READY_FOR_GUEST"])
def test_an_override_can_correct_a_room_with_a_guest(api, hotel, manager, status):
    room = room_in(status, hotel=hotel)
    in_house(room)
    answer = override(api, manager, room, {"to_status": "OCCUPIED", "note": "guest is in house"})
    assert answer.status_code == 200
    assert answer.json()["room"]["is_occupied"] is True


def test_an_override_to_ready_clears_the_fault(api, hotel, manager):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel, fault=True)
    shown = override(api, manager, room, {"to_status": "READY_FOR_GUEST", "note": "mended it"}).json()["room"]
    assert (shown["maintenance_required"], shown["is_bookable"]) == (False, True)


@pytest.mark.parametrize("to_status", ["CHECKOUT_DIRTY", "CLEANED_UNINSPECTED", "OUT_OF_ORDER"])
def test_an_override_to_another_status_keeps_the_fault(api, hotel, manager, to_status):
    room = room_in("MAINTENANCE_REQUIRED", hotel=hotel)
    shown = override(api, manager, room, {"to_status": to_status, "note": "for now"}).json()["room"]
    assert shown["maintenance_required"] is True


def test_an_override_checks_if_match(api, hotel, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    body = {"to_status": "READY_FOR_GUEST", "note": "looked myself"}
    with nothing_written():
        assert_error(override(api, manager, room, body, HTTP_IF_MATCH='"7"'), 412)
        assert_error(override(api, manager, room, body, HTTP_IF_MATCH="7"), 400)
    assert override(api, manager, room, body, HTTP_IF_MATCH='W/"1-gzip"').status_code == 200
