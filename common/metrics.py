"""What is counted for Prometheus, by whoever does it and in whichever process; ``/metrics`` shows it (README).

Every label has few values, known beforehand: an operation is the name of an address and a method, never a path.
"""

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics

disable_created_metrics()
registry = CollectorRegistry()

_operation = Histogram(
    "hotelmate_operation_seconds",
    "Requests by the name of their address, and the status of the answer.",
    ["operation", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)


def operation_done(operation: str, status: int, seconds: float) -> None:
    """A request was answered. ``operation`` is one of few, such as ``POST set-room-status``."""
    _operation.labels(operation, str(status)).observe(seconds)
