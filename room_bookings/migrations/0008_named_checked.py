from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('room_bookings', '0007_named_companions'),
    ]

    # In a transaction of its own: it reads the whole table, and locks nobody out.
    operations = [
        ValidateConstraint(model_name='roombooking', name='room_booking_guest_has_a_name'),
        ValidateConstraint(model_name='bookingguest', name='booking_guest_has_a_name'),
    ]
