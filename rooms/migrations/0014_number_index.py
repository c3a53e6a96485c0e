from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("rooms", "0013_numbers_copied"),
    ]

    operations = [
        migrations.RunSQL(
            [
                # An interrupted run leaves an invalid one.
                "DROP INDEX CONCURRENTLY IF EXISTS room_number_key",
                "CREATE UNIQUE INDEX CONCURRENTLY room_number_key ON rooms_room (hotel_id, sort_key)",
            ]
        ),
    ]
