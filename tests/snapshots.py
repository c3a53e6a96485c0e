"""Stored rows, read before and after a change to compare them."""

from collections.abc import Sequence

from django.db import connection
from django.db.models import Model

from housekeeping.models import RoomStatusEvent
from notifications.models import RealtimeEvent
from rooms.models import Room


def room_records(room: Room) -> tuple:
    """Everything that a status change writes: the room's row, its history, and the number of its hotel's events."""
    row = Room.objects.filter(pk=room.pk).values().get()
    return (
        row,
        list(RoomStatusEvent.objects.filter(room=room).values()),
        RealtimeEvent.objects.filter(hotel=room.hotel).count(),
    )


def maintenance_flag(room: Room) -> tuple[bool, str, str]:
    """The stored maintenance flag, priority and notes."""
    room.refresh_from_db()
    return room.maintenance_required, room.maintenance_priority, room.maintenance_notes


def table_rows(models: Sequence[type[Model]]) -> dict[str, list[str]]:
    """All rows of each model's table as text, read in one statement."""
    found: dict[str, list[str]] = {model._meta.label: [] for model in models}
    tables = [(model._meta.label, connection.ops.quote_name(model._meta.db_table)) for model in models]
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(f"SELECT '{label}', row_::text FROM {table} AS row_" for label, table in tables)
        )
        for label, row in cursor.fetchall():
            found[label].append(row)
    return {label: sorted(rows) for label, rows in found.items()}
