"""The periodic work of ``manage.py tick``; it is idempotent, and several workers share it.

One statement per kind of work finds the hotels in which it is due; only these are visited, each by one worker at a
time. An error in one hotel or one booking does not delay the others: each has its own transactions, and failures are
logged and retried by the next tick.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from django.db import OperationalError
from django.db.models import QuerySet
from knox.models import AuthToken

from common import clock
from common.database import advisory_lock, delete_in_portions, is_unreachable
from hotel import calendar
from hotel.models import Hotel, IdempotentAnswer, UserSession
from housekeeping.blocks import due_blocks, hotels_with_due_blocks, roll_blocks
from housekeeping.models import StayoverDay
from housekeeping.task_services import MORNING, hotels_without_stayovers, open_stayover_tasks
from notifications.retention import forget_events, hotels_with_old_events
from room_bookings.models import RoomBooking
from room_bookings.services.expire import (
    drop_drafts,
    expire_approvals,
    late_requests,
    late_requests_anywhere,
    stale_drafts,
    stale_drafts_anywhere,
)
from room_bookings.services.overstay import flag_overstays, hotels_with_unflagged_overstays, unflagged_overstays

logger = logging.getLogger(__name__)

ANSWERS_KEPT = timedelta(hours=24)
ADVISORY_NAMESPACE = 7_304  # the first key of our advisory locks; the second is the hotel's pk
BATCH = 100  # rows in one transaction
LISTED = 10  # ids listed in one log record


# The rows that are deleted in all hotels at once, oldest first; an index finds each.
OLD_ROWS: dict[str, Callable[[], QuerySet[Any]]] = {
    "answers_forgotten": lambda: IdempotentAnswer.objects.filter(created_at__lt=clock.now() - ANSWERS_KEPT).order_by(
        "created_at"
    ),
    "sessions_forgotten": lambda: UserSession.objects.filter(expire_date__lt=clock.now()).order_by("expire_date"),
    "tokens_forgotten": lambda: AuthToken.objects.filter(expiry__lt=clock.now()).order_by("expiry"),
}


class Work(NamedTuple):
    """A kind of work: the hotels (pks) in which it is due, and how it is done in one of them."""

    due: Callable[[], Iterable[int]]
    do: Callable[[Hotel], int]


def works() -> dict[str, Work]:
    """The kinds of work by name, in the order in which a hotel's are done."""
    return {
        "expired": Work(
            lambda: _hotels_of(late_requests_anywhere()), partial(_in_batches, late_requests, expire_approvals)
        ),
        "drafts_dropped": Work(
            lambda: _hotels_of(stale_drafts_anywhere()), partial(_in_batches, stale_drafts, drop_drafts)
        ),
        "overstays_flagged": Work(
            lambda: hotels_with_unflagged_overstays().values_list("pk", flat=True),
            partial(_in_batches, unflagged_overstays, flag_overstays),
        ),
        "blocks_rolled": Work(
            lambda: hotels_with_due_blocks().values_list("pk", flat=True),
            partial(_in_batches, due_blocks, roll_blocks),
        ),
        "stayovers_opened": Work(lambda: hotels_without_stayovers().values_list("pk", flat=True), _morning_tasks),
        "events_forgotten": Work(hotels_with_old_events, forget_events),
    }


def tick() -> dict[str, int]:
    """Do all work that is due in every hotel; returns the counts by name.

    Requests past their approval deadline expire, abandoned drafts are dropped, overdue guests are flagged, blocks of
    rooms end and begin, the morning's stayover tasks are opened; old events, stored responses, sessions and tokens are
    deleted. Card payments are a separate job (``payment_sweep``). A hotel that another worker is busy with is skipped.
    Raises if the database is unreachable.
    """
    kinds = works()
    done = dict.fromkeys(kinds, 0)
    due: dict[int, list[str]] = {}
    for name, work in kinds.items():
        try:
            for pk in work.due():
                due.setdefault(pk, []).append(name)
        except Exception as error:  # continue with the other work
            _log_failure(name, error)
    # In random order, so that workers that start together share the hotels, instead of following one another.
    for hotel in Hotel.objects.filter(pk__in=due).order_by("?") if due else ():
        with advisory_lock(ADVISORY_NAMESPACE, hotel.pk % 2**31) as alone:
            for name in due[hotel.pk] if alone else ():
                try:
                    done[name] += kinds[name].do(hotel)
                except Exception as error:  # continue with the other hotels and the other work
                    _log_failure(f"{name} of hotel {hotel.slug}", error)
    for name, rows in OLD_ROWS.items():
        done[name] = 0
        try:
            done[name] = delete_in_portions(rows())
        except Exception as error:
            _log_failure(name, error)
    return done


def _hotels_of(due: QuerySet[RoomBooking]) -> Iterable[int]:
    return due.order_by().values_list("hotel", flat=True).distinct()


def _log_failure(what: str, error: Exception) -> None:
    """Log failed work, which the next tick retries; re-raise if the database is unreachable."""
    if is_unreachable(error):
        raise error
    # A lock timeout is not a bug.
    level = logging.WARNING if isinstance(error, OperationalError) else logging.ERROR
    logger.log(level, "%s has to wait for the next tick: %s", what, type(error).__name__, exc_info=error)


def _in_batches(
    due: Callable[[Hotel], QuerySet[Any]], work: Callable[[Hotel, Sequence[int]], int], hotel: Hotel
) -> int:
    """Do ``work`` on the hotel's ``due`` rows, one transaction per batch; a failed batch is retried one by one."""
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
        what = f"{work.__name__} of hotel {hotel.slug} for {len(failed)} of {len(batch)} rows (ids {ids})"
        _log_failure(what, next(iter(failed.values())))
    return done


def _morning_tasks(hotel: Hotel) -> int:
    now = calendar.local_now(hotel)
    # Looked up again under the hotel's lock: another worker may have opened them since the hotels were listed.
    if now.time() < MORNING or StayoverDay.objects.filter(hotel=hotel, day=now.date()).exists():
        return 0
    return open_stayover_tasks(hotel, now.date())
