"""A booking's mails at the front desk, and resending them (docs/api.md, Bookings)."""

from datetime import timedelta

import pytest
from django.core import mail as django_mail

from common import clock
from notifications.mail import queue_booking_mail
from notifications.mail_sending import send_queued
from notifications.models import BookingMail, MailKind
from room_bookings.models import RoomBooking
from room_bookings.services.cancel import cancel_booking
from tests.factories import HotelFactory, booking_in
from tests.hotel.booking_api import NOW_ISO, booking_url, day, event_types
from tests.http import assert_error, nothing_written

pytestmark = pytest.mark.usefixtures("afternoon")


@pytest.fixture
def booking(book) -> RoomBooking:
    return book(check_in=day(2), check_out=day(4), primary_email="ada@example.com")


def queue(booking, kind=MailKind.CONFIRMATION) -> BookingMail:
    found = RoomBooking.objects.select_related("hotel", "room_type").get(pk=booking.pk)
    return queue_booking_mail(found, kind)


def test_the_list_shows_each_mails_state(agent_client, agent, booking):
    first = queue(booking)
    assert send_queued() == 1
    second = queue(booking, MailKind.CHANGE)
    BookingMail.objects.update(due_at=clock.now() + timedelta(minutes=1))
    BookingMail.objects.filter(pk=second.pk).update(
        tries=1, reason="The mail server temporarily refused the address (450)."
    )
    answer = agent_client.get(booking_url(agent, booking, "mails/"))
    assert answer.status_code == 200
    common = {"to_address": "ada@example.com", "queued_at": NOW_ISO, "queued_by_name": None, "tries": 1}
    assert answer.json() == {
        "count": 2,
        "next": None,
        "previous": None,
        "results": [
            common
            | {
                "id": second.pk,
                "kind": "CHANGE",
                "kind_display": "New dates",
                "state": "QUEUED",
                "state_display": "Queued",
                "next_try_at": "2025-07-02T14:01:00Z",
                "sent_at": None,
                "settled_at": None,
                "reason": "The mail server temporarily refused the address (450).",
                "can_send_again": True,
            },
            common
            | {
                "id": first.pk,
                "kind": "CONFIRMATION",
                "kind_display": "Confirmation",
                "state": "SENT",
                "state_display": "Sent",
                "next_try_at": None,
                "sent_at": NOW_ISO,
                "settled_at": NOW_ISO,
                "reason": "",
                "can_send_again": True,
            },
        ],
    }


def test_a_cancellation_shows_the_mails_that_it_dropped(agent_client, agent, booking):
    queue(booking)
    cancel_booking(booking=booking, staff=agent)
    cancellation, confirmation = agent_client.get(booking_url(agent, booking, "mails/")).json()["results"]
    assert (cancellation["kind"], cancellation["state"], cancellation["can_send_again"]) == (
        "CANCELLATION",
        "QUEUED",
        True,
    )
    assert (confirmation["state"], confirmation["settled_at"], confirmation["sent_at"]) == ("DROPPED", NOW_ISO, None)
    assert (confirmation["reason"], confirmation["can_send_again"]) == ("Replaced by a newer e-mail.", False)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_list_takes_four_statements_and_is_paginated(agent_client, agent, booking, statements, size):
    for _ in range(size):
        queue(booking)
    with statements() as made:
        answer = agent_client.get(booking_url(agent, booking, "mails/?page_size=2")).json()
    assert len(made) == 4, made.sql()
    assert (answer["count"], len(answer["results"])) == (size, min(size, 2))
    assert [mail["state"] for mail in answer["results"]] == ["QUEUED", "DROPPED"][: min(size, 2)]
    assert agent_client.get(booking_url(agent, booking, "mails/?page=99")).json()["results"] == []


def test_a_booking_without_mails_has_none(agent_client, agent, booking):
    assert agent_client.get(booking_url(agent, booking, "mails/")).json()["results"] == []


