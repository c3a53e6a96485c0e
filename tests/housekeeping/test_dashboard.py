"""GET housekeeping/dashboard/ (docs/api.md, Housekeeping)."""

from datetime import UTC, datetime, timedelta

from common import clock
from hotel import rights
from housekeeping.models import TaskStatus
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory, StaffFactory, TaskFactory, room_in

STATUSES = {
    "OCCUPIED",
    "CHECKOUT_DIRTY",
    "CLEANING_IN_PROGRESS",
    "CLEANED_UNINSPECTED",
    "READY_FOR_GUEST",
    "MAINTENANCE_REQUIRED",
    "OUT_OF_ORDER",
}
NINE = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)


def dashboard(api, staff):
    answer = api(staff).get(url(staff, "housekeeping/dashboard/"))
    assert answer.status_code == 200
    return answer.json()


def test_the_dashboard_of_an_empty_hotel(api, housekeeper):
    assert dashboard(api, housekeeper) == {
        "counts": dict.fromkeys(STATUSES, 0),
        "rooms_by_status": {status: [] for status in STATUSES},
        "my_open_tasks": [],
        "open_tasks": [],
        "total_rooms": 0,
    }


def test_rooms_in_service_are_counted_and_shown_by_status(api, hotel, housekeeper):
    for number, status in enumerate(sorted(STATUSES), start=101):
        room_in(status, hotel=hotel, room_number=number)
    room_in("CHECKOUT_DIRTY", hotel=hotel, room_number=99)
    NewRoomFactory(hotel=hotel, is_active=False)
    room_in("OCCUPIED", hotel=HotelFactory())
    body = dashboard(api, housekeeper)
    assert body["counts"] == {**dict.fromkeys(STATUSES, 1), "CHECKOUT_DIRTY": 2}
    assert body["total_rooms"] == 8
    assert [room["room_number"] for room in body["rooms_by_status"]["CHECKOUT_DIRTY"]] == [99, 101]
    shown = api(housekeeper).get(url(housekeeper, "room-management/101/")).json()
    assert body["rooms_by_status"]["CHECKOUT_DIRTY"][1] == shown  # one snapshot, the same everywhere


def test_open_tasks_are_shown_and_the_callers_also_separately(api, hotel, housekeeper):
    room = NewRoomFactory(hotel=hotel)
    with clock.set_to(NINE):
        nobodys = TaskFactory(room=room)
        mine = TaskFactory(room=room, assigned_to=housekeeper, status=TaskStatus.IN_PROGRESS, started_at=NINE)
        TaskFactory(room=room, assigned_to=housekeeper, status=TaskStatus.DONE, started_at=NINE, completed_at=NINE)
        TaskFactory(room=room, assigned_to=housekeeper, status=TaskStatus.CANCELLED, cancelled_at=NINE)
        TaskFactory(assigned_to=StaffFactory(hotel=(other := HotelFactory())), room=NewRoomFactory(hotel=other))
    with clock.set_to(NINE + timedelta(hours=5)):
        body = dashboard(api, housekeeper)
    assert [task["id"] for task in body["open_tasks"]] == [mine.pk, nobodys.pk]
    assert [task["id"] for task in body["my_open_tasks"]] == [mine.pk]
    assert [task["is_overdue"] for task in body["open_tasks"]] == [True, True]


def test_a_front_desk_agent_sees_the_dashboard_with_its_guests(api, hotel, agent):
    room_in("OCCUPIED", hotel=hotel)
    assert dashboard(api, agent)["rooms_by_status"]["OCCUPIED"][0]["primary_guest"] == {
        "first_name": "Ada",
        "last_name": "Lovelace",
    }


def test_another_hotels_dashboard_excludes_it(api, hotel):
    room_in("OCCUPIED", hotel=hotel)
    TaskFactory(room=NewRoomFactory(hotel=hotel))
    stranger = StaffFactory(role=rights.HOTEL_MANAGER)
    assert dashboard(api, stranger)["total_rooms"] == 0
    assert dashboard(api, stranger)["open_tasks"] == []
