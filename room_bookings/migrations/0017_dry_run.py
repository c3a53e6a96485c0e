import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('hotel', '0014_dry_run'),
        ('room_bookings', '0016_due'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='roombooking',
            trigger=pgtrigger.compiler.Trigger(name='room_booking_in_dry_run', sql=common.triggers.RuleSql(condition="WHEN (current_setting('hotelmate.dry_run', true) = 'on')", func='\n            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)\n            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))\n            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;\n            RETURN NULL;\n        ', hash='c535c4ce83a8a9cfe6e6e72a977dd5ee35426c4e', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_room_booking_in_dry_run_e5314', table='room_bookings_roombooking', when='AFTER')),
        ),
    ]
