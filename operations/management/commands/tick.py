"""``manage.py tick``: runs the periodic work once. ``manage.py worker`` runs it every minute, in two threads, so that a
card provider that hangs does not delay deadlines."""

from typing import Any

from django.core.management.base import BaseCommand

from operations.periodic import tick
from room_bookings.services.payment_sweep import settle_payments

LABELS = {
    "expired": "requests expired",
    "drafts_dropped": "drafts dropped",
    "overstays_flagged": "overstays flagged",
    "blocks_rolled": "blocks begun or ended",
    "stayovers_opened": "stayover tasks opened",
    "events_forgotten": "old events deleted",
    "answers_forgotten": "old idempotency records deleted",
    "sessions_forgotten": "expired sessions deleted",
    "tokens_forgotten": "expired tokens deleted",
    "payments_finished": "payments settled",
    "payments_reverted": "payments reverted",
    "payments_retry": "payments to be requested again",
    "payments_superseded": "payments settled by another process",
    "payments_unanswered": "payments without a response from the provider",
    "payments_failed": "payments failed",
    "payments_not_configured": "payments waiting for an API key",
    "payments_parked": "payments parked",
}


class Command(BaseCommand):
    help = "Expire requests, flag overstays, drop drafts, open stayover tasks, delete what is old, settle payments."

    def handle(self, *args: Any, **options: Any) -> None:
        for name, count in (tick() | settle_payments()).items():
            self.stdout.write(f"{LABELS.get(name, name.replace('_', ' '))}: {count}")
