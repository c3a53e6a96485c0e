"""How gunicorn serves HotelMate; every value can be overridden on its command line."""

import os
from typing import Any

from local.memory import make_counters_folder, remove_counters_folders, shared_memory

bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
wsgi_app = "hotelmate.wsgi:application"
# Threads, because a request waits for PostgreSQL most of its time; the processes are for the cores. Each thread keeps a
# database connection, and so do the six of a relay: two processes of four threads take up to 20.
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
# Each process loads the code for itself, so that a reload (SIGHUP) brings new code; and no thread is there to be lost
# in a fork.
preload_app = False
# Processes stay until a reload: they settle below 100 MB, with lists of 5,000 rooms too, and a new one costs the start
# of a relay and files of counters.
max_requests = 0
# Seconds. How long a process whose main loop hangs may live; a slow request does not count as that, its thread waits
# elsewhere. What a request may wait for has limits of its own: 3 s for a lock, 10 s for an answer of Stripe, for which
# a quarter of the threads may wait (PAYMENT_CALLS_AT_ONCE).
timeout = 30
# Seconds for the requests at hand after a SIGTERM or a SIGHUP: two answers of Stripe. Then what is left is killed; a
# supervisor must wait longer (deploy/systemd/).
graceful_timeout = 20
# Seconds for which a connection stays open for a next request. A proxy in front must let go of it sooner, or it may
# send a request into a connection that is just being closed (deploy/Caddyfile does).
keepalive = 5
# No header moves the application elsewhere or makes http https. gunicorn would believe SCRIPT_NAME, X-Forwarded-Ssl and
# others of whoever is at 127.0.0.1 or behind a Unix socket: behind a proxy on this machine that is every client. What a
# proxy may say is Django's to believe: X-Forwarded-Proto with TRUST_PROXY_PROTO, X-Forwarded-For with NUM_PROXIES.
# A name with an underscore is dropped: X_Forwarded_Proto would pass for X-Forwarded-Proto.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = ""
header_map = "drop"
# A process shows that it lives by touching a file: in memory, where no slow disk makes it look dead.
_memory = shared_memory()
worker_tmp_dir = str(_memory) if _memory else None
# Nobody steers it through a socket in a home folder that a service may not have.
control_socket_disable = True
# No access log: addresses of people and references of bookings would be in it. /metrics counts the requests, and a
# proxy can log what is lawful where it stands.
accesslog = None

# What the processes count is one number on /metrics; the variable must be there before any of them counts.
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(make_counters_folder())

# Seconds; an event whose batch is cut short is sent again by whoever comes next.
STOP_PATIENCE = 6
_relays: list[Any] = []


def post_worker_init(worker: Any) -> None:
    """Start the relay in the worker, after the fork: a thread does not survive one.

    And teach gunicorn our ways; here, and not in its first process, so that a reload brings new code.
    """
    from django.conf import settings
    from gunicorn import util

    from common.logs import redact_server_log
    from common.postgres.validation import log_problems
    from hotelmate.malformed_requests import write_error

    redact_server_log(worker.log.error_log)
    util.write_error = write_error
    log_problems()

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
    remove_counters_folders()
