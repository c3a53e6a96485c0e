"""Edits of a booking: dates, guests and notes; marking it as seen; its companions."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from common import clock
from common.guards import Guard, require
from common.money import amount_refusals
from hotel.models import Staff
from notifications.mail import queue_booking_mail
from notifications.models import MailKind
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import capacity_refusals, extra_beds, guests
from room_bookings.eligibility import PARTY_EDITABLE, party_edit_refusals
from room_bookings.errors import BookingAlreadyCheckedIn, BookingChanged, refusal_details
from room_bookings.inventory import StayRow, nights_booked, nights_held, type_of
from room_bookings.models import (
    BookingAction,
    BookingChange,
    BookingGuest,
    BookingStatus,
    Overbooking,
    RoomBooking,
)
from room_bookings.selectors import booking_read
from room_bookings.services.booker import booker_columns
from room_bookings.services.checks import added_nights, date_refusals, free_refusals, night_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking, lock_type_capacity
from room_bookings.services.overstay import DEPARTURE, set_departure
from room_bookings.services.read_only import refuse_read_only

# The fields that can be edited on a booking that is over.
ALWAYS_EDITABLE = {"internal_notes"}


@transaction.atomic
def edit_booking(
    *,
    booking: RoomBooking,
    staff: Staff,
    expected_versions: Sequence[int] | None = None,
    override_reason: str = "",
    others: Mapping[str, Any] | None = None,
    **fields: Any,
) -> RoomBooking:
    """Change dates, party size, the primary guest, the booker, the amount and its currency, requests or notes.

    ``booker`` replaces the previous one (``booker_columns``). The booking must be at one of ``expected_versions``, if
    given. ``others`` are other fields that the client sent: read-only fields must have their current value. For a guest
    in house only the departure date can change; a booking that is over accepts internal notes only. A supervisor's
    ``override_reason`` lifts availability and capacity. Raises BookingChanged, ReadOnlyField, RoomOverlap,
    NoAvailability, CapacityExceeded. Returns the current booking.
    """
    locked = lock_booking(booking)
    if expected_versions is not None and locked.version not in expected_versions:
        raise BookingChanged(
            f"Booking {locked.booking_id} has changed since you read it.", details=refusal_details(locked)
        )
    refuse_read_only(locked, others or {})
    if (booker := fields.pop("booker", None)) is not None:
        fields |= booker_columns(booker)
    changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
    if not changed:
        return locked
    facts = LockedFacts(locked.hotel)
    overbooked = require(edit_refusals(locked, changed, staff=staff, reason=override_reason, facts=facts))
    written = set(changed)
    if "check_out" in changed and locked.status == BookingStatus.IN_HOUSE:
        set_departure(locked, changed["check_out"])
        written |= set(DEPARTURE)
    party_before = guests(locked)
    for name, value in (changed | _amount_to_save(locked, changed)).items():
        setattr(locked, name, value)
    lifted = _fit(locked, party_before, staff, override_reason)
    save_bookings([locked], *written, "extra_beds")
    changes = [
        history_row(locked, BookingAction.EDITED, was=locked.status, staff=staff, reason=", ".join(sorted(changed)))
    ]
    if lifted or overbooked:
        changes.append(_overridden(locked, staff, override_reason))
    save_history(changes)
    save_overbookings(overbooked)
    realtime_booking_updated(locked, "booking_updated")
    if {"check_in", "check_out"} & set(changed):
        queue_booking_mail(locked, MailKind.CHANGE)
    return locked


def _amount_to_save(booking: RoomBooking, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The new amount as stored; raises FieldError if it, or the old amount in a new currency, cannot be stored."""
    currency = changed.get("currency", booking.currency)
    if "total_amount" in changed:
        return {"total_amount": require(amount_refusals(changed["total_amount"], currency, "total_amount"))}
    if "currency" in changed:
        require(amount_refusals(booking.total_amount, currency, "currency"))
    return {}


