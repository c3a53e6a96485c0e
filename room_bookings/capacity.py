"""Room capacity: one rule for bookings, parties, assignment, check-in, moves and changes of the room type."""

from typing import Any

from django.db.models import Count, F, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast, Coalesce, Greatest

from common.errors import Conflict
from common.guards import Guard
from hotel.models import Staff
from room_bookings.inventory import type_of
from room_bookings.models import ACTIVE_STATUSES, BookingGuest, BookingStatus, RoomBooking
from room_bookings.overrides import BY_REASON, is_override
from rooms.models import Room, RoomType


class CapacityExceeded(Conflict):
    """The party is larger than the room sleeps."""

    code = "ROOM_CAPACITY_EXCEEDED"


def party_size(adults: int, children: int, companions: int) -> int:
    """The size of a party: as booked, or as named if that is more."""
    return max(adults + children, 1 + companions)


def guests(booking: RoomBooking) -> int:
    """The size of the booking's party; ``booking`` comes from ``booking_list``."""
    return party_size(booking.adults, booking.children, len(booking.party))  # type: ignore[attr-defined]


def extra_beds(booking: RoomBooking) -> int:
    """How many guests exceed what the room sleeps: the assigned room, otherwise one of the booked type."""
    return max(0, guests(booking) - type_of(booking).max_occupancy)


def capacity_refusals(
    booking: RoomBooking, place: RoomType | Room, *, staff: Staff | None, reason: str = "", party: int | None = None
) -> Guard[bool]:
    """Refused unless the party fits into the room, or into any room of the type, or a supervisor gives a ``reason``.

    ``party`` is its size if that is about to change. Extra beds that a supervisor has already allowed (``extra_beds``)
    need no second reason. Returns whether the reason was needed.
    """
    party = guests(booking) if party is None else party
    room_type = place if isinstance(place, RoomType) else place.room_type
    if party <= room_type.max_occupancy + booking.extra_beds:
        return False
    if is_override(staff, reason):
        return True
    what = place.name if isinstance(place, RoomType) else str(place)
    details: dict[str, Any] = {"room_type_id": room_type.pk, "max_occupancy": room_type.max_occupancy, "guests": party}
    if isinstance(place, Room):
        details |= {"room_id": place.pk, "room_number": place.room_number}
    yield CapacityExceeded(
        f"{what} sleeps {room_type.max_occupancy}, and the party is {party}: this needs a supervisor's reason.",
        details=details,
        lift=BY_REASON if staff else None,
    )
    return True


def parties_too_large(room_type: RoomType, max_occupancy: int) -> QuerySet[RoomBooking]:
    """Parties in, or booked into, rooms of the type that fit now but would not with this ``max_occupancy``."""
    found = RoomBooking.objects.filter(status__in=[*ACTIVE_STATUSES, BookingStatus.PENDING_APPROVAL])
    found = found.alias(kind=Coalesce(F("assigned_room__room_type"), F("room_type")), occupants=_occupants())
    return found.filter(kind=room_type.pk, occupants__gt=max_occupancy, occupants__lte=room_type.max_occupancy)


def parties_too_large_in(room: Room, max_occupancy: int) -> QuerySet[RoomBooking]:
    """Parties assigned to the room that would not fit with this ``max_occupancy``."""
    found = RoomBooking.objects.filter(status__in=ACTIVE_STATUSES, assigned_room=room.pk)
    return found.alias(occupants=_occupants()).filter(occupants__gt=max_occupancy)


def _occupants() -> Any:
    """How many guests of a booking count towards ``max_occupancy``: all but those in extra beds."""
    named = BookingGuest.objects.filter(booking=OuterRef("pk")).order_by().values("booking")
    party = Greatest(
        Cast("adults", IntegerField()) + F("children"),
        1 + Coalesce(Subquery(named.annotate(count=Count("pk")).values("count")), 0),
    )
    return party - F("extra_beds")
