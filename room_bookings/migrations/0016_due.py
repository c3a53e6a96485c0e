from django.db import migrations, models

import common.migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('room_bookings', '0015_inventory_indexes'),
    ]

    operations = [
        common.migrations.AddIndexConcurrently(
            model_name='roombooking',
            index=models.Index(condition=models.Q(('status', 'PENDING_PAYMENT')), fields=['created_at'], name='room_booking_draft'),
        ),
        common.migrations.AddIndexConcurrently(
            model_name='roombooking',
            index=models.Index(condition=models.Q(('overstay_flagged_at', None), ('status', 'IN_HOUSE')), fields=['hotel', 'check_out'], name='room_booking_to_flag'),
        ),
    ]
