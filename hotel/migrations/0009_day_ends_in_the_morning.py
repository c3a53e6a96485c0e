from datetime import time

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hotel", "0008_folded"),
    ]

    operations = [
        migrations.AlterField(
            model_name="hotel",
            name="late_arrival_cutoff",
            field=models.TimeField(
                default=time(2, 0),
                help_text="On the day after; the business day ends here. By noon, and not after the earliest check-in.",
            ),
        ),
        AddConstraintNotValid(
            model_name="hotel",
            constraint=models.CheckConstraint(
                condition=models.Q(("late_arrival_cutoff__lte", time(12, 0))),
                name="hotel_day_ends_by_noon",
                violation_error_message="The late arrival cutoff ends the business day: it can't be after noon.",
            ),
        ),
        AddConstraintNotValid(
            model_name="hotel",
            constraint=models.CheckConstraint(
                condition=models.Q(("late_arrival_cutoff__lte", models.F("early_checkin_from"))),
                name="hotel_day_ends_before_arrivals",
                violation_error_message="The late arrival cutoff ends the business day: it can't be after the hour "
                "from which the next day's guests may check in.",
            ),
        ),
    ]
