"""The hotel's own calendar: what day it is there, and when its deadlines fall. Every clock rule goes through here."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from common import clock
from hotel.models import Hotel


def local_now(hotel: Hotel) -> datetime:
    """The present moment on the hotel's wall clock (aware)."""
    return local_time(hotel, clock.now())


def local_time(hotel: Hotel, moment: datetime) -> datetime:
    """``moment`` on the hotel's wall clock (aware)."""
    return moment.astimezone(ZoneInfo(hotel.timezone))


def has_clock(hotel: Hotel) -> bool:
    """Whether the hotel's timezone is one that this machine knows; everything else here raises for a hotel without."""
    try:
        ZoneInfo(hotel.timezone)
    except (KeyError, ValueError, OSError):  # zoneinfo's ways to say that there is no such zone
        return False
    return True


def at(hotel: Hotel, day: date, when: time) -> datetime:
    """The moment at which the hotel's wall clock shows ``when`` on ``day``.

    A time that occurs twice (the clock goes back) is its first; one that is skipped is read as an hour later.
    """
    return datetime.combine(day, when, tzinfo=ZoneInfo(hotel.timezone)).astimezone(ZoneInfo("UTC"))


def last_day(hotel: Hotel, when: time, moment: datetime) -> date:
    """The last day on which the hotel's wall clock had shown ``when`` by ``moment``: never an earlier one at a later
    moment, also where the clock goes back or a day is left out."""
    day = local_time(hotel, moment).date()
    while at(hotel, day, when) > moment:
        day -= timedelta(days=1)
    while at(hotel, day + timedelta(days=1), when) <= moment:
        day += timedelta(days=1)
    return day


def business_date(hotel: Hotel, moment: datetime | None = None) -> date:
    """The business day at ``moment``: it begins at ``late_arrival_cutoff``, so that the night belongs to its
    evening."""
    return last_day(hotel, hotel.late_arrival_cutoff, moment or clock.now())


def business_day(hotel: Hotel, day: date) -> tuple[datetime, datetime]:
    """The moments at which the business day ``day`` begins and ends (exclusive): those of which it is the
    ``business_date``."""
    cutoff = hotel.late_arrival_cutoff
    return at(hotel, day, cutoff), at(hotel, day + timedelta(days=1), cutoff)


def first_free_day(check_in: date, check_out: date) -> date:
    """The first day that a stay leaves free: its departure's, or, of a day use, the next one."""
    return max(check_out, check_in + timedelta(days=1))


def arrival_window(hotel: Hotel, check_in: date, check_out: date) -> tuple[datetime, datetime]:
    """From when on a stay's guest may come, and until when (exclusive): the end of the last night's business day."""
    opens = at(hotel, check_in, hotel.early_checkin_from)
    return opens, business_day(hotel, first_free_day(check_in, check_out))[0]


def is_late_arrival(check_in: date, check_out: date, today: date) -> bool:
    """Whether, on the business day ``today``, a guest was due on an earlier one and may still come."""
    return check_in < today < first_free_day(check_in, check_out)


def arrives_on(check_in: date, check_out: date, today: date) -> bool:
    """Whether a guest is due on the business day ``today``, or late and may still come."""
    return check_in == today or is_late_arrival(check_in, check_out, today)


def checkout_deadline(hotel: Hotel, check_in: date, check_out: date) -> datetime:
    """When the guest of a stay is due out; the grace comes on top. A day use has the room for the business day."""
    if check_in == check_out:
        return business_day(hotel, check_out)[1]
    return at(hotel, check_out, hotel.standard_checkout_time)


def is_overdue(hotel: Hotel, check_in: date, check_out: date) -> bool:
    """Whether a guest in house should have left by now: past the checkout deadline and its grace."""
    grace = timedelta(minutes=hotel.late_checkout_grace_minutes)
    return clock.now() > checkout_deadline(hotel, check_in, check_out) + grace


def approval_deadline(hotel: Hotel, created_at: datetime) -> datetime:
    """Until when a request made at ``created_at`` is to be approved: the first cutoff after it, plus the day offset."""
    wall = local_time(hotel, created_at)
    day = wall.date() + timedelta(days=hotel.approval_cutoff_day_offset)
    deadline = at(hotel, day, hotel.approval_cutoff_time)
    return deadline if deadline > created_at else at(hotel, day + timedelta(days=1), hotel.approval_cutoff_time)
