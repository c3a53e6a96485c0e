import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0008_dry_run'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='bookingmail',
            trigger=pgtrigger.compiler.Trigger(name='booking_mail_in_dry_run', sql=common.triggers.RuleSql(condition="WHEN (current_setting('hotelmate.dry_run', true) = 'on')", func='\n            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)\n            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))\n            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;\n            RETURN NULL;\n        ', hash='cd75c6a82135455c6f7fe6265f266b40d3e98ab9', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_booking_mail_in_dry_run_07d1a', table='notifications_bookingmail', when='AFTER')),
        ),
    ]
