"""What is counted of events on their way to the screens, and how many wait (common/metrics.py says how it is shown)."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client import Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily

from common import clock
from common.metrics import registry
from notifications.models import STREAMS

# Three partial indexes, which hold what is not sent and nothing else.
BACKLOG = """
    SELECT stream, count(*) FILTER (WHERE NOT parked), min(created_at) FILTER (WHERE NOT parked),
        count(*) FILTER (WHERE parked)
    FROM (
        SELECT stream, created_at, false AS parked FROM notifications_realtimeevent WHERE seq IS NULL
        UNION ALL
        SELECT stream, created_at, false FROM notifications_realtimeevent
        WHERE seq IS NOT NULL AND sent_at IS NULL AND parked_at IS NULL
        UNION ALL
        SELECT stream, created_at, true FROM notifications_realtimeevent WHERE parked_at IS NOT NULL
    ) event
    GROUP BY stream
"""

_sent = Counter("hotelmate_events_sent", "Events that the provider has accepted.", registry=registry)
_retried = Counter(
    "hotelmate_events_retried",
    "Events in a batch that failed and will be tried again: one event in three failed attempts counts three times.",
    registry=registry,
)
_parked = Counter(
    "hotelmate_events_parked", "Events that were given up, as the provider would not take them.", registry=registry
)
_delivery = Histogram(
    "hotelmate_event_delivery_seconds",
    "From the moment an event was made to the provider's acceptance.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    registry=registry,
)


def event_sent(waited_seconds: float) -> None:
    """The provider has accepted one event, ``waited_seconds`` after it was made."""
    _sent.inc()
    _delivery.observe(max(0.0, waited_seconds))


def events_retried(count: int) -> None:
    """An attempt to send ``count`` events failed, and will be made again."""
    _retried.inc(count)


def event_parked() -> None:
    """One event was given up."""
    _parked.inc()


# --- what waits -------------------------------------------------------------------------------------------------------


class Backlog(NamedTuple):
    """Events of one stream name, of all hotels together, that have not been sent. ``oldest_seconds`` is 0 when none
    waits; parked ones do not."""

    waiting: int = 0
    oldest_seconds: float = 0.0
    parked: int = 0


def backlog(connection: BaseDatabaseWrapper) -> dict[str, Backlog]:
    """What has not been sent, by stream name; in one statement, whose cost does not grow with what was sent."""
    found = dict.fromkeys(STREAMS, Backlog())
    with connection.cursor() as cursor:
        cursor.execute(BACKLOG)
        for stream, waiting, oldest, parked in cursor.fetchall():
            found[stream] = Backlog(waiting, _age(oldest), parked)
    return found


def _age(moment: datetime | None) -> float:
    return max(0.0, (clock.now() - moment).total_seconds()) if moment else 0.0


def backlog_gauges(found: dict[str, Backlog]) -> Iterator[Metric]:
    """The backlog as Prometheus reads it."""
    for name, text, field in (
        ("hotelmate_events_waiting", "Events that wait to be sent.", "waiting"),
        (
            "hotelmate_oldest_waiting_seconds",
            "For how long the oldest of them has; 0: none.",
            "oldest_seconds",
        ),
        ("hotelmate_events_parked_now", "Events that are given up at the moment (manage.py parked).", "parked"),
    ):
        gauge = GaugeMetricFamily(name, text, labels=["stream"])
        for stream, counts in found.items():
            gauge.add_metric([stream], getattr(counts, field))
        yield gauge
