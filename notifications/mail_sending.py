"""Sends what waits in the mail queue: one mail of a booking after the other, while it is true, again until it goes.

A waiting mail is a row of ``mailer_message``: ``when_added`` says when it is to be tried, ``retry_count`` how often it
was. Whose ``BookingMail`` it is says where it stands; a mail of nothing that we know of is sent as it was written.
"""

import logging
import smtplib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from enum import Enum, auto
from typing import NamedTuple

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import OperationalError, transaction
from django.db.models import OuterRef, Q, Subquery
from mailer.models import PRIORITY_DEFERRED, RESULT_FAILURE, RESULT_SUCCESS, Message, MessageLog, get_message_id

from common import clock
from common.database import advisory_lock, is_unreachable
from notifications.mail import NEWER, compose, is_true, new_identity, settle, status_of, tell
from notifications.models import OPEN_MAIL, BookingMail, MailState
from room_bookings.models import RoomBooking
from room_bookings.selectors import booking_lock

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=4)
# 1, 2, 4 … 128 minutes, then every four hours: about three days, after which somebody has to look at it.
GIVE_UP_AFTER = 25
# No talk with a provider takes longer, with 10 seconds for each of its steps (settings.EMAIL_TIMEOUT).
LONGEST_TALK = timedelta(minutes=2)
ADVISORY_NAMESPACE = 7_302  # the first key of our advisory locks; the second is the number of the booking
LOOK_AHEAD = 50  # mails that others may be sending at this moment: more than there are workers
# A server that wants us to sign in, or in another way, says so at any command.
ABOUT_US = (530, 534, 535, 538)


class Outcome(Enum):
    """What became of the next mail."""

    NONE_DUE = auto()
    SENT = auto()
    FAILED = auto()  # to be tried again, or given up
    REFUSED = auto()  # the provider works, and will never take this one


class UnsendableError(Exception):
    """This mail can never be sent, by whatever provider: it cannot be read, or not be put into the words of SMTP."""


class Claim(NamedTuple):
    """What this worker is sending, and no other; ``mail`` and ``booking`` where it is the mail of a booking."""

    message: Message
    mail: BookingMail | None = None
    booking: RoomBooking | None = None


