"""Checks that steps in a booking's life have in common: dates, payments, and the nights that are left to sell."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from common import clock
from common.errors import FieldError
from common.formats import iso
from hotel import calendar
from hotel.models import Hotel, Staff
from room_bookings.inventory import (
    Inventory,
    NightsRequest,
    allows_overselling,
    conflict,
    holders,
    nights_held,
    sold_out_nights,
    stretches,
)
from room_bookings.models import (
    IN_FLIGHT_PAYMENTS,
    STRIPE,
    BookingStatus,
    Overbooking,
    RoomBooking,
)
from room_bookings.overrides import is_override
from room_bookings.services.errors import (
    BookingAlreadyCheckedOut,
    BookingNotCheckedIn,
    RightMissing,
    RoomOverlap,
    StripeBooking,
    booking_status_label,
    endpoint_path,
    in_progress,
    refusal_details,
    sold_out,
)
from room_bookings.services.locks import lock_type
from rooms.models import Room, RoomType

LONGEST_STAY = 365  # nights


def require_in_house(booking: RoomBooking) -> None:
    """Raise unless the guest is in house."""
    if booking.status == BookingStatus.IN_HOUSE:
        return
    if booking.checked_out_at is not None:
        raise BookingAlreadyCheckedOut(
            f"The guest of booking {booking.booking_id} has left already.",
            details=refusal_details(booking) | {"checked_out_at": iso(booking.checked_out_at)},
        )
    raise BookingNotCheckedIn(
        f"Booking {booking.booking_id} is {booking_status_label(booking)}: the guest is not in house.",
        details=refusal_details(booking),
    )


def require_supervisor(staff: Staff, what: str) -> None:
    """Raise unless the caller holds the supervising right, which ``what`` takes."""
    if not staff.can("bookings.supervise"):
        raise RightMissing(f"Permission denied: {what} takes a supervisor.")


def refuse_stripe(booking: RoomBooking) -> None:
    """Raise where a card payment hangs on the booking: approve and decline are the ways for those."""
    if booking.payment_provider == STRIPE:
        raise StripeBooking(
            f"Booking {booking.booking_id} has a card payment: approve or decline it instead.",
            details={"required_endpoints": {step: endpoint_path(booking, step) for step in ("approve", "decline")}},
        )


def require_dates(hotel: Hotel, check_in: date, check_out: date, field: str = "check_out") -> None:
    """Raise, naming ``field``, unless a stay of these dates can be."""
    if check_out < check_in:
        raise FieldError(field, "The departure can't be before the arrival.")
    if (check_out - check_in).days > LONGEST_STAY:
        raise FieldError(field, f"A stay has at most {LONGEST_STAY} nights.")
    if check_out < calendar.business_date(hotel):
        raise FieldError(field, "This stay would be over already.")


def is_in_flight(booking: RoomBooking) -> bool:
    """Whether somebody has begun to decide on the booking, and the provider's answer is not written yet."""
    return booking.payment_state in IN_FLIGHT_PAYMENTS and booking.status in (
        BookingStatus.PENDING_APPROVAL,
        BookingStatus.CONFIRMED,
    )


def require_settled(booking: RoomBooking) -> None:
    """Raise while the guest's money is on its way back: a stay must not begin, nor the arrival be given up, on that."""
    if is_in_flight(booking):
        raise in_progress(booking)


def require_free(room: Room, first: date, free: date, *, without: RoomBooking) -> None:
    """Raise when another stay holds the locked room on a night from ``first`` to before ``free``."""
    taken = holders(without.hotel, first, free, without=without, assigned_room=room.pk)
    if taken:
        other = taken[0]
        still = ", and the guest is in house" if other.status == BookingStatus.IN_HOUSE else ""
        raise RoomOverlap(
            f"Room {room.room_number} is taken by {other.booking_id} "
            f"from {other.check_in} to {other.check_out}{still}.",
            details={"conflicts": [conflict(stay, room) for stay in taken]},
        )


def sell_nights(
    booking: RoomBooking, room_type_id: int, *stays: tuple[date, date], staff: Staff | None = None, reason: str = ""
) -> list[Overbooking]:
    """``take_nights`` of a type that is locked here, last of all but the reference counter."""
    room_type = lock_type(booking.hotel, room_type_id)
    assert room_type is not None  # bookings and rooms are of it, which keeps it
    return take_nights(booking, room_type, *stays, staff=staff, reason=reason)


def take_nights(
    booking: RoomBooking, room_type: RoomType, *stays: tuple[date, date], staff: Staff | None = None, reason: str = ""
) -> list[Overbooking]:
    """Take nights of the locked room type for a booking; each of ``stays`` is the first and the day that is free again.

    Nights that are over cost nothing. Raises NoAvailability when the type is sold out on one of them, unless the hotel
    sells more than it has, or a supervisor's ``reason`` goes beyond. Returns what is to be recorded of that
    (``record_overbooking``).
    """
    hotel = booking.hotel
    requests = [NightsRequest(hotel, room_type.pk, first, free) for first, free in stays]
    if not requests or allows_overselling(hotel):
        return []
    inventory = Inventory(requests, without=booking if booking.pk else None)
    missing = sorted({night for request in requests for night in inventory.sold_out(request)})
    if not missing:
        return []
    if not is_override(staff, reason):
        raise sold_out(room_type, missing[0])
    return overbookings_of(booking, room_type.pk, missing, staff=staff, reason=reason)


def overbookings_of(
    booking: RoomBooking, room_type_id: int, nights: Iterable[date], *, staff: Staff | None, reason: str
) -> list[Overbooking]:
    """What is to be recorded of a booking whose ``nights``, in order, are sold beyond the rooms of the type."""
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


def sold_out_for(bookings: Sequence[RoomBooking]) -> dict[int, date]:
    """By the pk of a booking the first night for which its type is sold out now; those that fit in are not there.

    One statement for any number of bookings. Nothing is locked: by the time of the step it may have changed.
    """
    nights = sold_out_nights(
        [
            NightsRequest(booking.hotel, booking.room_type_id, *nights_held(booking.hotel, booking))
            for booking in bookings
        ]
    )
    return {booking.pk: night for booking, night in zip(bookings, nights, strict=True) if night is not None}


def require_availability(booking: RoomBooking, nights: Mapping[int, date]) -> None:
    """Raise when ``nights``, by what ``sold_out_for`` found, says that the booking's type is sold out for it."""
    if booking.pk in nights and not booking.hotel.allow_overbooking:
        raise sold_out(booking.room_type, nights[booking.pk])


def added_nights(before: tuple[date, date], after: tuple[date, date]) -> list[tuple[date, date]]:
    """The nights that ``after`` (first, day that is free again) has and ``before`` had not, as stays."""
    (had, had_until), (first, free) = before, after
    stays = [(first, min(had, free)), (max(had_until, first), free)]
    return [(begin, end) for begin, end in stays if begin < end]
