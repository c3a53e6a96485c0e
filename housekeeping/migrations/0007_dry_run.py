import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('hotel', '0014_dry_run'),
        ('housekeeping', '0006_stayover_day'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='housekeepingtask',
            trigger=pgtrigger.compiler.Trigger(name='task_in_dry_run', sql=common.triggers.RuleSql(condition="WHEN (current_setting('hotelmate.dry_run', true) = 'on')", func='\n            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)\n            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))\n            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;\n            RETURN NULL;\n        ', hash='b815d5331a64977b7896d789449d91f2d1223454', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_task_in_dry_run_8e3f3', table='housekeeping_housekeepingtask', when='AFTER')),
        ),
    ]
