"""``manage.py after_restore``: what a database from a backup needs before the screens may trust it."""

from typing import Any

from django.core.management.base import BaseCommand
from mailer.models import Message

from notifications.retention import begin_anew


class Command(BaseCommand):
    help = "After a restore, and before the web server and the worker start: every screen reads everything anew."

    def handle(self, *args: Any, **options: Any) -> None:
        waiting = begin_anew()
        mails = Message.objects.count()
        self.stdout.write(f"Every screen will read everything anew. To be sent: {waiting} events, {mails} mails.")
