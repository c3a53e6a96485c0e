import django.contrib.postgres.operations
from django.db import migrations, models

# From here on the text is composed when an e-mail is sent, also by the previous release's worker if it is missing. What
# django-mailer has stored about guests is deleted; waiting e-mails keep the time of their next try.
FORGET_STORED_TEXTS = """
    DO $$ BEGIN
        IF to_regclass('mailer_message') IS NOT NULL THEN
            UPDATE notifications_bookingmail mail SET due_at = message.when_added
            FROM mailer_message message
            WHERE mail.queue_number = message.id AND mail.state = 'QUEUED';
            UPDATE mailer_message SET message_data = '';
            DELETE FROM mailer_messagelog;
        END IF;
    END $$
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('notifications', '0004_mail_queue'),
    ]

    operations = [
        django.contrib.postgres.operations.ValidateConstraint(
            model_name='bookingmail',
            name='booking_mail_open_or_settled',
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name='bookingmail',
            index=models.Index(condition=models.Q(('state__in', ('QUEUED', 'SENDING'))), fields=['due_at'], name='booking_mail_due'),
        ),
        migrations.RunSQL(FORGET_STORED_TEXTS, migrations.RunSQL.noop),
    ]
