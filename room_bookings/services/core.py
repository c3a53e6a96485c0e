"""What every step in a booking's life shares: its lock, its refusals, its history."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from common import clock, prepared
from common.errors import Conflict, FieldError, HotelMateError, NotAllowed, NotFound
from common.formats import iso
from hotel import calendar
from hotel.models import Hotel, Staff
from room_bookings.inventory import (
    Inventory,
    Wish,
    conflict,
    holders,
    nights_held,
    oversells,
    sold_out_nights,
    stretches,
)
from room_bookings.models import (
    IN_FLIGHT_PAYMENTS,
    STRIPE,
    BookingAction,
    BookingChange,
    BookingStatus,
    Overbooking,
    PaymentState,
    RoomBooking,
)
from room_bookings.overrides import is_override
from room_bookings.selectors import booking_lock
from rooms.errors import RoomNotFound
from rooms.models import Room, RoomType
from rooms.selectors import room_lock

LONGEST_STAY = 365  # nights

# --- refusals ---------------------------------------------------------------------------------------------------------


class BookingNotFound(NotFound):
    code = "BOOKING_NOT_FOUND"


class RightMissing(NotAllowed):
    """The step takes a right that the caller lacks."""


class BookingChanged(HotelMateError):
    """The booking is no longer at the version that the caller saw (``If-Match``)."""

    status = 412
    code = "PRECONDITION_FAILED"


class BookingNotEligible(Conflict):
    """The booking's status does not lead there."""

    code = "BOOKING_NOT_ELIGIBLE"


class BookingAlreadyCheckedIn(Conflict):
    code = "BOOKING_ALREADY_CHECKED_IN"


class BookingNotCheckedIn(Conflict):
    code = "BOOKING_NOT_CHECKED_IN"


class BookingAlreadyCheckedOut(Conflict):
    code = "BOOKING_ALREADY_CHECKED_OUT"


class StripeBooking(NotAllowed):
    """A booking with a card payment is ended where the payment is, by approve or decline."""

    code = "STRIPE_BOOKING"


class PaymentInProgress(Conflict):
    """Somebody else has the payment in hand at this moment."""

    code = "PAYMENT_IN_PROGRESS"


class RoomOverlap(Conflict):
    """Somebody else holds the room on one of the nights."""

    code = "ROOM_OVERLAP_CONFLICT"


class NoAvailability(Conflict):
    """The room type is sold out on one of the nights."""

    code = "NO_AVAILABILITY"


# --- locks ------------------------------------------------------------------------------------------------------------


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


# --- checks -----------------------------------------------------------------------------------------------------------


def label(booking: RoomBooking) -> str:
    """The booking's status as it stands in a sentence."""
    return BookingStatus(booking.status).label.lower()


def state(booking: RoomBooking) -> dict[str, Any]:
    """What a refusal tells of the booking; JSON-safe."""
    return {"booking_id": booking.booking_id, "status": str(booking.status), "version": booking.version}


def not_eligible(booking: RoomBooking, what: str) -> BookingNotEligible:
    """The refusal of a booking whose status does not lead to ``what`` (a past participle)."""
    return BookingNotEligible(
        f"Booking {booking.booking_id} is {label(booking)} and can't be {what}.", details=state(booking)
    )


def require_in_house(booking: RoomBooking) -> None:
    """Raise unless the guest is in house."""
    if booking.status == BookingStatus.IN_HOUSE:
        return
    if booking.checked_out_at is not None:
        raise BookingAlreadyCheckedOut(
            f"The guest of booking {booking.booking_id} has left already.",
            details=state(booking) | {"checked_out_at": iso(booking.checked_out_at)},
        )
    raise BookingNotCheckedIn(
        f"Booking {booking.booking_id} is {label(booking)}: the guest is not in house.", details=state(booking)
    )


def require_supervisor(staff: Staff, what: str) -> None:
    """Raise unless the caller holds the supervising right, which ``what`` takes."""
    if not staff.can("bookings.supervise"):
        raise RightMissing(f"Permission denied: {what} takes a supervisor.")


def address(booking: RoomBooking, step: str) -> str:
    """Where clients find the step that a refusal points them to."""
    return f"/api/staff/hotel/{booking.hotel.slug}/room-bookings/{booking.booking_id}/{step}/"


