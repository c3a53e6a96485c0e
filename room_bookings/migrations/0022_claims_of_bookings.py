from django.db import migrations, transaction

BATCH = 500
# In two statements: after a wait for a lock, the second one sees what the trigger has written meanwhile.
LOCK = """
    SELECT id FROM room_bookings_roombooking
    WHERE id > %s AND status IN ('CONFIRMED', 'IN_HOUSE') AND assigned_room_id IS NOT NULL
    ORDER BY id LIMIT %s FOR NO KEY UPDATE
"""
CLAIM = """
    INSERT INTO room_bookings_roomclaim (booking_id, hotel_id, room_id, nights)
    SELECT id, hotel_id, assigned_room_id, daterange(
        least(check_in, arrived_on), check_out, CASE WHEN check_in = check_out THEN '[]' ELSE '[)' END
    )
    FROM room_bookings_roombooking
    WHERE id = ANY (%s) AND status IN ('CONFIRMED', 'IN_HOUSE') AND assigned_room_id IS NOT NULL
"""


def claim(apps, schema_editor):
    """In batches, each a transaction of its own. A claim that exists is skipped by the claims' own trigger."""
    last = 0
    while True:
        with transaction.atomic(schema_editor.connection.alias), schema_editor.connection.cursor() as cursor:
            cursor.execute(LOCK, [last, BATCH])
            found = [row[0] for row in cursor.fetchall()]
            if not found:
                return
            cursor.execute(CLAIM, [found])
        last = found[-1]


class Migration(migrations.Migration):
    """The claims of the bookings that hold a room already; since the last migration a trigger writes all others."""

    atomic = False

    dependencies = [
        ("room_bookings", "0021_claims_kept"),
    ]

    operations = [migrations.RunPython(claim, migrations.RunPython.noop)]
