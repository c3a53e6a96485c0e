"""Assigning a room to a coming stay, and unassigning it."""

from datetime import date

from django.db import transaction

from common import clock
from common.errors import Conflict, InvalidInput
from hotel.models import Staff
from housekeeping.task_following import follow_arrival
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import extra_beds, require_capacity
from room_bookings.inventory import nights_held, type_of
from room_bookings.models import BookingAction, BookingStatus, Overbooking, RoomBooking
from room_bookings.room_demand import is_in_service
from room_bookings.services.checks import require_free, sell_nights
from room_bookings.services.errors import BookingAlreadyCheckedIn, not_eligible, refusal_details
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking, lock_room
from room_bookings.snapshots import missing_guests, party_complete
from rooms.models import Room, RoomType


class PartyIncomplete(InvalidInput):
    """The hotel requires every adult's name first."""

    code = "PARTY_INCOMPLETE"


class RoomTypeMismatch(InvalidInput):
    """The room is not of the booked type."""

    code = "ROOM_TYPE_MISMATCH"


class RoomNotBookable(Conflict):
    """The room is out of service or out of order."""

    code = "ROOM_NOT_BOOKABLE"


@transaction.atomic
def assign_room(
    *, booking: RoomBooking, room_id: int, staff: Staff, notes: str = "", override_reason: str = ""
) -> RoomBooking:
    """Assign a room of the booked type to a confirmed booking, or a different one; the same one again changes nothing.

    The room may still be occupied or dirty: readiness is checked at check-in. A supervisor's ``override_reason`` allows
    a room that sleeps fewer than the party. Returns the current booking.
    """
    locked = lock_booking(booking)
    require_assignable(locked)
    room = lock_room(locked.hotel, room_id)
    if locked.assigned_room_id == room.pk and notes in ("", locked.assignment_notes):
        return locked
    overbooked = require_assignment(locked, room, staff=staff, reason=override_reason)
    before = locked.assigned_room
    take_room(locked, room, staff, notes)
    save_bookings([locked], *ASSIGNMENT)
    save_history(
        [
            history_row(
                locked,
                BookingAction.ASSIGNED,
                was=locked.status,
                staff=staff,
                from_room=before,
                to_room=room,
                reason=override_reason,
            )
        ]
    )
    save_overbookings(overbooked)
    follow_arrival(locked, room)
    realtime_booking_updated(locked, "booking_updated", guest_type="booking_room_assigned")
    return locked


@transaction.atomic
def unassign_room(*, booking: RoomBooking, staff: Staff, override_reason: str = "") -> RoomBooking:
    """Unassign the room of a booking whose guest is not in house; a booking without a room is left unchanged.

    If the room is not of the booked type, the booked type must be available again and sleep the party. Raises
    NoAvailability or CapacityExceeded, unless a supervisor gives an ``override_reason``.
    """
    locked = lock_booking(booking)
    before = locked.assigned_room
    if before is None:
        return locked
    require_assignable(locked, "unassigned from its room")
    held = nights_held(locked.hotel, locked)
    if type_of(locked).pk != locked.room_type_id:
        require_capacity(locked, locked.room_type, staff=staff, reason=override_reason)
    overbooked = change_of_type(locked, locked.room_type, held, staff=staff, reason=override_reason)
    release_room(locked)
    save_bookings([locked], *ASSIGNMENT)
    save_history(
        [
            history_row(
                locked,
                BookingAction.UNASSIGNED,
                was=locked.status,
                staff=staff,
                from_room=before,
                reason=override_reason,
            )
        ]
    )
    save_overbookings(overbooked)
    realtime_booking_updated(locked, "booking_updated")
    return locked


# The fields that hold a booking's room and extra beds.
ASSIGNMENT = ("assigned_room", "room_assigned_at", "room_assigned_by", "assignment_notes", "extra_beds")


def take_room(booking: RoomBooking, room: Room, staff: Staff, notes: str = "") -> None:
    """Set the locked room on a locked booking; the caller saves ``ASSIGNMENT``."""
    booking.assigned_room = room
    booking.room_assigned_at, booking.room_assigned_by = clock.now(), staff
    booking.assignment_notes = notes
    booking.extra_beds = extra_beds(booking)


def release_room(booking: RoomBooking) -> None:
    """Clear the room of a locked booking; the caller saves ``ASSIGNMENT``."""
    booking.assigned_room = booking.room_assigned_at = booking.room_assigned_by = None
    booking.assignment_notes = ""
    booking.extra_beds = extra_beds(booking)


def require_assignable(booking: RoomBooking, what: str = "given a room") -> None:
    """Raise unless the booking's status allows assigning or unassigning a room (``what``, a past participle)."""
    if booking.status == BookingStatus.IN_HOUSE:
        raise BookingAlreadyCheckedIn(
            f"The guest of booking {booking.booking_id} is in house: move them to another room instead.",
            details=refusal_details(booking),
        )
    if booking.status != BookingStatus.CONFIRMED:
        raise not_eligible(booking, what)


def require_assignment(booking: RoomBooking, room: Room, *, staff: Staff, reason: str = "") -> list[Overbooking]:
    """Raise unless the locked booking can have the locked room for its nights; returns the resulting overbookings."""
    if not party_complete(booking):
        missing = missing_guests(booking)
        raise PartyIncomplete(
            f"Name all {booking.adults} adults of booking {booking.booking_id} first: {missing} still missing.",
            details={"party_missing_count": missing},
        )
    if room.room_type_id != booking.room_type_id:
        raise RoomTypeMismatch(
            f"Room {room.room_number} is of type {room.room_type.name}; {booking.room_type.name} is booked.",
            details={"room_type": room.room_type.name, "booked_type": booking.room_type.name},
        )
    if not is_in_service(room):
        why = "out of order" if room.is_active else "not in service"
        raise RoomNotBookable(f"Room {room.room_number} is {why}.", details={"room_number": room.room_number})
    require_capacity(booking, room, staff=staff, reason=reason)
    held = nights_held(booking.hotel, booking)
    require_free(room, *held, without=booking)
    return change_of_type(booking, room.room_type, held, staff=staff, reason=reason)


def change_of_type(
    booking: RoomBooking, to_type: RoomType, held: tuple[date, date], *, staff: Staff, reason: str
) -> list[Overbooking]:
    """Take the booking's nights under ``to_type``, if they currently count under another type.

    Returns the resulting overbookings.
    """
    if type_of(booking).pk == to_type.pk:
        return []
    return sell_nights(booking, to_type.pk, held, staff=staff, reason=reason)
