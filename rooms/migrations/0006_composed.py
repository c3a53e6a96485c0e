"""Names and codes of room types that were stored decomposed (e + ´) are composed (é), as new ones are."""

from django.db import migrations


def compose(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute('SHOW server_encoding')
        if cursor.fetchone() != ('UTF8',):
            return  # PostgreSQL composes UTF8 alone; other encodings have no marks to be composed
        for column in ('code', 'name'):
            # One whose composed form another type has keeps its own.
            cursor.execute(
                f"""
                UPDATE rooms_roomtype kind SET {column} = normalize({column})
                WHERE {column} IS NOT NORMALIZED AND NOT EXISTS (
                    SELECT FROM rooms_roomtype other
                    WHERE other.hotel_id = kind.hotel_id AND other.{column} = normalize(kind.{column})
                )
                """
            )


class Migration(migrations.Migration):

    dependencies = [
        ('rooms', '0005_named_checked'),
    ]

    operations = [
        migrations.RunPython(compose, migrations.RunPython.noop),
    ]
