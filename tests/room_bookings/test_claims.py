"""The claims of rooms and nights: kept by the database, and by nobody else."""

from datetime import date
from typing import Any

import pytest
from django.contrib import admin
from django.db import IntegrityError, connection, transaction

from operations.invariants import violations
from room_bookings.models import RoomBooking, RoomClaim
from rooms.models import Room
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, booking_in
from tests.refusals import Refused, check_deferred_constraints

pytestmark = pytest.mark.django_db

NOT_ALONE = ("room_claim_of_booking", "a room claim changes only together with what it belongs to")
OVERLAP = "room_claim_no_overlap"


def july(day: int) -> date:
    return date(2026, 7, day)


def stay(room: Room, first: int = 10, last: int = 14, **fields: Any) -> RoomBooking:
    nights = {"check_in": july(first), "check_out": july(last)}
    return BookingFactory(hotel=room.hotel, room_type=room.room_type, assigned_room=room, **nights | fields)


def claims(booking: RoomBooking) -> list[tuple[int, date, date]]:
    """The booking's claims: room, first night, first day that is free again."""
    check_deferred_constraints()
    found = RoomClaim.objects.filter(booking=booking, hotel=booking.hotel).order_by("nights")
    return [(claim.room_id, claim.nights.lower, claim.nights.upper) for claim in found]


def sql(statement: str, *values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.rowcount


def changed(booking: RoomBooking, **fields: Any) -> None:
    assert RoomBooking.objects.filter(pk=booking.pk).update(**fields) == 1


@pytest.fixture
def room() -> Room:
    return NewRoomFactory()


# --- which nights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "first", "free"),
    [
        ({"adults": 2}, 10, 14),
        ({"check_out": july(10)}, 10, 11),  # day use takes its day
        ({"status": "IN_HOUSE", "checked_in_at": "2026-07-08T12:00Z", "arrived_on": july(8)}, 8, 14),
        ({"status": "IN_HOUSE", "checked_in_at": "2026-07-12T12:00Z", "arrived_on": july(12)}, 10, 14),
        (
            {"status": "IN_HOUSE", "checked_in_at": "2026-07-08T12:00Z", "arrived_on": july(8), "check_out": july(10)},
            8,
            11,
        ),
    ],
)
def test_a_booking_claims_the_nights_for_which_it_holds_its_room(room, fields, first, free):
    booking = stay(room)
    changed(booking, **fields)
    assert claims(booking) == [(room.pk, july(first), july(free))]


def test_a_claim_follows_its_booking(room):
    other = NewRoomFactory(hotel=room.hotel, room_type=room.room_type)
    booking = stay(room)
    for fields, expected in [
        ({"check_out": july(16)}, [(room.pk, july(10), july(16))]),
        ({"assigned_room": other, "check_in": july(9)}, [(other.pk, july(9), july(16))]),
        ({"special_requests": "a quiet room"}, [(other.pk, july(9), july(16))]),
        ({"assigned_room": None}, []),
        ({"assigned_room": room}, [(room.pk, july(9), july(16))]),
        ({"status": "PENDING_APPROVAL"}, []),
        ({"status": "CONFIRMED"}, [(room.pk, july(9), july(16))]),
    ]:
        changed(booking, **fields)
        assert claims(booking) == expected
    RoomBooking.objects.filter(pk=booking.pk).delete()
    check_deferred_constraints()
    assert not RoomClaim.objects.exists()


@pytest.mark.parametrize("status", ["COMPLETED", "PENDING_APPROVAL", "PENDING_PAYMENT"])
def test_a_booking_that_is_not_active_claims_nothing(room, status):
    nights = {"check_in": july(10), "check_out": july(14)}
    assert claims(booking_in(status, assigned_room=room, **nights)) == []


