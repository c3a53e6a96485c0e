"""New bookings: by telephone, at the front desk, or by card and then pending approval."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, connection, transaction

from common import clock, dry_run, prepared
from common.database import constraint
from common.errors import FieldConflict, FieldError
from common.guards import Guard, require
from common.money import amount_refusals
from hotel import calendar
from hotel.models import Hotel, Staff
from notifications.mail import queue_booking_mail
from notifications.models import MailKind
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import capacity_refusals, extra_beds
from room_bookings.inventory import nights_held
from room_bookings.models import (
    STRIPE,
    BookerType,
    BookingAction,
    BookingGuest,
    BookingStatus,
    PaymentState,
    RoomBooking,
    hash_token,
)
from room_bookings.selectors import booking_read
from room_bookings.services.booker import booker_refusals
from room_bookings.services.checks import date_refusals, night_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_history


class PaymentTaken(FieldConflict):
    """Another booking already uses this payment."""

    code = "PAYMENT_REFERENCE_TAKEN"

    def __init__(self) -> None:
        super().__init__("payment_reference", "Another booking already has this payment.")


@transaction.atomic
def create_booking(
    *,
    hotel: Hotel,
    staff: Staff | None,
    room_type_id: int,
    check_in: date,
    check_out: date,
    primary_first_name: str,
    primary_last_name: str,
    adults: int = 1,
    children: int = 0,
    primary_email: str = "",
    primary_phone: str = "",
    special_requests: str = "",
    total_amount: Decimal | None = None,
    currency: str = "EUR",
    party: Sequence[Mapping[str, str]] = (),
    booker: Mapping[str, str] | None = None,
    payment_provider: str = "",
    payment_reference: str = "",
    needs_approval: bool = False,
    override_reason: str = "",
) -> RoomBooking:
    """Create a booking: confirmed, or pending approval with a card payment or ``needs_approval``.

    ``party`` are the companions, each ``{first_name, last_name, email, phone}``; ``booker`` is the booker if that is
    not the guest (``booker_columns``). A supervisor's ``override_reason`` allows a party larger than the room sleeps.
    Raises NoAvailability, CapacityExceeded. Returns the booking; its ``guest_token`` attribute is the guest's access
    token, which is stored only as a hash and never shown again.
    """
    facts = LockedFacts(hotel)
    room_type = facts.room_type(room_type_id)
    if room_type is None or not room_type.is_active:
        raise FieldError("room_type_id", "This hotel does not sell this room type.")
    now, token = clock.now(), dry_run.made_up(secrets.token_urlsafe(24))
    waits = needs_approval or payment_provider == STRIPE
    booking = RoomBooking(
        hotel=hotel,
        room_type=room_type,
        status=BookingStatus.PENDING_APPROVAL if waits else BookingStatus.CONFIRMED,
        confirmation_number="" if waits else new_confirmation_number(),
        approval_deadline_at=calendar.approval_deadline(hotel, now) if waits else None,
        check_in=check_in,
        check_out=check_out,
        adults=adults,
        children=children,
        primary_first_name=primary_first_name,
        primary_last_name=primary_last_name,
        primary_email=primary_email,
        primary_phone=primary_phone,
        special_requests=special_requests,
        total_amount=total_amount,
        currency=currency,
        payment_provider=payment_provider,
        payment_reference=payment_reference,
        payment_state=PaymentState.AUTHORISED if payment_provider == STRIPE else "",
        guest_token_hash=hash_token(token),
        created_at=now,
        updated_at=now,
    )
    booking.party = list(party)  # type: ignore[attr-defined]
    columns = require(creation_refusals(booking, booker, staff=staff, reason=override_reason, facts=facts))
    for name, value in columns.items():
        setattr(booking, name, value)
    booking.extra_beds = extra_beds(booking)
    # The last lock: until the commit, every other new booking in any hotel waits for this counter.
    booking.booking_id = next_reference(calendar.local_now(hotel).year)
    try:
        prepared.insert([booking])
    except IntegrityError as error:
        if constraint(error) == "room_booking_payment_unique":
            require(payment_refusals(is_taken=True))
        raise
    BookingGuest.objects.bulk_create(BookingGuest(booking=booking, **companion) for companion in party)
    save_history([history_row(booking, BookingAction.CREATED, was="", staff=staff, reason=override_reason)])
    created = booking_read(booking.pk)
    realtime_booking_updated(created, "booking_created")
    if not waits:
        queue_booking_mail(created, MailKind.CONFIRMATION)
    created.guest_token = token  # type: ignore[attr-defined]
    return created


def creation_refusals(
    booking: RoomBooking,
    booker: Mapping[str, str] | None,
    *,
    staff: Staff | None,
    reason: str,
    facts: Facts,
    payment_is_taken: bool = False,
) -> Guard[dict[str, Any]]:
    """The refusals of ``create_booking`` for a ``booking`` that is not stored yet.

    ``payment_is_taken``: another booking has its payment. Returns the columns of the booker and the amount, as stored.
    """
    kind = booking.room_type
    yield from date_refusals(booking.hotel, booking.check_in, booking.check_out)
    columns = yield from booker_refusals({"type": BookerType.SELF} if booker is None else booker)
    amount = yield from amount_refusals(booking.total_amount, booking.currency, "total_amount")
    yield from capacity_refusals(booking, kind, staff=staff, reason=reason)
    yield from night_refusals(booking, kind, nights_held(booking.hotel, booking), facts=facts)
    yield from payment_refusals(is_taken=payment_is_taken)
    return {**columns, "total_amount": amount}


def payment_refusals(*, is_taken: bool) -> Guard[None]:
    """Refused if another booking has the payment."""
    if is_taken:
        yield PaymentTaken()


def next_reference(year: int) -> str:
    """The year's next ``BK-YYYY-NNNN``; the counter's row stays locked until the commit, so that no number is lost."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO room_bookings_referencecounter AS counter (year, last_number) VALUES (%s, 1)
            ON CONFLICT (year) DO UPDATE SET last_number = counter.last_number + 1
            RETURNING last_number
            """,
            [year],
        )
        number: Any = cursor.fetchone()
    return dry_run.made_up(f"BK-{year}-{number[0]:04d}")


# Without letters and digits that are easily confused on the telephone.
CONFIRMATION_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def new_confirmation_number() -> str:
    """A random number for the guest to quote, which cannot be guessed."""
    return dry_run.made_up("".join(secrets.choice(CONFIRMATION_ALPHABET) for _ in range(8)))
