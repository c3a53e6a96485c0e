"""``manage.py parked``: lists the events that the relay gave up, and can send them again."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand

from notifications import relay
from notifications.models import RealtimeEvent


class Command(BaseCommand):
    help = (
        "List the events that Pusher refused and the relay gave up. Clients get them from the catch-up endpoint, so "
        "sending them again is only worthwhile if everything was refused, for example by a misconfigured proxy."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event", nargs="*", type=UUID, help="an event_id (default: all)")
        parser.add_argument("--send-again", action="store_true", help="let the relay send them again")

    def handle(self, *args: Any, event: list[UUID], send_again: bool, **options: Any) -> None:
        parked = RealtimeEvent.objects.filter(parked_at__isnull=False).select_related("hotel").order_by("pk")
        if event:
            parked = parked.filter(event_id__in=event)
        for found in parked:
            self.stdout.write(
                f"{found.parked_at:%Y-%m-%d %H:%M:%S}Z {found.event_id} {found.hotel.slug}.{found.stream} #{found.seq} "
                f"{found.type}: {found.last_error}"
            )
        if not parked:
            self.stdout.write("No events are parked.")
        elif send_again:
            self.stdout.write(f"{relay.unpark(parked)} will be sent again.")
