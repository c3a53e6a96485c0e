from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("rooms", "0014_number_index"),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE rooms_room ADD CONSTRAINT room_number_given CHECK (number IS NOT NULL) NOT VALID"
        ),
        AddConstraintNotValid(
            model_name="room",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    room_number__regex="^(?!0+$)(?!.*  )(?!.* $)"
                    "[^][:cntrl:]!\"#$%&()*+,/:;<=>?@[\\\\^`{|}~[:space:]'._-]"
                    "[^][:cntrl:]!\"#$%&()*+,/:;<=>?@[\\\\^`{|}~]*$"
                ),
                name="room_number_readable",
            ),
        ),
    ]
