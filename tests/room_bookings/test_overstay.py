"""Overstays: flagged once, acknowledged, dismissed, extended."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from common import clock
from hotel import calendar
from room_bookings.models import BookingChange, BookingExtension, OverstayIncident, RoomBooking
from room_bookings.selectors import overdue as overdue_stays
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out
from room_bookings.services.edit import edit_booking
from room_bookings.services.overstay import acknowledge_overstay, extend_stay, flag_overstays, overstay_state
from room_bookings.services.reinstate import reinstate_booking
from room_bookings.services.undo_check_in import undo_check_in
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, booking_in, room_in
from tests.room_bookings.small_hotel import (
    NOW,
    assert_invariants_hold,
    day,
    last_event,
    locks_and_writes,
    nothing_written,
    open_small_hotel,
    published_events,
    refusal_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(small_hotel) -> RoomBooking:
    """A guest in house in room 101 for two days, due out today at 11 a.m., four hours ago."""
    return staying(small_hotel)


def staying(small_hotel, first=-2, last=0, **fields) -> RoomBooking:
    known = {"assigned_room": small_hotel.rooms[0], "check_in": day(first), "check_out": day(last)}
    return booking_in("IN_HOUSE", **known | {"checked_in_at": NOW - timedelta(days=2)} | fields)


def incidents() -> list[tuple[str, str]]:
    return [(row.expected_checkout_date.isoformat(), row.status) for row in OverstayIncident.objects.order_by("pk")]


# --- flagging ---------------------------------------------------------------------------------------------------------


def test_it_is_flagged_once(small_hotel, guest):
    since = last_event()
    assert flag_overstays(small_hotel.hotel) == 1
    stored = RoomBooking.objects.get()
    assert (stored.overstay_flagged_at, stored.overstay_acknowledged_at, stored.version) == (NOW, None, 1)
    incident = OverstayIncident.objects.get()
    assert (incident.status, incident.expected_checkout_date, incident.detected_at) == ("OPEN", day(0), NOW)
    assert published_events(since) == [("room-bookings", "booking_overstay_flagged")]
    with nothing_written():
        assert flag_overstays(small_hotel.hotel) == 0
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("settings", "zone", "departure", "moment", "overdue"),
    [
        ({}, "Europe/Dublin", "2026-07-01", "2026-07-01T10:30:00Z", False),  # 11:30 there, the end of the grace
        ({}, "Europe/Dublin", "2026-07-01", "2026-07-01T10:30:01Z", True),
        ({}, "Europe/Dublin", "2026-01-15", "2026-01-15T11:30:00Z", False),
        ({}, "Europe/Dublin", "2026-01-15", "2026-01-15T11:30:01Z", True),
        ({}, "Europe/Dublin", "2026-03-29", "2026-03-29T10:30:01Z", True),  # the clocks went forward this night
        ({}, "Europe/Dublin", "2026-10-25", "2026-10-25T11:30:00Z", False),  # the clocks went back this night
        ({}, "Pacific/Auckland", "2026-07-01", "2026-06-30T23:30:00Z", False),
        ({}, "Pacific/Auckland", "2026-07-01", "2026-06-30T23:30:01Z", True),
        ({"late_checkout_grace_minutes": 0}, "Europe/Dublin", "2026-07-01", "2026-07-01T10:00:01Z", True),
        ({"late_checkout_grace_minutes": 720}, "Europe/Dublin", "2026-07-01", "2026-07-01T22:00:00Z", False),
        ({"late_checkout_grace_minutes": 720}, "Europe/Dublin", "2026-07-01", "2026-07-01T22:00:01Z", True),
        (
            {"standard_checkout_time": time(18), "late_checkout_grace_minutes": 720},
            *("Europe/Dublin", "2026-07-01", "2026-07-02T05:00:00Z", False),
        ),
        (
            {"standard_checkout_time": time(18), "late_checkout_grace_minutes": 720},
            *("Europe/Dublin", "2026-07-01", "2026-07-02T05:00:01Z", True),
        ),
        ({}, "Europe/Dublin", "2026-06-01", "2026-07-01T03:00:00Z", True),
        ({}, "Europe/Dublin", "2026-07-02", "2026-07-01T14:00:00Z", False),
    ],
)
def test_when_a_guest_is_overdue(settings, zone, departure, moment, overdue, db):
    small_hotel = open_small_hotel(timezone=zone, **settings)
    departs = date.fromisoformat(departure)
    with clock.set_to(datetime.fromisoformat(moment)):
        staying(small_hotel, check_in=departs - timedelta(days=2), check_out=departs)
        assert calendar.is_overdue(small_hotel.hotel, departs - timedelta(days=2), departs) is overdue
        assert flag_overstays(small_hotel.hotel) == overdue


@pytest.mark.parametrize(
    ("moment", "overdue"),
    [
        ("2026-07-01T15:00:00Z", False),  # 16:00 in Dublin: day use ends with the business day
        ("2026-07-02T01:30:00Z", False),  # the business day ended at 02:00 there, and the grace period has just passed
        ("2026-07-02T01:30:01Z", True),
    ],
)
def test_a_day_use_is_overdue_when_the_business_day_is_over(moment, overdue, db):
    small_hotel = open_small_hotel()
    with clock.set_to(datetime.fromisoformat(moment)):
        staying(small_hotel, check_in=date(2026, 7, 1), check_out=date(2026, 7, 1))
        assert calendar.is_overdue(small_hotel.hotel, date(2026, 7, 1), date(2026, 7, 1)) is overdue
        assert flag_overstays(small_hotel.hotel) == overdue


def test_rows_and_rule_agree_on_overdue_at_every_hour(db):
    """The SQL condition matches the calendar's rule, even on a night when the clocks change."""
    small_hotel = open_small_hotel(standard_checkout_time=time(23, 59), late_checkout_grace_minutes=720)
    for start in range(27, 32):
        for nights in (0, 1):
            arrival = date(2026, 3, start)
            stay = {"check_in": arrival, "check_out": arrival + timedelta(days=nights)}
            booking_in("CONFIRMED", hotel=small_hotel.hotel, room_type=small_hotel.room_type, **stay)
    bookings = list(RoomBooking.objects.all())
    for hour in range(120):
        with clock.set_to(datetime(2026, 3, 27, 0, 30, tzinfo=UTC) + timedelta(hours=hour)):
            by_rule = {it.pk for it in bookings if calendar.is_overdue(small_hotel.hotel, it.check_in, it.check_out)}
            found = RoomBooking.objects.filter(overdue_stays(small_hotel.hotel))
            assert set(found.values_list("pk", flat=True)) == by_rule


