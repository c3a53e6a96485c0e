"""gunicorn's configuration; every value can be overridden on its command line."""

import os
from typing import Any

from local.metrics_folder import make_counters_folder, remove_counters_folders, shared_memory

bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
wsgi_app = "hotelmate.wsgi:application"
# Threads, because a request mostly waits for PostgreSQL; processes, to use the cores. Each thread keeps a database
# connection, and so do the five threads of a relay: two processes of four threads take up to 18.
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
# Each process loads the code itself, so that a reload (SIGHUP) picks up new code, and no thread is lost in a fork.
preload_app = False
# Processes stay until a reload: they settle below 100 MB, even with lists of 5,000 rooms, and a new one costs the start
# of a relay and new counter files.
max_requests = 0
# Seconds after which a process whose main loop hangs is killed. A slow request does not count: it runs in a thread.
# What a request waits for has its own limits: 3 s for a lock, 10 s for a response from Stripe, for which a quarter of
# the threads may wait (PAYMENT_CALLS_AT_ONCE).
timeout = 30
# Seconds for running requests to finish after a SIGTERM or SIGHUP: two responses from Stripe. Then they are killed; a
# supervisor must wait longer (deploy/systemd/).
graceful_timeout = 20
# Seconds for which an idle connection stays open. A proxy in front must close it sooner (deploy/Caddyfile does), or it
# may send a request into a connection that is just being closed.
keepalive = 5
# Trust no header about the script name or the scheme. gunicorn would accept SCRIPT_NAME, X-Forwarded-Ssl and others
# from 127.0.0.1 or a Unix socket: behind a proxy on this machine, that is from every client. Only Django decides what
# to accept from a proxy: X-Forwarded-Proto with TRUST_PROXY_PROTO, X-Forwarded-For with NUM_PROXIES. Headers with an
# underscore are dropped: X_Forwarded_Proto would pass for X-Forwarded-Proto.
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
forwarded_allow_ips = ""
header_map = "drop"
# A process proves that it is alive by touching a file; in memory, so that a slow disk does not make it look dead.
_memory = shared_memory()
worker_tmp_dir = str(_memory) if _memory else None
# No control socket: it would be in a home folder, which a service may not have.
control_socket_disable = True
# No access log: it would contain IP addresses and booking references. /metrics counts the requests, and a proxy can log
# what the law allows.
accesslog = None

# /metrics adds up the counts of all processes; the variable must be set before any of them counts.
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(make_counters_folder())

# Seconds for which a statement may go unanswered. None of a request takes as long.
DATABASE_PATIENCE = 10
# Seconds; the next relay resends the events of an interrupted batch.
STOP_PATIENCE = 6
_relays: list[Any] = []


def post_worker_init(worker: Any) -> None:
    """Start the relay in the worker, after the fork, because threads do not survive one.

    gunicorn's logging and error pages are replaced here, not in its master process, so that a reload picks up new code.
    """
    from django.conf import settings
    from gunicorn import util

    from common.logs import redact_server_log
    from common.postgres.patience import limit_waits
    from common.postgres.validation import require_guarantees
    from hotelmate.malformed_requests import write_error

    redact_server_log(worker.log.error_log)
    util.write_error = write_error
    limit_waits(DATABASE_PATIENCE)
    require_guarantees()

    if settings.REALTIME_RELAY == "thread":
        from notifications import relay

        _relays.append(relay.start_thread())


def worker_exit(server: Any, worker: Any) -> None:
    """Let the relay finish its current batch."""
    for relay in _relays:
        relay.stop()
        relay.join(STOP_PATIENCE)


def on_exit(server: Any) -> None:
    """Delete the counters of this run, unless PROMETHEUS_MULTIPROC_DIR named another folder."""
    remove_counters_folders()
