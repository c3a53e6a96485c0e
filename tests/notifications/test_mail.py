"""Mail to guests: its text, that it is queued with its transaction, and that a newer mail replaces an older one."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core import mail as django_mail
from django.db import transaction

from common import clock
from hotel.models import Hotel
from hotelmate import settings as product_settings
from notifications import mail as mail_module
from notifications.mail import queue_booking_mail, send_again
from notifications.mail_sending import send_queued
from notifications.models import BookingMail, MailKind, MailState
from room_bookings.models import PaymentState, RoomBooking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.edit import edit_booking
from room_bookings.services.overstay import extend_stay
from room_bookings.services.reinstate import reinstate_booking
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory, StaffFactory, booking_in
from tests.refusals import Refused
from tests.room_bookings.small_hotel import (
    NOW,
    day,
    last_event,
    locks_and_writes,
    open_small_hotel,
    published_events,
    queued_mails,
    refusal_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_hotel(db):
    with clock.set_to(NOW):
        yield open_small_hotel()


TEXT = """\
Dear Ada Lovelace,

Thank you for choosing The Grand & Co. Your booking is confirmed.

Booking reference: BK-2026-0007
Confirmation number: HM-42
Arrival: Friday, 14 August 2026
Departure: Sunday, 16 August 2026
Nights: 2
Room type: Sea & View
Guests: 2 adults, 1 child
Total: 240.50 EUR

We look forward to welcoming you. If you have any questions, please call us on +353 1 555 0000.

Kind regards,
The Grand & Co
"""
HTML = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>The Grand &amp; Co</title></head>
<body style="font-family: sans-serif; color: #222; line-height: 1.5">
<p>Dear Ada Lovelace,</p>
<p>Your booking at The Grand &amp; Co has been cancelled.</p>
<p>Reason: Storm &lt;Kathleen&gt;<br>No ferry</p>
<table style="border-collapse: collapse">
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Booking reference</th><td>BK-2026-0007</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Confirmation number</th><td>HM-42</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Arrival</th><td>Friday, 14 August 2026</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Departure</th><td>Sunday, 16 August 2026</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Nights</th><td>2</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Room type</th><td>Sea &amp; View</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Guests</th><td>2 adults, 1 child</td></tr>
<tr><th style="text-align: left; padding: 2px 16px 2px 0">Total</th><td>240.50 EUR</td></tr>
</table>
<p>We hope to welcome you another time. If you have any questions, please call us on +353 1 555 0000.</p>
<p>Kind regards,<br>The Grand &amp; Co</p>
</body>
</html>
"""


def make_booking(status: str = "CONFIRMED", hotel_name: str = "The Grand & Co", **fields) -> RoomBooking:
    """A booking as services pass it: with its hotel and room type loaded."""
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
    booking = booking_in(status, **(defaults | fields))
    return RoomBooking.objects.select_related("hotel", "room_type").get(pk=booking.pk)


def html(email) -> str:
    [(content, mimetype)] = email.alternatives
    assert mimetype == "text/html"
    return content


# --- text -------------------------------------------------------------------------------------------------------------


def test_a_confirmation_as_text():
    queue_booking_mail(make_booking(), MailKind.CONFIRMATION)
    [email] = queued_mails()
    assert email.subject == "[The Grand & Co] Your booking BK-2026-0007 is confirmed"
    assert (email.to, email.cc, email.bcc) == (["ada@example.com"], [], [])
    assert email.from_email == "HotelMate <stay@hotelmate.example>"
    assert email.body == TEXT
    assert email.extra_headers["Message-ID"].endswith("@hotelmate.example>")


def test_a_cancellation_as_html():
    booking = make_booking("CANCELLED", cancellation_reason="  Storm <Kathleen>\nNo ferry\n")
    queue_booking_mail(booking, MailKind.CANCELLATION)
    [email] = queued_mails()
    assert email.subject == "[The Grand & Co] Your booking BK-2026-0007 is cancelled"
    assert html(email) == HTML
    assert (
        "has been cancelled.\n\nReason: Storm <Kathleen>\nNo ferry\n\nBooking reference: BK-2026-0007\n" in email.body
    )


