"""Mail to the guest: written in the transaction that it tells of, sent by the worker, tried again until it goes.

The queue is django-mailer's (its backend, tables and ``retry_deferred``); the sending is our own, for the reasons in
``docs/decisions/0006-mail-queue.md``. A waiting mail is a row of ``mailer_message``: ``when_added`` says when it is to
be tried, ``retry_count`` how often it was, and the row goes in the transaction in which the mail was sent.
"""

import logging
import smtplib
from collections.abc import Callable
from datetime import timedelta
from email.utils import make_msgid, parseaddr
from enum import Enum, auto
from typing import Any, Literal

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils.dateformat import format as format_date
from mailer.models import PRIORITY_DEFERRED, RESULT_FAILURE, RESULT_SUCCESS, Message, MessageLog

from common import clock
from common.database import advisory_lock
from common.money import money
from room_bookings.models import RoomBooking

logger = logging.getLogger(__name__)

Kind = Literal["confirmation", "decline", "cancellation"]
SUBJECTS: dict[Kind, str] = {
    "confirmation": "Your booking {} is confirmed",
    "decline": "Your booking {} was declined",
    "cancellation": "Your booking {} is cancelled",
}

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=4)
# 1, 2, 4 … 128 minutes, then every four hours: about three days, after which somebody has to look at it.
GIVE_UP_AFTER = 25
KEEP_HISTORY_DAYS = 30
ADVISORY_NAMESPACE = 7_302  # the first key of our advisory locks; the second is the mail's number
LOOK_AHEAD = 50  # mails that others may be sending at this moment: more than there are workers


# --- writing ----------------------------------------------------------------------------------------------------------


def queue_booking_mail(booking: RoomBooking, kind: Kind, *, reason: str = "") -> None:
    """Write the guest's mail to the queue, in the caller's transaction and in one statement.

    ``booking`` comes with its hotel and room type loaded. ``reason`` is told to the guest of a declined or cancelled
    booking. A guest without an address gets none; an address to which nothing can be sent shows only in the worker.
    """
    if not booking.primary_email:
        return
    hotel_name = _one_line(booking.hotel.name)
    context = {
        "hotel_name": hotel_name,
        "hotel_phone": _one_line(booking.hotel.phone),
        "guest_name": _one_line(f"{booking.primary_first_name} {booking.primary_last_name}"),
        "details": _details(booking),
        "reason": reason.strip(),
    }
    email = EmailMultiAlternatives(
        subject=f"[{hotel_name}] {SUBJECTS[kind].format(booking.booking_id)}",
        body=str(render_to_string(f"notifications/mail/{kind}.txt", context)),
        to=[booking.primary_email],
        # Given here, not at each try: whoever gets a mail twice can tell that it is one. And without looking up the
        # name of this machine, which may take seconds.
        headers={"Message-ID": make_msgid(domain=parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2])},
    )
    email.attach_alternative(str(render_to_string(f"notifications/mail/{kind}.html", context)), "text/html")
    email.send()


def _details(booking: RoomBooking) -> list[tuple[str, str]]:
    """What the mail says of the booking, as (label, value)."""
    nights, amount = (booking.check_out - booking.check_in).days, money(booking.total_amount, booking.currency)
    guests = _counted(booking.adults, "adult", "adults")
    if booking.children:
        guests += f", {_counted(booking.children, 'child', 'children')}"
    details = [
        ("Reference", booking.booking_id),
        ("Confirmation number", _one_line(booking.confirmation_number)),
        ("Arrival", format_date(booking.check_in, "l, j F Y")),
        ("Departure", format_date(booking.check_out, "l, j F Y")),
        ("Nights", str(nights) if nights else "none, day use"),
        ("Room type", _one_line(booking.room_type.name)),
        ("Guests", guests),
        ("Amount", f"{amount} {booking.currency}" if amount else ""),
    ]
    return [(label, value) for label, value in details if value]


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _one_line(text: str) -> str:
    """Without line breaks, which no header takes, and other control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# --- sending ----------------------------------------------------------------------------------------------------------


class Outcome(Enum):
    """What became of the next mail."""

    NONE_DUE = auto()
    SENT = auto()
    FAILED = auto()


def send_queued(*, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Send what is due, one mail after the other; returns how many went. Any number of workers may do so at once.

    Ends at the first mail that fails, as the next would most likely wait for the same dead provider; it is the
    caller who comes back in a few seconds.
    """
    sent = 0
    while not should_stop() and send_next() == Outcome.SENT:
        sent += 1
    return sent


