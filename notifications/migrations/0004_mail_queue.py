import common.clock
import django.contrib.postgres.operations
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    lint_allows = {
        "adding-field-with-default": "the start of the transaction is one value for all rows: no rewrite",
        "ban-drop-constraint": "added again below, without the column; the old code satisfies the new one, too",
    }
    # The column queue_number and django-mailer's tables stay for now: the previous release still writes to them. A later
    # release drops them.

    dependencies = [
        ('notifications', '0003_booking_mail'),
    ]

    operations = [
        migrations.AddField(
            model_name='bookingmail',
            name='due_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), default=common.clock.now, help_text='When it is tried next, while it is open.'),
        ),
        migrations.RemoveConstraint(
            model_name='bookingmail',
            name='booking_mail_open_or_settled',
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    'ALTER TABLE notifications_bookingmail DROP CONSTRAINT notifications_bookingmail_queue_number_key',
                    'ALTER TABLE notifications_bookingmail ADD UNIQUE (queue_number)',
                ),
            ],
            state_operations=[
                migrations.RemoveField(
                    model_name='bookingmail',
                    name='queue_number',
                ),
            ],
        ),
        django.contrib.postgres.operations.AddConstraintNotValid(
            model_name='bookingmail',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('settled_at__isnull', True), ('state__in', ('QUEUED', 'SENDING'))), models.Q(models.Q(('state__in', ('QUEUED', 'SENDING')), _negated=True), ('settled_at__isnull', False)), _connector='OR'), name='booking_mail_open_or_settled'),
        ),
    ]
