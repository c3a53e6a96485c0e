"""What the passing of time does to bookings: the work of ``manage.py tick``, safe to run twice and in parallel."""

import logging
from collections.abc import Callable
from datetime import time, timedelta

from django.db import OperationalError

from common import clock
from hotel import calendar
from hotel.models import Hotel, IdempotentAnswer
from housekeeping.task_services import open_stayover_tasks
from notifications.retention import forget_events
from room_bookings.services.approval import settle_payments
from room_bookings.services.expire import BATCH, drop_drafts, expire_approvals
from room_bookings.services.overstay import flag_overstays

logger = logging.getLogger(__name__)

MORNING = time(6)  # on the hotel's clock: when housekeeping's stayover tasks are opened
ANSWERS_KEPT = timedelta(hours=24)


def tick() -> dict[str, int]:
    """Do whatever is due by now, in every hotel; returns how many of each were done.

    Requests past their approval deadline expire, unfinished bookings are dropped, overdue guests are flagged, the
    morning's stayover tasks are opened, events that are kept no longer are forgotten, card payments that a crash left
    half done are settled.
    """
    done = {"expired": 0, "drafts_dropped": 0, "overstays_flagged": 0, "stayovers_opened": 0, "events_forgotten": 0}
    for hotel in Hotel.objects.order_by("pk"):
        done["expired"] += _attempt(hotel, lambda hotel: _in_batches(expire_approvals, hotel))
        done["drafts_dropped"] += _attempt(hotel, lambda hotel: _in_batches(drop_drafts, hotel))
        done["overstays_flagged"] += _attempt(hotel, flag_overstays)
        done["stayovers_opened"] += _attempt(hotel, _morning_tasks)
        done["events_forgotten"] += _attempt(hotel, forget_events)
    done["answers_forgotten"] = IdempotentAnswer.objects.filter(created_at__lt=clock.now() - ANSWERS_KEPT).delete()[0]
    return done | settle_payments()


def _attempt(hotel: Hotel, work: Callable[[Hotel], int]) -> int:
    """A row that somebody holds for long must not keep the other hotels waiting: the next tick takes it."""
    try:
        return work(hotel)
    except OperationalError:
        logger.warning("periodic work of hotel %s has to wait for the next tick", hotel.pk, exc_info=True)
        return 0


def _in_batches(work: Callable[[Hotel], int], hotel: Hotel) -> int:
    done = count = work(hotel)
    while count == BATCH:
        count = work(hotel)
        done += count
    return done


def _morning_tasks(hotel: Hotel) -> int:
    now = calendar.local_now(hotel)
    return open_stayover_tasks(hotel, now.date()) if now.time() >= MORNING else 0
