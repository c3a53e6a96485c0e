import django.core.validators
from decimal import Decimal
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rooms', '0018_attributes'),
    ]

    operations = [
        migrations.AddField(
            model_name='roomtype',
            name='credits',
            field=models.DecimalField(db_default=Decimal('1'), decimal_places=2, default=Decimal('1'), help_text='How much work one cleaning is: 1 for a usual room.', max_digits=4, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='housekeeping credits'),
        ),
        AddConstraintNotValid(
            model_name='roomtype',
            constraint=models.CheckConstraint(condition=models.Q(('credits__gte', 0)), name='room_type_credits_not_negative'),
        ),
    ]
