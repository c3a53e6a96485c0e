"""Metrics of event delivery: counters, and the backlog (common/metrics.py exposes them)."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper
from prometheus_client import Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily

from common import clock
from common.metrics import registry
from notifications.models import STREAMS

# Uses three partial indexes, which contain only unsent events.
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

_sent = Counter("hotelmate_events_sent", "Events accepted by the provider.", registry=registry)
_retried = Counter(
    "hotelmate_events_retried",
    "Events in failed batches, to be retried: an event that fails three times counts three times.",
    registry=registry,
)
_parked = Counter("hotelmate_events_parked", "Events given up because the provider refused them.", registry=registry)
_delivery = Histogram(
    "hotelmate_event_delivery_seconds",
    "Time from an event's creation to its acceptance by the provider.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
    registry=registry,
)


def event_sent(waited_seconds: float) -> None:
    """The provider has accepted one event, ``waited_seconds`` after its creation."""
    _sent.inc()
    _delivery.observe(max(0.0, waited_seconds))


def events_retried(count: int) -> None:
    """An attempt to send ``count`` events failed and will be retried."""
    _retried.inc(count)


def event_parked() -> None:
    """One event was given up."""
    _parked.inc()


# --- backlog ----------------------------------------------------------------------------------------------------------


class Backlog(NamedTuple):
    """Unsent events of one stream name, over all hotels.

    ``oldest_seconds`` is 0 when none is waiting; parked events are not waiting.
    """

    waiting: int = 0
    oldest_seconds: float = 0.0
    parked: int = 0


def backlog(connection: BaseDatabaseWrapper) -> dict[str, Backlog]:
    """Unsent events by stream name; one statement, whose cost does not grow with the number of sent events."""
    found = dict.fromkeys(STREAMS, Backlog())
    with connection.cursor() as cursor:
        cursor.execute(BACKLOG)
        for stream, waiting, oldest, parked in cursor.fetchall():
            found[stream] = Backlog(waiting, _age(oldest), parked)
    return found


def _age(moment: datetime | None) -> float:
    return max(0.0, (clock.now() - moment).total_seconds()) if moment else 0.0


def backlog_gauges(found: dict[str, Backlog]) -> Iterator[Metric]:
    """The backlog as Prometheus gauges."""
    for name, text, field in (
        ("hotelmate_events_waiting", "Events waiting to be sent.", "waiting"),
        (
            "hotelmate_oldest_waiting_seconds",
            "Age of the oldest waiting event; 0 if there is none.",
            "oldest_seconds",
        ),
        ("hotelmate_events_parked_now", "Events currently given up (manage.py parked).", "parked"),
    ):
        gauge = GaugeMetricFamily(name, text, labels=["stream"])
        for stream, counts in found.items():
            gauge.add_metric([stream], getattr(counts, field))
        yield gauge
