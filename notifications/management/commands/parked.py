"""``manage.py parked``: the events that were given up, and a second chance for them."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand

from notifications import relay
from notifications.models import RealtimeEvent


class Command(BaseCommand):
    help = (
        "List the events that Pusher would not take and that were given up. Clients get them from the catch-up "
        "endpoint, so that sending them again is only worth it when everything was refused, as by a wrong proxy."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event", nargs="*", type=UUID, help="an event_id; all when left out")
        parser.add_argument("--send-again", action="store_true", help="let the relay try them once more")

    def handle(self, *args: Any, event: list[UUID], send_again: bool, **options: Any) -> None:
        parked = RealtimeEvent.objects.filter(parked_at__isnull=False).select_related("hotel").order_by("pk")
        if event:
            parked = parked.filter(event_id__in=event)
        for one in parked:
            self.stdout.write(
                f"{one.parked_at:%Y-%m-%d %H:%M:%S}Z {one.event_id} {one.hotel.slug}.{one.stream} #{one.seq} "
                f"{one.type}: {one.last_error}"
            )
        if not parked:
            self.stdout.write("No event is parked.")
        elif send_again:
            self.stdout.write(f"{relay.unpark(parked)} will be sent again.")
