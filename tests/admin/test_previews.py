"""Previews of admin actions: they show which rows would be refused and why, without writing or locking."""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils.formats import date_format

from common import clock
from hotel import calendar, rights
from hotel.models import Hotel
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.services import preview_room_statuses, set_room_statuses
from room_bookings.admin import STEPS, preview
from room_bookings.models import PaymentRetry, RoomBooking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.edit import edit_booking
from rooms.admin import MOST_AT_ONCE
from rooms.models import Room, RoomStatus
from tests.admin.every_model import admin_url, signed_in_browser
from tests.factories import (
    BookingFactory,
    HotelFactory,
    NewRoomFactory,
    RoomTypeFactory,
    StaffFactory,
    booking_in,
    in_house,
    room_in,
)
from tests.http import nothing_written, rolled_back

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager_browser(manager) -> Client:
    return signed_in_browser(manager.user)


def choose(client: Client, action: str, *rows: Any, **fields: Any) -> Any:
    data = {"action": action, "_selected_action": [row.pk for row in rows], **fields}
    return client.post(admin_url(type(rows[0]), "changelist"), data, follow=True)


def hidden(answer: Any, name: str) -> list[int]:
    return [int(part.split('"')[0]) for part in answer.content.decode().split(f'name="{name}" value="')[1:]]


# --- rooms ------------------------------------------------------------------------------------------------------------


def test_the_preview_groups_rooms_by_outcome(manager_browser, hotel):
    dirty, occupied = room_in("CHECKOUT_DIRTY", hotel=hotel), room_in("OCCUPIED", hotel=hotel)
    same = room_in("OUT_OF_ORDER", hotel=hotel)
    tomorrow = calendar.business_date(hotel) + timedelta(days=30)
    BookingFactory(
        hotel=hotel,
        room_type=occupied.room_type,
        assigned_room=occupied,
        check_in=tomorrow,
        check_out=tomorrow + timedelta(days=1),
    )
    with nothing_written():
        asked = choose(
            manager_browser, "change_status", dirty, occupied, same, preview="1", to_status="OUT_OF_ORDER", reason="r"
        )
    assert [room.pk for room in asked.context["done"]] == [dirty.pk]
    assert [room.pk for room in asked.context["already"]] == [same.pk]
    text = unescape(asked.content.decode())
    [(room, refusals)] = asked.context["refused"]
    assert (room.pk, [refusal.code for refusal in refusals]) == (occupied.pk, ["ROOM_OCCUPIED", "ROOM_NEEDED"])
    # Each reason is on the page.
    assert all(f'<span class="reason">{refusal.message}</span>' in text for refusal in refusals)
    assert f"Room {dirty.room_number}, now checkout dirty" in text
    assert f"Room occupied: room {occupied.room_number} has a guest in house." in text
    assert "Already out of order (1)" in text
    assert 'value="Change 1 room"' in text
    # The form contains only the room that will change.
    assert hidden(asked, "_selected_action") == [dirty.pk]
    done = choose(manager_browser, "change_status", dirty, apply="1", to_status="OUT_OF_ORDER", reason="r")
    assert [str(message) for message in done.context["messages"]] == ["Changed 1 of 1 rooms."]


def test_a_preview_without_changes_has_no_button(manager_browser, hotel):
    occupied = room_in("OCCUPIED", hotel=hotel)
    asked = choose(manager_browser, "change_status", occupied, preview="1", to_status="READY_FOR_GUEST", reason="r")
    text = asked.content.decode()
    assert "There is nothing to change." in text
    assert 'name="apply"' not in text
    assert 'name="again"' in text


def test_going_back_keeps_all_rooms_and_fields(manager_browser, hotel):
    dirty, occupied = room_in("CHECKOUT_DIRTY", hotel=hotel), room_in("OCCUPIED", hotel=hotel)
    fields = {"to_status": "OUT_OF_ORDER", "reason": "burst pipe"}
    asked = choose(manager_browser, "change_status", dirty, occupied, preview="1", **fields)
    again = choose(manager_browser, "change_status", dirty, again="1", others=hidden(asked, "others"), **fields)
    assert hidden(again, "_selected_action") == [dirty.pk, occupied.pk]
    form = again.context["form"]
    assert (form["to_status"].value(), form["reason"].value()) == ("OUT_OF_ORDER", "burst pipe")
    assert "burst pipe" in again.content.decode()


def test_a_change_since_the_preview_is_refused_with_its_reason(manager_browser, hotel):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    fields = {"to_status": "OUT_OF_ORDER", "reason": "burst pipe"}
    assert choose(manager_browser, "change_status", room, preview="1", **fields).context["done"]
    in_house(room)
    answer = choose(manager_browser, "change_status", room, apply="1", **fields)
    assert [str(message) for message in answer.context["messages"]] == [
        f"Room occupied: room {room.room_number} has a guest in house."
    ]


