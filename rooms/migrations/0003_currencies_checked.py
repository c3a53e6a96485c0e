from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('rooms', '0002_currencies'),
    ]

    # In a transaction of its own: it reads the whole table, and locks nobody out.
    operations = [
        ValidateConstraint(model_name='roomtype', name='room_type_currency_is_a_code'),
    ]