# --- no way around ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE room_bookings_roombooking SET check_in = '2026-07-13' WHERE id = %s",
        "UPDATE room_bookings_roombooking SET arrived_on = '2026-07-13' WHERE id = %s",
        (
            "INSERT INTO room_bookings_roombooking SELECT (jsonb_populate_record(later, jsonb_build_object("
            "'id', 999999, 'booking_id', 'BK-1', 'check_in', '2026-07-12'))).* FROM room_bookings_roombooking later "
            "WHERE id = %s"
        ),
    ],
)
def test_raw_sql_cannot_give_a_room_to_two_bookings(room, statement):
    stay(room)
    later = stay(room, 14, 16)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        sql("SET LOCAL search_path = ''")  # as in a restore
        sql(statement.replace(" room_bookings_", " public.room_bookings_"), later.pk)
    assert refused.value.__cause__.diag.constraint_name == OVERLAP


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM room_bookings_roomclaim",
        "UPDATE room_bookings_roomclaim SET nights = '[2026-07-10,2026-07-11)'",
        "UPDATE room_bookings_roomclaim SET room_id = (SELECT max(id) FROM rooms_room)",
        "UPDATE room_bookings_roomclaim SET hotel_id = (SELECT max(id) FROM hotel_hotel)",
        "UPDATE room_bookings_roomclaim SET booking_id = (SELECT max(id) FROM room_bookings_roombooking)",
        (
            "INSERT INTO room_bookings_roomclaim (booking_id, room_id, hotel_id, nights) "
            "SELECT booking_id, room_id, hotel_id, '[2026-07-20,2026-07-21)' FROM room_bookings_roomclaim"
        ),
        (
            "INSERT INTO room_bookings_roomclaim (booking_id, room_id, hotel_id, nights) "
            "SELECT max(id), max(assigned_room_id), max(hotel_id), '[2026-07-20,)' FROM room_bookings_roombooking"
        ),
    ],
)
def test_a_claim_is_never_written_by_itself(room, statement):
    stay(room)
    BookingFactory(hotel=room.hotel, room_type=room.room_type)
    NewRoomFactory(hotel=room.hotel)
    HotelFactory()
    with Refused(*NOT_ALONE):
        assert sql(statement) == 1


def test_a_room_whose_claim_is_deleted_cannot_be_taken(room):
    first, second = stay(room), BookingFactory(hotel=room.hotel, room_type=room.room_type)
    check_deferred_constraints()
    with Refused(*NOT_ALONE):
        RoomClaim.objects.filter(booking=first).delete()
        changed(second, assigned_room=room, check_in=july(10), check_out=july(14))


def test_a_booking_under_another_id_takes_its_claim_along(room):
    booking = stay(room)
    RoomBooking.objects.filter(pk=booking.pk).update(id=booking.pk + 1)
    booking.pk += 1
    assert claims(booking) == [(room.pk, july(10), july(14))]
    assert violations() == []


def test_the_admin_has_no_form_for_claims():
    assert RoomClaim not in admin.site._registry


# --- restore ----------------------------------------------------------------------------------------------------------


BOOKINGS_FIRST = ["room_bookings_roombooking", "room_bookings_roomclaim"]


@pytest.mark.parametrize("order", [BOOKINGS_FIRST, BOOKINGS_FIRST[::-1]], ids=["bookings first", "claims first"])
def test_rows_are_restored_in_any_order(room, order):
    """As ``pg_restore --data-only`` does: row by row, with all triggers in force."""
    booking = stay(room)
    expected = claims(booking)
    for table in order:
        sql(f"CREATE TEMP TABLE kept_{table} ON COMMIT DROP AS SELECT * FROM {table}")
    sql("DELETE FROM room_bookings_roombooking")
    for table in order:
        sql(f"INSERT INTO {table} SELECT * FROM kept_{table}")
    assert claims(booking) == expected
    assert violations() == []


def test_a_changed_dump_is_not_restored(room):
    """The claims of a dump are not those of its bookings."""
    booking = stay(room)
    check_deferred_constraints()
    sql("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM room_bookings_roomclaim")
    sql("UPDATE kept SET nights = '[2026-07-20,2026-07-22)'")
    changed(booking, assigned_room=None)
    with Refused(*NOT_ALONE):
        changed(booking, assigned_room=room)
        sql("INSERT INTO room_bookings_roomclaim SELECT * FROM kept")
