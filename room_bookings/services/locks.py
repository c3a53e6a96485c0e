"""Locks of a booking, of a room and of a room type, in this order (docs/locking.md)."""

from hotel.models import Hotel
from room_bookings.models import (
    RoomBooking,
)
from room_bookings.selectors import booking_lock
from room_bookings.services.errors import BookingNotFound
from rooms.errors import RoomNotFound
from rooms.models import Room, RoomType
from rooms.selectors import room_lock


def lock_booking(booking: RoomBooking) -> RoomBooking:
    """The booking, locked and as it now is; call within a transaction, before any room is locked."""
    locked = booking_lock([booking.pk])
    if not locked:
        raise BookingNotFound("There is no such booking.")
    return locked[0]


def lock_room(hotel: Hotel, room_id: int) -> Room:
    """One room of the hotel, locked and as it now is; the booking is locked already."""
    locked = room_lock([room_id], hotel=hotel)
    if not locked:
        raise RoomNotFound("Room not found: this hotel has no such room.")
    return locked[0]


def lock_type(hotel: Hotel | int, room_type_id: int) -> RoomType | None:
    """The room type, locked: two sales of its nights wait for each other here."""
    # Ordered by itself: the model's own order joins the hotel, whose row would be locked with it.
    locked = RoomType.objects.select_for_update(no_key=True).filter(hotel=hotel, pk=room_type_id)
    return locked.order_by("pk").first()


def lock_beds(room_type: RoomType) -> None:
    """Lock the type, after bookings and rooms, and read how many it sleeps now: it does not shrink under a party that
    is about to have it."""
    fresh = lock_type(room_type.hotel_id, room_type.pk)
    assert fresh is not None  # bookings and rooms are of it, which keeps it
    room_type.max_occupancy = fresh.max_occupancy
