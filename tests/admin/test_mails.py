"""Guest mail in the admin: its state is shown with its booking, and a button resends it."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from common import clock
from hotel import rights
from notifications.mail import queue_booking_mail
from notifications.mail_sending import send_queued
from notifications.models import BookingMail, MailKind
from room_bookings.models import RoomBooking
from room_bookings.services.cancel import cancel_booking
from tests.admin.every_model import admin_url, manager_of, signed_in_browser, superuser_browser
from tests.factories import HotelFactory, StaffFactory, booking_in
from tests.notifications.test_mail_sending import Provider
from tests.snapshots import table_rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def booking(hotel) -> RoomBooking:
    return booking_in("CONFIRMED", hotel=hotel, primary_email="ada@example.com")


@pytest.fixture
def boss(hotel) -> Client:
    member = manager_of(hotel)
    client = signed_in_browser(member.user)
    client.member = member
    return client


def queue(booking: RoomBooking, kind=MailKind.CONFIRMATION) -> BookingMail:
    return queue_booking_mail(RoomBooking.objects.select_related("hotel", "room_type").get(pk=booking.pk), kind)


def of_booking(client: Client, booking: RoomBooking) -> str:
    answer = client.get(admin_url(RoomBooking, "change", booking.pk))
    assert answer.status_code == 200
    return answer.content.decode()


def button(mail: BookingMail) -> str:
    return f'formaction="/admin/notifications/bookingmail/{mail.pk}/send-again/"'


def press_button(client: Client, mail: BookingMail):
    """Post the booking's whole form to the button's URL, as the browser does."""
    form = {"internal_notes": "half a sentence that nob", "version": 99}
    return client.post(f"/admin/notifications/bookingmail/{mail.pk}/send-again/", form, follow=True)


def page_messages(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def test_a_booking_shows_its_mails_and_why_they_wait(boss, booking, settings, monkeypatch):
    settings.EMAIL_BACKEND = "tests.notifications.test_mail_sending.Provider"
    monkeypatch.setattr(Provider, "failures", [TimeoutError()])
    mail = queue(booking)
    assert send_queued() == 0
    html = of_booking(boss, booking)
    for words in ("e-mails to the guest", "Confirmation", "Queued", "ada@example.com", "could not be reached"):
        assert words in html.lower() or words in html, words
    assert button(mail) in html


def test_the_button_resends_and_redirects_to_the_booking(boss, booking):
    first = queue(booking)
    send_queued()
    answer = press_button(boss, first)
    assert answer.redirect_chain == [(admin_url(RoomBooking, "change", booking.pk), 302)]
    assert page_messages(answer) == ["Queued again: 1 of 1 e-mails."]
    again = BookingMail.objects.get(state="QUEUED")
    assert (again.kind, again.queued_by) == ("CONFIRMATION", boss.member)
    assert button(again) in answer.content.decode()
    booking.refresh_from_db()
    assert (booking.internal_notes, booking.version) == ("", 0)


def test_an_overtaken_mail_cannot_be_resent(boss, booking):
    mail = queue(booking)
    cancel_booking(booking=booking, staff=boss.member)
    html = of_booking(boss, booking)
    assert button(mail) not in html
    assert button(BookingMail.objects.get(kind="CANCELLATION")) in html
    before = table_rows([BookingMail])
    assert page_messages(press_button(boss, mail)) == [
        f"{booking.booking_id}: Booking {booking.booking_id} is cancelled: this e-mail no longer applies."
    ]
    assert table_rows([BookingMail]) == before


def test_a_get_to_the_resend_url_sends_nothing(boss, booking):
    mail = queue(booking)
    before = table_rows([BookingMail])
    answer = boss.get(f"/admin/notifications/bookingmail/{mail.pk}/send-again/")
    assert answer["Location"] == admin_url(RoomBooking, "change", booking.pk)
    assert table_rows([BookingMail]) == before


def test_without_the_right_mails_are_hidden_and_not_sent(hotel, booking):
    mail = queue(booking)
    member = StaffFactory(hotel=hotel, role=rights.HOUSEKEEPER, user__is_staff=True)
    member.user.user_permissions.set(Permission.objects.filter(codename="view_roombooking"))
    client = signed_in_browser(member.user)
    html = of_booking(client, booking)
    assert "e-mails to the guest" not in html.lower()
    assert button(mail) not in html
    assert client.get(admin_url(BookingMail, "changelist")).status_code == 403
    before = table_rows([BookingMail])
    assert press_button(client, mail).status_code == 404
    assert table_rows([BookingMail]) == before


def test_another_hotels_mail_is_hidden_and_not_sent(boss, booking):
    elsewhere = booking_in("CONFIRMED", hotel=HotelFactory(), primary_email="grace@example.com")
    queue(booking)
    stranger = queue(elsewhere)
    before = table_rows([BookingMail])
    assert press_button(boss, stranger).status_code == 404
    listed = boss.get(admin_url(BookingMail, "changelist")).content.decode()
    assert "ada@example.com" in listed
    assert "grace@example.com" not in listed
    boss.post(admin_url(BookingMail, "changelist"), {"action": "send_again", "_selected_action": [stranger.pk]})
    assert table_rows([BookingMail]) == before


def test_a_superuser_without_a_hotel_sees_all_mails_and_sends_none(booking):
    mail, client = queue(booking), superuser_browser()
    html = of_booking(client, booking)
    assert "ada@example.com" in html
    assert button(mail) not in html
    before = table_rows([BookingMail])
    answer = press_button(client, mail)
    assert page_messages(answer) == [f"{booking.booking_id}: Only the staff of {booking.hotel} may do this."]
    assert table_rows([BookingMail]) == before


def test_a_superuser_with_a_profile_sends_only_mails_of_their_hotel(hotel, booking):
    elsewhere = booking_in("CONFIRMED", hotel=HotelFactory(), primary_email="grace@example.com")
    own, stranger = queue(booking), queue(elsewhere)
    member = StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER, user__is_staff=True, user__is_superuser=True)
    client = signed_in_browser(member.user)
    assert button(own) in of_booking(client, booking)
    assert button(stranger) not in of_booking(client, elsewhere)
    send_queued()
    before = table_rows([BookingMail])
    refusal = f"{elsewhere.booking_id}: Only the staff of {elsewhere.hotel} may do this."
    assert page_messages(press_button(client, stranger)) == [refusal]
    assert table_rows([BookingMail]) == before
    assert page_messages(press_button(client, own)) == ["Queued again: 1 of 1 e-mails."]


def test_users_without_a_hotel_are_offered_no_action(booking):
    queue(booking)
    listed = superuser_browser().get(admin_url(BookingMail, "changelist"))
    assert "ada@example.com" in listed.content.decode()
    assert listed.context["action_form"] is None


def test_a_mail_is_found_by_guest_and_by_recipient(boss, booking, hotel):
    mail = queue(booking)
    RoomBooking.objects.filter(pk=booking.pk).update(primary_email="new@example.com")
    queue(booking_in("CONFIRMED", hotel=hotel, primary_email="g@example.com", primary_last_name="Hopper"))
    for typed in ("lovelace", booking.booking_id, "ADA@example", "new@example.com"):
        listed = boss.get(admin_url(BookingMail, "changelist"), {"q": typed})
        assert list(listed.context["cl"].result_list) == [mail], typed


def test_all_failed_mails_can_be_resent_together(boss, hotel):
    bookings = [booking_in("CONFIRMED", hotel=hotel, primary_email=f"g{n}@example.com") for n in range(3)]
    for booking in bookings:
        queue(booking)
    send_queued()
    BookingMail.objects.filter(booking__in=bookings[:2]).update(state="FAILED", reason="Given up.")
    RoomBooking.objects.filter(pk=bookings[1].pk).update(status="CANCELLED", cancelled_at=clock.now())
    failed = boss.get(admin_url(BookingMail, "changelist") + "?state__exact=FAILED")
    assert [mail.booking for mail in failed.context["cl"].result_list] == bookings[1::-1]
    numbers = list(BookingMail.objects.filter(state="FAILED").values_list("pk", flat=True))
    chosen = {"action": "send_again", "_selected_action": numbers}
    gone = bookings[1].booking_id
    answer = boss.post(admin_url(BookingMail, "changelist") + "?state__exact=FAILED", chosen, follow=True)
    assert page_messages(answer) == [
        f"{gone}: Booking {gone} is cancelled: this e-mail no longer applies.",
        "Queued again: 1 of 2 e-mails.",
    ]
    assert list(BookingMail.objects.filter(state="QUEUED").values_list("booking", flat=True)) == [bookings[0].pk]


@pytest.mark.parametrize("size", [1, 3])
def test_the_list_takes_a_constant_number_of_statements(boss, hotel, statements, size):
    for _ in range(size):
        queue(booking_in("CONFIRMED", hotel=hotel, primary_email="ada@example.com"))
    with statements() as made:
        assert boss.get(admin_url(BookingMail, "changelist")).status_code == 200
    assert len(made) == 5, made.sql()
