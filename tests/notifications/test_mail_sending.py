"""Sending mail: each is sent once, none is lost, superseded mails are dropped, refused mails are not retried."""

import logging
import random
import smtplib
import threading
import time
from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.core import mail as django_mail
from django.core.mail.backends import locmem
from django.core.management import call_command
from django.core.validators import validate_email
from django.db import connection, transaction

from common import clock
from hotel.models import Hotel
from notifications import mail_sending
from notifications.mail import NEWER, SUBJECTS, message_id, open_mails, queue_booking_mail, send_again
from notifications.mail_sending import LONGEST_TALK, Outcome, send_next, send_queued
from notifications.models import BookingMail, MailKind, MailState
from operations.invariants import violations
from room_bookings.models import RoomBooking
from room_bookings.selectors import booking_lock
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.edit import edit_booking
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.reinstate import reinstate_booking
from tests.factories import HotelFactory, booking_in
from tests.notifications.conftest import until
from tests.races import Writer, locks_removed, overlap
from tests.room_bookings.small_hotel import (
    NOW,
    SmallHotel,
    day,
    last_event,
    nothing_written,
    open_small_hotel,
    published_events,
)

pytestmark = pytest.mark.django_db
TRANSACTIONS = pytest.mark.django_db(transaction=True)


@pytest.fixture
def small_hotel(db):
    with clock.set_to(NOW):
        yield open_small_hotel()


