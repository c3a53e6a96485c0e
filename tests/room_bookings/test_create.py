"""New bookings: what is written and published, availability, booking references and guest tokens."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import clock
from hotel.calendar import approval_deadline
from room_bookings.inventory import NightsRequest, sold_out_nights
from room_bookings.models import BookingChange, ReferenceCounter, RoomBooking, hash_token
from room_bookings.services.create import create_booking
from rooms.models import RoomType
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, RoomTypeFactory, booking_in
from tests.room_bookings.small_hotel import (
    NOW,
    all_rows,
    assert_invariants_hold,
    day,
    locks_and_writes,
    published_events,
    queued_mails,
    refusal_of,
)

pytestmark = pytest.mark.django_db

ADA = {"primary_first_name": "Ada", "primary_last_name": "Lovelace", "primary_email": "ada@example.com"}


def create(small_hotel, first=0, last=2, **fields) -> RoomBooking:
    """A booking by the agent, from ``first`` to ``last`` days after today."""
    dates = {"check_in": day(first), "check_out": day(last)}
    known = {
        "hotel": small_hotel.hotel,
        "staff": small_hotel.agent,
        "room_type_id": small_hotel.room_type.pk,
        **ADA,
        **dates,
    }
    return create_booking(**known | fields)


def test_it_is_confirmed_recorded_and_published(small_hotel):
    party = [{"first_name": "Charles", "last_name": "Babbage", "email": "c@example.com", "phone": "1"}]
    RoomType.objects.update(max_occupancy=3)
    booking = create(
        small_hotel, adults=2, children=1, total_amount=Decimal("240.5"), special_requests="Quiet", party=party
    )
    stored = RoomBooking.objects.get(pk=booking.pk)
    assert (stored.booking_id, stored.status, stored.version) == ("BK-2026-0001", "CONFIRMED", 0)
    assert (stored.check_in, stored.check_out, stored.adults, stored.children) == (day(0), day(2), 2, 1)
    assert (stored.total_amount, stored.currency, stored.special_requests) == (Decimal("240.50"), "EUR", "Quiet")
    assert (stored.created_at, stored.updated_at, stored.approval_deadline_at) == (NOW, NOW, None)
    assert len(stored.confirmation_number) == 8
    assert [(guest.first_name, guest.email) for guest in stored.companions.all()] == [("Charles", "c@example.com")]
    [change] = BookingChange.objects.all()
    assert (change.action, change.from_status, change.to_status, change.staff) == (
        *("CREATED", "", "CONFIRMED"),
        small_hotel.agent,
    )
    assert published_events() == [("room-bookings", "booking_created")]
    [mail] = queued_mails()
    assert (mail.to, mail.subject) == (
        ["ada@example.com"],
        f"[{small_hotel.hotel.name}] Your booking BK-2026-0001 is confirmed",
    )
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("fields", "payment_state"),
    [
        ({"needs_approval": True}, ""),
        ({"payment_provider": "stripe", "payment_reference": "pi_1"}, "AUTHORISED"),
    ],
)
def test_booking_that_needs_approval_is_not_mailed(fields, payment_state, small_hotel):
    booking = create(small_hotel, **fields)
    assert (booking.status, booking.payment_state) == ("PENDING_APPROVAL", payment_state)
    assert booking.approval_deadline_at == datetime(2026, 7, 1, 22, 0, tzinfo=UTC)  # 23:00 in Dublin
    assert booking.confirmation_number == ""
    assert queued_mails() == []
    assert published_events() == [("room-bookings", "booking_created")]


@pytest.mark.parametrize(
    ("zone", "cutoff_offset", "made", "until"),
    [
        ("Europe/Dublin", 0, "2026-07-01T21:59:00Z", "2026-07-01T22:00:00Z"),
        ("Europe/Dublin", 0, "2026-07-01T22:00:00Z", "2026-07-02T22:00:00Z"),
        ("Europe/Dublin", 0, "2026-07-01T23:30:00Z", "2026-07-02T22:00:00Z"),  # 00:30 there
        ("Europe/Dublin", 1, "2026-07-01T12:00:00Z", "2026-07-02T22:00:00Z"),
        ("Europe/Dublin", 0, "2026-01-01T12:00:00Z", "2026-01-01T23:00:00Z"),
        ("Pacific/Auckland", 0, "2026-07-01T10:59:00Z", "2026-07-01T11:00:00Z"),
        ("Pacific/Auckland", 0, "2026-07-01T11:01:00Z", "2026-07-02T11:00:00Z"),
    ],
)
def test_approval_deadline(zone, cutoff_offset, made, until):
    hotel = HotelFactory.build(timezone=zone, approval_cutoff_day_offset=cutoff_offset)
    assert approval_deadline(hotel, datetime.fromisoformat(made)) == datetime.fromisoformat(until)


# --- references -------------------------------------------------------------------------------------------------------


def test_references_are_gapless_across_hotels(small_hotel):
    other = RoomTypeFactory()
    NewRoomFactory(hotel=other.hotel, room_type=other)
    first = create(small_hotel)
    refusal_of(lambda: create(small_hotel, 2, 1))
    refusal_of(lambda: create(small_hotel, room_type_id=other.pk))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        create(small_hotel)
        raise ZeroDivisionError
    second = create_booking(
        hotel=other.hotel, staff=None, room_type_id=other.pk, check_in=day(0), check_out=day(1), **ADA
    )
    assert (first.booking_id, second.booking_id) == ("BK-2026-0001", "BK-2026-0002")


@pytest.mark.parametrize(("last", "reference"), [(8, "0009"), (998, "0999"), (9998, "9999"), (9999, "10000")])
def test_a_reference_has_at_least_four_digits(last, reference, small_hotel):
    ReferenceCounter.objects.create(year=2026, last_number=last)
    assert create(small_hotel).booking_id == f"BK-2026-{reference}"


def test_year_of_a_reference_is_in_the_hotels_timezone():
    far = RoomTypeFactory(hotel__timezone="Pacific/Auckland")
    NewRoomFactory(hotel=far.hotel, room_type=far)
    with clock.set_to(datetime(2026, 12, 31, 11, 30, tzinfo=UTC)):
        booking = create_booking(
            **ADA,
            hotel=far.hotel,
            staff=None,
            room_type_id=far.pk,
            check_in=date(2027, 1, 1),
            check_out=date(2027, 1, 2),
        )
    assert booking.booking_id == "BK-2027-0001"


# --- the guest's token ------------------------------------------------------------------------------------------------


def test_guest_token_is_stored_only_as_a_hash(small_hotel):
    booking = create(small_hotel)
    token = booking.guest_token
    assert len(token) == 32
    assert RoomBooking.objects.get().guest_token_hash == hashlib.sha256(token.encode()).hexdigest() == hash_token(token)
    assert token not in str(all_rows())
    assert create(small_hotel).guest_token != token


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        (2, 1, "The departure can't be before the arrival."),
        (0, 366, "A stay has at most 365 nights."),
        (-3, -1, "This stay would already be over."),
    ],
)
def test_invalid_dates(first, last, why, small_hotel):
    refusal = refusal_of(lambda: create(small_hotel, first, last))
    assert (refusal.code, refusal.details) == ("VALIDATION_ERROR", {"check_out": [why]})


@pytest.mark.parametrize(("first", "last"), [(0, 0), (-1, 0), (0, 365)])
def test_valid_dates(first, last, small_hotel):
    assert create(small_hotel, first, last).status == "CONFIRMED"


def test_room_type_must_be_sold_by_the_hotel(small_hotel):
    inactive = RoomTypeFactory(hotel=small_hotel.hotel, is_active=False)
    foreign = RoomTypeFactory()
    for room_type_id in (inactive.pk, foreign.pk, 0):
        refusal = refusal_of(partial(create, small_hotel, room_type_id=room_type_id))
        assert refusal.details == {"room_type_id": ["This hotel does not sell this room type."]}


def test_payment_cannot_be_used_for_two_bookings(small_hotel):
    booking_in("PENDING_APPROVAL", card="AUTHORISED", hotel=small_hotel.hotel)
    taken = RoomBooking.objects.get().payment_reference
    refusal = refusal_of(lambda: create(small_hotel, payment_provider="stripe", payment_reference=taken))
    assert (refusal.code, refusal.status) == ("PAYMENT_REFERENCE_TAKEN", 409)


# --- availability -----------------------------------------------------------------------------------------------------

# Two rooms. The sold stays as (first, last) day; then a request, and its first night without a room.
AVAILABILITY = [
    ([], (0, 1), None),
    ([(0, 2)], (0, 2), None),
    ([(0, 2), (0, 2)], (0, 2), 0),
    ([(0, 2), (1, 3)], (0, 3), 1),
    ([(0, 1), (1, 2)], (0, 2), None),  # one departs as the other arrives: never two on a night
    ([(0, 2), (0, 1)], (1, 3), None),
    ([(0, 2), (0, 2)], (2, 4), None),  # the departure day is free again
    ([(2, 4), (2, 4)], (0, 2), None),
    ([(2, 4), (2, 4)], (0, 3), 2),
    ([(0, 9), (3, 4)], (0, 9), 3),
    ([(0, 0), (0, 0)], (0, 0), 0),  # day use holds its day
    ([(0, 0), (0, 0)], (0, 1), 0),
    ([(1, 1), (0, 2)], (0, 2), 1),
    ([(0, 0), (0, 0)], (1, 2), None),
    ([(0, 1), (0, 1)], (1, 1), None),
    ([(0, 2), (0, 2)], (1, 1), 1),
]


@pytest.mark.parametrize(("sold", "dates", "full"), AVAILABILITY)
def test_a_night_is_sold_once_per_room(sold, dates, full, small_hotel):
    for first, last in sold:
        BookingFactory(
            hotel=small_hotel.hotel, room_type=small_hotel.room_type, check_in=day(first), check_out=day(last)
        )
    if full is None:
        assert create(small_hotel, *dates).status == "CONFIRMED"
    else:
        refusal = refusal_of(lambda: create(small_hotel, *dates))
        assert (refusal.code, refusal.status) == ("NO_AVAILABILITY", 409)
        assert refusal.details == {"room_type_id": small_hotel.room_type.pk, "date": day(full).isoformat()}


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("PENDING_PAYMENT", False),
        ("PENDING_APPROVAL", False),
        ("CONFIRMED", True),
        ("COMPLETED", False),
        ("DECLINED", False),
        ("CANCELLED", False),
        ("CANCELLED_DRAFT", False),
        ("EXPIRED", False),
        ("NO_SHOW", False),
    ],
)
def test_statuses_that_count_as_sold(status, counts, small_hotel):
    for _ in small_hotel.rooms:
        booking_in(status, hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    if counts:
        assert refusal_of(lambda: create(small_hotel)).code == "NO_AVAILABILITY"
    else:
        assert create(small_hotel).status == "CONFIRMED"


def test_guest_in_house_counts_under_their_rooms_type(small_hotel):
    better = NewRoomFactory(hotel=small_hotel.hotel)
    for room in (small_hotel.rooms[0], better):
        booking_in("IN_HOUSE", assigned_room=room, room_type=small_hotel.room_type)
    assert refusal_of(lambda: create(small_hotel, room_type_id=better.room_type.pk)).code == "NO_AVAILABILITY"
    assert create(small_hotel).status == "CONFIRMED"
    assert refusal_of(lambda: create(small_hotel)).code == "NO_AVAILABILITY"


def test_a_room_out_of_service_is_not_sold(small_hotel):
    small_hotel.rooms[0].is_active = False
    small_hotel.rooms[0].save()
    create(small_hotel)
    assert refusal_of(lambda: create(small_hotel)).code == "NO_AVAILABILITY"


def test_hotel_that_allows_overbooking(small_hotel):
    small_hotel.hotel.allow_overbooking = True
    small_hotel.hotel.save()
    for _ in range(3):
        assert create(small_hotel).status == "CONFIRMED"


stays = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=7)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sold=stays, arrival=st.integers(0, 6), nights=st.integers(0, 4))
def test_first_full_night_matches_a_count_of_each_night(sold, arrival, nights, small_hotel):
    def taken(first: int, length: int) -> range:
        return range(first, first + max(length, 1))

    with transaction.atomic():
        RoomBooking.objects.bulk_create(
            BookingFactory.build(
                hotel=small_hotel.hotel,
                room_type=small_hotel.room_type,
                check_in=day(first),
                check_out=day(first + length),
            )
            for first, length in sold
        )
        counted = (day(night) for night in taken(arrival, nights) if sum(night in taken(*stay) for stay in sold) >= 2)
        first = next(counted, None)
        stay = NightsRequest(small_hotel.hotel, small_hotel.room_type.pk, day(arrival), day(arrival + max(nights, 1)))
        assert sold_out_nights([stay]) == [first]
        # Queried together with a longer stay, and with one of a type without rooms.
        none = RoomTypeFactory(hotel=small_hotel.hotel).pk
        asked = [
            NightsRequest(small_hotel.hotel, small_hotel.room_type.pk, day(-3), day(12)),
            stay,
            NightsRequest(small_hotel.hotel, none, day(2), day(3)),
        ]
        assert sold_out_nights(asked)[1:] == [first, day(2)]
        transaction.set_rollback(True)


def test_selling_a_night_locks_the_type_and_numbers_the_booking_last(small_hotel, statements):
    with statements() as made:
        create(small_hotel)
    assert locks_and_writes(made.sql()) == [
        "lock RoomType",
        "INSERT ReferenceCounter",
        "INSERT RoomBooking",
        "INSERT BookingChange",
        "INSERT RealtimeEvent",
        "UPDATE BookingMail",
        "INSERT BookingMail",
    ]


def test_past_dates_depend_on_the_hotels_local_time(small_hotel):
    with clock.set_to(NOW + timedelta(hours=11, minutes=59)):  # 02:59 in Dublin; the business day ended at two
        assert refusal_of(lambda: create(small_hotel, 0, 0)).code == "VALIDATION_ERROR"
    with clock.set_to(NOW + timedelta(hours=10, minutes=59)):  # 01:59
        assert create(small_hotel, 0, 0).status == "CONFIRMED"
