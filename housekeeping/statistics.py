"""Turnover statistics of a hotel, from its rooms and the audit log of their statuses."""

from collections import Counter
from datetime import datetime, time, timedelta
from typing import Any

from django.db import connection

from common import clock
from common.formats import iso
from hotel import calendar
from hotel.models import Hotel
from rooms.models import Priority, Room, RoomStatus

# Turns that began longer than this before the window are ignored.
LONGEST_TURN = timedelta(days=7)

# A turn runs from the first CHECKOUT_DIRTY to the next READY_FOR_GUEST; a failed inspection does not restart it.
TURNS = """
    WITH counted AS (
        SELECT room_id, to_status, created_at,
               count(*) FILTER (WHERE to_status = 'READY_FOR_GUEST')
                   OVER (PARTITION BY room_id ORDER BY version ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS turn
        FROM housekeeping_roomstatusevent
        WHERE hotel_id = %(hotel)s AND created_at >= %(earliest)s
    ), turns AS (
        SELECT max(created_at) FILTER (WHERE to_status = 'READY_FOR_GUEST') AS ready_at,
               extract(epoch FROM max(created_at) FILTER (WHERE to_status = 'READY_FOR_GUEST')
                                - min(created_at) FILTER (WHERE to_status = 'CHECKOUT_DIRTY')) / 60 AS minutes
        FROM counted GROUP BY room_id, turn
    )
"""
SINCE = """
    SELECT count(minutes) FILTER (WHERE ready_at >= since),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY minutes) FILTER (WHERE ready_at >= since),
           percentile_cont(0.9) WITHIN GROUP (ORDER BY minutes) FILTER (WHERE ready_at >= since)
    FROM unnest(%(windows)s::timestamptz[]) WITH ORDINALITY AS windows(since, place)
         LEFT JOIN turns ON minutes IS NOT NULL
    GROUP BY place ORDER BY place
"""
# A turn counts on the day it ended: a room that was dirty overnight counts on the day it became ready.
BY_DAY = """
    SELECT count(minutes),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY minutes),
           percentile_cont(0.9) WITHIN GROUP (ORDER BY minutes)
    FROM unnest(%(windows)s::timestamptz[], %(ends)s::timestamptz[]) WITH ORDINALITY AS days(since, until, place)
         LEFT JOIN turns ON minutes IS NOT NULL AND ready_at >= since AND ready_at < until
    GROUP BY place ORDER BY place
"""


def turn_times(hotel: Hotel, since: list[datetime]) -> list[dict[str, Any]]:
    """For each moment, the number of turns since then and their minutes (p50 and p90, null if there were none)."""
    return _turn_times(SINCE, hotel, since)


def turn_times_by_day(hotel: Hotel, days: int = 30) -> list[dict[str, Any]]:
    """For each of the hotel's last ``days`` calendar days, today last: the ``date``, the ``count`` of turns that ended
    on it, and their minutes (p50 and p90, null if there were none). One statement."""
    today = calendar.last_day(hotel, time.min, clock.now())
    dates = [today - timedelta(days=ago) for ago in reversed(range(days))]
    midnights = [calendar.at(hotel, day, time.min) for day in [*dates, today + timedelta(days=1)]]
    times = _turn_times(BY_DAY, hotel, midnights[:-1], ends=midnights[1:])
    return [{"date": day, **figures} for day, figures in zip(dates, times, strict=True)]


def _turn_times(figures: str, hotel: Hotel, windows: list[datetime], **more: Any) -> list[dict[str, Any]]:
    earliest = min(windows) - LONGEST_TURN
    with connection.cursor() as cursor:
        cursor.execute(TURNS + figures, {"hotel": hotel.pk, "windows": windows, "earliest": earliest, **more})
        rows = cursor.fetchall()
    return [{"count": count, "p50_minutes": _minutes(p50), "p90_minutes": _minutes(p90)} for count, p50, p90 in rows]


def turnover_stats(hotel: Hotel) -> dict[str, Any]:
    """Counts by status, bookable rooms, open faults, turn times and each room's time in status, for rooms in service.

    Two statements.
    """
    now = clock.now()
    midnight = calendar.at(hotel, calendar.last_day(hotel, time.min, now), time.min)
    rooms = list(Room.objects.filter(hotel=hotel, is_active=True).order_by("sort_key"))
    by_status = Counter(room.room_status for room in rooms)
    faults = Counter(room.maintenance_priority for room in rooms if room.maintenance_required)
    today, month = turn_times(hotel, [midnight, now - timedelta(days=30)])
    return {
        "counts": {status: by_status[status] for status in RoomStatus.values},
        "total_rooms": len(rooms),
        "bookable": sum(room.is_bookable for room in rooms),
        "maintenance": {priority: faults[priority] for priority in Priority.values},
        "turn_times": {"today": today, "last_30_days": month},
        "time_in_status": [
            {
                "room_id": room.pk,
                "room_number": room.room_number,
                "room_status": str(room.room_status),
                "since": iso(room.status_changed_at),
                "minutes": max(0, int((now - room.status_changed_at).total_seconds() // 60)),
            }
            for room in rooms
        ],
    }


def _minutes(value: Any) -> float | None:
    return None if value is None else round(float(value), 1)
