"""A process killed in the middle of a decision: the next one completes it; the guest is charged and notified once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings as configured
from django.core import mail
from django.db import connection

from common import clock
from hotel.models import Staff
from notifications.mail_sending import send_queued
from notifications.models import RealtimeEvent
from room_bookings.models import BookingChange, PaymentState, RoomBooking
from room_bookings.services.approval import approve_booking, decline_booking
from room_bookings.services.payment_sweep import settle_payments
from tests.room_bookings.test_approval import LATER, captured, card, published_pairs
from tools.harness.stripe_server import PATIENCE, Call, StripeServer

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
import django
django.setup()
from hotel.models import Staff
from room_bookings.models import RoomBooking
from room_bookings.services.approval import approve_booking, decline_booking
decide, booking, staff = sys.argv[1:]
{"approve": approve_booking, "decline": decline_booking}[decide](
    booking=RoomBooking.objects.get(pk=booking), staff=Staff.objects.get(pk=staff)
)
print("committed", flush=True)
time.sleep(60)
"""
# The decision, the Stripe call that it makes, and the outcome.
DECISIONS: list[Any] = [
    pytest.param(card, "approve", "capture", ("CONFIRMED", "CAPTURED"), {"captured": 1}, id="approve"),
    pytest.param(card, "decline", "cancel", ("DECLINED", "VOIDED"), {"voided": 1}, id="decline"),
    pytest.param(captured, "decline", "refund", ("DECLINED", "REFUNDED"), {"refunded": 1}, id="decline and refund"),
]


def decide_elsewhere(decide: str, booking: RoomBooking, staff: Staff) -> "subprocess.Popen[str]":
    """Take the decision in another process, which then sleeps."""
    database = connection.settings_dict
    url = (
        f"postgres://{quote(database['USER'])}:{quote(database['PASSWORD'])}@"
        f"{quote(database['HOST'] or '', safe='')}:{database['PORT']}/{quote(database['NAME'])}"
    )
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "hotelmate.settings",
        "DATABASE_URL": url,
        "STRIPE_SECRET_KEY": configured.STRIPE_SECRET_KEY,
        "STRIPE_API_BASE": configured.STRIPE_API_BASE,
    }
    command = [sys.executable, "-W", "error", "-c", PROGRAM, decide, str(booking.pk), str(staff.pk)]
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)


def killed_at(stripe: StripeServer, moment: str, action: str, start: Callable[[], Any]) -> None:
    """Run the process that ``start`` starts, and kill it during its Stripe call."""
    processes = []

    def kill(call: Call) -> None:
        if call.action == action:
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait(PATIENCE)

    setattr(stripe, moment, kill)
    processes.append(start())
    with processes[0] as process:
        try:
            assert process.wait(3 * PATIENCE) == -signal.SIGKILL
            assert process.stdout.read() == ""
        finally:
            process.kill()
    setattr(stripe, moment, lambda _call: None)


def restart(decide: str, booking: RoomBooking, staff: Staff, by: str) -> None:
    """Recover from the crash: by the worker's sweep, or by a retry of the decision."""
    if by == "retry":
        decision = {"approve": approve_booking, "decline": decline_booking}[decide]
        decision(booking=RoomBooking.objects.get(pk=booking.pk), staff=staff)
    with clock.set_to(clock.now() + LATER):
        settle_payments()
        settle_payments()
        send_queued()
        send_queued()


def assert_decided_once(booking: RoomBooking, staff: Staff, end: tuple[str, str]) -> None:
    row = RoomBooking.objects.get(pk=booking.pk)
    assert (row.status, row.payment_state) == end
    assert (row.decided_by, row.staff_seen_by, row.payment_requested_at) == (staff, staff, None)
    events = {
        "CONFIRMED": [("room-bookings", "booking_confirmed"), ("guest-bookings", "booking_confirmed")],
        "DECLINED": [("room-bookings", "booking_updated"), ("guest-bookings", "booking_declined")],
    }
    assert published_pairs() == events[row.status]
    assert BookingChange.objects.filter(booking=booking).count() == 1
    assert len(mail.outbox) == 1
    assert mail.outbox[0].to == ["ada@example.com"]


def nothing_decided(booking: RoomBooking) -> None:
    row = RoomBooking.objects.get(pk=booking.pk)
    assert (row.status, row.version) == (booking.status, booking.version)
    assert row.payment_state in (PaymentState.CAPTURING, PaymentState.VOIDING, PaymentState.REFUNDING)
    assert not RealtimeEvent.objects.exists()
    assert not BookingChange.objects.filter(booking=booking).exists()


@pytest.mark.parametrize("by", ["sweep", "retry"])
@pytest.mark.parametrize(("make", "decide", "action", "end", "moved"), DECISIONS)
def test_killed_between_stripes_response_and_the_commit(stripe, hotel, agent, make, decide, action, end, moved, by):
    booking = make(stripe, hotel)
    killed_at(stripe, "before_answer", action, lambda: decide_elsewhere(decide, booking, agent))
    assert stripe.moved(booking.payment_reference) == moved
    nothing_decided(booking)
    restart(decide, booking, agent, by)
    assert stripe.moved(booking.payment_reference) == moved
    assert_decided_once(booking, agent, end)


@pytest.mark.parametrize(("make", "decide", "action", "end", "moved"), DECISIONS)
def test_killed_before_stripe_did_anything(stripe, hotel, agent, make, decide, action, end, moved):
    """The sweep resets the payment; then the decision can be taken again."""
    booking = make(stripe, hotel)
    stripe.fail(action, "lost before")
    killed_at(stripe, "on_loss", action, lambda: decide_elsewhere(decide, booking, agent))
    nothing_decided(booking)
    restart(decide, booking, agent, "sweep")
    row = RoomBooking.objects.get(pk=booking.pk)
    assert (row.status, row.payment_state) == (booking.status, booking.payment_state)
    assert not mail.outbox
    assert stripe.moved(booking.payment_reference) == {}
    restart(decide, booking, agent, "retry")
    assert stripe.moved(booking.payment_reference) == moved
    assert_decided_once(booking, agent, end)


@pytest.mark.parametrize(("make", "decide", "action", "end", "moved"), DECISIONS)
def test_killed_between_the_commit_and_the_mail(stripe, hotel, agent, make, decide, action, end, moved):
    booking = make(stripe, hotel)
    with decide_elsewhere(decide, booking, agent) as process:
        try:
            assert process.stdout.readline() == "committed\n"
        finally:
            process.kill()
    assert not mail.outbox
    restart(decide, booking, agent, "retry")
    assert stripe.moved(booking.payment_reference) == moved
    assert_decided_once(booking, agent, end)
