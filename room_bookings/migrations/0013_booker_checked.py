from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("room_bookings", "0012_booker"),
    ]

    # In a transaction of its own: it reads the whole table, and locks nobody out.
    operations = [
        ValidateConstraint(model_name="roombooking", name="room_booking_booker_named"),
    ]