def booked(small_hotel: SmallHotel | None = None, **fields) -> RoomBooking:
    """A confirmed booking of a guest with an e-mail address."""
    hotel_fields = (
        {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
        if small_hotel
        else {"hotel": HotelFactory(name="Grand")}
    )
    dates = {"check_in": day(2), "check_out": day(4)} if small_hotel else {}
    booking = booking_in("CONFIRMED", **hotel_fields | dates | {"primary_email": "ada@example.com"} | fields)
    return RoomBooking.objects.select_related("hotel", "room_type").get(pk=booking.pk)


def confirmed(small_hotel: SmallHotel | None = None, **fields) -> RoomBooking:
    """A booking with a confirmation in the queue."""
    booking = booked(small_hotel, **fields)
    queue_booking_mail(booking, MailKind.CONFIRMATION)
    return booking


class Provider(locmem.EmailBackend):
    """A fake provider: raises the given failures, else delivers to ``django.core.mail.outbox``."""

    failures: list[Exception] = []
    always: Exception | None = None

    def send_messages(self, messages):
        if self.always or self.failures:
            raise self.always or self.failures.pop(0)
        return super().send_messages(messages)


@pytest.fixture
def provider(settings, monkeypatch) -> type[Provider]:
    settings.EMAIL_BACKEND = f"{__name__}.Provider"
    monkeypatch.setattr(Provider, "failures", [])
    monkeypatch.setattr(Provider, "always", None)
    return Provider


@pytest.fixture
def smtp(settings, mail_server):
    """``smtp(answers=…)`` starts a mail server and directs the mail to it."""

    def start(**options):
        server = mail_server(**options)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        return server

    return start


def delivered() -> list[str]:
    return [email.subject.partition("] ")[2] for email in django_mail.outbox]


def mail_states(booking: RoomBooking) -> list[tuple[str, str, int, str]]:
    """Kind, state, attempts and reason of each mail of a booking, oldest first."""
    mails = BookingMail.objects.filter(booking=booking).order_by("pk")
    return [(mail.kind, mail.state, mail.tries, mail.reason) for mail in mails]


def minutes_pass(minutes: float):
    return clock.set_to(clock.now() + timedelta(minutes=minutes))


# --- sending ----------------------------------------------------------------------------------------------------------


def test_each_mail_is_sent_once_and_removed_from_the_queue():
    bookings = [confirmed() for _ in range(2)]
    identities = [message_id(mail) for mail in BookingMail.objects.order_by("pk")]
    assert send_queued() == 2
    assert send_queued() == 0
    assert [email.to for email in django_mail.outbox] == [["ada@example.com"]] * 2
    assert [email.extra_headers["Message-ID"] for email in django_mail.outbox] == identities
    for booking in bookings:
        assert mail_states(booking) == [("CONFIRMATION", "SENT", 1, "")]
    [mail, _] = BookingMail.objects.all()
    assert mail.claimed_at is None
    assert clock.now() - mail.settled_at < timedelta(minutes=1)


def test_it_stops_between_two_mails():
    for _ in range(3):
        confirmed()
    answers = iter([False, False, True])
    assert send_queued(should_stop=lambda: next(answers)) == 2
    assert open_mails().count() == 1


def test_failed_mail_backs_off_and_others_are_sent(provider):
    confirmed(booking_id="BK-2026-0007")
    confirmed(booking_id="BK-2026-0008")
    began = clock.now()
    provider.failures = [ConnectionRefusedError(), smtplib.SMTPServerDisconnected(), TimeoutError()]
    with clock.set_to(began):
        assert send_next() == Outcome.FAILED
        assert send_queued() == 0  # the second mail's first attempt
        assert send_next() == Outcome.NONE_DUE
    waiting = open_mails().order_by("pk")
    assert [(mail.tries, mail.due_at - began) for mail in waiting] == [(1, timedelta(minutes=1))] * 2
    with clock.set_to(began + timedelta(seconds=59)):
        assert send_next() == Outcome.NONE_DUE
    with clock.set_to(began + timedelta(seconds=60)):
        assert send_next() == Outcome.FAILED
        assert send_queued() == 1  # the provider is up again
        assert send_next() == Outcome.NONE_DUE
    [still] = waiting.all()
    assert (still.tries, still.due_at - began) == (2, timedelta(minutes=3))
    with clock.set_to(began + timedelta(minutes=3)):
        assert send_queued() == 1
    assert sorted(delivered()) == ["Your booking BK-2026-0007 is confirmed", "Your booking BK-2026-0008 is confirmed"]
    assert sorted(BookingMail.objects.values_list("state", "tries")) == [("SENT", 2), ("SENT", 3)]


def test_delays_grow_to_four_hours_and_giving_up_after_three_days_is_logged(provider, caplog):
    booking = confirmed()
    number = BookingMail.objects.get().pk
    provider.always = smtplib.SMTPRecipientsRefused({"ada@example.com": (451, b"ada@example.com: not now")})
    moment, pauses = clock.now(), []
    for place in range(mail_sending.GIVE_UP_AFTER):
        with clock.set_to(moment):
            assert send_next() == Outcome.FAILED
        if place < mail_sending.GIVE_UP_AFTER - 1:
            due_at = BookingMail.objects.get().due_at
            pauses.append(due_at - moment)
            moment = due_at
    minutes = [pause.total_seconds() / 60 for pause in pauses]
    assert minutes[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 240, 240]
    assert timedelta(days=2.5) < sum(pauses, timedelta()) < timedelta(days=3.5)
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.WARNING] * (mail_sending.GIVE_UP_AFTER - 1) + [logging.ERROR]
    assert caplog.messages[0] == f"mail {number}: try 1 failed (SMTPRecipientsRefused 451); next in 60 s"
    assert caplog.messages[-1] == (
        f"mail {number} failed after 25 tries (SMTPRecipientsRefused 451); staff can send it again"
    )
    assert mail_states(booking) == [
        (
            "CONFIRMATION",
            "FAILED",
            25,
            "Given up after 25 tries. The mail server temporarily refused the address (451).",
        )
    ]
    with clock.set_to(moment + timedelta(days=30)):
        assert send_next() == Outcome.NONE_DUE
    # Once the cause is fixed, staff send it again.
    provider.always = None
    send_again(mail=BookingMail.objects.get(), staff=None)
    assert send_queued() == 1
    assert len(delivered()) == 1


def test_all_queued_mails_are_tried_when_the_provider_recovers(provider):
    for _ in range(2):
        confirmed()
    provider.failures = [TimeoutError()] * 2
    assert [send_next(), send_next(), send_next()] == [Outcome.FAILED, Outcome.FAILED, Outcome.NONE_DUE]
    call_command("retry_mails")
    assert send_queued() == 2


def test_no_log_line_names_the_guest(provider, caplog):
    for _ in range(2):
        confirmed()
    caplog.set_level(logging.DEBUG)
    provider.failures = [smtplib.SMTPDataError(451, b"greylisted: ada@example.com")]
    send_queued()
    send_queued()
    assert len(delivered()) == 1
    assert caplog.messages == [f"mail {open_mails().get().pk}: try 1 failed (SMTPDataError 451); next in 60 s"]


