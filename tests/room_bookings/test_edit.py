"""Editing a booking: dates and availability, versions, the first viewer, companions."""

from datetime import timedelta
from decimal import Decimal

import pytest

from common import clock
from room_bookings.models import BookingChange, BookingGuest, RoomBooking
from room_bookings.selectors import booking_read
from room_bookings.serializers import BookingEditInput
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.edit import edit_booking, mark_seen, set_companions
from room_bookings.snapshots import booking_detail
from tests.factories import BookingFactory, NewRoomFactory, booking_in
from tests.room_bookings.small_hotel import (
    NOW,
    day,
    last_event,
    locks_and_writes,
    nothing_written,
    published_events,
    refusal_of,
)

pytestmark = pytest.mark.django_db


def booked(small_hotel, first=2, last=4, **fields) -> RoomBooking:
    """A confirmed booking from ``first`` to ``last`` days after today."""
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    return BookingFactory(check_in=day(first), check_out=day(last), **hotel_fields | fields)


def test_it_is_recorded_and_published(small_hotel):
    booking = booked(small_hotel)
    edited = edit_booking(
        booking=booking, staff=small_hotel.agent, check_out=day(5), adults=2, total_amount=Decimal("99.5"), children=0
    )
    stored = RoomBooking.objects.get()
    assert (stored.check_out, stored.adults, stored.total_amount, stored.version) == (day(5), 2, Decimal("99.50"), 1)
    assert (stored.updated_at, edited.version) == (NOW, 1)
    [change] = BookingChange.objects.all()
    assert (change.action, change.from_status, change.to_status) == ("EDITED", "CONFIRMED", "CONFIRMED")
    assert (change.staff, change.reason) == (small_hotel.agent, "adults, check_out, total_amount")
    assert published_events() == [("room-bookings", "booking_updated")]


def test_same_values_write_nothing(small_hotel):
    booking = booked(small_hotel, primary_email="ada@example.com")
    with nothing_written():
        edit_booking(
            booking=booking, staff=small_hotel.agent, check_out=booking.check_out, primary_email="ada@example.com"
        )
        edit_booking(booking=booking, staff=small_hotel.agent)


@pytest.mark.parametrize(("versions", "passes"), [([3], True), ([2, 3], True), ([2], False), ([4], False), ([], False)])
def test_only_the_current_version_can_be_edited(versions, passes, small_hotel):
    booking = booked(small_hotel, version=3)
    if passes:
        assert edit_booking(booking=booking, staff=small_hotel.agent, expected_versions=versions, adults=2).version == 4
        return
    refusal = refusal_of(
        lambda: edit_booking(booking=booking, staff=small_hotel.agent, expected_versions=versions, adults=2)
    )
    assert (refusal.status, refusal.code) == (412, "PRECONDITION_FAILED")
    assert refusal.details == {"booking_id": booking.booking_id, "status": "CONFIRMED", "version": 3}


def test_stale_version_is_refused_even_without_a_change(small_hotel):
    booking = booked(small_hotel)
    refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, expected_versions=[1], adults=1))


def test_it_decides_on_the_row(small_hotel):
    stale = booked(small_hotel)
    cancel_booking(booking=RoomBooking.objects.get(), staff=small_hotel.agent)
    assert stale.status == "CONFIRMED"
    for step in (
        lambda: edit_booking(booking=stale, staff=small_hotel.agent, adults=2),
        lambda: set_companions(booking=stale, companions=[{"first_name": "Charles", "last_name": "Babbage"}]),
    ):
        assert refusal_of(step).code == "BOOKING_NOT_ELIGIBLE"
    edit_booking(booking=stale, staff=small_hotel.agent, internal_notes="Called to say so.")
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.internal_notes, stored.version) == ("CANCELLED", "Called to say so.", 2)


def test_past_booking_accepts_only_notes(small_hotel):
    booking = booking_in("COMPLETED", assigned_room=small_hotel.rooms[0])
    refusal = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, internal_notes="x", adults=2))
    assert refusal.code == "BOOKING_NOT_ELIGIBLE"


