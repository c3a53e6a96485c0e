"""The hotel's own calendar: what day it is there, and when its deadlines fall. Every clock rule goes through here."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from common import clock
from hotel.models import Hotel


def local_now(hotel: Hotel) -> datetime:
    """The present moment on the hotel's wall clock (aware)."""
    return clock.now().astimezone(ZoneInfo(hotel.timezone))


def local_time(hotel: Hotel, moment: datetime) -> datetime:
    """``moment`` on the hotel's wall clock (aware)."""
    return moment.astimezone(ZoneInfo(hotel.timezone))


def at(hotel: Hotel, day: date, when: time) -> datetime:
    """The moment at which the hotel's wall clock shows ``when`` on ``day``.

    A time that occurs twice (the clock goes back) is its first; one that is skipped is read as an hour later.
    """
    return datetime.combine(day, when, tzinfo=ZoneInfo(hotel.timezone)).astimezone(ZoneInfo("UTC"))


def business_date(hotel: Hotel, moment: datetime | None = None) -> date:
    """The hotel's business day: local time minus ``late_arrival_cutoff``, so that the night belongs to its evening."""
    wall = local_time(hotel, moment or clock.now()).replace(tzinfo=None)
    cutoff = hotel.late_arrival_cutoff
    return (wall - timedelta(hours=cutoff.hour, minutes=cutoff.minute, seconds=cutoff.second)).date()


def business_day(hotel: Hotel, first: date, last: date | None = None) -> tuple[datetime, datetime]:
    """The moments at which the business day ``first`` (to ``last``, both included) begins and ends (exclusive)."""
    cutoff = hotel.late_arrival_cutoff
    return at(hotel, first, cutoff), at(hotel, (last or first) + timedelta(days=1), cutoff)


def checkout_deadline(hotel: Hotel, check_out: date) -> datetime:
    """When a guest who leaves on ``check_out`` is due out; the grace comes on top."""
    return at(hotel, check_out, hotel.standard_checkout_time)


def overstay_begins(hotel: Hotel, check_out: date) -> datetime:
    """When the grace after the checkout deadline is over."""
    return checkout_deadline(hotel, check_out) + timedelta(minutes=hotel.late_checkout_grace_minutes)


def approval_deadline(hotel: Hotel, created_at: datetime) -> datetime:
    """Until when a request made at ``created_at`` is to be approved: the first cutoff after it, plus the day offset."""
    wall = local_time(hotel, created_at)
    day = wall.date() + timedelta(days=hotel.approval_cutoff_day_offset)
    deadline = at(hotel, day, hotel.approval_cutoff_time)
    return deadline if deadline > created_at else at(hotel, day + timedelta(days=1), hotel.approval_cutoff_time)
