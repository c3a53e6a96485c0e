"""Rooms of another type than the booked one, before the arrival and at the check-in."""

from datetime import timedelta

import pytest

from common import clock
from room_bookings.models import BookingChange, RoomBooking
from room_bookings.selectors import available_rooms, booking_read
from room_bookings.services.check_in import check_in
from room_bookings.services.room_assignment import assign_room
from room_bookings.snapshots import booking_row
from rooms.models import Room
from tests.conftest import token_client
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory
from tests.http import assert_error
from tests.room_bookings.small_hotel import (
    NOW,
    SmallHotel,
    assert_invariants_hold,
    day,
    nothing_written,
    published_events,
    refusal_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def suite(small_hotel: SmallHotel) -> Room:
    kind = RoomTypeFactory(hotel=small_hotel.hotel, name="Suite", max_occupancy=3)
    return NewRoomFactory(hotel=small_hotel.hotel, room_type=kind, room_number=201)


def coming(small_hotel: SmallHotel, **fields) -> RoomBooking:
    given = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type, "check_in": day(0), "check_out": day(2)}
    return BookingFactory(**given | fields)


def test_an_upgrade_leaves_what_was_booked_and_is_recorded(small_hotel, suite):
    booking, booked = coming(small_hotel, total_amount="200.00"), small_hotel.room_type
    given = assign_room(booking=booking, room_id=suite.pk, staff=small_hotel.agent, upgrade=True)
    stored = booking_read(booking.pk)
    assert (stored.assigned_room, stored.room_type, stored.total_amount) == (suite, booked, 200)
    assert (booking_row(stored)["is_upgraded"], booking_row(given)["is_upgraded"]) == (True, True)
    change = BookingChange.objects.get()
    assert (change.action, change.to_room, change.is_upgrade) == ("ASSIGNED", suite, True)
    assert change.reason == f"{booked.name} → Suite"
    assert published_events() == [("room-bookings", "booking_updated"), ("guest", "booking_room_assigned")]
    assert_invariants_hold()


def test_back_to_a_room_of_the_booked_type(small_hotel, suite):
    booking = coming(small_hotel, assigned_room=suite)
    back = assign_room(booking=booking, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent, upgrade=True)
    assert not booking_row(back)["is_upgraded"]
    change = BookingChange.objects.get()
    assert (change.from_room, change.is_upgrade, change.reason) == (suite, False, "")


def test_a_supervisors_reason_is_an_upgrade_too(small_hotel, suite):
    booking = coming(small_hotel)
    for staff, reason in ((small_hotel.agent, "honeymoon"), (small_hotel.manager, " ")):
        refusal = refusal_of(
            lambda staff=staff, reason=reason: assign_room(
                booking=booking, room_id=suite.pk, staff=staff, override_reason=reason
            )
        )
        assert (refusal.status, refusal.code) == (400, "ROOM_TYPE_MISMATCH")
    assign_room(booking=booking, room_id=suite.pk, staff=small_hotel.manager, override_reason="honeymoon")
    assert BookingChange.objects.get().reason == f"{small_hotel.room_type.name} → Suite: honeymoon"


def test_new_notes_on_an_upgrade_need_no_second_one(small_hotel, suite):
    booking = coming(small_hotel, assigned_room=suite)
    noted = assign_room(booking=booking, room_id=suite.pk, staff=small_hotel.agent, notes="quiet side")
    assert noted.assignment_notes == "quiet side"
    change = BookingChange.objects.get()
    assert (change.is_upgrade, change.reason) == (False, "")


def test_a_party_that_only_the_better_room_sleeps(small_hotel, suite):
    booking = coming(small_hotel, adults=3, extra_beds=1)
    assign_room(booking=booking, room_id=suite.pk, staff=small_hotel.agent, upgrade=True)
    assert RoomBooking.objects.get().extra_beds == 0
    assert_invariants_hold()


