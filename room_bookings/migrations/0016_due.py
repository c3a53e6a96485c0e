import django.contrib.postgres.operations
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('room_bookings', '0015_inventory_indexes'),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name='roombooking',
            index=models.Index(condition=models.Q(('status', 'PENDING_PAYMENT')), fields=['created_at'], name='room_booking_draft'),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name='roombooking',
            index=models.Index(condition=models.Q(('overstay_flagged_at', None), ('status', 'IN_HOUSE')), fields=['hotel', 'check_out'], name='room_booking_to_flag'),
        ),
    ]
