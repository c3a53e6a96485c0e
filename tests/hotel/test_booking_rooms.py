"""Room assignment, check-in, check-out and room moves (docs/api.md, Bookings)."""

from datetime import timedelta

import pytest

from common import clock
from hotel.models import Hotel
from housekeeping.models import HousekeepingTask, RoomStatusEvent, Source
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from operations import invariants
from room_bookings.models import BookingChange, Overbooking, RoomBooking
from rooms.models import Room
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory
from tests.hotel.booking_api import NOW, NOW_ISO, booking_url, changed_fields, day, event_types
from tests.http import assert_error, nothing_written

pytestmark = pytest.mark.usefixtures("afternoon")

NO_IDS = ["x", 0, -1, 1.5, True, [], {}, 10**30, "\u0000", ""]


@pytest.fixture
def office_manager_client(api, office_manager):
    """An API client signed in as the front office manager."""
    return api(office_manager)


def set_status(room, status, source=Source.SYSTEM):
    set_room_status(room=room, to_status=status, source=source)


def status_of(room) -> str:
    return Room.objects.get(pk=room.pk).room_status


def shown(room, **fields):
    """The room's JSON in a booking's detail."""
    return {
        "id": room.pk,
        "room_number": room.room_number,
        "room_type_name": "Standard",
        "room_status": "READY_FOR_GUEST",
        "is_bookable": True,
    } | fields


# --- available rooms --------------------------------------------------------------------------------------------------


def test_available_rooms_exclude_the_assigned_room(agent_client, agent, book, rooms):
    set_status(rooms[2], "CHECKOUT_DIRTY")
    set_status(rooms[3], "OUT_OF_ORDER")
    booking = book(assigned_room=rooms[0])
    answer = agent_client.get(booking_url(agent, booking, "available-rooms/"))
    assert answer.status_code == 200
    assert answer.json() == {
        "available_rooms": [
            {
                "id": rooms[1].pk,
                "room_number": 102,
                "room_type": "Standard",
                "room_status": "READY_FOR_GUEST",
                "is_bookable": True,
            },
            {
                "id": rooms[2].pk,
                "room_number": 103,
                "room_type": "Standard",
                "room_status": "CHECKOUT_DIRTY",
                "is_bookable": False,
            },
        ]
    }


@pytest.mark.parametrize(
    "status",
    ["PENDING_PAYMENT", "PENDING_APPROVAL", "IN_HOUSE", "COMPLETED", "DECLINED", "CANCELLED", "CANCELLED_DRAFT",
     "EXPIRED", "NO_SHOW"],
)  # fmt: skip
def test_available_rooms_and_overstay_are_200_in_every_status(agent_client, agent, book, rooms, status):
    booking = book(status, **({"assigned_room": rooms[0]} if status == "IN_HOUSE" else {}))
    for path in ("available-rooms/", "overstay/status/", "", "party/"):
        assert agent_client.get(booking_url(agent, booking, path)).status_code == 200


# --- assign, unassign -------------------------------------------------------------------------------------------------


def test_assigning_a_room(agent_client, agent, book, rooms):
    set_status(rooms[0], "CHECKOUT_DIRTY")
    booking = book()
    path = booking_url(agent, booking)
    before = agent_client.get(path).json()
    answer = agent_client.post(
        path + "safe-assign-room/", {"room_id": str(rooms[0].pk), "assignment_notes": "quiet side"}
    )
    assert answer.status_code == 200
    assert answer["ETag"] == '"1"'
    assert answer.json() == agent_client.get(path).json()
    assert changed_fields(before, answer.json()) == {
        "assigned_room": {"id": rooms[0].pk, "room_number": 101},
        "room": shown(rooms[0], room_status="CHECKOUT_DIRTY", is_bookable=False),
        "room_number": 101,
        "assigned_room_number": 101,
        "room_assigned_at": NOW_ISO,
        "assignment_notes": "quiet side",
        "flags": before["flags"] | {"can_unassign_room": True},
        "version": 1,
    }
    assert event_types() == ["room_updated", "booking_updated", "booking_room_assigned"]
    with nothing_written():
        again = agent_client.post(path + "safe-assign-room/", {"room_id": rooms[0].pk, "notes": "quiet side"})
        assert again.json() == answer.json()
    other = agent_client.post(path + "safe-assign-room/", {"room_id": rooms[1].pk, "notes": "view"}).json()
    assert (other["room_number"], other["assignment_notes"]) == (102, "view")


