"""Taking away a room that bookings need is refused or, with force, unassigns its arrivals (docs/api.md, Inventory)."""

import pytest
from django.test import Client
from django.urls import reverse

from common import clock
from housekeeping.models import Source
from housekeeping.services import set_room_statuses
from room_bookings.errors import RightMissing
from room_bookings.models import BookingChange, Overbooking, RoomBooking
from room_bookings.services.room_removal import force_room_update
from rooms.models import Room
from tests.conftest import url
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, booking_in
from tests.hotel.booking_api import NOW, day, event_types
from tests.http import assert_error, nothing_written
from tests.room_bookings.small_hotel import assert_invariants_hold

pytestmark = pytest.mark.usefixtures("afternoon")


@pytest.fixture
def afternoon():
    with clock.set_to(NOW):
        yield


@pytest.fixture
def rooms(afternoon, hotel) -> list[Room]:
    """Rooms 101 and 102, the only rooms of their type."""
    room_type = RoomTypeFactory(hotel=hotel)
    return [NewRoomFactory(hotel=hotel, room_type=room_type, room_number=101 + n) for n in range(2)]


def arrival(room: Room, first: int = 1, last: int = 3, **fields) -> RoomBooking:
    stay = {"hotel": room.hotel, "room_type": room.room_type, "check_in": day(first), "check_out": day(last)}
    return BookingFactory(**stay | {"assigned_room": room} | fields)


def status(client, staff, room, **more):
    return client.post(url(staff, f"rooms/{room.pk}/status/"), {"to_status": "OUT_OF_ORDER", "note": "leak"} | more)


def override(client, staff, room, **more):
    body = {"to_status": "OUT_OF_ORDER", "note": "leak"}
    return client.post(url(staff, f"housekeeping/rooms/{room.pk}/manager_override/"), body | more)


def deactivate(client, staff, room, **more):
    return client.patch(url(staff, f"room-management/{room.pk}/"), {"is_active": False} | more)


def retype(client, staff, room, **more):
    other = room.hotel.room_types.exclude(pk=room.room_type_id).first() or RoomTypeFactory(hotel=room.hotel)
    return client.patch(url(staff, f"room-management/{room.pk}/"), {"room_type_id": other.pk} | more)


WAYS = pytest.mark.parametrize("way", [status, override, deactivate, retype])


@WAYS
def test_assigned_room_cannot_be_taken_away(way, api, hotel, manager, rooms):
    RoomTypeFactory(hotel=hotel)
    booking = arrival(rooms[0])
    arrival(rooms[0], -3, -1)  # never arrived
    with nothing_written():
        body = assert_error(way(api(manager), manager, rooms[0]), 409, "ROOM_NEEDED")
    conflict = {"booking_id": booking.booking_id, "room_number": 101}
    conflict |= {"start_date": day(1).isoformat(), "end_date": day(3).isoformat(), "in_house": False}
    assert body["conflicts"] == body["details"]["conflicts"] == [conflict]
    assert body["message"] == f"Room 101 is needed: it is assigned to {booking.booking_id} from {day(1)}."
    assert way(api(manager), manager, rooms[1]).status_code == 200  # not assigned
    assert_invariants_hold()


@WAYS
def test_room_of_a_sold_out_type_cannot_be_taken_away(way, api, hotel, manager, rooms):
    RoomTypeFactory(hotel=hotel)
    sold = [arrival(rooms[0], assigned_room=None) for _ in rooms]
    with nothing_written():
        body = assert_error(way(api(manager), manager, rooms[0]), 409, "ROOM_NEEDED")
    found = [(conflict["booking_id"], conflict["room_number"]) for conflict in body["conflicts"]]
    assert found == [(booking.booking_id, None) for booking in sold]
    assert str(day(1)) in body["message"]


def test_room_cannot_be_taken_away_during_a_card_charge(api, hotel, manager, rooms):
    for _ in rooms:
        booking_in(
            "PENDING_APPROVAL", card="CAPTURING", payment_requested_at=NOW, hotel=hotel, room_type=rooms[0].room_type
        )
    body = assert_error(status(api(manager), manager, rooms[0]), 409, "ROOM_NEEDED")
    assert len(body["conflicts"]) == 2


def test_other_hotels_bookings_are_ignored(api, hotel, manager, rooms):
    theirs = NewRoomFactory()
    for _ in rooms:
        arrival(theirs, assigned_room=None)
    assert status(api(manager), manager, rooms[0]).status_code == 200


@WAYS
def test_force_takes_the_room_and_unassigns_its_arrivals(way, api, hotel, manager, rooms):
    RoomTypeFactory(hotel=hotel)
    booking, other = arrival(rooms[0]), arrival(rooms[1])
    answer = way(api(manager), manager, rooms[0], force=True)
    assert answer.status_code == 200
    booking.refresh_from_db()
    assert (booking.assigned_room, booking.room_assigned_by, booking.version) == (None, None, 1)
    assert event_types() == ["booking_updated", "room_updated"]
    note = "" if way in (deactivate, retype) else "leak"
    [change] = BookingChange.objects.all()
    assert (change.booking, change.action, change.from_room, change.to_room) == (booking, "UNASSIGNED", rooms[0], None)
    assert (change.staff, change.reason) == (manager, note)
    # Both need the remaining room: recorded as overbooked, and sound.
    [beyond] = Overbooking.objects.all()
    assert (beyond.room, beyond.room_type, beyond.booking) == (rooms[0], rooms[1].room_type, None)
    assert (beyond.first_night, beyond.free_from, beyond.rooms) == (day(1), day(3), 1)
    assert (beyond.staff, beyond.reason) == (manager, note)
    other.refresh_from_db()
    assert other.assigned_room == rooms[1]
    assert_invariants_hold()


