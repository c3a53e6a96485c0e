from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("hotel", "0010_day_ends_earlier"),
    ]

    # In a transaction of its own: it reads the whole table, and locks nobody out.
    operations = [
        ValidateConstraint(model_name="hotel", name="hotel_day_ends_by_noon"),
        ValidateConstraint(model_name="hotel", name="hotel_day_ends_before_arrivals"),
    ]
