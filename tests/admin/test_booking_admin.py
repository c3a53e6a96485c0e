"""Bookings in the admin: limited to the user's hotel, and written only by the services."""

from contextlib import contextmanager
from datetime import timedelta
from html import unescape

import psycopg2
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.urls import reverse

from common import clock
from hotel import calendar, rights
from hotel.models import Hotel, Staff
from notifications.models import RealtimeEvent
from room_bookings.models import (
    BookingChange,
    BookingExtension,
    BookingGuest,
    BookingStatus,
    OverstayIncident,
    PaymentRetry,
    PaymentState,
    RoomBooking,
)
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.create import create_booking
from room_bookings.services.edit import edit_booking
from room_bookings.services.room_move import move_room
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, StaffFactory, booking_in, room_in
from tests.http import nothing_written
from tests.races import overlap

pytestmark = pytest.mark.django_db

LIST = reverse("admin:room_bookings_roombooking_changelist")


def page(booking: RoomBooking, name: str = "change") -> str:
    return reverse(f"admin:room_bookings_roombooking_{name}", args=[booking.pk])


def browser(member: Staff) -> Client:
    client = Client()
    client.force_login(member.user)
    return client


@pytest.fixture
def manager_browser(manager) -> Client:
    """A client signed in as the hotel's manager."""
    return browser(manager)


