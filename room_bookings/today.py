"""Today's arrivals, departures, overdue guests and requests, for any number of hotels at once.

Each hotel has its own date. The dates are rows that the statements join, so that the SQL does not grow with the number
of hotels: PostgreSQL takes minutes to compile a condition for each of 500 hotels.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import DateField, DateTimeField, F, Q, QuerySet

from common import clock
from common.joins import join_rows
from hotel import calendar
from hotel.models import Hotel
from room_bookings.models import BookingStatus, RoomBooking
from room_bookings.selectors import arriving, departed, departed_since, late_arrivals
from rooms.selectors import bookable

logger = logging.getLogger(__name__)

_READY = bookable("assigned_room__")


_ARRIVING = arriving(F("today"))
_IN_HOUSE = Q(status=BookingStatus.IN_HOUSE)
_REQUEST = Q(status=BookingStatus.PENDING_APPROVAL)

# What staff have to handle today: name → condition on bookings from ``on_their_day``. The admin's list of bookings
# filters by the same conditions.
TODAY_FILTERS: dict[str, Q] = {
    "arrivals": _ARRIVING,
    "late_arrivals": late_arrivals(F("today")),
    "without_room": _ARRIVING & Q(assigned_room=None),
    "room_ready": _ARRIVING & _READY,
    "room_not_ready": _ARRIVING & Q(assigned_room__isnull=False) & ~_READY,
    "due_out": _IN_HOUSE & Q(check_out__lte=F("today")),
    "in_house": _IN_HOUSE,
    "overdue": _IN_HOUSE & departed(F("overdue_departure"), F("overdue_day_use")),
    "requests": _REQUEST,
    "late_requests": _REQUEST & Q(approval_deadline_at__lt=F("now")),
}


def on_their_day(bookings: QuerySet[RoomBooking], hotels: Iterable[Hotel]) -> QuerySet[RoomBooking]:
    """The bookings of ``hotels``, joined with their hotel's dates, which ``TODAY_FILTERS`` refer to; hotels whose date
    can't be determined are left out."""
    return dated(bookings, days_of(hotels))


def dated(bookings: QuerySet[RoomBooking], days: Sequence[Mapping[str, Any]]) -> QuerySet[RoomBooking]:
    dates = {name: DateField() for name in ("today", "overdue_departure", "overdue_day_use")}
    return join_rows(bookings, days, on="hotel", columns={"now": DateTimeField(), **dates})


def days_of(hotels: Iterable[Hotel]) -> list[dict[str, Any]]:
    """Each hotel's current dates. An error in one hotel, such as an unknown timezone, is logged and hides only that
    hotel."""
    now = clock.now()
    days = []
    found: dict[tuple[Any, ...], dict[str, Any]] = {}  # most hotels share their timezone and hours with others
    for hotel in hotels:
        grace = timedelta(minutes=hotel.late_checkout_grace_minutes)
        hours = (hotel.timezone, hotel.late_arrival_cutoff, hotel.standard_checkout_time, grace)
        try:
            if hours not in found:
                departure, day_use = departed_since(hotel, now - grace)
                today = calendar.business_date(hotel, now)
                found[hours] = {"today": today, "overdue_departure": departure, "overdue_day_use": day_use}
        except Exception as error:
            logger.exception("the date of hotel %s can't be determined: %s", hotel.slug, type(error).__name__)
            continue
        days.append({"hotel": hotel.pk, "now": now, **found[hours]})
    return days
