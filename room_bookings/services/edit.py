"""Edits of a booking: dates, booked type, guests and notes; marking it as seen; its companions."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import transaction

from common import clock
from common.errors import FieldError
from common.guards import Guard, require
from common.money import amount_refusals
from hotel.models import Staff
from notifications.mail import queue_booking_mail
from notifications.models import MailKind
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import capacity_refusals, extra_beds, guests, party_size
from room_bookings.eligibility import PARTY_EDITABLE, party_edit_refusals
from room_bookings.errors import BookingAlreadyCheckedIn, BookingChanged, RoomAssigned, refusal_details
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
from room_bookings.services.booker import booker_refusals
from room_bookings.services.checks import added_nights, date_refusals, free_refusals, night_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking
from room_bookings.services.overstay import DEPARTURE, set_departure
from room_bookings.services.read_only import refuse_read_only
from rooms.models import RoomType

# The fields that can be edited on a booking that is over.
ALWAYS_EDITABLE = {"internal_notes"}
DATES = {"check_in", "check_out"}
# What the guest is told of by mail, and what needs a room of the type on every night.
TERMS = {*DATES, "room_type_id"}


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
    """Change dates, the booked type (``room_type_id``), party size, the primary guest, the booker, the amount and its
    currency, requests or notes.

    ``booker`` replaces the previous one (``booker_columns``). The booking must be at one of ``expected_versions``, if
    given. ``others`` are other fields that the client sent: read-only fields must have their current value. For a guest
    in house only the departure date can change; a booking that is over accepts internal notes only. A booking with a
    room can only change to that room's type. No change recalculates the amount. A supervisor's ``override_reason``
    lifts availability and capacity. Raises BookingChanged, ReadOnlyField, RoomOverlap, RoomAssigned, NoAvailability,
    CapacityExceeded. Returns the current booking.
    """
    locked = lock_booking(booking)
    require(version_refusals(locked, expected_versions))
    refuse_read_only(locked, others or {})
    if (booker := fields.pop("booker", None)) is not None:
        fields |= require(booker_refusals(booker))
    changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
    if not changed:
        return locked
    facts = LockedFacts(locked.hotel)
    edit = require(edit_refusals(locked, changed, staff=staff, reason=override_reason, facts=facts))
    new_type = changed.pop("room_type_id", None)
    names = {*changed, "room_type"} if new_type else set(changed)
    written = set(names)
    if "check_out" in changed and locked.status == BookingStatus.IN_HOUSE:
        set_departure(locked, changed["check_out"])
        written |= set(DEPARTURE)
    party_before = guests(locked)
    for name, value in (changed | {"total_amount": edit.total_amount}).items():
        setattr(locked, name, value)
    if edit.room_type is not None:
        locked.room_type = edit.room_type
    if guests(locked) != party_before or edit.room_type is not None:
        locked.extra_beds = extra_beds(locked)
    save_bookings([locked], *written, "extra_beds")
    changes = [
        history_row(locked, BookingAction.EDITED, was=locked.status, staff=staff, reason=", ".join(sorted(names)))
    ]
    if edit.lifted or edit.overbooked:
        changes.append(_overridden(locked, staff, override_reason))
    save_history(changes)
    save_overbookings(edit.overbooked)
    realtime_booking_updated(locked, "booking_updated")
    if new_type or DATES & set(changed):
        queue_booking_mail(locked, MailKind.CHANGE)
    return locked


def version_refusals(booking: RoomBooking, expected_versions: Sequence[int] | None) -> Guard[None]:
    """Refused unless the booking is at one of ``expected_versions``, if any are expected."""
    if expected_versions is not None and booking.version not in expected_versions:
        yield BookingChanged(
            f"Booking {booking.booking_id} has changed since you read it.", details=refusal_details(booking)
        )


class Edit(NamedTuple):
    """What an edit comes to: the new booked type, if any, the overbookings that it or new dates cause, the amount as
    stored, and whether the party needs a supervisor's reason."""

    room_type: RoomType | None
    overbooked: list[Overbooking]
    total_amount: Decimal | None
    lifted: bool


class Stay(NamedTuple):
    """The terms of a stay after an edit: the new booked type, if any, and the overbookings that they cause."""

    room_type: RoomType | None = None
    overbooked: Sequence[Overbooking] = ()


def edit_refusals(
    booking: RoomBooking, changed: Mapping[str, Any], *, staff: Staff, reason: str, facts: Facts
) -> Guard[Edit]:
    """The refusals of ``edit_booking`` for the fields that would change, with their new values."""
    if set(changed) - ALWAYS_EDITABLE:
        yield from party_edit_refusals(booking)
    stay = Stay()
    if booking.status in PARTY_EDITABLE and TERMS & set(changed):
        stay = yield from _stay_refusals(booking, changed, staff=staff, reason=reason, facts=facts)
    amount: Decimal | None = changed.get("total_amount", booking.total_amount)
    if money := [name for name in ("total_amount", "currency") if name in changed]:
        amount = yield from amount_refusals(amount, changed.get("currency", booking.currency), money[0])
    adults, children = changed.get("adults", booking.adults), changed.get("children", booking.children)
    party = party_size(adults, children, len(booking.party))  # type: ignore[attr-defined]
    lifted = yield from _fit_refusals(booking, party, stay.room_type, staff=staff, reason=reason, facts=facts)
    return Edit(stay.room_type, list(stay.overbooked), amount, lifted)


