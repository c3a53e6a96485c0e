"""Checks that booking actions share: dates, payments and availability."""

from collections.abc import Iterable
from datetime import date

from common import clock
from common.errors import Conflict, FieldError
from common.guards import Guard
from hotel import calendar
from hotel.models import Hotel, Staff
from room_bookings.errors import RoomOverlap, sold_out
from room_bookings.inventory import blocked_by, conflict, stretches
from room_bookings.models import BookingStatus, Overbooking, RoomBooking
from room_bookings.overrides import BY_REASON, is_override
from room_bookings.services.facts import Facts
from rooms.errors import RoomBlocked, blocked
from rooms.models import BlockKind, Room, RoomType

LONGEST_STAY = 365  # nights


def date_refusals(hotel: Hotel, check_in: date, check_out: date, field: str = "check_out") -> Guard[None]:
    """Refused, naming ``field``, unless these dates are valid for a stay."""
    if check_out < check_in:
        yield FieldError(field, "The departure can't be before the arrival.")
    if (check_out - check_in).days > LONGEST_STAY:
        yield FieldError(field, f"A stay has at most {LONGEST_STAY} nights.")
    if check_out < calendar.business_date(hotel):
        yield FieldError(field, "This stay would already be over.")


def off_sale_refusals(
    room: Room, first: date, first_free_day: date, *, facts: Facts, error: type[Conflict] = RoomBlocked
) -> Guard[None]:
    """Refused, with ``error``, if a block takes the room off sale on one of those nights."""
    for block in facts.blocks(room, first, first_free_day):
        if block.is_off_sale:
            yield blocked(room, block, error)
            return


def service_refusals(
    room: Room, first: date, first_free_day: date, *, staff: Staff, reason: str, facts: Facts, error: type[Conflict]
) -> Guard[None]:
    """Refused, with ``error``, if the room is out of service on one of those nights and no supervisor gives a
    reason."""
    if is_override(staff, reason):
        return
    for block in facts.blocks(room, first, first_free_day):
        if block.kind == BlockKind.OUT_OF_SERVICE:
            yield blocked(room, block, error, lift=BY_REASON)
            return


def free_refusals(
    room: Room,
    first: date,
    first_free_day: date,
    *,
    without: RoomBooking,
    facts: Facts,
    blocked_as: type[Conflict] = RoomBlocked,
) -> Guard[None]:
    """Refused if another stay holds the room on any night from ``first`` to before ``first_free_day``, or a block takes
    it off sale."""
    yield from off_sale_refusals(room, first, first_free_day, facts=facts, error=blocked_as)
    yield from taken_refusals(room, first, first_free_day, without=without, facts=facts)


def taken_refusals(room: Room, first: date, first_free_day: date, *, without: RoomBooking, facts: Facts) -> Guard[None]:
    """Refused if another stay holds the room on any night from ``first`` to before ``first_free_day``."""
    taken = facts.holders(room, first, first_free_day, without=without)
    if taken:
        other = taken[0]
        still = ", and the guest is in house" if other.status == BookingStatus.IN_HOUSE else ""
        yield RoomOverlap(
            f"Room {room.room_number} is taken by {other.booking_id} "
            f"from {other.check_in} to {other.check_out}{still}.",
            details={"conflicts": [conflict(stay, room) for stay in taken]},
            blocker=blocked_by(other),
        )


def night_refusals(
    booking: RoomBooking,
    room_type: RoomType,
    *stays: tuple[date, date],
    facts: Facts,
    staff: Staff | None = None,
    reason: str = "",
) -> Guard[list[Overbooking]]:
    """Refused if the type is sold out on one of these nights, unless the hotel allows overbooking or a supervisor gives
    a ``reason``; without ``staff``, no reason helps.

    Each of ``stays`` is the first night and the first day that is free again; past nights are ignored. Returns the
    resulting overbookings, for ``save_overbookings``.
    """
    missing = facts.sold_out(booking, room_type, stays) if stays else []
    if not missing:
        return []
    if not is_override(staff, reason):
        yield sold_out(room_type, missing[0], lift=BY_REASON if staff else None)
    return overbookings_of(booking, room_type.pk, missing, staff=staff, reason=reason)


def overbookings_of(
    booking: RoomBooking, room_type_id: int, nights: Iterable[date], *, staff: Staff | None, reason: str
) -> list[Overbooking]:
    """The overbookings of a booking whose sorted ``nights`` are sold beyond the rooms of the type."""
    return [
        Overbooking(
            hotel=booking.hotel,
            room_type_id=room_type_id,
            booking=booking,
            first_night=first,
            free_from=free,
            staff=staff,
            reason=reason,
            created_at=clock.now(),
        )
        for first, free in stretches(nights)
    ]


def added_nights(before: tuple[date, date], after: tuple[date, date]) -> list[tuple[date, date]]:
    """The nights that ``after`` (first night, first free day) has and ``before`` had not, as stays."""
    (old_first, old_free), (first, free) = before, after
    stays = [(first, min(old_first, free)), (max(old_free, first), free)]
    return [(begin, end) for begin, end in stays if begin < end]
