import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# What rooms are sorted and found by: lower case, each run of digits padded to 20, then the number itself, so that 0101
# and 101 differ. In C locale, lower() knows only ASCII.
KEY = r"""
    CREATE OR REPLACE FUNCTION hotelmate_room_key(number text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $body$
        SELECT regexp_replace(
            regexp_replace(lower(number), '([0-9]+)', '00000000000000000000\1', 'g'), '[0-9]*([0-9]{20})', '\1', 'g'
        ) || E'\t' || lower(number)
    $body$
"""
# The integer column stays, for the previous release, and can be empty: room 12A has none. A later release drops it.
COLUMNS = """
    ALTER TABLE rooms_room
        ADD COLUMN number varchar(20),
        ADD COLUMN sort_key text COLLATE "C" DEFAULT '' NOT NULL,
        ALTER COLUMN room_number DROP NOT NULL
"""


class Migration(migrations.Migration):
    lint_allows = {
        "ban-drop-not-null": "only a room with a number such as 12A has no integer, and the old code cannot make one",
    }

    dependencies = [
        ('rooms', '0011_block_reasons'),
    ]

    operations = [
        migrations.RunSQL(KEY),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(COLUMNS)],
            state_operations=[
                migrations.RemoveConstraint(model_name='room', name='room_number_unique'),
                migrations.RemoveConstraint(model_name='room', name='room_number_positive'),
                migrations.AlterField(
                    model_name='room',
                    name='room_number',
                    field=models.CharField(db_column='number', help_text='Such as 101, 12A or Villa Rosa.', max_length=20),
                ),
                migrations.AddField(
                    model_name='room',
                    name='sort_key',
                    field=models.TextField(db_collation='C', db_default='', editable=False),
                ),
            ],
        ),
        migrations.AlterModelOptions(
            name='room',
            options={'ordering': ['hotel', 'sort_key'], 'permissions': [('inventory_create', 'rooms: inventory create'), ('inventory_update', 'rooms: inventory update'), ('inventory_delete', 'rooms: inventory delete'), ('type_manage', 'rooms: type manage'), ('inspect', 'rooms: inspect'), ('maintenance_flag', 'rooms: maintenance flag'), ('maintenance_clear', 'rooms: maintenance clear'), ('status_transition', 'rooms: status transition'), ('checkout_bulk', 'rooms: checkout bulk'), ('checkout_destructive', 'rooms: checkout destructive'), ('block_manage', 'rooms: block manage'), ('block_inventory', 'rooms: block inventory')]},
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='room',
            trigger=pgtrigger.compiler.Trigger(name='room_number_in_step', sql=common.triggers.RuleSql(func="\n            IF NEW.number IS NULL THEN\n                NEW.number := NEW.room_number::text;\n            ELSIF TG_OP = 'UPDATE' THEN\n                IF NEW.number = OLD.number AND NEW.room_number IS DISTINCT FROM OLD.room_number THEN\n                    NEW.number := NEW.room_number::text;\n                END IF;\n            END IF;\n            NEW.room_number := CASE\n                WHEN NEW.number !~ '^[1-9][0-9]{0,9}$' THEN NULL\n                WHEN NEW.number::bigint <= 2147483647 THEN NEW.number::integer\n            END;\n            NEW.sort_key := hotelmate_room_key(NEW.number);\n            RETURN NEW;\n        ", hash='963e0f13cc6d9839b4c589e45aa620c712a0ee19', operation='INSERT OR UPDATE OF "number", "room_number", "sort_key"', pgid='pgtrigger_room_number_in_step_46d57', table='rooms_room', when='BEFORE')),
        ),
    ]
