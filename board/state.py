"""The board's state: everything the page needs to show the hotel's current rooms, stays and tasks."""

import functools
from datetime import date
from typing import Any

from django.db.models import Q

from common import clock
from common.formats import iso
from hotel import calendar
from hotel.models import Hotel, Staff
from housekeeping.models import OPEN_TASK_STATUSES
from housekeeping.policy import OVERRIDE, status_transitions
from housekeeping.selectors import task_list
from housekeeping.snapshots import task_snapshot
from notifications import transport
from notifications.catch_up import latest_seqs
from notifications.models import BOOKINGS
from notifications.views import LISTENERS
from room_bookings.models import BookingStatus, RoomBooking
from room_bookings.overrides import SUPERVISE
from room_bookings.selectors import arriving
from room_bookings.snapshots import guest_name
from rooms.models import RoomStatus
from rooms.rows import rooms_in_service
from rooms.snapshots import room_snapshot, type_snapshot


def board_state(staff: Staff) -> dict[str, Any]:
    """The hotel of ``staff`` as they may see it, JSON-safe; guest names and booking references need a bookings right.

    Four statements: stream numbers, rooms, stays, tasks. The numbers come first: a change committed between them and
    the rooms has a higher number, so that a client that continues from there misses nothing.
    """
    hotel = staff.hotel
    allowed_streams = {stream: any(staff.can(right) for right in rights) for stream, rights in LISTENERS.items()}
    sees_bookings = allowed_streams[BOOKINGS]
    latest = latest_seqs(hotel)
    rooms, of_type = list(rooms_in_service(hotel)), functools.cache(type_snapshot)
    now = clock.now()
    today = calendar.business_date(hotel, now)
    arrivals, departures = _stays(hotel, today, sees_bookings=sees_bookings)
    return {
        "hotel": {
            "slug": hotel.slug,
            "name": hotel.name,
            "timezone": hotel.timezone,
            "business_date": today.isoformat(),
            "business_day_ends": iso(calendar.business_day(hotel, today)[1]),
        },
        "now": iso(now),
        "me": _me(staff, sees_bookings=sees_bookings),
        "statuses": [{"value": value, "label": label} for value, label in RoomStatus.choices],
        "rooms": [room_snapshot(room, guests=sees_bookings, of_type=of_type) for room in rooms],
        "arrivals": arrivals,
        "departures": departures,
        "my_tasks": [
            task_snapshot(task, now) | ({} if sees_bookings else {"booking": None})
            for task in task_list(hotel).filter(assigned_to=staff, status__in=OPEN_TASK_STATUSES)
        ],
        "seq": {stream: latest[stream] if allowed else None for stream, allowed in allowed_streams.items()},
        "realtime": transport.listener_settings(),
    }


def _me(staff: Staff, *, sees_bookings: bool) -> dict[str, Any]:
    return {
        "id": staff.pk,
        "name": staff.name,
        "sees_bookings": sees_bookings,
        "may": {
            "history": staff.can("housekeeping.status_history_read"),
            "flag": staff.can("rooms.maintenance_flag"),
            "clear": staff.can("rooms.maintenance_clear"),
        },
        "overrides": [right for right in (OVERRIDE, SUPERVISE) if staff.can(right)],
        "status_transitions": status_transitions(staff),
    }


def _stays(hotel: Hotel, today: date, *, sees_bookings: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Guests due in today or late, and in-house guests due out by today; the page sorts them."""
    leaving = Q(status=BookingStatus.IN_HOUSE, check_out__lte=today)
    stays = RoomBooking.objects.filter(arriving(today) | leaving, hotel=hotel).select_related(
        "room_type", "assigned_room"
    )
    if not sees_bookings:
        stays = stays.filter(assigned_room__isnull=False)
    arrivals: list[dict[str, Any]] = []
    departures: list[dict[str, Any]] = []
    for stay in stays.order_by("pk"):
        column = arrivals if stay.status == BookingStatus.CONFIRMED else departures
        column.append(_stay(stay, hotel, today, sees_bookings=sees_bookings))
    return arrivals, departures


def _stay(stay: RoomBooking, hotel: Hotel, today: date, *, sees_bookings: bool) -> dict[str, Any]:
    in_house = stay.status == BookingStatus.IN_HOUSE
    return {
        "booking_id": stay.booking_id if sees_bookings else None,
        "guest_name": guest_name(stay) if sees_bookings else None,
        "room_number": stay.assigned_room.room_number if stay.assigned_room else None,
        "room_type_name": stay.room_type.name,
        "check_in": stay.check_in.isoformat(),
        "check_out": stay.check_out.isoformat(),
        "status": str(stay.status),
        "is_late_arrival": not in_house and calendar.is_late_arrival(stay.check_in, stay.check_out, today),
        "is_overdue": in_house and calendar.is_overdue(hotel, stay.check_in, stay.check_out),
    }
