"""``manage.py worker``: what happens without anybody asking: events and mail go out, deadlines are kept."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand
from django.db import close_old_connections, connection

from common.database import DATABASE_FAILURES
from common.postgres.validation import log_problems
from notifications import mail, mail_sending, relay
from operations import periodic
from room_bookings.services import payment_sweep

logger = logging.getLogger(__name__)

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
# Seconds, less than a supervisor waits before it kills. What is cut short then is done again by whoever comes next.
STOP_PATIENCE = 6


class Job(NamedTuple):
    """Something to do every so many seconds, in a thread of its own: a slow one does not hold up the others."""

    name: str
    seconds: float
    run: Callable[[], object]


def jobs(stopping: threading.Event) -> list[Job]:
    """What the worker does beside the relay; every job may run in several workers at once."""
    return [
        Job("mail", 3, lambda: mail_sending.send_queued(should_stop=stopping.is_set)),
        Job("tick", 60, periodic.tick),
        Job("payments", 60, payment_sweep.settle_payments),
        Job("lost mail", 600, mail.settle_lost),
        Job("mail history", 3600, mail.forget_history),
    ]


def repeat(job: Job, stopping: threading.Event) -> None:
    """Do the job until told to stop; survives its failures and those of the database."""
    while not stopping.is_set():
        try:
            close_old_connections()  # also one that died since, or in the job
            job.run()
        except DATABASE_FAILURES as error:
            logger.warning("%s lost the database (%s); again in %g s", job.name, type(error).__name__, job.seconds)
        except Exception:  # a bug in one job must not end it for good
            logger.exception("%s failed; again in %g s", job.name, job.seconds)
        stopping.wait(job.seconds)
    connection.close()


class Command(BaseCommand):
    help = "Send events and mail and do the periodic work until SIGTERM or Ctrl-C; any number of workers may run."

    def handle(self, *args: Any, **options: Any) -> None:
        # Blocked in all threads and waited for in this one: a handler could run while this thread holds a lock.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        log_problems()
        stopping = threading.Event()
        sender = relay.start_thread()
        threads = [
            threading.Thread(target=repeat, args=[job, stopping], name=job.name, daemon=True) for job in jobs(stopping)
        ]
        for thread in threads:
            thread.start()
        self.stdout.write("Sending events and mail, and keeping the deadlines. Ctrl-C ends it.")
        self.stdout.flush()  # also into a pipe or a log, where it would wait for more
        signal.sigwait(STOP_SIGNALS)
        patience = time.monotonic() + STOP_PATIENCE
        stopping.set()
        sender.stop()
        for thread in filter(None, [sender.thread, *threads]):
            thread.join(max(0.0, patience - time.monotonic()))
