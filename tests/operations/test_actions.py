"""Pre-flight says what the call then does: an action is allowed exactly when the call is accepted."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from common import clock
from hotel.rights import HOTEL_MANAGER, HOUSEKEEPER, ROLE_RIGHTS
from housekeeping.turnover import flag_maintenance, start_cleaning
from room_bookings.services.edit import edit_booking
from room_bookings.services.overstay import acknowledge_overstay
from rooms.models import Room, RoomStatus
from tests.conftest import token_client
from tests.factories import NewRoomFactory, StaffFactory, booking_in, room_in
from tests.http import assert_error, rolled_back
from tests.room_bookings.small_hotel import NOW, all_rows, day, open_small_hotel
from tests.room_bookings.test_states import STATES, bookings

pytestmark = pytest.mark.django_db
DESK = [role for role, rights in ROLE_RIGHTS.items() if any(right.startswith("bookings.") for right in rights)]


def call(client, action, target):
    """The call that takes the action, with what it needs."""
    given = {
        "reason": {"reason": "a mistake"},
        "note": {"note": "I saw it"},
        "companions": {"companions": [{"first_name": "Charles", "last_name": "Babbage"}]},
        "room": {},
        "room_type": {},
        "dates": {},
    }
    body = dict(action["body"])
    for need in action["needs"]:
        body |= given[need]
    match action["action"]:
        case "assign_room" | "check_in" if "room_id" in target:
            body["room_id"] = target["room_id"]
        case "move_room":
            body["to_room_id"] = target["room_id"]
        case "extend_stay":
            body["new_checkout_date"] = target["check_out"]
        case "change_room_type":
            body["room_type_id"] = target["room_type_id"]
        case "change_dates":
            body["check_out"] = target["check_out"]
    return getattr(client, action["method"].lower())(action["url"], body, format="json")


def differences(client, actions, target):
    """Where the answers and the calls disagree, or a reason is given twice."""
    found, before = [], all_rows()
    for action in actions:
        with rolled_back():
            answer = call(client, action, target)
            accepted, changed = answer.status_code < 400, all_rows() != before
            code = None if accepted else answer.json()["code"]
        said = action["reasons"][0]["code"] if action["reasons"] else None
        once = len({reason["message"] for reason in action["reasons"]}) == len(action["reasons"])
        if (action["allowed"], action["has_effect"], said) != (accepted, changed, code) or not once:
            found.append((action["action"], action["body"], action["reasons"], accepted, changed, code))
    return found


@pytest.mark.parametrize("role", DESK)
@pytest.mark.parametrize("state", STATES)
def test_booking_actions_say_what_the_calls_do(state, role, small_hotel):
    booking = bookings(small_hotel)[state]()
    client = token_client(StaffFactory(hotel=small_hotel.hotel, role=role))
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/actions/"
    later = (booking.check_out + timedelta(days=1)).isoformat()
    other = NewRoomFactory(hotel=small_hotel.hotel, room_number=201).room_type
    target = {"room_id": small_hotel.rooms[1].pk, "room_type_id": other.pk, "check_out": later}
    asked = client.get(url, target).json()
    assert asked["version"] == booking.version
    assert differences(client, asked["actions"], target) == []
    plain = client.get(url).json()["actions"]
    refused = {action["action"] for action in asked["actions"] if not action["allowed"]}
    # Without a target the room and the dates are left open, so less is refused.
    assert {action["action"] for action in plain if not action["allowed"]} - {"check_in"} <= refused
    assert differences(client, [action for action in plain if action["action"] == "check_in"], {}) == []


def test_the_same_dates_again_have_no_effect(small_hotel):
    client, booking = token_client(small_hotel.agent), bookings(small_hotel)["con"]()
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/actions/"
    target = {"check_out": booking.check_out.isoformat()}
    for same in (target, {**target, "check_in": booking.check_in.isoformat()}):
        asked = {action["action"]: action for action in client.get(url, same).json()["actions"]}
        assert differences(client, [asked["change_dates"]], target) == []
        assert not asked["change_dates"]["has_effect"]


def test_acknowledging_an_overstay_again_has_no_effect(small_hotel):
    """Unless it has been dismissed in between, or another departure has been missed."""
    client, booking = token_client(small_hotel.agent), bookings(small_hotel)["over"]()
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/actions/"

    def has_effect():
        [asked] = [one for one in client.get(url).json()["actions"] if one["action"] == "acknowledge_overstay"]
        assert differences(client, [asked], {}) == []
        return asked["has_effect"]

    found = [has_effect()]
    for dismiss in (False, True, False):
        acknowledge_overstay(booking=booking, staff=small_hotel.agent, dismiss=dismiss)
        found.append(has_effect())
    edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(1))
    with clock.set_to(NOW + timedelta(days=1)):
        found.append(has_effect())
    assert found == [True, False, True, False, True]


@pytest.mark.parametrize("count", [1, 3])
def test_a_constant_number_of_statements(count, small_hotel, statements):
    client = token_client(small_hotel.manager)
    made = [bookings(small_hotel)[state]() for state in ("ask", "can", "conr")][:count]
    base = f"/api/staff/hotel/{small_hotel.hotel.slug}"
    with statements() as asked:
        client.get(f"{base}/room-bookings/{made[-1].booking_id}/actions/", {"room_id": small_hotel.rooms[1].pk})
    assert len(asked) <= 5
    with statements() as asked:
        client.get(f"{base}/rooms/{small_hotel.rooms[0].pk}/actions/")
    assert len(asked) <= 5


def rooms(small_hotel):
    """Rooms of every status, with and without a fault, being cleaned by somebody, and needed by an arrival."""
    fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    made = [room_in(status, **fields) for status in RoomStatus.values]
    made += [room_in(status, fault=True, **fields) for status in ("OUT_OF_ORDER", "CLEANED_UNINSPECTED")]
    dirty = room_in("CHECKOUT_DIRTY", **fields)
    start_cleaning(room=dirty, staff=StaffFactory(hotel=small_hotel.hotel, role=HOUSEKEEPER))
    broken = room_in("OCCUPIED", **fields)
    flag_maintenance(room=broken, staff=small_hotel.manager)
    needed = NewRoomFactory(**fields)
    booking_in("CONFIRMED", assigned_room=needed, check_in=day(3), check_out=day(5))
    closed = NewRoomFactory(**fields, is_active=False)
    return [*made, dirty, broken, needed, closed]


@pytest.mark.parametrize("role", ROLE_RIGHTS)
def test_room_actions_say_what_the_calls_do(role, small_hotel):
    client = token_client(StaffFactory(hotel=small_hotel.hotel, role=role))
    for room in rooms(small_hotel):
        url = f"/api/staff/hotel/{small_hotel.hotel.slug}/rooms/{room.pk}/actions/"
        asked = client.get(url).json()
        assert (asked["room_number"], len(asked["actions"])) == (room.room_number, 2 * len(RoomStatus) + 9)
        assert differences(client, asked["actions"], {}) == [], room
        fewer = client.get(url, {"to_status": "OUT_OF_ORDER"}).json()["actions"]
        others = [
            action for action in asked["actions"] if action["body"].get("to_status", "OUT_OF_ORDER") == "OUT_OF_ORDER"
        ]
        assert fewer == others


def test_the_last_room_of_a_type_is_needed(small_hotel):
    client = token_client(StaffFactory(hotel=small_hotel.hotel, role=HOTEL_MANAGER))
    kind = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    for _ in small_hotel.rooms:
        booking_in("CONFIRMED", **kind, check_in=day(3), check_out=day(5))
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/rooms/{small_hotel.rooms[0].pk}/actions/"
    actions = client.get(url, {"to_status": "OUT_OF_ORDER"}).json()["actions"]
    assert differences(client, actions, {}) == []
    assert actions[0]["reasons"] == [
        {
            "code": "ROOM_NEEDED",
            "message": f"Room 101 is needed: every {small_hotel.room_type.name} is sold for the night of 2026-07-04.",
            "who_can": ["front office manager", "hotel manager"],
            "blocker": None,
        }
    ]
    assert actions[0]["override"] == {"right": "bookings.supervise", "needs": "force"}


def test_targets_and_roles_are_the_hotels_own(small_hotel):
    """A room or a type of another hotel is no target, and a role that nobody has here is not named."""
    client, other = token_client(small_hotel.agent), open_small_hotel()
    StaffFactory(hotel=other.hotel, role=HOTEL_MANAGER)
    booking = bookings(small_hotel)["con"]()
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/{booking.booking_id}/actions/"
    theirs = {"room_id": other.rooms[0].pk, "room_type_id": other.room_type.pk}
    found = {action["action"]: action for action in client.get(url, theirs).json()["actions"]}
    assert [reason["code"] for reason in found["assign_room"]["reasons"]] == ["ROOM_NOT_FOUND"]
    assert [reason["code"] for reason in found["change_room_type"]["reasons"]] == ["VALIDATION_ERROR"]
    assert found["reinstate"]["reasons"][0]["who_can"] == ["front office manager"]
    # The view and the service ask for the same right: one reason.
    assert [reason["code"] for reason in found["reinstate"]["reasons"]] == ["PERMISSION_DENIED", "BOOKING_NOT_ELIGIBLE"]
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/rooms/{small_hotel.rooms[0].pk}/actions/"
    [change, *_] = client.get(url, {"to_status": "OUT_OF_ORDER"}).json()["actions"]
    assert change["reasons"][0]["who_can"] == ["front office manager"]


# --- in lists ---------------------------------------------------------------------------------------------------------


def counted(client, url, query, statements):
    with statements() as made:
        answer = client.get(url, query)
    assert answer.status_code == 200, answer.content
    return answer, len(made)


@pytest.mark.parametrize("count", [1, 3, len(STATES)])
def test_bookings_are_listed_with_their_actions(count, small_hotel, statements):
    client, base = token_client(small_hotel.manager), f"/api/staff/hotel/{small_hotel.hotel.slug}/room-bookings/"
    makers = [
        make for state, make in bookings(small_hotel).items() if state not in ("back", "in", "over", "inc", "com")
    ]
    in_102 = {"assigned_room": small_hotel.rooms[1]}
    for make in [lambda: booking_in("IN_HOUSE", **in_102), *makers][:count]:
        make()
    query = {"page_size": 100, "include_counts": 0}
    plain, fewer = counted(client, base, query, statements)
    listed, more = counted(client, base, {**query, "expand": "actions"}, statements)
    assert more == fewer + 1
    for row, same in zip(listed.json()["results"], plain.json()["results"], strict=True):
        actions = row.pop("actions")
        assert row == same
        detail = client.get(f"{base}{row['booking_id']}/", {"expand": "actions"}).json()
        assert actions == client.get(f"{base}{row['booking_id']}/actions/").json()["actions"] == detail["actions"]


@pytest.mark.parametrize("count", [1, 3, 20])
def test_rooms_are_listed_with_their_actions(count, small_hotel, statements):
    client, base = token_client(small_hotel.manager), f"/api/staff/hotel/{small_hotel.hotel.slug}/"
    Room.objects.filter(hotel=small_hotel.hotel).delete()
    wanted = {room.pk for room in rooms(small_hotel)[:count]}
    Room.objects.filter(hotel=small_hotel.hotel).exclude(pk__in=wanted).update(is_active=False)
    room_in("CHECKOUT_DIRTY")  # of another hotel
    plain, fewer = counted(client, f"{base}turnover/rooms/", {}, statements)
    expanded, more = counted(client, f"{base}turnover/rooms/", {"expand": "actions"}, statements)
    board = expanded.json()
    assert more == fewer + 1
    for status, column in plain.json().items():
        found = board.pop(status)
        assert (found["label"], found["count"]) == (column["label"], column["count"])
        for row, same in zip(found["rooms"], column["rooms"], strict=True):
            actions = row.pop("actions")
            assert row == same
            assert actions == client.get(f"{base}rooms/{row['id']}/actions/").json()["actions"]
    assert board == {}


def test_a_page_of_rooms_and_the_dashboard_have_actions(small_hotel, statements):
    client, base = token_client(small_hotel.manager), f"/api/staff/hotel/{small_hotel.hotel.slug}/"
    rooms(small_hotel)
    plain, fewer = counted(client, f"{base}room-management/", {"page_size": 100}, statements)
    listed, more = counted(client, f"{base}room-management/", {"page_size": 100, "expand": "actions"}, statements)
    assert more == fewer + 1
    expected = {}
    for row, same in zip(listed.json()["results"], plain.json()["results"], strict=True):
        expected[row["id"]] = row.pop("actions")
        assert row == same
    one = client.get(f"{base}room-management/{row['room_number']}/", {"expand": "actions"}).json()
    assert one["actions"] == expected[row["id"]]
    plain = client.get(f"{base}housekeeping/dashboard/").json()
    board = client.get(f"{base}housekeeping/dashboard/", {"expand": "actions"}).json()
    for room in [room for column in board["rooms_by_status"].values() for room in column]:
        assert room.pop("actions") == expected[room["id"]]
    assert board == plain


@pytest.mark.parametrize("path", ["turnover/rooms/", "housekeeping/dashboard/"])
def test_a_streamed_list_has_asked_the_database_before_it_begins(path, small_hotel, statements):
    """Once it has begun, an error could only break it off."""
    client = APIClient()
    client.force_authenticate(small_hotel.manager.user)
    url = f"/api/staff/hotel/{small_hotel.hotel.slug}/{path}"
    with statements() as made:
        answer = client.get(url, {"expand": "actions"})
        before = len(made.sql())
        assert answer.streaming
        assert answer.getvalue()
    assert len(made) == before > 1


def test_nothing_else_can_be_expanded(small_hotel):
    client, base = token_client(small_hotel.manager), f"/api/staff/hotel/{small_hotel.hotel.slug}/"
    for path in ("room-bookings/", "turnover/rooms/", "housekeeping/dashboard/", "room-management/"):
        assert_error(client.get(f"{base}{path}", {"expand": "guests"}), 400, "VALIDATION_ERROR")
