"""Moving a guest in house to another room."""

from django.db import transaction

from common import clock
from common.errors import Conflict
from hotel.models import Staff
from housekeeping.services import room_status_label
from housekeeping.task_following import follow_guest
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import require_capacity
from room_bookings.inventory import nights_held
from room_bookings.models import BookingAction, RoomBooking
from room_bookings.services.check_in import RoomNotReady
from room_bookings.services.checks import require_free, require_in_house, require_nights
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking, lock_type_capacity
from room_bookings.services.room_assignment import ASSIGNMENT, take_room
from room_bookings.services.vacating import vacate
from rooms.errors import RoomNotFound, RoomOccupied
from rooms.models import Room, RoomStatus
from rooms.selectors import room_lock
from rooms.snapshots import is_occupied


class RoomOutOfOrder(Conflict):
    """The room is out of order or not in service."""

    code = "ROOM_OUT_OF_ORDER"


@transaction.atomic
def move_room(*, booking: RoomBooking, to_room_id: int, staff: Staff, reason: str, notes: str = "") -> RoomBooking:
    """Move the guest: the old room becomes dirty, the new one occupied; the reason is kept in the booking's history.

    A move to another type is recorded as an upgrade; the booked type stays the same. Its nights must be available, and
    a smaller room must sleep the party, unless a supervisor gives the reason. A guest already in that room stays:
    nothing is written. Raises NoAvailability, CapacityExceeded, RoomOverlap. Returns the current booking.
    """
    locked = lock_booking(booking)
    require_in_house(locked)
    if locked.assigned_room_id == to_room_id:
        return locked
    rooms = {room.pk: room for room in room_lock([locked.assigned_room_id, to_room_id], hotel=locked.hotel)}  # type: ignore[list-item]  # in house has a room
    if to_room_id not in rooms:
        raise RoomNotFound("Room not found: this hotel has no such room.")
    new, old = rooms[to_room_id], rooms[locked.assigned_room_id]  # type: ignore[index]
    locked.assigned_room = old  # its type may have changed before it was locked
    held = nights_held(locked.hotel, locked)
    _require_usable(new)
    changes_type = new.room_type_id != old.room_type_id
    if changes_type:
        lock_type_capacity(new.room_type)
    if new.room_type.max_occupancy < old.room_type.max_occupancy:
        require_capacity(locked, new, staff=staff, reason=reason)
    require_free(new, *held, without=locked)
    overbooked = require_nights(locked, new.room_type, held, staff=staff, reason=reason) if changes_type else []
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
                is_upgrade=changes_type,
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


def _require_usable(room: Room) -> None:
    """Raise unless the locked room can take a guest now."""
    details = {"room_id": room.pk, "room_number": room.room_number, "current_status": str(room.room_status)}
    if not room.is_active or room.room_status == RoomStatus.OUT_OF_ORDER:
        why = "out of order" if room.is_active else "not in service"
        raise RoomOutOfOrder(f"Room {room.room_number} is {why}.", details=details)
    if is_occupied(room):
        raise RoomOccupied(f"Room occupied: room {room.room_number} has a guest in house.", details=details)
    if not room.is_bookable:
        raise RoomNotReady(
            f"Room not ready: room {room.room_number} is {room_status_label(room.room_status)}.", details=details
        )