@pytest.fixture
def superuser_browser(db) -> Client:
    """A client signed in as a superuser without a hotel."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    return client


def listed(client: Client, **query: str) -> list[str]:
    answer = client.get(LIST, query)
    assert answer.status_code == 200, (answer.status_code, query)
    return sorted(booking.booking_id for booking in answer.context["cl"].queryset)


def page_messages(answer) -> list[str]:
    """The messages at the top of the page."""
    return [str(message) for message in answer.context["messages"]]


def choose(client: Client, action: str, *bookings: RoomBooking, **fields):
    data = {"action": action, "_selected_action": [booking.pk for booking in bookings], **fields}
    return client.post(LIST, data, follow=True)


def apply(client: Client, action: str, *bookings: RoomBooking, reason: str = "they rang"):
    return choose(client, action, *bookings, apply="1", reason=reason)


def stay(hotel: Hotel, **fields) -> RoomBooking:
    """A booking of a room type that has a room."""
    room_type = fields.pop("room_type", None) or NewRoomFactory(hotel=hotel).room_type
    return BookingFactory(hotel=hotel, room_type=room_type, **fields)


def in_house(hotel: Hotel, **fields) -> RoomBooking:
    booking = room_in("OCCUPIED", hotel=hotel).bookings.get()
    RoomBooking.objects.filter(pk=booking.pk).update(**fields)
    booking.refresh_from_db()
    return booking


def today(hotel: Hotel):
    return calendar.business_date(hotel)


# --- scope ------------------------------------------------------------------------------------------------------------


def test_a_manager_sees_only_bookings_of_their_hotel(manager_browser, superuser_browser, hotel):
    own, other = stay(hotel), stay(HotelFactory(slug="other"), primary_last_name="Other")
    assert listed(manager_browser) == [own.booking_id]
    assert listed(manager_browser, q="Other") == []
    for query in ({"hotel__id__exact": other.hotel_id}, {"room_type__id__exact": other.room_type_id}):
        assert other.booking_id not in listed(manager_browser, **query)
    assert listed(manager_browser, status__exact="CONFIRMED") == [own.booking_id]
    assert listed(superuser_browser) == sorted([own.booking_id, other.booking_id])
    assert listed(superuser_browser, hotel__id__exact=other.hotel_id) == [other.booking_id]


@pytest.mark.parametrize("name", ["change", "history", "delete"])
def test_another_hotels_booking_cannot_be_opened(name, manager_browser, hotel):
    other = stay(HotelFactory(slug="other"), primary_last_name="Topsecret")
    with nothing_written():
        answers = [
            manager_browser.get(page(other, name), follow=True),
            manager_browser.post(page(other, name), form_of(other), follow=True),
        ]
    for answer in answers:
        assert answer.status_code == 403 or "doesn’t exist" in unescape(answer.content.decode())
        assert "Topsecret" not in answer.content.decode()


def test_the_hotel_filter_and_column_appear_only_for_several_hotels(manager_browser, superuser_browser, hotel):
    stay(hotel), stay(HotelFactory(name="The Other"))
    by_hotel, shown = "By hotel", "column-hotel"
    for client, sees in ((superuser_browser, True), (manager_browser, False)):
        text = client.get(LIST).content.decode()
        assert (by_hotel in text, shown in text, "The Other" in text) == (sees, sees, sees)


def test_bookings_require_the_view_permission(hotel):
    keeper = StaffFactory(hotel=hotel, user__is_staff=True)
    assert browser(keeper).get(LIST).status_code == 403
    # The front desk's right to update bookings does not open the admin.
    agent = StaffFactory(hotel=hotel, role=rights.FRONT_DESK_AGENT, user__is_staff=True)
    assert browser(agent).get(page(stay(hotel))).status_code == 403


# --- finding them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    ["BK-1999-0042", "1999-0042", "kxw4p7qz", "grace", "HOPPER", "Grace Hopper", "grace@navy.example", "4711"],
)
def test_a_booking_is_found_by(words, manager_browser, hotel):
    room = NewRoomFactory(hotel=hotel, room_number=4711)
    wanted = BookingFactory(
        hotel=hotel,
        room_type=room.room_type,
        assigned_room=room,
        booking_id="BK-1999-0042",
        confirmation_number="KXW4P7QZ",
        primary_first_name="Grace",
        primary_last_name="Hopper",
        primary_email="grace@navy.example",
    )
    stay(hotel)
    assert listed(manager_browser, q=words) == [wanted.booking_id]
    assert listed(manager_browser, q="nobody of that name") == []


def test_filters(manager_browser, hotel):
    day = today(hotel)
    coming = stay(hotel, check_in=day)
    later = stay(hotel, check_in=day + timedelta(days=40), room_type=coming.room_type)
    guest = in_house(hotel, check_in=day)  # the business day's, also after midnight
    gone = stay(hotel, status="CANCELLED", cancelled_at=clock.now(), check_in=day - timedelta(days=400))
    ids = {"coming": coming, "later": later, "guest": guest, "gone": gone}

    def found(**query) -> set[str]:
        rows = listed(manager_browser, **query)
        return {name for name, booking in ids.items() if booking.booking_id in rows}

    assert found() == {"coming", "later", "guest", "gone"}
    assert found(status__exact="CANCELLED") == {"gone"}
    assert found(assigned_room__isempty="0") == {"guest"}
    assert found(assigned_room__isempty="1") == {"coming", "later", "gone"}
    assert found(room_type__id__exact=coming.room_type_id) == {"coming", "later"}
    assert found(check_in__gte=str(day), check_in__lt=str(day + timedelta(days=1))) == {"coming", "guest"}
    assert found(check_in__year=gone.check_in.year, check_in__month=gone.check_in.month) == {"gone"}


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "q=" + "x" * 3000,
        "q=%27%22%3B--%25_",
        "q=99999999999999999999999",
        "p=99999999999999999999",
        "p=-1",
        "p=abc",
        "o=99.-99.x",
        "status__exact=%00",
        "status__exact=NOTHING",
        "status__exact=CONFIRMED&status__exact=CANCELLED",
        "check_in__gte=tomorrow",
        "check_in__gte=2026-02-30",
        "check_in__gte=%00",
        "check_in__year=abc",
        "check_in__year=99999",
        "check_in__year=0",
        "check_in__year=2026&check_in__month=13",
        "check_in__year=2026&check_in__month=2&check_in__day=31",
        "check_in__isnull=maybe",
        "assigned_room__isempty=2",
        "assigned_room__id__exact=%00",
        "room_type__id__exact=abc",
        "room_type__id__exact=99999999999999999999",
        "room_type__isnull=x",
        "hotel__id__exact=-1",
        "total_amount__gt=NaN",
        "total_amount__gt=Infinity",
        "total_amount__gt=1e999999",
        "adults__gt=1.5",
        "id__in=1,2,x",
        "created_at__gte=never",
        "nonsense=1",
        "nonsense__exact=1",
        "hotel__staff__user__password__startswith=m",
        "guest_token_hash__startswith=a",
        "_to_field=guest_token_hash",
        "_popup=1",
        "e=1",
        "all=",
    ],
)
def test_invalid_queries_are_no_error_page(query, hotel, manager):
    stay(hotel)
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    assert client.get(f"{LIST}?{query}").status_code in (200, 302, 400), query


@pytest.mark.parametrize("address", ["abc", "99999999999999999999", "0", "%00", "1/x"])
def test_unknown_booking_ids_are_not_found(address, hotel, manager):
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    assert client.get(f"{LIST}{address}/change/").status_code in (302, 404)


def test_the_list_shows_reference_guest_status_type_amount_and_room(manager_browser, hotel):
    booking = in_house(hotel, total_amount="1234.50")
    row = manager_browser.get(LIST).content.decode()
    for cell in (booking.booking_id, "Ada Lovelace", "In house", booking.room_type.name, "1234.50 EUR"):
        assert cell in row
    assert f'<td class="field-room">{booking.assigned_room.room_number}</td>' in row


@pytest.mark.parametrize(
    ("amount", "currency", "shown"), [("1234.5", "EUR", "1234.50"), ("9000", "JPY", "9000"), ("4.25", "BHD", "4.250")]
)
def test_the_amount_is_shown_with_its_currencys_decimals(manager_browser, hotel, amount, currency, shown):
    booking = stay(hotel, total_amount=amount, currency=currency)
    text = manager_browser.get(page(booking)).content.decode()
    assert f">{shown} {currency}<" in text
    assert f"{shown}0" not in text


@pytest.mark.parametrize("client_of", ["manager", "root"])
def test_the_list_takes_a_constant_number_of_statements(client_of, hotel, manager, superuser_browser, statements):
    client = browser(manager) if client_of == "manager" else superuser_browser
    room = NewRoomFactory(hotel=hotel)
    counts, rows = [], []
    for number in (1, 3, 100):
        while RoomBooking.objects.count() < number:
            nights = timedelta(days=3 * RoomBooking.objects.count())
            BookingFactory(
                hotel=hotel, room_type=room.room_type, assigned_room=room, check_in=today(hotel) + nights, adults=2
            )
        with statements() as made:
            answer = client.get(LIST)
        counts.append(len(made))
        rows.append(len(answer.context["cl"].result_list))
    assert rows == [1, 3, 100]
    assert counts == [8, 8, 8]


# --- one booking ------------------------------------------------------------------------------------------------------


def form_of(booking: RoomBooking, **fields) -> dict:
    """The form data that a browser sends from the booking's page."""
    booking.refresh_from_db()
    data = {"internal_notes": booking.internal_notes, "version": booking.version}
    for prefix in ("companions", "mails", "changes", "overstays", "extensions"):
        pks = list(getattr(booking, prefix).values_list("pk", flat=True))
        data |= {f"{prefix}-TOTAL_FORMS": len(pks), f"{prefix}-INITIAL_FORMS": len(pks)}
        for index, pk in enumerate(pks):
            data |= {f"{prefix}-{index}-id": pk, f"{prefix}-{index}-booking": booking.pk}
    return {**data, **fields}


