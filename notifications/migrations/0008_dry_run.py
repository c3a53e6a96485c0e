import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('hotel', '0014_dry_run'),
        ('notifications', '0007_settled_events'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='realtimeevent',
            trigger=pgtrigger.compiler.Trigger(name='realtime_event_in_dry_run', sql=common.triggers.RuleSql(condition="WHEN (current_setting('hotelmate.dry_run', true) = 'on')", func='\n            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)\n            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))\n            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;\n            RETURN NULL;\n        ', hash='2195a3628ba0fc976440d686e91b22fa4ec99f99', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_realtime_event_in_dry_run_6313e', table='notifications_realtimeevent', when='AFTER')),
        ),
    ]
