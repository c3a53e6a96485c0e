"""Locks on a booking and a room type, taken in this order (docs/locking.md)."""

from common.prepared import PreparedRead
from hotel.models import Hotel
from room_bookings.errors import BookingNotFound
from room_bookings.models import (
    RoomBooking,
)
from room_bookings.selectors import booking_lock
from rooms.models import RoomType


def lock_booking(booking: RoomBooking) -> RoomBooking:
    """Lock and re-read the booking; call within a transaction, before any room is locked."""
    locked = booking_lock([booking.pk])
    if not locked:
        raise BookingNotFound("There is no such booking.")
    return locked[0]


def lock_type(hotel: Hotel | int, room_type_id: int) -> RoomType | None:
    """Lock the room type, which serialises the sales of its nights."""
    return next(iter(_type_lock.read(hotel=getattr(hotel, "pk", hotel), pk=room_type_id)), None)


# Explicit order: the model's default order joins the hotel, whose row would also be locked.
_type_lock = PreparedRead(lambda: RoomType.objects.select_for_update(no_key=True).order_by("pk"))


def lock_type_capacity(room_type: RoomType) -> None:
    """Lock the type, after bookings and rooms, and re-read its ``max_occupancy``, so that it cannot be reduced while a
    party is being assigned."""
    fresh = lock_type(room_type.hotel_id, room_type.pk)
    assert fresh is not None  # a booking or room references it, so it cannot have been deleted
    room_type.max_occupancy = fresh.max_occupancy
