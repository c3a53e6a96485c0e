"""The database constraints on bookings."""

from datetime import date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from common import clock
from housekeeping.models import HousekeepingTask, TaskType
from room_bookings.models import (
    BookingAction,
    BookingChange,
    BookingExtension,
    Overbooking,
    OverstayIncident,
    RoomBooking,
)
from tests.factories import (
    BookingFactory,
    HotelFactory,
    NewRoomFactory,
    RoomTypeFactory,
    StaffFactory,
    TaskFactory,
    booking_in,
    in_house,
)
from tests.refusals import Refused, check_deferred_constraints

pytestmark = pytest.mark.django_db

NOW = datetime.fromisoformat("2026-07-10T12:00:00Z")
EARLIER = NOW - timedelta(hours=1)
CARD = {"payment_provider": "stripe", "payment_reference": "pi_1"}


def refused_by(rule: str, **fields) -> bool:
    """Whether a booking with ``fields`` is refused by ``rule``."""
    return refused(rule, lambda: BookingFactory(**fields))


def refused(rule: str, write) -> bool:
    """Whether ``write`` is immediately refused by ``rule``."""
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        write()
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


# --- rooms and nights -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last"), [(10, 14), (9, 11), (13, 15), (11, 12), (8, 20), (11, 11), (13, 13), (10, 10)]
)
def test_two_bookings_never_share_a_room_on_a_night(first, last):
    room = NewRoomFactory()
    BookingFactory(**nights(room, 10, 14))
    assert refused_by("room_claim_no_overlap", **nights(room, first, last))


@pytest.mark.parametrize(("first", "last"), [(8, 10), (14, 16), (14, 14), (9, 9)])
def test_departure_and_next_arrival_can_share_a_day(first, last):
    room = NewRoomFactory()
    BookingFactory(**nights(room, 10, 14))
    BookingFactory(**nights(room, first, last))
    assert RoomBooking.objects.count() == 2


def test_two_day_uses_of_one_room_on_one_day():
    room = NewRoomFactory()
    BookingFactory(**nights(room, 10, 10))
    assert refused_by("room_claim_no_overlap", **nights(room, 10, 10))


@pytest.mark.parametrize("status", ["COMPLETED", "PENDING_APPROVAL", "PENDING_PAYMENT"])
def test_a_booking_that_is_not_active_holds_no_room(status):
    room = NewRoomFactory()
    booking_in(status, **nights(room, 10, 14))
    BookingFactory(**nights(room, 10, 14))
    BookingFactory(**{**nights(room, 10, 14), "assigned_room": None})
    assert RoomBooking.objects.count() == 3


@pytest.mark.parametrize(
    ("status", "stamp"),
    [
        ("CANCELLED", {"cancelled_at": NOW}),
        ("CANCELLED_DRAFT", {}),
        ("DECLINED", {}),
        ("EXPIRED", {"expired_at": NOW}),
        ("NO_SHOW", {}),
    ],
)
def test_ended_booking_keeps_no_room(status, stamp):
    room = NewRoomFactory()
    BookingFactory(**nights(room, 10, 14, status=status, **stamp) | {"assigned_room": None})
    assert refused_by("room_booking_ended_keeps_no_room", **nights(room, 10, 14, status=status, **stamp))


def test_one_booking_in_house_per_room():
    room = NewRoomFactory()
    in_house(room, check_in=date(2026, 7, 1), check_out=date(2026, 7, 3))
    late = nights(room, 10, 14, status="IN_HOUSE", checked_in_at=clock.now())
    assert refused_by("room_booking_one_in_house_per_room", **late)


