"""POST rooms/{rid}/status/ (docs/api.md, Housekeeping)."""

from datetime import UTC, datetime

import pytest

from common import clock
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.services import set_room_status
from notifications.models import RealtimeEvent
from tests.conftest import url
from tests.factories import StaffFactory, in_house, room_in
from tests.http import assert_error, nothing_written

TEN = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)


def post(api, staff, room, body=None, *, alias=False, **headers):
    prefix = "housekeeping/" if alias else ""
    return api(staff).post(url(staff, f"{prefix}rooms/{room.pk}/status/"), body, **headers)


@pytest.mark.parametrize("alias", [False, True], ids=["path", "alias"])
def test_a_housekeeper_reports_a_room_cleaned(api, hotel, housekeeper, alias):
    room = room_in("CLEANING_IN_PROGRESS", hotel=hotel, room_number=101)
    with clock.set_to(TEN):
        answer = post(api, housekeeper, room, {"to_status": "CLEANED_UNINSPECTED", "note": "towels"}, alias=alias)
    body = answer.json()
    event = RoomStatusEvent.objects.get(version=3)
    assert answer.status_code == 200
    assert answer["ETag"] == '"3"'
    assert set(body) == {"message", "room", "status_event"}
    assert body["message"] == "Room 101 is now cleaned uninspected."
    assert body["room"]["room_status"] == "CLEANED_UNINSPECTED"
    assert body["room"]["cleaned_by_staff"] == housekeeper.name
    assert body["status_event"] == {
        "id": event.pk,
        "hotel": hotel.pk,
        "hotel_name": "Grand",
        "room": room.pk,
        "room_number": 101,
        "from_status": "CLEANING_IN_PROGRESS",
        "to_status": "CLEANED_UNINSPECTED",
        "changed_by": housekeeper.pk,
        "changed_by_name": housekeeper.name,
        "source": "HOUSEKEEPING",
        "source_display": "Housekeeping",
        "note": "towels",
        "created_at": "2026-07-01T10:00:00Z",
    }
    sent = RealtimeEvent.objects.last()
    assert (sent.type, sent.channel) == ("room_updated", "private-grand.rooms")
    assert sent.envelope["payload"]["changed_by_name"] == housekeeper.name


def test_a_change_takes_six_statements_including_sign_in(api, hotel, housekeeper, statements):
    room, client = room_in("CLEANING_IN_PROGRESS", hotel=hotel), api(housekeeper)
    with statements() as made:
        answer = client.post(url(housekeeper, f"rooms/{room.pk}/status/"), {"to_status": "CLEANED_UNINSPECTED"})
    assert answer.status_code == 200
    assert len(made) == 6  # sign-in, lock, read, update, audit row, event


def test_a_room_of_another_hotel_is_not_even_locked(api, hotel, housekeeper, statements):
    room, client = room_in("CHECKOUT_DIRTY"), api(housekeeper)
    with statements() as made:
        answer = client.post(url(housekeeper, f"rooms/{room.pk}/status/"), {"to_status": "CLEANING_IN_PROGRESS"})
    assert_error(answer, 404, "ROOM_NOT_FOUND")
    [_, lock] = made.sql()
    assert f'"hotel_id" = ({hotel.pk}) AND' in lock


# --- the source -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "to_status", "recorded"),
    [
        ("agent", "CHECKOUT_DIRTY", "FRONT_DESK"),
        ("agent", "MAINTENANCE_REQUIRED", "FRONT_DESK"),
        ("office_manager", "CHECKOUT_DIRTY", "FRONT_DESK"),
        ("housekeeper", "MAINTENANCE_REQUIRED", "HOUSEKEEPING"),
        ("supervisor", "OUT_OF_ORDER", "HOUSEKEEPING"),
        ("manager", "CHECKOUT_DIRTY", "HOUSEKEEPING"),
    ],
)
@pytest.mark.parametrize("body", [{}, {"source": None}], ids=["left out", "null"])
def test_the_source_is_optional(request, api, hotel, who, to_status, recorded, body):
    staff = request.getfixturevalue(who)
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    answer = post(api, staff, room, {"to_status": to_status, **body})
    assert answer.status_code == 200, answer.content
    assert answer.json()["status_event"]["source"] == recorded


@pytest.mark.parametrize(
    "source", ["SYSTEM", "MANAGER_OVERRIDE", "nonsense", "", "front_desk", 1, [], {}, "\ud800"], ids=repr
)
def test_internal_sources_are_400(api, hotel, manager, source):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    with nothing_written():
        answer = post(api, manager, room, {"to_status": "CHECKOUT_DIRTY", "source": source})
    body = assert_error(answer, 400, "INVALID_SOURCE")
    assert "source" in body["details"]


