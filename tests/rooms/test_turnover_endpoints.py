"""GET turnover/rooms/ and turnover/stats/, and the Room object of every response (docs/api.md, Turnover)."""

from datetime import UTC, datetime, timedelta

import pytest

from common import clock
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from rooms.models import Room
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory, in_house, room_in

STATUSES = {
    "OCCUPIED",
    "CHECKOUT_DIRTY",
    "CLEANING_IN_PROGRESS",
    "CLEANED_UNINSPECTED",
    "READY_FOR_GUEST",
    "MAINTENANCE_REQUIRED",
    "OUT_OF_ORDER",
}
DIRTY, CLEANING, CLEANED = "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"
READY, FLAG = "READY_FOR_GUEST", "MAINTENANCE_REQUIRED"
GUESTS = {"primary_guest", "companions", "guests_in_room", "current_booking"}
NINE = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)


def board(api, staff):
    answer = api(staff).get(url(staff, "turnover/rooms/"))
    assert answer.status_code == 200
    return answer.json()


def stats(api, staff):
    answer = api(staff).get(url(staff, "turnover/stats/"))
    assert answer.status_code == 200
    return answer.json()


# --- the room ---------------------------------------------------------------------------------------------------------


def test_room_has_every_documented_field(api, hotel, housekeeper, supervisor):
    room_type = RoomTypeFactory(hotel=hotel, name="Standard", code="A", max_occupancy=3, starting_price_from="95.5")
    with clock.set_to(NINE):
        room = NewRoomFactory(hotel=hotel, room_type=room_type, room_number=101)
        set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    with clock.set_to(NINE + timedelta(minutes=30)):
        set_room_status(room=room, to_status="CLEANED_UNINSPECTED", staff=housekeeper, note="extra towels")
    with clock.set_to(NINE + timedelta(minutes=40, milliseconds=5)):
        set_room_status(room=room, to_status="READY_FOR_GUEST", staff=supervisor)
    answer = api(housekeeper).get(url(housekeeper, "room-management/101/"))
    assert answer.json() == {
        "id": room.pk,
        "hotel_slug": "grand",
        "room_number": 101,
        "room_type": room_type.pk,
        "room_type_name": "Standard",
        "room_type_info": {
            "id": room_type.pk,
            "name": "Standard",
            "capacity": 3,
            "max_occupancy": 3,
            "base_rate": "95.50",
            "starting_price_from": "95.50",
        },
        "current_price": {"amount": "95.50", "currency": "EUR"},
        "floor": "1",
        "building": "",
        "section": "",
        "features": [],
        "is_accessible": False,
        "connecting_rooms": [],
        "walking_order": None,
        "credits": "1.00",
        "room_status": "READY_FOR_GUEST",
        "room_status_display": "Ready for guest",
        "is_occupied": False,
        "is_active": True,
        "is_bookable": True,
        "is_out_of_order": False,
        "maintenance_required": False,
        "maintenance_priority": None,
        "maintenance_notes": "",
        "last_cleaned_at": "2026-07-01T09:30:00Z",
        "cleaned_by_staff": housekeeper.name,
        "cleaned_by_staff_name": housekeeper.name,
        "last_inspected_at": "2026-07-01T09:40:00.005000Z",
        "inspected_by_staff": supervisor.name,
        "inspected_by_staff_name": supervisor.name,
        "turnover_notes": "extra towels",
        "status_version": 3,
        "status_changed_at": "2026-07-01T09:40:00.005000Z",
        "allowed_transitions": ["CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"],  # no guest in house
        "updated_at": "2026-07-01T09:40:00.005000Z",
        "block": None,
        "next_block": None,
    }
    assert answer["ETag"] == '"3"'


def test_room_without_a_price(api, hotel, housekeeper):
    room = NewRoomFactory(hotel=hotel, room_type=RoomTypeFactory(hotel=hotel, starting_price_from=None))
    body = api(housekeeper).get(url(housekeeper, f"room-management/{room.room_number}/")).json()
    assert body["current_price"] is None
    assert body["room_type_info"]["base_rate"] is None


@pytest.mark.parametrize("where", ["detail", "list", "board", "dashboard", "answer"])
@pytest.mark.parametrize(
    ("who", "sees"),
    [("agent", True), ("office_manager", True), ("manager", True), ("housekeeper", False), ("supervisor", False)],
)
def test_guests_are_for_staff_with_a_bookings_right(request, api, hotel, where, who, sees):
    staff = request.getfixturevalue(who)
    room = room_in("OCCUPIED", hotel=hotel)
    booking = room.bookings.get()
    companion = booking.companions.get()
    client = api(staff)
    number = room.room_number
    shown = {
        "detail": lambda: client.get(url(staff, f"room-management/{number}/")).json(),
        "list": lambda: client.get(url(staff, "room-management/")).json()["results"][0],
        "board": lambda: client.get(url(staff, "turnover/rooms/")).json()["OCCUPIED"]["rooms"][0],
        "dashboard": lambda: client.get(url(staff, "housekeeping/dashboard/")).json()["rooms_by_status"]["OCCUPIED"][0],
        "answer": lambda: client.post(url(staff, f"rooms/{number}/mark-maintenance/")).json()["room"],
    }[where]()
    assert shown["is_occupied"] is True
    assert {key: shown[key] for key in GUESTS & set(shown)} == (
        {
            "primary_guest": {"first_name": "Ada", "last_name": "Lovelace"},
            "companions": [{"id": companion.pk, "first_name": "Charles", "last_name": "Babbage"}],
            "guests_in_room": [
                {"id": 0, "first_name": "Ada", "last_name": "Lovelace"},
                {"id": companion.pk, "first_name": "Charles", "last_name": "Babbage"},
            ],
            "current_booking": {"booking_id": booking.booking_id, "check_out": booking.check_out.isoformat()},
        }
        if sees
        else {}
    )


