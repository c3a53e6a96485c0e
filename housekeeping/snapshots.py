"""The JSON of a status change and of a task, the same in every response."""

from datetime import datetime
from typing import Any

from common.formats import iso
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from rooms.models import Room


def status_event_snapshot(event: RoomStatusEvent | None, room: Room) -> dict[str, Any] | None:
    """One row of a room's history (docs/api.md, Housekeeping), JSON-safe."""
    if event is None:
        return None
    return {
        "id": event.pk,
        "hotel": event.hotel_id,
        "hotel_name": room.hotel.name,
        "room": event.room_id,
        "room_number": room.room_number,
        "from_status": str(event.from_status),
        "to_status": str(event.to_status),
        "changed_by": event.changed_by_id,
        "changed_by_name": event.changed_by.name if event.changed_by else None,
        "source": str(event.source),
        "source_display": event.get_source_display(),
        "note": event.note,
        "created_at": iso(event.created_at),
    }


def task_snapshot(task: HousekeepingTask, now: datetime) -> dict[str, Any]:
    """A task (docs/api.md, Housekeeping), JSON-safe; ``task`` comes from ``selectors.task_list``."""
    return {
        "id": task.pk,
        "room": task.room_id,
        "room_number": task.room.room_number,
        "booking": task.booking.booking_id if task.booking else None,
        "task_type": str(task.task_type),
        "task_type_display": task.get_task_type_display(),
        "status": str(task.status),
        "status_display": task.get_status_display(),
        "priority": str(task.priority),
        "note": task.note,
        "assigned_to": task.assigned_to_id,
        "assigned_to_name": task.assigned_to.name if task.assigned_to else None,
        "created_by": task.created_by_id,
        "created_by_name": task.created_by.name if task.created_by else None,
        "created_at": iso(task.created_at),
        "started_at": iso(task.started_at),
        "completed_at": iso(task.completed_at),
        "cancelled_at": iso(task.cancelled_at),
        "is_overdue": task.is_overdue_at(now),
    }
