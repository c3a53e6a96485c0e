from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('hotel', '0005_user_names_in_any_case'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='hotel',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '\\S')), name='hotel_has_a_name'),
        ),
    ]