def test_another_hotels_room_cannot_be_assigned(agent_client, agent, book):
    booking = book()
    theirs = NewRoomFactory(hotel=HotelFactory(slug="other"))
    for room_id in (theirs.pk, 123_456_789, 2**63 - 1):
        with nothing_written():
            answer = agent_client.post(booking_url(agent, booking, "safe-assign-room/"), {"room_id": room_id})
        assert assert_error(answer, 404, "ROOM_NOT_FOUND")["message"].startswith("Room not found")


def test_only_an_active_room_of_the_booked_type_can_be_assigned(agent_client, agent, book, hotel, rooms):
    booking = book()
    path = booking_url(agent, booking, "safe-assign-room/")
    suite = NewRoomFactory(hotel=hotel, room_type=RoomTypeFactory(hotel=hotel), room_number=901)
    set_status(rooms[0], "OUT_OF_ORDER")
    Room.objects.filter(pk=rooms[1].pk).update(is_active=False)
    with nothing_written():
        assert_error(agent_client.post(path, {"room_id": suite.pk}), 400, "ROOM_TYPE_MISMATCH")
        assert_error(agent_client.post(path, {"room_id": rooms[0].pk}), 409, "ROOM_NOT_BOOKABLE")
        assert_error(agent_client.post(path, {"room_id": rooms[1].pk}), 409, "ROOM_NOT_BOOKABLE")


def test_a_room_with_an_overlapping_booking_cannot_be_assigned(agent_client, agent, book, rooms):
    other = book(assigned_room=rooms[0], check_in=day(1), check_out=day(3))
    overdue = book("IN_HOUSE", assigned_room=rooms[1], check_in=day(-3), check_out=day(-1))
    booking = book()
    path = booking_url(agent, booking, "safe-assign-room/")
    with nothing_written():
        body = assert_error(agent_client.post(path, {"room_id": rooms[0].pk}), 409, "ROOM_OVERLAP_CONFLICT")
        late = assert_error(agent_client.post(path, {"room_id": rooms[1].pk}), 409, "ROOM_OVERLAP_CONFLICT")
    assert [conflict["booking_id"] for conflict in body["details"]["conflicts"]] == [other.booking_id]
    assert [conflict["booking_id"] for conflict in late["details"]["conflicts"]] == [overdue.booking_id]


def test_a_hotel_can_require_every_adults_name(agent_client, agent, book, rooms):
    booking = book(adults=2, children=2)
    path = booking_url(agent, booking, "safe-assign-room/")
    Hotel.objects.update(require_complete_party=True)
    with nothing_written():
        body = assert_error(agent_client.post(path, {"room_id": rooms[0].pk}), 400, "PARTY_INCOMPLETE")
    assert body["details"] == {"party_missing_count": 1}
    named = [{"first_name": "Charles", "last_name": "Babbage"}]
    assert agent_client.put(booking_url(agent, booking, "party/companions/"), {"companions": named}).status_code == 200
    assert agent_client.post(path, {"room_id": rooms[0].pk}).status_code == 200


ENDED = ("COMPLETED", "DECLINED", "CANCELLED", "EXPIRED", "NO_SHOW")


def test_only_a_confirmed_booking_gets_a_room(agent_client, agent, book, rooms):
    body = {"room_id": rooms[1].pk}
    stay = book("IN_HOUSE", assigned_room=rooms[0])
    with nothing_written():
        assert_error(
            agent_client.post(booking_url(agent, stay, "safe-assign-room/"), body), 409, "BOOKING_ALREADY_CHECKED_IN"
        )
    for status in ("PENDING_APPROVAL", *ENDED):
        booking = book(status)
        with nothing_written():
            assert_error(
                agent_client.post(booking_url(agent, booking, "safe-assign-room/"), body), 409, "BOOKING_NOT_ELIGIBLE"
            )


