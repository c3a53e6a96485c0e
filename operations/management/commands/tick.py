"""``manage.py tick``: runs the periodic work once. ``manage.py worker`` runs it every minute, in two threads, so that a
card provider that hangs does not delay deadlines."""

from typing import Any

from django.core.management.base import BaseCommand

from operations.periodic import tick
from room_bookings.services.payment_sweep import settle_payments


class Command(BaseCommand):
    help = "Expire requests, flag overstays, drop drafts, open stayover tasks, delete old events, settle payments."

    def handle(self, *args: Any, **options: Any) -> None:
        for what, count in (tick() | settle_payments()).items():
            self.stdout.write(f"{what.replace('_', ' ')}: {count}")
