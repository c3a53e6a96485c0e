"""Saves bookings, their history and overbookings; each in one statement."""

from collections.abc import Iterable, Sequence

from common import clock, prepared
from hotel.models import Staff
from room_bookings.models import (
    BookingAction,
    BookingChange,
    Overbooking,
    RoomBooking,
)
from rooms.models import Room


def save_bookings(bookings: Sequence[RoomBooking], *fields: str) -> None:
    """Save ``fields`` of locked bookings and increment their versions, in one statement."""
    moment = clock.now()
    for booking in bookings:
        booking.version += 1
        booking.updated_at = moment
    prepared.update(bookings, [*fields, "version", "updated_at"])


def history_row(
    booking: RoomBooking,
    action: BookingAction,
    *,
    was: str,
    staff: Staff | None,
    reason: str = "",
    from_room: Room | None = None,
    to_room: Room | None = None,
    is_upgrade: bool = False,
) -> BookingChange:
    """The history row of one booking action, not yet saved; ``was`` is the previous status."""
    return BookingChange(
        hotel=booking.hotel,
        booking=booking,
        action=action,
        from_status=was,
        to_status=booking.status,
        from_room=from_room,
        to_room=to_room,
        is_upgrade=is_upgrade,
        staff=staff,
        reason=reason,
        created_at=clock.now(),
    )


def save_history(changes: Iterable[BookingChange]) -> None:
    """Save history rows, in one statement."""
    prepared.insert(changes)


def save_overbookings(overbookings: Iterable[Overbooking]) -> None:
    """Save the overbookings returned by ``require_nights``, in one statement."""
    prepared.insert(overbookings)