def test_decline():
    request = make_booking("DECLINED", decline_reason_note="fully booked", confirmation_number="")
    queue_booking_mail(request, MailKind.DECLINE)
    [email] = queued_mails()
    assert email.subject == "[The Grand & Co] Your booking BK-2026-0007 was declined"
    assert "We are sorry, but The Grand & Co is unable to accept your booking.\n\nReason: fully booked\n" in email.body
    assert (
        "<p>We are sorry, but The Grand &amp; Co is unable to accept your booking.</p>\n<p>Reason: fully booked</p>"
        in html(email)
    )


def test_decline_of_a_confirmed_and_paid_booking():
    paid = {"payment_provider": "stripe", "payment_reference": "pi_1", "payment_state": PaymentState.REFUNDED}
    booking = make_booking("DECLINED", decline_reason_note="flooded", **paid)
    queue_booking_mail(booking, MailKind.DECLINE)
    [email] = queued_mails()
    sentences = (
        "We are sorry, but {} has had to cancel your confirmed booking. "
        "The amount charged to your card is being refunded."
    )
    assert f"{sentences.format('The Grand & Co')}\n\nReason: flooded\n" in email.body
    assert f"<p>{sentences.format('The Grand &amp; Co')}</p>" in html(email)


def test_unknown_details_are_left_out():
    nothing = {"total_amount": None, "confirmation_number": "", "children": 0, "adults": 1}
    booking = make_booking("CANCELLED", check_out=date(2026, 8, 14), **nothing)
    Hotel.objects.update(phone="")
    queue_booking_mail(booking, MailKind.CANCELLATION)
    [email] = queued_mails()
    assert email.body == (
        "Dear Ada Lovelace,\n\nYour booking at The Grand & Co has been cancelled.\n\n"
        "Booking reference: BK-2026-0007\nArrival: Friday, 14 August 2026\nDeparture: Friday, 14 August 2026\n"
        "Nights: none (day use)\nRoom type: Sea & View\nGuests: 1 adult\n\n"
        "We hope to welcome you another time.\n\nKind regards,\nThe Grand & Co\n"
    )
    for word in ("Reason", "Total", "Confirmation number", "call us"):
        assert word not in html(email)


@pytest.mark.parametrize(("amount", "currency", "words"), [("12000", "JPY", "12000 JPY"), ("9.5", "BHD", "9.500 BHD")])
def test_an_amount_has_the_decimals_of_its_currency(amount, currency, words):
    queue_booking_mail(make_booking(total_amount=Decimal(amount), currency=currency), MailKind.CONFIRMATION)
    [email] = queued_mails()
    assert f"Total: {words}\n" in email.body
    assert f"<td>{words}</td>" in html(email)


def test_name_is_escaped():
    booking = make_booking(hotel_name="<b>Grand</b>", primary_first_name="<script>alert(1)</script>")
    queue_booking_mail(booking, MailKind.CONFIRMATION)
    [email] = queued_mails()
    assert "<script" not in html(email)
    assert "<b>" not in html(email)
    assert "Dear &lt;script&gt;alert(1)&lt;/script&gt; Lovelace" in html(email)
    assert email.body.startswith("Dear <script>alert(1)</script> Lovelace,\n")


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028"])
def test_line_break_in_a_name_adds_no_header(line_break):
    evil = f"Grand{line_break}Bcc: everyone@example.com"
    booking = make_booking(hotel_name=evil, primary_first_name=evil)
    queue_booking_mail(booking, MailKind.CONFIRMATION)
    assert send_queued() == 1
    [email] = django_mail.outbox
    assert email.subject.startswith("[Grand Bcc: everyone@example.com] ")
    assert email.body.startswith("Dear Grand Bcc: everyone@example.com Lovelace,\n")
    message = email.message()
    assert message["Bcc"] is None
    assert message["To"] == "ada@example.com"


def test_new_dates_are_all_in_the_mail():
    queue_booking_mail(make_booking(), MailKind.CHANGE)
    [email] = queued_mails()
    assert email.subject == "[The Grand & Co] Your booking BK-2026-0007 has new dates"
    assert email.body == TEXT.replace(
        "Thank you for choosing The Grand & Co. Your booking is confirmed.",
        "The dates of your booking at The Grand & Co have changed. It is now confirmed for the dates below.",
    )
    assert "<p>The dates of your booking at The Grand &amp; Co have changed." in html(email)


