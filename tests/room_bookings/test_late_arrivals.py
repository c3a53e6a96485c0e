"""Late arrivals: listed among today's arrivals, and marked, as long as they can be checked in."""

from datetime import UTC, datetime, time, timedelta

import pytest

from common import clock
from hotel import calendar
from notifications.models import BOOKINGS, RealtimeEvent
from room_bookings.models import RoomBooking
from room_bookings.selectors import arriving, booking_read
from room_bookings.services.check_in import check_in_rooms
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.room_assignment import unassign_room
from room_bookings.snapshots import booking_detail, booking_row
from tests.conftest import url
from tests.factories import BookingFactory, NewRoomFactory, booking_in
from tests.room_bookings.small_hotel import (
    NOW,
    SmallHotel,
    assert_invariants_hold,
    day,
    nothing_written,
    open_small_hotel,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now():
    with clock.set_to(NOW):
        yield


def stay(small_hotel: SmallHotel, first: int, last: int, status: str = "CONFIRMED", **fields) -> RoomBooking:
    """A booking from ``first`` to ``last`` days after today."""
    fields = {
        "hotel": small_hotel.hotel,
        "room_type": small_hotel.room_type,
        "check_in": day(first),
        "check_out": day(last),
    } | fields
    return booking_in(status, **fields)


def row_of(booking: RoomBooking) -> dict:
    return booking_row(booking_read(booking.pk))


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "cutoff", "around"),
    [
        ("Europe/Dublin", time(2), datetime(2026, 7, 1, 1, 0, tzinfo=UTC)),
        ("Europe/Dublin", time(2), datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),  # the clocks go forward
        ("Europe/Dublin", time(2), datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),  # the clocks go back
        ("America/New_York", time(1, 30), datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),  # at half past one, twice
        ("Pacific/Auckland", time(2), datetime(2026, 7, 1, 14, 0, tzinfo=UTC)),
    ],
)
def test_the_database_and_python_agree_with_the_arrival_window(zone, cutoff, around):
    """Stays of every length, at each second around the end of a business day."""
    small_hotel = open_small_hotel(timezone=zone, late_arrival_cutoff=cutoff)
    first = around.date() - timedelta(days=4)
    for arrival in range(8):
        for nights in range(4):
            check_in = first + timedelta(days=arrival)
            of = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
            BookingFactory(**of, check_in=check_in, check_out=check_in + timedelta(days=nights))
    for seconds in (-86_400, -1, 0, 1, 3_600, 43_200):
        with clock.set_to(around + timedelta(seconds=seconds)):
            today = calendar.business_date(small_hotel.hotel)
            found = set(RoomBooking.objects.filter(arriving(today)).values_list("pk", flat=True))
            late = 0
            for booking in RoomBooking.objects.select_related("hotel"):
                closes = calendar.arrival_window(small_hotel.hotel, booking.check_in, booking.check_out)[1]
                is_late = booking.check_in < today and clock.now() < closes
                late += is_late
                dates = (booking.check_in, booking.check_out, today)
                assert calendar.is_late_arrival(*dates) == is_late, dates
                assert calendar.arrives_on(*dates) == (is_late or booking.check_in == today), dates
                assert (booking.pk in found) == calendar.arrives_on(*dates), dates
            assert late == 3  # of two nights since yesterday, of three since yesterday and the day before


# --- the list ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ask(small_hotel, api):
    """``ask(bucket="arrivals")`` returns the references in the list, and the bucket's count."""
    client = api(small_hotel.agent)

    def references(**query: str):
        body = client.get(url(small_hotel.agent, "room-bookings/"), {"ordering": "check_in", **query}).json()
        assert body["count"] == body["bucket_counts"][query["bucket"]] == len(body["results"])
        return [row["booking_id"] for row in body["results"]]

    return references


def test_a_late_guest_is_among_the_arrivals_until_the_last_night_is_over(small_hotel, ask):
    late, today = stay(small_hotel, -1, 1), stay(small_hotel, 0, 1)
    stay(small_hotel, -2, 0)  # their last night is over
    stay(small_hotel, -1, -1)  # a day use of yesterday
    for status in ("IN_HOUSE", "CANCELLED", "NO_SHOW", "PENDING_APPROVAL"):
        fields = {"assigned_room": NewRoomFactory(hotel=small_hotel.hotel)} if status == "IN_HOUSE" else {}
        stay(small_hotel, -1, 1, status, **fields)
    with clock.set_to(datetime(2026, 7, 2, 0, 59, 59, tzinfo=UTC)):  # a second before two in Dublin
        assert ask(bucket="arrivals") == [late.booking_id, today.booking_id]
    with clock.set_to(datetime(2026, 7, 2, 1, 0, tzinfo=UTC)):
        assert ask(bucket="arrivals") == []


