import common.triggers
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('hotel', '0013_sign_in_indexes'),
    ]

    operations = [
        # The changed rows of a dry run, which is rolled back: no other transaction ever sees one. Unlogged, because there is
        # nothing to restore.
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE hotel_dryrunchange (
                table_name name, row_id bigint, before jsonb, after jsonb, PRIMARY KEY (table_name, row_id)
            )
            """,
            "DROP TABLE hotel_dryrunchange",
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='hotel',
            trigger=pgtrigger.compiler.Trigger(name='hotel_in_dry_run', sql=common.triggers.RuleSql(condition="WHEN (current_setting('hotelmate.dry_run', true) = 'on')", func='\n            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)\n            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))\n            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;\n            RETURN NULL;\n        ', hash='692822ab60bbe5e6914d6431e18de76313a25d7d', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_hotel_in_dry_run_c4685', table='hotel_hotel', when='AFTER')),
        ),
    ]
