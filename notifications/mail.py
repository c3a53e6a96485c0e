"""Guest e-mails: their text, queueing in the transaction that they report, and their delivery status.

A ``BookingMail`` holds no text: ``notifications/mail_sending.py`` composes it from the booking when it sends, and does
not send an e-mail that no longer applies: ``docs/decisions/0006-mail-queue.md``.
"""

from collections.abc import Callable
from datetime import timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils.dateformat import format as format_date

from common import clock
from common.database import delete_in_portions
from common.errors import Conflict, NotFound
from common.formats import iso
from common.guards import Guard, refuses_nothing, require
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

# E-mails can be looked up until this long after the guest's departure.
KEEP_MAILS = timedelta(days=30)


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
    """Queue an e-mail to the guest, in the caller's transaction.

    It replaces one that is still queued. Returns ``None`` if the guest has no address, or if the e-mail does not apply
    to the booking, such as new dates of a request awaiting approval. An undeliverable address only fails when the
    worker tries it. ``booking`` is locked or new, with its hotel and room type loaded; ``by`` is the staff member who
    had an e-mail sent again.
    """
    if not (booking.primary_email and mail_still_applies(booking, kind)):
        return None
    now = clock.now()
    BookingMail.objects.filter(booking=booking, state=MailState.QUEUED).update(
        state=MailState.DROPPED, reason=NEWER, settled_at=now
    )
    return BookingMail.objects.create(
        hotel_id=booking.hotel_id,
        booking=booking,
        kind=kind,
        to_address=booking.primary_email,
        queued_at=now,
        due_at=now,
        queued_by=by,
    )


def mail_still_applies(booking: RoomBooking, kind: str) -> bool:
    """Whether an e-mail of this kind applies to the booking's current status."""
    return booking.status in TRUE_WHILE[MailKind(kind)]


def status_of(booking: RoomBooking) -> str:
    """The booking's status for use in a sentence."""
    return BookingStatus(booking.status).label.lower()


def message_id(mail: BookingMail) -> str:
    """The e-mail's Message-ID: the same at each try, so that mail servers can recognise a duplicate."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{mail.queued_at.timestamp():.6f}.{mail.pk}@{domain}>"


def settle(mail: BookingMail, state: MailState, reason: str = "") -> None:
    """Record the final state of an open e-mail."""
    mail.state, mail.reason, mail.settled_at, mail.claimed_at = state, reason, clock.now(), None
    mail.save(update_fields=["state", "reason", "settled_at", "claimed_at"])


# --- for the front desk -----------------------------------------------------------------------------------------------


def mail_list(booking: RoomBooking | None = None) -> QuerySet[BookingMail]:
    """The e-mails of one booking or of all, newest first."""
    mails = BookingMail.objects.all() if booking is None else BookingMail.objects.filter(booking=booking)
    return mails.select_related("booking", "queued_by__user").order_by("-pk")


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
        "next_try_at": iso(mail.next_try_at),
        "tries": mail.tries,
        "sent_at": iso(mail.settled_at) if sent else None,
        "settled_at": iso(mail.settled_at),
        "reason": mail.reason,
        "can_send_again": can_send_again(mail),
    }


def can_send_again(mail: BookingMail) -> bool:
    """Whether ``send_again`` would currently accept it, unless another e-mail of the booking is being sent."""
    return refuses_nothing(send_again_refusals(mail.booking, mail.kind, lambda: mail.state == MailState.SENDING))


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
    mails = BookingMail.objects.filter(booking=booking)
    require(send_again_refusals(booking, mail.kind, mails.filter(state=MailState.SENDING).exists))
    untried = mails.filter(state=MailState.QUEUED, kind=mail.kind, tries=0).first()
    if untried is not None:
        return untried
    again = queue_booking_mail(booking, MailKind(mail.kind), by=staff)
    assert again is not None  # it applies, and the guest has an address
    publish_booking(booking)
    return again


def send_again_refusals(booking: RoomBooking, kind: str, is_sending: Callable[[], bool]) -> Guard[None]:
    """The refusals of ``send_again``; ``is_sending`` tells whether an e-mail of the booking is being sent."""
    if not mail_still_applies(booking, kind):
        yield MailOvertaken(
            f"Booking {booking.booking_id} is {status_of(booking)}: this e-mail no longer applies.",
            details={"booking_id": booking.booking_id, "status": str(booking.status)},
        )
    if is_sending():
        yield MailBeingSent("An e-mail to this guest is being sent right now. Check again in a minute.")
    if not booking.primary_email:
        yield GuestHasNoAddress(f"Booking {booking.booking_id} has no e-mail address.")


def drop_all_queued(reason: str) -> int:
    """Drop all open e-mails; returns how many."""
    return open_mails().update(state=MailState.DROPPED, reason=reason, settled_at=clock.now(), claimed_at=None)


def retry_all() -> int:
    """Make all queued e-mails due now; returns how many."""
    return BookingMail.objects.filter(state=MailState.QUEUED).update(due_at=clock.now())


def open_mails() -> QuerySet[BookingMail]:
    """The e-mails that are queued or being sent."""
    return BookingMail.objects.filter(state__in=OPEN_MAIL)


def forget_settled() -> int:
    """Delete e-mails ``KEEP_MAILS`` after both they were settled and the stay ended; returns how many."""
    before = clock.now() - KEEP_MAILS
    old = BookingMail.objects.filter(settled_at__lt=before, booking__check_out__lt=before.date())
    return delete_in_portions(old.order_by("pk"))


# --- text -------------------------------------------------------------------------------------------------------------


def compose(mail: BookingMail, booking: RoomBooking) -> EmailMultiAlternatives:
    """The e-mail's text from the booking's current data."""
    kind = MailKind(mail.kind)
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
        "reason": reasons.get(kind, "").strip(),
        "in_house": booking.status == BookingStatus.IN_HOUSE,
        "was_confirmed": bool(booking.confirmation_number),  # a request has none
        "is_refunded": booking.payment_state == PaymentState.REFUNDED,
    }
    template = f"notifications/mail/{kind.lower()}"
    email = EmailMultiAlternatives(
        subject=f"[{hotel_name}] {SUBJECTS[kind].format(booking.booking_id)}",
        body=str(render_to_string(f"{template}.txt", context)),
        to=[booking.primary_email],
        headers={"Message-ID": message_id(mail)},
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
