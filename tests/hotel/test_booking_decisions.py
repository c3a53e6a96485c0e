"""Confirm, approve, decline, cancel, no-show and reinstate (docs/api.md, Bookings)."""

import pytest

from notifications.models import BookingMail
from operations import invariants
from room_bookings.models import BookingChange, RoomBooking
from rooms.models import Room
from tests.hotel.booking_api import NOW_ISO, booking_url, changed_fields, day, event_types
from tests.http import assert_error, nothing_written

pytestmark = pytest.mark.usefixtures("afternoon")

DECIDED_AND_SEEN = {"decision_at": NOW_ISO, "staff_seen_at": NOW_ISO, "is_new_for_staff": False}
NEVER_CONFIRMED = ("IN_HOUSE", "COMPLETED", "DECLINED", "CANCELLED", "EXPIRED", "NO_SHOW")


@pytest.fixture
def office_manager_client(api, office_manager):
    """An API client signed in as the front office manager."""
    return api(office_manager)


def in_status(book, rooms, status, **fields) -> RoomBooking:
    """A booking in ``status``, with a room if the status needs one."""
    return book(status, **({"assigned_room": rooms[3]} if status == "IN_HOUSE" else {}), **fields)


# --- confirm, approve, decline ----------------------------------------------------------------------------------------


def test_confirming_a_request(agent_client, agent, book, rooms):
    request = book("PENDING_APPROVAL", primary_email="ada@example.com")
    before = agent_client.get(booking_url(agent, request)).json()
    answer = agent_client.post(booking_url(agent, request, "confirm/"))
    assert answer.status_code == 200
    assert answer["ETag"] == '"1"'
    assert answer.json() == agent_client.get(booking_url(agent, request)).json()
    assert changed_fields(before, answer.json()) == {
        "status": "CONFIRMED",
        "confirmation_number": answer.json()["confirmation_number"],
        "decision_at": NOW_ISO,
        "flags": before["flags"] | {"can_check_in": True, "can_assign_room": True, "can_cancel": True},
        "version": 1,
    }
    assert event_types() == ["booking_confirmed", "booking_confirmed"]
    assert BookingMail.objects.count() == 1
    with nothing_written():
        assert agent_client.post(booking_url(agent, request, "confirm/")).json() == answer.json()


@pytest.mark.parametrize("step", ["confirm/", "cancel/"])
def test_a_request_with_a_card_payment_must_be_approved_or_declined(agent_client, agent, book, step):
    request = book("PENDING_APPROVAL", card="AUTHORISED")
    with nothing_written():
        body = assert_error(agent_client.post(booking_url(agent, request, step)), 403, "STRIPE_BOOKING")
    assert body["details"] == {
        "required_endpoints": {
            "approve": booking_url(agent, request, "approve/"),
            "decline": booking_url(agent, request, "decline/"),
        }
    }


@pytest.mark.parametrize("step", ["approve/", "decline/"])
def test_without_a_provider_a_card_payment_cannot_be_decided(agent_client, agent, book, step):
    request = book("PENDING_APPROVAL", card="AUTHORISED")
    with nothing_written():
        assert_error(agent_client.post(booking_url(agent, request, step)), 503, "PAYMENTS_NOT_CONFIGURED")


def test_approving_a_request(agent_client, agent, book, rooms):
    request = book("PENDING_APPROVAL")
    before = agent_client.get(booking_url(agent, request)).json()
    answer = agent_client.post(booking_url(agent, request, "approve/"))
    assert answer.status_code == 200
    assert answer.json() == agent_client.get(booking_url(agent, request)).json()
    assert changed_fields(before, answer.json()) == DECIDED_AND_SEEN | {
        "status": "CONFIRMED",
        "confirmation_number": answer.json()["confirmation_number"],
        "staff_seen_by_display": agent.name,
        "flags": before["flags"] | {"can_check_in": True, "can_assign_room": True, "can_cancel": True},
        "version": 1,
    }
    with nothing_written():
        assert agent_client.post(booking_url(agent, request, "approve/")).json() == answer.json()


@pytest.mark.parametrize("step", ["confirm/", "approve/"])
@pytest.mark.parametrize("status", NEVER_CONFIRMED)
def test_only_a_pending_request_can_be_confirmed(agent_client, agent, book, rooms, step, status):
    booking = in_status(book, rooms, status)
    with nothing_written():
        answer = agent_client.post(booking_url(agent, booking, step))
    assert_error(answer, 409, "BOOKING_EXPIRED" if status == "EXPIRED" else "BOOKING_NOT_ELIGIBLE")


