import django.contrib.postgres.operations
from django.db import migrations, models

from common.migrations import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('room_bookings', '0026_claims_of_blocks'),
    ]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE room_bookings_roomclaim "
            "VALIDATE CONSTRAINT room_bookings_roomclaim_block_id_fk_rooms_roomblock_id",
            migrations.RunSQL.noop,
        ),
        django.contrib.postgres.operations.ValidateConstraint('roomclaim', 'room_claim_has_one_owner'),
        AddIndexConcurrently(
            model_name='roomclaim',
            index=models.Index(condition=models.Q(('block__isnull', False)), fields=['block'], name='room_claim_of_block'),
        ),
    ]
