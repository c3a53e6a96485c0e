from django.db import migrations
from django.utils import timezone

BATCH = 500
# What the release before has left open, in the order in which it is put right; each has its own SET and WHERE.
LEFT_BEHIND = (
    # Turnovers of rooms that are clean.
    """
    UPDATE housekeeping_housekeepingtask task
    SET status = 'DONE', started_at = coalesce(task.started_at, room.status_changed_at),
        completed_at = room.status_changed_at
    FROM rooms_room room
    WHERE room.id = task.room_id AND task.id IN (
        SELECT open.id FROM housekeeping_housekeepingtask open
        JOIN rooms_room clean ON clean.id = open.room_id
        WHERE open.task_type = 'TURNOVER' AND open.status IN ('OPEN', 'IN_PROGRESS')
            AND clean.room_status IN ('CLEANED_UNINSPECTED', 'READY_FOR_GUEST')
            AND open.created_at < clean.status_changed_at
        LIMIT %(batch)s FOR NO KEY UPDATE OF open SKIP LOCKED
    )
    """,
    # Stayovers of guests who are in that room no more.
    """
    UPDATE housekeeping_housekeepingtask SET status = 'CANCELLED', cancelled_at = %(now)s
    WHERE id IN (
        SELECT open.id FROM housekeeping_housekeepingtask open
        JOIN room_bookings_roombooking booking ON booking.id = open.booking_id
        WHERE open.task_type = 'STAYOVER' AND open.status IN ('OPEN', 'IN_PROGRESS')
            AND (booking.status <> 'IN_HOUSE' OR booking.assigned_room_id <> open.room_id)
        LIMIT %(batch)s FOR NO KEY UPDATE OF open SKIP LOCKED
    )
    """,
    # What was to be done for guests who have left, or who do not come.
    """
    UPDATE housekeeping_housekeepingtask SET status = 'CANCELLED', cancelled_at = %(now)s
    WHERE id IN (
        SELECT open.id FROM housekeeping_housekeepingtask open
        JOIN room_bookings_roombooking booking ON booking.id = open.booking_id
        WHERE open.status IN ('OPEN', 'IN_PROGRESS')
            AND booking.status IN ('COMPLETED', 'DECLINED', 'CANCELLED', 'CANCELLED_DRAFT', 'EXPIRED', 'NO_SHOW')
            AND (open.task_type = 'AMENITY'
                OR open.task_type IN ('INSPECTION', 'DEEP_CLEAN') AND booking.checked_in_at IS NULL)
        LIMIT %(batch)s FOR NO KEY UPDATE OF open SKIP LOCKED
    )
    """,
)


def put_right(apps, schema_editor):
    """In batches, each a transaction of its own; a task that somebody holds at this moment is left to them."""
    values = {"now": timezone.now(), "batch": BATCH}
    with schema_editor.connection.cursor() as cursor:
        for statement in LEFT_BEHIND:
            cursor.execute(statement, values)
            while cursor.rowcount == BATCH:
                cursor.execute(statement, values)


class Migration(migrations.Migration):
    """Tasks follow their room and their booking; those that were left behind until now are ended."""

    atomic = False

    dependencies = [
        ("housekeeping", "0003_task_open_in_room"),
        ("room_bookings", "0005_currencies_checked"),
        ("rooms", "0003_currencies_checked"),
    ]

    operations = [migrations.RunPython(put_right, migrations.RunPython.noop)]
