"""start-cleaning, mark-cleaned, inspect, mark-maintenance and complete-maintenance (docs/api.md, Turnover)."""

from datetime import UTC, datetime, timedelta

import pytest

from common import clock
from housekeeping.models import RoomStatusEvent
from notifications.models import RealtimeEvent
from tests.conftest import url
from tests.factories import StaffFactory, in_house, room_in
from tests.http import assert_error, nothing_written

ACTIONS = ("start-cleaning", "mark-cleaned", "inspect", "mark-maintenance", "complete-maintenance")
TEN = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)


def act(api, staff, room, action, body=None):
    return api(staff).post(url(staff, f"rooms/{room.room_number}/{action}/"), body)


def changed(answer, *, to_status):
    """The body of a response to a status change."""
    body = answer.json()
    assert answer.status_code == 200, body
    assert body["new_status"] == body["room"]["room_status"] == body["status_event"]["to_status"] == to_status
    assert body["old_status"] == body["status_event"]["from_status"]
    return body


# --- the actions ------------------------------------------------------------------------------------------------------


def test_response_of_an_action(api, hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel, room_number=101)
    with clock.set_to(TEN):
        answer = act(api, housekeeper, room, "start-cleaning", {"notes": "  extra towels "})
    body = answer.json()
    assert set(body) == {"message", "old_status", "new_status", "room", "status_event"}
    event = RoomStatusEvent.objects.get(version=2)
    assert body["status_event"] == {
        "id": event.pk,
        "hotel": hotel.pk,
        "hotel_name": "Grand",
        "room": room.pk,
        "room_number": 101,
        "from_status": "CHECKOUT_DIRTY",
        "to_status": "CLEANING_IN_PROGRESS",
        "changed_by": housekeeper.pk,
        "changed_by_name": housekeeper.name,
        "source": "HOUSEKEEPING",
        "source_display": "Housekeeping",
        "note": "extra towels",
        "created_at": "2026-07-01T10:00:00Z",
    }
    assert body["message"] == "Room 101 is now cleaning in progress."
    assert body["room"]["turnover_notes"] == "extra towels"
    assert RealtimeEvent.objects.last().envelope["payload"]["to_status"] == "CLEANING_IN_PROGRESS"


@pytest.mark.parametrize("status", ["CHECKOUT_DIRTY", "CLEANED_UNINSPECTED"])
def test_start_cleaning(api, hotel, housekeeper, status):
    room = room_in(status, hotel=hotel)
    assert (
        changed(act(api, housekeeper, room, "start-cleaning"), to_status="CLEANING_IN_PROGRESS")["old_status"] == status
    )


def test_room_is_cleaned_by_one_person(api, hotel, housekeeper):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    act(api, housekeeper, room, "start-cleaning")
    other = StaffFactory(hotel=hotel)
    with nothing_written():
        answer = act(api, other, room, "start-cleaning")
        again = act(api, housekeeper, room, "start-cleaning")
    body = assert_error(answer, 409, "ALREADY_IN_PROGRESS")
    assert housekeeper.name in body["message"]
    assert body["details"]["current_status"] == "CLEANING_IN_PROGRESS"
    assert body["details"]["changed_by_name"] == housekeeper.name
    assert again.status_code == 200  # the person already cleaning can repeat the call
    assert again.json()["status_event"] is None
    assert again.json()["old_status"] == again.json()["new_status"] == "CLEANING_IN_PROGRESS"


@pytest.mark.parametrize("status", ["CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS"])
def test_mark_cleaned_stamps_who_and_when(api, hotel, housekeeper, status):
    room = room_in(status, hotel=hotel)
    with clock.set_to(TEN):
        body = changed(act(api, housekeeper, room, "mark-cleaned", {"notes": "done"}), to_status="CLEANED_UNINSPECTED")
    assert body["room"]["cleaned_by_staff"] == body["room"]["cleaned_by_staff_name"] == housekeeper.name
    assert body["room"]["last_cleaned_at"] == "2026-07-01T10:00:00Z"
    assert body["room"]["last_inspected_at"] is None


@pytest.mark.parametrize("body", [None, {}, {"passed": True}, {"notes": "fine"}], ids=str)
def test_a_passed_inspection_makes_the_room_ready(api, hotel, supervisor, body):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    with clock.set_to(TEN):
        answer = changed(act(api, supervisor, room, "inspect", body), to_status="READY_FOR_GUEST")
    assert answer["room"]["inspected_by_staff"] == answer["room"]["inspected_by_staff_name"] == supervisor.name
    assert answer["room"]["last_inspected_at"] == "2026-07-01T10:00:00Z"
    assert answer["room"]["is_bookable"] is True


def test_a_failed_inspection_makes_the_room_dirty_again(api, hotel, supervisor):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    answer = changed(
        act(api, supervisor, room, "inspect", {"passed": False, "notes": "hair"}), to_status="CHECKOUT_DIRTY"
    )
    assert answer["room"]["last_inspected_at"] is None
    assert answer["status_event"]["note"] == "hair"


