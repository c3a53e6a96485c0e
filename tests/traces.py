"""What a status change leaves behind, to compare before and after."""

from housekeeping.models import RoomStatusEvent
from notifications.models import RealtimeEvent
from rooms.models import Room


def trace(room: Room) -> tuple:
    """All that a status change writes: the row, the history, the events."""
    row = Room.objects.filter(pk=room.pk).values().get()
    return (
        row,
        list(RoomStatusEvent.objects.filter(room=room).values()),
        RealtimeEvent.objects.filter(hotel=room.hotel).count(),
    )


def fault_of(room: Room) -> tuple[bool, str, str]:
    """Flag, priority and notes, as stored."""
    room.refresh_from_db()
    return room.maintenance_required, room.maintenance_priority, room.maintenance_notes