def test_only_guests_in_house_of_this_hotel_are_flagged(small_hotel, guest):
    staying(open_small_hotel())
    booking_in("COMPLETED", assigned_room=small_hotel.rooms[1], check_in=day(-3), check_out=day(-1))
    booking_in("CONFIRMED", hotel=small_hotel.hotel, check_in=day(-3), check_out=day(-1))
    assert flag_overstays(small_hotel.hotel) == 1


# --- acknowledging ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dismiss", "status"), [(False, "ACKED"), (True, "DISMISSED")])
def test_overstay_is_acknowledged_or_dismissed(dismiss, status, small_hotel, guest):
    flag_overstays(small_hotel.hotel)
    since = last_event()
    acknowledge_overstay(booking=guest, staff=small_hotel.agent, note="Packing", dismiss=dismiss)
    incident = OverstayIncident.objects.get()
    assert (incident.status, incident.note, incident.acknowledged_at, incident.acknowledged_by) == (
        status,
        *("Packing", NOW, small_hotel.agent),
    )
    assert RoomBooking.objects.get().overstay_acknowledged_at == NOW
    assert published_events(since) == [("room-bookings", "booking_overstay_acknowledged")]
    with nothing_written():
        acknowledge_overstay(booking=guest, staff=small_hotel.manager, note="Packing", dismiss=dismiss)
        acknowledge_overstay(booking=guest, staff=small_hotel.manager, dismiss=dismiss)
    acknowledge_overstay(booking=guest, staff=small_hotel.manager, note="Taxi at three", dismiss=not dismiss)
    incident.refresh_from_db()
    assert (incident.status, incident.note) == ("ACKED" if dismiss else "DISMISSED", "Taxi at three")
    assert_invariants_hold()


def test_unflagged_overstay_can_be_acknowledged(small_hotel, guest):
    since = last_event()
    acknowledge_overstay(booking=guest, staff=small_hotel.agent)
    assert incidents() == [("2026-07-01", "ACKED")]
    assert published_events(since) == [
        ("room-bookings", "booking_overstay_flagged"),
        ("room-bookings", "booking_overstay_acknowledged"),
    ]
    assert flag_overstays(small_hotel.hotel) == 0