def test_resending_a_mail(agent_client, agent, booking):
    first = queue(booking)
    assert send_queued() == 1
    RoomBooking.objects.update(primary_email="new@example.com")
    answer = agent_client.post(booking_url(agent, booking, f"mails/{first.pk}/send-again/"))
    assert answer.status_code == 200
    again = answer.json()
    assert (again["state"], again["to_address"], again["queued_by_name"]) == ("QUEUED", "new@example.com", agent.name)
    assert again["id"] != first.pk
    assert again == agent_client.get(booking_url(agent, booking, "mails/")).json()["results"][0]
    assert event_types() == ["booking_updated"]
    assert send_queued() == 1
    assert django_mail.outbox[1].to == ["new@example.com"]


def test_two_resend_requests_send_one_mail(agent_client, agent, booking):
    mail = queue(booking)
    send_queued()
    path = booking_url(agent, booking, f"mails/{mail.pk}/send-again/")
    first = agent_client.post(path).json()
    with nothing_written():
        assert agent_client.post(path).json() == first
    assert send_queued() == 1


def test_resending_does_not_change_the_bookings_version(agent_client, agent, booking):
    """So a form that is open at the front desk can still be saved."""
    mail = queue(booking)
    agent_client.post(booking_url(agent, booking, f"mails/{mail.pk}/send-again/"))
    assert RoomBooking.objects.get().version == booking.version


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": "NO_SHOW"}, "MAIL_OVERTAKEN"),
        ({"primary_email": ""}, "NO_EMAIL_ADDRESS"),
    ],
)
def test_mails_that_cannot_be_resent(agent_client, agent, booking, change, code):
    mail = queue(booking)
    send_queued()
    RoomBooking.objects.update(**change)
    with nothing_written():
        assert_error(agent_client.post(booking_url(agent, booking, f"mails/{mail.pk}/send-again/")), 409, code)
    [row] = agent_client.get(booking_url(agent, booking, "mails/")).json()["results"]
    assert row["can_send_again"] is False


def test_a_mail_being_sent_cannot_be_resent(agent_client, agent, booking):
    mail = queue(booking)
    BookingMail.objects.update(state="SENDING", claimed_at=clock.now())
    with nothing_written():
        assert_error(
            agent_client.post(booking_url(agent, booking, f"mails/{mail.pk}/send-again/")), 409, "MAIL_BEING_SENT"
        )
    [row] = agent_client.get(booking_url(agent, booking, "mails/")).json()["results"]
    assert (row["can_send_again"], row["next_try_at"]) == (False, None)


def test_the_mail_of_another_booking_or_hotel_is_not_found(agent_client, agent, booking, book):
    other = book(check_in=day(2), check_out=day(4), primary_email="ada@example.com")
    elsewhere = booking_in("CONFIRMED", hotel=HotelFactory(slug="other"), primary_email="ada@example.com")
    queue(booking)
    for stranger in (queue(other), queue(elsewhere)):
        with nothing_written():
            answer = agent_client.post(booking_url(agent, booking, f"mails/{stranger.pk}/send-again/"))
        assert_error(answer, 404, "MAIL_NOT_FOUND")
    assert_error(
        agent_client.post(booking_url(agent, booking, "mails/99999999999999999999/send-again/")), 404, "MAIL_NOT_FOUND"
    )
    assert_error(agent_client.get(booking_url(agent, elsewhere, "mails/")), 404, "BOOKING_NOT_FOUND")
    assert agent_client.get(booking_url(agent, booking, "mails/")).json()["count"] == 1


def test_the_list_does_not_contain_the_mails_text(agent_client, agent, booking):
    queue(booking)
    text = agent_client.get(booking_url(agent, booking, "mails/")).content.decode()
    assert "Lovelace" not in text
    assert "Dear" not in text


def test_changed_dates_are_mailed(agent_client, agent, booking, rooms):
    agent_client.patch(booking_url(agent, booking), {"check_out": str(day(5))})
    [mail] = agent_client.get(booking_url(agent, booking, "mails/")).json()["results"]
    assert (mail["kind"], mail["state"]) == ("CHANGE", "QUEUED")
    assert send_queued() == 1
    assert "Departure: Monday, 7 July 2025\n" in django_mail.outbox[0].body
