"""The registry of Prometheus metrics that ``/metrics`` exposes (README).

Every label has a small, fixed set of values: an operation is a method and a route name, never a path. If
``PROMETHEUS_MULTIPROC_DIR`` names a folder, the processes of one machine count together: prometheus_client keeps files
there for each process, including those that have ended, and adds them up.
"""

import logging
import os
import struct
from contextlib import suppress

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
if FOLDER:
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)

disable_created_metrics()
registry = CollectorRegistry()
# Raised when files of the folder were removed or are half written.
UNREADABLE = (OSError, ValueError, struct.error)

_operation = Histogram(
    "hotelmate_operation_seconds",
    "Requests by route name and response status.",
    ["operation", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)


def operation_done(operation: str, status: int, seconds: float) -> None:
    """Count a request. ``operation`` is a method and a route name, such as ``POST booking-check-in``. Never raises."""
    try:
        _operation.labels(operation, str(status)).observe(seconds)
    except Exception:  # such as a full disk: the response is ready and must not fail for this
        logger.exception("%s could not be counted", operation)


def page(*more: Collector) -> bytes:
    """The metrics of this process and those that count with it, and what ``more`` collects now, in Prometheus's text
    format."""
    for _ in range(3):
        with suppress(*UNREADABLE):  # a process has just started, and its file is still empty
            return _text(MultiProcessCollector(None) if FOLDER else registry, *more)
    logger.warning("the counters in %s cannot be read: /metrics shows only what comes from the database", FOLDER)
    return _text(*more)


def _text(*collectors: Collector) -> bytes:
    whole = CollectorRegistry()
    for collector in collectors:
        whole.register(collector)
    return generate_latest(whole)