@pytest.mark.parametrize("kind", [MailKind.CONFIRMATION, MailKind.CHANGE])
def test_mail_to_a_guest_in_house_does_not_look_forward_to_them(kind):
    room = NewRoomFactory()
    booking = booking_in("IN_HOUSE", assigned_room=room, primary_email="ada@example.com")
    queue_booking_mail(booking, kind)
    [email] = queued_mails()
    for text in (email.body, html(email)):
        assert "Enjoy your stay! If you have any questions" in text
        assert "look forward" not in text


# --- with its transaction ---------------------------------------------------------------------------------------------

STATUS = {
    MailKind.CONFIRMATION: "CONFIRMED",
    MailKind.CHANGE: "CONFIRMED",
    MailKind.DECLINE: "DECLINED",
    MailKind.CANCELLATION: "CANCELLED",
}


def states(booking: RoomBooking | None = None) -> list[tuple[str, str]]:
    """The mails as staff see them, oldest first, as (kind, state)."""
    mails = BookingMail.objects.order_by("pk")
    found = mails if booking is None else mails.filter(booking=booking)
    return [(mail.kind, mail.state) for mail in found]


@pytest.mark.parametrize("kind", MailKind)
def test_it_takes_two_statements(statements, kind):
    booking = make_booking(STATUS[kind])
    with statements() as made:
        queue_booking_mail(booking, kind)
    assert len(made) == 2, made.sql()
    assert django_mail.outbox == []
    [mail] = BookingMail.objects.all()
    assert (mail.hotel, mail.booking, mail.kind, mail.state) == (booking.hotel, booking, kind, "QUEUED")
    assert (mail.to_address, mail.tries, mail.reason, mail.queued_by) == ("ada@example.com", 0, "", None)
    assert (mail.due_at, mail.claimed_at, mail.settled_at) == (mail.queued_at, None, None)


def test_a_guest_without_an_address_gets_none(statements):
    booking = make_booking(primary_email="")
    with statements() as made:
        queue_booking_mail(booking, MailKind.CONFIRMATION)
    assert len(made) == 0
    assert not BookingMail.objects.exists()


@pytest.mark.parametrize("kind", MailKind)
def test_mail_must_match_the_booking(kind, statements):
    for status in ("PENDING_APPROVAL", "EXPIRED", "NO_SHOW"):
        booking = make_booking(status, booking_id=f"BK-2026-{status[:5]}")
        with statements() as made:
            assert queue_booking_mail(booking, kind) is None
        assert len(made) == 0


def test_rolled_back_change_queues_no_mail():
    booking = make_booking()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        queue_booking_mail(booking, MailKind.CONFIRMATION)
        assert BookingMail.objects.count() == 1
        raise ZeroDivisionError
    assert send_queued() == 0
    assert django_mail.outbox == []
    assert not BookingMail.objects.exists()


def test_without_a_mail_server_mails_are_printed():
    assert product_settings.EMAIL_BACKEND == "django.core.mail.backends.console.EmailBackend"


@pytest.mark.parametrize("field", ["booking", "queued_by"])
def test_related_rows_of_a_mail_are_of_its_hotel(field):
    mail = queue_booking_mail(make_booking(), MailKind.CONFIRMATION)
    foreign = {"booking": lambda: make_booking(booking_id="BK-2026-0008"), "queued_by": StaffFactory}[field]()
    with Refused("booking_mail_one_hotel", f"{field} belongs to another hotel"):
        BookingMail.objects.filter(pk=mail.pk).update(**{field: foreign})


# --- replaced by a newer one ------------------------------------------------------------------------------------------


def arriving(small_hotel, **fields) -> RoomBooking:
    """A confirmed booking from the day after tomorrow on."""
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type, "primary_email": "ada@example.com"}
    return booking_in("CONFIRMED", **hotel_fields | {"check_in": day(2), "check_out": day(4)} | fields)


