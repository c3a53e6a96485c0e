"""Sends the mail queue: a booking's e-mails one at a time, only while they apply, with retries.

Any number of workers can run at once; an e-mail's ``due_at`` is the time of its next try.
"""

import logging
import smtplib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from enum import Enum, auto
from typing import NamedTuple

from django.core.mail import get_connection
from django.db import OperationalError, transaction
from django.db.models import Q

from common import clock
from common.database import advisory_lock, is_unreachable
from notifications.mail import NEWER, compose, mail_still_applies, open_mails, publish_booking, settle, status_of
from notifications.models import BookingMail, MailState
from room_bookings.models import RoomBooking
from room_bookings.selectors import booking_lock

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=4)
# 1, 2, 4 … 128 minutes, then every four hours: about three days, after which staff have to intervene.
GIVE_UP_AFTER = 25
# No SMTP session takes longer, with a timeout of 10 seconds for each command (settings.EMAIL_TIMEOUT).
LONGEST_TALK = timedelta(minutes=2)
ADVISORY_NAMESPACE = 7_302  # the first key of our advisory locks; the second is the booking's pk
LOOK_AHEAD = 50  # e-mails that other workers may be sending: more than there are workers
# A server can reply to any command that it requires a sign-in, or another kind of sign-in.
SIGN_IN_CODES = (530, 534, 535, 538)
MAYBE_DELIVERED = " A worker was already sending it, so it may have been delivered."


class Outcome(Enum):
    """The result of trying the next e-mail."""

    NONE_DUE = auto()
    SENT = auto()
    FAILED = auto()  # to be retried, or given up
    REFUSED = auto()  # the provider works, but will never accept this one


class UnsendableError(Exception):
    """No provider could ever send this e-mail: it cannot be read, or cannot be expressed in SMTP."""


class Claim(NamedTuple):
    """The e-mail that only this worker is sending, and its booking."""

    mail: BookingMail
    booking: RoomBooking


