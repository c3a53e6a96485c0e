"""``manage.py seed_demo``: creates the demo hotels with their staff, rooms and bookings."""

import os
import secrets
from typing import Any

from django.core.management.base import BaseCommand

from operations.demo import seed
from operations.replay.hotels import HOTELS, MEMBERS


class Command(BaseCommand):
    help = "Create the demo hotels; idempotent. The password is DEMO_PASSWORD, or is generated and printed."

    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get("DEMO_PASSWORD") or secrets.token_urlsafe(9)
        seed(password, self.stdout.write)
        if not os.environ.get("DEMO_PASSWORD"):
            names = ", ".join(f"{spec.slug}-{name}" for spec in HOTELS for name, *_ in MEMBERS)
            self.stdout.write(f"Sign in as {names} or admin; the password for all of them is {password}")
