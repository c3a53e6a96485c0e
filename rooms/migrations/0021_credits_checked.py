from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('rooms', '0020_attributes_checked'),
    ]

    operations = [
        ValidateConstraint(model_name='roomtype', name='room_type_credits_not_negative'),
    ]
