import common.triggers
import django.contrib.postgres.fields
import django.core.validators
import pgtrigger.compiler
import pgtrigger.migrations
from decimal import Decimal
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('hotel', '0016_room_features'),
        ('rooms', '0017_numbers_unique'),
    ]

    operations = [
        migrations.AddField(
            model_name='room',
            name='building',
            field=models.CharField(blank=True, db_default='', default='', max_length=60),
        ),
        migrations.AddField(
            model_name='room',
            name='connecting_rooms',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), blank=True, db_default=models.Value([], django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)), default=list, size=10),
        ),
        migrations.AddField(
            model_name='room',
            name='credits',
            field=models.DecimalField(blank=True, decimal_places=2, help_text="Left empty: the room type's.", max_digits=4, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='housekeeping credits'),
        ),
        migrations.AddField(
            model_name='room',
            name='features',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=30), blank=True, db_default=models.Value([], django.contrib.postgres.fields.ArrayField(base_field=models.CharField(), size=None)), default=list, help_text="Of the hotel's list, separated by commas.", size=20),
        ),
        migrations.AddField(
            model_name='room',
            name='floor',
            field=models.CharField(blank=True, db_default='', default='', help_text='Left empty: from the number, 1 for 101.', max_length=20),
        ),
        migrations.AddField(
            model_name='room',
            name='is_accessible',
            field=models.BooleanField(db_default=False, default=False, help_text='Suitable for a wheelchair.'),
        ),
        migrations.AddField(
            model_name='room',
            name='section',
            field=models.CharField(blank=True, db_default='', default='', max_length=60),
        ),
        migrations.AddField(
            model_name='room',
            name='walking_order',
            field=models.IntegerField(blank=True, help_text="The place of the room on housekeeping's way through the hotel.", null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='room',
            trigger=pgtrigger.compiler.Trigger(name='room_features_known', sql=common.triggers.RuleSql(declare='DECLARE known varchar[];', func="\n            IF NEW.features = '{}' THEN\n                RETURN NULL;\n            END IF;\n            SELECT room_features INTO known FROM hotel_hotel WHERE id = NEW.hotel_id FOR SHARE;\n            IF NOT NEW.features <@ known THEN\n                RAISE EXCEPTION 'a feature is not in the list of the hotel' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_features_known', TABLE = TG_TABLE_NAME;\n            END IF;\n            RETURN NULL;\n        ", hash='028701f39f19f7d3b4cb9a1dfddb93dc252a5fb1', operation='INSERT OR UPDATE OF "features", "hotel_id"', pgid='pgtrigger_room_features_known_15254', table='rooms_room', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='room',
            trigger=pgtrigger.compiler.Trigger(name='room_connections_mutual', sql=common.triggers.RuleSql(constraint='CONSTRAINT', declare='DECLARE room RECORD; named bigint[];', func="\n            IF coalesce(OLD.connecting_rooms, '{}') = '{}' AND coalesce(NEW.connecting_rooms, '{}') = '{}' THEN\n                RETURN NULL;\n            END IF;\n            SELECT * INTO room FROM rooms_room WHERE id = coalesce(NEW.id, OLD.id);\n            named := coalesce(room.connecting_rooms, '{}');\n            IF room.id = ANY(named) OR EXISTS (\n                SELECT FROM unnest(named) other_id LEFT JOIN rooms_room other\n                ON other.id = other_id AND other.hotel_id = room.hotel_id AND room.id = ANY(other.connecting_rooms)\n                WHERE other.id IS NULL\n            ) OR EXISTS (\n                SELECT FROM rooms_room other\n                WHERE other.id = ANY(OLD.connecting_rooms) AND OLD.id = ANY(other.connecting_rooms)\n                    AND NOT other.id = ANY(named)\n            ) THEN\n                RAISE EXCEPTION 'connecting rooms name each other' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'room_connections_mutual', TABLE = TG_TABLE_NAME;\n            END IF;\n            RETURN NULL;\n        ", hash='cf1e26a6f7a20efd3c2390dbf446cbfa91f8997d', operation='INSERT OR UPDATE OF "connecting_rooms" OR DELETE', pgid='pgtrigger_room_connections_mutual_91421', table='rooms_room', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        AddConstraintNotValid(
            model_name='room',
            constraint=models.CheckConstraint(condition=models.Q(('walking_order__gte', 0)), name='room_walking_order_not_negative'),
        ),
        AddConstraintNotValid(
            model_name='room',
            constraint=models.CheckConstraint(condition=models.Q(('credits__gte', 0)), name='room_credits_not_negative'),
        ),
    ]