def test_only_the_newest_of_several_mails_is_queued(small_hotel):
    booking = arriving(small_hotel)
    for departure in (5, 6, 7):
        edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(departure))
    assert states() == [("CHANGE", "DROPPED"), ("CHANGE", "DROPPED"), ("CHANGE", "QUEUED")]
    assert {mail.reason for mail in BookingMail.objects.filter(state="DROPPED")} == {mail_module.NEWER}
    [email] = queued_mails()
    assert "Departure: Wednesday, 8 July 2026\nNights: 5\n" in email.body
    assert send_queued() == 1
    assert len(django_mail.outbox) == 1


def test_cancellation_replaces_a_confirmation_and_vice_versa(small_hotel):
    booking = arriving(small_hotel)
    queue_booking_mail(RoomBooking.objects.get(), MailKind.CONFIRMATION)
    cancel_booking(booking=booking, staff=small_hotel.agent, reason="ill")
    assert states() == [("CONFIRMATION", "DROPPED"), ("CANCELLATION", "QUEUED")]
    reinstate_booking(booking=booking, staff=small_hotel.manager, reason="well again")
    assert states()[1:] == [("CANCELLATION", "DROPPED"), ("CONFIRMATION", "QUEUED")]
    assert send_queued() == 1
    assert [email.subject.rpartition(" ")[2] for email in django_mail.outbox] == ["confirmed"]


def test_another_booking_s_mail_stays(small_hotel):
    first, second = arriving(small_hotel), arriving(small_hotel)
    for booking in (first, second):
        edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(5))
    assert states() == [("CHANGE", "QUEUED")] * 2


@pytest.mark.parametrize(
    ("change", "mailed"),
    [
        ({"check_in": day(1)}, True),
        ({"check_out": day(3)}, True),
        ({"check_out": day(4)}, False),
        ({"adults": 2, "primary_email": "new@example.com", "total_amount": Decimal("12.50")}, False),
    ],
    ids=["arrival", "departure", "as before", "no dates"],
)
def test_new_dates_are_mailed_and_other_changes_are_not(small_hotel, change, mailed):
    edit_booking(booking=arriving(small_hotel), staff=small_hotel.agent, **change)
    assert states() == ([("CHANGE", "QUEUED")] if mailed else [])


def test_new_dates_of_a_guest_in_house_are_mailed(small_hotel):
    stay = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_out=day(1), primary_email="ada@example.com")
    edit_booking(booking=stay, staff=small_hotel.agent, check_out=day(2))
    extend_stay(booking=stay, staff=small_hotel.agent, add_nights=2)
    assert states() == [("CHANGE", "DROPPED"), ("CHANGE", "QUEUED")]
    [email] = queued_mails()
    assert "Departure: Sunday, 5 July 2026\n" in email.body


def test_new_dates_of_a_request_are_not_mailed(small_hotel):
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type, "primary_email": "ada@example.com"}
    request = booking_in("PENDING_APPROVAL", **hotel_fields, check_in=day(2), check_out=day(4))
    edit_booking(booking=request, staff=small_hotel.agent, check_out=day(5))
    assert states() == []


# --- sending again ----------------------------------------------------------------------------------------------------


def sent_mail(small_hotel, **fields) -> BookingMail:
    """The confirmation of a booking, sent."""
    arriving(small_hotel, **fields)
    queue_booking_mail(RoomBooking.objects.get(), MailKind.CONFIRMATION)
    assert send_queued() == 1
    return BookingMail.objects.get()


def test_mail_is_sent_again_with_current_data_and_published(small_hotel):
    mail = sent_mail(small_hotel)
    RoomBooking.objects.update(primary_email="new@example.com", adults=3)
    since = last_event()
    again = send_again(mail=mail, staff=small_hotel.agent)
    assert (again.kind, again.state, again.queued_by) == ("CONFIRMATION", "QUEUED", small_hotel.agent)
    assert published_events(since) == [("room-bookings", "booking_updated")]
    assert send_queued() == 1
    assert django_mail.outbox[1].to == ["new@example.com"]
    assert "Guests: 3 adults\n" in django_mail.outbox[1].body
    identities = {email.extra_headers["Message-ID"] for email in django_mail.outbox}
    assert len(identities) == 2
    assert states() == [("CONFIRMATION", "SENT")] * 2