def eventful_stay(hotel: Hotel, staff: Staff) -> RoomBooking:
    """An in-house booking with a room move, an overstay, an extension and a companion."""
    booking = in_house(hotel, internal_notes="vegan")
    better = NewRoomFactory(hotel=hotel, room_number=888)
    better.room_type.max_occupancy = 4
    better.room_type.save()
    move_room(booking=booking, to_room_id=better.pk, staff=staff, reason="the shower drips")
    OverstayIncident.objects.create(
        hotel=hotel, booking=booking, expected_checkout_date=booking.check_out, note="asked for coffee"
    )
    BookingExtension.objects.create(
        hotel=hotel,
        booking=booking,
        old_check_out=booking.check_out,
        new_check_out=booking.check_out + timedelta(days=9),
        staff=staff,
    )
    return booking


def test_the_page_shows_the_bookings_history(manager_browser, hotel, manager):
    booking = eventful_stay(hotel, manager)
    text = unescape(manager_browser.get(page(booking)).content.decode())
    for part in ("Charles", "Babbage", "Moved to another room", "Room 888", "the shower drips", "asked for coffee"):
        assert part in text
    assert text.count(manager.name) >= 2  # for the room move and for the extension


@pytest.mark.parametrize("client_of", ["manager", "root"])
def test_the_guest_token_is_never_shown(client_of, manager, superuser_browser, hotel):
    client = browser(manager) if client_of == "manager" else superuser_browser
    room = NewRoomFactory(hotel=hotel)
    booking = create_booking(
        hotel=hotel,
        staff=manager,
        room_type_id=room.room_type_id,
        check_in=today(hotel),
        check_out=today(hotel),
        primary_first_name="Ada",
        primary_last_name="Lovelace",
    )
    assert len(booking.guest_token_hash) == 64
    for address in (page(booking), LIST, page(booking, "history")):
        text = client.get(address).content.decode()
        assert booking.guest_token_hash not in text
        assert "token_hash" not in text
    # It cannot be guessed character by character with lookups either.
    assert client.get(LIST, {"guest_token_hash__startswith": booking.guest_token_hash[:1]}).status_code == 400