# --- one booking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("room_booking_in_house_iff_checked_in", {"status": "IN_HOUSE"}),
        ("room_booking_in_house_iff_checked_in", {"status": "CONFIRMED", "checked_in_at": NOW}),
        ("room_booking_in_house_iff_checked_in", {"status": "PENDING_APPROVAL", "checked_in_at": NOW}),
        (
            "room_booking_completed_iff_out",
            {"status": "IN_HOUSE", "checked_in_at": EARLIER, "checked_out_at": NOW},
        ),
        ("room_booking_out_only_after_in", {"status": "COMPLETED", "checked_out_at": NOW}),
        ("room_booking_out_not_before_in", {"status": "COMPLETED", "checked_in_at": NOW, "checked_out_at": EARLIER}),
        ("room_booking_in_house_has_room", {"status": "IN_HOUSE", "checked_in_at": NOW}),
        ("room_booking_completed_iff_out", {"status": "COMPLETED"}),
        ("room_booking_completed_iff_out", {"status": "CONFIRMED", "checked_in_at": EARLIER, "checked_out_at": NOW}),
        ("room_booking_cancelled_iff_time", {"status": "CANCELLED", "assigned_room": None}),
        ("room_booking_cancelled_iff_time", {"status": "CONFIRMED", "cancelled_at": NOW}),
        ("room_booking_expired_iff_time", {"status": "EXPIRED", "assigned_room": None}),
        ("room_booking_expired_iff_time", {"status": "CONFIRMED", "expired_at": NOW}),
        ("room_booking_leaves_after_arriving", {"check_in": date(2026, 7, 2), "check_out": date(2026, 7, 1)}),
        ("room_booking_has_an_adult", {"adults": 0}),
        ("room_booking_booker_named", {"booker_type": "COMPANY", "booker_first_name": "Charles"}),
        ("room_booking_booker_named", {"booker_type": "COMPANY", "booker_company": " "}),
        ("room_booking_booker_named", {"booker_type": "THIRD_PARTY", "booker_first_name": "Charles"}),
        ("room_booking_booker_named", {"booker_type": "THIRD_PARTY", "booker_last_name": "Babbage"}),
        ("room_booking_booker_named", {"booker_type": "SELF", "booker_phone": "+44 20 7946 1111"}),
        ("room_booking_booker_named", {"booker_type": "AGENT", "booker_company": "Travels"}),
        ("room_booking_guest_has_a_name", {"primary_first_name": ""}),
        ("room_booking_guest_has_a_name", {"primary_last_name": " \t"}),
        ("room_booking_status_known", {"status": "MAYBE"}),
        ("room_booking_payment_known", {"payment_state": "AUTHORISED"}),
        ("room_booking_payment_known", {**CARD, "payment_state": ""}),
        ("room_booking_payment_known", {**CARD, "payment_state": "PAID"}),
        ("room_booking_payment_known", {**CARD, "payment_state": "AUTHORISED", "payment_reference": ""}),
        (
            "room_booking_payment_known",
            {**CARD, "payment_state": "AUTHORISED", "payment_provider": "cash"},
        ),
        ("room_booking_captured_is_paid", {**CARD, "payment_state": "CAPTURED"}),
        ("room_booking_amount_not_negative", {"total_amount": "-0.01"}),
        ("room_booking_currency_is_a_code", {"currency": "eur"}),
        ("room_booking_currency_is_a_code", {"currency": "E1R"}),
        ("room_booking_currency_is_a_code", {"currency": ""}),
        ("room_booking_amount_fits_currency", {"total_amount": "100.50", "currency": "JPY"}),
        ("room_booking_amount_fits_currency", {"total_amount": "1.001", "currency": "EUR"}),
        ("room_booking_amount_fits_currency", {"total_amount": "1.0001", "currency": "BHD"}),
        ("room_booking_amount_fits_currency", {"total_amount": "1.00001", "currency": "CLF"}),
        ("room_booking_amount_fits_currency", {"total_amount": "1.001", "currency": "HRK"}),
    ],
)
def test_rules_about_one_booking(rule, fields):
    room = NewRoomFactory()
    assigned = None if rule == "room_booking_in_house_has_room" else room
    assert refused_by(rule, **{"hotel": room.hotel, "room_type": room.room_type, "assigned_room": assigned, **fields})


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("CANCELLED", {"checked_in_at": EARLIER, "checked_out_at": NOW}),
        ("COMPLETED", {"checked_in_at": NOW, "checked_out_at": NOW}),
        ("CONFIRMED", {"check_in": date(2026, 7, 2), "check_out": date(2026, 7, 2)}),
        ("PENDING_APPROVAL", {**CARD, "payment_state": "VOIDING"}),
        ("CONFIRMED", {**CARD, "payment_state": "CAPTURED", "paid_at": NOW}),
        ("CONFIRMED", {"total_amount": "100", "currency": "JPY"}),
        ("CONFIRMED", {"total_amount": "9999999999.9999", "currency": "CLF"}),
        ("CONFIRMED", {"total_amount": None, "currency": "JPY"}),
    ],
)
def test_allowed_bookings(status, fields):
    assert RoomBooking.objects.filter(pk=booking_in(status, **fields).pk).exists()