def test_an_in_house_guests_room_cannot_be_unassigned(agent_client, agent, book, rooms):
    stay = book("IN_HOUSE", assigned_room=rooms[0])
    with nothing_written():
        assert_error(agent_client.post(booking_url(agent, stay, "unassign-room/")), 409, "BOOKING_ALREADY_CHECKED_IN")


@pytest.mark.parametrize("room_id", [*NO_IDS, None])
def test_an_invalid_room_id_is_named(agent_client, agent, book, rooms, room_id):
    booking, stay = book(), book("IN_HOUSE", assigned_room=rooms[0])
    with nothing_written():
        answer = agent_client.post(booking_url(agent, booking, "safe-assign-room/"), {"room_id": room_id})
        assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == ["room_id"]
        answer = agent_client.post(booking_url(agent, stay, "move-room/"), {"to_room_id": room_id, "reason": "x"})
        assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == ["to_room_id"]


def test_unassigning_a_room(agent_client, agent, book, rooms):
    booking = book(assigned_room=rooms[0])
    path = booking_url(agent, booking)
    before = agent_client.get(path).json()
    answer = agent_client.post(path + "unassign-room/")
    assert answer.status_code == 200
    assert answer.json() == agent_client.get(path).json()
    assert changed_fields(before, answer.json()) == {
        "assigned_room": None,
        "room": None,
        "room_number": None,
        "assigned_room_number": None,
        "room_assigned_at": None,
        "flags": before["flags"] | {"can_unassign_room": False},
        "version": 1,
    }
    with nothing_written():
        assert agent_client.post(path + "unassign-room/").json() == answer.json()


# --- check-in ---------------------------------------------------------------------------------------------------------


def test_check_in(agent_client, agent, book, rooms):
    booking = book(assigned_room=rooms[0])
    path = booking_url(agent, booking)
    before = agent_client.get(path).json()
    answer = agent_client.post(path + "check-in/")
    assert answer.status_code == 200
    assert answer["ETag"] == '"1"'
    assert answer.json() == agent_client.get(path).json()
    assert changed_fields(before, answer.json()) == {
        "status": "IN_HOUSE",
        "checked_in_at": NOW_ISO,
        "room": shown(rooms[0], room_status="OCCUPIED", is_bookable=False),
        "flags": {
            "is_checked_in": True,
            "can_check_in": False,
            "can_check_out": True,
            "can_assign_room": False,
            "can_unassign_room": False,
            "can_move_room": True,
            "can_cancel": True,
            "can_edit_party": True,
        },
        "version": 1,
    }
    [audit] = RoomStatusEvent.objects.all()
    assert (audit.to_status, audit.source, audit.changed_by) == ("OCCUPIED", "FRONT_DESK", agent)
    assert event_types() == ["room_updated", "room_occupancy_updated", "booking_checked_in", "booking_checked_in"]
    assert invariants.violations() == []
    with nothing_written():
        assert agent_client.post(path + "check-in/", {"room_id": rooms[1].pk}).json() == answer.json()


def test_check_in_with_a_room_id_assigns_the_room(agent_client, agent, book, rooms):
    booking = book()
    answer = agent_client.post(booking_url(agent, booking, "check-in/"), {"room_id": str(rooms[1].pk)})
    assert answer.status_code == 200
    assert answer.json() == agent_client.get(booking_url(agent, booking)).json()
    assert (answer.json()["status"], answer.json()["room_number"]) == ("IN_HOUSE", 102)
    assert event_types() == ["room_updated", "room_occupancy_updated", "booking_checked_in", "booking_checked_in"]


def test_check_in_requires_a_room(agent_client, agent, book):
    booking = book()
    for body in (None, {}, {"room_id": None}):
        with nothing_written():
            assert_error(agent_client.post(booking_url(agent, booking, "check-in/"), body), 409, "BOOKING_NOT_ELIGIBLE")