def test_only_the_notes_can_be_changed(manager_browser, hotel, manager):
    booking = eventful_stay(hotel, manager)
    before = RoomBooking.objects.filter(pk=booking.pk).values().get()
    histories = [
        list(model.objects.order_by("pk").values())
        for model in (BookingGuest, BookingChange, OverstayIncident, BookingExtension)
    ]
    other = stay(HotelFactory())
    crafted = {field.attname: "1" for field in RoomBooking._meta.fields} | {
        "hotel": other.hotel_id,
        "booking_id": "BK-0000-0000",
        "status": "COMPLETED",
        "check_in": "2030-01-01",
        "check_out": "2030-01-02",
        "check_in_0": "2030-01-01",
        "checked_out_at_0": "2030-01-01",
        "checked_out_at_1": "12:00",
        "assigned_room": other.room_type_id,
        "primary_last_name": "Mallory",
        "total_amount": "0.01",
        "payment_state": "CAPTURED",
        "guest_token_hash": "f" * 64,
        "cancelled_by": manager.pk,
        "companions-TOTAL_FORMS": 2,
        "companions-0-first_name": "Mallory",
        "companions-0-DELETE": "on",
        "companions-1-first_name": "Mallory",
        "companions-1-last_name": "Mallory",
        "companions-1-booking": booking.pk,
        "changes-TOTAL_FORMS": 2,
        "changes-0-reason": "nothing happened",
        "changes-0-DELETE": "on",
        "changes-1-action": "EDITED",
        "changes-1-to_status": "CONFIRMED",
        "overstays-0-status": "DISMISSED",
        "overstays-0-DELETE": "on",
        "extensions-0-new_check_out": "2030-01-01",
        "extensions-0-DELETE": "on",
    }
    data = form_of(booking) | {key: value for key, value in crafted.items() if key != "version"}
    answer = manager_browser.post(page(booking), data | {"internal_notes": "vegan, likes tea"})
    assert answer.status_code == 302
    after = RoomBooking.objects.filter(pk=booking.pk).values().get()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"internal_notes", "version", "updated_at"}
    histories[1].append(BookingChange.objects.filter(booking=booking, action="EDITED").values().get())
    assert [
        list(model.objects.order_by("pk").values())
        for model in (BookingGuest, BookingChange, OverstayIncident, BookingExtension)
    ] == histories


def test_notes_are_edited_through_the_service(manager_browser, hotel, manager):
    booking = stay(hotel)
    manager_browser.post(page(booking), form_of(booking, internal_notes="late\r\narrival"))
    booking.refresh_from_db()
    change = booking.changes.get()
    assert (booking.internal_notes, booking.version) == ("late\narrival", 1)
    assert (change.action, change.staff, change.reason) == ("EDITED", manager, "internal_notes")
    event = RealtimeEvent.objects.get().envelope
    assert (event["type"], event["payload"]["booking_id"]) == ("booking_updated", booking.booking_id)


def test_unchanged_notes_write_nothing(manager_browser, hotel):
    booking = stay(hotel, internal_notes=" two\nlines\n")
    manager_browser.post(page(booking), form_of(booking, internal_notes=" two\r\nlines\r\n"))
    booking.refresh_from_db()
    assert booking.version == 0
    assert not BookingChange.objects.exists()
    assert not RealtimeEvent.objects.exists()


def test_notes_too_long_or_unreadable_are_refused(manager_browser, hotel):
    booking = stay(hotel)
    with nothing_written():
        for notes in ("x" * 2001, "a\x00b"):
            answer = manager_browser.post(page(booking), form_of(booking, internal_notes=notes))
            assert answer.context["adminform"].form.errors["internal_notes"]
        for version in ("", "abc", "-1", "99999999999999999999"):
            assert manager_browser.post(page(booking), form_of(booking, version=version)).status_code == 200


def test_notes_stay_on_the_page_if_the_booking_has_changed(manager_browser, hotel, agent):
    booking = stay(hotel)
    data = form_of(booking, internal_notes="mine")
    edit_booking(booking=booking, staff=agent, internal_notes="theirs <b>")
    with nothing_written():
        answer = manager_browser.post(page(booking), data)
    text = answer.content.decode()
    assert "This booking has been changed meanwhile. Its notes now read: “theirs &lt;b&gt;”." in text
    assert "mine</textarea>" in text
    # Saving the page again overwrites it deliberately.
    form = answer.context["adminform"].form
    again = data | {"version": form["version"].value()}
    assert manager_browser.post(page(booking), again).status_code == 302
    booking.refresh_from_db()
    assert (booking.internal_notes, booking.version) == ("mine", 2)


@pytest.mark.django_db(transaction=True)
def test_a_concurrent_edit_is_not_overwritten(manager_browser, hotel, agent):
    """The form was valid when it was checked; the service detects the change under the lock."""
    booking = stay(hotel)
    data = form_of(booking, internal_notes="mine")
    _, [answer] = overlap(
        lambda: edit_booking(booking=booking, staff=agent, internal_notes="theirs"),
        lambda: manager_browser.post(page(booking), data),
    )
    assert answer.status_code == 302
    assert "has changed since you read it" in page_messages(manager_browser.get(answer["Location"]))[0]
    booking.refresh_from_db()
    assert (booking.internal_notes, booking.version) == ("theirs", 1)


