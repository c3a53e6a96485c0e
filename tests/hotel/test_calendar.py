"""The hotel's calendar in every timezone: days follow each other across clock changes."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from common import clock
from hotel import calendar
from hotel.models import Hotel
from housekeeping.statistics import turn_times_by_day
from operations import invariants
from room_bookings.models import RoomBooking
from room_bookings.selectors import overdue
from tests.factories import HotelFactory, NewRoomFactory, booking_in

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
# Half an hour of summer time · a day left out · two hours of it · none in Ramadan · the clock goes back over midnight.
ODD = {
    "Australia/Lord_Howe": [datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)],
    "Pacific/Apia": [datetime(2011, 12, 30, 10, tzinfo=UTC)],
    "Antarctica/Troll": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "Africa/Casablanca": [datetime(2026, 2, 15, 2, tzinfo=UTC), datetime(2026, 3, 22, 2, tzinfo=UTC)],
    "America/St_Johns": [datetime(2006, 10, 29, 2, 31, tzinfo=UTC)],
    "Europe/Dublin": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
}
zones = st.one_of(st.sampled_from(sorted(ODD)), st.sampled_from(sorted(available_timezones())))
times = st.one_of(
    st.sampled_from([time(hour, minute) for hour in range(5) for minute in (0, 15, 30)]), st.times(max_value=time(12))
)
moments = st.integers(0, 110 * 366 * 24 * 60).map(lambda minutes: datetime(1950, 1, 1, tzinfo=UTC) + minutes * MINUTE)


@st.composite
def hotels_and_moments(draw):
    """A hotel with any business day, and a moment, mostly near a clock change."""
    zone = draw(zones)
    near = [change + draw(st.timedeltas(-30 * 60 * MINUTE, 30 * 60 * MINUTE)) for change in ODD.get(zone, [])]
    return Hotel(timezone=zone, late_arrival_cutoff=draw(times)), draw(st.sampled_from(near) if near else moments)


@settings(max_examples=400, deadline=None)
@given(hotels_and_moments(), st.timedeltas(timedelta(0), 3 * DAY))
def test_the_business_date_never_runs_backwards(hotel_and_moment, span):
    hotel, moment = hotel_and_moment
    assert calendar.business_date(hotel, moment) <= calendar.business_date(hotel, moment + span)


@settings(max_examples=400, deadline=None)
@given(hotels_and_moments(), st.integers(-2, 2))
def test_a_business_day_contains_exactly_the_moments_of_its_date(hotel_and_moment, days):
    hotel, moment = hotel_and_moment
    of_moment = calendar.business_date(hotel, moment)
    day = of_moment + days * DAY
    begins, ends = calendar.business_day(hotel, day)
    assert (begins <= moment < ends) == (day == of_moment)
    # Also at its edges. (A skipped day has none.)
    if begins < ends:
        assert calendar.business_date(hotel, begins) == day
        assert calendar.business_date(hotel, ends - timedelta.resolution) == day
    assert calendar.business_date(hotel, begins - timedelta.resolution) < day


@pytest.mark.parametrize("zone", ODD)
def test_every_minute_of_nights_with_a_clock_change(zone):
    for change in ODD[zone]:
        for cutoff in (time(0), time(0, 1), time(1, 30), time(2), time(2, 15), time(2, 30), time(12)):
            hotel = Hotel(timezone=zone, late_arrival_cutoff=cutoff)
            dates = [calendar.business_date(hotel, change + minute * MINUTE) for minute in range(-1600, 1600, 5)]
            assert dates == sorted(dates)
            for day in set(dates):
                assert calendar.business_day(hotel, day)[1] == calendar.business_day(hotel, day + DAY)[0]


def test_a_cutoff_that_occurs_twice_ends_the_day_once():
    """2:30 occurs twice; the day that began at the first is not over at the second."""
    hotel = Hotel(timezone="Europe/Berlin", late_arrival_cutoff=time(2, 30))
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert first.astimezone(ZoneInfo("Europe/Berlin")).time() == time(2, 30)
    seen = [calendar.business_date(hotel, first + minutes * MINUTE).day for minutes in (-1, 0, 29, 30, 59, 60, 61)]
    assert seen == [24, 25, 25, 25, 25, 25, 25]


def test_a_skipped_cutoff_ends_the_day_an_hour_later_on_the_clock():
    hotel = Hotel(timezone="Europe/Berlin", late_arrival_cutoff=time(2, 30))
    begins, _ = calendar.business_day(hotel, date(2026, 3, 29))
    assert begins == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # half past three
    assert calendar.business_date(hotel, begins - MINUTE) == date(2026, 3, 28)
    assert calendar.business_date(hotel, begins) == date(2026, 3, 29)


@pytest.mark.django_db
def test_the_last_chart_day_has_begun(hotel):
    """In St. John's the clock went back over midnight, at 00:01."""
    Hotel.objects.filter(pk=hotel.pk).update(timezone="America/St_Johns")
    hotel.refresh_from_db()
    with clock.set_to(ODD["America/St_Johns"][0] + 5 * MINUTE):
        assert calendar.local_now(hotel).date() == date(2006, 10, 28)
        assert [day["date"].day for day in turn_times_by_day(hotel, 2)] == [28, 29]


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ODD)
def test_the_invariants_sql_has_the_same_business_day(zone):
    """The invariants have their own implementation."""
    cutoffs = (time(0), time(0, 15), time(1, 15), time(1, 30), time(2), time(2, 15), time(2, 30), time(12))
    hotels = {
        cutoff: HotelFactory(timezone=zone, late_arrival_cutoff=cutoff, early_checkin_from=cutoff) for cutoff in cutoffs
    }
    for change in ODD[zone]:
        for minutes in (-1500, -720, *range(-120, 121, 15), 720, 1500):
            moment = change + minutes * MINUTE
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT id, today FROM ({invariants.TODAY}) hotel", {"now": moment})
                found = dict(cursor.fetchall())
            assert found == {hotel.pk: calendar.business_date(hotel, moment) for hotel in hotels.values()}, minutes


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ODD)
@pytest.mark.parametrize("checkout", [time(0), time(0, 30), time(11)])
def test_overdue_in_sql_agrees_with_python(hotel, zone, checkout):
    Hotel.objects.filter(pk=hotel.pk).update(timezone=zone, standard_checkout_time=checkout)
    hotel.refresh_from_db()
    for change in ODD[zone]:
        for minutes in (-600, -90, -29, 0, 1, 31, 61, 95, 600):
            with clock.set_to(change + minutes * MINUTE):
                today = calendar.business_date(hotel)
                if not RoomBooking.objects.exists():
                    for nights in (0, 1):
                        for ago in (-1, 0, 1, 2):
                            out = today - ago * DAY
                            room = NewRoomFactory(hotel=hotel)
                            booking_in("IN_HOUSE", assigned_room=room, check_in=out - nights * DAY, check_out=out)
                stays = RoomBooking.objects.filter(status="IN_HOUSE")
                by_hand = {stay for stay in stays if calendar.is_overdue(hotel, stay.check_in, stay.check_out)}
                assert set(stays.filter(overdue(hotel))) == by_hand, minutes
