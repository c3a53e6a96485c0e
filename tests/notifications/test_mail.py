"""Mail to the guest: what it says, that it goes with its transaction, and that each is sent once and none is lost."""

import logging
import smtplib
import threading
from contextlib import nullcontext
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.conf import settings as configured
from django.core import mail as django_mail
from django.core.mail.backends import locmem
from django.core.management import call_command
from django.core.validators import validate_email
from django.db import connection, transaction
from mailer.models import PRIORITY_DEFERRED, Message, MessageLog

from common import clock
from hotelmate import settings as product_settings
from notifications import mail
from notifications.mail import Outcome, queue_booking_mail, send_next, send_queued
from room_bookings.models import RoomBooking
from tests.factories import BookingFactory, HotelFactory, RoomTypeFactory
from tests.races import Writer

pytestmark = pytest.mark.django_db

TEXT = """\
Dear Ada Lovelace,

Your booking at The Grand & Co is confirmed.

Reference: BK-2026-0007
Confirmation number: HM-42
Arrival: Friday, 14 August 2026
Departure: Sunday, 16 August 2026
Nights: 2
Room type: Sea & View
Guests: 2 adults, 1 child
Amount: 240.50 EUR

We look forward to welcoming you. You can reach us at +353 1 555 0000.

The Grand & Co
"""
HTML = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>The Grand &amp; Co</title></head>
<body style="font-family: sans-serif; color: #222; line-height: 1.5">
<p>Dear Ada Lovelace,</p>
<p>Your booking at The Grand &amp; Co is cancelled.</p>
<p>Reason: Storm &lt;Kathleen&gt;<br>No ferry</p>
<table style="border-collapse: collapse">
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Reference</th><td>BK-2026-0007</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Confirmation number</th><td>HM-42</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Arrival</th><td>Friday, 14 August 2026</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Departure</th><td>Sunday, 16 August 2026</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Nights</th><td>2</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Room type</th><td>Sea &amp; View</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Guests</th><td>2 adults, 1 child</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Amount</th><td>240.50 EUR</td></tr>
</table>
<p>We hope to welcome you another time. You can reach us at +353 1 555 0000.</p>
<p>The Grand &amp; Co</p>
</body>
</html>
"""


def make_booking(hotel_name: str = "The Grand & Co", **fields) -> RoomBooking:
    """A booking as services hand it over: with its hotel and room type loaded."""
    hotel = HotelFactory(name=hotel_name)
    defaults = {
        "hotel": hotel,
        "room_type": RoomTypeFactory(hotel=hotel, name="Sea & View"),
        "booking_id": "BK-2026-0007",
        "confirmation_number": "HM-42",
        "check_in": date(2026, 8, 14),
        "check_out": date(2026, 8, 16),
        "adults": 2,
        "children": 1,
        "total_amount": Decimal("240.5"),
        "primary_email": "ada@example.com",
    }
    booking = BookingFactory(**(defaults | fields))
    return RoomBooking.objects.select_related("hotel", "room_type").get(pk=booking.pk)


def queued() -> list:
    """The mails in the queue, unpacked."""
    return [message.email for message in Message.objects.order_by("pk")]


def html(email) -> str:
    [(content, mimetype)] = email.alternatives
    assert mimetype == "text/html"
    return content


class Provider(locmem.EmailBackend):
    """Stands in for the provider: fails as told, else delivers into ``django.core.mail.outbox``."""

    failures: list[Exception] = []
    always: Exception | None = None

    def send_messages(self, messages):
        if self.always or self.failures:
            raise self.always or self.failures.pop(0)
        return super().send_messages(messages)


@pytest.fixture
def provider(settings, monkeypatch) -> type[Provider]:
    settings.MAILER_EMAIL_BACKEND = f"{__name__}.Provider"
    monkeypatch.setattr(Provider, "failures", [])
    monkeypatch.setattr(Provider, "always", None)
    return Provider


def delivered() -> list[str]:
    return [email.subject for email in django_mail.outbox]


# --- what it says -----------------------------------------------------------------------------------------------------


def test_a_confirmation_as_text():
    queue_booking_mail(make_booking(), "confirmation")
    [email] = queued()
    assert email.subject == "[The Grand & Co] Your booking BK-2026-0007 is confirmed"
    assert (email.to, email.cc, email.bcc) == (["ada@example.com"], [], [])
    assert email.from_email == "HotelMate <stay@hotelmate.example>"
    assert email.body == TEXT
    assert email.extra_headers["Message-ID"].endswith("@hotelmate.example>")


def test_a_cancellation_as_html():
    queue_booking_mail(make_booking(), "cancellation", reason="  Storm <Kathleen>\nNo ferry\n")
    [email] = queued()
    assert email.subject == "[The Grand & Co] Your booking BK-2026-0007 is cancelled"
    assert html(email) == HTML
    assert "is cancelled.\n\nReason: Storm <Kathleen>\nNo ferry\n\nReference: BK-2026-0007\n" in email.body


def test_a_decline_says_so():
    queue_booking_mail(make_booking(), "decline", reason="fully booked")
    [email] = queued()
    assert email.subject == "[The Grand & Co] Your booking BK-2026-0007 was declined"
    assert "We are sorry: The Grand & Co cannot accept your booking.\n\nReason: fully booked\n" in email.body
    assert "<p>We are sorry: The Grand &amp; Co cannot accept your booking.</p>\n<p>Reason: fully booked</p>" in html(
        email
    )


def test_what_is_not_known_is_left_out():
    booking = make_booking(total_amount=None, confirmation_number="", children=0, adults=1, check_out=date(2026, 8, 14))
    booking.hotel.phone = ""
    queue_booking_mail(booking, "cancellation")
    [email] = queued()
    assert email.body == (
        "Dear Ada Lovelace,\n\nYour booking at The Grand & Co is cancelled.\n\n"
        "Reference: BK-2026-0007\nArrival: Friday, 14 August 2026\nDeparture: Friday, 14 August 2026\n"
        "Nights: none, day use\nRoom type: Sea & View\nGuests: 1 adult\n\n"
        "We hope to welcome you another time.\n\nThe Grand & Co\n"
    )
    for word in ("Reason", "Amount", "Confirmation number", "reach us"):
        assert word not in html(email)


@pytest.mark.parametrize(("amount", "currency", "words"), [("12000", "JPY", "12000 JPY"), ("9.5", "BHD", "9.500 BHD")])
def test_an_amount_has_the_decimals_of_its_currency(amount, currency, words):
    queue_booking_mail(make_booking(total_amount=Decimal(amount), currency=currency), "confirmation")
    [email] = queued()
    assert f"Amount: {words}\n" in email.body
    assert f"<td>{words}</td>" in html(email)


def test_a_name_is_never_markup():
    booking = make_booking(hotel_name="<b>Grand</b>", primary_first_name="<script>alert(1)</script>")
    queue_booking_mail(booking, "confirmation")
    [email] = queued()
    assert "<script" not in html(email)
    assert "<b>" not in html(email)
    assert "Dear &lt;script&gt;alert(1)&lt;/script&gt; Lovelace" in html(email)
    assert email.body.startswith("Dear <script>alert(1)</script> Lovelace,\n")


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028"])
def test_a_line_break_in_a_name_makes_no_header(line_break):
    evil = f"Grand{line_break}Bcc: everyone@example.com"
    booking = make_booking(hotel_name=evil, primary_first_name=evil, primary_last_name="Lovelace")
    queue_booking_mail(booking, "confirmation")
    assert send_queued() == 1
    [email] = django_mail.outbox
    assert email.subject.startswith("[Grand Bcc: everyone@example.com] ")
    assert email.body.startswith("Dear Grand Bcc: everyone@example.com Lovelace,\n")
    message = email.message()
    assert message["Bcc"] is None
    assert message["To"] == "ada@example.com"


# --- with its transaction ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["confirmation", "decline", "cancellation"])
def test_it_takes_one_statement(statements, kind):
    booking = make_booking()
    with statements() as made:
        queue_booking_mail(booking, kind, reason="storm")
    assert len(made) == 1, made.sql()
    assert made.sql()[0].startswith('INSERT INTO "mailer_message"')
    assert Message.objects.count() == 1
    assert django_mail.outbox == []


def test_a_guest_without_an_address_gets_none(statements):
    booking = make_booking(primary_email="")
    with statements() as made:
        queue_booking_mail(booking, "confirmation")
    assert len(made) == 0
    assert not Message.objects.exists()


def test_what_is_rolled_back_mails_nobody():
    booking = make_booking()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        queue_booking_mail(booking, "confirmation")
        assert Message.objects.count() == 1
        raise ZeroDivisionError
    assert send_queued() == 0
    assert django_mail.outbox == []


def test_the_product_queues_whatever_is_sent():
    assert product_settings.EMAIL_BACKEND == configured.EMAIL_BACKEND == "mailer.backend.DbBackend"
    assert product_settings.MAILER_EMAIL_BACKEND == "django.core.mail.backends.console.EmailBackend"


# --- sending ----------------------------------------------------------------------------------------------------------


def test_each_mail_is_sent_once_and_leaves_no_copy():
    booking = make_booking()
    for kind in ("confirmation", "cancellation"):
        queue_booking_mail(booking, kind)
    identities = [email.extra_headers["Message-ID"] for email in queued()]
    assert send_queued() == 2
    assert send_queued() == 0
    assert [email.to for email in django_mail.outbox] == [["ada@example.com"]] * 2
    assert [email.extra_headers["Message-ID"] for email in django_mail.outbox] == identities
    assert not Message.objects.exists()
    assert list(MessageLog.objects.values_list("message_data", "message_id").order_by("pk")) == [
        (None, identity) for identity in identities
    ]


def test_it_stops_between_two_mails():
    booking = make_booking()
    for _ in range(3):
        queue_booking_mail(booking, "confirmation")
    answers = iter([False, False, True])
    assert send_queued(should_stop=lambda: next(answers)) == 2
    assert Message.objects.count() == 1


def test_a_failed_mail_waits_longer_each_time_and_the_others_go_on(provider):
    booking = make_booking()
    queue_booking_mail(booking, "confirmation")
    queue_booking_mail(booking, "cancellation")
    began = clock.now()
    provider.failures = [ConnectionRefusedError(), smtplib.SMTPServerDisconnected(), TimeoutError()]
    with clock.set_to(began):
        assert send_next() == Outcome.FAILED
        assert send_queued() == 0  # the second one's first try
        assert send_next() == Outcome.NONE_DUE
    waiting = Message.objects.order_by("pk")
    assert [(m.priority, m.retry_count, m.when_added - began) for m in waiting] == [
        (PRIORITY_DEFERRED, 1, timedelta(minutes=1))
    ] * 2
    with clock.set_to(began + timedelta(seconds=59)):
        assert send_next() == Outcome.NONE_DUE
    with clock.set_to(began + timedelta(seconds=60)):
        assert send_next() == Outcome.FAILED
        assert send_queued() == 1  # the provider is back
        assert send_next() == Outcome.NONE_DUE
    [still] = waiting.all()
    assert (still.retry_count, still.when_added - began) == (2, timedelta(minutes=3))
    with clock.set_to(began + timedelta(minutes=3)):
        assert send_queued() == 1
    assert sorted(delivered()) == [
        "[The Grand & Co] Your booking BK-2026-0007 is cancelled",
        "[The Grand & Co] Your booking BK-2026-0007 is confirmed",
    ]
    assert not Message.objects.exists()


def test_pauses_grow_to_four_hours_and_after_three_days_it_is_given_up_loudly_but_kept(provider, caplog):
    queue_booking_mail(make_booking(), "confirmation")
    provider.always = smtplib.SMTPRecipientsRefused({"ada@example.com": (550, b"no ada@example.com here")})
    moment, pauses = clock.now(), []
    for _ in range(mail.GIVE_UP_AFTER):
        with clock.set_to(moment):
            assert send_next() == Outcome.FAILED
        message = Message.objects.get()
        pauses.append(message.when_added - moment)
        moment = message.when_added
    minutes = [pause.total_seconds() / 60 for pause in pauses]
    assert minutes[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 240, 240]
    assert timedelta(days=2.5) < sum(pauses[:-1], timedelta()) < timedelta(days=3.5)
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.WARNING] * (mail.GIVE_UP_AFTER - 1) + [logging.ERROR]
    assert caplog.messages[0] == f"mail {message.pk}: try 1 failed (SMTPRecipientsRefused 550); next in 60 s"
    assert "is given up (SMTPRecipientsRefused 550); it is kept" in caplog.messages[-1]
    with clock.set_to(moment + timedelta(days=30)):
        assert send_next() == Outcome.NONE_DUE
    # Whoever has mended the cause has it tried once more.
    provider.always = None
    call_command("retry_deferred")
    assert send_queued() == 1
    assert len(delivered()) == 1


def test_no_log_line_names_the_guest(provider, caplog):
    booking = make_booking()
    caplog.set_level(logging.DEBUG)
    for _ in range(2):
        queue_booking_mail(booking, "cancellation", reason="a reason of her own")
    provider.failures = [smtplib.SMTPDataError(451, b"greylisted: ada@example.com")]
    send_queued()
    send_queued()
    assert len(delivered()) == 1
    assert caplog.messages == [f"mail {Message.objects.get().pk}: try 1 failed (SMTPDataError 451); next in 60 s"]
    assert configured.LOGGING["loggers"]["mailer"]["level"] == "WARNING"


def test_a_mail_that_cannot_be_read_is_kept_and_does_not_hold_up_the_others(caplog):
    Message.objects.create(message_data="bm90IGEgbWFpbA==")
    queue_booking_mail(make_booking(), "confirmation")
    assert send_next() == Outcome.FAILED
    assert send_queued() == 1
    kept = Message.objects.get()
    assert (kept.message_data, kept.retry_count) == ("bm90IGEgbWFpbA==", mail.GIVE_UP_AFTER)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


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
def test_an_odd_address_raises_nowhere_and_holds_up_nobody(address):
    """Whatever Django's own validation lets through; what SMTP cannot say is kept, and given up."""
    validate_email(address)
    queue_booking_mail(make_booking(primary_email=address), "confirmation")
    queue_booking_mail(make_booking(booking_id="BK-2026-0008"), "confirmation")
    first = send_next()
    send_queued()
    assert django_mail.outbox[-1].to == ["ada@example.com"]
    if first == Outcome.SENT:
        assert django_mail.outbox[0].to == [address]
        assert not Message.objects.exists()
    else:
        assert Message.objects.get().retry_count == mail.GIVE_UP_AFTER