# --- the amount -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field", "refusal"),
    [
        ({"currency": "JPY"}, "currency", "Amounts in JPY have no decimals."),
        ({"total_amount": Decimal("99.555")}, "total_amount", "Amounts in EUR have at most 2 decimals."),
        ({"total_amount": Decimal("9.5"), "currency": "JPY"}, "total_amount", "Amounts in JPY have no decimals."),
    ],
)
def test_amount_must_have_its_currencys_decimals(change, field, refusal, small_hotel):
    booking = booked(small_hotel, total_amount="99.50")
    error = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, **change))
    assert (error.code, error.details) == ("VALIDATION_ERROR", {field: [refusal]})


@pytest.mark.parametrize(
    ("change", "amount", "currency"),
    [
        ({"currency": "USD"}, "99.50", "USD"),
        ({"currency": "BHD"}, "99.50", "BHD"),
        ({"total_amount": Decimal("100")}, "100.00", "EUR"),
        ({"total_amount": Decimal("15000"), "currency": "JPY"}, "15000", "JPY"),
        ({"total_amount": Decimal("99.5050"), "currency": "KWD"}, "99.505", "KWD"),
        ({"total_amount": None, "currency": "JPY"}, None, "JPY"),
    ],
)
def test_amount_and_currency_are_corrected(change, amount, currency, small_hotel):
    booking = booked(small_hotel, total_amount="99.50")
    edit_booking(booking=booking, staff=small_hotel.agent, **change)
    stored = RoomBooking.objects.get()
    assert (stored.total_amount and str(stored.total_amount), stored.currency) == (amount, currency)
    assert BookingChange.objects.get().reason == ", ".join(sorted(change))
    with nothing_written():
        edit_booking(booking=booking, staff=small_hotel.agent, **change)


# --- read-only fields -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        {"status": "CANCELLED"},
        {"assigned_room": 17},
        {"assigned_room": {"id": 1, "room_number": 101}},
        {"booking_id": "BK-1999-0001"},
        {"nights": 3},
        {"nights": None},
        {"paid_at": "2026-07-01T14:00:00Z"},
        {"is_new_for_staff": False},
        {"overstay_minutes": 7},
        {"overstay_risk_level": "CRITICAL"},
        {"is_overstay": True},
        {"is_approval_due_soon": True},
        {"flags": {"can_cancel": False}},
        {"party": []},
        {"version": 7},
        {"status": ["CONFIRMED"]},
    ],
    ids=lambda sent: next(iter(sent)),
)
def test_read_only_field_is_refused_and_nothing_is_changed(sent, small_hotel):
    booking, [name] = booked(small_hotel), sent
    refusal = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, adults=2, others=sent))
    sentence = f"{name} can't be changed here: send its current value or leave it out."
    assert (refusal.status, refusal.code, refusal.message) == (400, "READ_ONLY_FIELD", sentence)
    assert refusal.details == refusal.extra == {name: [sentence]}


def test_every_read_only_field_of_the_detail_is_refused(small_hotel):
    booking = booked(small_hotel)
    taken = set(BookingEditInput().fields)
    names = [name for name in booking_detail(booking_read(booking.pk)) if name not in taken]
    assert len(names) >= 50
    others = dict.fromkeys(names, "something else")
    refusal = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, others=others))
    assert list(refusal.details) == names


def test_detail_can_be_sent_back_unchanged(small_hotel):
    booking = booked(small_hotel, assigned_room=small_hotel.rooms[0], primary_phone="1", cancellation_reason="  ")
    BookingGuest.objects.create(booking=booking, first_name="Charles", last_name="Babbage")
    read = booking_detail(booking_read(booking.pk)) | {"shoe_size": 44}
    others = {**read, "nights": "2", "room_assigned_at": "", "party_total_count": " 2 "}
    with nothing_written():
        edit_booking(booking=booking, staff=small_hotel.agent, others=others)
    assert edit_booking(booking=booking, staff=small_hotel.agent, others=others, adults=2).adults == 2


