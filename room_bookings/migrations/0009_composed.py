"""Guests' names that were stored decomposed (e + ´) are composed (é), as new ones are, so that they are found."""

from django.db import migrations

AT_ONCE = 10_000
TEXTS = {
    'room_bookings_roombooking': ('primary_first_name', 'primary_last_name'),
    'room_bookings_bookingguest': ('first_name', 'last_name'),
}


def compose(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute('SHOW server_encoding')
        if cursor.fetchone() != ('UTF8',):
            return  # PostgreSQL composes UTF8 alone; other encodings have no marks to be composed
        for table, columns in TEXTS.items():
            cursor.execute(f'SELECT coalesce(max(id), 0) FROM {table}')
            [last] = cursor.fetchone()
            # A few letters get longer when they are composed.
            composed = ', '.join(f'{column} = left(normalize({column}), 100)' for column in columns)
            decomposed = ' OR '.join(f'{column} IS NOT NORMALIZED' for column in columns)
            for first in range(0, last, AT_ONCE):
                cursor.execute(
                    f'UPDATE {table} SET {composed} WHERE id > %s AND id <= %s AND ({decomposed})',
                    [first, first + AT_ONCE],
                )


class Migration(migrations.Migration):
    atomic = False  # a transaction for each batch

    dependencies = [
        ('room_bookings', '0008_named_checked'),
    ]

    operations = [
        migrations.RunPython(compose, migrations.RunPython.noop),
    ]
