from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('room_bookings', '0006_named'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='bookingguest',
            constraint=models.CheckConstraint(condition=models.Q(('first_name__regex', '\\S'), ('last_name__regex', '\\S')), name='booking_guest_has_a_name'),
        ),
    ]
