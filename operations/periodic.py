"""The periodic work of ``manage.py tick``; it is idempotent and can run concurrently.

An error in one hotel or one booking does not delay the others: each has its own transactions, and failures are logged
and retried by the next tick.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from django.db import OperationalError
from django.db.models import QuerySet

from common import clock
from common.database import is_unreachable
from hotel import calendar
from hotel.models import Hotel, IdempotentAnswer
from housekeeping.task_services import MORNING, open_stayover_tasks
from notifications.retention import forget_events
from room_bookings.models import RoomBooking
from room_bookings.services.expire import drop_drafts, expire_approvals, late_requests, stale_drafts
from room_bookings.services.overstay import flag_overstays, unflagged_overstays

logger = logging.getLogger(__name__)

ANSWERS_KEPT = timedelta(hours=24)
BATCH = 100  # bookings in one transaction
LISTED = 10  # booking ids listed in one log record


def tick() -> dict[str, int]:
    """Do all work that is due in every hotel; returns the counts by name.

    Requests past their approval deadline expire, abandoned drafts are dropped, overdue guests are flagged, the
    morning's stayover tasks are opened, expired events are deleted. Card payments are a separate job
    (``payment_sweep``). Raises if the database is unreachable.
    """
    work: dict[str, Callable[[Hotel], int]] = {
        "expired": partial(_in_batches, late_requests, expire_approvals),
        "drafts_dropped": partial(_in_batches, stale_drafts, drop_drafts),
        "overstays_flagged": partial(_in_batches, unflagged_overstays, flag_overstays),
        "stayovers_opened": _morning_tasks,
        "events_forgotten": forget_events,
    }
    done = dict.fromkeys(work, 0)
    for hotel in Hotel.objects.order_by("pk"):
        for name, do in work.items():
            try:
                done[name] += do(hotel)
            except Exception as error:  # continue with the other hotels and the other work
                _log_failure(f"{name} of hotel {hotel.slug}", error)
    return done | {"answers_forgotten": _forget_answers()}


def _log_failure(what: str, error: Exception) -> None:
    """Log failed work, which the next tick retries; re-raise if the database is unreachable."""
    if is_unreachable(error):
        raise error
    # A lock timeout is not a bug.
    level = logging.WARNING if isinstance(error, OperationalError) else logging.ERROR
    logger.log(level, "%s has to wait for the next tick: %s", what, type(error).__name__, exc_info=error)


def _in_batches(
    due: Callable[[Hotel], QuerySet[RoomBooking]], work: Callable[[Hotel, Sequence[int]], int], hotel: Hotel
) -> int:
    """Do ``work`` on the hotel's ``due`` bookings, one transaction per batch; a failed batch is retried one by one."""
    ids = list(due(hotel).order_by("pk").values_list("pk", flat=True))
    batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    done = 0
    for batch in batches:
        try:
            done += work(hotel, batch)
        except Exception as error:
            if is_unreachable(error):
                raise
            done += _one_by_one(work, hotel, batch)
    return done


def _one_by_one(work: Callable[[Hotel, Sequence[int]], int], hotel: Hotel, batch: Sequence[int]) -> int:
    done, failed = 0, dict[int, Exception]()
    for pk in batch:
        try:
            done += work(hotel, [pk])
        except Exception as error:
            if is_unreachable(error):
                raise
            failed[pk] = error
    if failed:
        ids = ", ".join(map(str, list(failed)[:LISTED]))
        what = f"{work.__name__} of hotel {hotel.slug} for {len(failed)} of {len(batch)} bookings (ids {ids})"
        _log_failure(what, next(iter(failed.values())))
    return done


def _morning_tasks(hotel: Hotel) -> int:
    now = calendar.local_now(hotel)
    return open_stayover_tasks(hotel, now.date()) if now.time() >= MORNING else 0


def _forget_answers() -> int:
    try:
        return IdempotentAnswer.objects.filter(created_at__lt=clock.now() - ANSWERS_KEPT).delete()[0]
    except Exception as error:
        _log_failure("answers_forgotten", error)
        return 0
