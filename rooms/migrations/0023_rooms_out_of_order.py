from django.db import migrations, transaction

BATCH = 500
# The blocks that a trigger made before another kept their claims. One that exists is skipped by the claims' own trigger.
CLAIM = """
    INSERT INTO room_bookings_roomclaim (block_id, hotel_id, room_id, nights)
    SELECT id, hotel_id, room_id, daterange(first_night, free_from) FROM rooms_roomblock
    WHERE status IN ('PLANNED', 'ACTIVE') AND kind <> 'OUT_OF_SERVICE'
"""
# In two statements: after a wait for a lock, the second one sees what has been written meanwhile.
LOCK = """
    SELECT id FROM rooms_room WHERE id > %s AND room_status = 'OUT_OF_ORDER' ORDER BY id LIMIT %s FOR NO KEY UPDATE
"""
# From tonight, or from when the room is free: no rule kept a stay out of it that was stored before.
BLOCK = """
    WITH made AS (
        INSERT INTO rooms_roomblock (hotel_id, room_id, kind, remarks, first_night, return_status, status, by_status,
            version, created_at, started_at)
        SELECT room.hotel_id, room.id, 'OUT_OF_ORDER', '', greatest(
                (now() AT TIME ZONE hotel.timezone - hotel.late_arrival_cutoff::interval)::date,
                (SELECT max(upper(nights)) FROM room_bookings_roomclaim claim WHERE claim.room_id = room.id)
            ), 'CHECKOUT_DIRTY', 'ACTIVE', true, 1, now(), room.status_changed_at
        FROM rooms_room room JOIN hotel_hotel hotel ON hotel.id = room.hotel_id
        WHERE room.id = ANY (%s) AND room.room_status = 'OUT_OF_ORDER' AND NOT EXISTS (
            SELECT FROM rooms_roomblock block
            WHERE block.room_id = room.id AND block.status = 'ACTIVE'
                AND block.kind IN ('OUT_OF_ORDER', 'OUT_OF_INVENTORY')
        )
        RETURNING *
    )
    INSERT INTO rooms_roomblockevent (hotel_id, block_id, version, action, from_status, to_status, from_return_status,
        to_return_status, note, created_at)
    SELECT hotel_id, id, version, 'CREATED', '', status, '', return_status, '', created_at FROM made
"""


def block(apps, schema_editor):
    """In batches, each a transaction of its own; run again, it changes nothing."""
    alias = schema_editor.connection.alias
    with transaction.atomic(alias), schema_editor.connection.cursor() as cursor:
        cursor.execute(CLAIM)
    last = 0
    while True:
        with transaction.atomic(alias), schema_editor.connection.cursor() as cursor:
            cursor.execute(LOCK, [last, BATCH])
            found = [row[0] for row in cursor.fetchall()]
            if not found:
                return
            cursor.execute(BLOCK, [found])
        last = found[-1]


class Migration(migrations.Migration):
    """A block without an end for each room that is out of order; since the last migrations a trigger makes all others."""

    atomic = False

    dependencies = [
        ("rooms", "0022_claims_of_blocks"),
    ]

    operations = [migrations.RunPython(block, migrations.RunPython.noop)]
