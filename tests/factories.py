"""Factories with plain defaults; rooms reach their status through the service."""

from datetime import timedelta
from itertools import count
from typing import Any

import factory
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from common import clock
from hotel import rights
from hotel.models import Hotel, Staff
from housekeeping.models import HousekeepingTask, Source, TaskType
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from room_bookings.models import STRIPE, BookingGuest, BookingStatus, PaymentState, RoomBooking
from rooms.models import Room, RoomStatus, RoomType

PASSWORD = "a plain test password"


class HotelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Hotel

    slug = factory.Sequence(lambda n: f"hotel-{n}")
    name = factory.LazyAttribute(lambda hotel: hotel.slug.title())
    phone = "+353 1 555 0000"


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user-{n}")
    first_name = "Maeve"
    last_name = factory.Sequence(lambda n: f"Byrne {n}")
    password = factory.django.Password(PASSWORD)


class StaffFactory(factory.django.DjangoModelFactory):
    """A housekeeper; pass ``role=rights.HOTEL_MANAGER`` or another role's name."""

    class Meta:
        model = Staff

    hotel = factory.SubFactory(HotelFactory)
    user = factory.SubFactory(UserFactory)
    department = Staff.Department.HOUSEKEEPING
    role = rights.HOUSEKEEPER

    @classmethod
    def _create(cls, model_class: type[Staff], *args: Any, **kwargs: Any) -> Staff:
        return super()._create(model_class, *args, **{**kwargs, "role": Group.objects.get(name=kwargs["role"])})


class RoomTypeFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = RoomType

    hotel = factory.SubFactory(HotelFactory)
    code = factory.Sequence(lambda n: f"T{n}")
    name = factory.LazyAttribute(lambda room_type: f"Type {room_type.code}")
    starting_price_from = "95.00"


class NewRoomFactory(factory.django.DjangoModelFactory):
    """A room as it is created: version 0, READY_FOR_GUEST."""

    class Meta:
        model = Room

    hotel = factory.SubFactory(HotelFactory)
    room_type = factory.SubFactory(RoomTypeFactory, hotel=factory.SelfAttribute("..hotel"))
    room_number = factory.Sequence(lambda n: 10_001 + n)  # above the numbers that tests choose


class BookingFactory(factory.django.DjangoModelFactory):
    """A confirmed booking from today for two nights."""

    class Meta:
        model = RoomBooking

    hotel = factory.SubFactory(HotelFactory)
    # In a year for which no counter issues booking references any more.
    booking_id = factory.Sequence(lambda n: f"BK-2000-{n:04d}")
    room_type = factory.SubFactory(RoomTypeFactory, hotel=factory.SelfAttribute("..hotel"))
    check_in = factory.LazyFunction(lambda: clock.now().date())
    check_out = factory.LazyAttribute(lambda booking: booking.check_in + timedelta(days=2))
    primary_first_name = "Ada"
    primary_last_name = "Lovelace"


class TaskFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = HousekeepingTask

    room = factory.SubFactory(NewRoomFactory)
    hotel = factory.SelfAttribute("room.hotel")
    task_type = TaskType.TURNOVER


def in_house(room: Room, **fields: Any) -> RoomBooking:
    """An in-house booking with one companion, without changing the room's status."""
    booking = BookingFactory(
        hotel=room.hotel,
        room_type=room.room_type,
        assigned_room=room,
        status=BookingStatus.IN_HOUSE,
        checked_in_at=clock.now(),
        **fields,
    )
    BookingGuest.objects.create(booking=booking, first_name="Charles", last_name="Babbage")
    return booking


_payments = count(1)
# The timestamps that a booking in each status must have; all set to now.
_STAMPS = {
    BookingStatus.IN_HOUSE: ("checked_in_at",),
    BookingStatus.COMPLETED: ("checked_in_at", "checked_out_at"),
    BookingStatus.DECLINED: ("decision_at",),
    BookingStatus.CANCELLED: ("cancelled_at",),
    BookingStatus.EXPIRED: ("approval_deadline_at", "expired_at"),
}


def booking_in(status: str, *, card: str = "", **fields: Any) -> RoomBooking:
    """A booking whose columns are all consistent with ``status``.

    In-house, its assigned room becomes OCCUPIED; a request is for a room type that has a room. ``card`` gives it a
    card payment in that state.
    """
    now = clock.now()
    consistent: dict[str, Any] = dict.fromkeys(_STAMPS.get(BookingStatus(status), ()), now)
    if status == BookingStatus.PENDING_APPROVAL:
        consistent["approval_deadline_at"] = now + timedelta(hours=4)
    if card:
        consistent |= {"payment_provider": STRIPE, "payment_state": card}
        consistent["payment_reference"] = f"pi_{next(_payments)}"
        consistent["paid_at"] = now if card == PaymentState.CAPTURED else None
    if status in (BookingStatus.PENDING_APPROVAL, BookingStatus.PENDING_PAYMENT) and "room_type" not in fields:
        room = NewRoomFactory(**{"hotel": fields["hotel"]} if "hotel" in fields else {})
        consistent |= {"hotel": room.hotel, "room_type": room.room_type}
    if "assigned_room" in fields:
        room = fields["assigned_room"]
        consistent |= {"hotel": room.hotel, "room_type": room.room_type, "room_assigned_at": now}
    booking = BookingFactory(status=status, **consistent | fields)
    if status == BookingStatus.IN_HOUSE:
        set_room_status(room=booking.assigned_room, to_status=RoomStatus.OCCUPIED, source=Source.SYSTEM)
    return booking


def check_out(booking: RoomBooking) -> None:
    """Complete the stay without changing the room's status."""
    booking.status, booking.checked_out_at = BookingStatus.COMPLETED, clock.now()
    booking.save()


# The transitions that take a new room to each status.
_WAYS = {
    RoomStatus.READY_FOR_GUEST: [],
    RoomStatus.OCCUPIED: [RoomStatus.OCCUPIED],
    RoomStatus.CHECKOUT_DIRTY: [RoomStatus.CHECKOUT_DIRTY],
    RoomStatus.CLEANING_IN_PROGRESS: [RoomStatus.CHECKOUT_DIRTY, RoomStatus.CLEANING_IN_PROGRESS],
    RoomStatus.CLEANED_UNINSPECTED: [RoomStatus.CHECKOUT_DIRTY, RoomStatus.CLEANED_UNINSPECTED],
    RoomStatus.MAINTENANCE_REQUIRED: [RoomStatus.MAINTENANCE_REQUIRED],
    RoomStatus.OUT_OF_ORDER: [RoomStatus.OUT_OF_ORDER],
}


def room_in(status: str, *, fault: bool = False, **fields: Any) -> Room:
    """A room that reached ``status`` through the service; an OCCUPIED room has an in-house booking.

    ``fault=True`` leaves it with an open maintenance flag.
    """
    room = NewRoomFactory(**fields)
    way = list(_WAYS[RoomStatus(status)])
    if fault and status != RoomStatus.MAINTENANCE_REQUIRED:
        reporter = StaffFactory(hotel=room.hotel, role=rights.HOTEL_MANAGER)
        if status == RoomStatus.OCCUPIED:
            raise ValueError("a guest in a room with a fault: the room is in MAINTENANCE_REQUIRED")
        flag_maintenance(room=room, staff=reporter, note="shower drips")
        way = [RoomStatus.OUT_OF_ORDER] if status == RoomStatus.OUT_OF_ORDER else way
    if status == RoomStatus.OCCUPIED:
        in_house(room)
    for step in way:
        set_room_status(room=room, to_status=step, source=Source.SYSTEM)
    room.status_event = None
    return room