@WAYS
@pytest.mark.parametrize("force", ["true", 1, None, "yes"])
def test_force_is_true_or_false(way, force, api, hotel, manager, rooms):
    RoomTypeFactory(hotel=hotel)
    arrival(rooms[0])
    with nothing_written():
        assert "force" in assert_error(way(api(manager), manager, rooms[0], force=force), 400)["details"]


def test_force_needs_a_supervisor(api, supervisor, agent, rooms):
    """A housekeeping supervisor can set a room out of order, but not one assigned to an arrival."""
    arrival(rooms[0])
    with nothing_written():
        assert_error(status(api(supervisor), supervisor, rooms[0], force=True), 403, "PERMISSION_DENIED")
    with nothing_written(), pytest.raises(RightMissing):
        force_room_update(room=rooms[0], staff=agent, is_active=False)
    assert status(api(supervisor), supervisor, rooms[1]).status_code == 200


@pytest.mark.parametrize("change", [{"room_number": 901}, {"is_active": True}, {}])
def test_force_unassigns_nobody_if_the_room_stays_available(change, api, manager, rooms):
    booking = arrival(rooms[0])
    path = url(manager, f"room-management/{rooms[0].pk}/")
    for same in ({}, {"room_type_id": rooms[0].room_type_id}):
        assert api(manager).patch(path, {"force": True} | change | same).status_code == 200
    booking.refresh_from_db()
    assert booking.assigned_room == rooms[0]


def test_force_does_not_override_a_guest_in_house(api, hotel, manager, rooms):
    booking_in("IN_HOUSE", assigned_room=rooms[0], check_in=day(0), check_out=day(1))
    booking = arrival(rooms[0])
    for way in (status, override, deactivate):
        with nothing_written():
            assert_error(way(api(manager), manager, rooms[0], force=True), 409)
    booking.refresh_from_db()
    assert booking.assigned_room == rooms[0]


def test_upgraded_arrival_needs_a_room_of_the_booked_type_again(api, hotel, manager, rooms):
    suite = NewRoomFactory(hotel=hotel, room_number=201)
    booking = arrival(rooms[0], assigned_room=suite)
    for _ in rooms:
        arrival(rooms[0], assigned_room=None)
    assert status(api(manager), manager, suite, force=True).status_code == 200
    [beyond] = Overbooking.objects.all()
    assert (beyond.booking, beyond.room_type, beyond.reason) == (booking, rooms[0].room_type, "leak")
    assert_invariants_hold()


def test_arrival_that_booked_the_new_type_keeps_the_room(api, hotel, manager, rooms):
    suite = NewRoomFactory(hotel=hotel, room_number=201)
    booking = arrival(suite, assigned_room=rooms[0])
    for more in ({}, {"force": True}):
        answer = retype(api(manager), manager, Room.objects.get(pk=rooms[0].pk), **more)
        assert answer.status_code == 200
        booking.refresh_from_db()
        assert booking.assigned_room == (rooms[0] if not more else None)
        assert_invariants_hold()


def test_guest_in_house_keeps_the_room_under_the_new_type(api, hotel, manager, rooms):
    RoomTypeFactory(hotel=hotel)
    booking_in("IN_HOUSE", assigned_room=rooms[0], check_in=day(0), check_out=day(3))
    arrival(rooms[1], 0, 3, assigned_room=None)
    assert_error(retype(api(manager), manager, rooms[1]), 409, "ROOM_NEEDED")
    assert retype(api(manager), manager, rooms[0]).status_code == 200
    assert_invariants_hold()


def test_the_last_free_room_is_not_deleted(api, manager, rooms):
    booking = arrival(rooms[0])
    arrival(rooms[0], 2, 3, assigned_room=None)
    with nothing_written():
        body = assert_error(api(manager).delete(url(manager, f"room-management/{rooms[1].pk}/")), 409, "ROOM_NEEDED")
    assert len(body["conflicts"]) == 1
    booking.delete()
    assert api(manager).delete(url(manager, f"room-management/{rooms[1].pk}/")).status_code == 204


def test_unneeded_room_can_be_taken_away(rooms):
    arrival(rooms[0], assigned_room=None)
    outcomes = set_room_statuses(changes=[(room, "OUT_OF_ORDER") for room in rooms], source=Source.SYSTEM)
    assert [outcome.refusal and outcome.refusal.code for outcome in outcomes] == [None, "ROOM_NEEDED"]
    assert_invariants_hold()


def test_past_nights_and_other_types_need_no_room(api, hotel, manager, rooms):
    for _ in rooms:
        arrival(rooms[0], -3, -1, assigned_room=None)
        arrival(NewRoomFactory(hotel=hotel))
        booking_in("CANCELLED", hotel=hotel, room_type=rooms[0].room_type)
    for room in rooms:
        assert status(api(manager), manager, room).status_code == 200


def test_admin_refuses_to_take_away_a_needed_room(manager, rooms):
    booking = arrival(rooms[0])
    browser = Client()
    browser.force_login(manager.user)
    form = {"room_number": 101, "room_type": rooms[0].room_type_id, "initial-is_active": "True"}  # now unchecked
    for page, data in (
        (reverse("admin:rooms_room_change", args=[rooms[0].pk]), form),
        (
            reverse("admin:rooms_room_changelist"),
            {
                "action": "change_status",
                "_selected_action": [rooms[0].pk],
                "to_status": "OUT_OF_ORDER",
                "reason": "leak",
                "apply": "1",
            },
        ),
    ):
        with nothing_written():
            answer = browser.post(page, data, follow=True)
        assert answer.status_code == 200
        [message] = [str(each) for each in answer.context["messages"]]
        assert message.startswith(f"Room 101 is needed: it is assigned to {booking.booking_id}"), (page, message)