def test_the_result_includes_rooms_that_left_the_filtered_list(manager_browser, hotel):
    room = room_in("OUT_OF_ORDER", hotel=hotel)
    answer = manager_browser.post(
        f"{admin_url(Room, 'changelist')}?room_status__exact=CHECKOUT_DIRTY",
        {
            "action": "change_status",
            "_selected_action": room.pk,
            "apply": "1",
            "to_status": "OUT_OF_ORDER",
            "reason": "burst pipe",
        },
        follow=True,
    )
    assert [str(message) for message in answer.context["messages"]] == [f"{room} already has this status."]


def test_the_preview_agrees_with_the_service(hotel, manager):
    """From every room status, with and without a fault, to every status."""
    rooms = [room_in(status, hotel=hotel) for status in RoomStatus.values]
    rooms += [room_in("CHECKOUT_DIRTY", hotel=hotel, fault=True), room_in("OUT_OF_ORDER", hotel=hotel, fault=True)]
    plain = StaffFactory(hotel=hotel)
    stranger = StaffFactory(role=rights.HOTEL_MANAGER)
    callers = [
        (manager, Source.MANAGER_OVERRIDE, "because"),
        (manager, Source.MANAGER_OVERRIDE, " "),
        (plain, Source.HOUSEKEEPING, ""),
        (stranger, Source.MANAGER_OVERRIDE, "because"),
    ]
    refused = 0
    for staff, source, note in callers:
        for target in [*RoomStatus.values, "NO_STATUS"]:
            asked = {"changes": [(room, target) for room in rooms], "staff": staff, "source": source, "note": note}
            forecasts = preview_room_statuses(**asked)
            with rolled_back():
                fresh = [(Room.objects.get(pk=room.pk), target) for room in rooms]
                outcomes = set_room_statuses(**{**asked, "changes": fresh})
            for forecast, outcome in zip(forecasts, outcomes, strict=True):
                assert forecast.room.pk == outcome.room.pk
                assert forecast.changes == (outcome.event is not None)
                assert [str(refusal) for refusal in forecast.refusals[:1]] == [
                    str(refusal) for refusal in [outcome.refusal] if refusal
                ]
                refused += bool(forecast.refusals)
    assert refused > 20


@pytest.mark.parametrize("number", [1, 3])
def test_the_preview_takes_a_constant_number_of_statements_and_no_lock(number, manager_browser, hotel, statements):
    rooms = [room_in("CHECKOUT_DIRTY", hotel=hotel) for _ in range(number)]
    with statements() as made:
        choose(manager_browser, "change_status", *rooms, preview="1", to_status="OUT_OF_ORDER", reason="r")
    # Django also reads the list behind the page; then rooms, rooms with guests, and the bookings that need them.
    assert len(made) == 12
    assert not [sql for sql in made.sql() if "FOR " in sql or not sql.startswith(("SELECT", "(SELECT"))]


def test_too_many_rooms_for_a_form_are_refused_with_a_message(manager_browser, hotel):
    first = NewRoomFactory(hotel=hotel)
    Room.objects.bulk_create(
        Room(hotel=hotel, room_type=first.room_type, room_number=1 + n) for n in range(MOST_AT_ONCE)
    )
    asked = choose(manager_browser, "change_status", first, select_across="1")
    assert [str(message) for message in asked.context["messages"]] == [f"Choose between 1 and {MOST_AT_ONCE} rooms."]
    Room.objects.filter(room_number=1).delete()
    asked = choose(manager_browser, "change_status", first, select_across="1")
    assert len(hidden(asked, "_selected_action")) == MOST_AT_ONCE
    every = list(Room.objects.all())
    preview = choose(manager_browser, "change_status", *every, preview="1", to_status="OUT_OF_ORDER", reason="r")
    assert len(preview.context["done"]) == MOST_AT_ONCE


# --- bookings ---------------------------------------------------------------------------------------------------------

CARD = ["AUTHORISED", "CAPTURING", "CAPTURED", "VOIDING", "REFUNDING"]


