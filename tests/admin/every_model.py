"""A hotel with a row of every model in the admin, each containing a searchable mark; admin URLs and browsers."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, reverse
from knox.models import AuthToken

from common import clock
from hotel import calendar, rights
from hotel.models import Hotel, Staff
from housekeeping.blocks import NewBlock, create_blocks
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from housekeeping.turnover import flag_maintenance
from notifications.mail import queue_booking_mail
from notifications.models import BookingMail, MailKind
from room_bookings.models import BookingChange, RoomBooking
from room_bookings.services.edit import edit_booking
from rooms.models import BlockReason, Room, RoomBlock, RoomType
from tests.factories import BookingFactory, HotelFactory, RoomTypeFactory, StaffFactory, TaskFactory, room_in
from tests.snapshots import table_rows

User = get_user_model()


def room_number_of(mark: str) -> int:
    """A room number that is unique to ``mark``."""
    return 900_000 + int.from_bytes(mark[:2].encode())


def create_rows(mark: str, hotel: Hotel | None = None) -> dict[type[Model], Model]:
    """One row of each registered model in one hotel, with ``mark`` in every text field."""
    hotel = hotel or HotelFactory(name=f"{mark} Hotel", slug=mark.lower())
    room_type = RoomTypeFactory(hotel=hotel, name=f"{mark} suite", code=mark[:9])
    room = room_in("READY_FOR_GUEST", hotel=hotel, room_type=room_type, room_number=room_number_of(mark))
    user = User.objects.create_user(mark.lower(), f"{mark}@example.com", first_name=mark, last_name=mark)
    member = StaffFactory(hotel=hotel, user=user, role=rights.HOTEL_MANAGER, phone_number=mark)
    flag_maintenance(room=room, staff=member, note=f"noted at {mark}")
    booking = BookingFactory(
        hotel=hotel,
        room_type=room_type,
        booking_id=f"BK-1999-{mark}",
        primary_first_name=mark,
        primary_last_name=mark,
        primary_email=f"{mark}@example.com",
        check_in=clock.now().date() + timedelta(days=1),
    )
    edit_booking(booking=booking, staff=member, internal_notes=f"{mark} likes tea")
    reason = BlockReason.objects.create(hotel=hotel, code=mark[:9], label=f"{mark} is repaired")
    token, _ = AuthToken.objects.create(user=user)
    booking.refresh_from_db()
    room.refresh_from_db()
    block = planned_block(room, reason, member, remarks=f"asked for by {mark}")
    return {
        User: user,
        Group: Group.objects.create(name=f"role of {mark}"),
        AuthToken: token,
        Hotel: hotel,
        Staff: member,
        RoomType: room_type,
        Room: room,
        BlockReason: reason,
        RoomBlock: block,
        RoomStatusEvent: RoomStatusEvent.objects.get(room=room),
        HousekeepingTask: TaskFactory(room=room, note=f"a task of {mark}", assigned_to=member),
        RoomBooking: booking,
        BookingChange: BookingChange.objects.get(booking=booking),
        BookingMail: queue_booking_mail(booking, MailKind.CONFIRMATION),
    }


def planned_block(room: Room, reason: BlockReason, staff: Staff, *, remarks: str = "") -> RoomBlock:
    """A block in a year's time; out of service, so that it takes no nights off sale."""
    first = calendar.business_date(room.hotel) + timedelta(days=365)
    wanted = NewBlock("OUT_OF_SERVICE", reason, first, first + timedelta(days=2), "CHECKOUT_DIRTY", remarks)
    [outcome] = create_blocks(rooms=[room], wanted=wanted, staff=staff)
    assert outcome.block
    return outcome.block


def registered_models() -> list[type[Model]]:
    return list(admin.site._registry)


def model_label(model: type[Model]) -> str:
    return f"{model._meta.app_label}.{model._meta.model_name}"


def admin_url(model: type[Model], kind: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}", args=args)


def admin_url_patterns(model: type[Model]) -> Iterator[tuple[URLPattern, bool]]:
    """The model's admin URLs, each with whether it contains a row's key."""
    for pattern in admin.site._registry[model].get_urls():
        yield pattern, bool(pattern.pattern.regex.groups)


def signed_in_browser(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def superuser_browser() -> Client:
    """A client signed in as a superuser without a hotel."""
    return signed_in_browser(User.objects.create_superuser("root"))


def manager_of(hotel: Hotel) -> Staff:
    return StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER, user__username="boss", user__is_staff=True)


def manager_with_every_permission(hotel: Hotel) -> Staff:
    """A staff member with every permission who is not a superuser."""
    member = manager_of(hotel)
    member.user.user_permissions.set(Permission.objects.all())
    return member


CALLERS: dict[str, Callable[[Hotel], Staff]] = {
    "manager": manager_of,
    "with all permissions": manager_with_every_permission,
}


def all_rows() -> dict[str, list[str]]:
    """All rows of all registered models."""
    return table_rows(registered_models())
