"""What is counted for Prometheus, by whoever does it and in whichever process; ``/metrics`` shows it (README).

Every label has few values, known beforehand: an operation is the name of an address and a method, never a path. The
processes of one machine count together where ``PROMETHEUS_MULTIPROC_DIR`` names a folder: prometheus_client keeps files
for each process there, also for those that have ended, and adds them up.
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
# How a folder says that somebody has cleaned it, or has written half a file.
UNREADABLE = (OSError, ValueError, struct.error)

_operation = Histogram(
    "hotelmate_operation_seconds",
    "Requests by the name of their address, and the status of the answer.",
    ["operation", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=registry,
)


def operation_done(operation: str, status: int, seconds: float) -> None:
    """A request was answered. ``operation`` is one of few, such as ``POST booking-check-in``. Never fails."""
    try:
        _operation.labels(operation, str(status)).observe(seconds)
    except Exception:  # a full disk, say: whoever asked has their answer, and it is the right one
        logger.exception("%s could not be counted", operation)


def page(*more: Collector) -> bytes:
    """All that is counted, by every process that counts together with this one, and what ``more`` finds at this moment;
    in Prometheus's text format."""
    for _ in range(3):
        with suppress(*UNREADABLE):  # a process has just started, and its file is still empty
            return _text(MultiProcessCollector(None) if FOLDER else registry, *more)
    logger.warning("the counters in %s cannot be read: /metrics shows only what is asked of the database", FOLDER)
    return _text(*more)


def _text(*collectors: Collector) -> bytes:
    whole = CollectorRegistry()
    for collector in collectors:
        whole.register(collector)
    return generate_latest(whole)