def bookings_of_every_kind(hotel: Hotel) -> list[RoomBooking]:
    """Bookings in every status, with every possible card payment state, on both sides of every deadline."""
    room_type = RoomTypeFactory(hotel=hotel)
    NewRoomFactory.create_batch(20, hotel=hotel, room_type=room_type)
    today = calendar.business_date(hotel)
    days = {"check_in": today + timedelta(days=3), "hotel": hotel, "room_type": room_type}
    plain = ["PENDING_APPROVAL", "CONFIRMED", "PENDING_PAYMENT", "DECLINED", "CANCELLED", "NO_SHOW", "EXPIRED"]
    bookings = [booking_in(status, **days) for status in plain]
    bookings += [booking_in(status, card=card, **days) for status in ("PENDING_APPROVAL", "CONFIRMED") for card in CARD]
    bookings.append(booking_in("PENDING_APPROVAL", **days, approval_deadline_at=clock.now() - timedelta(hours=1)))
    bookings.append(booking_in("CONFIRMED", **{**days, "check_in": today - timedelta(days=1)}))
    bookings.append(booking_in("IN_HOUSE", assigned_room=NewRoomFactory(hotel=hotel)))
    bookings.append(booking_in("COMPLETED", assigned_room=NewRoomFactory(hotel=hotel)))
    long_ago = {**days, "check_in": today - timedelta(days=40)}
    bookings.append(booking_in("CANCELLED", **long_ago))
    bookings.append(booking_in("CANCELLED", **{**days, "room_type": RoomTypeFactory(hotel=hotel)}))  # sold out
    bookings.append(booking_in("EXPIRED", card="VOIDING", **days))
    PaymentRetry.objects.create(booking=bookings[-1], failures=12, last_error="Unclear", parked_at=clock.now())
    return bookings


@pytest.mark.parametrize("key", ["", "sk_test"])
@pytest.mark.parametrize("action", STEPS)
def test_the_booking_preview_agrees_with_the_service(action, key, hotel, manager, settings, rf):
    """The payment provider is unreachable here, so bookings that would call it are skipped."""
    settings.STRIPE_SECRET_KEY = key
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"  # no server listens there
    step, request = STEPS[action], rf.get("/")
    request.user = manager.user
    bookings_of_every_kind(hotel)
    bookings = list(RoomBooking.objects.select_related("hotel", "room_type"))
    with nothing_written():
        found = preview(step, request, bookings)
    refusals = {row.booking.pk: row.refusals[0].message for row in found["refused"]}
    already = {row.booking.pk for row in found["already"]}
    assert len(refusals) + len(already) + len(found["rows"]) == len(bookings)
    assert refusals
    assert found["rows"]
    for booking in bookings:
        asks = bool(booking.payment_provider) and action in ("approve", "decline")
        if asks and booking.pk not in refusals and booking.pk not in already:
            continue
        reason, version = "", None
        with rolled_back():
            try:
                version = step.take(booking, manager, "asked for").version
            except Exception as refusal:
                reason = str(refusal)
        assert reason == refusals.get(booking.pk, ""), (booking.status, booking.payment_state)
        assert reason or (version == booking.version) == (booking.pk in already), (booking.status, version)


def test_the_booking_preview_shows_the_groups(manager_browser, hotel, manager):
    room_type = NewRoomFactory(hotel=hotel).room_type
    good, gone, wrong = (BookingFactory(hotel=hotel, room_type=room_type) for _ in range(3))
    cancel_booking(booking=gone, staff=manager, reason="before")
    RoomBooking.objects.filter(pk=wrong.pk).update(status="PENDING_APPROVAL")
    asked = choose(manager_browser, "cancel", good, gone, wrong)
    text = unescape(asked.content.decode())
    assert "Cancel bookings: 1 booking" in text
    assert "Already done (1)" in text
    assert f"Booking {wrong.booking_id} is pending approval: decline it instead." in text
    assert hidden(asked, "_selected_action") == [good.pk]
    none = choose(manager_browser, "cancel", gone, wrong).content.decode()
    assert "There is nothing to do." in none
    assert 'name="apply"' not in none


def test_the_booking_preview_shows_every_reason(manager_browser, hotel):
    later = calendar.business_date(hotel) + timedelta(days=3)
    booking = booking_in(
        "CONFIRMED", hotel=hotel, room_type=NewRoomFactory(hotel=hotel).room_type, check_in=later, card="REFUNDING"
    )
    asked = choose(manager_browser, "no_show", booking)
    [row] = asked.context["refused"]
    assert [refusal.code for refusal in row.refusals] == ["PAYMENT_IN_PROGRESS", "ARRIVAL_NOT_OVER"]
    text = unescape(asked.content.decode())
    assert all(f'<span class="reason">{refusal.message}</span>' in text for refusal in row.refusals)


def test_the_preview_refuses_another_hotels_bookings_to_a_superuser(hotel):
    member = StaffFactory(hotel=hotel, user__is_staff=True, user__is_superuser=True)
    other = BookingFactory(hotel=HotelFactory(name="The Other"))
    text = choose(signed_in_browser(member.user), "cancel", other).content.decode()
    assert "Only the staff of The Other may do this." in text
    assert 'name="apply"' not in text