def test_queued_mail_is_sent_immediately(small_hotel):
    mail = sent_mail(small_hotel)
    BookingMail.objects.all().delete()
    queue_booking_mail(RoomBooking.objects.get(), MailKind.CONFIRMATION)
    BookingMail.objects.update(tries=7, due_at=clock.now() + timedelta(hours=4))
    assert send_queued() == 0
    again = send_again(mail=BookingMail.objects.get(), staff=small_hotel.agent)
    assert mail.pk != again.pk
    assert states() == [("CONFIRMATION", "DROPPED"), ("CONFIRMATION", "QUEUED")]
    assert send_queued() == 1


def test_superseded_mail_is_not_sent_again(small_hotel):
    mail = sent_mail(small_hotel)
    cancel_booking(booking=mail.booking, staff=small_hotel.agent)
    refusal = refusal_of(lambda: send_again(mail=mail, staff=small_hotel.agent))
    assert (refusal.status, refusal.code) == (409, "MAIL_OVERTAKEN")
    reference = mail.booking.booking_id
    assert refusal.message == f"Booking {reference} is cancelled: this e-mail no longer applies."
    assert refusal.details == {"booking_id": reference, "status": "CANCELLED"}


def test_mail_without_an_address_is_not_sent_again(small_hotel):
    mail = sent_mail(small_hotel)
    RoomBooking.objects.update(primary_email="")
    refusal = refusal_of(lambda: send_again(mail=mail, staff=small_hotel.agent))
    assert (refusal.status, refusal.code) == (409, "NO_EMAIL_ADDRESS")


def test_mail_being_sent_is_not_sent_again(small_hotel):
    mail = sent_mail(small_hotel)
    queue_booking_mail(RoomBooking.objects.get(), MailKind.CONFIRMATION)
    BookingMail.objects.filter(state="QUEUED").update(state=MailState.SENDING, claimed_at=clock.now())
    refusal = refusal_of(lambda: send_again(mail=mail, staff=small_hotel.agent))
    assert (refusal.status, refusal.code) == (409, "MAIL_BEING_SENT")


def test_it_locks_the_booking_first(small_hotel, statements):
    mail = sent_mail(small_hotel)
    with statements() as made:
        send_again(mail=mail, staff=small_hotel.agent)
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "UPDATE BookingMail",
        "INSERT BookingMail",
        "INSERT RealtimeEvent",
    ]


# --- retention --------------------------------------------------------------------------------------------------------


def test_mails_are_deleted_a_month_after_sending_and_departure(small_hotel):
    mail = sent_mail(small_hotel, check_in=day(0), check_out=day(1))
    waiting = queue_booking_mail(RoomBooking.objects.get(), MailKind.CONFIRMATION)
    month = mail_module.KEEP_MAILS
    BookingMail.objects.filter(pk=mail.pk).update(settled_at=clock.now() + timedelta(days=3))
    for moment, left in (
        (timedelta(days=2), 2),
        (month + timedelta(days=2), 2),  # the stay ended long ago, the mail is recent
        (month + timedelta(days=4), 1),
        (timedelta(days=900), 1),  # a queued mail is never deleted
    ):
        with clock.set_to(clock.now() + moment):
            mail_module.forget_settled()
        assert BookingMail.objects.count() == left, moment
    assert BookingMail.objects.get() == waiting


def test_mails_of_a_future_stay_are_kept(small_hotel):
    sent_mail(small_hotel, check_in=day(200), check_out=day(201))
    with clock.set_to(clock.now() + timedelta(days=220)):
        mail_module.forget_settled()
    assert BookingMail.objects.count() == 1
    with clock.set_to(clock.now() + timedelta(days=233)):
        assert mail_module.forget_settled() >= 1
    assert not BookingMail.objects.exists()


def test_all_queued_mails_can_be_dropped(small_hotel):
    arriving(small_hotel)
    queue_booking_mail(RoomBooking.objects.get(), MailKind.CONFIRMATION)
    assert mail_module.drop_all_queued("Restored from a backup.") == 1
    assert states() == [("CONFIRMATION", "DROPPED")]
    assert send_queued() == 0