def _fit(booking: RoomBooking, party_before: int, staff: Staff | None, reason: str) -> bool:
    """Check that a larger party fits into its room, and set ``extra_beds``, which the caller saves; returns whether a
    supervisor's reason was needed."""
    party, lifted = guests(booking), False
    if party > party_before:
        lock_type_capacity(type_of(booking))
        lifted = require(capacity_refusals(booking, type_of(booking), staff=staff, reason=reason))
    if party != party_before:
        booking.extra_beds = extra_beds(booking)
    return lifted


def _overridden(booking: RoomBooking, staff: Staff | None, reason: str) -> BookingChange:
    return history_row(booking, BookingAction.OVERRIDDEN, was=booking.status, staff=staff, reason=reason)


def edit_refusals(
    booking: RoomBooking, changed: Mapping[str, Any], *, staff: Staff, reason: str, facts: Facts
) -> Guard[list[Overbooking]]:
    """The refusals of ``edit_booking`` for the fields that would change, without the party's size; returns the
    overbookings that new dates cause."""
    if set(changed) - ALWAYS_EDITABLE:
        yield from party_edit_refusals(booking)
    if booking.status not in PARTY_EDITABLE or not {"check_in", "check_out"} & set(changed):
        return []
    if "check_in" in changed and booking.status == BookingStatus.IN_HOUSE:
        yield BookingAlreadyCheckedIn(
            f"The guest of booking {booking.booking_id} is in house: only the departure date can change.",
            details=refusal_details(booking),
        )
    check_in, check_out = changed.get("check_in", booking.check_in), changed.get("check_out", booking.check_out)
    field = "check_out" if "check_out" in changed else "check_in"
    yield from date_refusals(booking.hotel, check_in, check_out, field)
    stay = StayRow(booking.status, check_in, check_out, booking.arrived_on)
    if booking.assigned_room_id is not None:
        # Re-read: its type may have changed before it was locked.
        room = booking.assigned_room = facts.rooms([booking.assigned_room_id])[booking.assigned_room_id]
        yield from free_refusals(room, *nights_held(booking.hotel, stay), without=booking, facts=facts)
    # After the room. A request holds no nights yet, but must not ask for nights that are sold out. Shortening a stay
    # needs no availability.
    added = added_nights(nights_booked(booking), nights_booked(stay))
    return (yield from night_refusals(booking, type_of(booking), *added, facts=facts, staff=staff, reason=reason))


@transaction.atomic
def mark_seen(*, booking: RoomBooking, staff: Staff) -> RoomBooking:
    """Mark the booking as seen by staff; the first viewer stays recorded."""
    locked = lock_booking(booking)
    if locked.staff_seen_at is not None:
        return locked
    locked.staff_seen_at, locked.staff_seen_by = clock.now(), staff
    save_bookings([locked], "staff_seen_at", "staff_seen_by")
    realtime_booking_updated(locked, "booking_updated")
    return locked


@transaction.atomic
def set_companions(
    *,
    booking: RoomBooking,
    companions: Sequence[Mapping[str, str]],
    staff: Staff | None = None,
    override_reason: str = "",
) -> RoomBooking:
    """Replace the primary guest's companions; the same companions again change nothing.

    A party larger than the room sleeps needs a supervisor's ``override_reason``. Raises CapacityExceeded.
    """
    locked = lock_booking(booking)
    require(party_edit_refusals(locked))
    names = ("first_name", "last_name", "email", "phone")
    before = [tuple(person[name] for name in names) for person in locked.party]  # type: ignore[attr-defined]
    if before == [tuple(person.get(name, "") for name in names) for person in companions]:
        return locked
    party_before = guests(locked)
    BookingGuest.objects.filter(booking=locked).delete()
    BookingGuest.objects.bulk_create(BookingGuest(booking=locked, **person) for person in companions)
    locked.party = list(companions)  # type: ignore[attr-defined]
    lifted = _fit(locked, party_before, staff, override_reason)
    save_bookings([locked], "extra_beds")
    if lifted:
        save_history([_overridden(locked, staff, override_reason)])
    fresh = booking_read(locked.pk)
    realtime_booking_updated(fresh, "booking_party_updated")
    return fresh
