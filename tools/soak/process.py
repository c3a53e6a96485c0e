"""``python -m tools.soak.process …``: ``manage.py`` on the soak's clock, and the setup of the soak's web processes.

``SOAK_CLOCK`` (a ``Timeline``) is read here and nowhere in the product.
"""

import os
import sys
import time
from datetime import datetime, timedelta
from typing import Any

from tools.soak.timeline import Timeline

PATIENCE = 30.0  # seconds for which a payment may be in progress: twice what it takes with STRIPE_TIMEOUT
KEYS_KEPT = 90.0  # seconds for which an Idempotency-Key is kept, even when the clock jumps
STRIPE_TIMEOUT = 2.0
TICK_SECONDS = 2.0


class Ago:
    """A span of real time that can be subtracted from ``clock.now()``."""

    def __init__(self, timeline: Timeline, seconds: float) -> None:
        self._timeline, self._seconds = timeline, seconds

    def __rsub__(self, now: datetime) -> datetime:
        return min(now, self._timeline.moment(time.time() - self._seconds))


def install() -> None:
    """Set this process's clock. Call it before importing product code: models keep a reference to ``clock.now``."""
    from common import clock

    timeline = Timeline.from_json(os.environ["SOAK_CLOCK"])

    def now() -> datetime:
        return clock._set_to.get() or timeline.moment(time.time())

    setattr(clock, "now", now)  # noqa: B010 - all code reads the time here


def adapt() -> None:
    """After Django's setup, make timeouts for providers and clients count real seconds, not the hotels' clock."""
    from django.conf import settings

    from operations import periodic
    from operations.management.commands import worker
    from room_bookings.services import payment_sweep, settlement

    timeline = Timeline.from_json(os.environ["SOAK_CLOCK"])
    settings.STRIPE_TIMEOUT = STRIPE_TIMEOUT
    patient: Any = Ago(timeline, PATIENCE)
    changed: Any = settlement
    changed.FRESH = patient
    changed = periodic
    changed.ANSWERS_KEPT = Ago(timeline, KEYS_KEPT)
    usual = worker.jobs
    often = {"tick": periodic.tick, "payments": lambda: payment_sweep.settle_payments(patient)}
    changed = worker
    changed.jobs = lambda stopping: [
        worker.Job(job.name, TICK_SECONDS, often[job.name]) if job.name in often else job for job in usual(stopping)
    ]


def settle() -> int:
    """Finish every payment in progress, even before its retry is due; returns how many are left."""
    from operations.periodic import tick
    from room_bookings.models import IN_FLIGHT_PAYMENTS, PaymentRetry, RoomBooking
    from room_bookings.services.payment_sweep import settle_payments

    tick()
    PaymentRetry.objects.all().delete()
    settle_payments(timedelta(0))
    return RoomBooking.objects.filter(payment_state__in=IN_FLIGHT_PAYMENTS).count()


def main() -> None:
    install()
    import django

    django.setup()
    adapt()
    if sys.argv[1:] == ["settle"]:
        for _ in range(10):
            if not settle():
                return
            time.sleep(0.5)
        sys.exit("Payments are still in progress.")
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *sys.argv[1:]])


if __name__ == "__main__":
    main()