def test_mail_that_cannot_be_rendered_is_given_up_visibly(monkeypatch):
    booking = confirmed()
    confirmed()

    def compose(mail, about):
        if about.pk == booking.pk:
            raise ZeroDivisionError
        return real(mail, about)

    real = mail_sending.compose
    monkeypatch.setattr(mail_sending, "compose", compose)
    assert send_queued() == 1
    assert mail_states(booking) == [
        ("CONFIRMATION", "FAILED", 1, "The address or the e-mail is invalid: no mail server would accept it.")
    ]
    assert not open_mails().exists()


def test_mail_queued_by_the_previous_release_is_sent():
    """During an upgrade its web processes still queue mails, with a column that this release no longer knows."""
    booking = booked()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notifications_bookingmail (hotel_id, booking_id, kind, state, to_address, queued_at, tries,"
            " reason, queue_number) VALUES (%s, %s, 'CONFIRMATION', 'QUEUED', 'ada@example.com', now(), 0, '', 1)",
            [booking.hotel_id, booking.pk],
        )
    assert send_queued() == 1
    assert mail_states(booking) == [("CONFIRMATION", "SENT", 1, "")]


@pytest.mark.parametrize(
    "address",
    [
        "o'hara@example.com",
        '"ada\\ lovelace"@example.com',
        '"a,b"@example.com',
        '"\x01"@example.com',
        '"\\\x0b"@example.com',
        "ada@bücher.example",
        "ada@[127.0.0.1]",
        "ada@localhost",
        "a" * 64 + "@" + "b" * 63 + ".example",
    ],
)
def test_odd_address_raises_nothing_and_delays_no_other_mail(address):
    """Any address that Django's validation accepts; one that SMTP cannot express is given up, visibly for staff."""
    validate_email(address)
    odd = confirmed(primary_email=address)
    confirmed()
    first = send_next()
    send_queued()
    assert django_mail.outbox[-1].to == ["ada@example.com"]
    assert not open_mails().exists()
    if first == Outcome.SENT:
        assert django_mail.outbox[0].to == [address]
    else:
        refused = "The address or the e-mail is invalid: no mail server would accept it."
        assert mail_states(odd) == [("CONFIRMATION", "FAILED", 1, refused)]


# --- superseded -------------------------------------------------------------------------------------------------------

GREYLISTED = "450 4.2.0 greylisted, ada@example.com"


def test_greylisted_confirmation_does_not_arrive_after_the_cancellation(small_hotel, smtp):
    server = smtp(answers={"RCPT": [GREYLISTED]})
    booking = confirmed(small_hotel)
    assert send_next() == Outcome.FAILED
    assert mail_states(booking) == [
        ("CONFIRMATION", "QUEUED", 1, "The mail server temporarily refused the address (450).")
    ]
    cancel_booking(booking=booking, staff=small_hotel.agent)
    with minutes_pass(60):
        assert send_queued() == 1
    assert [subject.rpartition(" ")[2] for subject in server.subjects] == ["cancelled"]
    assert mail_states(booking) == [("CONFIRMATION", "DROPPED", 1, NEWER), ("CANCELLATION", "SENT", 1, "")]


def test_greylisted_cancellation_does_not_arrive_after_the_reinstatement(small_hotel, smtp):
    server = smtp(answers={"RCPT": ["250 fine", GREYLISTED]})
    booking = confirmed(small_hotel)
    assert send_queued() == 1
    cancel_booking(booking=booking, staff=small_hotel.agent)
    assert send_next() == Outcome.FAILED
    reinstate_booking(booking=booking, staff=small_hotel.manager, reason="a mistake")
    with minutes_pass(600):
        assert send_queued() == 1
    assert [subject.rpartition(" ")[2] for subject in server.subjects] == ["confirmed", "confirmed"]
    assert [state for _, state, *_ in mail_states(booking)] == ["SENT", "DROPPED", "SENT"]


