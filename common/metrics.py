"""What is counted for Prometheus, by whoever does it and in whichever process; ``/metrics`` shows it (README).

Every label has few values, known beforehand: an operation is the name of an address and a method, never a path.
"""

import atexit
import logging
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from common.shared_counters import VARIABLE, Place

logger = logging.getLogger(__name__)


def _count_together() -> bool:
    """Before the first metric is made: whether this process counts in a folder, together with others."""
    folder = os.environ.get(VARIABLE)
    if folder:
        try:
            values.ValueClass = values.MultiProcessValue(Place(Path(folder)))
        except OSError as error:
            logger.warning("%s=%s cannot be used (%s): each process counts alone", VARIABLE, folder, error.strerror)
            values.ValueClass = values.MutexValue
            return False
        atexit.register(_close_files)
    return bool(folder)


def _close_files() -> None:
    """Python complains of files that are open at its end. A thread that is left may still count: then it complains."""
    if threading.active_count() == 1:
        values.close_all_multiprocess_files()


disable_created_metrics()
registry = CollectorRegistry()
together = _count_together()

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
    whole = CollectorRegistry()
    for collector in (MultiProcessCollector(None) if together else registry, *more):
        whole.register(collector)
    for _ in range(3):
        with suppress(struct.error):  # a process has just started, and its file is still empty
            return generate_latest(whole)
    return generate_latest(whole)
