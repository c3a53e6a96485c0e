"""Guest e-mails: their text, queueing in the transaction that they report, and their delivery status.

The queue is django-mailer's (its tables, and its backend for all other mail); the front desk sees an e-mail's
``BookingMail``. ``notifications/mail_sending.py`` sends. An e-mail reflects its booking at the time of sending, and one
that no longer applies is not sent: ``docs/decisions/0006-mail-queue.md``.
"""

from datetime import timedelta
from email.utils import make_msgid, parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection, transaction
from django.db.models import Case, Exists, OuterRef, QuerySet, Subquery, When
from django.template.loader import render_to_string
from django.utils.dateformat import format as format_date
from mailer.models import PRIORITY_MEDIUM, RESULT_FAILURE, RESULT_SUCCESS, Message, MessageLog

from common import clock
from common.errors import Conflict, NotFound
from common.formats import iso
from common.money import money
from hotel import calendar
from hotel.models import Staff
from notifications.models import OPEN_MAIL, BookingMail, MailKind, MailState
from notifications.notification_manager import realtime_booking_updated
from room_bookings.models import BookingStatus, PaymentState, RoomBooking
from room_bookings.selectors import booking_lock

SUBJECTS = {
    MailKind.CONFIRMATION: "Your booking {} is confirmed",
    MailKind.CHANGE: "Your booking {} has new dates",
    MailKind.CANCELLATION: "Your booking {} is cancelled",
    MailKind.DECLINE: "Your booking {} was declined",
}
# The statuses of the booking in which the e-mail still applies.
TRUE_WHILE = {
    MailKind.CONFIRMATION: (BookingStatus.CONFIRMED, BookingStatus.IN_HOUSE),
    MailKind.CHANGE: (BookingStatus.CONFIRMED, BookingStatus.IN_HOUSE),
    MailKind.CANCELLATION: (BookingStatus.CANCELLED,),
    MailKind.DECLINE: (BookingStatus.DECLINED,),
}
NEWER = "Replaced by a newer e-mail."
LOST = "Removed from the queue by something other than HotelMate's worker: it may have been sent."

KEEP_TRIES_DAYS = 30
# E-mails can be looked up until this long after the guest's departure.
KEEP_MAILS = timedelta(days=30)
AT_ONCE = 1000


class MailNotFound(NotFound):
    code = "MAIL_NOT_FOUND"


class MailOvertaken(Conflict):
    """The e-mail no longer applies to its booking."""

    code = "MAIL_OVERTAKEN"


class GuestHasNoAddress(Conflict):
    """The booking has no e-mail address."""

    code = "NO_EMAIL_ADDRESS"


class MailBeingSent(Conflict):
    """A worker is currently sending an e-mail for this booking."""

    code = "MAIL_BEING_SENT"


# --- queueing ---------------------------------------------------------------------------------------------------------


def queue_booking_mail(booking: RoomBooking, kind: MailKind, *, by: Staff | None = None) -> BookingMail | None:
    """Queue an e-mail to the guest, in the caller's transaction and in one statement.

    It replaces one that is still queued. Returns ``None`` if the guest has no address, or if the e-mail does not apply
    to the booking, such as new dates of a request awaiting approval. An undeliverable address only fails when the
    worker tries it. ``booking`` is locked or new, with its hotel and room type loaded; ``by`` is the staff member who
    had an e-mail sent again.
    """
    if not (booking.primary_email and mail_still_applies(booking, kind)):
        return None
    # The Message-ID is assigned here, not at each try, so that duplicates can be recognised.
    message = Message()
    message.email = compose(booking, kind, new_identity())
    mail = BookingMail(
        hotel_id=booking.hotel_id,
        booking=booking,
        kind=kind,
        to_address=booking.primary_email,
        queued_at=clock.now(),
        queued_by=by,
    )
    parameters = {
        "hotel": booking.hotel_id,
        "booking": booking.pk,
        "kind": str(kind),
        "to_address": mail.to_address,
        "now": mail.queued_at,
        "by": by and by.pk,
        "message": message.message_data,
        "newer": NEWER,
    }
    with connection.cursor() as cursor:
        cursor.execute(REPLACE_QUEUED, parameters)
        mail.pk, mail.queue_number = cursor.fetchone()
    mail._state.adding = False
    return mail