# --- extending --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nights", "new"), [({"add_nights": 1}, 1), ({"add_nights": 14}, 14), ({"new_checkout_date": day(3)}, 3)]
)
def test_nights_are_added_to_the_departure_date(nights, new, small_hotel, guest):
    flag_overstays(small_hotel.hotel)
    since = last_event()
    extended = extend_stay(booking=guest, staff=small_hotel.agent, **nights)
    stored = RoomBooking.objects.get()
    assert (stored.check_out, stored.version, extended.check_out) == (day(new), 2, day(new))
    assert (stored.overstay_flagged_at, stored.overstay_acknowledged_at) == (None, None)
    assert incidents() == [("2026-07-01", "RESOLVED")]
    row = BookingExtension.objects.get()
    assert (row.old_check_out, row.new_check_out, row.staff, row.created_at) == (
        day(0),
        day(new),
        small_hotel.agent,
        NOW,
    )
    change = BookingChange.objects.get()
    assert (change.action, change.staff, change.reason) == ("EXTENDED", small_hotel.agent, f"{day(0)} → {day(new)}")
    assert published_events(since) == [("room-bookings", "booking_overstay_extended")]
    assert flag_overstays(small_hotel.hotel) == 0
    assert_invariants_hold()


def test_extension_counts_from_the_departure_even_if_long_overdue(small_hotel):
    guest = staying(small_hotel, -9, -3)
    assert extend_stay(booking=guest, staff=small_hotel.agent, add_nights=1).check_out == day(-2)
    assert flag_overstays(small_hotel.hotel) == 1
    assert incidents() == [("2026-06-29", "OPEN")]


@pytest.mark.parametrize(
    ("nights", "field"),
    [
        ({"add_nights": 0}, "add_nights"),
        ({"new_checkout_date": day(0)}, "new_checkout_date"),
        ({"new_checkout_date": day(-1)}, "new_checkout_date"),
        ({"new_checkout_date": day(364)}, "new_checkout_date"),
    ],
)
def test_extension_by_no_nights_or_too_many(nights, field, small_hotel, guest):
    refusal = refusal_of(lambda: extend_stay(booking=guest, staff=small_hotel.agent, **nights))
    assert (refusal.code, list(refusal.details)) == ("VALIDATION_ERROR", [field])


def test_refused_extension_names_the_conflict_and_other_rooms(small_hotel, guest):
    assigned = BookingFactory(
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        assigned_room=small_hotel.rooms[0],
        check_in=day(1),
        check_out=day(2),
    )
    later = BookingFactory(
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        assigned_room=small_hotel.rooms[0],
        check_in=day(2),
        check_out=day(4),
    )
    kind = RoomTypeFactory(hotel=small_hotel.hotel, name="Suite")
    suite = NewRoomFactory(hotel=small_hotel.hotel, room_type=kind, room_number=99)
    room_in("CHECKOUT_DIRTY", hotel=small_hotel.hotel, room_type=small_hotel.room_type, room_number=103)
    refusal = refusal_of(lambda: extend_stay(booking=guest, staff=small_hotel.agent, add_nights=3))
    assert (refusal.status, refusal.code) == (409, "ROOM_OVERLAP_CONFLICT")
    assert refusal.extra == {
        "conflicts": [
            {
                "booking_id": assigned.booking_id,
                "room_number": 101,
                "start_date": "2026-07-02",
                "end_date": "2026-07-03",
            },
            {"booking_id": later.booking_id, "room_number": 101, "start_date": "2026-07-03", "end_date": "2026-07-05"},
        ],
        # Those of the booked type first.
        "suggested_rooms": [
            {"room_id": small_hotel.rooms[1].pk, "room_number": 102, "room_type": small_hotel.room_type.name},
            {"room_id": suite.pk, "room_number": 99, "room_type": "Suite"},
        ],
    }
    assert extend_stay(booking=guest, staff=small_hotel.agent, add_nights=1).check_out == day(1)


def test_suggested_rooms_can_be_moved_into(small_hotel, guest):
    BookingFactory(
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        assigned_room=small_hotel.rooms[0],
        check_in=day(1),
        check_out=day(2),
    )
    for room, (first, last) in ((small_hotel.rooms[1], (1, 2)), (small_hotel.rooms[1], (5, 6))):
        BookingFactory(
            hotel=small_hotel.hotel,
            room_type=small_hotel.room_type,
            assigned_room=room,
            check_in=day(first),
            check_out=day(last),
        )
    refusal = refusal_of(lambda: extend_stay(booking=guest, staff=small_hotel.agent, add_nights=2))
    assert refusal.extra["suggested_rooms"] == []


def test_it_decides_on_the_row(small_hotel, guest):
    stale = RoomBooking.objects.get()
    extend_stay(booking=guest, staff=small_hotel.agent, add_nights=1)
    assert extend_stay(booking=stale, staff=small_hotel.agent, add_nights=1).check_out == day(2)
    check_out(booking=guest, staff=small_hotel.agent)
    for step in (
        lambda: extend_stay(booking=stale, staff=small_hotel.agent, add_nights=1),
        lambda: acknowledge_overstay(booking=stale, staff=small_hotel.agent),
    ):
        assert refusal_of(step).code == "BOOKING_ALREADY_CHECKED_OUT"


