import django.contrib.postgres.operations
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('notifications', '0006_timeline'),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name='realtimeevent',
            index=models.Index(condition=models.Q(('sent_at__isnull', False), ('parked_at__isnull', False), _connector='OR'), fields=['created_at', 'hotel'], name='realtime_event_settled'),
        ),
    ]