def refuse_stripe(booking: RoomBooking) -> None:
    """Raise where a card payment hangs on the booking: approve and decline are the ways for those."""
    if booking.payment_provider == STRIPE:
        raise StripeBooking(
            f"Booking {booking.booking_id} has a card payment: approve or decline it instead.",
            details={"required_endpoints": {step: address(booking, step) for step in ("approve", "decline")}},
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


def in_progress(booking: RoomBooking) -> PaymentInProgress:
    """The refusal of a step that has to wait for a decision."""
    what = "refund" if booking.payment_state == PaymentState.REFUNDING else "decision"
    return PaymentInProgress(
        f"The {what} of booking {booking.booking_id} is under way and not finished. Try again in a moment.",
        details=state(booking),
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
    wishes = [Wish(hotel, room_type.pk, first, free) for first, free in stays]
    if not wishes or oversells(hotel):
        return []
    inventory = Inventory(wishes, without=booking if booking.pk else None)
    missing = sorted({night for wish in wishes for night in inventory.sold_out(wish)})
    if not missing:
        return []
    if not is_override(staff, reason):
        raise sold_out(room_type, missing[0])
    return beyond(booking, room_type.pk, missing, staff=staff, reason=reason)


def beyond(
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
        [Wish(booking.hotel, booking.room_type_id, *nights_held(booking.hotel, booking)) for booking in bookings]
    )
    return {booking.pk: night for booking, night in zip(bookings, nights, strict=True) if night is not None}


def require_left(booking: RoomBooking, nights: Mapping[int, date]) -> None:
    """Raise when ``nights``, by what ``sold_out_for`` found, says that the booking's type is sold out for it."""
    if booking.pk in nights and not booking.hotel.allow_overbooking:
        raise sold_out(booking.room_type, nights[booking.pk])


def added_nights(before: tuple[date, date], after: tuple[date, date]) -> list[tuple[date, date]]:
    """The nights that ``after`` (first, day that is free again) has and ``before`` had not, as stays."""
    (had, had_until), (first, free) = before, after
    stays = [(first, min(had, free)), (max(had_until, first), free)]
    return [(begin, end) for begin, end in stays if begin < end]


def sold_out(room_type: RoomType, night: date) -> NoAvailability:
    """The refusal of a stay of whose type no room is left on that night."""
    return NoAvailability(
        f"No {room_type.name} is left for the night of {night}.",
        details={"room_type_id": room_type.pk, "date": night.isoformat()},
    )


# Without letters and digits that are mistaken for one another on the telephone.
CONFIRMATION_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def new_confirmation_number() -> str:
    """A number for the guest to quote, that nobody guesses."""
    return "".join(secrets.choice(CONFIRMATION_ALPHABET) for _ in range(8))


# --- writing ----------------------------------------------------------------------------------------------------------


def save(bookings: Sequence[RoomBooking], *fields: str) -> None:
    """Write ``fields`` of locked bookings, with their next version, in one statement."""
    moment = clock.now()
    for booking in bookings:
        booking.version += 1
        booking.updated_at = moment
    names = [*fields, "version", "updated_at"]
    if len(bookings) == 1:
        prepared.update(bookings[0], names)
    else:
        RoomBooking.objects.bulk_update(bookings, names)


def change(
    booking: RoomBooking,
    action: BookingAction,
    *,
    was: str,
    staff: Staff | None,
    reason: str = "",
    from_room: Room | None = None,
    to_room: Room | None = None,
    is_upgrade: bool = False,
) -> BookingChange:
    """The history row of one step, not yet stored; ``was`` is the status before it."""
    return BookingChange(
        hotel=booking.hotel,
        booking=booking,
        action=action,
        from_status=was,
        to_status=booking.status,
        from_room=from_room,
        to_room=to_room,
        is_upgrade=is_upgrade,
        staff=staff,
        reason=reason,
        created_at=clock.now(),
    )


def record(changes: Iterable[BookingChange]) -> None:
    """Store history rows, in one statement."""
    prepared.insert(changes)


def record_overbooking(overbookings: Iterable[Overbooking]) -> None:
    """Store what ``take_nights`` has let go beyond the rooms that there are, in one statement."""
    prepared.insert(overbookings)
