"""Giving a coming stay its room, and taking it back."""

from django.db import transaction

from common import clock
from common.errors import Conflict, InvalidInput
from hotel import calendar
from hotel.models import Staff
from housekeeping.snapshots import is_occupied
from notifications.notification_manager import realtime_booking_updated
from room_bookings.models import BookingAction, BookingStatus, RoomBooking
from room_bookings.services.core import (
    BookingAlreadyCheckedIn,
    RoomOverlap,
    change,
    lock_booking,
    lock_room,
    not_eligible,
    record,
    require_free,
    save,
    state,
)
from room_bookings.snapshots import missing_guests, party_complete
from rooms.models import Room, RoomStatus


class PartyIncomplete(InvalidInput):
    """The hotel wants the name of every adult first."""

    code = "PARTY_INCOMPLETE"


class RoomTypeMismatch(InvalidInput):
    """The room is of another type than the one booked."""

    code = "ROOM_TYPE_MISMATCH"


class RoomNotBookable(Conflict):
    """The room is not let: out of service or out of order."""

    code = "ROOM_NOT_BOOKABLE"


@transaction.atomic
def assign_room(*, booking: RoomBooking, room_id: int, staff: Staff, notes: str = "") -> RoomBooking:
    """Give a confirmed booking a room of its type, or another one; the same one again changes nothing.

    The room may still be occupied or dirty: whether it is ready is asked at check-in. Returns the booking as it is now.
    """
    locked = lock_booking(booking)
    require_assignable(locked)
    room = lock_room(locked.hotel, room_id)
    if locked.assigned_room_id == room.pk and notes in ("", locked.assignment_notes):
        return locked
    require_assignment(locked, room)
    before = locked.assigned_room
    take_room(locked, room, staff, notes)
    save([locked], *ASSIGNMENT)
    record([change(locked, BookingAction.ASSIGNED, was=locked.status, staff=staff, from_room=before, to_room=room)])
    realtime_booking_updated(locked, "booking_updated", guest_type="booking_room_assigned")
    return locked


@transaction.atomic
def unassign_room(*, booking: RoomBooking, staff: Staff) -> RoomBooking:
    """Take the room back from a booking whose guest is not in house; a booking without one is left as it is."""
    locked = lock_booking(booking)
    before = locked.assigned_room
    if before is None:
        return locked
    require_assignable(locked, "taken out of its room")
    release_room(locked)
    save([locked], *ASSIGNMENT)
    record([change(locked, BookingAction.UNASSIGNED, was=locked.status, staff=staff, from_room=before)])
    realtime_booking_updated(locked, "booking_updated")
    return locked


# Every field that says which room a booking has.
ASSIGNMENT = ("assigned_room", "room_assigned_at", "room_assigned_by", "assignment_notes")


def take_room(booking: RoomBooking, room: Room, staff: Staff, notes: str = "") -> None:
    """Put the locked room on a locked booking; the caller saves ``ASSIGNMENT``."""
    booking.assigned_room = room
    booking.room_assigned_at, booking.room_assigned_by = clock.now(), staff
    booking.assignment_notes = notes


def release_room(booking: RoomBooking) -> None:
    """Take the room off a locked booking; the caller saves ``ASSIGNMENT``."""
    booking.assigned_room = booking.room_assigned_at = booking.room_assigned_by = None
    booking.assignment_notes = ""


def require_assignable(booking: RoomBooking, what: str = "given a room") -> None:
    """Raise unless the booking's status lets it have a room or give it back (``what``, a past participle)."""
    if booking.status == BookingStatus.IN_HOUSE:
        raise BookingAlreadyCheckedIn(
            f"The guest of booking {booking.booking_id} is in house: move them to another room instead.",
            details=state(booking),
        )
    if booking.status != BookingStatus.CONFIRMED:
        raise not_eligible(booking, what)


def require_assignment(booking: RoomBooking, room: Room) -> None:
    """Raise unless the locked booking may have the locked room for its nights."""
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
    if not room.is_active or room.room_status == RoomStatus.OUT_OF_ORDER:
        why = "out of order" if room.is_active else "not in service"
        raise RoomNotBookable(f"Room {room.room_number} is {why}.", details={"room_number": room.room_number})
    require_free(room, booking.check_in, booking.check_out, without=booking)
    # Somebody who should have left long ago, or who came before their nights, holds the room beyond those.
    today = calendar.business_date(booking.hotel)
    if (
        is_occupied(room)
        and booking.check_in <= today
        and (room.stay_check_out > today or calendar.is_overdue(booking.hotel, room.stay_check_in, room.stay_check_out))  # type: ignore[attr-defined]
    ):
        raise RoomOverlap(
            f"The guest in room {room.room_number} does not leave today: the room is not free for today's arrival.",
            details={"room_number": room.room_number, "booking_id": room.stay_booking_id},  # type: ignore[attr-defined]
        )