def test_a_superuser_without_a_profile_is_read_only(superuser_browser, hotel):
    booking = stay(hotel, internal_notes="quiet room")
    answer = superuser_browser.get(page(booking))
    assert "quiet room" in answer.content.decode()
    assert 'name="internal_notes"' not in answer.content.decode()
    with nothing_written():
        assert superuser_browser.post(page(booking), form_of(booking, internal_notes="x")).status_code == 403


def test_a_superuser_with_a_profile_writes_only_in_their_hotel(hotel):
    member = StaffFactory(hotel=hotel, user__is_staff=True, user__is_superuser=True)
    own, other = stay(hotel), stay(HotelFactory(name="The Other"))
    client = browser(member)
    assert client.get(page(other)).status_code == 200
    with nothing_written():
        assert client.post(page(other), form_of(other, internal_notes="x")).status_code == 403
    answer = apply(client, "cancel", own, other)
    assert page_messages(answer) == [
        f"{other.booking_id}: Only the staff of The Other may do this.",
        "Cancelled: 1 of 2 bookings.",
    ]


def test_a_superuser_with_a_profile_searches_all_hotels(hotel):
    member = StaffFactory(hotel=hotel, user__is_staff=True, user__is_superuser=True)
    other = stay(HotelFactory(), primary_last_name="Elsewhere")
    assert list(browser(member).get(LIST, {"q": "elsewhere"}).context["cl"].queryset) == [other]


def test_bookings_cannot_be_added_or_deleted(manager_browser, superuser_browser, hotel):
    booking = stay(hotel)
    with nothing_written():
        for client in (manager_browser, superuser_browser):
            assert client.get(f"{LIST}add/").status_code == 403
            assert client.post(f"{LIST}add/", form_of(booking)).status_code == 403
            assert client.post(page(booking, "delete"), {"post": "yes"}).status_code == 403
            choose(client, "delete_selected", booking, post="yes")


def test_the_page_takes_a_constant_number_of_statements(manager_browser, hotel, manager, statements):
    booking = eventful_stay(hotel, manager)
    manager_browser.get(page(booking))  # Django caches the content type
    counts = []
    for number in (1, 3, 30):
        while BookingGuest.objects.count() < number:
            BookingGuest.objects.create(booking=booking, first_name="Mary", last_name="Somerville")
            BookingChange.objects.create(
                hotel=hotel,
                booking=booking,
                action="MOVED",
                to_status="IN_HOUSE",
                staff=StaffFactory(hotel=hotel),
                from_room=NewRoomFactory(hotel=hotel),
                to_room=NewRoomFactory(hotel=hotel),
            )
            OverstayIncident.objects.create(
                hotel=hotel,
                booking=booking,
                expected_checkout_date=booking.check_out + timedelta(days=BookingGuest.objects.count()),
                status="ACKED",
                acknowledged_at=clock.now(),
                acknowledged_by=StaffFactory(hotel=hotel),
            )
            BookingExtension.objects.create(
                hotel=hotel,
                booking=booking,
                old_check_out=booking.check_out,
                new_check_out=booking.check_out + timedelta(days=1),
                staff=StaffFactory(hotel=hotel),
            )
        with statements() as made:
            assert manager_browser.get(page(booking)).status_code == 200
        counts.append(len(made))
    assert counts == [13, 13, 13]


SCRIPT = "<script>alert(1)</script>"


def test_guest_text_is_escaped_everywhere(manager_browser, hotel, manager):
    booking = stay(
        hotel,
        primary_first_name=SCRIPT,
        primary_last_name=SCRIPT,
        special_requests=SCRIPT,
        internal_notes=f"</textarea>{SCRIPT}",
        booker_company=SCRIPT,
        assignment_notes=SCRIPT,
    )
    BookingGuest.objects.create(booking=booking, first_name=SCRIPT, last_name=SCRIPT)
    pages = [
        manager_browser.get(LIST),
        manager_browser.get(page(booking)),
        manager_browser.get(LIST, {"q": SCRIPT}),
        choose(manager_browser, "cancel", booking),
    ]
    pages.append(choose(manager_browser, "cancel", booking, apply="1", reason=SCRIPT * 200))
    cancel_booking(booking=booking, staff=manager, reason=SCRIPT)
    pages += [manager_browser.get(page(booking)), apply(manager_browser, "no_show", booking)]
    for answer in pages:
        text = answer.content.decode()
        assert answer.status_code == 200
        assert "alert(1)" in text
        assert SCRIPT not in text


