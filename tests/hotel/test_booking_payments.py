"""A booking with a card payment, from request to refund, through the API (docs/api.md, Payments)."""

from datetime import timedelta

import pytest

from common import clock
from operations import invariants
from room_bookings.models import RoomBooking
from tests.conftest import url
from tests.hotel.booking_api import NOW, NOW_ISO, booking_url, changed_fields, day
from tests.http import assert_error, nothing_written

pytestmark = pytest.mark.usefixtures("afternoon")


@pytest.fixture
def request_by_card(stripe, agent_client, agent, standard, rooms) -> RoomBooking:
    """A booking request created through the API, with an authorised payment."""
    stripe.authorise("pi_1")
    body = {
        "room_type_id": standard.pk,
        "check_in": str(day(1)),
        "check_out": str(day(3)),
        "primary_first_name": "Grace",
        "primary_last_name": "Hopper",
        "payment_provider": "stripe",
        "payment_reference": "pi_1",
    }
    assert agent_client.post(url(agent, "room-bookings/"), body).json()["status"] == "PENDING_APPROVAL"
    return RoomBooking.objects.get()


def test_money_is_captured_once_and_refunded_once(stripe, agent_client, agent, request_by_card):
    path = booking_url(agent, request_by_card)
    before = agent_client.get(path).json()
    approved = agent_client.post(path + "approve/")
    assert approved.status_code == 200
    assert approved.json() == agent_client.get(path).json()
    assert changed_fields(before, approved.json()) == {
        "status": "CONFIRMED",
        "confirmation_number": approved.json()["confirmation_number"],
        "paid_at": NOW_ISO,
        "decision_at": NOW_ISO,
        "staff_seen_at": NOW_ISO,
        "staff_seen_by_display": agent.name,
        "is_new_for_staff": False,
        "flags": before["flags"] | {"can_assign_room": True},
        "version": 1,
    }
    with nothing_written():
        assert agent_client.post(path + "approve/").json() == approved.json()
        assert_error(agent_client.post(path + "cancel/"), 403, "STRIPE_BOOKING")
    assert stripe.moved("pi_1") == {"captured": 1}
    declined = agent_client.post(path + "decline/", {"reason_note": "The house is flooded."})
    assert declined.status_code == 200
    assert declined.json() == agent_client.get(path).json()
    assert (declined.json()["status"], declined.json()["decline_reason_note"]) == ("DECLINED", "The house is flooded.")
    with nothing_written():
        assert agent_client.post(path + "decline/").json() == declined.json()
    assert stripe.moved("pi_1") == {"captured": 1, "refunded": 1}
    assert invariants.violations() == []


@pytest.mark.parametrize(
    ("step", "action", "code"),
    [("approve/", "capture", "PAYMENT_CAPTURE_FAILED"), ("decline/", "cancel", "PAYMENT_VOID_FAILED")],
)
def test_a_refusing_provider_is_502_and_the_booking_unchanged(
    stripe, agent_client, agent, request_by_card, step, action, code
):
    path = booking_url(agent, request_by_card)
    before = agent_client.get(path).json()
    stripe.fail(action, "refuse")
    assert_error(agent_client.post(path + step), 502, code)
    assert agent_client.get(path).json() == before
    assert stripe.moved("pi_1") == {}
    assert agent_client.post(path + step).status_code == 200  # the retry succeeds


def test_an_expired_authorisation_is_reported(stripe, agent_client, agent, request_by_card):
    stripe.expire("pi_1")
    path = booking_url(agent, request_by_card)
    before = agent_client.get(path).json()
    assert_error(agent_client.post(path + "approve/"), 409, "AUTHORIZATION_EXPIRED")
    assert agent_client.get(path).json() == before


def test_approval_after_the_deadline_is_refused(stripe, agent_client, agent, request_by_card):
    with clock.set_to(NOW + timedelta(hours=9)), nothing_written():
        body = assert_error(agent_client.post(booking_url(agent, request_by_card, "approve/")), 409, "BOOKING_EXPIRED")
    assert body["details"]["approval_deadline_at"] == "2025-07-02T22:00:00Z"
    assert stripe.calls == []