@pytest.mark.parametrize("status", ["IN_HOUSE", "PENDING_APPROVAL"])
def test_detail_can_be_sent_back_later(status, small_hotel):
    """At every stage of an overstay or a pending request, the detail read earlier is accepted."""
    fields = {"assigned_room": small_hotel.rooms[0]} if status == "IN_HOUSE" else {"approval_deadline_at": NOW}
    stay = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type, "check_in": day(-1), "check_out": day(0)}
    booking = booking_in(status, **stay | fields)
    levels = set()
    for minutes in range(-300, 300, 20):
        with clock.set_to(NOW + timedelta(minutes=minutes)):
            read = booking_detail(booking_read(booking.pk))
        levels |= {read["overstay_risk_level"], read["approval_risk_level"]}
        with clock.set_to(NOW + timedelta(minutes=minutes + 45)), nothing_written():
            edit_booking(booking=booking, staff=small_hotel.agent, others=read)
    assert len(levels) == 4


# --- dates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dates", "field", "why"),
    [
        ({"check_in": day(5)}, "check_in", "The departure can't be before the arrival."),
        ({"check_out": day(1)}, "check_out", "The departure can't be before the arrival."),
        ({"check_in": day(5), "check_out": day(1)}, "check_out", "The departure can't be before the arrival."),
        ({"check_out": day(400)}, "check_out", "A stay has at most 365 nights."),
        ({"check_in": day(-3), "check_out": day(-1)}, "check_out", "This stay would already be over."),
    ],
)
def test_invalid_dates(dates, field, why, small_hotel):
    booking = booked(small_hotel)
    refusal = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, **dates))
    assert (refusal.code, refusal.details) == ("VALIDATION_ERROR", {field: [why]})


# One room, sold on every night except those of days 6 and 7; the edited booking has the nights of days 2 and 3.
NEW_DATES = [
    ((2, 3), None),  # a stay can be shortened in a sold-out hotel
    ((3, 4), None),
    ((3, 3), None),
    ((2, 2), None),
    ((1, 4), 1),
    ((2, 5), 4),
    ((1, 5), 1),
    ((1, 3), 1),
    ((3, 6), 4),
    ((4, 4), 4),  # day use is a night of its own
    ((1, 1), 1),
    ((6, 8), None),
    ((6, 6), None),
    ((5, 7), 5),
    ((6, 9), 8),
    ((0, 2), 0),
]


@pytest.mark.parametrize(("dates", "full"), NEW_DATES)
def test_only_nights_that_are_added_must_be_free(dates, full, small_hotel):
    small_hotel.rooms[1].delete()
    booking = booked(small_hotel)
    for first, last in ((0, 2), (4, 6), (8, 20)):
        booked(small_hotel, first, last)
    # One more stay on each of its nights: the hotel was overbooked, which does not matter here.
    booked(small_hotel)
    check_in, check_out = (day(offset) for offset in dates)

    def edit():
        return edit_booking(booking=booking, staff=small_hotel.agent, check_in=check_in, check_out=check_out)

    if full is None:
        assert (edit().check_in, booking.check_in) == (check_in, day(2))
    else:
        refusal = refusal_of(edit)
        assert (refusal.code, refusal.details["date"]) == ("NO_AVAILABILITY", day(full).isoformat())


def test_any_night_can_be_added_with_overbooking(small_hotel):
    small_hotel.hotel.allow_overbooking = True
    small_hotel.hotel.save()
    booking = booked(small_hotel)
    for _ in range(3):
        booked(small_hotel, 4, 6)
    assert edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(6)).check_out == day(6)


