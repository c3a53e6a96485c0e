from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('rooms', '0004_named'),
    ]

    # In a transaction of its own: it reads the whole table, and locks nobody out.
    operations = [
        ValidateConstraint(model_name='roomtype', name='room_type_has_name_and_code'),
    ]
