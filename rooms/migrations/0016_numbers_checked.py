from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("rooms", "0015_numbers_named"),
    ]

    # In a transaction of its own: it reads the whole table, and locks nobody out.
    operations = [
        migrations.RunSQL("ALTER TABLE rooms_room VALIDATE CONSTRAINT room_number_given"),
        ValidateConstraint(model_name="room", name="room_number_readable"),
    ]
