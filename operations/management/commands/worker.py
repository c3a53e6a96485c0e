"""``manage.py worker``: the background work: sends events and mail, processes deadlines and payments."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand
from django.db import close_old_connections, connection

from common import outage
from common.database import DATABASE_FAILURES, is_unreachable
from common.logs import error_summary
from common.postgres.patience import limit_waits
from common.postgres.validation import require_guarantees
from notifications import mail, mail_sending, relay
from operations import periodic
from room_bookings.services import payment_sweep

logger = logging.getLogger(__name__)

# Seconds for which a statement may go unanswered: longer than any of a job takes.
DATABASE_PATIENCE = 60
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
# Seconds to wait on shutdown, less than process supervisors wait before they kill. Interrupted work is retried by the
# next worker.
STOP_PATIENCE = 6


class Job(NamedTuple):
    """A job that runs every ``seconds`` in its own thread, so that a slow one does not delay the others."""

    name: str
    seconds: float
    run: Callable[[], object]


def jobs(stopping: threading.Event) -> list[Job]:
    """The worker's jobs besides the relay; each can run in several workers concurrently."""
    return [
        Job("mail", 3, lambda: mail_sending.send_queued(should_stop=stopping.is_set)),
        Job("tick", 60, periodic.tick),
        Job("payments", 60, payment_sweep.settle_payments),
        Job("mail history", 3600, mail.forget_settled),
    ]


def repeat(job: Job, stopping: threading.Event) -> None:
    """Run the job until ``stopping`` is set; survives errors of the job and of the database."""
    while not stopping.is_set():
        try:
            close_old_connections()  # including one that was lost since the last run
            job.run()
            outage.database.over(job.name)
        except DATABASE_FAILURES as error:
            if is_unreachable(error):
                outage.database.noticed(job.name, error)
            else:
                logger.warning("%s: %s, retrying in %g s", job.name, error_summary(error), job.seconds)
        except Exception:  # a bug must not stop the job permanently
            logger.exception("%s failed, retrying in %g s", job.name, job.seconds)
        stopping.wait(job.seconds)
    connection.close()


class Command(BaseCommand):
    help = "Send events and mail and do the periodic work until SIGTERM or Ctrl-C; any number of workers may run."

    def handle(self, *args: Any, **options: Any) -> None:
        # Signals are blocked in all threads and awaited here: a handler could run while this thread holds a lock.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        limit_waits(DATABASE_PATIENCE)  # first: with the signals blocked, nothing else ends a wait
        require_guarantees(session=True)
        stopping = threading.Event()
        sender = relay.start_thread()
        threads = [
            threading.Thread(target=repeat, args=[job, stopping], name=job.name, daemon=True) for job in jobs(stopping)
        ]
        for thread in threads:
            thread.start()
        self.stdout.write("Worker running: events, mail, deadlines and payments. Press Ctrl-C to stop.")
        self.stdout.flush()  # pipes and logs would buffer it
        signal.sigwait(STOP_SIGNALS)
        patience = time.monotonic() + STOP_PATIENCE
        stopping.set()
        sender.stop()
        for thread in filter(None, [sender.thread, *threads]):
            thread.join(max(0.0, patience - time.monotonic()))
