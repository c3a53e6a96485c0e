"""Check-in of one booking, or of all of today's arrivals in given rooms."""

from collections.abc import Sequence

from django.db import transaction

from common import clock
from common.errors import Conflict, HotelMateError
from common.guards import Guard, require
from hotel import calendar
from hotel.models import Hotel, Staff
from housekeeping.models import Source
from housekeeping.services import set_room_statuses
from housekeeping.task_following import follow_arrival
from notifications.notification_manager import BookingUpdate, realtime_bookings_updated
from room_bookings.capacity import capacity_refusals, extra_beds
from room_bookings.eligibility import arrival_window_refusals, settled_refusals
from room_bookings.errors import BookingNotEligible, not_eligible, refusal_details
from room_bookings.inventory import is_upgraded, nights_booked, nights_held
from room_bookings.models import BookingAction, BookingStatus, Overbooking, RoomBooking
from room_bookings.overrides import is_override
from room_bookings.selectors import arriving, booking_lock
from room_bookings.services.bulk import BulkFailure, BulkResult
from room_bookings.services.checks import added_nights, free_refusals, night_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking
from room_bookings.services.room_assignment import (
    ASSIGNMENT,
    Assignment,
    assignment_reason,
    room_for,
    room_refusals,
    take_room,
)
from rooms.errors import RoomNotFound, guest_of
from rooms.models import Room, RoomStatus
from rooms.selectors import room_lock
from rooms.snapshots import is_occupied

CHECK_IN = "bookings.checkin"


class RoomNotReady(Conflict):
    """The room cannot take a guest now."""

    code = "ROOM_NOT_READY"


class NothingDue(Conflict):
    """No arrival due today has this room."""

    code = "NO_ARRIVAL_DUE"


@transaction.atomic
def check_in(
    *,
    booking: RoomBooking,
    staff: Staff,
    room_id: int | None = None,
    override_reason: str = "",
    upgrade: bool = False,
) -> RoomBooking:
    """Check the guest in to the assigned room, or to ``room_id``, which is then assigned as by ``assign_room``.

    A supervisor's ``override_reason`` lifts the arrival window, the room's capacity, and availability on nights that
    were not booked. A guest already in house stays in their room: nothing is written. Returns the current booking.
    """
    locked = lock_booking(booking)
    facts = LockedFacts(locked.hotel)
    assignment = require(
        check_in_refusals(locked, room_id, staff=staff, reason=override_reason, upgrade=upgrade, facts=facts)
    )
    if assignment is None:
        return locked
    room, overbooked = assignment
    is_other = room.pk != locked.assigned_room_id
    if is_other:
        take_room(locked, room, staff)
    why = assignment_reason(locked, override_reason) if is_other else override_reason
    _move_in(
        [(locked, room)],
        staff,
        Source.FRONT_DESK,
        f"check-in of {locked.booking_id}",
        why,
        is_upgrade=is_other and is_upgraded(locked),
    )
    save_overbookings(overbooked)
    if is_other:
        follow_arrival(locked, room)
    return locked


def check_in_refusals(
    booking: RoomBooking, room_id: int | None, *, staff: Staff, reason: str, upgrade: bool = False, facts: Facts
) -> Guard[Assignment | None]:
    """The refusals of ``check_in``; ``None`` if the guest is in house already."""
    if booking.status == BookingStatus.IN_HOUSE:
        return None
    if booking.status != BookingStatus.CONFIRMED:
        yield not_eligible(booking, "checked in")
        return None
    yield from settled_refusals(booking)
    yield from _window_refusals(booking, staff, reason)
    wanted = room_id or booking.assigned_room_id
    if wanted is None:
        yield BookingNotEligible(
            f"Booking {booking.booking_id} has no room yet: assign one first.", details=refusal_details(booking)
        )
        return None
    room = room_for(booking, wanted, facts)
    if room is None:
        yield RoomNotFound("Room not found: this hotel has no such room.")
        return None
    if room.pk != booking.assigned_room_id:
        overbooked = yield from room_refusals(
            booking, room, staff=staff, right=CHECK_IN, reason=reason, upgrade=upgrade, facts=facts
        )
    else:
        overbooked = list[Overbooking]()
        yield from capacity_refusals(booking, room, staff=staff, reason=reason)
    # A guest who arrives early, or after the departure date, needs nights that were not booked.
    held = nights_held(booking.hotel, booking, in_house=True)
    if added := added_nights(nights_booked(booking), held):
        yield from free_refusals(room, *held, without=booking, facts=facts)
        overbooked += yield from night_refusals(
            booking, room.room_type, *added, facts=facts, staff=staff, reason=reason
        )
    yield from _readiness_refusals(room)
    return Assignment(room, overbooked)


