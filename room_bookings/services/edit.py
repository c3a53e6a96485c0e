"""Changes of what a booking says: dates, guests, notes; who has seen it; who comes along."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.db import transaction

from common import clock
from common.money import fitted
from hotel import calendar
from hotel.models import Staff
from housekeeping.selectors import room_lock
from notifications.notification_manager import realtime_booking_updated
from room_bookings.models import BookingAction, BookingGuest, BookingStatus, RoomBooking
from room_bookings.selectors import booking_read
from room_bookings.services.booker import booker_columns
from room_bookings.services.core import (
    BookingAlreadyCheckedIn,
    BookingChanged,
    change,
    lock_booking,
    lock_type,
    not_eligible,
    record,
    require_availability,
    require_dates,
    require_free,
    save,
    state,
)
from room_bookings.services.overstay import DEPARTURE, put_off_departure
from room_bookings.services.read_only import refuse_read_only
from room_bookings.snapshots import PARTY_EDITABLE

# What may be noted on a booking that is over.
ALWAYS_EDITABLE = {"internal_notes"}


@transaction.atomic
def edit_booking(
    *,
    booking: RoomBooking,
    staff: Staff,
    expected_versions: Sequence[int] | None = None,
    others: Mapping[str, Any] | None = None,
    **fields: Any,
) -> RoomBooking:
    """Change dates, party size, the primary guest, the booker, the amount and its currency, requests or notes.

    ``booker`` replaces the one before (``booker_columns``). ``expected_versions`` refuses when somebody was faster.
    ``others`` is what a client sent beside ``fields``: a name of the booking's detail with another value than it has is
    refused. Of a guest in house only the departure date may move; a booking that is over takes internal notes only.
    Raises BookingChanged, ReadOnlyField, RoomOverlap, NoAvailability. Returns the booking as it is now.
    """
    locked = lock_booking(booking)
    if expected_versions is not None and locked.version not in expected_versions:
        raise BookingChanged(f"Booking {locked.booking_id} has changed since you read it.", details=state(locked))
    refuse_read_only(locked, others or {})
    if (booker := fields.pop("booker", None)) is not None:
        fields |= booker_columns(booker)
    changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
    if not changed:
        return locked
    if locked.status not in PARTY_EDITABLE and set(changed) - ALWAYS_EDITABLE:
        raise not_eligible(locked, "changed")
    written = set(changed)
    if {"check_in", "check_out"} & set(changed):
        written |= _change_dates(locked, changed)
    for name, value in (changed | _fitted_amount(locked, changed)).items():
        setattr(locked, name, value)
    save([locked], *written)
    record([change(locked, BookingAction.EDITED, was=locked.status, staff=staff, reason=", ".join(sorted(changed)))])
    realtime_booking_updated(locked, "booking_updated")
    return locked


def _fitted_amount(booking: RoomBooking, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The new amount as it is stored; raises FieldError when it, or the old one in a new currency, cannot be."""
    currency = changed.get("currency", booking.currency)
    if "total_amount" in changed:
        return {"total_amount": fitted(changed["total_amount"], currency, "total_amount")}
    if "currency" in changed:
        fitted(booking.total_amount, currency, "currency")
    return {}


def _change_dates(booking: RoomBooking, changed: Mapping[str, Any]) -> set[str]:
    """Check the new dates of a locked booking; returns what else is to be written."""
    in_house = booking.status == BookingStatus.IN_HOUSE
    if in_house and "check_in" in changed:
        raise BookingAlreadyCheckedIn(
            f"The guest of booking {booking.booking_id} is in house: only the departure date can move.",
            details=state(booking),
        )
    check_in, check_out = changed.get("check_in", booking.check_in), changed.get("check_out", booking.check_out)
    field = "check_out" if "check_out" in changed else "check_in"
    require_dates(booking.hotel, check_in, check_out, field)
    if booking.assigned_room_id is not None:
        room = room_lock([booking.assigned_room_id])[0]
        require_free(room, check_in, check_out, without=booking)
    if in_house:
        put_off_departure(booking, check_out)
        return set(DEPARTURE)
    # After the room: whoever creates a booking holds the type's row and no room.
    if (added := _added_nights(booking, check_in, check_out)) and (
        room_type := lock_type(booking.hotel, booking.room_type_id)
    ):
        for first, free in added:
            require_availability(booking.hotel, room_type, first, free, without=booking)
    return set()


def _added_nights(booking: RoomBooking, check_in: date, check_out: date) -> list[tuple[date, date]]:
    """The nights that the new dates have and the old ones had not, as stays. A sold-out house may shorten a stay."""
    had = calendar.first_free_day(booking.check_in, booking.check_out)
    free = calendar.first_free_day(check_in, check_out)
    stays = []
    if check_in < booking.check_in:
        stays.append((check_in, min(booking.check_in, free)))
    if free > had:
        stays.append((max(had, check_in), free))
    return stays


@transaction.atomic
def mark_seen(*, booking: RoomBooking, staff: Staff) -> RoomBooking:
    """Somebody of the staff has looked at the booking; who was first stays."""
    locked = lock_booking(booking)
    if locked.staff_seen_at is not None:
        return locked
    locked.staff_seen_at, locked.staff_seen_by = clock.now(), staff
    save([locked], "staff_seen_at", "staff_seen_by")
    realtime_booking_updated(locked, "booking_updated")
    return locked


@transaction.atomic
def set_companions(*, booking: RoomBooking, companions: Sequence[Mapping[str, str]]) -> RoomBooking:
    """Replace who comes along with the primary guest; the same party again changes nothing."""
    locked = lock_booking(booking)
    if locked.status not in PARTY_EDITABLE:
        raise not_eligible(locked, "changed")
    names = ("first_name", "last_name", "email", "phone")
    before = [tuple(person[name] for name in names) for person in locked.party]  # type: ignore[attr-defined]
    if before == [tuple(person.get(name, "") for name in names) for person in companions]:
        return locked
    BookingGuest.objects.filter(booking=locked).delete()
    BookingGuest.objects.bulk_create(BookingGuest(booking=locked, **person) for person in companions)
    save([locked])
    fresh = booking_read(locked.pk)
    realtime_booking_updated(fresh, "booking_party_updated")
    return fresh
