from django.db import migrations, models

# At once: the validated constraint proves that there is no null, and the index exists. The unique constraint keeps its
# name, which the previous release knows.
RULES = """
    ALTER TABLE rooms_room
        ALTER COLUMN number SET NOT NULL,
        DROP CONSTRAINT room_number_given,
        DROP CONSTRAINT room_number_positive,
        DROP CONSTRAINT rooms_room_room_number_check,
        DROP CONSTRAINT room_number_unique,
        ADD CONSTRAINT room_number_unique UNIQUE USING INDEX room_number_key
"""


class Migration(migrations.Migration):
    lint_allows = {
        "adding-not-nullable-field": "the validated constraint spares PostgreSQL the scan",
        "ban-drop-constraint": "the new ones say the same of both releases' rooms: a trigger copies either number",
    }

    dependencies = [
        ("rooms", "0016_numbers_checked"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(RULES)],
            state_operations=[
                migrations.AddConstraint(
                    model_name="room",
                    constraint=models.UniqueConstraint(fields=["hotel", "sort_key"], name="room_number_unique"),
                ),
            ],
        ),
    ]
