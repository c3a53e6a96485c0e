"""``manage.py after_restore``: what a database from a backup needs before the screens may trust it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from mailer.models import Message

from notifications.mail import drop_all_queued
from notifications.retention import begin_anew


class Command(BaseCommand):
    help = "After a restore, and before the web server and the worker start: every screen reads everything anew."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--drop-mails", action="store_true", help="do not send the mails that waited at the backup")

    def handle(self, *args: Any, drop_mails: bool, **options: Any) -> None:
        waiting = begin_anew()
        if drop_mails:
            dropped = drop_all_queued("It waited in a backup that was restored: it may have been sent since.")
            self.stdout.write(f"Dropped: {dropped} mails.")
        mails = Message.objects.count()
        self.stdout.write(f"Every screen will read everything anew. To be sent: {waiting} events, {mails} mails.")
