"""``manage.py tick``: what the passing of time does, once. ``manage.py worker`` does it every minute, in two
threads: a card provider that hangs keeps nobody's deadline waiting."""

from typing import Any

from django.core.management.base import BaseCommand

from operations.periodic import tick
from room_bookings.services.payment_sweep import settle_payments


class Command(BaseCommand):
    help = "Expire requests, flag overstays, drop drafts, open the morning's tasks, forget old events, settle payments."

    def handle(self, *args: Any, **options: Any) -> None:
        for what, count in (tick() | settle_payments()).items():
            self.stdout.write(f"{what.replace('_', ' ')}: {count}")