@pytest.mark.parametrize("passed", ["true", "false", 1, 0, None, "yes", [], {}, 1.0], ids=repr)
def test_passed_must_be_a_json_boolean(api, hotel, supervisor, passed):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    with nothing_written():
        answer = act(api, supervisor, room, "inspect", {"passed": passed})
    assert "passed" in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


def test_inspection_keeps_a_fault(api, hotel, supervisor):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel, fault=True)
    body = changed(act(api, supervisor, room, "inspect"), to_status="MAINTENANCE_REQUIRED")
    assert body["room"]["maintenance_required"] is True
    assert body["room"]["maintenance_notes"] == "shower drips"


# --- maintenance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status",
    ["OCCUPIED", "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST", "OUT_OF_ORDER"],
)
def test_a_fault_is_reported_from_any_status(api, hotel, housekeeper, status):
    room = room_in(status, hotel=hotel)
    answer = act(api, housekeeper, room, "mark-maintenance", {"priority": "HIGH", "notes": "shower broken"})
    body = changed(answer, to_status="MAINTENANCE_REQUIRED")
    shown = body["room"]
    assert (shown["maintenance_required"], shown["maintenance_priority"]) == (True, "HIGH")
    assert shown["maintenance_notes"] == "shower broken"
    assert shown["is_occupied"] is (status == "OCCUPIED")


def test_fault_without_a_note_has_medium_priority(api, hotel, agent):
    body = act(api, agent, room_in("READY_FOR_GUEST", hotel=hotel), "mark-maintenance").json()
    assert (body["room"]["maintenance_priority"], body["room"]["maintenance_notes"]) == ("MED", "")


@pytest.mark.parametrize(
    ("first", "second", "then"),
    [("LOW", "HIGH", "HIGH"), ("HIGH", "LOW", "HIGH"), ("LOW", None, "MED"), ("MED", "MED", "MED")],
)
def test_a_second_report_adds_its_note_and_may_raise_the_priority(api, hotel, housekeeper, agent, first, second, then):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    act(api, housekeeper, room, "mark-maintenance", {"priority": first, "notes": "shower drips"})
    history = RoomStatusEvent.objects.count()
    body = {"notes": "and the lamp"} | ({"priority": second} if second else {})
    answer = act(api, agent, room, "mark-maintenance", body).json()
    assert answer["status_event"] is None
    assert answer["old_status"] == answer["new_status"] == "MAINTENANCE_REQUIRED"
    assert answer["room"]["maintenance_priority"] == then
    assert answer["room"]["maintenance_notes"] == "shower drips\nand the lamp"
    assert RoomStatusEvent.objects.count() == history
    event = RealtimeEvent.objects.last()
    payload = event.envelope["payload"]
    assert event.type == "room_updated"
    assert payload["from_status"] == payload["to_status"] == "MAINTENANCE_REQUIRED"
    assert "maintenance_notes" in payload["changed_fields"]
    assert ("maintenance_priority" in payload["changed_fields"]) is (then != first)
    assert "room_status" not in payload["changed_fields"]
    assert payload["maintenance_priority"] == then
    assert payload["changed_by_name"] == agent.name


def test_second_report_without_changes_writes_nothing(api, hotel, housekeeper):
    room = room_in("MAINTENANCE_REQUIRED", hotel=hotel)
    with nothing_written():
        assert act(api, housekeeper, room, "mark-maintenance", {"priority": "LOW"}).status_code == 200


@pytest.mark.parametrize("priority", ["high", "URGENT", "", None, 1, ["HIGH"], {}], ids=repr)
def test_an_unknown_priority_is_400(api, hotel, housekeeper, priority):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    with nothing_written():
        answer = act(api, housekeeper, room, "mark-maintenance", {"priority": priority})
    assert "priority" in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


