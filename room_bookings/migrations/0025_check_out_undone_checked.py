from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("room_bookings", "0024_check_out_undone"),
    ]

    # In a transaction of its own: it reads the whole table, and locks nobody out.
    operations = [
        ValidateConstraint(model_name="bookingchange", name="booking_change_action_known"),
    ]