def test_references_payments_and_guest_tokens_are_unique():
    first = BookingFactory(**CARD, payment_state="AUTHORISED", guest_token_hash="a1")
    assert refused_by("room_booking_payment_unique", **CARD, payment_state="AUTHORISED")
    assert refused_by("room_booking_token_unique", guest_token_hash="a1")
    reference = {"booking_id": first.booking_id}
    assert refused_by("room_bookings_roombooking_booking_id_key", **reference)
    BookingFactory(guest_token_hash="")
    BookingFactory(guest_token_hash="")


def test_old_invalid_amount_can_stay_but_not_be_written_again():
    booking = BookingFactory(total_amount="100.50", currency="EUR")
    check_deferred_constraints()
    raw("ALTER TABLE room_bookings_roombooking DISABLE TRIGGER USER")
    RoomBooking.objects.update(currency="JPY")
    check_deferred_constraints()
    raw("ALTER TABLE room_bookings_roombooking ENABLE TRIGGER USER")
    RoomBooking.objects.update(adults=2)
    RoomBooking.objects.update(total_amount="100.5", currency="JPY")  # as it was
    assert refused("room_booking_amount_fits_currency", lambda: RoomBooking.objects.update(total_amount="100.51"))
    assert refused("room_booking_amount_fits_currency", lambda: RoomBooking.objects.update(currency="KRW"))
    RoomBooking.objects.update(total_amount="101")
    booking.refresh_from_db()
    assert (booking.total_amount, booking.currency) == (101, "JPY")


# --- one hotel --------------------------------------------------------------------------------------------------------

FOREIGN = {
    "room_type": RoomTypeFactory,
    "assigned_room": NewRoomFactory,
    "room_assigned_by": StaffFactory,
    "staff_seen_by": StaffFactory,
    "decided_by": StaffFactory,
    "cancelled_by": StaffFactory,
    "payment_requested_by": StaffFactory,
}


@pytest.mark.parametrize("field", FOREIGN)
def test_related_rows_of_a_booking_are_of_its_hotel(field):
    hotel, other = HotelFactory(), HotelFactory()
    foreign = FOREIGN[field](hotel=other)
    refusal = ("room_booking_one_hotel", f"{field} belongs to another hotel")
    with Refused(*refusal):
        BookingFactory(hotel=hotel, **{field: foreign})
    booking = BookingFactory(hotel=hotel)
    with Refused(*refusal):
        RoomBooking.objects.filter(pk=booking.pk).update(**{field: foreign})


def test_a_booking_never_moves_to_another_hotel():
    booking = BookingFactory()
    with Refused("room_booking_one_hotel", "a room booking never moves to another hotel"):
        RoomBooking.objects.filter(pk=booking.pk).update(hotel=HotelFactory())


def change_of(booking: RoomBooking, **fields) -> BookingChange:
    return BookingChange.objects.create(
        hotel=booking.hotel, booking=booking, **{"action": BookingAction.EDITED, "to_status": booking.status} | fields
    )


def extension_of(booking: RoomBooking, **fields) -> BookingExtension:
    dates = {"old_check_out": booking.check_out, "new_check_out": booking.check_out + timedelta(days=1)}
    return BookingExtension.objects.create(hotel=booking.hotel, booking=booking, **dates | fields)


def overstay_of(booking: RoomBooking, **fields) -> OverstayIncident:
    due = {"expected_checkout_date": booking.check_out}
    return OverstayIncident.objects.create(hotel=booking.hotel, booking=booking, **due | fields)


def overbooking_of(booking: RoomBooking, **fields) -> Overbooking:
    nights = {"first_night": booking.check_in, "free_from": booking.check_out}
    cause = {"booking": None if "room" in fields else booking, "room_type": booking.room_type}
    return Overbooking.objects.create(hotel=booking.hotel, **nights | cause | fields)


