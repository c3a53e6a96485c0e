"""The endpoints under housekeeping/tasks/ (docs/api.md, Housekeeping)."""

from datetime import UTC, datetime, timedelta

import pytest

from common import clock
from housekeeping.models import HousekeepingTask, TaskStatus
from tests.conftest import url
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, StaffFactory, TaskFactory
from tests.http import assert_error, nothing_written

NINE = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)
TASKS = "housekeeping/tasks/"


@pytest.fixture
def room(hotel):
    return NewRoomFactory(hotel=hotel, room_number=101)


def task_in(status: str, room, **fields) -> HousekeepingTask:
    times = {
        "OPEN": {},
        "IN_PROGRESS": {"started_at": NINE},
        "DONE": {"started_at": NINE, "completed_at": NINE},
        "CANCELLED": {"cancelled_at": NINE},
    }[status]
    return TaskFactory(room=room, status=TaskStatus(status), **times, **fields)


def act(api, staff, task, action, body=None):
    return api(staff).post(url(staff, f"{TASKS}{task.pk}/{action}/"), body)


# --- create, read, change, delete -------------------------------------------------------------------------------------


def test_a_supervisor_opens_a_task(api, hotel, room, supervisor, housekeeper):
    booking = BookingFactory(hotel=hotel, room_type=room.room_type)
    with clock.set_to(NINE):
        answer = api(supervisor).post(
            url(supervisor, TASKS),
            {
                "room": str(room.pk),
                "booking": booking.booking_id,
                "task_type": "AMENITY",
                "priority": "HIGH",
                "note": "champagne",
                "assigned_to": str(housekeeper.pk),
            },
        )
        body = answer.json()
        assert answer.status_code == 201
        assert body == {
            "id": HousekeepingTask.objects.get().pk,
            "room": room.pk,
            "room_number": 101,
            "booking": booking.booking_id,
            "task_type": "AMENITY",
            "task_type_display": "Amenity",
            "status": "OPEN",
            "status_display": "Open",
            "priority": "HIGH",
            "note": "champagne",
            "assigned_to": housekeeper.pk,
            "assigned_to_name": housekeeper.name,
            "created_by": supervisor.pk,
            "created_by_name": supervisor.name,
            "created_at": "2026-07-01T09:00:00Z",
            "started_at": None,
            "completed_at": None,
            "cancelled_at": None,
            "is_overdue": False,
        }
        assert api(housekeeper).get(url(housekeeper, f"{TASKS}{body['id']}/")).json() == body


@pytest.mark.parametrize("task_type", ["TURNOVER", "STAYOVER", "INSPECTION", "DEEP_CLEAN", "AMENITY"])
def test_a_task_needs_a_room_and_a_type(api, agent, room, task_type):
    body = api(agent).post(url(agent, TASKS), {"room": room.pk, "task_type": task_type}).json()
    assert (body["task_type"], body["priority"], body["note"]) == (task_type, "MED", "")
    assert (body["assigned_to"], body["booking"]) == (None, None)


def test_a_booking_can_be_given_by_its_id(api, hotel, agent, room):
    booking = BookingFactory(hotel=hotel, room_type=room.room_type)
    for reference in (booking.pk, str(booking.pk)):
        body = {"room": room.pk, "task_type": "TURNOVER", "booking": reference}
        assert api(agent).post(url(agent, TASKS), body).json()["booking"] == booking.booking_id


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"room": None}, "room"),
        ({"room": "abc"}, "room"),
        ({"room": 0}, "room"),
        ({"room": 10**30}, "room"),
        ({"room": 99_999_999}, "room"),
        ({"room": [1]}, "room"),
        ({"task_type": None}, "task_type"),
        ({"task_type": "CLEAN"}, "task_type"),
        ({"task_type": ""}, "task_type"),
        ({"task_type": "\ud800"}, "task_type"),
        ({"priority": "URGENT"}, "priority"),
        ({"priority": None}, "priority"),
        ({"note": "x" * 2001}, "note"),
        ({"note": "\u0000"}, "note"),
        ({"assigned_to": "me"}, "assigned_to"),
        ({"assigned_to": 99_999_999}, "assigned_to"),
        ({"assigned_to": -1}, "assigned_to"),
        ({"booking": "BK-2026-9999"}, "booking"),
        ({"booking": "x" * 25}, "booking"),
        ({"booking": ["a"]}, "booking"),
        ({"booking": "9" * 24}, "booking"),
    ],
)
def test_a_bad_task_is_400_and_names_the_field(api, manager, room, wrong, field):
    task = TaskFactory(room=room)
    body = {"room": room.pk, "task_type": "TURNOVER", **wrong}
    client = api(manager)
    with nothing_written():
        for answer in (
            client.post(url(manager, TASKS), body),
            client.put(url(manager, f"{TASKS}{task.pk}/"), body),
            client.patch(url(manager, f"{TASKS}{task.pk}/"), wrong),
        ):
            assert field in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


