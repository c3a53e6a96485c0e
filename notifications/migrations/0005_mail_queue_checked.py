import django.contrib.postgres.operations
from django.db import migrations, models

import common.migrations

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
# The previous release's web processes still queue there until they are reloaded. Its worker would delete such a message
# when the e-mail is sent; the new one does not know of it.
EMPTY_THE_OLD_QUEUE = """
    DO $$ BEGIN
        IF to_regclass('mailer_message') IS NOT NULL THEN
            CREATE OR REPLACE FUNCTION leave_old_mail_queue() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
                DELETE FROM mailer_message WHERE id = NEW.queue_number;
                NEW.queue_number := NULL;
                RETURN NEW;
            END $body$;
            CREATE OR REPLACE TRIGGER leave_old_mail_queue BEFORE UPDATE ON notifications_bookingmail FOR EACH ROW
                WHEN (NEW.settled_at IS NOT NULL AND NEW.queue_number IS NOT NULL)
                EXECUTE FUNCTION leave_old_mail_queue();
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
        common.migrations.AddIndexConcurrently(
            model_name='bookingmail',
            index=models.Index(condition=models.Q(('state__in', ('QUEUED', 'SENDING'))), fields=['due_at'], name='booking_mail_due'),
        ),
        migrations.RunSQL(FORGET_STORED_TEXTS, migrations.RunSQL.noop),
        migrations.RunSQL(EMPTY_THE_OLD_QUEUE, 'DROP FUNCTION IF EXISTS leave_old_mail_queue() CASCADE'),
    ]