# Drops the queued e-mail, removes it from django-mailer's queue, then queues the new one. (A CTE runs after those that
# it reads from, and a booking may never have two queued e-mails: hence the count.)
REPLACE_QUEUED = f"""
    WITH overtaken AS (
        UPDATE notifications_bookingmail mail
        SET state = '{MailState.DROPPED}', reason = %(newer)s, settled_at = %(now)s, queue_number = NULL
        FROM (
            SELECT id, queue_number FROM notifications_bookingmail
            WHERE booking_id = %(booking)s AND state = '{MailState.QUEUED}'
        ) waiting
        WHERE mail.id = waiting.id
        RETURNING waiting.queue_number
    ), emptied AS (
        DELETE FROM mailer_message message USING overtaken WHERE message.id = overtaken.queue_number
    ), written AS (
        INSERT INTO mailer_message (message_data, when_added, priority, retry_count)
        SELECT %(message)s, %(now)s, {PRIORITY_MEDIUM}, 0 FROM (SELECT count(*) FROM overtaken) before_that
        RETURNING id
    )
    INSERT INTO notifications_bookingmail
        (hotel_id, booking_id, kind, state, to_address, queued_at, queued_by_id, tries, reason, queue_number)
    SELECT %(hotel)s, %(booking)s, %(kind)s, '{MailState.QUEUED}', %(to_address)s, %(now)s, %(by)s, 0, '', written.id
    FROM written
    RETURNING id, queue_number
"""  # noqa: S608 - words of our own


def mail_still_applies(booking: RoomBooking, kind: str) -> bool:
    """Whether an e-mail of this kind applies to the booking's current status."""
    return booking.status in TRUE_WHILE[MailKind(kind)]


def status_of(booking: RoomBooking) -> str:
    """The booking's status for use in a sentence."""
    return BookingStatus(booking.status).label.lower()


def new_identity() -> str:
    """A new Message-ID, created without looking up this machine's host name, which may take seconds."""
    return make_msgid(domain=parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2])


def settle(mail: BookingMail, state: MailState, reason: str = "") -> None:
    """Record the final state of an open e-mail, and remove it from the queue."""
    Message.objects.filter(pk=mail.queue_number).delete()
    mail.state, mail.reason, mail.settled_at = state, reason, clock.now()
    mail.claimed_at = mail.queue_number = None
    mail.save(update_fields=["state", "reason", "settled_at", "claimed_at", "queue_number"])


# --- for the front desk -----------------------------------------------------------------------------------------------


def mail_list(booking: RoomBooking | None = None) -> QuerySet[BookingMail]:
    """The e-mails of one booking or of all, newest first, each with ``next_try_at`` (``None`` unless queued)."""
    due = Message.objects.filter(pk=OuterRef("queue_number")).values("when_added")
    mails = BookingMail.objects.all() if booking is None else BookingMail.objects.filter(booking=booking)
    waiting = Case(When(state=MailState.QUEUED, then=Subquery(due)))
    return mails.select_related("booking", "queued_by__user").annotate(next_try_at=waiting).order_by("-pk")


def mail_row(mail: BookingMail) -> dict[str, Any]:
    """An e-mail without its text, JSON-safe; ``mail`` comes from ``mail_list``."""
    sent = mail.state == MailState.SENT
    return {
        "id": mail.pk,
        "kind": str(mail.kind),
        "kind_display": mail.get_kind_display(),
        "state": str(mail.state),
        "state_display": mail.get_state_display(),
        "to_address": mail.to_address,
        "queued_at": iso(mail.queued_at),
        "queued_by_name": mail.queued_by.name if mail.queued_by else None,
        "next_try_at": iso(mail.next_try_at),  # type: ignore[attr-defined]  # of mail_list
        "tries": mail.tries,
        "sent_at": iso(mail.settled_at) if sent else None,
        "settled_at": iso(mail.settled_at),
        "reason": mail.reason,
        "can_send_again": can_send_again(mail),
    }


def can_send_again(mail: BookingMail) -> bool:
    """Whether ``send_again`` would currently accept it."""
    booking = mail.booking
    return mail_still_applies(booking, mail.kind) and bool(booking.primary_email) and mail.state != MailState.SENDING


def publish_booking(booking: RoomBooking) -> None:
    """Publish ``booking_updated`` for a booking whose e-mail failed, was dropped or is sent again.

    Skipped for a hotel whose timezone this machine does not know: no event can be built, and e-mails must still go out.
    """
    if calendar.has_clock(booking.hotel):
        realtime_booking_updated(booking, "booking_updated")


@transaction.atomic
def send_again(*, mail: BookingMail, staff: Staff) -> BookingMail:
    """Queue an e-mail of the same kind again, with the booking's current data and to its current address.

    It replaces one that is waiting for a retry; one that has not been tried yet is returned instead. Raises
    MailOvertaken, GuestHasNoAddress, MailBeingSent. Returns the e-mail that will be sent.
    """
    [booking] = booking_lock([mail.booking_id])
    if not mail_still_applies(booking, mail.kind):
        raise MailOvertaken(
            f"Booking {booking.booking_id} is {status_of(booking)}: this e-mail no longer applies.",
            details={"booking_id": booking.booking_id, "status": str(booking.status)},
        )
    if BookingMail.objects.filter(booking=booking, state=MailState.SENDING).exists():
        raise MailBeingSent("An e-mail to this guest is being sent right now. Check again in a minute.")
    untried = BookingMail.objects.filter(booking=booking, state=MailState.QUEUED, kind=mail.kind, tries=0).first()
    if untried is not None and booking.primary_email:
        return untried
    again = queue_booking_mail(booking, MailKind(mail.kind), by=staff)
    if again is None:
        raise GuestHasNoAddress(f"Booking {booking.booking_id} has no e-mail address.")
    publish_booking(booking)
    return again


