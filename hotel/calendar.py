"""The hotel's calendar: its local time, business date and deadlines. Every rule about time goes through here."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from common import clock
from hotel.models import Hotel


def local_now(hotel: Hotel) -> datetime:
    """The current time in the hotel's timezone (aware)."""
    return local_time(hotel, clock.now())


def local_time(hotel: Hotel, moment: datetime) -> datetime:
    """``moment`` in the hotel's timezone (aware)."""
    return moment.astimezone(ZoneInfo(hotel.timezone))


def has_clock(hotel: Hotel) -> bool:
    """Whether this machine knows the hotel's timezone; if not, everything else here raises for that hotel."""
    try:
        ZoneInfo(hotel.timezone)
    except (KeyError, ValueError, OSError):  # what zoneinfo raises for an unknown zone
        return False
    return True


def at(hotel: Hotel, day: date, when: time) -> datetime:
    """The moment (UTC) at which the hotel's local time is ``when`` on ``day``.

    Of a time that occurs twice (the clock goes back) it is the first; a skipped time is read as an hour later.
    """
    return datetime.combine(day, when, tzinfo=ZoneInfo(hotel.timezone)).astimezone(ZoneInfo("UTC"))


def last_day(hotel: Hotel, when: time, moment: datetime) -> date:
    """The last day on which ``when`` (local time) has passed by ``moment``.

    It never goes back as ``moment`` advances, even where the clock goes back or a day is skipped.
    """
    day = local_time(hotel, moment).date()
    while at(hotel, day, when) > moment:
        day -= timedelta(days=1)
    while at(hotel, day + timedelta(days=1), when) <= moment:
        day += timedelta(days=1)
    return day


def business_date(hotel: Hotel, moment: datetime | None = None) -> date:
    """The business date at ``moment``. It changes at ``late_arrival_cutoff``, so a night belongs to its evening."""
    return last_day(hotel, hotel.late_arrival_cutoff, moment or clock.now())


def business_day(hotel: Hotel, day: date) -> tuple[datetime, datetime]:
    """The moments at which the business day ``day`` begins and ends (exclusive)."""
    cutoff = hotel.late_arrival_cutoff
    return at(hotel, day, cutoff), at(hotel, day + timedelta(days=1), cutoff)


def first_free_day(check_in: date, check_out: date) -> date:
    """The first day that a stay leaves free: the departure date or, for a day use, the day after."""
    return max(check_out, check_in + timedelta(days=1))


def arrival_window(hotel: Hotel, check_in: date, check_out: date) -> tuple[datetime, datetime]:
    """When the guest of a stay may arrive: from, and until (exclusive) the end of the last night's business day."""
    opens = at(hotel, check_in, hotel.early_checkin_from)
    return opens, business_day(hotel, first_free_day(check_in, check_out))[0]


def is_late_arrival(check_in: date, check_out: date, today: date) -> bool:
    """Whether a guest was due before the business day ``today`` and may still arrive."""
    return check_in < today < first_free_day(check_in, check_out)


def arrives_on(check_in: date, check_out: date, today: date) -> bool:
    """Whether a guest is due on the business day ``today``, or is late and may still arrive."""
    return check_in == today or is_late_arrival(check_in, check_out, today)


def checkout_deadline(hotel: Hotel, check_in: date, check_out: date) -> datetime:
    """When the guest of a stay is due out, without the grace period. A day use has the room for the business day."""
    if check_in == check_out:
        return business_day(hotel, check_out)[1]
    return at(hotel, check_out, hotel.standard_checkout_time)


def is_overdue(hotel: Hotel, check_in: date, check_out: date) -> bool:
    """Whether a guest in house should have left by now: past the checkout deadline and its grace period."""
    grace = timedelta(minutes=hotel.late_checkout_grace_minutes)
    return clock.now() > checkout_deadline(hotel, check_in, check_out) + grace


def approval_deadline(hotel: Hotel, created_at: datetime) -> datetime:
    """The deadline for approving a request made at ``created_at``.

    The cutoff on the local date of the request plus the offset; the next day's if that has passed already.
    """
    day = local_time(hotel, created_at).date() + timedelta(days=hotel.approval_cutoff_day_offset)
    deadline = at(hotel, day, hotel.approval_cutoff_time)
    return deadline if deadline > created_at else at(hotel, day + timedelta(days=1), hotel.approval_cutoff_time)
