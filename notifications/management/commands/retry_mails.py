"""``manage.py retry_mails``: retries all waiting e-mails at once, for example when the mail server is back."""

from typing import Any

from django.core.management.base import BaseCommand

from notifications.mail import retry_all


class Command(BaseCommand):
    help = "Retry all waiting e-mails now, instead of at the time of their next try; the worker sends them."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{retry_all()} e-mails are due now.")
