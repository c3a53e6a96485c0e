from django.db import connection, migrations

AT_ONCE = 1000
# The trigger room_number_in_step fills in the key as well.
COPY = """
    UPDATE rooms_room SET number = room_number::text WHERE id IN (
        SELECT id FROM rooms_room WHERE number IS NULL ORDER BY id LIMIT %s FOR NO KEY UPDATE
    )
"""


def copy_numbers(apps, schema_editor):
    with connection.cursor() as cursor:
        cursor.execute(COPY, [AT_ONCE])
        while cursor.rowcount:
            cursor.execute(COPY, [AT_ONCE])


class Migration(migrations.Migration):
    atomic = False  # each batch is a transaction of its own

    dependencies = [
        ("rooms", "0012_numbers_as_text"),
    ]

    operations = [
        migrations.RunPython(copy_numbers, migrations.RunPython.noop),
    ]