def test_requested_days_include_late_guests_only_with_today(small_hotel, ask):
    """A stay arrives on its first day; today also has the earlier ones that can still be checked in."""
    older, late, today, tomorrow = (stay(small_hotel, first, 2) for first in (-3, -1, 0, 1))
    came = {name: booking.booking_id for name, booking in locals().items() if isinstance(booking, RoomBooking)}
    expected = {
        (0, 0): ["older", "late", "today"],  # as without days
        (0, 1): ["older", "late", "today", "tomorrow"],
        (0, None): ["older", "late", "today", "tomorrow"],
        (None, 0): ["older", "late", "today"],
        (-1, -1): ["late"],
        (-3, -1): ["older", "late"],
        (-2, -2): [],
        (1, 1): ["tomorrow"],
        (1, None): ["tomorrow"],
        (None, -1): ["older", "late"],
    }
    for (first, last), names in expected.items():
        days = {"date_from": first, "date_to": last}
        query = {name: str(day(offset)) for name, offset in days.items() if offset is not None}
        assert ask(bucket="arrivals", **query) == [came[name] for name in names], query


def test_rows_mark_late_arrivals(small_hotel):
    cases = {(-1, 1): True, (-2, 1): True, (-1, 0): False, (-1, -1): False, (0, 1): False, (0, 0): False, (1, 2): False}
    for (first, last), is_late in cases.items():
        booking = stay(small_hotel, first, last)
        assert row_of(booking)["is_late_arrival"] is is_late, (first, last)
        detail = booking_detail(booking_read(booking.pk))
        assert detail["is_late_arrival"] is is_late
        if is_late:
            assert detail["flags"]["can_check_in"] is True


@pytest.mark.parametrize("status", ["PENDING_APPROVAL", "IN_HOUSE", "COMPLETED", "CANCELLED", "NO_SHOW", "EXPIRED"])
def test_only_a_confirmed_guest_is_late(small_hotel, status):
    fields = {"assigned_room": NewRoomFactory(hotel=small_hotel.hotel)} if status == "IN_HOUSE" else {}
    assert row_of(stay(small_hotel, -1, 2, status, **fields))["is_late_arrival"] is False


def test_events_mark_late_arrivals(small_hotel):
    booking = stay(small_hotel, -1, 1, assigned_room=small_hotel.rooms[0])
    unassign_room(booking=booking, staff=small_hotel.agent)
    event = RealtimeEvent.objects.filter(stream=BOOKINGS).latest("pk")
    assert event.envelope["payload"]["is_late_arrival"] is True


# --- actions ----------------------------------------------------------------------------------------------------------


def test_bulk_check_in_includes_late_arrivals(small_hotel):
    late, today = (
        stay(small_hotel, -2, 1, assigned_room=small_hotel.rooms[0]),
        stay(small_hotel, 0, 1, assigned_room=small_hotel.rooms[1]),
    )
    over = NewRoomFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type)
    stay(small_hotel, -1, 0, assigned_room=over)
    wanted = [*(room.pk for room in small_hotel.rooms), over.pk]
    done = check_in_rooms(hotel=small_hotel.hotel, room_ids=wanted, staff=small_hotel.agent)
    assert done.bookings == [late, today]
    assert [(room_id, refusal.code) for room_id, refusal in done.failed] == [(over.pk, "NO_ARRIVAL_DUE")]
    assert_invariants_hold()


def test_bulk_check_in_takes_the_booking_with_a_night_today(small_hotel):
    """Of three bookings of one room, the past one and tomorrow's are left alone."""
    room = small_hotel.rooms[0]
    stay(small_hotel, -2, 0, assigned_room=room)
    late = stay(small_hotel, 0, 2, assigned_room=room)
    stay(small_hotel, 2, 3, assigned_room=room)
    with clock.set_to(NOW + timedelta(days=1)):
        assert check_in_rooms(hotel=small_hotel.hotel, room_ids=[room.pk], staff=small_hotel.agent).bookings == [late]


def test_late_arrival_can_be_marked_as_a_no_show(small_hotel):
    late = stay(small_hotel, -1, 1, assigned_room=small_hotel.rooms[0])
    assert mark_no_show(booking=late, staff=small_hotel.agent).status == "NO_SHOW"
    assert row_of(late)["is_late_arrival"] is False
    with nothing_written():
        [(_, refusal)] = check_in_rooms(
            hotel=small_hotel.hotel, room_ids=[small_hotel.rooms[0].pk], staff=small_hotel.agent
        ).failed
    assert refusal.code == "NO_ARRIVAL_DUE"
