"""Overstays: detection, acknowledgement and extension (docs/api.md, Bookings)."""

import pytest

from operations import invariants
from room_bookings.models import BookingExtension, OverstayIncident
from room_bookings.services.overstay import flag_overstays
from tests.factories import NewRoomFactory, RoomTypeFactory
from tests.hotel.booking_api import NOW_ISO, booking_url, changed_fields, day, event_types
from tests.http import assert_error, nothing_written

pytestmark = pytest.mark.usefixtures("afternoon")

NOTHING = {"is_overstay": False, "incident_state": "MISSING", "overstay": None}


@pytest.fixture
def overdue(book, rooms):
    """An in-house guest who was due out of room 101 yesterday at eleven."""
    return book("IN_HOUSE", assigned_room=rooms[0], check_in=day(-3), check_out=day(-1))


@pytest.fixture
def stay(book, rooms):
    """A guest in room 101 until the day after tomorrow."""
    return book("IN_HOUSE", assigned_room=rooms[0])


def incident(**fields):
    """The JSON of ``overdue``'s overstay."""
    return {
        "status": "OPEN",
        "hours_overdue": 28,
        "expected_checkout_date": "2025-07-01",
        "detected_at": NOW_ISO,
        "extensions": [],
    } | fields


def test_an_overstay_is_shown_before_and_after_detection(agent_client, agent, hotel, overdue, book):
    path = booking_url(agent, overdue, "overstay/status/")
    assert agent_client.get(path).json() == {"is_overstay": True, "incident_state": "MISSING", "overstay": None}
    flag_overstays(hotel)
    assert agent_client.get(path).json() == {"is_overstay": True, "incident_state": "ACTIVE", "overstay": incident()}
    assert agent_client.get(booking_url(agent, book(), "overstay/status/")).json() == NOTHING


def test_acknowledging_an_overstay(agent_client, agent, overdue):
    path = booking_url(agent, overdue, "overstay/acknowledge/")
    answer = agent_client.post(path, {"note": "waits for a taxi"})
    assert answer.status_code == 200
    assert answer.json() == {
        "is_overstay": True,
        "incident_state": "ACTIVE",
        "overstay": incident(status="ACKED"),
        "booking_id": overdue.booking_id,
    }
    assert OverstayIncident.objects.get().note == "waits for a taxi"
    assert event_types()[-1] == "booking_overstay_acknowledged"
    with nothing_written():
        for body in (None, {"note": None}, {"note": "waits for a taxi", "dismiss": False}):
            assert agent_client.post(path, body).json() == answer.json()
    assert agent_client.post(path, {"dismiss": True}).json()["overstay"] == incident(status="DISMISSED")


def test_a_guest_who_is_not_overdue_is_no_overstay(agent_client, agent, stay, book):
    arrival = book()
    with nothing_written():
        assert_error(agent_client.post(booking_url(agent, stay, "overstay/acknowledge/")), 409, "NO_OVERSTAY")
        assert_error(
            agent_client.post(booking_url(agent, arrival, "overstay/acknowledge/")), 409, "BOOKING_NOT_CHECKED_IN"
        )


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"dismiss": "yes"}, "dismiss"),
        ({"dismiss": 1}, "dismiss"),
        ({"dismiss": None}, "dismiss"),
        ({"note": "\u0000"}, "note"),
        ({"note": "x" * 2001}, "note"),
    ],
)
def test_an_invalid_acknowledgement_is_named(agent_client, agent, overdue, body, named):
    with nothing_written():
        answer = agent_client.post(booking_url(agent, overdue, "overstay/acknowledge/"), body)
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == [named]


