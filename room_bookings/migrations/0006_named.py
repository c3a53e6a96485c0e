from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('room_bookings', '0005_currencies_checked'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='roombooking',
            constraint=models.CheckConstraint(condition=models.Q(('primary_first_name__regex', '\\S'), ('primary_last_name__regex', '\\S')), name='room_booking_guest_has_a_name'),
        ),
    ]
