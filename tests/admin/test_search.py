"""The admin's search ignores accents, and its name columns sort in natural order."""

import unicodedata
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client

from hotel.models import Hotel, Staff
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from housekeeping.turnover import flag_maintenance
from notifications.mail import queue_booking_mail
from notifications.models import BookingMail, MailKind
from room_bookings.models import BookingChange, BookingGuest, RoomBooking
from room_bookings.services.cancel import cancel_booking
from rooms.models import BlockReason, Room, RoomBlock, RoomType
from tests.admin.every_model import (
    admin_url,
    manager_of,
    planned_block,
    registered_models,
    signed_in_browser,
    superuser_browser,
)
from tests.factories import BookingFactory, HotelFactory, RoomTypeFactory, StaffFactory, TaskFactory, room_in

pytestmark = pytest.mark.django_db

User = get_user_model()
NAME = "Zoë Müller"
# The same name without accents, decomposed, and in full-width letters.
TYPED = ("zoe MULLER", "Zoë müller", unicodedata.normalize("NFD", NAME), "Ｚｏｅ")
# A token is searched by its key, which has no accents.
UNSEARCHED = {"AuthToken"}


def searchable_rows() -> dict[type[Model], Model]:
    """A row of each registered model with the name in its searchable fields."""
    hotel = HotelFactory(name=NAME, slug="zoe")
    room_type = RoomTypeFactory(hotel=hotel, name=NAME)
    room = room_in("READY_FOR_GUEST", hotel=hotel, room_type=room_type)
    user = User.objects.create_user("zm", first_name="Zoë", last_name="Müller")
    member, manager = StaffFactory(hotel=hotel, user=user), manager_of(hotel)
    flag_maintenance(room=room, staff=manager, note=f"{NAME} has seen it")
    reason = BlockReason.objects.create(hotel=hotel, code="REPAIR", label=NAME)
    guest = {"primary_first_name": "Zoë", "primary_last_name": "Müller", "primary_email": "zm@example.com"}
    booking = BookingFactory(hotel=hotel, room_type=room_type, **guest)
    cancelled = BookingFactory(hotel=hotel, room_type=room_type)
    cancel_booking(booking=cancelled, staff=manager, reason=f"{NAME} has called")
    return {
        User: user,
        Group: Group.objects.create(name=NAME),
        Hotel: hotel,
        Staff: member,
        RoomType: room_type,
        Room: room,
        BlockReason: reason,
        RoomBlock: planned_block(room, reason, manager),
        RoomStatusEvent: RoomStatusEvent.objects.get(room=room),
        HousekeepingTask: TaskFactory(room=room, note=f"for {NAME}"),
        RoomBooking: booking,
        BookingChange: BookingChange.objects.get(booking=cancelled),
        BookingMail: queue_booking_mail(booking, MailKind.CONFIRMATION),
    }


def found(client: Client, model: type[Model], **query: Any) -> list[Model]:
    answer = client.get(admin_url(model, "changelist"), query)
    assert answer.status_code == 200, answer
    return list(answer.context["cl"].result_list)


def test_every_list_is_searched_without_accents_and_in_any_unicode_form():
    rows = searchable_rows()
    assert {model.__name__ for model in registered_models()} - {model.__name__ for model in rows} == UNSEARCHED
    client = superuser_browser()
    for model, row in rows.items():
        for typed in TYPED:
            assert row in found(client, model, q=typed), (model, typed)
        assert found(client, model, q="zoes") == [], model


def test_a_booking_is_found_by_telephone_companion_and_booker(hotel):
    phone = {"primary_phone": "+353865550177", "booker_company": "Bürger & Söhne", "booker_type": "COMPANY"}
    booking = BookingFactory(hotel=hotel, **phone)
    BookingGuest.objects.create(booking=booking, first_name="Renée", last_name="Müller", phone="01 555 0200")
    BookingGuest.objects.create(booking=booking, first_name="Rainer", last_name="Müller")
    BookingFactory(hotel=hotel, primary_phone="087 555 0177")
    BookingFactory(**phone)  # another hotel's
    client = signed_in_browser(manager_of(hotel).user)
    for typed in ("086 555 0177", "00353 86 555 0177", "muller", "+353 1 5550200", "burger sohne", "renee 0865550177"):
        assert found(client, RoomBooking, q=typed) == [booking], typed


def test_names_are_sorted_as_people_expect(hotel):
    names = ["Ángel", "anna", "Émile", "Zoe"]
    for name in reversed(names):
        HotelFactory(name=name)
        RoomTypeFactory(hotel=hotel, name=name)
        StaffFactory(hotel=hotel, user__last_name=name)
        User.objects.create(username=f"user of {name}", last_name=name)
        BookingFactory(hotel=hotel, primary_last_name=name)
    client = superuser_browser()
    for model, column, attribute in (
        (Hotel, "name", "name"),
        (RoomType, "name", "name"),
        (User, "last_name", "last_name"),
        (RoomBooking, "guest", "primary_last_name"),
    ):
        columns = client.get(admin_url(model, "changelist")).context["cl"].list_display
        for sign, wanted in (("", names), ("-", names[::-1])):
            rows = found(client, model, o=f"{sign}{columns.index(column)}")
            sorted_names = [getattr(row, attribute) for row in rows if getattr(row, attribute) in names]
            assert list(dict.fromkeys(sorted_names)) == wanted, model
    # The default ordering of lists and choices.
    assert [each.name for each in Hotel.objects.all() if each.name in names] == names
    assert [each.user.last_name for each in Staff.objects.filter(hotel=hotel)] == names