@pytest.mark.parametrize(
    ("dates", "free"),
    [((2, 5), True), ((2, 6), False), ((4, 6), False), ((1, 4), True), ((0, 4), False), ((5, 5), False)],
)
def test_the_assigned_room_must_be_free_on_the_new_nights(dates, free, small_hotel):
    room = small_hotel.rooms[0]
    booking = booked(small_hotel, assigned_room=room)
    before, after = booked(small_hotel, 0, 1, assigned_room=room), booked(small_hotel, 5, 7, assigned_room=room)
    check_in, check_out = (day(offset) for offset in dates)

    def edit():
        return edit_booking(booking=booking, staff=small_hotel.agent, check_in=check_in, check_out=check_out)

    if free:
        assert edit().assigned_room == room
    else:
        refusal = refusal_of(edit)
        in_the_way = before if dates[0] == 0 else after
        assert refusal.code == "ROOM_OVERLAP_CONFLICT"
        assert refusal.details["conflicts"] == [
            {
                "booking_id": in_the_way.booking_id,
                "room_number": 101,
                "start_date": in_the_way.check_in.isoformat(),
                "end_date": in_the_way.check_out.isoformat(),
            }
        ]


def test_guest_in_house_can_only_change_the_departure(small_hotel):
    booking = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-1), check_out=day(1))
    booked(small_hotel, 2, 4, assigned_room=small_hotel.rooms[0])
    refusal = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, check_in=day(0)))
    assert refusal.code == "BOOKING_ALREADY_CHECKED_IN"
    too_long = refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(3)))
    assert too_long.code == "ROOM_OVERLAP_CONFLICT"
    assert edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(2)).check_out == day(2)
    assert edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(0)).check_out == day(0)
    refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(-1)))


def test_it_locks_booking_room_and_type_in_this_order(small_hotel, statements):
    booking = booked(small_hotel, assigned_room=small_hotel.rooms[0])
    with statements() as made:
        edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(6))
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "lock Room",
        "lock RoomType",
        "UPDATE RoomBooking",
        "INSERT BookingChange",
        "INSERT RealtimeEvent",
    ]


# --- first viewer and companions --------------------------------------------------------------------------------------


def test_first_viewer_is_kept(small_hotel):
    booking = booked(small_hotel)
    seen = mark_seen(booking=booking, staff=small_hotel.agent)
    assert (seen.staff_seen_at, seen.staff_seen_by, seen.version) == (NOW, small_hotel.agent, 1)
    assert published_events() == [("room-bookings", "booking_updated")]
    with nothing_written():
        assert mark_seen(booking=booking, staff=small_hotel.manager).staff_seen_by == small_hotel.agent


def test_companions_are_replaced_and_published(small_hotel):
    booking = booked(small_hotel, adults=3)
    BookingGuest.objects.create(booking=booking, first_name="Old", last_name="Friend")
    party = [
        {"first_name": "Charles", "last_name": "Babbage", "email": "c@example.com", "phone": "+44 1"},
        {"first_name": "Mary", "last_name": "Somerville"},
    ]
    since = last_event()
    changed = set_companions(booking=booking, companions=party)
    assert [(person["first_name"], person["email"]) for person in changed.party] == [
        ("Charles", "c@example.com"),
        ("Mary", ""),
    ]
    assert changed.version == 1
    assert published_events(since) == [("room-bookings", "booking_party_updated")]
    with nothing_written():
        set_companions(booking=booking, companions=party)
    set_companions(booking=booking, companions=party[::-1])
    assert list(booking.companions.values_list("first_name", flat=True)) == ["Mary", "Charles"]
    assert set_companions(booking=booking, companions=[]).party == []


def test_rooms_of_another_type_do_not_make_a_night_free(small_hotel):
    booking = booked(small_hotel)
    NewRoomFactory(hotel=small_hotel.hotel)
    for _ in small_hotel.rooms:
        booked(small_hotel, 4, 5)
    assert refusal_of(lambda: edit_booking(booking=booking, staff=small_hotel.agent, check_out=day(5))).code == (
        "NO_AVAILABILITY"
    )
