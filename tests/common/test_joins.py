"""Joining rows of Python values to a table."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db.models import DateField, DateTimeField, F

from common.joins import join_rows
from room_bookings.models import RoomBooking
from tests.factories import BookingFactory, HotelFactory

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 3, 10, 12, 0, 0, 1, tzinfo=UTC)


def arriving(days):
    """Bookings that arrive on their hotel's day of ``days``, made before ``MOMENT``."""
    rows = [{"hotel": hotel.pk, "day": day, "moment": MOMENT} for hotel, day in days.items()]
    columns = {"day": DateField(), "moment": DateTimeField()}
    return join_rows(RoomBooking.objects.all(), rows, on="hotel", columns=columns).filter(
        check_in=F("day"), created_at__lt=F("moment")
    )


@pytest.fixture
def booking():
    return BookingFactory(check_in=date(2026, 3, 10), created_at=MOMENT - timedelta(microseconds=1))


def test_each_row_is_joined_to_its_hotel(booking, django_assert_num_queries):
    elsewhere = HotelFactory()
    with django_assert_num_queries(1):
        assert list(arriving({elsewhere: date(2026, 3, 10), booking.hotel: date(2026, 3, 10)})) == [booking]
    assert not arriving({elsewhere: date(2026, 3, 10)}).exists()
    assert not arriving({booking.hotel: date(2026, 3, 11)}).exists()
    assert not arriving({}).exists()
    RoomBooking.objects.update(created_at=MOMENT)
    assert not arriving({booking.hotel: date(2026, 3, 10)}).exists()


def test_the_result_is_an_ordinary_queryset(booking):
    found = arriving({booking.hotel: booking.check_in})
    assert found.count() == 1
    assert list(RoomBooking.objects.filter(pk__in=found.values("pk"))) == [booking]
    assert found.filter(room_type__hotel=booking.hotel).select_related("assigned_room").order_by("-pk").get() == booking
    assert list(found.annotate(theirs=F("day")).values_list("pk", "theirs")) == [(booking.pk, date(2026, 3, 10))]
    assert not hasattr(found.get(), "day")