def test_mail_superseded_by_an_action_without_mail_is_dropped_and_published(small_hotel, smtp):
    """For example, a confirmation still queued when the guest becomes a no-show."""
    server = smtp(answers={"RCPT": [GREYLISTED]})
    booking = confirmed(small_hotel, check_in=day(-1), check_out=day(2))
    assert send_next() == Outcome.FAILED
    mark_no_show(booking=booking, staff=small_hotel.agent)
    since = last_event()
    with minutes_pass(5):
        assert send_next() == Outcome.NONE_DUE
        with nothing_written():
            assert send_next() == Outcome.NONE_DUE
    assert server.received == []
    assert mail_states(booking) == [("CONFIRMATION", "DROPPED", 1, "The booking's status is now no-show.")]
    assert published_events(since) == [("room-bookings", "booking_updated")]
    assert not open_mails().exists()


def test_queued_mail_goes_to_the_current_address(small_hotel, smtp):
    server = smtp(answers={"RCPT": [GREYLISTED]})
    booking = confirmed(small_hotel)
    send_next()
    edit_booking(
        booking=booking, staff=small_hotel.agent, primary_email="grace@example.com", adults=2, total_amount=Decimal(99)
    )
    with minutes_pass(5):
        assert send_queued() == 1
    [mail] = server.mails
    assert mail["To"] == "grace@example.com"
    text = mail.get_body(("plain",)).get_content()
    assert "Guests: 2 adults" in text
    assert "Total: 99.00 EUR" in text
    assert BookingMail.objects.get().to_address == "grace@example.com"


def test_mail_without_an_address_is_dropped(small_hotel, smtp):
    server = smtp(answers={"RCPT": [GREYLISTED]})
    booking = confirmed(small_hotel)
    send_next()
    edit_booking(booking=booking, staff=small_hotel.agent, primary_email="")
    with minutes_pass(5):
        assert send_queued() == 0
    assert server.received == []
    reason = "The booking no longer has an e-mail address."
    assert mail_states(booking) == [("CONFIRMATION", "DROPPED", 1, reason)]


# --- failures of one hotel or booking ---------------------------------------------------------------------------------


def set_unknown_timezone(booking: RoomBooking) -> None:
    """A hotel with an unknown timezone."""
    Hotel.objects.filter(pk=booking.hotel_id).update(timezone="Mars/Olympus_Mons")


@pytest.mark.parametrize("answers", [{}, {"RCPT": ["550 no such guest"]}], ids=["overtaken", "refused"])
def test_hotel_with_an_unknown_timezone_delays_no_mail(smtp, answers):
    server = smtp(answers=answers)
    there = confirmed(booking_id="BK-2026-0007")
    confirmed(booking_id="BK-2026-0008")
    set_unknown_timezone(there)
    if not answers:
        RoomBooking.objects.filter(pk=there.pk).update(status="NO_SHOW")
    assert send_queued() == 1
    assert server.subjects == ["Your booking BK-2026-0008 is confirmed"]
    assert [state for _, state, *_ in mail_states(there)] == ["FAILED" if answers else "DROPPED"]
    assert send_next() == Outcome.NONE_DUE


def test_booking_that_raises_delays_only_its_own_mail(monkeypatch, caplog):
    broken = confirmed(booking_id="BK-2026-0007")
    confirmed(booking_id="BK-2026-0008")
    number = BookingMail.objects.order_by("pk").first().pk
    lock = mail_sending.booking_lock

    def locked(ids):
        if ids == [broken.pk]:
            raise ZeroDivisionError
        return lock(ids)

    monkeypatch.setattr(mail_sending, "booking_lock", locked)
    assert send_queued() == 1
    assert delivered() == ["Your booking BK-2026-0008 is confirmed"]
    [record, *_] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, f"mail {number} has to wait: ZeroDivisionError")
    assert record.exc_info[0] is ZeroDivisionError


# --- refused ----------------------------------------------------------------------------------------------------------