def test_empty_room_has_no_guest_block(api, hotel, agent):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    body = api(agent).get(url(agent, f"room-management/{room.room_number}/")).json()
    assert {key: body[key] for key in GUESTS} == {
        "primary_guest": None,
        "companions": [],
        "guests_in_room": [],
        "current_booking": None,
    }


@pytest.mark.parametrize(
    ("status", "occupied", "allowed"),
    [
        ("OCCUPIED", True, [FLAG]),
        (DIRTY, False, [CLEANING, CLEANED, READY, FLAG]),
        (CLEANING, False, [CLEANED, DIRTY, READY, FLAG]),
        (CLEANED, False, [READY, CLEANING, DIRTY, FLAG]),
        (READY, False, [DIRTY, FLAG, "OUT_OF_ORDER"]),
        (READY, True, ["OCCUPIED", FLAG]),
        (FLAG, False, [DIRTY, "OUT_OF_ORDER", READY]),
        (FLAG, True, ["OCCUPIED"]),
        ("OUT_OF_ORDER", False, [DIRTY, FLAG, READY]),
    ],
)
def test_allowed_transitions_are_the_table_with_the_physical_facts(api, hotel, housekeeper, status, occupied, allowed):
    room = room_in(status, hotel=hotel)
    if occupied and status != "OCCUPIED":
        in_house(room)
    body = api(housekeeper).get(url(housekeeper, f"room-management/{room.room_number}/")).json()
    assert body["allowed_transitions"] == allowed
    assert body["is_occupied"] is occupied
    assert body["is_out_of_order"] is (status == "OUT_OF_ORDER")
    assert body["is_bookable"] is (status == "READY_FOR_GUEST")


def test_room_out_of_service_is_not_bookable(api, hotel, housekeeper):
    NewRoomFactory(hotel=hotel, room_number=101, is_active=False)
    body = api(housekeeper).get(url(housekeeper, "room-management/101/")).json()
    assert (body["is_active"], body["is_bookable"]) == (False, False)


# --- the board --------------------------------------------------------------------------------------------------------


def test_board_has_all_seven_statuses_even_without_rooms(api, housekeeper):
    body = board(api, housekeeper)
    assert set(body) == STATUSES
    assert all(column["count"] == 0 and column["rooms"] == [] for column in body.values())
    assert {status: column["label"] for status, column in body.items()} == {
        "OCCUPIED": "Occupied",
        "CHECKOUT_DIRTY": "Checkout dirty",
        "CLEANING_IN_PROGRESS": "Cleaning in progress",
        "CLEANED_UNINSPECTED": "Cleaned uninspected",
        "READY_FOR_GUEST": "Ready for guest",
        "MAINTENANCE_REQUIRED": "Maintenance required",
        "OUT_OF_ORDER": "Out of order",
    }


def test_the_board_has_each_room_under_its_status_by_number(api, hotel, housekeeper):
    for number, status in enumerate([*sorted(STATUSES), "CHECKOUT_DIRTY"], start=1):
        room_in(status, hotel=hotel, room_number=100 - number)
    room_in("CHECKOUT_DIRTY", hotel=HotelFactory())
    body = board(api, housekeeper)
    assert {status: column["count"] for status, column in body.items()} == {
        **dict.fromkeys(STATUSES, 1),
        "CHECKOUT_DIRTY": 2,
    }
    assert [room["room_number"] for room in body["CHECKOUT_DIRTY"]["rooms"]] == [92, 99]
    assert all(room["room_status"] == status for status, column in body.items() for room in column["rooms"])


# --- statistics -------------------------------------------------------------------------------------------------------


def test_stats_without_rooms(api, housekeeper):
    none = {"count": 0, "p50_minutes": None, "p90_minutes": None}
    assert stats(api, housekeeper) == {
        "counts": dict.fromkeys(STATUSES, 0),
        "total_rooms": 0,
        "bookable": 0,
        "maintenance": {"LOW": 0, "MED": 0, "HIGH": 0},
        "turn_times": {"today": none, "last_30_days": none},
        "time_in_status": [],
    }