@pytest.mark.parametrize("action", STEPS)
def test_the_booking_preview_takes_a_constant_number_of_statements_and_no_lock(
    action, manager_browser, hotel, statements
):
    counts = []
    # First those for which these two ask whether a room is left.
    asking = {"approve": "PENDING_APPROVAL", "reinstate": "CANCELLED"}.get(action)
    bookings = sorted(bookings_of_every_kind(hotel), key=lambda booking: booking.status != asking)
    for number in (1, 3, len(bookings)):
        with statements() as made:
            choose(manager_browser, action, *bookings[:number])
        counts.append(len(made))
        assert not [sql for sql in made.sql() if "FOR " in sql or not sql.startswith(("SELECT", "(SELECT"))]
    # Django also reads the list behind the page; then the bookings and the rooms left to sell.
    assert counts == [9 if action in ("approve", "reinstate") else 8] * 3


# --- histories --------------------------------------------------------------------------------------------------------


def test_a_rooms_page_and_history_show_its_audit_log_in_local_time(manager_browser, hotel, statements):
    hotel.timezone = "Asia/Tokyo"
    hotel.save()
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    event = RoomStatusEvent.objects.get(room=room)
    for kind in ("change", "history"):
        text = unescape(manager_browser.get(admin_url(Room, kind, room.pk)).content.decode())
        for words in ("Ready for guest", "Checkout dirty", "System", f"?room__id__exact={room.pk}"):
            assert words in text, (kind, words)
        assert "READY_FOR_GUEST" not in text
        local = calendar.local_time(hotel, event.created_at)
        assert f"{local.day} {local:%b %Y, %H:%M}" in text
    listed = manager_browser.get(f"{admin_url(RoomStatusEvent, 'changelist')}?room__id__exact={room.pk}")
    assert [row.pk for row in listed.context["cl"].queryset] == [event.pk]
    # Likewise elsewhere in the admin.
    assert f"{local.day} {local:%b %Y, %H:%M}" in listed.content.decode()


def test_a_rooms_audit_log_is_bounded_and_newest_first(manager_browser, hotel, manager, statements):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    counts = []
    for number in (1, 3, 30):
        while RoomStatusEvent.objects.filter(room=room).count() < number:
            target = "CLEANING_IN_PROGRESS" if room.room_status == "CHECKOUT_DIRTY" else "CHECKOUT_DIRTY"
            set_room_statuses(changes=[(room, target)], staff=manager)
        with statements() as made:
            answer = manager_browser.get(admin_url(Room, "change", room.pk))
        counts.append(len(made))
    versions = [event.version for event in answer.context["events"]]
    assert versions == list(range(30, 10, -1))
    assert "The newest 20" in answer.content.decode()
    assert len(set(counts[1:])) == 1


def test_the_link_to_the_audit_log_requires_its_permission(hotel):
    member = StaffFactory(hotel=hotel, user__is_staff=True, role=rights.HOTEL_MANAGER)
    member.role.permissions.remove(*member.role.permissions.filter(codename="view_roomstatusevent"))
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    text = signed_in_browser(member.user).get(admin_url(Room, "change", room.pk)).content.decode()
    assert "room__id__exact" not in text


def test_a_bookings_history_shows_its_actions(manager_browser, hotel, manager):
    booking = BookingFactory(hotel=hotel, room_type=NewRoomFactory(hotel=hotel).room_type)
    edit_booking(booking=booking, staff=manager, internal_notes="vegan", primary_first_name="Grace")
    cancel_booking(booking=booking, staff=manager, reason="they rang")
    for kind in ("change", "history"):
        text = unescape(manager_browser.get(admin_url(RoomBooking, kind, booking.pk)).content.decode())
        for words in ("Edited", "internal notes, primary first name", "Cancelled", "they rang", manager.name):
            assert words in text, (kind, words)


# --- late arrivals ----------------------------------------------------------------------------------------------------


def test_list_and_preview_mark_late_arrivals(manager_browser, hotel):
    today, day = calendar.business_date(hotel), timedelta(days=1)
    late, over = (BookingFactory(hotel=hotel, check_in=today - day, check_out=today + n * day) for n in (1, 0))
    listed = unescape(
        manager_browser.get(admin_url(RoomBooking, "changelist"), {"today": "late_arrivals"}).content.decode()
    )
    assert late.booking_id in listed
    assert over.booking_id not in listed
    assert f"{date_format(late.check_in)}, late" in listed
    every = unescape(manager_browser.get(admin_url(RoomBooking, "changelist")).content.decode())
    assert every.count(", late<") == 1
    asked = unescape(choose(manager_browser, "no_show", late, over).content.decode())
    assert asked.count("(confirmed, late arrival)") == 1
    assert asked.count("(confirmed)") == 1
