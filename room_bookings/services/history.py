"""Writing bookings, the history of their steps and the record of overbookings; each in one statement."""

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
    """Write ``fields`` of locked bookings, with their next version, in one statement."""
    moment = clock.now()
    for booking in bookings:
        booking.version += 1
        booking.updated_at = moment
    names = [*fields, "version", "updated_at"]
    if len(bookings) == 1:
        prepared.update(bookings[0], names)
    else:
        RoomBooking.objects.bulk_update(bookings, names)


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
    """The history row of one step, not yet stored; ``was`` is the status before it."""
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
    """Store history rows, in one statement."""
    prepared.insert(changes)


def save_overbookings(overbookings: Iterable[Overbooking]) -> None:
    """Store what ``take_nights`` has let go beyond the rooms that there are, in one statement."""
    prepared.insert(overbookings)