def turn_over(room: Room, dirty_at: datetime, minutes: int, *, failed_once: bool = False) -> None:
    """Make the room dirty, and ready ``minutes`` later, optionally after a failed inspection."""
    steps = [("CHECKOUT_DIRTY", 0), ("CLEANED_UNINSPECTED", 10)]
    if failed_once:
        steps += [("CHECKOUT_DIRTY", 12), ("CLEANED_UNINSPECTED", 14)]
    for status, after in [*steps, ("READY_FOR_GUEST", minutes)]:
        with clock.set_to(dirty_at + timedelta(minutes=after)):
            set_room_status(room=room, to_status=status, source=Source.SYSTEM)


def test_turn_times_come_from_the_audit_log(api, hotel, housekeeper):
    rooms = [NewRoomFactory(hotel=hotel) for _ in range(3)]
    turn_over(rooms[0], NINE - timedelta(days=31), 500)  # too long ago for either window
    turn_over(rooms[0], NINE - timedelta(days=2), 100)
    turn_over(rooms[1], NINE - timedelta(days=2), 60)
    turn_over(rooms[0], NINE, 20)
    turn_over(rooms[1], NINE, 40, failed_once=True)  # counts from the departure, not from the failed inspection
    turn_over(rooms[2], NINE, 30)
    turn_over(NewRoomFactory(hotel=HotelFactory()), NINE, 999)
    with clock.set_to(NINE + timedelta(hours=1)):
        set_room_status(room=rooms[2], to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)  # not turned over yet
    with clock.set_to(NINE + timedelta(hours=3)):
        assert stats(api, housekeeper)["turn_times"] == {
            "today": {"count": 3, "p50_minutes": 30.0, "p90_minutes": 38.0},  # of 20, 30, 40
            "last_30_days": {"count": 5, "p50_minutes": 40.0, "p90_minutes": 84.0},  # of 20, 30, 40, 60, 100
        }


def test_today_begins_at_the_hotels_midnight(api, hotel, housekeeper):
    hotel.timezone = "America/New_York"  # four hours behind UTC in July
    hotel.save()
    room = NewRoomFactory(hotel=hotel)
    turn_over(room, datetime(2026, 7, 1, 3, 0, tzinfo=UTC), 30)  # 23:30 on June 30 in New York
    turn_over(room, datetime(2026, 7, 1, 3, 45, tzinfo=UTC), 30)  # ready at 00:15 on July 1 there
    with clock.set_to(NINE):
        times = stats(api, housekeeper)["turn_times"]
    assert (times["today"]["count"], times["last_30_days"]["count"]) == (1, 2)


def test_maintenance_does_not_end_a_turnover(api, hotel, housekeeper, manager):
    room = NewRoomFactory(hotel=hotel)
    for after, status in [
        (0, "CHECKOUT_DIRTY"),
        (10, "MAINTENANCE_REQUIRED"),
        (40, "CHECKOUT_DIRTY"),
        (70, "READY_FOR_GUEST"),
    ]:
        with clock.set_to(NINE + timedelta(minutes=after)):
            set_room_status(room=room, to_status=status, source=Source.MANAGER_OVERRIDE, staff=manager, note="as told")
    with clock.set_to(NINE + timedelta(hours=2)):
        assert stats(api, housekeeper)["turn_times"]["today"] == {"count": 1, "p50_minutes": 70.0, "p90_minutes": 70.0}


def test_stats_count_rooms_faults_and_the_time_in_each_status(api, hotel, housekeeper):
    with clock.set_to(NINE):
        ready = NewRoomFactory(hotel=hotel, room_number=101)
        dirty = room_in("CHECKOUT_DIRTY", hotel=hotel, room_number=102)
        broken = NewRoomFactory(hotel=hotel, room_number=103)
        flag_maintenance(room=broken, staff=housekeeper, priority="HIGH")
        NewRoomFactory(hotel=hotel, room_number=104, is_active=False)
        room_in("OCCUPIED", hotel=HotelFactory())
    with clock.set_to(NINE + timedelta(minutes=12, seconds=59)):
        body = stats(api, housekeeper)
    assert body["total_rooms"] == 3
    assert body["bookable"] == 1
    assert body["maintenance"] == {"LOW": 0, "MED": 0, "HIGH": 1}
    assert {status: count for status, count in body["counts"].items() if count} == {
        "READY_FOR_GUEST": 1,
        "CHECKOUT_DIRTY": 1,
        "MAINTENANCE_REQUIRED": 1,
    }
    since = "2026-07-01T09:00:00Z"
    assert body["time_in_status"] == [
        {"room_id": room.pk, "room_number": number, "room_status": status, "since": since, "minutes": 12}
        for room, number, status in [
            (ready, 101, "READY_FOR_GUEST"),
            (dirty, 102, "CHECKOUT_DIRTY"),
            (broken, 103, "MAINTENANCE_REQUIRED"),
        ]
    ]
    assert RoomStatusEvent.objects.filter(hotel=hotel).count() == 2