@pytest.mark.parametrize("status", ["PENDING_APPROVAL", "COMPLETED", "DECLINED", "CANCELLED", "EXPIRED", "NO_SHOW"])
def test_only_a_confirmed_booking_can_check_in(agent_client, agent, book, rooms, status):
    booking = book(status)
    with nothing_written():
        answer = agent_client.post(booking_url(agent, booking, "check-in/"), {"room_id": rooms[0].pk})
    assert_error(answer, 409, "BOOKING_NOT_ELIGIBLE")


@pytest.mark.parametrize("status", ["CHECKOUT_DIRTY", "CLEANED_UNINSPECTED", "MAINTENANCE_REQUIRED"])
def test_check_in_requires_a_ready_room(agent_client, office_manager_client, agent, book, rooms, status):
    booking = book(assigned_room=rooms[0])
    if status == "CLEANED_UNINSPECTED":
        set_status(rooms[0], "CHECKOUT_DIRTY")
    set_status(rooms[0], status)
    with nothing_written():
        for client in (agent_client, office_manager_client):
            answer = client.post(booking_url(agent, booking, "check-in/"), {"override_reason": "guest insists"})
            assert assert_error(answer, 409, "ROOM_NOT_READY")["message"].startswith("Room not ready")


@pytest.mark.parametrize(
    ("check_in", "check_out", "hour", "code"),
    [
        (1, 3, 14, "CHECKIN_WRONG_DATE"),
        (0, 2, 6, "CHECKIN_TOO_EARLY"),  # seven in Dublin
        (-2, 0, 14, "CHECKIN_TOO_LATE"),
    ],
)
def test_check_in_outside_the_window_requires_a_supervisor_and_a_reason(
    agent_client, office_manager_client, agent, book, rooms, check_in, check_out, hour, code
):
    booking = book(assigned_room=rooms[0], check_in=day(check_in), check_out=day(check_out))
    path = booking_url(agent, booking, "check-in/")
    with clock.set_to(NOW.replace(hour=hour)):
        with nothing_written():
            assert_error(agent_client.post(path), 409, code)
            assert_error(agent_client.post(path, {"override_reason": "friend of the house"}), 409, code)
            assert_error(office_manager_client.post(path), 409, code)
            assert_error(office_manager_client.post(path, {"override_reason": "  "}), 409, code)
        assert (
            office_manager_client.post(path, {"override_reason": "friend of the house"}).json()["status"] == "IN_HOUSE"
        )
    assert BookingChange.objects.get().reason == "friend of the house"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        *[({"room_id": value}, "room_id") for value in NO_IDS],
        ({"override_reason": "\u0000"}, "override_reason"),
        ({"override_reason": "x" * 2001}, "override_reason"),
    ],
)
def test_an_invalid_check_in_is_named(agent_client, agent, book, rooms, body, named):
    booking = book(assigned_room=rooms[0])
    with nothing_written():
        answer = agent_client.post(booking_url(agent, booking, "check-in/"), body)
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == [named]


def test_a_check_in_can_be_undone_on_the_same_day(office_manager_client, agent, book, rooms):
    booking = book(assigned_room=rooms[0])
    path = booking_url(agent, booking)
    before = office_manager_client.get(path).json()
    assert office_manager_client.post(path + "check-in/").status_code == 200
    answer = office_manager_client.post(path + "undo-check-in/", {"reason": "wrong guest"})
    assert answer.status_code == 200
    assert answer.json() == office_manager_client.get(path).json()
    assert changed_fields(before, answer.json()) == {
        "room": shown(rooms[0], room_status="CHECKOUT_DIRTY", is_bookable=False),
        "version": 2,
    }
    assert event_types()[-3:] == ["room_updated", "room_occupancy_updated", "booking_updated"]
    assert invariants.violations() == []
    with nothing_written():
        assert_error(
            office_manager_client.post(path + "undo-check-in/", {"reason": "x"}), 409, "BOOKING_NOT_CHECKED_IN"
        )