PERMANENT = [
    ({"RCPT": ["550 5.1.1 no ada@example.com here"]}, "The mail server refused the address (550)."),
    ({"RCPT": ["553 5.1.3 what an address"]}, "The mail server refused the address (553)."),
    ({"DATA": ["554 5.7.1 spam"]}, "The mail server refused the e-mail (554)."),
    ({"END": ["552 5.3.4 too big"]}, "The mail server refused the e-mail (552)."),
]
TEMPORARY = [
    ({"RCPT": [GREYLISTED]}, "The mail server temporarily refused the address (450)."),
    ({"RCPT": ["421 4.3.2 shutting down"]}, "The mail server temporarily refused the address (421)."),
    ({"RCPT": ["452 4.2.2 mailbox full"]}, "The mail server temporarily refused the address (452)."),
    ({"END": ["451 4.3.0 try again"]}, "The mail server temporarily refused the e-mail (451)."),
    ({"CONNECT": ["421 4.3.2 too busy"]}, "The mail server was not ready (421)."),
]
# Final, but not about the guest: our settings or our account must be fixed.
OURS = [
    ({"CONNECT": ["554 5.3.2 go away"]}, "The mail server was not ready (554)."),
    ({"MAIL": ["553 5.7.1 not your address"]}, "The mail server refused HotelMate's sender address (553)."),
    ({"MAIL": ["530 5.7.0 sign in first"]}, "The mail server refused HotelMate's sender address (530)."),
    ({"RCPT": ["530 5.7.0 sign in first"]}, "The mail server temporarily refused the address (530)."),
    (
        {"EHLO": ["250-here\r\n250 AUTH PLAIN"], "AUTH": ["535 5.7.8 no such account"]},
        "The mail server refused HotelMate's sign-in (535).",
    ),
]


def first_verb(case) -> str:
    return " ".join(f"{verb} {lines[0][:3]}" for verb, lines in case.items()) if isinstance(case, dict) else ""


@pytest.mark.parametrize(("answers", "reason"), PERMANENT, ids=first_verb)
def test_permanent_refusal_is_not_retried_and_is_published(small_hotel, smtp, caplog, answers, reason):
    server = smtp(answers=answers)
    refused, other = confirmed(small_hotel), confirmed(small_hotel)
    number, since = BookingMail.objects.order_by("pk").first().pk, last_event()
    assert send_queued() == 1  # the next one is sent: the server works
    assert mail_states(refused) == [("CONFIRMATION", "FAILED", 1, reason)]
    assert mail_states(other) == [("CONFIRMATION", "SENT", 1, "")]
    assert published_events(since) == [("room-bookings", "booking_updated")]
    assert not open_mails().exists()
    with clock.set_to(clock.now() + timedelta(days=10)):
        assert send_queued() == 0
    assert len(server.received) == 1
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"mail {number} was permanently refused (SMTP")
    assert "ada" not in record.getMessage()


@pytest.mark.parametrize(("answers", "reason"), TEMPORARY, ids=first_verb)
def test_temporary_refusal_is_retried(small_hotel, smtp, caplog, answers, reason):
    server = smtp(answers=answers)
    booking, since = confirmed(small_hotel), last_event()
    assert send_next() == Outcome.FAILED
    assert mail_states(booking) == [("CONFIRMATION", "QUEUED", 1, reason)]
    assert published_events(since) == []
    with minutes_pass(1):
        assert send_queued() == 1
    assert mail_states(booking) == [("CONFIRMATION", "SENT", 2, "")]
    assert len(server.received) == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize(("answers", "reason"), OURS, ids=first_verb)
def test_refusal_of_our_configuration_is_retried_and_logged_as_an_error(
    small_hotel, smtp, settings, caplog, answers, reason
):
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = ("hotel", "wrong") if "AUTH" in answers else ("", "")
    server = smtp(answers=answers)
    booking = confirmed(small_hotel)
    assert send_next() == Outcome.FAILED
    assert mail_states(booking) == [("CONFIRMATION", "QUEUED", 1, reason)]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "wrong" not in caplog.text
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    with minutes_pass(1):
        assert send_queued() == 1
    assert len(server.received) == 1


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), smtplib.SMTPServerDisconnected("bye")])
def test_unreachable_server_is_retried(small_hotel, provider, error):
    provider.failures = [error]
    booking = confirmed(small_hotel)
    assert send_next() == Outcome.FAILED
    reason = f"The mail server could not be reached ({type(error).__name__})."
    assert mail_states(booking) == [("CONFIRMATION", "QUEUED", 1, reason)]
    with minutes_pass(1):
        assert send_queued() == 1


def test_mail_is_retried_if_one_of_two_recipients_is_deferred():
    refusals = {"ada@example.com": (550, b"no"), "grace@example.com": (450, b"later")}
    assert not mail_sending.is_permanent(smtplib.SMTPRecipientsRefused(refusals))
    refusals["grace@example.com"] = (551, b"no")
    assert mail_sending.is_permanent(smtplib.SMTPRecipientsRefused(refusals))


