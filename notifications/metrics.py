"""What is counted of events on their way to the screens (common/metrics.py says how it is shown)."""

from prometheus_client import Counter, Histogram

from common.metrics import registry

_sent = Counter("hotelmate_events_sent", "Events that the provider has accepted.", registry=registry)
_retried = Counter(
    "hotelmate_events_retried",
    "Events in a batch that failed and will be tried again: one event in three failed attempts counts three times.",
    registry=registry,
)
_parked = Counter("hotelmate_events_parked", "Events that the provider refused for good.", registry=registry)
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
    """The provider refused one event for good."""
    _parked.inc()