def retype_refusals(booking: RoomBooking) -> Guard[None]:
    """Refused unless another type can be booked, whichever it is."""
    yield from party_edit_refusals(booking)
    yield from _coming_refusals(booking)


def _coming_refusals(booking: RoomBooking) -> Guard[None]:
    """Refused once the guest is in house."""
    if booking.status == BookingStatus.IN_HOUSE:
        yield BookingAlreadyCheckedIn(
            f"The guest of booking {booking.booking_id} is in house: only the departure date can change.",
            details=refusal_details(booking),
        )


def _stay_refusals(
    booking: RoomBooking, changed: Mapping[str, Any], *, staff: Staff, reason: str, facts: Facts
) -> Guard[Stay]:
    """Refused unless the booking can have its new dates and type."""
    if {"check_in", "room_type_id"} & set(changed):
        yield from _coming_refusals(booking)
    check_in, check_out = changed.get("check_in", booking.check_in), changed.get("check_out", booking.check_out)
    stay = StayRow(booking.status, check_in, check_out, booking.arrived_on)
    moves = bool(DATES & set(changed))
    if moves:
        field = "check_out" if "check_out" in changed else "check_in"
        yield from date_refusals(booking.hotel, check_in, check_out, field)
    if booking.assigned_room_id is not None:
        # Re-read: its type may have changed before it was locked.
        room = booking.assigned_room = facts.rooms([booking.assigned_room_id])[booking.assigned_room_id]
        if moves:
            yield from free_refusals(room, *nights_held(booking.hotel, stay), without=booking, facts=facts)
    # After the room. A request holds no nights yet, but must not ask for nights that are sold out. Shortening a stay
    # needs no availability.
    nights, kind = added_nights(nights_booked(booking), nights_booked(stay)), type_of(booking)
    new_type = None
    if "room_type_id" in changed:
        new_type = yield from _type_refusals(booking, changed["room_type_id"], facts)
    if new_type and booking.assigned_room is None:  # with a room, the nights count under its type all the same
        nights, kind = [nights_booked(stay)], new_type
    overbooked = yield from night_refusals(booking, kind, *nights, facts=facts, staff=staff, reason=reason)
    return Stay(new_type, overbooked)


def _type_refusals(booking: RoomBooking, room_type_id: int, facts: Facts) -> Guard[RoomType | None]:
    """Refused unless the hotel sells the type and the booking has no room of another one."""
    new_type = facts.room_type(room_type_id)
    if new_type is None or not new_type.is_active:
        yield FieldError("room_type_id", "This hotel does not sell this room type.")
        return None
    room = booking.assigned_room
    if room is not None and room.room_type_id != new_type.pk:
        yield RoomAssigned(
            f"Booking {booking.booking_id} has room {room.room_number}, which is no {new_type.name}: unassign it "
            "first, or assign one of this type.",
            details={"room_id": room.pk, "room_number": room.room_number, "room_type": room.room_type.name},
        )
    return new_type


def _fit_refusals(
    booking: RoomBooking,
    party: int,
    new_type: RoomType | None = None,
    *,
    staff: Staff | None,
    reason: str,
    facts: Facts,
) -> Guard[bool]:
    """Refused unless the ``party`` fits into the room, if it is larger than before or is to have a ``new_type``;
    returns whether a supervisor's reason was needed."""
    room_type = type_of(booking)
    if new_type is not None and booking.assigned_room is None:
        room_type = new_type  # read under its lock
    elif party > guests(booking):
        facts.refresh_capacity(room_type)
    else:
        return False
    return (yield from capacity_refusals(booking, room_type, staff=staff, reason=reason, party=party))


def _overridden(booking: RoomBooking, staff: Staff | None, reason: str) -> BookingChange:
    return history_row(booking, BookingAction.OVERRIDDEN, was=booking.status, staff=staff, reason=reason)


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
    facts = LockedFacts(locked.hotel)
    lifted = require(companion_refusals(locked, companions, staff=staff, reason=override_reason, facts=facts))
    if lifted is None:
        return locked
    party_before = guests(locked)
    BookingGuest.objects.filter(booking=locked).delete()
    BookingGuest.objects.bulk_create(BookingGuest(booking=locked, **person) for person in companions)
    locked.party = list(companions)  # type: ignore[attr-defined]
    if guests(locked) != party_before:
        locked.extra_beds = extra_beds(locked)
    save_bookings([locked], "extra_beds")
    if lifted:
        save_history([_overridden(locked, staff, override_reason)])
    fresh = booking_read(locked.pk)
    realtime_booking_updated(fresh, "booking_party_updated")
    return fresh


def companion_refusals(
    booking: RoomBooking,
    companions: Sequence[Mapping[str, str]],
    *,
    staff: Staff | None,
    reason: str,
    facts: Facts,
) -> Guard[bool | None]:
    """The refusals of ``set_companions``.

    Returns whether a supervisor's reason was needed, or ``None`` if the companions are the same.
    """
    yield from party_edit_refusals(booking)
    names = ("first_name", "last_name", "email", "phone")
    before = [tuple(person[name] for name in names) for person in booking.party]  # type: ignore[attr-defined]
    if before == [tuple(person.get(name, "") for name in names) for person in companions]:
        return None
    party = party_size(booking.adults, booking.children, len(companions))
    return (yield from _fit_refusals(booking, party, staff=staff, reason=reason, facts=facts))
