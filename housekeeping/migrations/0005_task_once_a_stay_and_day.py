from django.db import migrations, models

NAME = "task_once_a_stay_and_day"


class Migration(migrations.Migration):
    """A morning's task is open once for a stay, wherever its guest has moved to."""

    atomic = False

    dependencies = [("housekeeping", "0004_tasks_left_behind")]

    operations = [
        migrations.RunSQL(
            [
                # Of a try that was interrupted.
                f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
                f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON housekeeping_housekeepingtask "
                "(booking_id, task_type, for_date) "
                "WHERE for_date IS NOT NULL AND status IN ('OPEN', 'IN_PROGRESS')",
            ],
            [f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}"],
            state_operations=[
                migrations.AddConstraint(
                    model_name="housekeepingtask",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("for_date__isnull", False), ("status__in", ("OPEN", "IN_PROGRESS"))),
                        fields=("booking", "task_type", "for_date"),
                        name=NAME,
                    ),
                )
            ],
        )
    ]