# --- actions ----------------------------------------------------------------------------------------------------------


def requested(hotel: Hotel, **fields) -> RoomBooking:
    return stay(hotel, status="PENDING_APPROVAL", primary_email="ada@example.com", **fields)


def missed(hotel: Hotel) -> RoomBooking:
    return stay(hotel, check_in=today(hotel) - timedelta(days=1))


def cancelled(hotel: Hotel) -> RoomBooking:
    return stay(hotel, status="CANCELLED", cancelled_at=clock.now())


def parked(hotel: Hotel) -> RoomBooking:
    """A booking whose card payment the worker has given up."""
    booking = booking_in("EXPIRED", card="VOIDING", hotel=hotel, payment_requested_at=clock.now())
    PaymentRetry.objects.create(booking=booking, failures=12, last_error="Unclear", parked_at=clock.now())
    return booking


# Action → booking factory, resulting status, recorded action, whether a reason is required.
ACTIONS = {
    "approve": (requested, "CONFIRMED", "APPROVED", False),
    "decline": (requested, "DECLINED", "DECLINED", True),
    "check_out": (in_house, "COMPLETED", "CHECKED_OUT", False),
    "cancel": (stay, "CANCELLED", "CANCELLED", True),
    "no_show": (missed, "NO_SHOW", "NO_SHOW", False),
    "retry_payment": (parked, "EXPIRED", "EDITED", False),
    "reinstate": (cancelled, "CONFIRMED", "REINSTATED", True),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_asks_first_and_goes_through_the_service(action, manager_browser, hotel, manager):
    kind, outcome, recorded, asks = ACTIONS[action]
    booking = kind(hotel)
    with nothing_written():
        asked = choose(manager_browser, action, booking)
        text = asked.content.decode()
        assert f"{booking.booking_id}: Ada Lovelace" in text
        assert ('name="reason"' in text) == asks
        if asks:
            assert "This field is required." in apply(manager_browser, action, booking, reason=" ").content.decode()
    answer = apply(manager_browser, action, booking, reason="they\r\nrang")
    assert page_messages(answer)[0].endswith(": 1 of 1 bookings.")
    booking.refresh_from_db()
    change = booking.changes.get()
    assert (booking.status, change.action, change.staff) == (outcome, recorded, manager)
    if asks and action != "decline":
        assert change.reason == "they\nrang"
    if action == "decline":
        assert booking.decline_reason_note == "they\nrang"
    assert RealtimeEvent.objects.filter(channel__contains="booking").exists()


def test_the_result_includes_bookings_that_left_the_filtered_list(manager_browser, hotel):
    """A booking that expired meanwhile is no longer in the filtered list, but its refusal is still shown."""
    booking, gone = requested(hotel), requested(hotel)
    RoomBooking.objects.filter(pk=gone.pk).update(status="EXPIRED", expired_at=clock.now())
    answer = manager_browser.post(
        f"{LIST}?status__exact=PENDING_APPROVAL",
        {"action": "approve", "_selected_action": [booking.pk, gone.pk], "apply": "1"},
        follow=True,
    )
    assert page_messages(answer) == [
        f"{gone.booking_id}: The approval deadline of booking {gone.booking_id} has passed.",
        "Approved: 1 of 2 bookings.",
    ]


@pytest.mark.django_db(transaction=True)
def test_each_booking_is_a_transaction_of_its_own(manager_browser, hotel, statements):
    first, refused, already, last = stay(hotel), requested(hotel), stay(hotel), stay(hotel)
    cancel_booking(booking=already, staff=StaffFactory(hotel=hotel), reason="before")
    before = RoomBooking.objects.filter(pk=refused.pk).values().get()
    with statements() as made:
        answer = apply(manager_browser, "cancel", first, refused, already, last)
    # One transaction each, so no row stays locked while another is waited for.
    ends = [query["sql"] for query in made.captured_queries if query["sql"] in ("COMMIT", "ROLLBACK")]
    assert ends == ["COMMIT", "ROLLBACK", "COMMIT", "COMMIT"]
    assert page_messages(answer) == [
        f"{refused.booking_id}: Booking {refused.booking_id} is pending approval: decline it instead.",
        f"{already.booking_id}: already done.",
        "Cancelled: 2 of 4 bookings.",
    ]
    assert RoomBooking.objects.filter(pk=refused.pk).values().get() == before
    assert set(RoomBooking.objects.filter(status="CANCELLED")) == {first, already, last}
    assert BookingChange.objects.count() == 3


@contextmanager
def row_locked_elsewhere(booking: RoomBooking):
    """Lock the row on another connection; ours gives up after 50 ms."""
    settings = connection.get_connection_params()
    other = psycopg2.connect(
        **{key: settings[key] for key in ("dbname", "user", "password", "host", "port") if key in settings}
    )
    try:
        with other.cursor() as cursor, connection.cursor() as ours:
            cursor.execute("SELECT 1 FROM room_bookings_roombooking WHERE id = %s FOR UPDATE", [booking.pk])
            ours.execute("SET lock_timeout = '50ms'")
        yield
    finally:
        other.close()
        with connection.cursor() as ours:
            ours.execute("RESET lock_timeout")


@pytest.mark.django_db(transaction=True)
def test_a_busy_booking_ends_the_action_and_lists_those_not_tried(manager_browser, hotel):
    first, busy, last = stay(hotel), stay(hotel), stay(hotel)
    with row_locked_elsewhere(busy):
        answer = apply(manager_browser, "cancel", first, busy, last)
    assert page_messages(answer) == [
        f"{busy.booking_id}: Somebody else is changing this right now. Try again in a moment.",
        f"Not tried: {last.booking_id}.",
        "Cancelled: 1 of 3 bookings.",
    ]
    assert RoomBooking.objects.get(status="CANCELLED") == first


def test_an_unavailable_payment_provider_ends_the_action(manager_browser, hotel, settings):
    settings.STRIPE_SECRET_KEY = ""
    plain, by_card, last = requested(hotel), requested(hotel), requested(hotel)
    RoomBooking.objects.filter(pk=by_card.pk).update(
        payment_provider="stripe", payment_reference="pi_1", payment_state=PaymentState.AUTHORISED
    )
    answer = apply(manager_browser, "approve", plain, by_card, last)
    assert page_messages(answer) == [
        f"{by_card.booking_id}: Card payments are not configured: STRIPE_SECRET_KEY is missing.",
        f"Not tried: {last.booking_id}.",
        "Approved: 1 of 3 bookings.",
    ]
    assert [booking.status for booking in RoomBooking.objects.order_by("pk")] == [
        "CONFIRMED",
        "PENDING_APPROVAL",
        "PENDING_APPROVAL",
    ]


ALL_ACTIONS = set(ACTIONS)
MAY = {
    rights.FRONT_DESK_AGENT: ALL_ACTIONS - {"reinstate"},
    rights.FRONT_OFFICE_MANAGER: ALL_ACTIONS,
    rights.HOUSEKEEPER: set(),
    rights.HOUSEKEEPING_SUPERVISOR: set(),
    rights.HOTEL_MANAGER: ALL_ACTIONS,
}
view = Permission.objects.filter(content_type__app_label="room_bookings", codename="view_roombooking")


def offered(client: Client) -> set[str]:
    form = client.get(LIST).context["action_form"]
    return {name for name, _ in form.fields["action"].choices if name} if form else set()


@pytest.mark.parametrize("role", MAY)
def test_each_role_is_offered_the_actions_it_has_rights_for(role, hotel):
    member = StaffFactory(hotel=hotel, role=role, user__is_staff=True)
    member.user.user_permissions.add(*view)
    client = browser(member)
    assert offered(client) == MAY[role]
    bookings = {action: ACTIONS[action][0](hotel) for action in ACTIONS}
    for action, booking in bookings.items():
        if action not in MAY[role]:
            with nothing_written():
                apply(client, action, booking)
    form = client.get(page(bookings["cancel"])).content.decode()
    assert ('name="internal_notes"' in form) == bool(MAY[role])


@pytest.mark.parametrize(
    ("right", "actions"),
    [
        ("cancel", {"cancel", "decline", "no_show"}),
        ("checkout", {"check_out"}),
        ("update", {"approve", "retry_payment"}),
        ("supervise", {"reinstate"}),
    ],
)
def test_each_action_requires_its_right(right, actions, hotel):
    member = StaffFactory(hotel=hotel, user__is_staff=True, role=rights.HOTEL_MANAGER)
    member.role.permissions.remove(*Permission.objects.filter(content_type__app_label="room_bookings", codename=right))
    assert offered(browser(member)) == ALL_ACTIONS - actions


def test_a_superuser_without_a_profile_is_offered_no_actions(superuser_browser, hotel):
    booking = stay(hotel)
    assert offered(superuser_browser) == set()
    with nothing_written():
        apply(superuser_browser, "cancel", booking)


def test_only_a_supervisor_cancels_an_in_house_stay(hotel):
    booking = in_house(hotel)
    agent = StaffFactory(hotel=hotel, role=rights.FRONT_DESK_AGENT, user__is_staff=True)
    agent.user.user_permissions.add(*view)
    with nothing_written():
        [refused] = page_messages(apply(browser(agent), "cancel", booking))
    assert "or have a supervisor cancel the stay" in refused
    boss = StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER, user__is_staff=True)
    assert page_messages(apply(browser(boss), "cancel", booking)) == ["Cancelled: 1 of 1 bookings."]
    booking.refresh_from_db()
    assert booking.status == BookingStatus.CANCELLED


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_does_not_reach_another_hotel(action, manager_browser, hotel):
    other = ACTIONS[action][0](HotelFactory(slug="other"))
    with nothing_written():
        asked = choose(manager_browser, action, other)
        applied = apply(manager_browser, action, other)
    for answer in (asked, applied):
        assert other.booking_id not in answer.content.decode()
        assert page_messages(answer) == ["Choose between 1 and 100 bookings."]


