"""Reads of the rooms' history and of tasks."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from django.db.models import F, Q, QuerySet

from common import clock
from hotel.models import Hotel
from housekeeping.models import OPEN_TASK_STATUSES, TASK_DUE, HousekeepingTask, RoomStatusEvent
from rooms.models import Room


def latest_events(rooms: Iterable[Room]) -> dict[int, RoomStatusEvent]:
    """By room id, the audit row of each room's newest change: who set it as it is. Rooms never changed have none."""
    wanted = list(rooms)
    if not wanted:  # Django would find out only after having built the whole statement
        return {}
    events = RoomStatusEvent.objects.filter(room__in=wanted, version=F("room__status_version"))
    return {event.room_id: event for event in events.select_related("changed_by__user")}


def status_event_list(room: Room) -> QuerySet[RoomStatusEvent]:
    """The room's history, newest first."""
    return RoomStatusEvent.objects.filter(room=room).select_related("changed_by__user").order_by("-version")


def task_list(hotel: Hotel) -> QuerySet[HousekeepingTask]:
    """The hotel's tasks with what a list shows of them, newest first."""
    return (
        HousekeepingTask.objects.filter(hotel=hotel)
        .select_related("room", "booking", "assigned_to__user", "created_by__user")
        .order_by("-created_at", "-pk")
    )


def late_tasks() -> Q:
    """Tasks that are open and past their due time, as ``HousekeepingTask.is_overdue_at`` has it."""
    now = clock.now()
    past = [Q(priority=priority, created_at__lt=now - wait) for priority, wait in TASK_DUE.items()]
    return Q(status__in=OPEN_TASK_STATUSES) & reduce(or_, past)