@pytest.mark.parametrize(
    ("who", "status", "to_status", "source"),
    [
        ("housekeeper", "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "FRONT_DESK"),
        ("supervisor", "CLEANED_UNINSPECTED", "READY_FOR_GUEST", "FRONT_DESK"),
    ],
)
def test_a_source_must_be_covered_by_the_callers_rights(request, api, hotel, who, status, to_status, source):
    room = room_in(status, hotel=hotel)
    with nothing_written():
        answer = post(api, request.getfixturevalue(who), room, {"to_status": to_status, "source": source})
    assert assert_error(answer, 403, "PERMISSION_DENIED")["message"].startswith("Permission denied")


# --- rights, map and facts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status", "to_status"),
    [
        ("agent", "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS"),
        ("agent", "CLEANED_UNINSPECTED", "READY_FOR_GUEST"),
        ("agent", "MAINTENANCE_REQUIRED", "CHECKOUT_DIRTY"),
        ("housekeeper", "CLEANED_UNINSPECTED", "READY_FOR_GUEST"),
        ("housekeeper", "CHECKOUT_DIRTY", "READY_FOR_GUEST"),
        ("housekeeper", "MAINTENANCE_REQUIRED", "READY_FOR_GUEST"),
        ("housekeeper", "READY_FOR_GUEST", "OUT_OF_ORDER"),
        ("housekeeper", "READY_FOR_GUEST", "CHECKOUT_DIRTY"),
        ("supervisor", "CHECKOUT_DIRTY", "READY_FOR_GUEST"),
        ("supervisor", "READY_FOR_GUEST", "CHECKOUT_DIRTY"),
        # no such transition either, but the right is checked first
        ("housekeeper", "OCCUPIED", "READY_FOR_GUEST"),
    ],
)
def test_a_missing_right_is_403(request, api, hotel, who, status, to_status):
    room = room_in(status, hotel=hotel)
    with nothing_written():
        answer = post(api, request.getfixturevalue(who), room, {"to_status": to_status})
    assert assert_error(answer, 403, "PERMISSION_DENIED")["message"].startswith("Permission denied")


@pytest.mark.parametrize(
    ("status", "to_status"),
    [
        ("OCCUPIED", "READY_FOR_GUEST"),
        ("OCCUPIED", "CLEANING_IN_PROGRESS"),
        ("OCCUPIED", "OUT_OF_ORDER"),
        ("CHECKOUT_DIRTY", "OCCUPIED"),
        ("CHECKOUT_DIRTY", "OUT_OF_ORDER"),
        ("CLEANING_IN_PROGRESS", "OCCUPIED"),
        ("CLEANED_UNINSPECTED", "OUT_OF_ORDER"),
        ("READY_FOR_GUEST", "CLEANING_IN_PROGRESS"),
        ("READY_FOR_GUEST", "CLEANED_UNINSPECTED"),
        ("MAINTENANCE_REQUIRED", "CLEANED_UNINSPECTED"),
        ("OUT_OF_ORDER", "OCCUPIED"),
        ("OUT_OF_ORDER", "CLEANING_IN_PROGRESS"),
    ],
)
def test_a_transition_outside_the_table_is_409(api, hotel, manager, status, to_status):
    room = room_in(status, hotel=hotel)
    with nothing_written():
        answer = post(api, manager, room, {"to_status": to_status})
    body = assert_error(answer, 409, "INVALID_TRANSITION")
    assert body["message"].startswith("Invalid transition")
    assert body["details"]["current_status"] == status
    assert body["details"]["status_version"] == room.status_version


def test_an_empty_room_cannot_become_occupied(api, hotel, manager):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    with nothing_written():
        answer = post(api, manager, room, {"to_status": "OCCUPIED"})
    assert assert_error(answer, 409)["message"].startswith("Invalid transition")


@pytest.mark.parametrize("to_status", ["CHECKOUT_DIRTY", "OUT_OF_ORDER"])
def test_a_room_with_a_guest_cannot_become_dirty_or_out_of_order(api, hotel, manager, to_status):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    in_house(room)
    with nothing_written():
        answer = post(api, manager, room, {"to_status": to_status})
    assert assert_error(answer, 409, "ROOM_OCCUPIED")["message"].startswith("Room occupied")


