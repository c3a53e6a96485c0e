import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('hotel', '0014_dry_run'),
        ('rooms', '0006_composed'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='roomtype',
            trigger=pgtrigger.compiler.Trigger(name='room_type_in_dry_run', sql=common.triggers.RuleSql(condition="WHEN (current_setting('hotelmate.dry_run', true) = 'on')", func='\n            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)\n            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))\n            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;\n            RETURN NULL;\n        ', hash='c2ff87668be76f25ff7ba8868388c2f22f4130af', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_room_type_in_dry_run_0340a', table='rooms_roomtype', when='AFTER')),
        ),
    ]
