"""When a room becomes clean, in any way, its open turnover is completed; assignee and times are kept."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group

from common import clock
from hotel import rights
from housekeeping import turnover
from housekeeping.models import TURNED_OVER, HousekeepingTask, Source, TaskStatus
from housekeeping.services import set_room_status, set_room_statuses
from operations import invariants
from rooms.models import RoomStatus
from rooms.selectors import room_lock
from tests.admin.every_model import admin_url, signed_in_browser
from tests.conftest import url
from tests.factories import NewRoomFactory, StaffFactory, TaskFactory, in_house, room_in
from tests.http import assert_error, nothing_written
from tests.room_bookings.small_hotel import locks_and_writes

pytestmark = pytest.mark.django_db

NINE = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)
TEN = NINE + timedelta(hours=1)
DIRTY, CLEANING, CLEANED = "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"
READY, BROKEN, OUT = "READY_FOR_GUEST", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"


@pytest.fixture(autouse=True)
def _ten():
    with clock.set_to(TEN):
        yield


def opened(room, **fields) -> HousekeepingTask:
    """A turnover opened at nine, as by a departure."""
    return TaskFactory(room=room, created_at=NINE, **fields)


def now(task: HousekeepingTask) -> tuple:
    task.refresh_from_db()
    return task.status, task.started_at, task.completed_at, task.assigned_to


# --- every way to a clean room ----------------------------------------------------------------------------------------


def by_post(path: str, **body):
    return lambda room, staff, api: api(staff).post(url(staff, path.format(room=room)), body)


def by_admin(room, staff, api):
    staff.user.is_staff = True
    staff.user.save()
    data = {"action": "change_status", "_selected_action": [room.pk], "apply": "1", "to_status": READY, "reason": "r"}
    return signed_in_browser(staff.user).post(admin_url(type(room), "changelist"), data)


def mended(room, staff, api):
    """A room that was cleaned and inspected while it waited for its repair."""
    type(room).objects.filter(pk=room.pk).update(last_cleaned_at=TEN, last_inspected_at=TEN)
    return by_post("rooms/{room.room_number}/complete-maintenance/")(room, staff, api)


WAYS = {
    "status, cleaned": (DIRTY, by_post("rooms/{room.pk}/status/", to_status=CLEANED)),
    "status, ready": (DIRTY, by_post("rooms/{room.pk}/status/", to_status=READY)),
    "status, while being cleaned": (CLEANING, by_post("rooms/{room.pk}/status/", to_status=CLEANED)),
    "status, out of order": (OUT, by_post("rooms/{room.pk}/status/", to_status=READY)),
    "mark cleaned": (CLEANING, by_post("rooms/{room.room_number}/mark-cleaned/")),
    "mark cleaned at once": (DIRTY, by_post("rooms/{room.room_number}/mark-cleaned/")),
    "inspected": (CLEANED, by_post("rooms/{room.room_number}/inspect/")),
    "mended": (BROKEN, mended),
    "overridden": (
        DIRTY,
        by_post("housekeeping/rooms/{room.pk}/manager_override/", to_status=READY, note="I saw it myself"),
    ),
    "several": (
        DIRTY,
        lambda room, staff, _: set_room_statuses(changes=[(room, CLEANED)], staff=staff, all_or_nothing=True),
    ),
    "the admin": (DIRTY, by_admin),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_turnover_is_completed_when_the_room_is_clean(api, hotel, manager, way):
    status, take = WAYS[way]
    room = room_in(status, hotel=hotel)
    task = opened(room)
    take(room, manager, api)
    room.refresh_from_db()
    assert room.room_status in TURNED_OVER
    assert now(task) == ("DONE", TEN, TEN, manager)
    assert invariants.violations() == []


@pytest.mark.parametrize("to_status", [CLEANING, BROKEN])
def test_the_turnover_stays_open_while_the_room_is_not_clean(hotel, manager, to_status):
    room = room_in(DIRTY, hotel=hotel)
    task = opened(room)
    set_room_status(room=room, to_status=to_status, staff=manager)
    assert now(task) == ("OPEN", None, None, None)


def test_a_refusal_leaves_the_turnover_open(hotel, housekeeper, api):
    room = room_in(DIRTY, hotel=hotel)
    opened(room)
    with nothing_written():
        answer = api(housekeeper).post(url(housekeeper, f"rooms/{room.pk}/status/"), {"to_status": READY})
    assert_error(answer, 403)


# --- assignee and times -----------------------------------------------------------------------------------------------


def test_assignee_and_start_are_kept(hotel, housekeeper, supervisor):
    room = room_in(CLEANING, hotel=hotel)
    began = opened(room, status=TaskStatus.IN_PROGRESS, started_at=NINE, assigned_to=housekeeper)
    given = opened(room, assigned_to=housekeeper)
    set_room_status(room=room, to_status=CLEANED, staff=StaffFactory(hotel=hotel))
    assert now(began) == ("DONE", NINE, TEN, housekeeper)
    assert now(given) == ("DONE", TEN, TEN, housekeeper)


def test_a_room_made_ready_without_a_staff_member(hotel):
    room = room_in(DIRTY, hotel=hotel)
    task = opened(room)
    set_room_status(room=room, to_status=READY, source=Source.SYSTEM)
    assert now(task) == ("DONE", TEN, TEN, None)


def test_other_tasks_and_rooms_are_unchanged(hotel, manager):
    room, other = room_in(DIRTY, hotel=hotel), room_in(DIRTY, hotel=hotel)
    kept = [opened(room, task_type=kind) for kind in ("STAYOVER", "INSPECTION", "DEEP_CLEAN", "AMENITY")]
    kept.append(opened(other))
    over = [
        opened(room, status=TaskStatus.CANCELLED, cancelled_at=NINE),
        opened(room, status=TaskStatus.DONE, started_at=NINE, completed_at=NINE),
    ]
    opened(room)
    before = {task.pk: now(task) for task in (*kept, *over)}
    set_room_status(room=room, to_status=CLEANED, staff=manager)
    assert {task.pk: now(task) for task in (*kept, *over)} == before


def test_a_turnover_opened_for_a_clean_room_waits_for_the_next_cleaning(api, hotel, supervisor):
    """It was opened by hand and stays open, even if the room is reported ready again."""
    room = room_in(READY, hotel=hotel)
    body = {"room": room.pk, "task_type": "TURNOVER", "note": "the paint smells"}
    task = HousekeepingTask.objects.get(
        pk=api(supervisor).post(url(supervisor, "housekeeping/tasks/"), body).json()["id"]
    )
    set_room_status(room=room, to_status=READY, source=Source.SYSTEM)
    assert now(task)[0] == "OPEN"
    assert invariants.violations() == []
    set_room_status(room=room, to_status=DIRTY, source=Source.SYSTEM)
    set_room_status(room=room, to_status=CLEANED, staff=supervisor)
    assert now(task) == ("DONE", TEN, TEN, supervisor)


def test_cleaning_completes_the_turnover_without_the_task_right(hotel):
    """Permission to report the room clean is enough to complete its task."""
    group = Group.objects.get(name=rights.HOUSEKEEPER)
    group.permissions.remove(*group.permissions.filter(codename__contains="task"))
    cleaner = StaffFactory(hotel=hotel)
    assert not cleaner.can("housekeeping.task_execute")
    room = room_in(DIRTY, hotel=hotel)
    task = opened(room)
    turnover.mark_cleaned(room=room, staff=cleaner)
    assert now(task) == ("DONE", TEN, TEN, cleaner)


# --- statements -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [0, 1, 3])
def test_completing_takes_one_statement_if_a_turnover_is_open(api, hotel, manager, statements, tasks):
    room = room_in(DIRTY, hotel=hotel)
    for _ in range(tasks):
        opened(room)
    client = api(manager)
    with statements() as made:
        answer = client.post(url(manager, f"rooms/{room.pk}/status/"), {"to_status": CLEANED})
    assert answer.status_code == 200
    assert len(made) == (7 if tasks else 6), made.sql()
    assert not HousekeepingTask.objects.filter(status="OPEN").exists()


@pytest.mark.parametrize("size", [2, 30])
def test_many_rooms_take_one_statement(hotel, manager, statements, size):
    rooms = [room_in(DIRTY, hotel=hotel) for _ in range(size)]
    for room in rooms[1:]:
        opened(room)
    with statements() as made:
        set_room_statuses(changes=[(room, CLEANED) for room in rooms], staff=manager, all_or_nothing=True)
    assert locks_and_writes(made.sql()) == [
        "lock Room",
        "UPDATE Room",
        "INSERT RealtimeEvent",
        "INSERT RoomStatusEvent",
        "UPDATE HousekeepingTask",
    ]
    assert set(HousekeepingTask.objects.values_list("status", flat=True)) == {"DONE"}


def test_a_locked_room_knows_whether_a_turnover_is_open(hotel):
    rooms = [NewRoomFactory(hotel=hotel) for _ in range(3)]
    opened(rooms[0])
    opened(rooms[1], status=TaskStatus.IN_PROGRESS, started_at=NINE)
    opened(rooms[1])
    opened(rooms[2], status=TaskStatus.CANCELLED, cancelled_at=NINE)
    opened(rooms[2], task_type="DEEP_CLEAN")
    says = [True, True, False]
    assert [room.has_turnover for room in room_lock([room.pk for room in rooms])] == says
    assert [room_lock([room.pk], hotel=hotel)[0].has_turnover for room in rooms] == says


def test_clean_statuses():
    assert set(TURNED_OVER) == {RoomStatus.CLEANED_UNINSPECTED, RoomStatus.READY_FOR_GUEST}


# --- tasks of guests --------------------------------------------------------------------------------------------------


def test_cleaning_does_not_complete_a_stayover(hotel, manager):
    room = room_in(BROKEN, hotel=hotel)
    in_house(room)
    task = opened(room, task_type="STAYOVER")
    turnover.complete_maintenance(room=room, staff=manager)
    assert now(task)[0] == "OPEN"