def test_a_room_with_a_fault_cannot_become_ready(api, hotel, supervisor):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel, fault=True)
    with nothing_written():
        answer = post(api, supervisor, room, {"to_status": "READY_FOR_GUEST"})
    assert assert_error(answer, 409, "MAINTENANCE_OPEN")["message"].startswith("Room not ready")


@pytest.mark.parametrize("status", ["MAINTENANCE_REQUIRED", "OUT_OF_ORDER"])
def test_with_the_right_to_clear_ready_removes_the_fault(api, hotel, supervisor, status):
    room = room_in(status, hotel=hotel, fault=True)
    shown = post(api, supervisor, room, {"to_status": "READY_FOR_GUEST"}).json()["room"]
    assert (shown["maintenance_required"], shown["maintenance_priority"], shown["maintenance_notes"]) == (
        False,
        None,
        "",
    )


# --- the same again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status"),
    [("housekeeper", "CLEANED_UNINSPECTED"), ("agent", "MAINTENANCE_REQUIRED"), ("manager", "READY_FOR_GUEST")],
)
def test_the_same_status_is_200_and_writes_nothing(request, api, hotel, who, status):
    room = room_in(status, hotel=hotel, room_number=101)
    with nothing_written():
        answer = post(api, request.getfixturevalue(who), room, {"to_status": status, "note": "again"})
    assert answer.status_code == 200
    assert answer.json()["status_event"] is None
    assert answer.json()["room"]["room_status"] == status
    assert answer.json()["message"].startswith("Room 101 is already ")


def test_the_same_status_still_requires_the_right(api, hotel, housekeeper):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    assert_error(post(api, housekeeper, room, {"to_status": "READY_FOR_GUEST"}), 403)


# --- stale requests ---------------------------------------------------------------------------------------------------


def set_by(staff, room, to_status):
    with clock.set_to(TEN):
        return set_room_status(room=room, to_status=to_status, staff=staff, source=Source.HOUSEKEEPING)


def assert_names_who(body, room, staff):
    assert body["details"] == {
        "room_id": room.pk,
        "room_number": room.room_number,
        "current_status": "CLEANING_IN_PROGRESS",
        "status_version": 2,
        "status_changed_at": "2026-07-01T10:00:00Z",
        "changed_by": staff.pk,
        "changed_by_name": staff.name,
        "source": "HOUSEKEEPING",
    }


def test_a_stale_expected_status_is_refused(api, hotel, housekeeper, manager):
    room = set_by(housekeeper, room_in("CHECKOUT_DIRTY", hotel=hotel), "CLEANING_IN_PROGRESS")
    with nothing_written():
        answer = post(api, manager, room, {"to_status": "CLEANED_UNINSPECTED", "expected_status": "CHECKOUT_DIRTY"})
    assert_names_who(assert_error(answer, 409, "STATUS_CHANGED"), room, housekeeper)
    right = post(api, manager, room, {"to_status": "CLEANED_UNINSPECTED", "expected_status": "CLEANING_IN_PROGRESS"})
    assert right.status_code == 200


@pytest.mark.parametrize(
    "header",
    ['"1"', '"3"', 'W/"3"', '"3-gzip"', '"abc"', '"1", "3"', '"99999999999999999999"', '"-2"', '""', '"2-"', '"2-x"',
     '"2-gzip-br"', '"2gzip"', '"2 -gzip"', 'W/"-gzip"', '"gzip-2"', '"1", *'],
)  # fmt: skip
def test_if_match_of_another_version_is_412(api, hotel, housekeeper, manager, header):
    room = set_by(housekeeper, room_in("CHECKOUT_DIRTY", hotel=hotel), "CLEANING_IN_PROGRESS")
    with nothing_written():
        answer = post(api, manager, room, {"to_status": "CLEANED_UNINSPECTED"}, HTTP_IF_MATCH=header)
    assert_names_who(assert_error(answer, 412), room, housekeeper)


# ETags as proxies change them when compressing: nginx the second, Caddy and Apache the others.
COMPRESSED = ['"2"', 'W/"2"', '"2-gzip"', '"2-br"', '"2-zstd"', 'W/"2-gzip"', 'W/"2-br"']


@pytest.mark.parametrize("header", [*COMPRESSED, '"1", "2"', '"1-gzip", W/"2-gzip"', "*", " * ", "", '  "2"  '])
def test_if_match_of_the_current_version_is_accepted(api, hotel, housekeeper, manager, header):
    room = set_by(housekeeper, room_in("CHECKOUT_DIRTY", hotel=hotel), "CLEANING_IN_PROGRESS")
    answer = post(api, manager, room, {"to_status": "CLEANED_UNINSPECTED"}, HTTP_IF_MATCH=header)
    assert answer.status_code == 200
    assert answer["ETag"] == '"3"'


