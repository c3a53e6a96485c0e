"""Checks that booking actions share: dates, payments and availability."""

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
            f"The guest of booking {booking.booking_id} has already left.",
            details=refusal_details(booking) | {"checked_out_at": iso(booking.checked_out_at)},
        )
    raise BookingNotCheckedIn(
        f"Booking {booking.booking_id} is {booking_status_label(booking)}: the guest is not in house.",
        details=refusal_details(booking),
    )


def require_supervisor(staff: Staff, what: str) -> None:
    """Raise unless the caller holds the supervising right, which ``what`` requires."""
    if not staff.can("bookings.supervise"):
        raise RightMissing(f"Permission denied: {what} requires a supervisor.")


def refuse_stripe(booking: RoomBooking) -> None:
    """Raise if the booking has a card payment: such bookings are approved or declined instead."""
    if booking.payment_provider == STRIPE:
        raise StripeBooking(
            f"Booking {booking.booking_id} has a card payment: approve or decline it instead.",
            details={"required_endpoints": {step: endpoint_path(booking, step) for step in ("approve", "decline")}},
        )


def require_dates(hotel: Hotel, check_in: date, check_out: date, field: str = "check_out") -> None:
    """Raise, naming ``field``, unless these dates are valid for a stay."""
    if check_out < check_in:
        raise FieldError(field, "The departure can't be before the arrival.")
    if (check_out - check_in).days > LONGEST_STAY:
        raise FieldError(field, f"A stay has at most {LONGEST_STAY} nights.")
    if check_out < calendar.business_date(hotel):
        raise FieldError(field, "This stay would already be over.")


def is_in_flight(booking: RoomBooking) -> bool:
    """Whether a decision on the booking has been started and the provider's response is not recorded yet."""
    return booking.payment_state in IN_FLIGHT_PAYMENTS and booking.status in (
        BookingStatus.PENDING_APPROVAL,
        BookingStatus.CONFIRMED,
    )


def require_settled(booking: RoomBooking) -> None:
    """Raise while a payment decision is in progress: the guest must not be checked in or marked as a no-show then."""
    if is_in_flight(booking):
        raise in_progress(booking)


def require_free(room: Room, first: date, first_free_day: date, *, without: RoomBooking) -> None:
    """Raise if another stay holds the locked room on any night from ``first`` to before ``first_free_day``."""
    taken = holders(without.hotel, first, first_free_day, without=without, assigned_room=room.pk)
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
    """Lock the room type and ``require_nights`` of it. Only the booking reference counter is locked after a type."""
    room_type = lock_type(booking.hotel, room_type_id)
    assert room_type is not None  # a booking or room references it, so it cannot have been deleted
    return require_nights(booking, room_type, *stays, staff=staff, reason=reason)


def require_nights(
    booking: RoomBooking, room_type: RoomType, *stays: tuple[date, date], staff: Staff | None = None, reason: str = ""
) -> list[Overbooking]:
    """Check that nights of the locked room type are available for a booking.

    Each of ``stays`` is the first night and the first day that is free again; past nights are ignored. Raises
    NoAvailability if the type is sold out on one of them, unless the hotel allows overbooking or a supervisor gives a
    ``reason``. Returns the resulting overbookings, for ``save_overbookings``.
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


def sold_out_for(bookings: Sequence[RoomBooking]) -> dict[int, date]:
    """The first night on which each booking's type is currently sold out, by booking pk; available ones are left out.

    One statement for any number of bookings. Nothing is locked: it may have changed when the action is taken.
    """
    nights = sold_out_nights(
        [
            NightsRequest(booking.hotel, booking.room_type_id, *nights_held(booking.hotel, booking))
            for booking in bookings
        ]
    )
    return {booking.pk: night for booking, night in zip(bookings, nights, strict=True) if night is not None}


def require_availability(booking: RoomBooking, nights: Mapping[int, date]) -> None:
    """Raise if the booking's type is sold out according to ``nights``, from ``sold_out_for``."""
    if booking.pk in nights and not booking.hotel.allow_overbooking:
        raise sold_out(booking.room_type, nights[booking.pk])


def added_nights(before: tuple[date, date], after: tuple[date, date]) -> list[tuple[date, date]]:
    """The nights that ``after`` (first night, first free day) has and ``before`` had not, as stays."""
    (old_first, old_free), (first, free) = before, after
    stays = [(first, min(old_first, free)), (max(old_free, first), free)]
    return [(begin, end) for begin, end in stays if begin < end]