@pytest.mark.parametrize("field", ["room", "assigned_to", "booking"])
def test_another_hotels_rows_cannot_be_referenced(api, manager, room, field):
    elsewhere = NewRoomFactory(hotel=HotelFactory())
    named = {
        "room": elsewhere.pk,
        "assigned_to": StaffFactory(hotel=elsewhere.hotel).pk,
        "booking": BookingFactory(hotel=elsewhere.hotel, room_type=elsewhere.room_type).booking_id,
    }[field]
    with nothing_written():
        answer = api(manager).post(url(manager, TASKS), {"room": room.pk, "task_type": "TURNOVER", field: named})
    assert field in assert_error(answer, 400)["details"]


def test_patch_and_put(api, hotel, room, supervisor, housekeeper):
    task = TaskFactory(room=room, assigned_to=housekeeper, note="soon")
    client, path = api(supervisor), url(supervisor, f"{TASKS}{task.pk}/")
    part = client.patch(path, {"priority": "HIGH"}).json()
    assert (part["priority"], part["note"], part["assigned_to"]) == ("HIGH", "soon", housekeeper.pk)
    other = NewRoomFactory(hotel=hotel)
    whole = client.put(path, {"room": other.pk, "task_type": "AMENITY", "assigned_to": None}).json()
    assert (whole["room"], whole["task_type"], whole["priority"], whole["note"]) == (other.pk, "AMENITY", "MED", "")
    assert whole["assigned_to"] is None
    assert whole["id"] == task.pk


@pytest.mark.parametrize("status", ["DONE", "CANCELLED"])
def test_a_closed_task_cannot_be_changed(api, room, manager, status):
    task = task_in(status, room)
    client, path = api(manager), url(manager, f"{TASKS}{task.pk}/")
    with nothing_written():
        assert_error(client.patch(path, {"priority": "HIGH"}), 409)
        assert_error(client.put(path, {"room": room.pk, "task_type": "AMENITY"}), 409)
        assert_error(act(api, manager, task, "assign", {"assigned_to_id": None}), 409)


def test_the_status_cannot_be_set_by_patch(api, room, manager):
    task = TaskFactory(room=room)
    answer = api(manager).patch(url(manager, f"{TASKS}{task.pk}/"), {"status": "DONE", "note": "x"})
    assert answer.json()["status"] == "OPEN"


def test_only_an_open_task_can_be_deleted(api, room, supervisor):
    fresh, begun = TaskFactory(room=room), task_in("IN_PROGRESS", room)
    client = api(supervisor)
    answer = client.delete(url(supervisor, f"{TASKS}{fresh.pk}/"))
    assert (answer.status_code, answer.content) == (204, b"")
    with nothing_written():
        assert_error(client.delete(url(supervisor, f"{TASKS}{begun.pk}/")), 409)
    assert [task.pk for task in HousekeepingTask.objects.all()] == [begun.pk]


# --- workflow ---------------------------------------------------------------------------------------------------------


def test_from_open_to_done(api, room, supervisor, housekeeper):
    task = TaskFactory(room=room, note="two beds")
    body = {"assigned_to_id": str(housekeeper.pk), "note": "before noon"}
    assigned = act(api, supervisor, task, "assign", body).json()
    assert (assigned["assigned_to"], assigned["note"]) == (housekeeper.pk, "two beds\nbefore noon")
    with clock.set_to(NINE):
        started = act(api, housekeeper, task, "start").json()
    assert (started["status"], started["started_at"]) == ("IN_PROGRESS", "2026-07-01T09:00:00Z")
    with clock.set_to(NINE + timedelta(minutes=30)):
        done = act(api, housekeeper, task, "complete").json()
    assert (done["status"], done["completed_at"]) == ("DONE", "2026-07-01T09:30:00Z")
    assert done["started_at"] == "2026-07-01T09:00:00Z"


def test_starting_an_unassigned_task_assigns_it(api, room, housekeeper):
    body = act(api, housekeeper, TaskFactory(room=room), "start").json()
    assert (body["assigned_to"], body["assigned_to_name"]) == (housekeeper.pk, housekeeper.name)


@pytest.mark.parametrize(
    ("action", "status"), [("start", "IN_PROGRESS"), ("complete", "DONE"), ("cancel", "CANCELLED")]
)
def test_a_repeated_action_changes_nothing(api, room, supervisor, action, status):
    task = task_in(status, room, assigned_to=supervisor)
    with nothing_written():
        answer = act(api, supervisor, task, action)
    assert answer.status_code == 200
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("start", "DONE"),
        ("start", "CANCELLED"),
        ("complete", "OPEN"),
        ("complete", "CANCELLED"),
        ("cancel", "DONE"),
    ],
)
def test_an_action_outside_the_workflow_is_409(api, room, manager, action, status):
    task = task_in(status, room)
    with nothing_written():
        answer = act(api, manager, task, action)
    assert assert_error(answer, 409)["details"]["status"] == status


