"""Bulk check-in and check-out, with a result for each room (docs/api.md, Rooms)."""

import pytest
from django.contrib.auth.models import Group

from hotel import rights
from hotel.rights import permission
from housekeeping.models import HousekeepingTask, RoomStatusEvent, Source
from housekeeping.services import set_room_status
from operations import invariants
from room_bookings.models import RoomBooking
from rooms.models import Room
from tests.conftest import url
from tests.factories import HotelFactory, NewRoomFactory
from tests.hotel.booking_api import day, event_types
from tests.http import assert_error, nothing_written

pytestmark = pytest.mark.usefixtures("afternoon")


def statuses(rooms) -> list[str]:
    return [Room.objects.get(pk=room.pk).room_status for room in rooms]


@pytest.fixture
def theirs():
    return NewRoomFactory(hotel=HotelFactory(slug="other"))


# --- arrivals ---------------------------------------------------------------------------------------------------------


def test_arrivals_are_checked_in_and_each_refusal_says_why(agent_client, agent, book, rooms, theirs):
    first, second = (book(assigned_room=room) for room in rooms[:2])
    set_room_status(room=rooms[1], to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    book(assigned_room=rooms[2], check_in=day(1), check_out=day(3))
    earlier_events = len(event_types())
    ids = [str(rooms[0].pk), rooms[1].pk, rooms[2].pk, theirs.pk, 123_456_789, rooms[0].pk]
    answer = agent_client.post(url(agent, "rooms/checkin/"), {"room_ids": ids})
    assert answer.status_code == 200
    gone = "Room not found: this hotel has no such room."
    assert answer.json() == {
        "detail": "1 booking is checked in, 4 rooms are refused.",
        "results": {
            "checked_in_bookings": [first.booking_id],
            "failed": [
                {
                    "room_id": rooms[1].pk,
                    "code": "ROOM_NOT_READY",
                    "message": 'Room not ready: room 102 has the status "Checkout dirty".',
                },
                {
                    "room_id": rooms[2].pk,
                    "code": "NO_ARRIVAL_DUE",
                    "message": "No arrival due today has room 103.",
                },
                {"room_id": theirs.pk, "code": "ROOM_NOT_FOUND", "message": gone},
                {"room_id": 123_456_789, "code": "ROOM_NOT_FOUND", "message": gone},
            ],
        },
    }
    assert [RoomBooking.objects.get(pk=booking.pk).status for booking in (first, second)] == ["IN_HOUSE", "CONFIRMED"]
    assert statuses(rooms) == ["OCCUPIED", "CHECKOUT_DIRTY", "READY_FOR_GUEST", "READY_FOR_GUEST"]
    audit = RoomStatusEvent.objects.latest("pk")
    assert (audit.source, audit.changed_by) == ("SYSTEM", agent)
    assert event_types()[earlier_events:] == [
        "room_updated",
        "room_occupancy_updated",
        "booking_checked_in",
        "booking_checked_in",
    ]
    assert invariants.violations() == []


def test_if_no_check_in_succeeds_it_is_409_and_nothing_is_written(agent_client, agent, book, rooms):
    body = {"room_ids": [rooms[0].pk]}
    with nothing_written():
        refusal = assert_error(agent_client.post(url(agent, "rooms/checkin/"), body), 409, "NOTHING_DONE")
    assert refusal["message"] == "Nobody is checked in."
    assert refusal["results"] == {
        "checked_in_bookings": [],
        "failed": [{"room_id": rooms[0].pk, "code": "NO_ARRIVAL_DUE", "message": "No arrival due today has room 101."}],
    }


def test_the_message_when_all_succeed(agent_client, agent, book, rooms):
    for room in rooms[:2]:
        book(assigned_room=room)
    answer = agent_client.post(url(agent, "rooms/checkin/"), {"room_ids": [room.pk for room in rooms[:2]]})
    assert answer.json()["detail"] == "2 bookings are checked in."
    with nothing_written():  # a retry: they are in house already
        again = agent_client.post(url(agent, "rooms/checkin/"), {"room_ids": [room.pk for room in rooms[:2]]})
    assert_error(again, 409, "NOTHING_DONE")


# --- departures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("destructive", [False, True])
def test_only_in_house_guests_are_checked_out(agent_client, agent, book, rooms, theirs, destructive):
    stay = book("IN_HOUSE", assigned_room=rooms[0])
    arrival = book(assigned_room=rooms[1])
    before = len(event_types())
    body = {"room_ids": [rooms[0].pk, str(rooms[1].pk), theirs.pk], "destructive": destructive}
    answer = agent_client.post(url(agent, "rooms/checkout/"), body)
    assert answer.status_code == 200
    assert answer.json() == {
        "detail": "1 booking is checked out, 2 rooms are refused.",
        "results": {
            "checked_out_bookings": [stay.booking_id],
            "rooms_cleared": [101],
            "failed": [
                {"room_id": rooms[1].pk, "code": "NOBODY_IN_HOUSE", "message": "Room 102 has no guest in house."},
                {
                    "room_id": theirs.pk,
                    "code": "ROOM_NOT_FOUND",
                    "message": "Room not found: this hotel has no such room.",
                },
            ],
            "destructive_mode": destructive,
        },
    }
    assert [RoomBooking.objects.get(pk=booking.pk).status for booking in (stay, arrival)] == ["COMPLETED", "CONFIRMED"]
    assert RoomBooking.objects.get(pk=arrival.pk).assigned_room == rooms[1]
    assert statuses(rooms[:2]) == ["CHECKOUT_DIRTY", "READY_FOR_GUEST"]
    assert HousekeepingTask.objects.get().room == rooms[0]
    audit = RoomStatusEvent.objects.latest("pk")
    assert (audit.source, audit.changed_by) == ("SYSTEM", agent)
    assert event_types()[before:] == [
        "room_updated",
        "room_occupancy_updated",
        "booking_checked_out",
        "booking_checked_out",
    ]
    assert invariants.violations() == []


def test_if_no_check_out_succeeds_it_is_409_and_nothing_is_written(agent_client, agent, book, rooms):
    book(assigned_room=rooms[0])
    with nothing_written():
        answer = agent_client.post(url(agent, "rooms/checkout/"), {"room_ids": [rooms[0].pk], "destructive": True})
    assert assert_error(answer, 409, "NOTHING_DONE")["results"] == {
        "checked_out_bookings": [],
        "rooms_cleared": [],
        "failed": [{"room_id": rooms[0].pk, "code": "NOBODY_IN_HOUSE", "message": "Room 101 has no guest in house."}],
        "destructive_mode": True,
    }


def test_destructive_requires_its_own_right(api, agent, book, rooms):
    book("IN_HOUSE", assigned_room=rooms[0])
    group = Group.objects.get(name=rights.FRONT_DESK_AGENT)
    codename = permission("rooms.checkout_destructive").partition(".")[2]
    group.permissions.remove(group.permissions.get(codename=codename))
    client, path, body = api(agent), url(agent, "rooms/checkout/"), {"room_ids": [rooms[0].pk]}
    with nothing_written():
        assert_error(client.post(path, body | {"destructive": True}), 403, "PERMISSION_DENIED")
    assert client.post(path, body | {"destructive": False}).status_code == 200


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["rooms/checkin/", "rooms/checkout/"])
@pytest.mark.parametrize(
    "room_ids", [None, [], "1", 1, {}, ["x"], [0], [-1], [None], [[1]], [True], [1.5], [10**30], ["\u0000"], [1] * 501]
)
def test_invalid_room_ids_are_refused(agent_client, agent, path, room_ids):
    with nothing_written():
        for body in ({"room_ids": room_ids}, {}):
            answer = agent_client.post(url(agent, path), body)
            assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == ["room_ids"]


@pytest.mark.parametrize("destructive", ["true", 1, None, []])
def test_destructive_is_a_boolean(agent_client, agent, book, rooms, destructive):
    book("IN_HOUSE", assigned_room=rooms[0])
    with nothing_written():
        answer = agent_client.post(
            url(agent, "rooms/checkout/"), {"room_ids": [rooms[0].pk], "destructive": destructive}
        )
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == ["destructive"]


def test_five_hundred_rooms_are_accepted(agent_client, agent, rooms):
    answer = agent_client.post(url(agent, "rooms/checkout/"), {"room_ids": list(range(10**9, 10**9 + 500))})
    assert len(assert_error(answer, 409, "NOTHING_DONE")["results"]["failed"]) == 500
