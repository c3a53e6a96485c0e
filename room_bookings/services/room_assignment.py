"""Assigning a room to a coming stay, and unassigning it."""

from datetime import date
from typing import NamedTuple

from django.db import transaction

from common import clock
from common.errors import Conflict, InvalidInput, Lift
from common.guards import Guard, require
from hotel.models import Staff
from housekeeping.task_following import follow_arrival
from notifications.notification_manager import realtime_booking_updated
from room_bookings.capacity import capacity_refusals, extra_beds
from room_bookings.eligibility import assignable_refusals, party_refusals
from room_bookings.inventory import is_upgraded, nights_held, type_of
from room_bookings.models import BookingAction, Overbooking, RoomBooking
from room_bookings.overrides import UPGRADE, is_override
from room_bookings.services.checks import free_refusals, night_refusals, service_refusals
from room_bookings.services.facts import Facts, LockedFacts
from room_bookings.services.history import history_row, save_bookings, save_history, save_overbookings
from room_bookings.services.locks import lock_booking
from rooms.errors import RoomNotFound
from rooms.models import Room, RoomType

ASSIGN = "bookings.assign_room"


class RoomTypeMismatch(InvalidInput):
    """The room is not of the booked type, and no upgrade was asked for."""

    code = "ROOM_TYPE_MISMATCH"


class RoomNotBookable(Conflict):
    """The room is not let, or blocked on one of the nights."""

    code = "ROOM_NOT_BOOKABLE"


@transaction.atomic
def assign_room(
    *,
    booking: RoomBooking,
    room_id: int,
    staff: Staff,
    notes: str = "",
    override_reason: str = "",
    upgrade: bool = False,
) -> RoomBooking:
    """Assign a room of the booked type to a confirmed booking, or a different one; the same one again changes nothing.

    The room may still be occupied or dirty: readiness is checked at check-in. With ``upgrade`` it may be of another
    type, whose nights must be available; what was booked stays the same, and so does the amount. A supervisor's
    ``override_reason`` allows that too, and a room that sleeps fewer than the party. Returns the current booking.
    """
    locked = lock_booking(booking)
    facts = LockedFacts(locked.hotel)
    assignment = require(
        assignment_refusals(
            locked, room_id, staff=staff, reason=override_reason, notes=notes, facts=facts, upgrade=upgrade
        )
    )
    if assignment is None:
        return locked
    room, overbooked = assignment
    before = locked.assigned_room
    is_other = room.pk != locked.assigned_room_id
    take_room(locked, room, staff, notes)
    save_bookings([locked], *ASSIGNMENT)
    save_history(
        [
            history_row(
                locked,
                BookingAction.ASSIGNED,
                was=locked.status,
                staff=staff,
                from_room=before,
                to_room=room,
                is_upgrade=is_other and is_upgraded(locked),
                reason=assignment_reason(locked, override_reason) if is_other else override_reason,
            )
        ]
    )
    save_overbookings(overbooked)
    follow_arrival(locked, room)
    realtime_booking_updated(locked, "booking_updated", guest_type="booking_room_assigned")
    return locked


class Assignment(NamedTuple):
    """A room for a booking, and the overbookings that it causes."""

    room: Room
    overbooked: list[Overbooking]


def assignment_refusals(
    booking: RoomBooking,
    room_id: int | None,
    *,
    staff: Staff,
    reason: str,
    notes: str,
    facts: Facts,
    upgrade: bool = False,
) -> Guard[Assignment | None]:
    """The refusals of ``assign_room``, of the booking alone if no room is named; ``None`` if it has it already."""
    yield from assignable_refusals(booking)
    if room_id is None:
        yield from party_refusals(booking)
        return None
    room = room_for(booking, room_id, facts)
    if room is None:
        yield RoomNotFound("Room not found: this hotel has no such room.")
        return None
    if booking.assigned_room_id == room.pk and notes in ("", booking.assignment_notes):
        return None
    overbooked = yield from room_refusals(
        booking, room, staff=staff, right=ASSIGN, reason=reason, upgrade=upgrade, facts=facts
    )
    return Assignment(room, overbooked)


@transaction.atomic
def unassign_room(*, booking: RoomBooking, staff: Staff, override_reason: str = "") -> RoomBooking:
    """Unassign the room of a booking whose guest is not in house; a booking without a room is left unchanged.

    If the room is not of the booked type, the booked type must be available again and sleep the party. Raises
    NoAvailability or CapacityExceeded, unless a supervisor gives an ``override_reason``.
    """
    locked = lock_booking(booking)
    before = locked.assigned_room
    facts = LockedFacts(locked.hotel)
    overbooked = require(unassignment_refusals(locked, staff=staff, reason=override_reason, facts=facts))
    if overbooked is None:
        return locked
    release_room(locked)
    save_bookings([locked], *ASSIGNMENT)
    save_history(
        [
            history_row(
                locked,
                BookingAction.UNASSIGNED,
                was=locked.status,
                staff=staff,
                from_room=before,
                reason=override_reason,
            )
        ]
    )
    save_overbookings(overbooked)
    realtime_booking_updated(locked, "booking_updated")
    return locked