def test_an_upgrade_at_the_check_in(small_hotel, suite):
    booking = coming(small_hotel)
    refusal = refusal_of(lambda: check_in(booking=booking, staff=small_hotel.agent, room_id=suite.pk))
    assert (refusal.code, refusal.lift) == ("ROOM_TYPE_MISMATCH", (("bookings.checkin",), "upgrade"))
    inside = check_in(booking=booking, staff=small_hotel.agent, room_id=suite.pk, upgrade=True)
    assert (inside.status, booking_row(inside)["is_upgraded"]) == ("IN_HOUSE", True)
    change = BookingChange.objects.get()
    assert (change.action, change.is_upgrade, change.reason) == (
        *("CHECKED_IN", True),
        f"{small_hotel.room_type.name} → Suite",
    )
    assert_invariants_hold()


def test_a_check_in_to_the_better_room_that_is_assigned_is_no_second_upgrade(small_hotel, suite):
    check_in(booking=coming(small_hotel, assigned_room=suite), staff=small_hotel.agent)
    assert (BookingChange.objects.get().is_upgrade, BookingChange.objects.get().reason) == (False, "")


def test_the_rooms_offered_for_an_upgrade(small_hotel, suite):
    """Of any type that has one left and sleeps the party, even while the room is dirty."""
    single = RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=1)
    NewRoomFactory(hotel=small_hotel.hotel, room_type=single, room_number=301)
    booking = coming(small_hotel, adults=2, assigned_room=small_hotel.rooms[0])

    def offered(**query):
        return [room.room_number for room in available_rooms(booking_read(booking.pk), **query)]

    assert (offered(), offered(upgrade=True)) == ([102], [102, 201])
    coming(small_hotel, room_type=suite.room_type)  # the last one
    assert offered(upgrade=True) == [102]


def test_over_http(small_hotel, suite):
    client, booking = token_client(small_hotel.agent), coming(small_hotel)
    base = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/"
    for query, numbers in (({}, [101, 102]), ({"upgrade": "true"}, [101, 102, 201])):
        rooms = client.get(f"{base}available-rooms/", query).json()["available_rooms"]
        assert [room["room_number"] for room in rooms] == numbers
    [asked] = [
        action
        for action in client.get(f"{base}actions/", {"room_id": suite.pk}).json()["actions"]
        if action["action"] == "assign_room"
    ]
    assert asked["override"] == {"right": "bookings.assign_room", "needs": "upgrade"}
    assert asked["reasons"][0]["who_can"] == ["front desk agent", "front office manager"]
    with nothing_written():
        assert_error(client.post(f"{base}safe-assign-room/", {"room_id": suite.pk}), 400, "ROOM_TYPE_MISMATCH")
        body = {"room_id": suite.pk, "upgrade": "yes"}
        assert_error(client.post(f"{base}safe-assign-room/", body), 400, "VALIDATION_ERROR")
    answer = client.post(f"{base}safe-assign-room/", {"room_id": suite.pk, "upgrade": True})
    assert (answer.status_code, answer.json()["is_upgraded"]) == (200, True)


def test_one_reason_lifts_what_an_upgrade_lifts_and_more(small_hotel, suite):
    coming(small_hotel, room_type=suite.room_type)
    client, booking = token_client(small_hotel.agent), coming(small_hotel, check_in=day(0), check_out=day(1))
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/actions/"
    with clock.set_to(NOW - timedelta(hours=8)):  # before check-in begins
        actions = client.get(url, {"room_id": suite.pk}).json()["actions"]
    found = {action["action"]: action for action in actions}
    codes = ["ROOM_TYPE_MISMATCH", "NO_AVAILABILITY"]
    assert [reason["code"] for reason in found["assign_room"]["reasons"]] == codes
    assert [reason["code"] for reason in found["check_in"]["reasons"]] == ["CHECKIN_TOO_EARLY", *codes]
    for name in ("assign_room", "check_in"):
        assert found[name]["override"] == {"right": "bookings.supervise", "needs": "reason"}