def test_nights_are_added_from_the_departure_on(agent_client, agent, hotel, overdue):
    flag_overstays(hotel)
    path = booking_url(agent, overdue)
    before = agent_client.get(path).json()
    answer = agent_client.post(path + "overstay/extend/", {"add_nights": "3"})
    assert answer.status_code == 200
    assert answer["ETag"] == '"2"'
    body = answer.json()
    booking = body.pop("booking")
    extension = {"old_checkout_date": "2025-07-01", "new_checkout_date": "2025-07-04", "nights": 3}
    assert body == {
        "message": f"The stay of booking {overdue.booking_id} now ends on 2025-07-04.",
        "is_overstay": False,
        "incident_state": "ACTIVE",
        "overstay": incident(status="RESOLVED", extensions=[extension | {"created_at": NOW_ISO}]),
    }
    assert booking == agent_client.get(path).json()
    assert changed_fields(before, booking) == {
        "check_out": "2025-07-04",
        "nights": 5,
        "checkout_deadline_at": "2025-07-04T10:00:00Z",
        "overstay_flagged_at": None,
        "overstay_minutes": 0,
        "overstay_risk_level": "OK",
        "is_overstay": False,
        "version": 2,
    }
    assert event_types()[-1] == "booking_overstay_extended"
    assert invariants.violations() == []
    status = agent_client.get(path + "overstay/status/").json()
    assert status == {key: body[key] for key in status}


def test_extending_a_stay_to_a_date(agent_client, agent, stay):
    path = booking_url(agent, stay, "overstay/extend/")
    answer = agent_client.post(path, {"new_checkout_date": str(day(30)), "add_nights": None})
    assert answer.json()["booking"]["check_out"] == "2025-08-01"
    assert BookingExtension.objects.get().staff == agent
    with nothing_written():
        again = agent_client.post(path, {"new_checkout_date": str(day(30))})
    assert list(assert_error(again, 400)["details"]) == ["new_checkout_date"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (None, "add_nights"),
        ({}, "add_nights"),
        ({"add_nights": None, "new_checkout_date": None}, "add_nights"),
        ({"add_nights": 1, "new_checkout_date": "2025-07-05"}, "add_nights"),
        ({"add_nights": 0}, "add_nights"),
        ({"add_nights": 15}, "add_nights"),
        ({"add_nights": -1}, "add_nights"),
        ({"add_nights": 1.5}, "add_nights"),
        ({"add_nights": True}, "add_nights"),
        ({"add_nights": "\u0000"}, "add_nights"),
        ({"new_checkout_date": "soon"}, "new_checkout_date"),
        ({"new_checkout_date": "2025-07-04"}, "new_checkout_date"),
        ({"new_checkout_date": "2026-07-03"}, "new_checkout_date"),
        ({"new_checkout_date": "2101-01-01"}, "new_checkout_date"),
    ],
)
def test_an_invalid_extension_is_named(agent_client, agent, stay, body, named):
    with nothing_written():
        answer = agent_client.post(booking_url(agent, stay, "overstay/extend/"), body)
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == [named]


def test_a_conflict_lists_the_next_booking_and_free_rooms(agent_client, agent, hotel, stay, book, rooms):
    next_guest = book(assigned_room=rooms[0], check_in=day(3), check_out=day(5))
    book(assigned_room=rooms[1], check_in=day(1), check_out=day(2))
    suite = RoomTypeFactory(hotel=hotel, name="Suite")
    NewRoomFactory(hotel=hotel, room_type=suite, room_number=100)
    path = booking_url(agent, stay, "overstay/extend/")
    with nothing_written():
        body = assert_error(agent_client.post(path, {"add_nights": 2}), 409, "ROOM_OVERLAP_CONFLICT")
    assert body["conflicts"] == [
        {
            "booking_id": next_guest.booking_id,
            "room_number": 101,
            "start_date": "2025-07-05",
            "end_date": "2025-07-07",
        }
    ]
    assert [{**room, "room_id": None} for room in body["suggested_rooms"]] == [
        {"room_id": None, "room_number": 103, "room_type": "Standard"},
        {"room_id": None, "room_number": 104, "room_type": "Standard"},
        {"room_id": None, "room_number": 100, "room_type": "Suite"},
    ]
    assert agent_client.post(path, {"add_nights": 1}).status_code == 200


@pytest.mark.parametrize(
    ("status", "code"),
    [("CONFIRMED", "BOOKING_NOT_CHECKED_IN"), ("COMPLETED", "BOOKING_ALREADY_CHECKED_OUT")],
)
def test_only_in_house_stays_can_be_extended(agent_client, agent, book, status, code):
    booking = book(status)
    with nothing_written():
        answer = agent_client.post(booking_url(agent, booking, "overstay/extend/"), {"add_nights": 1})
    assert_error(answer, 409, code)