def test_history_is_forgotten_and_what_waits_is_not(provider):
    booking = make_booking()
    for _ in range(2):
        queue_booking_mail(booking, "confirmation")
    provider.failures = [TimeoutError()]
    send_queued()
    send_queued()
    assert MessageLog.objects.count() == 2
    assert mail.forget_history() == 0
    long_ago = clock.now() - timedelta(days=mail.KEEP_HISTORY_DAYS, seconds=1)
    MessageLog.objects.update(when_attempted=long_ago)
    Message.objects.update(when_added=long_ago)
    assert mail.forget_history() == 2
    assert Message.objects.count() == 1


# --- with several connections -----------------------------------------------------------------------------------------


class SlowBackend(locmem.EmailBackend):
    """A provider that takes its time over the first mail: until the test lets it."""

    began, may_end = threading.Event(), threading.Event()
    in_transaction: list[bool] = []

    def send_messages(self, messages):
        self.in_transaction.append(connection.in_atomic_block)
        if not self.began.is_set():
            self.began.set()
            assert self.may_end.wait(10)
        return super().send_messages(messages)


@pytest.fixture
def slow_provider(settings):
    settings.MAILER_EMAIL_BACKEND = f"{__name__}.SlowBackend"
    SlowBackend.began.clear()
    SlowBackend.may_end.clear()
    SlowBackend.in_transaction.clear()
    yield SlowBackend
    SlowBackend.may_end.set()


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_one_worker_is_sending_another_passes_by(slow_provider):
    """Neither waits, no transaction is open meanwhile, and the second takes the next mail."""
    for number in (7, 8):
        queue_booking_mail(make_booking(booking_id=f"BK-2026-000{number}"), "confirmation")
    first = Writer(send_next)
    first.start()
    assert slow_provider.began.wait(10)
    assert (send_next(), send_next()) == (Outcome.SENT, Outcome.NONE_DUE)
    assert delivered() == ["[The Grand & Co] Your booking BK-2026-0008 is confirmed"]
    slow_provider.may_end.set()
    assert first.outcome() == Outcome.SENT
    assert sorted(delivered())[0] == "[The Grand & Co] Your booking BK-2026-0007 is confirmed"
    assert len(delivered()) == 2
    assert slow_provider.in_transaction == [False, False]
    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_both_would_send_it(monkeypatch, slow_provider):
    """The twin: the race is real."""
    queue_booking_mail(make_booking(), "confirmation")
    monkeypatch.setattr(mail, "advisory_lock", lambda *_keys: nullcontext(enter_result=True))
    first = Writer(send_next)
    first.start()
    assert slow_provider.began.wait(10)
    assert send_next() == Outcome.SENT
    slow_provider.may_end.set()
    first.outcome()
    assert len(delivered()) == 2


@pytest.mark.django_db(transaction=True)
def test_what_another_worker_has_just_sent_is_not_sent_again(monkeypatch):
    """Both saw it waiting; the second got the lock when the first had let it go."""
    queue_booking_mail(make_booking(), "confirmation")
    lock = mail.advisory_lock

    def late(*keys):
        monkeypatch.setattr(mail, "advisory_lock", lock)
        other = Writer(send_next)
        other.start()
        assert other.outcome() == Outcome.SENT
        return lock(*keys)

    monkeypatch.setattr(mail, "advisory_lock", late)
    assert send_next() == Outcome.NONE_DUE
    assert len(delivered()) == 1


@pytest.mark.django_db(transaction=True)
def test_many_workers_send_each_mail_once():
    booking = make_booking()
    for _ in range(30):
        queue_booking_mail(booking, "confirmation")
    identities = sorted(email.extra_headers["Message-ID"] for email in queued())
    workers = [Writer(send_queued) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert sum(worker.outcome() for worker in workers) == 30
    assert sorted(email.extra_headers["Message-ID"] for email in django_mail.outbox) == identities