# --- several connections ----------------------------------------------------------------------------------------------


class SlowBackend(locmem.EmailBackend):
    """A provider that holds the first mail until the test releases it."""

    began, may_end = threading.Event(), threading.Event()
    in_transaction: list[bool] = []
    failure: Exception | None = None

    def send_messages(self, messages):
        self.in_transaction.append(connection.in_atomic_block)
        if not self.began.is_set():
            self.began.set()
            assert self.may_end.wait(10)
            if self.failure:
                raise self.failure
        return super().send_messages(messages)


@pytest.fixture
def slow_provider(settings, monkeypatch):
    settings.EMAIL_BACKEND = f"{__name__}.SlowBackend"
    monkeypatch.setattr(SlowBackend, "failure", None)
    SlowBackend.began.clear()
    SlowBackend.may_end.clear()
    SlowBackend.in_transaction.clear()
    yield SlowBackend
    SlowBackend.may_end.set()


def sending(slow_provider) -> Writer:
    """A worker in the middle of sending."""
    worker = Writer(send_next)
    worker.start()
    assert slow_provider.began.wait(10)
    return worker


@TRANSACTIONS
def test_worker_skips_a_mail_that_another_is_sending(slow_provider):
    """Neither waits, no transaction stays open, and the second worker takes the next booking's mail."""
    for number in (7, 8):
        confirmed(booking_id=f"BK-2026-000{number}")
    first = sending(slow_provider)
    assert (send_next(), send_next()) == (Outcome.SENT, Outcome.NONE_DUE)
    assert delivered() == ["Your booking BK-2026-0008 is confirmed"]
    slow_provider.may_end.set()
    assert first.outcome() == Outcome.SENT
    assert sorted(delivered())[0] == "Your booking BK-2026-0007 is confirmed"
    assert len(delivered()) == 2
    assert slow_provider.in_transaction == [False, False]
    assert not open_mails().exists()


@TRANSACTIONS
def test_both_workers_send_it_without_the_lock(monkeypatch, slow_provider):
    """The twin: the race is real."""
    confirmed()
    monkeypatch.setattr(mail_sending, "advisory_lock", lambda *_keys: nullcontext(enter_result=True))
    first = sending(slow_provider)
    assert send_next() == Outcome.SENT
    slow_provider.may_end.set()
    first.outcome()
    assert len(delivered()) == 2


@TRANSACTIONS
def test_mail_just_sent_by_another_worker_is_not_sent_again(monkeypatch):
    """Both saw it queued; the second got the lock after the first released it."""
    confirmed()
    lock = mail_sending.advisory_lock

    def late(*keys):
        monkeypatch.setattr(mail_sending, "advisory_lock", lock)
        other = Writer(send_next)
        other.start()
        assert other.outcome() == Outcome.SENT
        return lock(*keys)

    monkeypatch.setattr(mail_sending, "advisory_lock", late)
    assert send_next() == Outcome.NONE_DUE
    assert len(delivered()) == 1


