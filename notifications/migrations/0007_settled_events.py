from django.db import migrations, models

import common.migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('notifications', '0006_timeline'),
    ]

    operations = [
        common.migrations.AddIndexConcurrently(
            model_name='realtimeevent',
            index=models.Index(condition=models.Q(('sent_at__isnull', False), ('parked_at__isnull', False), _connector='OR'), fields=['created_at', 'hotel'], name='realtime_event_settled'),
        ),
    ]