def test_an_action_on_all_matches_is_limited_to_a_hundred(manager_browser, hotel):
    bookings = [stay(hotel) for _ in range(3)]
    asked = choose(manager_browser, "cancel", bookings[0], select_across="1")
    assert [row.booking.pk for row in asked.context["rows"]] == [booking.pk for booking in bookings]
    room_type = bookings[0].room_type
    for _ in range(98):
        BookingFactory(hotel=hotel, room_type=room_type)
    with nothing_written():
        many = choose(manager_browser, "cancel", bookings[0], select_across="1")
        every = apply(manager_browser, "cancel", *RoomBooking.objects.all())
    assert page_messages(many) == page_messages(every) == ["Choose between 1 and 100 bookings."]


@pytest.mark.parametrize(
    "data",
    [
        {"action": "cancel", "_selected_action": "abc"},
        {"action": "cancel", "_selected_action": "abc", "apply": "1", "reason": "x"},
        {"action": "cancel", "_selected_action": "99999999999999999999", "apply": "1", "reason": "x"},
        {"action": "cancel", "apply": "1", "reason": "x"},
        {"action": "explode", "_selected_action": "1"},
    ],
)
def test_invalid_selections_are_no_error_page(data, hotel, manager):
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    with nothing_written():
        assert client.post(LIST, data, follow=True).status_code == 200


