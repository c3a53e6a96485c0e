"""The JSON of a status change, of a task and of a block, the same in every response."""

from datetime import datetime
from typing import Any

from common.formats import iso
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from rooms.models import Room, RoomBlock, RoomBlockEvent


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


def block_snapshot(block: RoomBlock) -> dict[str, Any]:
    """A block (docs/api.md, Room blocks), JSON-safe; ``block`` comes from ``selectors.block_list`` or a service."""
    return {
        "id": block.pk,
        "room_id": block.room_id,
        "room_number": block.room.room_number,
        "kind": str(block.kind),
        "kind_display": block.get_kind_display(),
        "reason": block.reason.code if block.reason else None,
        "reason_label": block.reason.label if block.reason else None,
        "remarks": block.remarks,
        "from": block.first_night.isoformat(),
        "to": block.free_from and block.free_from.isoformat(),
        "return_status": str(block.return_status),
        "status": str(block.status),
        "status_display": block.get_status_display(),
        "by_status": block.by_status,
        "is_late": block.is_late,
        "version": block.version,
        "created_at": iso(block.created_at),
        "created_by_name": block.created_by.name if block.created_by else None,
        "started_at": iso(block.started_at),
        "ended_at": iso(block.ended_at),
        "ended_on": block.ended_on and block.ended_on.isoformat(),
    }


def block_change_snapshot(event: RoomBlockEvent) -> dict[str, Any]:
    """One row of a block's history, JSON-safe."""
    return {
        "version": event.version,
        "action": str(event.action),
        "action_display": event.get_action_display(),
        "from_status": str(event.from_status) or None,
        "to_status": str(event.to_status),
        "old_to": event.from_free and event.from_free.isoformat(),
        "new_to": event.to_free and event.to_free.isoformat(),
        "old_return_status": str(event.from_return_status) or None,
        "new_return_status": str(event.to_return_status),
        "by_name": event.staff.name if event.staff else None,
        "note": event.note,
        "created_at": iso(event.created_at),
    }


def block_event_payload(block: RoomBlock) -> dict[str, Any]:
    """What ``room_block_*`` events say: of ``block_snapshot``, what is not about a person."""
    return {
        "id": block.pk,
        "room_id": block.room_id,
        "room_number": block.room.room_number,
        "kind": str(block.kind),
        "reason": block.reason.code if block.reason else None,
        "from": block.first_night.isoformat(),
        "to": block.free_from and block.free_from.isoformat(),
        "status": str(block.status),
        "return_status": str(block.return_status),
    }