def send_queued(*, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Send the e-mails that are due, one at a time; returns how many were sent. Any number of workers can run at once.

    Stops at the first failure, as the next e-mail would most likely wait for the same dead provider; the caller calls
    again in a few seconds.
    """
    sent = 0
    while not should_stop() and (outcome := send_next()) in (Outcome.SENT, Outcome.REFUSED):
        sent += outcome == Outcome.SENT
    return sent


def send_next() -> Outcome:
    """Send the e-mail that has been due the longest, skipping bookings for which another worker is sending one.

    Runs under an advisory lock on the booking, without waiting for it, and with no transaction open. If the worker is
    killed before the provider accepts the e-mail, it stays queued; if between that and the commit, it is sent a second
    time with the same Message-ID, unless it no longer applies.
    """
    due = open_mails().filter(due_at__lte=clock.now()).annotate(is_retry=Q(tries__gt=0))
    for pk, booking_id in list(due.order_by("is_retry", "due_at", "pk").values_list("pk", "booking_id")[:LOOK_AHEAD]):
        with advisory_lock(ADVISORY_NAMESPACE, booking_id % 2**31) as alone:
            claim = _claim(pk, booking_id) if alone else None
            if claim is not None:
                return _try(claim)
    return Outcome.NONE_DUE


def _try(claim: Claim) -> Outcome:
    try:
        _send(claim)
    except Exception as error:  # providers and their libraries can raise anything
        return _failed(claim, error)
    settle(claim.mail, MailState.SENT)
    return Outcome.SENT


def _send(claim: Claim) -> None:
    """Hand the e-mail to the provider, composed from the booking's current data."""
    try:
        email = compose(claim.mail, claim.booking)
        email.message()
    except Exception as error:
        raise UnsendableError(f"{type(error).__name__}: {error}") from error
    provider = email.connection = get_connection()
    try:
        email.send()
    finally:
        with suppress(Exception):  # the e-mail was accepted or not; an error on closing changes nothing
            provider.close()


# --- before -----------------------------------------------------------------------------------------------------------


def _claim(pk: int, booking_id: int) -> Claim | None:
    """The e-mail to send now, if any: re-read under the lock, as its previous holder may have sent it."""
    try:
        return _claim_of(booking_id)
    except Exception as error:  # the other e-mails must still go out
        if is_unreachable(error):
            raise
        # A lock held for a long time is not a bug.
        level = logging.WARNING if isinstance(error, OperationalError) else logging.ERROR
        logger.log(level, "mail %s has to wait: %s", pk, type(error).__name__, exc_info=error)
        return None


@transaction.atomic
def _claim_of(booking_id: int) -> Claim | None:
    """The booking's newest e-mail, marked as being sent; those that no longer apply are dropped.

    Decided on the locked booking: an action that commits later drops this e-mail or sends another after it.
    """
    [booking] = booking_lock([booking_id])
    mails = list(open_mails().filter(booking=booking).order_by("pk"))
    if not mails:
        return None
    *older, mail = mails
    # Started by a worker that was killed, or that lost its connection and may still be sending: the newer one waits.
    if any(other.claimed_at and other.claimed_at > clock.now() - LONGEST_TALK for other in older):
        return None
    overtaken = [(other, NEWER) for other in older]
    if not mail_still_applies(booking, mail.kind):
        overtaken.append((mail, f"The booking's status is now {status_of(booking)}."))
    elif not booking.primary_email:
        overtaken.append((mail, "The booking no longer has an e-mail address."))
    for dropped, reason in overtaken:
        note = MAYBE_DELIVERED if dropped.state == MailState.SENDING else ""
        settle(dropped, MailState.DROPPED, reason + note)
    if overtaken:
        publish_booking(booking)
    if mail.settled_at or mail.due_at > clock.now():
        return None
    mail.state, mail.claimed_at, mail.to_address = MailState.SENDING, clock.now(), booking.primary_email
    mail.tries += 1
    mail.save(update_fields=["state", "claimed_at", "to_address", "tries"])
    return Claim(mail, booking)


# --- after ------------------------------------------------------------------------------------------------------------


@transaction.atomic
def _failed(claim: Claim, error: Exception) -> Outcome:
    """Queue the e-mail for a retry, or give up, or drop it if a newer one has been queued."""
    mail = claim.mail
    [booking] = booking_lock([mail.booking_id])
    pause = min(FIRST_PAUSE * 2 ** min(mail.tries - 1, GIVE_UP_AFTER), LONGEST_PAUSE)
    _log(mail, error, pause)
    if _still_claimed(mail):
        _settle_failed_try(mail, booking, error, pause)
    return Outcome.REFUSED if is_permanent(error) else Outcome.FAILED


def _still_claimed(mail: BookingMail) -> bool:
    """Whether this worker still holds the e-mail: after a lost database connection another may have taken it over."""
    return BookingMail.objects.filter(pk=mail.pk, state=MailState.SENDING, claimed_at=mail.claimed_at).exists()


def _settle_failed_try(mail: BookingMail, booking: RoomBooking, error: Exception, pause: timedelta) -> None:
    """Queue a locked booking's e-mail for a retry, or settle it and publish the booking."""
    newer = BookingMail.objects.filter(booking=booking, state=MailState.QUEUED).exists()
    if newer and not is_permanent(error):
        settle(mail, MailState.DROPPED, NEWER)
    elif is_permanent(error):
        settle(mail, MailState.FAILED, explained(error))
    elif mail.tries >= GIVE_UP_AFTER:
        settle(mail, MailState.FAILED, f"Given up after {mail.tries} tries. {explained(error)}")
    else:
        mail.state, mail.claimed_at, mail.reason = MailState.QUEUED, None, explained(error)
        mail.due_at = clock.now() + pause
        mail.save(update_fields=["state", "claimed_at", "reason", "due_at"])
        return
    publish_booking(booking)


def _log(mail: BookingMail, error: Exception, pause: timedelta) -> None:
    """Logs numbers, exception types and codes; never the provider's text, which may name the guest."""
    failure = _brief(error)
    if is_permanent(error):
        logger.warning("mail %s was permanently refused (%s), no retry", mail.pk, failure)
    elif mail.tries >= GIVE_UP_AFTER:
        logger.error("mail %s failed after %d tries (%s); staff can send it again", mail.pk, mail.tries, failure)
    else:
        level = logging.ERROR if _is_configuration_error(error) else logging.WARNING
        seconds = pause.total_seconds()
        logger.log(level, "mail %s: try %d failed (%s); next in %d s", mail.pk, mail.tries, failure, seconds)


# --- what went wrong --------------------------------------------------------------------------------------------------


def is_permanent(error: Exception) -> bool:
    """Whether a retry is pointless: the provider has permanently refused this recipient or this e-mail.

    A 5xx is final (RFC 5321, 4.2.1), but one about the connection, our sign-in or our sender address says nothing about
    the recipient: once that is fixed, the e-mail can be sent.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError):
        return all(500 <= code <= 599 and code not in SIGN_IN_CODES for code in _codes(error))
    return isinstance(error, UnsendableError)


def _is_configuration_error(error: Exception) -> bool:
    """Whether our settings or our account at the provider must be fixed before anything can be sent."""
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
    """The exception type and the provider's code."""
    return " ".join([type(error).__name__, *map(str, _codes(error))])


def explained(error: Exception) -> str:
    """One sentence for the front desk, with the provider's code."""
    codes = ", ".join(map(str, _codes(error)))
    did = "refused" if is_permanent(error) else "temporarily refused"
    match error:
        case UnsendableError():
            return "The address or the e-mail is invalid: no mail server would accept it."
        case smtplib.SMTPRecipientsRefused():
            return f"The mail server {did} the address ({codes})."
        case smtplib.SMTPDataError():
            return f"The mail server {did} the e-mail ({codes})."
        case smtplib.SMTPAuthenticationError():
            return f"The mail server refused HotelMate's sign-in ({codes})."
        case smtplib.SMTPSenderRefused():
            return f"The mail server refused HotelMate's sender address ({codes})."
        case smtplib.SMTPResponseException():
            return f"The mail server was not ready ({codes})."
    return f"The mail server could not be reached ({type(error).__name__})."