def test_yesterdays_check_in_cannot_be_undone(office_manager_client, agent, book, rooms):
    stay = book("IN_HOUSE", assigned_room=rooms[0], check_in=day(-1), checked_in_at=NOW - timedelta(days=1))
    with nothing_written():
        answer = office_manager_client.post(booking_url(agent, stay, "undo-check-in/"), {"reason": "wrong guest"})
    assert_error(answer, 409, "CHECKIN_TOO_LONG_AGO")


# --- check-out --------------------------------------------------------------------------------------------------------


def test_check_out(agent_client, agent, book, rooms):
    stay = book("IN_HOUSE", assigned_room=rooms[0], check_in=day(-1), check_out=day(0))
    path = booking_url(agent, stay)
    before = agent_client.get(path).json()
    assert (before["overstay_risk_level"], before["overstay_minutes"]) == ("CRITICAL", 240)
    answer = agent_client.post(path + "check-out/")
    assert answer.status_code == 200
    assert answer["ETag"] == '"1"'
    assert answer.json() == agent_client.get(path).json()
    assert changed_fields(before, answer.json()) == {
        "status": "COMPLETED",
        "checked_out_at": NOW_ISO,
        "is_overstay": False,
        "overstay_minutes": 0,
        "overstay_risk_level": "OK",
        "room": shown(rooms[0], room_status="CHECKOUT_DIRTY", is_bookable=False),
        "flags": dict.fromkeys(before["flags"], False),
        "version": 1,
    }
    audit = RoomStatusEvent.objects.latest("pk")
    assert (audit.to_status, audit.source, audit.changed_by) == ("CHECKOUT_DIRTY", "SYSTEM", agent)
    assert HousekeepingTask.objects.get().task_type == "TURNOVER"
    assert event_types()[1:] == ["room_updated", "room_occupancy_updated", "booking_checked_out", "booking_checked_out"]
    assert invariants.violations() == []
    with nothing_written():
        assert agent_client.post(path + "check-out/").json() == answer.json()


def test_a_fault_survives_check_out(agent_client, agent, manager, book, rooms):
    stay = book("IN_HOUSE", assigned_room=rooms[0])
    flag_maintenance(room=rooms[0], staff=manager, note="shower drips")
    answer = agent_client.post(booking_url(agent, stay, "check-out/"))
    assert answer.status_code == 200
    room = Room.objects.get(pk=rooms[0].pk)
    assert room.room_status == "CHECKOUT_DIRTY"
    assert room.maintenance_required
    assert "shower drips" in room.maintenance_notes


@pytest.mark.parametrize("status", ["PENDING_APPROVAL", "CONFIRMED", "DECLINED", "CANCELLED", "EXPIRED", "NO_SHOW"])
def test_only_in_house_guests_can_check_out_or_move(agent_client, agent, book, rooms, status):
    booking = book(status)
    with nothing_written():
        assert_error(agent_client.post(booking_url(agent, booking, "check-out/")), 409, "BOOKING_NOT_CHECKED_IN")
        answer = agent_client.post(
            booking_url(agent, booking, "move-room/"), {"to_room_id": rooms[0].pk, "reason": "noise"}
        )
        assert_error(answer, 409, "BOOKING_NOT_CHECKED_IN")


# --- move -------------------------------------------------------------------------------------------------------------