@pytest.mark.parametrize("status", ["CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "OUT_OF_ORDER"])
def test_completing_maintenance_clears_the_fault_and_keeps_the_status(api, hotel, supervisor, status):
    room = room_in(status, hotel=hotel, fault=True)
    history = RoomStatusEvent.objects.count()
    body = act(api, supervisor, room, "complete-maintenance", {"notes": "new washer"}).json()
    assert body["status_event"] is None
    assert body["old_status"] == body["new_status"] == status
    shown = body["room"]
    assert (shown["maintenance_required"], shown["maintenance_priority"], shown["maintenance_notes"]) == (
        False,
        None,
        "",
    )
    assert RoomStatusEvent.objects.count() == history
    payload = RealtimeEvent.objects.last().envelope["payload"]
    assert payload["maintenance_required"] is False
    assert payload["from_status"] == payload["to_status"] == status


@pytest.mark.parametrize("status", ["OCCUPIED", "CHECKOUT_DIRTY", "READY_FOR_GUEST", "OUT_OF_ORDER"])
def test_completing_without_a_fault_writes_nothing(api, hotel, supervisor, status):
    room = room_in(status, hotel=hotel)
    with nothing_written():
        answer = act(api, supervisor, room, "complete-maintenance")
    assert answer.status_code == 200
    assert answer.json()["status_event"] is None


def test_room_is_occupied_again_after_maintenance(api, hotel, supervisor, housekeeper):
    room = room_in("OCCUPIED", hotel=hotel)
    act(api, housekeeper, room, "mark-maintenance", {"notes": "no hot water"})
    body = changed(act(api, supervisor, room, "complete-maintenance"), to_status="OCCUPIED")
    assert (body["room"]["maintenance_required"], body["room"]["maintenance_notes"]) == (False, "")


def test_room_inspected_since_the_departure_is_ready_after_maintenance(api, hotel, supervisor, housekeeper):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    act(api, supervisor, room, "inspect")
    act(api, housekeeper, room, "mark-maintenance")
    assert changed(act(api, supervisor, room, "complete-maintenance"), to_status="READY_FOR_GUEST")


def test_room_that_became_dirty_is_dirty_after_maintenance(api, hotel, supervisor, housekeeper, agent):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    act(api, supervisor, room, "inspect")
    answer = api(agent).post(url(agent, f"rooms/{room.pk}/status/"), {"to_status": "CHECKOUT_DIRTY"})
    assert answer.status_code == 200
    act(api, housekeeper, room, "mark-maintenance")
    changed(act(api, supervisor, room, "complete-maintenance"), to_status="CHECKOUT_DIRTY")


def test_room_never_cleaned_is_dirty_after_maintenance(api, hotel, supervisor):
    room = room_in("MAINTENANCE_REQUIRED", hotel=hotel)
    changed(act(api, supervisor, room, "complete-maintenance"), to_status="CHECKOUT_DIRTY")


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "status", "code", "beginning"),
    [
        ("start-cleaning", "OCCUPIED", "INVALID_TRANSITION", "Invalid transition"),
        ("start-cleaning", "READY_FOR_GUEST", "INVALID_TRANSITION", "Invalid transition"),
        ("start-cleaning", "MAINTENANCE_REQUIRED", "INVALID_TRANSITION", "Invalid transition"),
        ("start-cleaning", "OUT_OF_ORDER", "INVALID_TRANSITION", "Invalid transition"),
        ("mark-cleaned", "OCCUPIED", "INVALID_TRANSITION", "Invalid transition"),
        ("mark-cleaned", "READY_FOR_GUEST", "INVALID_TRANSITION", "Invalid transition"),
        ("inspect", "OCCUPIED", "INVALID_TRANSITION", "Invalid transition"),
    ],
)
def test_unknown_transition_is_409(api, hotel, manager, action, status, code, beginning):
    room = room_in(status, hotel=hotel)
    with nothing_written():
        answer = act(api, manager, room, action)
    body = assert_error(answer, 409, code)
    assert body["message"].startswith(beginning)
    assert body["details"]["current_status"] == status


def test_occupied_room_cannot_be_cleaned(api, hotel, manager):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    in_house(room)
    with nothing_written():
        answer = act(api, manager, room, "mark-cleaned")
    assert assert_error(answer, 409, "ROOM_OCCUPIED")["message"].startswith("Room occupied")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("notes", ["x" * 2001, ["a"], {}, True, "a\x00b", "\ud800"], ids=lambda value: repr(value)[:12])
def test_bad_notes_are_400(api, hotel, manager, action, notes):
    room = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    with nothing_written():
        answer = act(api, manager, room, action, {"notes": notes})
    assert "notes" in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


@pytest.mark.parametrize("notes", ["x" * 2000, "", None, "  ", 12], ids=lambda value: repr(value)[:12])
def test_notes_may_be_two_thousand_characters_or_nothing(api, hotel, housekeeper, notes):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    body = changed(act(api, housekeeper, room, "mark-cleaned", {"notes": notes}), to_status="CLEANED_UNINSPECTED")
    assert body["status_event"]["note"] == str(notes or "").strip()


def test_full_turnover_of_a_room(api, hotel, housekeeper, supervisor):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    with clock.set_to(TEN):
        act(api, housekeeper, room, "start-cleaning", {"notes": "two beds"})
    with clock.set_to(TEN + timedelta(minutes=20)):
        act(api, housekeeper, room, "mark-cleaned", {"notes": "mini bar empty"})
    with clock.set_to(TEN + timedelta(minutes=30)):
        shown = act(api, supervisor, room, "inspect").json()["room"]
    assert shown["turnover_notes"] == "two beds\nmini bar empty"
    assert shown["status_version"] == 4
    assert [
        (event.version, event.from_status, event.to_status, event.changed_by)
        for event in RoomStatusEvent.objects.order_by("version")[1:]
    ] == [
        (2, "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", housekeeper),
        (3, "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", housekeeper),
        (4, "CLEANED_UNINSPECTED", "READY_FOR_GUEST", supervisor),
    ]
