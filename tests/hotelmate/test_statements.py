"""The number of SQL statements of each request, without savepoints: the same for small and large hotels."""

import pytest

from common import clock
from housekeeping.models import HousekeepingTask, RoomStatusEvent, Source
from housekeeping.services import set_room_statuses
from room_bookings.models import BookingGuest, BookingStatus, RoomBooking
from rooms.models import Room, RoomStatus
from tests.conftest import url
from tests.factories import NewRoomFactory, RoomTypeFactory, TaskFactory, room_in

# Sign-in, find, lock and read, update, audit row, event; the NOTIFY after the commit is not counted.
STATUS_CHANGE = 6
TURNOVER_STEP = STATUS_CHANGE + 1  # which decides on the room before the writer does

SIZES = pytest.mark.parametrize("size", [1, 3, 300])


def fill(hotel, staff, size: int) -> list[Room]:
    """Add rooms with a task each: a third with a guest and a companion, a third dirty, a third being cleaned."""
    room_type = RoomTypeFactory(hotel=hotel)
    Room.objects.bulk_create(Room(hotel=hotel, room_type=room_type, room_number=101 + n) for n in range(size))
    rooms = list(Room.objects.filter(hotel=hotel).order_by("pk"))
    today = clock.now().date()
    bookings = RoomBooking.objects.bulk_create(
        RoomBooking(
            hotel=hotel,
            booking_id=f"BK-2026-{room.room_number}",
            status=BookingStatus.IN_HOUSE,
            room_type=room_type,
            assigned_room=room,
            check_in=today,
            check_out=today,
            checked_in_at=clock.now(),
            primary_first_name="Ada",
            primary_last_name="Lovelace",
        )
        for room in rooms[::3]
    )
    BookingGuest.objects.bulk_create(BookingGuest(booking=b, first_name="C", last_name="B") for b in bookings)
    changes = [(room, RoomStatus.OCCUPIED) for room in rooms[::3]]
    changes += [(room, RoomStatus.CHECKOUT_DIRTY) for room in rooms[1::3] + rooms[2::3]]
    for step in (changes, [(room, RoomStatus.CLEANING_IN_PROGRESS) for room in rooms[1::3]]):
        set_room_statuses(changes=step, staff=staff, source=Source.SYSTEM, all_or_nothing=True)
    HousekeepingTask.objects.bulk_create(
        HousekeepingTask(hotel=hotel, room=room, task_type="TURNOVER", assigned_to=staff, created_by=staff)
        for room in rooms
    )
    return rooms


@SIZES
@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("turnover/rooms/", 2),
        ("turnover/stats/", 3),
        ("housekeeping/dashboard/", 3),
        ("room-management/", 3),
        ("room-management/?page_size=100", 3),
        ("room-management/101/", 2),
        ("room-types/", 2),
        ("housekeeping/tasks/", 3),
        ("housekeeping/tasks/?page_size=100&assigned_to=me", 3),
        ("me/", 1),
    ],
)
def test_reading_takes_the_same_statements_at_any_size(api, hotel, manager, statements, size, path, made):
    """One of the statements authenticates the caller."""
    fill(hotel, manager, size)
    client = api(manager)
    with statements() as counted:
        answer = client.get(url(manager, path))
    assert answer.status_code == 200
    assert len(counted) == made, counted.sql()


@SIZES
def test_a_status_change_takes_six_statements(api, hotel, manager, statements, size):
    room = fill(hotel, manager, size)[-1]
    to_status = "MAINTENANCE_REQUIRED"
    client = api(manager)
    with statements() as counted:
        answer = client.post(url(manager, f"rooms/{room.pk}/status/"), {"to_status": to_status, "note": "leak"})
    assert answer.status_code == 200
    assert len(counted) == STATUS_CHANGE, counted.sql()


@pytest.mark.parametrize(
    ("status", "action", "made"),
    [
        ("CHECKOUT_DIRTY", "start-cleaning", TURNOVER_STEP),
        ("CLEANING_IN_PROGRESS", "mark-cleaned", TURNOVER_STEP),
        ("CLEANED_UNINSPECTED", "inspect", TURNOVER_STEP),
        ("READY_FOR_GUEST", "mark-maintenance", TURNOVER_STEP),
        ("MAINTENANCE_REQUIRED", "complete-maintenance", TURNOVER_STEP),
    ],
)
def test_statements_of_turnover_actions(api, hotel, manager, statements, status, action, made):
    room = room_in(status, hotel=hotel)
    client = api(manager)
    with statements() as counted:
        assert client.post(url(manager, f"rooms/{room.room_number}/{action}/")).status_code == 200
    assert len(counted) == made, counted.sql()


def room_with_history(hotel, staff, events: int) -> Room:
    """A room that alternated between ready and dirty ``events`` times, inserted with its history as by a restore."""
    states = ["READY_FOR_GUEST", "CHECKOUT_DIRTY"]
    room = NewRoomFactory(hotel=hotel, room_status=states[events % 2], status_version=events)
    RoomStatusEvent.objects.bulk_create(
        RoomStatusEvent(
            hotel=hotel,
            room=room,
            version=version,
            from_status=states[(version - 1) % 2],
            to_status=states[version % 2],
            changed_by=staff,
            source=Source.HOUSEKEEPING,
        )
        for version in range(1, events + 1)
    )
    return room


@pytest.mark.parametrize("events", [1, 3, 300])
@pytest.mark.parametrize(("query", "made"), [("", 3), ("?limit=100", 3), ("?source=HOUSEKEEPING&limit=100", 4)])
def test_statements_of_a_history(api, hotel, manager, statements, events, query, made):
    room = room_with_history(hotel, manager, events)
    client = api(manager)
    with statements() as counted:
        answer = client.get(url(manager, f"rooms/{room.pk}/status-history/{query}"))
    assert answer.json()["total_events"] == events
    assert len(counted) == made, counted.sql()


@pytest.mark.parametrize(
    ("action", "body", "made"), [("start", None, 5), ("cancel", None, 5), ("assign", {"assigned_to_id": None}, 6)]
)
def test_statements_of_task_actions(api, hotel, manager, statements, action, body, made):
    task = TaskFactory(room=room_in("CHECKOUT_DIRTY", hotel=hotel))
    client = api(manager)
    with statements() as counted:
        assert client.post(url(manager, f"housekeeping/tasks/{task.pk}/{action}/"), body).status_code == 200
    assert len(counted) == made, counted.sql()
