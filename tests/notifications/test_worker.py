"""``manage.py worker`` as a real process: killed, stopped, several at once, and without its provider or database."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import psycopg2
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from common import clock, outage
from hotel import rights
from notifications import relay
from notifications.mail import open_mails, queue_booking_mail
from notifications.models import BookingMail, MailKind
from operations.management.commands import worker
from operations.management.commands.worker import Job, repeat
from room_bookings.models import BookingStatus, RoomBooking
from room_bookings.services.cancel import cancel_booking
from tests.factories import BookingFactory, HotelFactory, StaffFactory
from tests.notifications.conftest import PATIENCE, until
from tests.races import Writer


def stopped(process: subprocess.Popen, number: int = signal.SIGTERM) -> tuple[int, str, str]:
    """Ask it to stop; returns its exit code, stdout and stderr."""
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output, errors


def queue_mails(count: int) -> None:
    hotel = HotelFactory(name="Grand")
    for _ in range(count):
        queue_booking_mail(BookingFactory(hotel=hotel, primary_email="ada@example.com"), MailKind.CONFIRMATION)


# --- the process ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_runs_until_stopped(start_worker, number):
    process = start_worker()
    began = time.monotonic()
    assert stopped(process, number) == (0, "", "")
    assert time.monotonic() - began < worker.STOP_PATIENCE


@pytest.mark.django_db(transaction=True)
def test_mail_without_a_provider_is_printed(start_worker):
    queue_mails(1)
    process = start_worker()
    until(lambda: not open_mails().exists())
    code, output, errors = stopped(process)
    assert (code, errors) == (0, "")
    assert "Subject: [Grand] Your booking" in output
    assert "To: ada@example.com" in output
    assert "Dear Ada Lovelace," in output


@pytest.mark.django_db(transaction=True)
def test_mail_is_sent_once_after_a_kill_between_commit_and_mail(start_worker, mail_server):
    """Killed just before the provider accepts the mail, which is as late as possible."""
    hanging, working = mail_server(hangs=True), mail_server()
    queue_mails(1)
    doomed = start_worker(EMAIL_URL=hanging.url)
    assert hanging.hanging.wait(PATIENCE)
    doomed.kill()
    doomed.wait()
    assert open_mails().count() == 1
    process = start_worker(EMAIL_URL=working.url)
    until(lambda: not open_mails().exists())
    assert stopped(process) == (0, "", "")
    assert len(working.received) == 1
    assert "Subject: [Grand] Your booking" in working.received[0]
    assert hanging.received == []


@pytest.mark.django_db(transaction=True)
def test_worker_stops_in_time_while_the_provider_hangs_and_keeps_the_mail(start_worker, mail_server):
    server = mail_server(hangs=True)
    queue_mails(1)
    process = start_worker(EMAIL_URL=server.url)
    assert server.hanging.wait(PATIENCE)
    began = time.monotonic()
    assert stopped(process) == (0, "", "")
    assert time.monotonic() - began < worker.STOP_PATIENCE + 2
    assert open_mails().get().due_at <= clock.now()


@pytest.mark.django_db(transaction=True)
def test_no_mail_is_lost_while_the_provider_is_down(start_worker, mail_server, unused_port):
    queue_mails(1)
    process = start_worker(EMAIL_URL=f"smtp://127.0.0.1:{unused_port}")
    until(lambda: open_mails().filter(state="QUEUED", tries=1).exists())
    server = mail_server(port=unused_port)
    open_mails().update(due_at=clock.now())  # as if the minute had passed
    until(lambda: not open_mails().exists())
    code, output, errors = stopped(process)
    assert (code, output, len(server.received)) == (0, "", 1)
    assert "try 1 failed (ConnectionRefusedError); next in 60 s" in errors
    assert "ada@example.com" not in errors


@pytest.mark.django_db(transaction=True)
def test_deferred_confirmation_does_not_arrive_after_the_cancellation(start_worker, mail_server):
    """With a real worker and mail server: greylisted, cancelled, and retried much later."""
    server = mail_server(answers={"RCPT": ["450 4.2.0 greylisted"]})
    hotel = HotelFactory(name="Grand")
    booking = BookingFactory(hotel=hotel, booking_id="BK-2026-0007", primary_email="ada@example.com")
    queue_booking_mail(booking, MailKind.CONFIRMATION)
    process = start_worker(EMAIL_URL=server.url)
    until(lambda: BookingMail.objects.filter(state="QUEUED", tries=1).exists())
    cancel_booking(booking=booking, staff=StaffFactory(hotel=hotel, role=rights.HOTEL_MANAGER))
    until(lambda: not open_mails().exists())
    assert stopped(process)[0] == 0
    assert server.subjects == ["Your booking BK-2026-0007 is cancelled"]
    assert list(BookingMail.objects.order_by("pk").values_list("state", flat=True)) == ["DROPPED", "SENT"]


@pytest.mark.django_db(transaction=True)
def test_several_workers_send_each_mail_once(start_worker, mail_server):
    server = mail_server()
    queue_mails(20)
    processes = [start_worker(EMAIL_URL=server.url) for _ in range(2)]
    until(lambda: not open_mails().exists())
    for process in processes:
        assert stopped(process) == (0, "", "")
    identities = [line for text in server.received for line in text.splitlines() if line.startswith("Message-ID: ")]
    assert len(identities) == len(set(identities)) == 20


@pytest.mark.django_db(transaction=True)
def test_a_worker_survives_the_loss_of_its_connections(start_worker, mail_server):
    server = mail_server()
    queue_mails(1)
    process = start_worker(EMAIL_URL=server.url)
    until(lambda: not open_mails().exists())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] >= 2  # the connections of the relay and of the mail
    queue_mails(1)
    until(lambda: not open_mails().exists())
    assert stopped(process)[0] == 0
    assert len(server.received) == 2


@pytest.mark.django_db(transaction=True)
def test_deadlines_are_kept_while_the_provider_hangs(start_worker, mail_server):
    """A request past its deadline expires although no mail can be sent."""
    server = mail_server(hangs=True)
    queue_mails(1)
    late = BookingFactory(status=BookingStatus.PENDING_APPROVAL, approval_deadline_at=clock.now() - timedelta(hours=1))
    process = start_worker(EMAIL_URL=server.url)
    assert server.hanging.wait(PATIENCE)
    until(lambda: RoomBooking.objects.filter(pk=late.pk, status=BookingStatus.EXPIRED).exists())
    assert open_mails().exists()
    server.over.set()  # another test stops a worker while it hangs
    assert stopped(process)[0] == 0


# --- one job ----------------------------------------------------------------------------------------------------------


def run_job(*steps: Callable[[], object]) -> int:
    """Repeat a job that takes one of the steps per run, of which the last stops it; returns the number of runs."""
    stopping, runs = threading.Event(), []

    def job() -> None:
        runs.append(True)
        if len(runs) == len(steps):
            stopping.set()
        steps[len(runs) - 1]()

    thread = Writer(lambda: repeat(Job("the job", 0.01, job), stopping))
    thread.start()
    assert thread.outcome() is None
    return len(runs)


def raises(error: Exception) -> Callable[[], object]:
    def step() -> None:
        raise error

    return step


def query_the_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def lose_the_connection() -> None:
    """Lose the database connection within the job."""
    with connection.cursor() as cursor, suppress(psycopg2.Error):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.django_db(transaction=True)
def test_failing_job_is_logged_and_run_again(caplog):
    assert run_job(raises(ZeroDivisionError()), query_the_database, query_the_database) == 3
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "the job failed, retrying in 0.01 s")
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.django_db(transaction=True)
def test_job_that_loses_the_database_reconnects(caplog):
    steps = [
        query_the_database,
        lose_the_connection,
        query_the_database,
        raises(psycopg2.InterfaceError()),
        query_the_database,
    ]
    assert run_job(*steps) == 5
    first, back, second, back_again = caplog.messages
    assert first.startswith("the database is away (django.db.utils.OperationalError: ")
    assert second == "the database is away (psycopg2.InterfaceError): retrying"
    assert back == back_again == "the database is back, after 0 s"


@pytest.mark.django_db(transaction=True)
def test_an_outage_is_logged_when_it_begins_and_when_it_ends(caplog, monkeypatch):
    """Not at each attempt, and not by each thread. It lasts as long as any of those that noticed it cannot write."""
    monkeypatch.setattr(outage, "database", outage.Outage())
    away = raises(OperationalError("no route to host\nthe rest"))
    assert run_job(away, away, query_the_database, query_the_database) == 4
    with relay.Relay()._errors_logged("relay"):
        away()
    assert run_job(query_the_database, away, query_the_database) == 3
    assert len(caplog.messages) == 3  # the relay has not recovered
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        outage.database.over("relay")
    assert len(caplog.messages) == 3  # it has, but only for reading
    outage.database.over("relay")
    assert caplog.messages == 2 * [
        "the database is away (django.db.utils.OperationalError: no route to host): retrying",
        "the database is back, after 0 s",
    ]


def test_waits_are_limited_before_the_first_statement(monkeypatch):
    """Otherwise a worker would hang in its first check of the database, and ignore SIGTERM."""
    done: list[str] = []
    monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: done.append("block signals"))
    monkeypatch.setattr(worker, "limit_waits", lambda seconds: done.append(f"limit waits to {seconds} s"))
    monkeypatch.setattr(worker, "require_guarantees", lambda **_: sys.exit())
    with pytest.raises(SystemExit):
        call_command("worker")
    assert done == ["block signals", "limit waits to 60 s"]


@pytest.mark.django_db(transaction=True)
def test_connection_lost_between_two_runs_is_replaced(caplog):
    pids: list[int] = []

    def note_pid() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.append(cursor.fetchone()[0])

    def die() -> None:
        note_pid()
        killer = connection.copy()
        with killer.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pids[-1]])
        killer.close()

    assert run_job(die, note_pid) == 2
    assert pids[0] != pids[1]
    assert caplog.messages == []


def test_jobs():
    assert [(job.name, job.seconds) for job in worker.jobs(threading.Event())] == [
        ("mail", 3),
        ("tick", 60),
        ("payments", 60),
        ("mail history", 3600),
    ]