def unassignment_refusals(
    booking: RoomBooking, *, staff: Staff, reason: str, facts: Facts
) -> Guard[list[Overbooking] | None]:
    """The refusals of ``unassign_room``; returns the overbookings, or ``None`` if there is no room to release."""
    if booking.assigned_room is None:
        return None
    yield from assignable_refusals(booking, "unassigned from its room")
    if is_upgraded(booking):
        yield from capacity_refusals(booking, booking.room_type, staff=staff, reason=reason)
    held = nights_held(booking.hotel, booking)
    return (yield from type_change_refusals(booking, booking.room_type, held, staff=staff, reason=reason, facts=facts))


# The fields that hold a booking's room and extra beds.
ASSIGNMENT = ("assigned_room", "room_assigned_at", "room_assigned_by", "assignment_notes", "extra_beds")


def take_room(booking: RoomBooking, room: Room, staff: Staff, notes: str = "") -> None:
    """Set the locked room on a locked booking; the caller saves ``ASSIGNMENT``."""
    booking.assigned_room = room
    booking.room_assigned_at, booking.room_assigned_by = clock.now(), staff
    booking.assignment_notes = notes
    booking.extra_beds = extra_beds(booking)


def release_room(booking: RoomBooking) -> None:
    """Clear the room of a locked booking; the caller saves ``ASSIGNMENT``."""
    booking.assigned_room = booking.room_assigned_at = booking.room_assigned_by = None
    booking.assignment_notes = ""
    booking.extra_beds = extra_beds(booking)


def room_for(booking: RoomBooking, room_id: int, facts: Facts) -> Room | None:
    """The room that the booking is to have, if the hotel has it.

    The room that the booking has now is read with it: its type, under which the nights count so far, may have changed.
    """
    rooms = facts.rooms({pk for pk in (room_id, booking.assigned_room_id) if pk is not None})
    if booking.assigned_room_id in rooms:
        booking.assigned_room = rooms[booking.assigned_room_id]
    return rooms.get(room_id)


def assignment_reason(booking: RoomBooking, reason: str) -> str:
    """The reason in the history of an assignment: for a room of another type, the booked type and the given one."""
    if booking.assigned_room is None or not is_upgraded(booking):
        return reason
    types = f"{booking.room_type.name} → {booking.assigned_room.room_type.name}"
    return f"{types}: {reason}" if reason.strip() else types


def room_refusals(
    booking: RoomBooking,
    room: Room,
    *,
    staff: Staff,
    right: str,
    reason: str = "",
    upgrade: bool = False,
    facts: Facts,
) -> Guard[list[Overbooking]]:
    """Refused unless the booking can have the room for its nights; returns the resulting overbookings.

    A room of another type takes an ``upgrade``, open to everybody with the ``right`` to this action, or a supervisor's
    ``reason``.
    """
    yield from party_refusals(booking)
    changes_type = room.room_type_id != booking.room_type_id and room.pk != booking.assigned_room_id
    if changes_type and not (upgrade or is_override(staff, reason)):
        yield RoomTypeMismatch(
            f"Room {room.room_number} is of type {room.room_type.name}; {booking.room_type.name} is booked.",
            details={"room_type": room.room_type.name, "booked_type": booking.room_type.name},
            lift=Lift((right,), UPGRADE),
        )
    if not room.is_active:
        yield RoomNotBookable(f"Room {room.room_number} is not in service.", details={"room_number": room.room_number})
    if type_of(booking).pk != room.room_type_id:
        facts.refresh_capacity(room.room_type)
    yield from capacity_refusals(booking, room, staff=staff, reason=reason)
    held = nights_held(booking.hotel, booking)
    yield from service_refusals(room, *held, staff=staff, reason=reason, facts=facts, error=RoomNotBookable)
    yield from free_refusals(room, *held, without=booking, facts=facts, blocked_as=RoomNotBookable)
    return (yield from type_change_refusals(booking, room.room_type, held, staff=staff, reason=reason, facts=facts))


def type_change_refusals(
    booking: RoomBooking, to_type: RoomType, held: tuple[date, date], *, staff: Staff, reason: str, facts: Facts
) -> Guard[list[Overbooking]]:
    """Refused unless the booking's nights are available under ``to_type``, if they count under another type now.

    Returns the resulting overbookings.
    """
    if type_of(booking).pk == to_type.pk:
        return []
    return (yield from night_refusals(booking, to_type, held, facts=facts, staff=staff, reason=reason))
