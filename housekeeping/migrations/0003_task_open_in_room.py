from django.db import migrations, models

from common.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    """The index by which a change of a room finds the room's open tasks."""

    atomic = False

    dependencies = [("housekeeping", "0002_daily_tasks")]

    operations = [
        AddIndexConcurrently(
            model_name="housekeepingtask",
            index=models.Index(
                condition=models.Q(("status__in", ("OPEN", "IN_PROGRESS"))),
                fields=["room", "task_type"],
                name="task_open_in_room",
            ),
        ),
    ]
