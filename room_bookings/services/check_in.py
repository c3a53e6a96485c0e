"""Check-in of one booking, or of all of today's arrivals in given rooms."""

from collections.abc import Sequence

from django.db import transaction

from common import clock
from common.errors import Conflict, HotelMateError
from hotel import calendar
from hotel.models import Hotel, Staff
from housekeeping.models import Source
from housekeeping.services import set_room_statuses
from housekeeping.task_following import follow_arrival
from notifications.notification_manager import BookingUpdate, realtime_bookings_updated
from room_bookings.capacity import extra_beds, require_capacity
from room_bookings.inventory import nights_booked, nights_held
from room_bookings.models import BookingAction, BookingStatus, Overbooking, RoomBooking
from room_bookings.overrides import is_override
from room_bookings.selectors import arriving, booking_lock
from room_bookings.services.bulk import BulkFailure, BulkResult
from room_bookings.services.checks import added_nights, require_free, require_settled, sell_nights
from room_bookings.services.errors import BookingNotEligible, not_eligible, refusal_details
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking, lock_room
from room_bookings.services.room_assignment import ASSIGNMENT, require_assignment, take_room
from rooms.errors import RoomNotFound
from rooms.models import Room, RoomStatus
from rooms.selectors import room_lock
from rooms.snapshots import is_occupied


class CheckInTooEarly(Conflict):
    """It is the arrival day, but before the hotel's earliest check-in time."""

    code = "CHECKIN_TOO_EARLY"


class CheckInWrongDate(Conflict):
    """The arrival day has not come."""

    code = "CHECKIN_WRONG_DATE"


class CheckInTooLate(Conflict):
    """The last night of the stay is over."""

    code = "CHECKIN_TOO_LATE"


class RoomNotReady(Conflict):
    """The room cannot take a guest now."""

    code = "ROOM_NOT_READY"


class NothingDue(Conflict):
    """No arrival due today has this room."""

    code = "NO_ARRIVAL_DUE"


@transaction.atomic
def check_in(
    *, booking: RoomBooking, staff: Staff, room_id: int | None = None, override_reason: str = ""
) -> RoomBooking:
    """Check the guest in to the assigned room, or to ``room_id``, which is then assigned.

    A supervisor's ``override_reason`` lifts the arrival window, the room's capacity, and availability on nights that
    were not booked. A guest already in house stays in their room: nothing is written. Returns the current booking.
    """
    locked = lock_booking(booking)
    if locked.status == BookingStatus.IN_HOUSE:
        return locked
    if locked.status != BookingStatus.CONFIRMED:
        raise not_eligible(locked, "checked in")
    require_settled(locked)
    _require_window(locked, staff, override_reason)
    wanted = room_id or locked.assigned_room_id
    if wanted is None:
        raise BookingNotEligible(
            f"Booking {locked.booking_id} has no room yet: assign one first.", details=refusal_details(locked)
        )
    room = lock_room(locked.hotel, wanted)
    is_other = room.pk != locked.assigned_room_id
    if is_other:
        overbooked = require_assignment(locked, room, staff=staff, reason=override_reason)
        take_room(locked, room, staff)
    else:
        overbooked = list[Overbooking]()
        require_capacity(locked, room, staff=staff, reason=override_reason)
    # A guest who arrives early, or after the departure date, needs nights that were not booked.
    held = nights_held(locked.hotel, locked, in_house=True)
    if added := added_nights(nights_booked(locked), held):
        require_free(room, *held, without=locked)
        overbooked += sell_nights(locked, room.room_type_id, *added, staff=staff, reason=override_reason)
    _require_ready(room)
    _move_in([(locked, room)], staff, Source.FRONT_DESK, f"check-in of {locked.booking_id}", override_reason)
    save_overbookings(overbooked)
    if is_other:
        follow_arrival(locked, room)
    return locked


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
            going.append(_arrival(room_id, rooms, arrivals, staff))
        except HotelMateError as refusal:
            result.failed.append(BulkFailure(room_id, refusal))
    if going:
        _move_in(going, staff, Source.SYSTEM, "check-in of several rooms")
    result.bookings, result.rooms = [booking for booking, _ in going], [room for _, room in going]
    return result


def _arrival(
    room_id: int, rooms: dict[int, Room], arrivals: dict[int | None, RoomBooking], staff: Staff
) -> tuple[RoomBooking, Room]:
    room, booking = rooms.get(room_id), arrivals.get(room_id)
    if room is None:
        raise RoomNotFound("Room not found: this hotel has no such room.")
    if booking is None:
        raise NothingDue(f"No arrival due today has room {room.room_number}.")
    require_settled(booking)
    _require_window(booking, staff)
    require_capacity(booking, room, staff=None)
    _require_ready(room)
    return booking, room


def _require_window(booking: RoomBooking, staff: Staff, override_reason: str = "") -> None:
    """Raise outside the arrival window, unless a supervisor's reason lifts it."""
    if (refusal := _outside_window(booking)) and not is_override(staff, override_reason):
        raise refusal


def _outside_window(booking: RoomBooking) -> Conflict | None:
    hotel = booking.hotel
    now = calendar.local_now(hotel)
    details = refusal_details(booking) | {
        "check_in": booking.check_in.isoformat(),
        "check_out": booking.check_out.isoformat(),
        "hotel_time": now.replace(tzinfo=None).isoformat(timespec="minutes"),
    }
    if now.date() < booking.check_in:
        return CheckInWrongDate(
            f"The guest of booking {booking.booking_id} is due on {booking.check_in}, not today.", details=details
        )
    opens, closes = calendar.arrival_window(hotel, booking.check_in, booking.check_out)
    if clock.now() < opens:
        return CheckInTooEarly(f"Check-in begins at {hotel.early_checkin_from:%H:%M} today.", details=details)
    # The guest may arrive on any night of the stay; a night ends with the hotel's business day.
    if clock.now() >= closes:
        return CheckInTooLate(f"The last night of booking {booking.booking_id} is over.", details=details)
    return None


def _require_ready(room: Room) -> None:
    if is_occupied(room):
        raise RoomNotReady(
            f"Room not ready: room {room.room_number} still has a guest in house.", details=_room_state(room)
        )
    if not room.is_bookable:
        label = RoomStatus(room.room_status).label
        why = f'has the status "{label}"' if room.is_active else "is not in service"
        raise RoomNotReady(f"Room not ready: room {room.room_number} {why}.", details=_room_state(room))


def _room_state(room: Room) -> dict[str, object]:
    return {"room_id": room.pk, "room_number": room.room_number, "current_status": str(room.room_status)}


def _move_in(stays: Sequence[tuple[RoomBooking, Room]], staff: Staff, source: str, note: str, reason: str = "") -> None:
    """Mark the guests as in house: bookings first, as the room status checks depend on them."""
    moment = clock.now()
    for booking, room in stays:
        booking.status, booking.checked_in_at, booking.assigned_room = BookingStatus.IN_HOUSE, moment, room
        booking.arrived_on, booking.extra_beds = calendar.business_date(booking.hotel, moment), extra_beds(booking)
    bookings = [booking for booking, _ in stays]
    save_bookings(bookings, "status", "checked_in_at", "arrived_on", *ASSIGNMENT)
    save_history(
        history_row(
            booking, BookingAction.CHECKED_IN, was=BookingStatus.CONFIRMED, staff=staff, to_room=room, reason=reason
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