@transaction.atomic
def drop_all_queued(reason: str) -> int:
    """Drop all queued mail, including mail not about bookings; returns how many."""
    mails = list(BookingMail.objects.filter(state__in=OPEN_MAIL))
    for mail in mails:
        settle(mail, MailState.DROPPED, reason)
    return len(mails) + Message.objects.all().delete()[0]


def settle_lost() -> int:
    """Drop open e-mails that something else has removed from django-mailer's queue; returns how many.

    During an upgrade that is the old release's worker, which sends them; otherwise somebody deleted them by hand.
    """
    in_queue = Message.objects.filter(pk=OuterRef("queue_number"))
    lost = BookingMail.objects.filter(~Exists(in_queue), state__in=OPEN_MAIL)
    settled = 0
    for mail in list(lost.order_by("pk")[:AT_ONCE]):
        with transaction.atomic():
            [booking] = booking_lock([mail.booking_id])
            if lost.filter(pk=mail.pk).exists():
                settle(mail, MailState.DROPPED, LOST)
                publish_booking(booking)
                settled += 1
    return settled


def forget_history() -> int:
    """Delete old delivery records; returns how many rows. Queued mail is never deleted.

    django-mailer's log of tries is kept for ``KEEP_TRIES_DAYS``, e-mails until ``KEEP_MAILS`` after both they were
    settled and the stay ended.
    """
    forgotten = int(MessageLog.objects.purge_old_entries(KEEP_TRIES_DAYS, [RESULT_SUCCESS, RESULT_FAILURE]))
    before = clock.now() - KEEP_MAILS
    old = BookingMail.objects.filter(settled_at__lt=before, booking__check_out__lt=before.date()).order_by("pk")
    while numbers := list(old.values_list("pk", flat=True)[:AT_ONCE]):
        forgotten += BookingMail.objects.filter(pk__in=numbers).delete()[0]
    return forgotten


# --- text -------------------------------------------------------------------------------------------------------------


def compose(booking: RoomBooking, kind: str, identity: str) -> EmailMultiAlternatives:
    """The e-mail from the booking's current data; ``identity`` is its Message-ID."""
    hotel_name = _one_line(booking.hotel.name)
    reasons = {
        MailKind.CANCELLATION: booking.cancellation_reason,
        MailKind.DECLINE: booking.decline_reason_note,
    }
    context = {
        "hotel_name": hotel_name,
        "hotel_phone": _one_line(booking.hotel.phone),
        "guest_name": _one_line(f"{booking.primary_first_name} {booking.primary_last_name}"),
        "details": _details(booking),
        "reason": reasons.get(MailKind(kind), "").strip(),
        "in_house": booking.status == BookingStatus.IN_HOUSE,
        "was_confirmed": bool(booking.confirmation_number),  # a request has none
        "is_refunded": booking.payment_state == PaymentState.REFUNDED,
    }
    template = f"notifications/mail/{kind.lower()}"
    email = EmailMultiAlternatives(
        subject=f"[{hotel_name}] {SUBJECTS[MailKind(kind)].format(booking.booking_id)}",
        body=str(render_to_string(f"{template}.txt", context)),
        to=[booking.primary_email],
        headers={"Message-ID": identity},
    )
    email.attach_alternative(str(render_to_string(f"{template}.html", context)), "text/html")
    return email


def _details(booking: RoomBooking) -> list[tuple[str, str]]:
    """The booking's details for the e-mail, as (label, value)."""
    nights, amount = (booking.check_out - booking.check_in).days, money(booking.total_amount, booking.currency)
    guests = _counted(booking.adults, "adult", "adults")
    if booking.children:
        guests += f", {_counted(booking.children, 'child', 'children')}"
    details = [
        ("Booking reference", booking.booking_id),
        ("Confirmation number", _one_line(booking.confirmation_number)),
        ("Arrival", format_date(booking.check_in, "l, j F Y")),
        ("Departure", format_date(booking.check_out, "l, j F Y")),
        ("Nights", str(nights) if nights else "none (day use)"),
        ("Room type", _one_line(booking.room_type.name)),
        ("Guests", guests),
        ("Total", f"{amount} {booking.currency}" if amount else ""),
    ]
    return [(label, value) for label, value in details if value]


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _one_line(text: str) -> str:
    """Without line breaks, which headers cannot contain, and other control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
