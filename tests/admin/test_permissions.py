"""The permissions on each admin page, as a table, for users with every permission."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import OperationalError, connection, transaction
from django.test import Client, RequestFactory

from hotel import rights
from room_bookings.admin import explain
from rooms.models import Room
from tests.factories import StaffFactory, UserFactory

pytestmark = pytest.mark.django_db

ALL, READ, NOTHING = "module view add change delete", "module view", ""
PAGES = {
    "hotel.Hotel": ("module view change", "module view change", ALL),
    "hotel.Staff": ("module view change", "module view change", "module view add change"),
    "rooms.Room": (ALL, "module view change delete", ALL),
    "rooms.RoomType": (ALL, "module view change delete", ALL),
    "rooms.BlockReason": (ALL, "module view change delete", ALL),
    "rooms.RoomBlock": (READ, READ, READ),
    "housekeeping.HousekeepingTask": (READ, READ, READ),
    "housekeeping.RoomStatusEvent": (READ, READ, READ),
    "room_bookings.RoomBooking": ("module view change", READ, READ),
    "room_bookings.BookingChange": (READ, READ, READ),
    "notifications.BookingMail": (READ, NOTHING, READ),
    "auth.User": (NOTHING, NOTHING, ALL),
    "auth.Group": (NOTHING, NOTHING, ALL),
    "knox.AuthToken": (NOTHING, NOTHING, "module view delete"),
}


def request_of(user):
    request = RequestFactory().get("/admin/")
    request.user = type(user).objects.get(pk=user.pk)
    return request


def page(label):
    return next(page for model, page in admin.site._registry.items() if model._meta.label == label)


def allowed(label, user):
    """The user's permissions on the page, as words."""
    asked, request = page(label), request_of(user)
    return " ".join(word for word in ALL.split() if getattr(asked, f"has_{word}_permission")(request))


def given_everything(user):
    user.user_permissions.set(Permission.objects.all())
    return user


CALLERS = {
    "a manager with every permission": lambda: given_everything(
        StaffFactory(role=rights.HOTEL_MANAGER, user__is_staff=True).user
    ),
    "somebody of no hotel with every permission": lambda: given_everything(UserFactory(is_staff=True)),
    "a superuser of no hotel": lambda: UserFactory(is_staff=True, is_superuser=True),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_permissions_on_each_page(caller):
    place, user = list(CALLERS).index(caller), CALLERS[caller]()
    assert {model._meta.label for model in admin.site._registry} == set(PAGES)
    assert {label: allowed(label, user) for label in PAGES} == {label: words[place] for label, words in PAGES.items()}


def member_with(hotel, *codenames):
    """A staff user with only these permissions."""
    member = StaffFactory(hotel=hotel, user__is_staff=True)
    member.role.permissions.clear()
    member.user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return member.user


def test_hotel_rights_decide_who_can_change(hotel):
    sees = member_with(hotel, "view_roombooking", "change_roombooking", "change_room", "view_room")
    assert allowed("room_bookings.RoomBooking", sees) == "module view"
    assert not page("rooms.Room").has_change_status_permission(request_of(sees))
    writes = member_with(hotel, "view_roombooking", "update", "status_override")
    assert allowed("room_bookings.RoomBooking", writes) == "module view change"
    assert page("rooms.Room").has_change_status_permission(request_of(writes))
    assert allowed("room_bookings.BookingChange", writes) == "module view"
    # Without permission to view bookings, their history is not visible either.
    assert "view" not in allowed("room_bookings.BookingChange", member_with(hotel, "view_bookingchange"))


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/admin/rooms/room/%00/change/", 404),
        # A reverse relation.
        ("/admin/autocomplete/?app_label=rooms&model_name=room&field_name=housekeeping_tasks", 403),
    ],
)
def test_invalid_urls(manager, address, status):
    client = Client(raise_request_exception=False)
    client.force_login(given_everything(manager.user))
    assert client.get(address).status_code == status
    assert not Room.objects.exists()


def test_an_unknown_database_error_is_not_explained_away(db):
    with pytest.raises(OperationalError) as found, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP SEQUENCE unasked")
        cursor.execute("SELECT currval('unasked')")
    with pytest.raises(OperationalError) as raised:
        explain(found.value)
    assert raised.value is found.value
