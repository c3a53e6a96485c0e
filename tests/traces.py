"""What a change leaves behind, to compare before and after."""

from collections.abc import Sequence

from django.db import connection
from django.db.models import Model

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


def rows_of(models: Sequence[type[Model]]) -> dict[str, list[str]]:
    """All rows of each model's table, as PostgreSQL writes them; one statement."""
    found: dict[str, list[str]] = {model._meta.label: [] for model in models}
    tables = [(model._meta.label, connection.ops.quote_name(model._meta.db_table)) for model in models]
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(f"SELECT '{label}', row_::text FROM {table} AS row_" for label, table in tables)
        )
        for label, row in cursor.fetchall():
            found[label].append(row)
    return {label: sorted(rows) for label, rows in found.items()}