def send_next() -> Outcome:
    """Send the mail that has been due for longest and that nobody else is sending.

    Under an advisory lock of its own, for which nobody waits, and with no transaction open. Killed before the provider
    has taken the mail, it is still there; killed between that and the commit it goes a second time, with the same
    Message-ID.
    """
    due = Q(priority__lt=PRIORITY_DEFERRED) | Q(retry_count__lt=GIVE_UP_AFTER, when_added__lte=clock.now())
    waiting = Message.objects.filter(due).order_by("priority", "when_added", "pk")
    for number in list(waiting.values_list("pk", flat=True)[:LOOK_AHEAD]):
        with advisory_lock(ADVISORY_NAMESPACE, number % 2**31) as alone:
            # Read again under the lock: whoever had it before us may have sent it.
            message = waiting.filter(pk=number).first() if alone else None
            if message is None:
                continue
            try:
                _send(message)
            except Exception as error:  # whatever a provider, or a library for one, may come up with
                _put_back(message, error)
                return Outcome.FAILED
            with transaction.atomic():
                MessageLog.objects.log(message, RESULT_SUCCESS)
                message.delete()
            return Outcome.SENT
    return Outcome.NONE_DUE


class UnsendableError(Exception):
    """This mail can never be sent, by whatever provider: it cannot be read, or not be put into the words of SMTP."""


def _send(message: Message) -> None:
    try:
        email = message.email
        email.message()
    except Exception as error:
        raise UnsendableError(f"{type(error).__name__}: {error}") from error
    email.connection = get_connection(settings.MAILER_EMAIL_BACKEND)
    email.send()


@transaction.atomic
def _put_back(message: Message, error: Exception) -> None:
    """Back into the queue, for a later try; or there to stay, until ``manage.py retry_deferred`` tries it once more."""
    MessageLog.objects.create(
        message_data=None,
        when_added=message.when_added,
        priority=message.priority,
        result=RESULT_FAILURE,
        log_message=f"mail {message.pk}: {type(error).__name__}: {error}"[:1000],
    )
    tries = GIVE_UP_AFTER if isinstance(error, UnsendableError) else message.retry_count + 1
    pause = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE)
    message.retry_count, message.priority = tries, PRIORITY_DEFERRED
    message.when_added = clock.now() + pause
    message.save(update_fields=["retry_count", "priority", "when_added"])
    if tries < GIVE_UP_AFTER:
        logger.warning(
            "mail %s: try %d failed (%s); next in %d s", message.pk, tries, _brief(error), pause.total_seconds()
        )
    else:
        logger.error(
            "mail %s is given up (%s); it is kept, and `manage.py retry_deferred` tries it once more",
            message.pk,
            _brief(error),
        )


def _brief(error: Exception) -> str:
    """The kind of failure and the provider's code; never its words, which may name the guest."""
    code: Any = ""
    if isinstance(error, smtplib.SMTPResponseException):
        code = f" {error.smtp_code}"
    elif isinstance(error, smtplib.SMTPRecipientsRefused):
        code = "".join(f" {refusal[0]}" for refusal in error.recipients.values())
    return f"{type(error).__name__}{code}"


def forget_history() -> int:
    """Drop what django-mailer noted of tries of long ago; returns how many lines. What waits is never dropped."""
    return int(MessageLog.objects.purge_old_entries(KEEP_HISTORY_DAYS, [RESULT_SUCCESS, RESULT_FAILURE]))