def test_moving_a_guest(agent_client, agent, book, rooms):
    stay = book("IN_HOUSE", assigned_room=rooms[0])
    path = booking_url(agent, stay)
    before = agent_client.get(path).json()
    answer = agent_client.post(
        path + "move-room/", {"to_room_id": str(rooms[1].pk), "reason": "noise", "notes": "by the lift"}
    )
    assert answer.status_code == 200
    assert answer["ETag"] == '"1"'
    assert answer.json() == agent_client.get(path).json()
    assert changed_fields(before, answer.json()) == {
        "assigned_room": {"id": rooms[1].pk, "room_number": 102},
        "room": shown(rooms[1], room_status="OCCUPIED", is_bookable=False),
        "room_number": 102,
        "assigned_room_number": 102,
        "room_moved_at": NOW_ISO,
        "assignment_notes": "by the lift",
        "version": 1,
    }
    assert [status_of(room) for room in rooms[:2]] == ["CHECKOUT_DIRTY", "OCCUPIED"]
    assert (change := BookingChange.objects.get()).reason == "noise\nby the lift"
    assert (change.from_room, change.to_room, change.is_upgrade) == (rooms[0], rooms[1], False)
    assert event_types()[1:] == [
        *["room_updated"] * 2,
        *["room_occupancy_updated"] * 2,
        "booking_updated",
        "booking_room_moved",
    ]
    assert invariants.violations() == []
    with nothing_written():
        again = agent_client.post(path + "move-room/", {"to_room_id": rooms[1].pk, "reason": "noise"})
        assert again.json() == answer.json()


def test_a_better_room_is_an_upgrade(agent_client, agent, book, hotel, rooms):
    stay = book("IN_HOUSE", assigned_room=rooms[0])
    suite = NewRoomFactory(hotel=hotel, room_type=RoomTypeFactory(hotel=hotel, name="Suite"), room_number=901)
    answer = agent_client.post(booking_url(agent, stay, "move-room/"), {"to_room_id": suite.pk, "reason": "birthday"})
    assert answer.json()["room"]["room_type_name"] == "Suite"
    assert answer.json()["room_type_name"] == "Standard"
    assert BookingChange.objects.get().is_upgrade


def test_a_completed_stay_cannot_move(agent_client, agent, book, rooms):
    gone = book("COMPLETED", assigned_room=rooms[0])
    with nothing_written():
        answer = agent_client.post(
            booking_url(agent, gone, "move-room/"), {"to_room_id": rooms[1].pk, "reason": "noise"}
        )
    assert_error(answer, 409, "BOOKING_ALREADY_CHECKED_OUT")


def test_unsuitable_target_rooms_are_refused(agent_client, agent, book, hotel, rooms):
    stay = book("IN_HOUSE", assigned_room=rooms[0], adults=2, children=1)
    path = booking_url(agent, stay, "move-room/")
    small = NewRoomFactory(hotel=hotel, room_type=RoomTypeFactory(hotel=hotel, max_occupancy=2), room_number=201)
    large = RoomTypeFactory(hotel=hotel, max_occupancy=4)
    taken, assigned, dirty, broken = (
        NewRoomFactory(hotel=hotel, room_type=large, room_number=901 + n) for n in range(4)
    )
    book("IN_HOUSE", assigned_room=taken)
    book(assigned_room=assigned, check_in=day(1), check_out=day(4))
    set_status(dirty, "CHECKOUT_DIRTY")
    set_status(broken, "OUT_OF_ORDER")
    theirs = NewRoomFactory(hotel=HotelFactory(slug="other"))
    expected = {
        taken: (409, "ROOM_OCCUPIED"),
        assigned: (409, "ROOM_OVERLAP_CONFLICT"),
        dirty: (409, "ROOM_NOT_READY"),
        broken: (409, "ROOM_OUT_OF_ORDER"),
        small: (409, "ROOM_CAPACITY_EXCEEDED"),
        theirs: (404, "ROOM_NOT_FOUND"),
    }
    with nothing_written():
        for room, (status, code) in expected.items():
            assert_error(agent_client.post(path, {"to_room_id": room.pk, "reason": "noise"}), status, code)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "reason"),
        ({"reason": " "}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "\u0000"}, "reason"),
        ({"reason": "x" * 2001}, "reason"),
        ({"reason": "noise", "notes": "\u0000"}, "notes"),
        ({"reason": "noise", "notes": "x" * 2001}, "notes"),
    ],
)
def test_an_invalid_move_is_named(agent_client, agent, book, rooms, body, named):
    stay = book("IN_HOUSE", assigned_room=rooms[0])
    with nothing_written():
        answer = agent_client.post(booking_url(agent, stay, "move-room/"), {"to_room_id": rooms[1].pk, **body})
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == [named]