def test_the_manager_role_can_view_bookings():
    role = Group.objects.get(name=rights.HOTEL_MANAGER)
    assert role.permissions.filter(pk__in=view).exists()


# --- hotel settings ---------------------------------------------------------------------------------------------------


def test_every_hotel_setting_is_on_its_page(manager_browser, hotel):
    answer = manager_browser.get(reverse("admin:hotel_hotel_change", args=[hotel.pk]))
    shown = {name for _, group in answer.context["adminform"].fieldsets for name in group["fields"]}
    assert shown == {field.name for field in Hotel._meta.fields} - {"id"}


# --- parked card payments ---------------------------------------------------------------------------------------------


@pytest.fixture
def given_up(hotel) -> dict[str, RoomBooking]:
    """A payment of each kind, and a parked one of another hotel."""
    bookings = {
        name: booking_in("EXPIRED", card="VOIDING", hotel=hotel, payment_requested_at=clock.now())
        for name in ("failing", "under_way")
    } | {"parked": parked(hotel)}
    parked(HotelFactory())
    PaymentRetry.objects.create(booking=bookings["failing"], failures=3, last_error="Refused", next_try_at=clock.now())
    return bookings


def test_the_payment_filter_finds_parked_payments(manager_browser, superuser_browser, given_up):
    def found(client: Client, payment: str) -> set[str]:
        return {booking.booking_id for booking in client.get(LIST, {"payment": payment}).context["cl"].queryset}

    references = {name: booking.booking_id for name, booking in given_up.items()}
    assert found(manager_browser, "parked") == {references["parked"]}
    assert found(manager_browser, "failing") == {references["failing"]}
    assert found(manager_browser, "under_way") == set(references.values())
    assert len(found(superuser_browser, "parked")) == 2
    assert manager_browser.get(LIST, {"payment": "lost"}).status_code == 302
    assert "12 (Unclear), parked on" in manager_browser.get(page(given_up["parked"])).content.decode()
    assert "3 (Refused), next on" in manager_browser.get(page(given_up["failing"])).content.decode()


def test_a_parked_payment_is_retried(manager_browser, given_up):
    booking, failing = given_up["parked"], given_up["failing"]
    assert page_messages(apply(manager_browser, "retry_payment", booking, failing)) == [
        f"{failing.booking_id}: No payment of booking {failing.booking_id} is parked.",
        "Queued for retry: 1 of 2 bookings.",
    ]
    assert [retry.booking for retry in PaymentRetry.objects.filter(booking__hotel=booking.hotel)] == [failing]
    assert "payment retry" in manager_browser.get(page(booking)).content.decode()
