"""``manage.py worker``: a relay of its own, for a house whose web processes have none (``REALTIME_RELAY=off``)."""

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from notifications.relay import Relay


class Command(BaseCommand):
    help = "Send events to Pusher until SIGTERM or Ctrl-C; any number of workers may run."

    def handle(self, *args: Any, **options: Any) -> None:
        relay = Relay()

        def stop(_signal: int, _frame: FrameType | None) -> None:
            relay.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self.stdout.write("Sending events. Ctrl-C ends it.")
        self.stdout.flush()  # also into a pipe or a log, where it would wait for more
        relay.run()