@TRANSACTIONS
def test_many_workers_send_each_mail_once():
    for _ in range(30):
        confirmed()
    identities = sorted(message_id(mail) for mail in BookingMail.objects.all())
    workers = [Writer(send_queued) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert sum(worker.outcome() for worker in workers) == 30
    assert sorted(email.extra_headers["Message-ID"] for email in django_mail.outbox) == identities


@TRANSACTIONS
@pytest.mark.parametrize("error", [None, smtplib.SMTPRecipientsRefused({"ada@example.com": (450, b"later")})])
def test_cancellation_mail_waits_for_the_confirmation_being_sent(slow_provider, monkeypatch, error):
    """It commits without waiting; its mail follows the confirmation, or is sent alone if that failed."""
    monkeypatch.setattr(slow_provider, "failure", error)
    small_hotel = open_small_hotel()
    booking = confirmed(small_hotel)
    worker = sending(slow_provider)
    cancel_booking(booking=booking, staff=small_hotel.agent)
    assert [state for _, state, *_ in mail_states(booking)] == ["SENDING", "QUEUED"]
    assert send_next() == Outcome.NONE_DUE  # another worker
    slow_provider.may_end.set()
    assert worker.outcome() == (Outcome.FAILED if error else Outcome.SENT)
    assert send_queued() == 1
    words = [subject.rpartition(" ")[2] for subject in delivered()]
    assert words == (["cancelled"] if error else ["confirmed", "cancelled"])
    assert [state for _, state, *_ in mail_states(booking)] == ["DROPPED" if error else "SENT", "SENT"]
    with clock.set_to(clock.now() + timedelta(days=9)):
        assert send_queued() == 0


@TRANSACTIONS
def test_very_long_smtp_session_still_delays_the_cancellation_mail(slow_provider, monkeypatch):
    """While the worker has its connection, it holds the lock of the booking."""
    small_hotel = open_small_hotel()
    booking = confirmed(small_hotel)
    worker = sending(slow_provider)
    cancel_booking(booking=booking, staff=small_hotel.agent)
    monkeypatch.setattr(mail_sending, "LONGEST_TALK", timedelta(0))
    assert send_next() == Outcome.NONE_DUE
    slow_provider.may_end.set()
    assert worker.outcome() == Outcome.SENT
    assert send_queued() == 1
    assert [subject.rpartition(" ")[2] for subject in delivered()] == ["confirmed", "cancelled"]


@TRANSACTIONS
def test_cancellation_arrives_first_without_the_lock(slow_provider, monkeypatch):
    """The twin: with neither the lock nor the claim, the confirmation arrives after the cancellation."""
    small_hotel = open_small_hotel()
    booking = confirmed(small_hotel)
    monkeypatch.setattr(mail_sending, "advisory_lock", lambda *_keys: nullcontext(enter_result=True))
    monkeypatch.setattr(mail_sending, "LONGEST_TALK", timedelta(0))
    worker = sending(slow_provider)
    cancel_booking(booking=booking, staff=small_hotel.agent)
    assert send_next() == Outcome.SENT
    slow_provider.may_end.set()
    worker.outcome()
    assert [subject.rpartition(" ")[2] for subject in delivered()] == ["cancelled", "confirmed"]


class DeferringBackend(locmem.EmailBackend):
    """A slow provider that defers every third mail."""

    mood = random.Random(7)

    def send_messages(self, messages):
        time.sleep(self.mood.random() / 50)
        if self.mood.random() < 1 / 3:
            raise smtplib.SMTPRecipientsRefused({messages[0].to[0]: (450, b"later")})
        return super().send_messages(messages)


@TRANSACTIONS
def test_mails_arrive_in_the_order_of_the_actions(settings, monkeypatch):
    """Bookings are repeatedly cancelled, reinstated and moved to other dates while three workers send."""
    settings.EMAIL_BACKEND = f"{__name__}.DeferringBackend"
    monkeypatch.setattr(mail_sending, "FIRST_PAUSE", timedelta(milliseconds=1))
    monkeypatch.setattr(mail_sending, "LONGEST_PAUSE", timedelta(milliseconds=20))
    small_hotel, over = open_small_hotel(allow_overbooking=True), threading.Event()
    first = clock.now().date() + timedelta(days=9)
    bookings = [
        confirmed(
            small_hotel, check_in=first, check_out=first + timedelta(days=2), primary_email=f"guest{n}@example.com"
        )
        for n in range(2)
    ]

    def work() -> None:
        while not over.is_set():
            send_queued(should_stop=over.is_set)
            time.sleep(0.001)

    def act_on_bookings(number: int) -> None:
        booking = bookings[number]
        for step in range(12):
            if step % 3 == 0:
                edit_booking(booking=booking, staff=small_hotel.agent, check_out=first + timedelta(days=3 + step))
            elif step % 3 == 1:
                cancel_booking(booking=booking, staff=small_hotel.agent)
            else:
                reinstate_booking(booking=booking, staff=small_hotel.manager, reason="a mistake")
            time.sleep(0.03)

    workers = [Writer(work) for _ in range(3)]
    people = [Writer(partial(act_on_bookings, number)) for number in range(2)]
    for writer in (*workers, *people):
        writer.start()
    assert [person.outcome() for person in people] == [None, None]
    until(lambda: not open_mails().exists())
    over.set()
    assert [worker.outcome() for worker in workers] == [None] * 3
    assert violations() == []
    for booking in bookings:
        mails = list(BookingMail.objects.filter(booking=booking).order_by("pk"))
        went = [mail for mail in mails if mail.state == "SENT"]
        address = RoomBooking.objects.get(pk=booking.pk).primary_email
        arrived = [email.subject.partition("] ")[2] for email in django_mail.outbox if email.to == [address]]
        assert arrived == [SUBJECTS[MailKind(mail.kind)].format(booking.booking_id) for mail in went]
        assert {mail.state for mail in mails} <= {"SENT", "DROPPED"}
        assert went[-1] == mails[-1]  # the last mail matches the final state


def killed_while_sending(booking: RoomBooking) -> None:
    """The state left by a worker that was killed while sending."""
    BookingMail.objects.filter(booking=booking, state=MailState.QUEUED).update(
        state=MailState.SENDING, claimed_at=clock.now(), tries=1
    )


def test_mail_of_a_killed_worker_is_sent_by_the_next(small_hotel):
    booking = confirmed(small_hotel)
    killed_while_sending(booking)
    assert send_queued() == 1
    assert mail_states(booking) == [("CONFIRMATION", "SENT", 2, "")]


def test_mail_of_a_killed_worker_superseded_meanwhile_may_have_arrived(
    small_hotel,
):
    """It may still be in flight: the worker may have lost only its database connection."""
    booking = confirmed(small_hotel)
    killed_while_sending(booking)
    cancel_booking(booking=booking, staff=small_hotel.agent)
    with clock.set_to(clock.now() + LONGEST_TALK - timedelta(seconds=1)):
        assert send_queued() == 0
    assert [state for _, state, *_ in mail_states(booking)] == ["SENDING", "QUEUED"]
    since = last_event()
    with clock.set_to(clock.now() + LONGEST_TALK):
        assert send_queued() == 1
    reason = f"{NEWER} A worker was already sending it, so it may have been delivered."
    assert mail_states(booking) == [("CONFIRMATION", "DROPPED", 1, reason), ("CANCELLATION", "SENT", 1, "")]
    assert published_events(since) == [("room-bookings", "booking_updated")]


def test_worker_presumed_dead_does_not_requeue_its_mail(small_hotel, provider):
    """It lost its connection and another worker sent the mail; then its own SMTP session fails."""
    booking = confirmed(small_hotel)
    stale = mail_sending._claim_of(booking.pk)
    assert send_queued() == 1
    assert mail_sending._failed(stale, TimeoutError()) == Outcome.FAILED
    assert mail_states(booking) == [("CONFIRMATION", "SENT", 2, "")]


@TRANSACTIONS
def test_it_is_decided_on_the_locked_booking():
    """An uncommitted cancellation delays the confirmation; then its own mail is sent instead."""
    small_hotel = open_small_hotel()
    booking = confirmed(small_hotel)
    _, [outcome] = overlap(lambda: cancel_booking(booking=booking, staff=small_hotel.agent), send_next)
    assert outcome == Outcome.SENT
    assert send_queued() == 0
    assert [subject.rpartition(" ")[2] for subject in delivered()] == ["cancelled"]


@TRANSACTIONS
def test_confirmation_is_sent_without_that_lock():
    """The twin: the no-show commits while the confirmation is claimed, and it is still sent."""
    small_hotel = open_small_hotel()
    yesterday = clock.now().date() - timedelta(days=3)
    booking = confirmed(small_hotel, check_in=yesterday, check_out=yesterday + timedelta(days=9))
    with locks_removed():
        overlap(lambda: mark_no_show(booking=booking, staff=small_hotel.agent), send_next, waits=False)
    assert len(delivered()) == 1
    assert RoomBooking.objects.get().status == "NO_SHOW"


@TRANSACTIONS
def test_locked_booking_delays_only_its_own_mail(caplog):
    small_hotel = open_small_hotel()
    held = confirmed(small_hotel)
    confirmed(small_hotel, booking_id="BK-2026-0008")
    number = BookingMail.objects.order_by("pk").first().pk
    with transaction.atomic():
        booking_lock([held.pk])
        worker = Writer(send_queued)
        worker.start()
        assert worker.outcome() == 1
    assert delivered() == ["Your booking BK-2026-0008 is confirmed"]
    assert f"mail {number} has to wait: OperationalError" in caplog.messages
    assert send_queued() == 1