@pytest.mark.parametrize("status", ["OPEN", "IN_PROGRESS"])
def test_a_task_can_be_cancelled(api, room, supervisor, status):
    with clock.set_to(NINE):
        body = act(api, supervisor, task_in(status, room), "cancel").json()
    assert (body["status"], body["cancelled_at"], body["is_overdue"]) == ("CANCELLED", "2026-07-01T09:00:00Z", False)


@pytest.mark.parametrize("action", ["start", "complete"])
def test_another_persons_task_is_refused(api, hotel, room, housekeeper, supervisor, action):
    status = "OPEN" if action == "start" else "IN_PROGRESS"
    task = task_in(status, room, assigned_to=StaffFactory(hotel=hotel))
    with nothing_written():
        answer = act(api, housekeeper, task, action)
    assert_error(answer, 409)
    assert act(api, supervisor, task, action).status_code == 200  # staff with permission to assign tasks may act on it


def test_a_task_can_be_unassigned(api, room, supervisor, housekeeper):
    task = TaskFactory(room=room, assigned_to=housekeeper, note="two beds")
    body = act(api, supervisor, task, "assign", {"assigned_to_id": None}).json()
    assert (body["assigned_to"], body["assigned_to_name"], body["note"]) == (None, None, "two beds")


@pytest.mark.parametrize("given", [..., "me", 99_999_999, 10**30, [], 0], ids=repr)
def test_an_unknown_assignee_is_400(api, room, supervisor, given):
    task = TaskFactory(room=room)
    with nothing_written():
        answer = act(api, supervisor, task, "assign", {} if given is ... else {"assigned_to_id": given})
    assert "assigned_to_id" in assert_error(answer, 400, "VALIDATION_ERROR")["details"]


def test_inactive_staff_cannot_be_assigned(api, hotel, room, supervisor):
    left = StaffFactory(hotel=hotel, is_active=False)
    task = TaskFactory(room=room)
    with nothing_written():
        answer = act(api, supervisor, task, "assign", {"assigned_to_id": left.pk})
    assert "assigned_to_id" in assert_error(answer, 400)["details"]


# --- overdue ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("priority", "hours"), [("HIGH", 2), ("MED", 4), ("LOW", 8)])
@pytest.mark.parametrize("status", ["OPEN", "IN_PROGRESS", "DONE", "CANCELLED"])
def test_an_open_task_is_overdue_by_its_priority(api, room, housekeeper, priority, hours, status):
    task = task_in(status, room, priority=priority, created_at=NINE)
    client, path = api(housekeeper), url(housekeeper, f"{TASKS}{task.pk}/")
    with clock.set_to(NINE + timedelta(hours=hours)):
        assert client.get(path).json()["is_overdue"] is False
    with clock.set_to(NINE + timedelta(hours=hours, seconds=1)):
        assert client.get(path).json()["is_overdue"] is (status in ("OPEN", "IN_PROGRESS"))


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_is_a_page_newest_first(api, room, housekeeper):
    tasks = [TaskFactory(room=room, created_at=NINE + timedelta(minutes=n)) for n in range(11)]
    TaskFactory()
    client = api(housekeeper)
    first = client.get(url(housekeeper, TASKS)).json()
    assert (first["count"], first["previous"]) == (11, None)
    assert [task["id"] for task in first["results"]] == [task.pk for task in reversed(tasks[1:])]
    second = client.get(first["next"]).json()
    assert [task["id"] for task in second["results"]] == [tasks[0].pk]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"mine", "other", "done", "elsewhere"}),
        ("?status=OPEN", {"mine", "other", "elsewhere"}),
        ("?status=DONE", {"done"}),
        ("?task_type=AMENITY", {"other"}),
        ("?assigned_to=me", {"mine", "done"}),
        ("?assigned_to={colleague}", {"other"}),
        ("?assigned_to=999999999999999999", set()),
        ("?room={room}", {"mine", "other", "done"}),
        ("?room=9223372036854775807", set()),
        ("?status=OPEN&assigned_to=me&room={room}&task_type=TURNOVER", {"mine"}),
        ("?status=&task_type=&assigned_to=&room=", {"mine", "other", "done", "elsewhere"}),
    ],
)
def test_filters(api, hotel, room, housekeeper, query, found):
    colleague = StaffFactory(hotel=hotel)
    tasks = {
        "mine": TaskFactory(room=room, assigned_to=housekeeper),
        "other": TaskFactory(room=room, assigned_to=colleague, task_type="AMENITY"),
        "done": task_in("DONE", room, assigned_to=housekeeper),
        "elsewhere": TaskFactory(room=NewRoomFactory(hotel=hotel)),
    }
    query = query.format(colleague=colleague.pk, room=room.pk)
    body = api(housekeeper).get(url(housekeeper, TASKS + query)).json()
    names = {task.pk: name for name, task in tasks.items()}
    assert {names[task["id"]] for task in body["results"]} == found
    assert body["count"] == len(found)