def test_declining_a_request(agent_client, agent, book):
    request = book("PENDING_APPROVAL", primary_email="ada@example.com")
    before = agent_client.get(booking_url(agent, request)).json()
    path = booking_url(agent, request, "decline/")
    answer = agent_client.post(path, {"reason_code": "FULL", "reason_note": "We are full."})
    assert answer.status_code == 200
    assert answer.json() == agent_client.get(booking_url(agent, request)).json()
    assert changed_fields(before, answer.json()) == DECIDED_AND_SEEN | {
        "status": "DECLINED",
        "decline_reason_code": "FULL",
        "decline_reason_note": "We are full.",
        "staff_seen_by_display": agent.name,
        "flags": before["flags"] | {"can_edit_party": False},
        "version": 1,
    }
    assert event_types() == ["booking_updated", "booking_declined"]
    assert BookingMail.objects.count() == 1
    with nothing_written():
        assert agent_client.post(path, {"reason_code": "OTHER"}).json() == answer.json()


def test_a_confirmed_booking_without_a_card_is_cancelled_not_declined(agent_client, agent, book):
    booking = book()
    with nothing_written():
        body = assert_error(agent_client.post(booking_url(agent, booking, "decline/")), 409, "BOOKING_NOT_ELIGIBLE")
    assert body["details"]["required_endpoint"] == booking_url(agent, booking, "cancel/")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"reason_code": "x" * 51}, "reason_code"),
        ({"reason_code": "\u0000"}, "reason_code"),
        ({"reason_note": "x" * 2001}, "reason_note"),
        ({"reason_note": "a\u0000"}, "reason_note"),
        ({"reason_note": {"a": 1}}, "reason_note"),
    ],
)
def test_an_invalid_decline_reason_is_named(agent_client, agent, book, fields, named):
    request = book("PENDING_APPROVAL")
    with nothing_written():
        answer = agent_client.post(booking_url(agent, request, "decline/"), fields)
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == [named]


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancelling_a_booking(agent_client, agent, book, rooms):
    booking = book(
        assigned_room=rooms[0], primary_email="ada@example.com", special_requests="cot", assignment_notes="quiet"
    )
    path = booking_url(agent, booking)
    before = agent_client.get(path).json()
    answer = agent_client.post(path + "cancel/", {"reason": " flight cancelled "})
    assert answer.status_code == 200
    assert answer["ETag"] == '"1"'
    body = answer.json()
    assert body.keys() == {"message", "booking", "cancellation_reason"}
    assert body["message"] == f"Booking {booking.booking_id} is cancelled."
    assert body["cancellation_reason"] == "flight cancelled"
    assert body["booking"] == agent_client.get(path).json()
    assert changed_fields(before, body["booking"]) == {
        "status": "CANCELLED",
        "cancelled_at": NOW_ISO,
        "cancellation_reason": "flight cancelled",
        "special_requests": f"cot\n\n[CANCELLED 2025-07-02 15:00 by {agent.name}] flight cancelled",
        "room": None,
        "assigned_room": None,
        "room_number": None,
        "assigned_room_number": None,
        "room_assigned_at": None,
        "assignment_notes": "",
        "flags": dict.fromkeys(before["flags"], False),
        "version": 1,
    }
    assert event_types() == ["booking_cancelled", "booking_cancelled"]
    assert BookingMail.objects.count() == 1
    with nothing_written():
        again = agent_client.post(path + "cancel/", {"reason": "another reason"})
        assert again.status_code == 200
        assert again.json() == body


@pytest.mark.parametrize("body", [None, {}, {"reason": None}, {"reason": ""}, {"reason": "  "}])
def test_cancelling_requires_no_reason(agent_client, agent, book, body):
    answer = agent_client.post(booking_url(agent, book(), "cancel/"), body)
    assert answer.status_code == 200
    assert answer.json()["cancellation_reason"] == ""


@pytest.mark.parametrize("status", ["COMPLETED", "DECLINED", "EXPIRED", "NO_SHOW"])
def test_a_closed_booking_cannot_be_cancelled(agent_client, agent, book, rooms, status):
    booking = in_status(book, rooms, status)
    with nothing_written():
        assert_error(agent_client.post(booking_url(agent, booking, "cancel/")), 409, "BOOKING_NOT_ELIGIBLE")


def test_a_request_must_be_declined_not_cancelled(agent_client, agent, book):
    request = book("PENDING_APPROVAL")
    with nothing_written():
        body = assert_error(agent_client.post(booking_url(agent, request, "cancel/")), 409, "BOOKING_NOT_ELIGIBLE")
    assert body["details"]["required_endpoint"] == booking_url(agent, request, "decline/")