def send_queued(*, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Send what is due, one mail after the other; returns how many went. Any number of workers may do so at once.

    Ends at the first mail that fails, as the next would most likely wait for the same dead provider; it is the
    caller who comes back in a few seconds.
    """
    sent = 0
    while not should_stop() and (outcome := send_next()) in (Outcome.SENT, Outcome.REFUSED):
        sent += outcome == Outcome.SENT
    return sent


def send_next() -> Outcome:
    """Send the mail that has been due for longest, of whose booking nobody else is sending one.

    Under an advisory lock of the booking, for which nobody waits, and with no transaction open. Killed before the
    provider has taken the mail, it is still there; killed between that and the commit it goes a second time, with the
    same Message-ID, unless it is no longer true.
    """
    of_booking = BookingMail.objects.filter(queue_number=OuterRef("pk")).values("booking")
    waiting = Message.objects.filter(_due()).order_by("priority", "when_added", "pk")
    for number, booking_id in list(waiting.values_list("pk", Subquery(of_booking))[:LOOK_AHEAD]):
        with advisory_lock(ADVISORY_NAMESPACE, (booking_id or number) % 2**31) as alone:
            claim = _claim(number, booking_id) if alone else None
            if claim is not None:
                return _try(claim)
    return Outcome.NONE_DUE


def _due() -> Q:
    return Q(priority__lt=PRIORITY_DEFERRED) | Q(retry_count__lt=GIVE_UP_AFTER, when_added__lte=clock.now())


def _try(claim: Claim) -> Outcome:
    try:
        identity = _send(claim)
    except Exception as error:  # whatever a provider, or a library for one, may come up with
        return _failed(claim, error)
    _sent(claim, identity)
    return Outcome.SENT


def _send(claim: Claim) -> str:
    """Give the mail to the provider; returns its Message-ID. That of a booking says what is true now."""
    try:
        email = _composed(claim)
        email.message()
    except Exception as error:
        raise UnsendableError(f"{type(error).__name__}: {error}") from error
    provider = email.connection = get_connection(settings.MAILER_EMAIL_BACKEND)
    try:
        email.send()
    finally:
        with suppress(Exception):  # it has taken the mail, or has not; how we part is of no consequence
            provider.close()
    return str(get_message_id(email))


def _composed(claim: Claim) -> EmailMessage:
    if claim.mail is None or claim.booking is None:
        written: EmailMessage = claim.message.email
        return written
    try:
        identity = get_message_id(claim.message.email)
    except Exception:  # whatever comes of unpickling what an older release has stored
        identity = None
    return compose(claim.booking, claim.mail.kind, identity or new_identity())


# --- before -----------------------------------------------------------------------------------------------------------


def _claim(number: int, booking_id: int | None) -> Claim | None:
    """What is to be sent now, if anything: read again under the lock, as whoever had it before may have sent it."""
    if booking_id is None:
        message = Message.objects.filter(_due(), pk=number).first()
        return message and Claim(message)
    try:
        return _claim_of(booking_id)
    except Exception as error:  # whatever it is, the other mails go on
        if is_unreachable(error):
            raise
        # A row that somebody holds for long is no bug.
        level = logging.WARNING if isinstance(error, OperationalError) else logging.ERROR
        logger.log(level, "mail %s has to wait: %s", number, type(error).__name__, exc_info=error)
        return None


@transaction.atomic
def _claim_of(booking_id: int) -> Claim | None:
    """The newest mail of a booking, marked as being sent; what is overtaken is dropped.

    Decided on the locked booking: a step that is not committed yet comes after this mail, and drops or follows it.
    """
    [booking] = booking_lock([booking_id])
    mails = list(BookingMail.objects.filter(booking=booking, state__in=OPEN_MAIL).order_by("pk"))
    if not mails:
        return None
    *older, mail = mails
    # Begun by a worker that was killed, or that lost its connection and may still be at it: the newer one comes second.
    if any(other.claimed_at and other.claimed_at > clock.now() - LONGEST_TALK for other in older):
        return None
    overtaken = [(other, NEWER) for other in older]
    if not is_true(booking, mail.kind):
        overtaken.append((mail, f"The booking's status is {status_of(booking)} now."))
    elif not booking.primary_email:
        overtaken.append((mail, "The booking has no e-mail address any more."))
    for dropped, reason in overtaken:
        begun = " A worker had begun to send it: it may have arrived." if dropped.state == MailState.SENDING else ""
        settle(dropped, MailState.DROPPED, reason + begun)
    if overtaken:
        tell(booking)
    message = Message.objects.filter(_due(), pk=mail.queue_number).first()
    if message is None:
        return None
    mail.state, mail.claimed_at, mail.to_address = MailState.SENDING, clock.now(), booking.primary_email
    mail.tries += 1
    mail.save(update_fields=["state", "claimed_at", "to_address", "tries"])
    return Claim(message, mail, booking)


# --- after ------------------------------------------------------------------------------------------------------------


@transaction.atomic
def _sent(claim: Claim, identity: str) -> None:
    message = claim.message
    MessageLog.objects.create(
        message_data=None,
        message_id=identity,
        when_added=message.when_added,
        priority=message.priority,
        result=RESULT_SUCCESS,
    )
    if claim.mail is None:
        message.delete()
    else:
        settle(claim.mail, MailState.SENT)


@transaction.atomic
def _failed(claim: Claim, error: Exception) -> Outcome:
    """Back into the queue, for a later try; or given up; or dropped, where something newer has come meanwhile."""
    message, mail = claim.message, claim.mail
    booking = None if mail is None else booking_lock([mail.booking_id])[0]
    MessageLog.objects.create(
        message_data=None,
        when_added=message.when_added,
        priority=message.priority,
        result=RESULT_FAILURE,
        log_message=f"mail {message.pk}: {type(error).__name__}: {error}"[:1000],
    )
    permanent = is_permanent(error)
    tries = GIVE_UP_AFTER if permanent else message.retry_count + 1
    pause = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE)
    _log(message, error, tries, pause)
    message.retry_count, message.priority = tries, PRIORITY_DEFERRED
    message.when_added = clock.now() + pause
    if mail is None or booking is None:
        _save(message)
    elif _is_still_ours(mail):
        _put_back(message, mail, booking, error)
    return Outcome.REFUSED if permanent else Outcome.FAILED


def _save(message: Message) -> None:
    message.save(update_fields=["retry_count", "priority", "when_added"])


def _is_still_ours(mail: BookingMail) -> bool:
    """No longer when our connection to the database was lost, and another worker has taken the mail over."""
    return BookingMail.objects.filter(pk=mail.pk, state=MailState.SENDING, claimed_at=mail.claimed_at).exists()


def _put_back(message: Message, mail: BookingMail, booking: RoomBooking, error: Exception) -> None:
    """The same for the mail of a locked booking, which is told to the screens when it is not tried again."""
    newer = BookingMail.objects.filter(booking=booking, state=MailState.QUEUED).exists()
    if newer and not is_permanent(error):
        settle(mail, MailState.DROPPED, NEWER)
    elif message.retry_count >= GIVE_UP_AFTER:
        given_up = "" if is_permanent(error) else f"Given up after {mail.tries} tries. "
        settle(mail, MailState.FAILED, given_up + explained(error))
    else:
        _save(message)
        mail.state, mail.claimed_at, mail.reason = MailState.QUEUED, None, explained(error)
        mail.save(update_fields=["state", "claimed_at", "reason"])
        return
    tell(booking)


def _log(message: Message, error: Exception, tries: int, pause: timedelta) -> None:
    """Numbers, kinds of failures and codes; never the provider's words, which may name the guest."""
    failure = _brief(error)
    if is_permanent(error):
        logger.warning("mail %s is refused for good (%s), and not tried again", message.pk, failure)
    elif tries >= GIVE_UP_AFTER:
        logger.error("mail %s is given up after %d tries (%s); it can be sent again", message.pk, tries, failure)
    else:
        level = logging.ERROR if _is_ours(error) else logging.WARNING
        seconds = pause.total_seconds()
        logger.log(level, "mail %s: try %d failed (%s); next in %d s", message.pk, tries, failure, seconds)


# --- what went wrong --------------------------------------------------------------------------------------------------


def is_permanent(error: Exception) -> bool:
    """Whether the mail would fare no better another time: the provider has refused this guest or this mail for good.

    A 5xx is final (RFC 5321, 4.2.1), but one of the connection, our sign-in or our own address says nothing of the
    guest's: once that is mended, the mail goes.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError):
        return all(500 <= code <= 599 and code not in ABOUT_US for code in _codes(error))
    return isinstance(error, UnsendableError)


def _is_ours(error: Exception) -> bool:
    """Whether somebody has to mend our settings or our account at the provider, before anything goes."""
    final = any(500 <= code <= 599 for code in _codes(error))
    return final and not is_permanent(error)


def _codes(error: Exception) -> list[int]:
    """The provider's codes."""
    if isinstance(error, smtplib.SMTPResponseException):
        return [error.smtp_code]
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return [code for code, _ in error.recipients.values()]
    return []


def _brief(error: Exception) -> str:
    """The kind of failure and the provider's code."""
    return " ".join([type(error).__name__, *map(str, _codes(error))])


def explained(error: Exception) -> str:
    """One sentence for the desk, with the provider's code."""
    codes = ", ".join(map(str, _codes(error)))
    did = "refused" if is_permanent(error) else "put off"
    match error:
        case UnsendableError():
            return "No mail server takes such an address or such a mail."
        case smtplib.SMTPRecipientsRefused():
            return f"The mail server {did} the address ({codes})."
        case smtplib.SMTPDataError():
            return f"The mail server {did} the mail ({codes})."
        case smtplib.SMTPAuthenticationError():
            return f"The mail server refused HotelMate's sign-in ({codes})."
        case smtplib.SMTPSenderRefused():
            return f"The mail server refused the address that HotelMate sends from ({codes})."
        case smtplib.SMTPResponseException():
            return f"The mail server was not ready ({codes})."
    return f"The mail server could not be reached ({type(error).__name__})."
