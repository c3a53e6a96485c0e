"""The migration that closes tasks left open by the previous release, so that an old database keeps every rule."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection

from common import clock
from housekeeping.models import HousekeepingTask, TaskStatus
from housekeeping.services import set_room_status
from operations import invariants
from tests.factories import HotelFactory, NewRoomFactory, StaffFactory, TaskFactory, booking_in, room_in

pytestmark = pytest.mark.django_db

migration = import_module("housekeeping.migrations.0004_tasks_left_behind")
NINE = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)
TEN = NINE + timedelta(hours=1)


def run_migration() -> None:
    migration.put_right(None, SimpleNamespace(connection=connection))


def clean(hotel, moment: datetime):
    with clock.set_to(moment):
        return room_in("CLEANED_UNINSPECTED", hotel=hotel)


def test_a_migrated_database_keeps_every_rule():
    hotel = HotelFactory()
    clerk, room = StaffFactory(hotel=hotel), clean(hotel, TEN)
    gone, here, cancelled = (
        booking_in(
            status, hotel=hotel, **({"assigned_room": NewRoomFactory(hotel=hotel)} if status == "IN_HOUSE" else {})
        )
        for status in ("COMPLETED", "IN_HOUSE", "CANCELLED")
    )
    day = NINE.date()
    left = {
        "turnover": TaskFactory(room=room, booking=gone, created_at=NINE),
        "in progress": TaskFactory(room=room, booking=gone, created_at=NINE, status="IN_PROGRESS", started_at=NINE),
        "moved away": TaskFactory(room=room, booking=here, task_type="STAYOVER", for_date=day - timedelta(days=2)),
        "gone": TaskFactory(room=room, booking=gone, task_type="STAYOVER", for_date=day - timedelta(days=1)),
        "request of a guest who left": TaskFactory(room=room, booking=gone, task_type="AMENITY"),
        "request of a guest who will not arrive": TaskFactory(room=room, booking=cancelled, task_type="DEEP_CLEAN"),
    }
    kept = {
        "requested for a clean room": TaskFactory(room=room, created_by=clerk, created_at=TEN + timedelta(minutes=1)),
        "dirty": TaskFactory(room=room_in("CHECKOUT_DIRTY", hotel=hotel), booking=gone, created_at=NINE),
        "stays": TaskFactory(room=here.assigned_room, booking=here, task_type="STAYOVER", for_date=day),
        "of the room": TaskFactory(room=room, booking=gone, task_type="DEEP_CLEAN"),
        "of nobody": TaskFactory(room=room, task_type="AMENITY"),
    }
    assert {violation.rule for violation in invariants.violations()} == {"turnovers", "stayovers", "tasks_of_guests"}
    run_migration()
    assert invariants.violations() == []
    tasks = {name: HousekeepingTask.objects.get(pk=task.pk) for name, task in left.items()}
    assert {name: task.status for name, task in tasks.items()} == {
        "turnover": "DONE",
        "in progress": "DONE",
        "moved away": "CANCELLED",
        "gone": "CANCELLED",
        "request of a guest who left": "CANCELLED",
        "request of a guest who will not arrive": "CANCELLED",
    }
    assert [(tasks[name].started_at, tasks[name].completed_at) for name in ("turnover", "in progress")] == [
        (TEN, TEN),
        (NINE, TEN),
    ]
    assert all(HousekeepingTask.objects.get(pk=task.pk).status == TaskStatus.OPEN for task in kept.values())
    before = list(HousekeepingTask.objects.order_by("pk").values())
    run_migration()
    assert list(HousekeepingTask.objects.order_by("pk").values()) == before


def test_many_tasks_are_migrated_in_batches(monkeypatch):
    monkeypatch.setattr(migration, "BATCH", 2)
    room = clean(HotelFactory(), TEN)
    for _ in range(5):
        TaskFactory(room=room, created_at=NINE)
    run_migration()
    assert set(HousekeepingTask.objects.values_list("status", flat=True)) == {"DONE"}


def test_a_room_cleaned_before_the_task_was_opened_is_unchanged():
    room = clean(HotelFactory(), NINE)
    task = TaskFactory(room=room, created_at=TEN)
    run_migration()
    task.refresh_from_db()
    assert task.status == "OPEN"
    set_room_status(room=room, to_status="READY_FOR_GUEST", source="SYSTEM")
    task.refresh_from_db()
    assert task.status == "DONE"