@pytest.mark.parametrize("header", ["2", "abc", '"', "'2'", '"2', "\xff", "W/2", "2-gzip"])
def test_an_invalid_if_match_is_400(api, hotel, manager, header):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    with nothing_written():
        answer = post(api, manager, room, {"to_status": "CLEANED_UNINSPECTED"}, HTTP_IF_MATCH=header)
    assert_error(answer, 400)


def test_an_unchanged_room_names_no_author(api, hotel, manager):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    answer = post(api, manager, room, {"to_status": "CHECKOUT_DIRTY", "expected_status": "OCCUPIED"})
    details = assert_error(answer, 409, "STATUS_CHANGED")["details"]
    assert (details["changed_by"], details["changed_by_name"], details["status_version"]) == (None, None, 0)


def test_the_checks_come_in_the_documented_order(api, hotel, housekeeper, manager):
    """Freshness, right, same status, transition map; each case would also fail every later check."""
    room = room_in("OCCUPIED", hotel=hotel)
    stale = {"to_status": "READY_FOR_GUEST", "expected_status": "CHECKOUT_DIRTY"}
    same_but_stale = {"to_status": "OCCUPIED", "expected_status": "CHECKOUT_DIRTY"}
    with nothing_written():
        assert_error(post(api, housekeeper, room, stale), 409, "STATUS_CHANGED")
        assert_error(post(api, housekeeper, room, {"to_status": "READY_FOR_GUEST"}, HTTP_IF_MATCH='"9"'), 412)
        assert_error(post(api, manager, room, same_but_stale), 409, "STATUS_CHANGED")
        assert_error(post(api, housekeeper, room, {"to_status": "OCCUPIED"}), 403)
        assert_error(post(api, housekeeper, room, {"to_status": "READY_FOR_GUEST"}), 403)
        assert post(api, manager, room, {"to_status": "OCCUPIED"}).status_code == 200
        assert_error(post(api, manager, room, {"to_status": "READY_FOR_GUEST"}), 409, "INVALID_TRANSITION")


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "to_status"),
        ({"to_status": None}, "to_status"),
        ({"to_status": ""}, "to_status"),
        ({"to_status": "CLEAN"}, "to_status"),
        ({"to_status": "checkout_dirty"}, "to_status"),
        ({"to_status": ["CHECKOUT_DIRTY"]}, "to_status"),
        ({"to_status": {"status": "CHECKOUT_DIRTY"}}, "to_status"),
        ({"to_status": True}, "to_status"),
        ({"to_status": 10**30}, "to_status"),
        ({"to_status": "\ud800"}, "to_status"),
        ({"to_status": "CHECKOUT_DIRTY\u0000"}, "to_status"),
        ({"to_status": "CHECKOUT_DIRTY", "note": "x" * 2001}, "note"),
        ({"to_status": "CHECKOUT_DIRTY", "note": "\ud800"}, "note"),
        ({"to_status": "CHECKOUT_DIRTY", "note": "\u0000"}, "note"),
        ({"to_status": "CHECKOUT_DIRTY", "note": ["a"]}, "note"),
        ({"to_status": "CHECKOUT_DIRTY", "expected_status": "CLEAN"}, "expected_status"),
        ({"to_status": "CHECKOUT_DIRTY", "expected_status": 1}, "expected_status"),
    ],
)
def test_a_bad_body_is_400_and_names_the_field(api, hotel, manager, body, field):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    with nothing_written():
        answer = assert_error(post(api, manager, room, body), 400, "VALIDATION_ERROR")
    assert list(answer["details"]) == [field]
    assert answer[field] == answer["details"][field]


@pytest.mark.parametrize("note", [None, "", "   ", "x" * 2000])
def test_a_note_is_optional_and_may_be_long(api, hotel, manager, note):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    answer = post(api, manager, room, {"to_status": "CHECKOUT_DIRTY", "note": note})
    assert answer.json()["status_event"]["note"] == (note or "").strip()


def test_staff_of_one_hotel_see_each_others_changes(api, hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    colleague = StaffFactory(hotel=hotel)
    post(api, housekeeper, room, {"to_status": "CLEANING_IN_PROGRESS"})
    answer = post(api, colleague, room, {"to_status": "CLEANED_UNINSPECTED", "expected_status": "CLEANING_IN_PROGRESS"})
    assert answer.json()["room"]["cleaned_by_staff"] == colleague.name