def test_an_in_house_stay_is_cancelled_by_a_supervisor_with_a_reason(
    agent_client, office_manager_client, agent, book, rooms
):
    stay = book("IN_HOUSE", assigned_room=rooms[0])
    path = booking_url(agent, stay, "cancel/")
    with nothing_written():
        assert_error(agent_client.post(path, {"reason": "guest ill"}), 409, "BOOKING_ALREADY_CHECKED_IN")
        assert_error(office_manager_client.post(path), 409, "BOOKING_ALREADY_CHECKED_IN")
        assert_error(office_manager_client.post(path, {"reason": " "}), 409, "BOOKING_ALREADY_CHECKED_IN")
    answer = office_manager_client.post(path, {"reason": "guest ill"})
    assert answer.status_code == 200
    booking = answer.json()["booking"]
    assert (booking["status"], booking["checked_out_at"]) == ("CANCELLED", NOW_ISO)
    assert Room.objects.get(pk=rooms[0].pk).room_status == "CHECKOUT_DIRTY"
    assert invariants.violations() == []


@pytest.mark.parametrize("reason", ["x" * 2001, "\u0000", "a\u0000b", {"a": 1}, ["x"], True])
@pytest.mark.parametrize("step", ["cancel/", "no-show/", "reinstate/", "undo-check-in/"])
def test_an_invalid_cancellation_reason_is_named(office_manager_client, agent, book, step, reason):
    booking = book()
    with nothing_written():
        answer = office_manager_client.post(booking_url(agent, booking, step), {"reason": reason})
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == ["reason"]


# --- no-show, reinstate -----------------------------------------------------------------------------------------------


def test_recording_a_no_show(agent_client, agent, book, rooms):
    booking = book(check_in=day(-1), assigned_room=rooms[0])
    path = booking_url(agent, booking)
    before = agent_client.get(path).json()
    answer = agent_client.post(path + "no-show/", {"reason": "no answer"})
    assert answer.status_code == 200
    assert answer.json() == agent_client.get(path).json()
    assert changed_fields(before, answer.json()) == {
        "status": "NO_SHOW",
        "room": None,
        "assigned_room": None,
        "room_number": None,
        "assigned_room_number": None,
        "room_assigned_at": None,
        "is_late_arrival": False,
        "flags": dict.fromkeys(before["flags"], False),
        "version": 1,
    }
    assert BookingChange.objects.get().reason == "no answer"
    assert event_types() == ["booking_no_show"]
    with nothing_written():
        assert agent_client.post(path + "no-show/").json() == answer.json()


def test_todays_arrival_cannot_be_a_no_show(agent_client, agent, book):
    booking = book()
    with nothing_written():
        assert_error(agent_client.post(booking_url(agent, booking, "no-show/")), 409, "ARRIVAL_NOT_OVER")


@pytest.mark.parametrize("status", ["PENDING_APPROVAL", "IN_HOUSE", "COMPLETED", "DECLINED", "CANCELLED", "EXPIRED"])
def test_only_a_confirmed_booking_can_be_a_no_show(agent_client, agent, book, rooms, status):
    booking = in_status(book, rooms, status, check_in=day(-1))
    with nothing_written():
        assert_error(agent_client.post(booking_url(agent, booking, "no-show/")), 409, "BOOKING_NOT_ELIGIBLE")


@pytest.mark.parametrize("status", ["CANCELLED", "NO_SHOW"])
def test_a_supervisor_reinstates_a_booking(office_manager_client, agent, book, rooms, status):
    booking = book(status, cancellation_reason="wrong one" if status == "CANCELLED" else "")
    path = booking_url(agent, booking)
    before = office_manager_client.get(path).json()
    answer = office_manager_client.post(path + "reinstate/", {"reason": "it was another guest"})
    assert answer.status_code == 200
    assert answer.json() == office_manager_client.get(path).json()
    taken_back = {"cancelled_at": None, "cancellation_reason": ""} if status == "CANCELLED" else {}
    assert changed_fields(before, answer.json()) == taken_back | {
        "status": "CONFIRMED",
        "flags": before["flags"]
        | {"can_check_in": True, "can_assign_room": True, "can_cancel": True, "can_edit_party": True},
        "version": 1,
    }
    assert event_types() == ["booking_updated"]
    with nothing_written():
        assert_error(office_manager_client.post(path + "reinstate/", {"reason": "again"}), 409, "BOOKING_NOT_ELIGIBLE")


def test_a_booking_cannot_be_reinstated_in_a_full_hotel(office_manager_client, agent, book, rooms):
    cancelled = book("CANCELLED")
    for _ in rooms:
        book()
    with nothing_written():
        answer = office_manager_client.post(booking_url(agent, cancelled, "reinstate/"), {"reason": "mistake"})
    assert_error(answer, 409, "NO_AVAILABILITY")


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "   "}, {"reason": None}])
@pytest.mark.parametrize("step", ["reinstate/", "undo-check-in/"])
def test_reinstating_requires_a_reason(office_manager_client, agent, book, step, body):
    cancelled = book("CANCELLED")
    with nothing_written():
        answer = office_manager_client.post(booking_url(agent, cancelled, step), body)
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == ["reason"]