# --- supervisor overrides ---------------------------------------------------------------------------------------------


@pytest.fixture
def sold_out(book, rooms):
    """Every room is sold from tomorrow."""
    for _ in rooms:
        book(check_in=day(1), check_out=day(2))


BEYOND = [
    ("IN_HOUSE", "patch", "", {"check_out": str(day(2))}),
    ("IN_HOUSE", "post", "overstay/extend/", {"add_nights": 1}),
]


@pytest.mark.parametrize(("status", "method", "step", "body"), BEYOND)
def test_extending_in_a_sold_out_hotel_requires_a_supervisor_and_a_reason(
    agent_client, agent, office_manager_client, office_manager, book, rooms, sold_out, status, method, step, body
):
    stay = book(status, assigned_room=rooms[0], check_out=day(1))
    with nothing_written():
        for more in ({}, {"override_reason": "a regular guest"}):
            refused = getattr(agent_client, method)(booking_url(agent, stay, step), body | more)
            assert_error(refused, 409, "NO_AVAILABILITY")
        assert_error(
            getattr(office_manager_client, method)(booking_url(agent, stay, step), body), 409, "NO_AVAILABILITY"
        )
    path = booking_url(office_manager, stay, step)
    assert (
        getattr(office_manager_client, method)(path, body | {"override_reason": "a regular guest"}).status_code == 200
    )
    beyond = Overbooking.objects.get()
    assert (beyond.booking, beyond.staff, beyond.reason) == (stay, office_manager, "a regular guest")
    assert invariants.violations(now=NOW) == []


def test_unassigning_an_upgrade_in_a_sold_out_hotel_requires_a_supervisor_and_a_reason(
    agent_client, agent, office_manager_client, book, rooms, sold_out, hotel
):
    stay = book(assigned_room=NewRoomFactory(hotel=hotel), room_type=rooms[0].room_type)
    path = booking_url(agent, stay, "unassign-room/")
    with nothing_written():
        assert_error(agent_client.post(path), 409, "NO_AVAILABILITY")
        assert_error(agent_client.post(path, {"override_reason": "leak"}), 409, "NO_AVAILABILITY")
    assert office_manager_client.post(path, {"override_reason": "leak"}).status_code == 200
    assert Overbooking.objects.get().reason == "leak"


@pytest.mark.parametrize("step", ["create", "edit", "party", "assign", "check-in"])
def test_a_party_above_capacity_requires_a_supervisor_and_a_reason(
    agent_client, agent, office_manager_client, book, rooms, step
):
    """The rooms have a capacity of four."""
    stay = None if step == "create" else book(adults=5 if step in ("assign", "check-in") else 1)
    five = [{"first_name": f"Guest {n}", "last_name": "S"} for n in range(4)]
    new = {"room_type_id": rooms[0].room_type_id, "check_in": str(day(0)), "check_out": str(day(1)), "adults": 5}
    method, path, body = {
        "create": ("post", url(agent, "room-bookings/"), new | {"primary_first_name": "A", "primary_last_name": "B"}),
        "edit": ("patch", stay and booking_url(agent, stay), {"adults": 5}),
        "party": ("put", stay and booking_url(agent, stay, "party/companions/"), {"companions": five}),
        "assign": ("post", stay and booking_url(agent, stay, "safe-assign-room/"), {"room_id": rooms[0].pk}),
        "check-in": ("post", stay and booking_url(agent, stay, "check-in/"), {"room_id": rooms[0].pk}),
    }[step]
    with nothing_written():
        assert_error(getattr(office_manager_client, method)(path, body), 409, "ROOM_CAPACITY_EXCEEDED")
        assert_error(
            getattr(agent_client, method)(path, body | {"override_reason": "a cot"}), 409, "ROOM_CAPACITY_EXCEEDED"
        )
    assert getattr(office_manager_client, method)(path, body | {"override_reason": "a cot"}).status_code in (200, 201)
    assert RoomBooking.objects.get().extra_beds == 1
