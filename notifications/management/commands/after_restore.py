"""``manage.py after_restore``: prepares a database restored from a backup, so that clients reload everything."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from notifications.mail import drop_all_queued, open_mails
from notifications.retention import reset_after_restore


class Command(BaseCommand):
    help = "Run after a restore, before the web server and the worker start, so that every client reloads everything."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--drop-mails", action="store_true", help="do not send the e-mails that were queued in the backup"
        )

    def handle(self, *args: Any, drop_mails: bool, **options: Any) -> None:
        waiting = reset_after_restore()
        if drop_mails:
            dropped = drop_all_queued("It was queued in a restored backup: it may have been sent since.")
            self.stdout.write(f"Dropped: {dropped} e-mails.")
        mails = open_mails().count()
        self.stdout.write(f"Every client will reload everything. Still to be sent: {waiting} events, {mails} e-mails.")
