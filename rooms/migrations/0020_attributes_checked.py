from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('rooms', '0019_credits_of_types'),
    ]

    operations = [
        ValidateConstraint(model_name='room', name='room_walking_order_not_negative'),
        ValidateConstraint(model_name='room', name='room_credits_not_negative'),
    ]
