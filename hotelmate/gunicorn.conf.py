"""How gunicorn serves HotelMate; every value can be overridden on its command line."""

import os
import shutil
import tempfile
from typing import Any

bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
# Threads, because a request waits for PostgreSQL most of its time; the processes are for the cores.
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
wsgi_app = "hotelmate.wsgi:application"
graceful_timeout = 10
# Long enough for a status change that waits for a lock (3 s), short enough to notice a worker that hangs.
timeout = 30
accesslog = None

# What the processes count is one number on /metrics; the variable must be there before any of them counts.
_COUNTERS = os.path.join(tempfile.gettempdir(), "hotelmate-metrics-")
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=_COUNTERS)

# Seconds; an event whose batch is cut short is sent again by whoever comes next.
STOP_PATIENCE = 6
_relays: list[Any] = []


def post_worker_init(worker: Any) -> None:
    """Start the relay in the worker, after the fork: a thread does not survive one."""
    from django.conf import settings

    if settings.REALTIME_RELAY == "thread":
        from notifications import relay

        _relays.append(relay.start_thread())


def worker_exit(server: Any, worker: Any) -> None:
    """Let the relay finish the batch at hand."""
    for relay in _relays:
        relay.stop()
        relay.join(STOP_PATIENCE)


def on_exit(server: Any) -> None:
    """The counters of this run end with it, unless they were wanted elsewhere."""
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    if folder.startswith(_COUNTERS):
        shutil.rmtree(folder, ignore_errors=True)
