"""Undoing a mistaken check-out."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from django.db import transaction

from common import clock
from common.errors import Conflict
from common.guards import Guard, require
from hotel import calendar
from hotel.models import Staff
from housekeeping.models import Source
from housekeeping.services import set_room_statuses
from housekeeping.task_following import resume_stay
from housekeeping.task_services import open_postponed_stayover
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import capacity_refusals, extra_beds
from room_bookings.errors import (
    BookingNotCheckedOut,
    BookingNotEligible,
    NoAvailability,
    RightMissing,
    RoomOverlap,
    booking_status_label,
    refusal_details,
)
from room_bookings.inventory import StayRow, nights_held
from room_bookings.models import BookingAction, BookingStatus, Overbooking, RoomBooking
from room_bookings.overrides import BY_REASON, is_override
from room_bookings.selectors import checked_out_by
from room_bookings.services.check_in import RoomNotReady
from room_bookings.services.checks import free_refusals, night_refusals, service_refusals
from room_bookings.services.edit import version_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking
from room_bookings.services.overstay import as_in_house, reopen_overstay, suggested_rooms
from room_bookings.services.room_assignment import ASSIGNMENT, room_for, take_room
from room_bookings.services.room_move import RoomOutOfOrder, usable_refusals
from rooms.errors import RoomBlocked, RoomNotFound, RoomOccupied
from rooms.models import Room, RoomStatus

# For so long, whoever checked the guest out can undo it without a supervisor.
OWN_MISTAKE = timedelta(minutes=15)


class CheckOutTooLongAgo(Conflict):
    """The business day of the check-out is over."""

    code = "CHECKOUT_TOO_LONG_AGO"


@transaction.atomic
def undo_check_out(
    *,
    booking: RoomBooking,
    staff: Staff,
    reason: str = "",
    room_id: int | None = None,
    expected_versions: Sequence[int] | None = None,
) -> RoomBooking:
    """Undo a check-out on the same business day: the guest is in house again, in their room or in ``room_id``.

    For supervisors with a ``reason``, and for ``OWN_MISTAKE`` for the staff member who checked the guest out. The room
    may be dirty or being cleaned: its turnover ends. Tasks for the guest and the overstay are open again; the guest's
    device token, cleared at the check-out, cannot come back. A supervisor's reason also lifts capacity and
    availability. Raises RoomOccupied, RoomBlocked, RoomOverlap, RoomOutOfOrder, RoomNotReady and NoAvailability with
    ``suggested_rooms``. Returns the current booking.
    """
    locked = lock_booking(booking)
    require(version_refusals(locked, expected_versions))
    is_own = is_recent(locked) and checked_out_by(staff.pk).filter(pk=locked.pk).exists()
    facts = LockedFacts(locked.hotel)
    try:
        back = require(undo_check_out_refusals(locked, room_id, staff=staff, reason=reason, is_own=is_own, facts=facts))
    except (RoomOccupied, RoomBlocked, RoomOverlap, RoomOutOfOrder, RoomNotReady, NoAvailability) as refusal:
        stay = as_in_house(locked, locked.check_out)
        refusal.extra["suggested_rooms"] = suggested_rooms(stay, [nights_held(stay.hotel, stay)])
        raise
    assert back is not None  # only a refused guest has no room
    room, overbooked = back
    old, was, left_at = locked.assigned_room, locked.status, locked.checked_out_at
    moves = old is not None and old.pk != room.pk
    locked.status, locked.checked_out_at = BookingStatus.IN_HOUSE, None
    if moves:
        take_room(locked, room, staff)
        locked.room_moved_at = clock.now()
    locked.assigned_room, locked.extra_beds = room, extra_beds(locked)
    save_bookings([locked], "status", "checked_out_at", "room_moved_at", *ASSIGNMENT)
    reopen_overstay(locked)
    save_history(
        [
            history_row(
                locked,
                BookingAction.CHECK_OUT_UNDONE,
                was=was,
                staff=staff,
                reason=reason,
                from_room=old if moves else None,
                to_room=room,
                is_upgrade=moves and old is not None and old.room_type_id != room.room_type_id,
            )
        ]
    )
    save_overbookings(overbooked)
    set_room_statuses(
        changes=[(room, RoomStatus.OCCUPIED)],
        staff=staff,
        source=Source.SYSTEM,
        note=f"check-out of {locked.booking_id} undone",
        all_or_nothing=True,
        returning=not moves,
    )
    resume_stay(locked, room, left_at)
    open_postponed_stayover(locked)
    realtime_booking_updated(locked, "booking_updated", guest_type="booking_checked_in", rooms=[room])
    return locked


def is_recent(booking: RoomBooking) -> bool:
    """Whether the guest has left so shortly ago that whoever checked them out can undo it."""
    return (
        booking.status == BookingStatus.COMPLETED
        and booking.checked_out_at is not None
        and clock.now() <= booking.checked_out_at + OWN_MISTAKE
    )


class Return(NamedTuple):
    """The room that the guest comes back to, and the overbookings that this causes."""

    room: Room
    overbooked: list[Overbooking]


def undo_check_out_refusals(
    booking: RoomBooking, room_id: int | None, *, staff: Staff, reason: str, is_own: bool, facts: Facts
) -> Guard[Return | None]:
    """The refusals of ``undo_check_out``; ``is_own``: ``staff`` checked the guest out (``checked_out_by``) and it
    ``is_recent``."""
    if booking.status != BookingStatus.COMPLETED or booking.checked_out_at is None:
        yield BookingNotCheckedOut(
            f"Booking {booking.booking_id} is {booking_status_label(booking)}: the guest has not checked out.",
            details=refusal_details(booking),
        )
        return None
    yield from _right_refusals(staff, reason, is_own=is_own)
    hotel = booking.hotel
    if calendar.business_date(hotel, booking.checked_out_at) != calendar.business_date(hotel):
        yield CheckOutTooLongAgo(
            f"The guest of booking {booking.booking_id} was checked out on another day: create a new booking instead.",
            details=refusal_details(booking),
        )
    wanted = room_id or booking.assigned_room_id
    if wanted is None:
        yield BookingNotEligible(
            f"Booking {booking.booking_id} has no room to return to: name one.", details=refusal_details(booking)
        )
        return None
    room = room_for(booking, wanted, facts)
    if room is None:
        yield RoomNotFound("Room not found: this hotel has no such room.")
        return None
    is_same = room.pk == booking.assigned_room_id
    yield from usable_refusals(room, is_own=is_same)
    facts.refresh_capacity(room.room_type)
    yield from capacity_refusals(booking, room, staff=staff, reason=reason)
    nights = nights_again(booking, overdue=not is_same)
    if not is_same:
        yield from service_refusals(room, *nights, staff=staff, reason=reason, facts=facts, error=RoomOutOfOrder)
    yield from free_refusals(room, *nights, without=booking, facts=facts)
    overbooked = yield from night_refusals(booking, room.room_type, nights, facts=facts, staff=staff, reason=reason)
    return Return(room, overbooked)


def _right_refusals(staff: Staff, reason: str, *, is_own: bool) -> Guard[None]:
    """Refused unless a supervisor gives a reason, or it is the caller's own mistake."""
    if not (is_own or is_override(staff, reason)):
        yield RightMissing(
            "Permission denied: undoing this check-out takes a supervisor's reason. For "
            f"{OWN_MISTAKE.seconds // 60} minutes, whoever checked the guest out needs none.",
            lift=BY_REASON,
        )


def nights_again(booking: RoomBooking, *, overdue: bool) -> tuple[date, date]:
    """The nights that the stay holds once more: the first, and the first day that is free again.

    In the same room, a guest who is ``overdue`` does not hold tonight: the room may have been assigned to an arrival
    before they left, and is again as if they had not.
    """
    stay = StayRow(BookingStatus.IN_HOUSE, booking.check_in, booking.check_out, booking.arrived_on or booking.check_in)
    first, free = nights_held(booking.hotel, stay)
    return first, free if overdue else calendar.first_free_day(booking.check_in, booking.check_out)
