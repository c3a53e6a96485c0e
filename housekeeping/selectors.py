"""Queries for room status history, tasks and blocks."""

from collections.abc import Iterable
from datetime import date
from functools import reduce
from operator import or_

from django.db.models import F, Q, QuerySet

from common import clock
from hotel.models import Hotel
from housekeeping.models import OPEN_TASK_STATUSES, TASK_DUE, HousekeepingTask, RoomStatusEvent
from rooms.models import Room, RoomBlock, RoomBlockEvent


def latest_events(rooms: Iterable[Room]) -> dict[int, RoomStatusEvent]:
    """The audit row of each room's latest change, by room id; rooms that never changed are left out."""
    all_rooms = list(rooms)
    if not all_rooms:  # Django would build the whole statement before noticing
        return {}
    events = RoomStatusEvent.objects.filter(room__in=all_rooms, version=F("room__status_version"))
    return {event.room_id: event for event in events.select_related("changed_by__user")}


def status_event_list(room: Room) -> QuerySet[RoomStatusEvent]:
    """The room's history, newest first."""
    return RoomStatusEvent.objects.filter(room=room).select_related("changed_by__user").order_by("-version")


def task_list(hotel: Hotel) -> QuerySet[HousekeepingTask]:
    """The hotel's tasks, newest first, with the related rows that lists show."""
    return (
        HousekeepingTask.objects.filter(hotel=hotel)
        .select_related("room", "booking", "assigned_to__user", "created_by__user")
        .order_by("-created_at", "-pk")
    )


def block_list(hotel: Hotel) -> QuerySet[RoomBlock]:
    """The hotel's blocks, the latest first nights first, with the related rows that lists show."""
    return (
        RoomBlock.objects.filter(hotel=hotel)
        .select_related("room", "reason", "created_by__user")
        .order_by("-first_night", "-pk")
    )


def with_a_night(first: date | None, free: date | None) -> Q:
    """Blocks with a night from ``first`` to before ``free``, each if given."""
    found = Q() if first is None else Q(free_from=None) | Q(free_from__gt=first)
    return found if free is None else found & Q(first_night__lt=free)


def block_history(block: RoomBlock) -> QuerySet[RoomBlockEvent]:
    """The block's changes, in order."""
    return RoomBlockEvent.objects.filter(block=block).select_related("staff__user").order_by("version")


def late_tasks() -> Q:
    """Open tasks past their due time: ``HousekeepingTask.is_overdue_at`` in SQL."""
    now = clock.now()
    past = [Q(priority=priority, created_at__lt=now - wait) for priority, wait in TASK_DUE.items()]
    return Q(status__in=OPEN_TASK_STATUSES) & reduce(or_, past)