@transaction.atomic
def check_in_rooms(*, hotel: Hotel, room_ids: Sequence[int], staff: Staff) -> BulkResult:
    """Check in each room's arrival, due today or late, in a constant number of statements.

    Each room has its own result. Two such arrivals never share a room, as both would hold it tonight.
    """
    today = calendar.business_date(hotel)
    due = RoomBooking.objects.filter(arriving(today), hotel=hotel)
    locked = booking_lock(due.filter(assigned_room__in=room_ids).values_list("pk", flat=True))
    arrivals = {
        booking.assigned_room_id: booking
        for booking in locked
        if booking.status == BookingStatus.CONFIRMED and calendar.arrives_on(booking.check_in, booking.check_out, today)
    }
    rooms = {room.pk: room for room in room_lock(room_ids, hotel=hotel)}
    result = BulkResult()
    going: list[tuple[RoomBooking, Room]] = []
    for room_id in dict.fromkeys(room_ids):
        try:
            arrival = require(arrival_refusals(rooms.get(room_id), arrivals.get(room_id), staff))
            assert arrival is not None  # only refused ones have none
            going.append(arrival)
        except HotelMateError as refusal:
            result.failed.append(BulkFailure(room_id, refusal))
    if going:
        _move_in(going, staff, Source.SYSTEM, "check-in of several rooms")
    result.bookings, result.rooms = [booking for booking, _ in going], [room for _, room in going]
    return result


def arrival_refusals(
    room: Room | None, booking: RoomBooking | None, staff: Staff
) -> Guard[tuple[RoomBooking, Room] | None]:
    """The refusals of ``check_in_rooms`` for one room; ``booking`` is the arrival that has it."""
    if room is None:
        yield RoomNotFound("Room not found: this hotel has no such room.")
        return None
    if booking is None:
        yield NothingDue(f"No arrival due today has room {room.room_number}.")
        return None
    yield from settled_refusals(booking)
    yield from _window_refusals(booking, staff)
    yield from capacity_refusals(booking, room, staff=None)
    yield from _readiness_refusals(room)
    return booking, room


def _window_refusals(booking: RoomBooking, staff: Staff, reason: str = "") -> Guard[None]:
    """Refused outside the arrival window, unless a supervisor's reason lifts it."""
    if not is_override(staff, reason):
        yield from arrival_window_refusals(booking)


def _readiness_refusals(room: Room) -> Guard[None]:
    if is_occupied(room):
        yield RoomNotReady(
            f"Room not ready: room {room.room_number} still has a guest in house.",
            details=_room_state(room),
            blocker=guest_of(room),
        )
    elif not room.is_bookable:
        label = RoomStatus(room.room_status).label
        why = f'has the status "{label}"' if room.is_active else "is not in service"
        yield RoomNotReady(f"Room not ready: room {room.room_number} {why}.", details=_room_state(room))


def _room_state(room: Room) -> dict[str, object]:
    return {"room_id": room.pk, "room_number": room.room_number, "current_status": str(room.room_status)}


def _move_in(
    stays: Sequence[tuple[RoomBooking, Room]],
    staff: Staff,
    source: str,
    note: str,
    reason: str = "",
    *,
    is_upgrade: bool = False,
) -> None:
    """Mark the guests as in house: bookings first, as the room status checks depend on them."""
    moment = clock.now()
    for booking, room in stays:
        booking.status, booking.checked_in_at, booking.assigned_room = BookingStatus.IN_HOUSE, moment, room
        booking.arrived_on, booking.extra_beds = calendar.business_date(booking.hotel, moment), extra_beds(booking)
    bookings = [booking for booking, _ in stays]
    save_bookings(bookings, "status", "checked_in_at", "arrived_on", *ASSIGNMENT)
    save_history(
        history_row(
            booking,
            BookingAction.CHECKED_IN,
            was=BookingStatus.CONFIRMED,
            staff=staff,
            to_room=room,
            is_upgrade=is_upgrade,
            reason=reason,
        )
        for booking, room in stays
    )
    set_room_statuses(
        changes=[(room, RoomStatus.OCCUPIED) for _, room in stays],
        staff=staff,
        source=source,
        note=note,
        all_or_nothing=True,
    )
    realtime_bookings_updated(
        [BookingUpdate(booking, "booking_checked_in", "booking_checked_in") for booking in bookings],
        rooms=[room for _, room in stays],
    )
