import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('room_bookings', '0017_dry_run'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='bookingguest',
            trigger=pgtrigger.compiler.Trigger(name='booking_guest_in_dry_run', sql=common.triggers.RuleSql(condition="WHEN (current_setting('hotelmate.dry_run', true) = 'on')", func='\n            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)\n            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))\n            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;\n            RETURN NULL;\n        ', hash='06bc5138ef253ed93c6618a0a5097799f83d4f4c', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_booking_guest_in_dry_run_9c049', table='room_bookings_bookingguest', when='AFTER')),
        ),
    ]
