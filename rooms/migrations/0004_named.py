from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rooms', '0003_currencies_checked'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='roomtype',
            constraint=models.CheckConstraint(condition=models.Q(('code__regex', '\\S'), ('name__regex', '\\S')), name='room_type_has_name_and_code'),
        ),
    ]
