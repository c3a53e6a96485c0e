"""What the database guarantees about bookings, whoever writes them."""

from datetime import date

import pytest
from django.db import IntegrityError, transaction

from common import clock
from room_bookings.models import RoomBooking
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, RoomTypeFactory, StaffFactory, in_house
from tests.refusals import Refused

pytestmark = pytest.mark.django_db


def refused_by(rule: str, **fields) -> bool:
    """Whether a booking with ``fields`` is refused by ``rule``."""
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        BookingFactory(**fields)
    assert refusal.value.__cause__.diag.constraint_name == rule
    return True


def nights(room, first: int, last: int, **fields) -> dict:
    """A booking of ``room`` from the ``first`` to the ``last`` of July."""
    return {
        "hotel": room.hotel,
        "room_type": room.room_type,
        "assigned_room": room,
        "check_in": date(2026, 7, first),
        "check_out": date(2026, 7, last),
        **fields,
    }


@pytest.mark.parametrize(
    ("first", "last"), [(10, 14), (9, 11), (13, 15), (11, 12), (8, 20), (11, 11), (13, 13), (10, 10)]
)
def test_two_bookings_never_share_a_room_on_a_night(first, last):
    room = NewRoomFactory()
    BookingFactory(**nights(room, 10, 14))
    assert refused_by("room_booking_no_overlap", **nights(room, first, last))


@pytest.mark.parametrize(("first", "last"), [(8, 10), (14, 16), (14, 14), (9, 9)])
def test_one_leaves_as_the_next_arrives(first, last):
    room = NewRoomFactory()
    BookingFactory(**nights(room, 10, 14))
    BookingFactory(**nights(room, first, last))
    assert RoomBooking.objects.count() == 2


def test_two_day_uses_of_one_room_on_one_day():
    room = NewRoomFactory()
    BookingFactory(**nights(room, 10, 10))
    assert refused_by("room_booking_no_overlap", **nights(room, 10, 10))


@pytest.mark.parametrize("status", ["CANCELLED", "NO_SHOW", "DECLINED", "EXPIRED", "PENDING_APPROVAL"])
def test_a_booking_that_is_not_active_holds_no_room(status):
    room = NewRoomFactory()
    BookingFactory(**nights(room, 10, 14, status=status))
    BookingFactory(**nights(room, 10, 14))
    BookingFactory(**{**nights(room, 10, 14), "assigned_room": None})
    assert RoomBooking.objects.count() == 3


def test_one_booking_in_house_per_room():
    room = NewRoomFactory()
    in_house(room, check_in=date(2026, 7, 1), check_out=date(2026, 7, 3))
    late = nights(room, 10, 14, status="IN_HOUSE", checked_in_at=clock.now())
    assert refused_by("room_booking_one_in_house_per_room", **late)


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("room_booking_in_house_iff_checked_in", {"status": "IN_HOUSE"}),
        ("room_booking_in_house_iff_checked_in", {"status": "CONFIRMED", "checked_in_at": clock.now()}),
        ("room_booking_in_house_iff_checked_in", {"status": "CANCELLED", "checked_in_at": clock.now()}),
        (
            "room_booking_in_house_iff_checked_in",
            {"status": "IN_HOUSE", "checked_in_at": clock.now(), "checked_out_at": clock.now()},
        ),
        ("room_booking_out_only_after_in", {"status": "COMPLETED", "checked_out_at": clock.now()}),
        ("room_booking_in_house_has_room", {"status": "IN_HOUSE", "checked_in_at": clock.now()}),
        ("room_booking_leaves_after_arriving", {"check_in": date(2026, 7, 2), "check_out": date(2026, 7, 1)}),
        ("room_booking_has_an_adult", {"adults": 0}),
        ("room_booking_status_known", {"status": "MAYBE"}),
    ],
)
def test_rules_about_one_booking(rule, fields):
    room = NewRoomFactory()
    assigned = None if rule == "room_booking_in_house_has_room" else room
    assert refused_by(rule, **{"hotel": room.hotel, "room_type": room.room_type, "assigned_room": assigned, **fields})


@pytest.mark.parametrize("field", ["room_type", "assigned_room", "cancelled_by", "staff_seen_by"])
def test_everything_that_a_booking_names_is_of_its_hotel(field):
    hotel, other = HotelFactory(), HotelFactory()
    foreign = {
        "room_type": RoomTypeFactory,
        "assigned_room": NewRoomFactory,
        "cancelled_by": StaffFactory,
        "staff_seen_by": StaffFactory,
    }[field](hotel=other)
    refusal = ("room_booking_one_hotel", f"{field} belongs to another hotel")
    with Refused(*refusal):
        BookingFactory(hotel=hotel, **{field: foreign})
    booking = BookingFactory(hotel=hotel)
    with Refused(*refusal):
        RoomBooking.objects.filter(pk=booking.pk).update(**{field: foreign})