@pytest.mark.parametrize(
    ("rule", "make", "field", "foreign"),
    [
        ("booking_change_one_hotel", change_of, "from_room", NewRoomFactory),
        ("booking_change_one_hotel", change_of, "to_room", NewRoomFactory),
        ("booking_change_one_hotel", change_of, "staff", StaffFactory),
        ("booking_extension_one_hotel", extension_of, "staff", StaffFactory),
        ("overstay_one_hotel", overstay_of, "acknowledged_by", StaffFactory),
        ("overbooking_one_hotel", overbooking_of, "room_type", RoomTypeFactory),
        ("overbooking_one_hotel", overbooking_of, "room", NewRoomFactory),
        ("overbooking_one_hotel", overbooking_of, "staff", StaffFactory),
    ],
)
def test_related_rows_of_a_bookings_history_are_of_its_hotel(rule, make, field, foreign):
    booking = BookingFactory()
    with Refused(rule, f"{field} belongs to another hotel"):
        make(booking, **{field: foreign()})


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        ("booking_change_one_hotel", change_of),
        ("booking_extension_one_hotel", extension_of),
        ("overstay_one_hotel", overstay_of),
    ],
)
def test_booking_history_is_of_its_hotel(rule, make):
    booking = BookingFactory()
    booking.hotel = HotelFactory()  # not saved
    with Refused(rule, "booking belongs to another hotel"):
        make(booking)


# --- history ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "make", "words"),
    [
        ("booking_change_never_changed", change_of, "booking changes"),
        ("booking_extension_never_changed", extension_of, "booking extensions"),
        ("overbooking_never_changed", overbooking_of, "overbookings"),
    ],
)
def test_booking_history_is_immutable(rule, make, words):
    row = make(BookingFactory())
    for change in (
        lambda: type(row).objects.update(created_at=NOW),
        lambda: type(row).objects.all().delete(),
        lambda: raw(f"UPDATE {row._meta.db_table} SET created_at = now()"),
        lambda: raw(f"DELETE FROM {row._meta.db_table}"),
    ):
        with Refused(rule, f"{words} are never changed or deleted"):
            change()


def raw(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_change_has_a_known_action():
    assert refused("booking_change_action_known", lambda: change_of(BookingFactory(), action="GUESSED"))


@pytest.mark.parametrize("nights", [0, -1])
def test_an_extension_adds_nights(nights):
    booking = BookingFactory()
    shorter = booking.check_out + timedelta(days=nights)
    assert refused("booking_extension_adds_nights", lambda: extension_of(booking, new_check_out=shorter))


def test_one_overstay_per_missed_departure():
    booking = BookingFactory()
    overstay_of(booking)
    assert refused("overstay_once_per_departure", lambda: overstay_of(booking))
    overstay_of(booking, expected_checkout_date=booking.check_out + timedelta(days=1))


@pytest.mark.parametrize(
    ("fields", "sound"),
    [
        ({"status": "OPEN"}, True),
        ({"status": "OPEN", "acknowledged_at": NOW}, False),
        ({"status": "OPEN", "resolved_at": NOW}, False),
        ({"status": "ACKED"}, False),
        ({"status": "ACKED", "acknowledged_at": NOW}, True),
        ({"status": "ACKED", "acknowledged_at": NOW, "resolved_at": NOW}, False),
        ({"status": "DISMISSED", "acknowledged_at": NOW}, True),
        ({"status": "DISMISSED"}, False),
        ({"status": "RESOLVED"}, False),
        ({"status": "RESOLVED", "resolved_at": NOW}, True),
        ({"status": "RESOLVED", "acknowledged_at": NOW, "resolved_at": NOW}, True),
        ({"status": "FORGOTTEN", "resolved_at": NOW}, False),
    ],
)
def test_times_of_an_overstay_match_its_status(fields, sound):
    booking = BookingFactory()
    if sound:
        assert overstay_of(booking, **fields).pk
    else:
        assert refused("overstay_status_agrees_with_times", lambda: overstay_of(booking, **fields))


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_one_stayover_task_per_room_and_day():
    task = TaskFactory(task_type=TaskType.STAYOVER, for_date=date(2026, 7, 10))
    again = {"room": task.room, "hotel": task.hotel, "task_type": TaskType.STAYOVER, "for_date": date(2026, 7, 10)}
    assert refused("task_once_a_day", lambda: TaskFactory(**again))
    TaskFactory(**again | {"for_date": date(2026, 7, 11)})
    TaskFactory(**again | {"task_type": TaskType.AMENITY})
    TaskFactory(**again | {"room": NewRoomFactory(hotel=task.hotel)})
    for _ in range(2):
        TaskFactory(**again | {"for_date": None})  # a task opened by hand has no date
    assert HousekeepingTask.objects.count() == 6