def test_it_locks_booking_room_and_type_in_this_order(small_hotel, guest, statements):
    with statements() as made:
        extend_stay(booking=guest, staff=small_hotel.agent, add_nights=1)
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "lock Room",
        "lock RoomType",
        "INSERT HousekeepingTask",
        "UPDATE RoomBooking",
        "INSERT BookingExtension",
        "INSERT BookingChange",
        "INSERT RealtimeEvent",
    ]


# --- repeated overstays -----------------------------------------------------------------------------------------------


def test_departure_extended_and_shortened_again_is_a_new_overstay(small_hotel, guest):
    flag_overstays(small_hotel.hotel)
    acknowledge_overstay(booking=guest, staff=small_hotel.agent, note="Packing")
    extend_stay(booking=guest, staff=small_hotel.agent, add_nights=2)
    assert incidents() == [("2026-07-01", "RESOLVED")]
    edit_booking(booking=guest, staff=small_hotel.agent, check_out=day(0))
    with clock.set_to(NOW + timedelta(hours=1)):
        assert flag_overstays(small_hotel.hotel) == 1
    incident = OverstayIncident.objects.get()
    assert (incident.status, incident.detected_at, incident.acknowledged_by, incident.resolved_at) == (
        *("OPEN", NOW + timedelta(hours=1)),
        *(None, None),
    )
    acknowledge_overstay(booking=guest, staff=small_hotel.manager)
    assert incidents() == [("2026-07-01", "ACKED")]
    assert_invariants_hold()


def undone(small_hotel, guest):
    undo_check_in(booking=guest, staff=small_hotel.manager, reason="Wrong guest")


def cancelled_and_reinstated(small_hotel, guest):
    cancel_booking(booking=guest, staff=small_hotel.manager, reason="Wrong guest")
    reinstate_booking(booking=guest, staff=small_hotel.manager, reason="The right guest after all")


@pytest.mark.parametrize("restart", [undone, cancelled_and_reinstated])
def test_stay_checked_in_again_starts_without_an_overstay(restart, small_hotel):
    """Checked in on the departure day, flagged, undone, and checked in again."""
    guest = staying(small_hotel, -1, 0, checked_in_at=NOW)
    flag_overstays(small_hotel.hotel)
    restart(small_hotel, guest)
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.overstay_flagged_at, stored.overstay_acknowledged_at) == ("CONFIRMED", None, None)
    assert incidents() == [("2026-07-01", "RESOLVED")]
    check_in(
        booking=guest, staff=small_hotel.manager, room_id=small_hotel.rooms[1].pk, override_reason="Stays for lunch"
    )
    acknowledge_overstay(booking=guest, staff=small_hotel.agent)
    assert incidents() == [("2026-07-01", "ACKED")]
    assert_invariants_hold()


# --- the booking's detail ---------------------------------------------------------------------------------------------


def test_overstay_state_in_the_detail(small_hotel, guest):
    def state():
        return overstay_state(RoomBooking.objects.get())

    assert state() == {"is_overstay": True, "incident_state": "MISSING", "overstay": None}
    flag_overstays(small_hotel.hotel)
    flagged = {
        "status": "OPEN",
        "hours_overdue": 4,
        "expected_checkout_date": "2026-07-01",
        "detected_at": "2026-07-01T14:00:00Z",
        "extensions": [],
    }
    assert state() == {"is_overstay": True, "incident_state": "ACTIVE", "overstay": flagged}
    extend_stay(booking=guest, staff=small_hotel.agent, add_nights=2)
    with clock.set_to(NOW + timedelta(hours=5)):
        extension = {
            "old_checkout_date": "2026-07-01",
            "new_checkout_date": "2026-07-03",
            "nights": 2,
            "created_at": "2026-07-01T14:00:00Z",
        }
        assert state() == {
            "is_overstay": False,
            "incident_state": "ACTIVE",
            "overstay": flagged | {"status": "RESOLVED", "extensions": [extension]},
        }


@pytest.mark.parametrize(("later", "hours"), [(0, 4), (1, 5), (24, 28)])
def test_hours_overdue_count_from_the_checkout_time(later, hours, small_hotel, guest):
    flag_overstays(small_hotel.hotel)
    with clock.set_to(NOW + timedelta(hours=later)):
        assert overstay_state(RoomBooking.objects.get())["overstay"]["hours_overdue"] == hours
