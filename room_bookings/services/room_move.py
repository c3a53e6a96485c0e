"""Moving a guest in house to another room."""

from typing import NamedTuple

from django.db import transaction

from common import clock
from common.errors import Conflict
from common.guards import Guard, require
from hotel.models import Staff
from housekeeping.services import TURNED, room_status_label
from housekeeping.task_following import follow_guest
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import capacity_refusals
from room_bookings.eligibility import in_house_refusals
from room_bookings.inventory import nights_held
from room_bookings.models import BookingAction, Overbooking, RoomBooking
from room_bookings.services.check_in import RoomNotReady
from room_bookings.services.checks import night_refusals, off_sale_refusals, service_refusals, taken_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking
from room_bookings.services.room_assignment import ASSIGNMENT, take_room
from room_bookings.services.vacating import vacate
from rooms.errors import RoomNotFound, RoomOccupied, guest_of
from rooms.models import Room, RoomStatus
from rooms.snapshots import is_occupied


class RoomOutOfOrder(Conflict):
    """The room is out of order, blocked or not in service."""

    code = "ROOM_OUT_OF_ORDER"


@transaction.atomic
def move_room(*, booking: RoomBooking, to_room_id: int, staff: Staff, reason: str, notes: str = "") -> RoomBooking:
    """Move the guest: the old room becomes dirty, the new one occupied; the reason is kept in the booking's history.

    A move to another type is recorded as an upgrade; the booked type stays the same. Its nights must be available, and
    a smaller room must sleep the party, unless a supervisor gives the reason. A guest already in that room stays:
    nothing is written. Raises NoAvailability, CapacityExceeded, RoomOverlap. Returns the current booking.
    """
    locked = lock_booking(booking)
    move = require(move_refusals(locked, to_room_id, staff=staff, reason=reason, facts=LockedFacts(locked.hotel)))
    if move is None:
        return locked
    old, new, overbooked = move
    token = old.guest_fcm_token
    take_room(locked, new, staff, notes)
    locked.room_moved_at = clock.now()
    save_bookings([locked], *ASSIGNMENT, "room_moved_at")
    save_history(
        [
            history_row(
                locked,
                BookingAction.MOVED,
                was=locked.status,
                staff=staff,
                reason="\n".join(part for part in (reason, notes) if part),
                from_room=old,
                to_room=new,
                is_upgrade=new.room_type_id != old.room_type_id,
            )
        ]
    )
    save_overbookings(overbooked)
    note = f"move of {locked.booking_id} from {old.room_number} to {new.room_number}"
    vacate([(locked, old)], staff=staff, note=note, for_good=False, moved_into=[(new, RoomStatus.OCCUPIED)])
    follow_guest(locked, new)
    if token:
        Room.objects.filter(pk=new.pk).update(guest_fcm_token=token)
    realtime_booking_updated(
        locked, "booking_updated", guest_type="booking_room_moved", reason=reason, rooms=[old, new]
    )
    return locked


class Move(NamedTuple):
    """The room that the guest leaves, their new one, and the overbookings that the move causes."""

    old: Room
    new: Room
    overbooked: list[Overbooking]


def move_refusals(
    booking: RoomBooking, to_room_id: int | None, *, staff: Staff, reason: str, facts: Facts
) -> Guard[Move | None]:
    """The refusals of ``move_room``, of the booking alone if no room is named; ``None`` if the guest is there."""
    yield from in_house_refusals(booking)
    if to_room_id is None or booking.assigned_room_id == to_room_id:
        return None
    from_room_id = booking.assigned_room_id
    rooms = facts.rooms([to_room_id] if from_room_id is None else [from_room_id, to_room_id])
    if to_room_id not in rooms:
        yield RoomNotFound("Room not found: this hotel has no such room.")
        return None
    new = rooms[to_room_id]
    yield from usable_refusals(new)
    if from_room_id is None or from_room_id not in rooms:
        return None  # nobody in house
    old = booking.assigned_room = rooms[from_room_id]  # its type may have changed before it was locked
    held = nights_held(booking.hotel, booking)
    changes_type = new.room_type_id != old.room_type_id
    if changes_type:
        facts.refresh_capacity(new.room_type)
    if new.room_type.max_occupancy < old.room_type.max_occupancy:
        yield from capacity_refusals(booking, new, staff=staff, reason=reason)
    yield from service_refusals(new, *held, staff=staff, reason=reason, facts=facts, error=RoomOutOfOrder)
    if new.room_status != RoomStatus.OUT_OF_ORDER:  # then that is why
        yield from off_sale_refusals(new, *held, facts=facts, error=RoomOutOfOrder)
    yield from taken_refusals(new, *held, without=booking, facts=facts)
    if not changes_type:
        return Move(old, new, [])
    overbooked = yield from night_refusals(booking, new.room_type, held, facts=facts, staff=staff, reason=reason)
    return Move(old, new, overbooked)


def usable_refusals(room: Room, *, is_own: bool = False) -> Guard[None]:
    """Refused unless the room can take a guest now; ``is_own``: one who has just left it, so that it may be dirty."""
    details = {"room_id": room.pk, "room_number": room.room_number, "current_status": str(room.room_status)}
    if not room.is_active or room.room_status == RoomStatus.OUT_OF_ORDER:
        why = "out of order" if room.is_active else "not in service"
        yield RoomOutOfOrder(f"Room {room.room_number} is {why}.", details=details)
    elif is_occupied(room):
        message = f"Room occupied: room {room.room_number} has a guest in house."
        yield RoomOccupied(message, details=details, blocker=guest_of(room))
    elif not (room.is_bookable or (is_own and room.room_status in TURNED)):
        yield RoomNotReady(
            f"Room not ready: room {room.room_number} is {room_status_label(room.room_status)}.", details=details
        )
