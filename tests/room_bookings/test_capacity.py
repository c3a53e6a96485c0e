"""Room capacity: checked from booking to room move, and when a room type gets smaller."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from room_bookings.models import BookingChange, BookingGuest, RoomBooking
from room_bookings.services.check_in import check_in, check_in_rooms
from room_bookings.services.create import create_booking
from room_bookings.services.edit import edit_booking, set_companions
from room_bookings.services.room_assignment import assign_room, unassign_room
from room_bookings.services.room_move import move_room
from rooms.services import update_room, update_room_type
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, booking_in
from tests.room_bookings.small_hotel import SmallHotel, assert_invariants_hold, day, refusal_of

COMPANY = [{"first_name": name, "last_name": "Babbage"} for name in ("Charles", "Georgiana")]


def coming(small_hotel: SmallHotel, **fields: Any) -> RoomBooking:
    """A confirmed booking of a type that sleeps two."""
    stay = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type, "check_in": day(0), "check_out": day(2)}
    return BookingFactory(**stay | fields)


def creation(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    stay = {"room_type_id": small_hotel.room_type.pk, "check_in": day(0), "check_out": day(2)}
    name = {"primary_first_name": "Ada", "primary_last_name": "Lovelace"}
    return partial(create_booking, hotel=small_hotel.hotel, adults=2, children=1, **stay | name)


def move(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    large = RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=3)
    stay = booking_in("IN_HOUSE", assigned_room=NewRoomFactory(hotel=small_hotel.hotel, room_type=large), adults=3)

    def moved(*, staff: Any, override_reason: str = "noise") -> RoomBooking:
        return move_room(booking=stay, to_room_id=small_hotel.rooms[0].pk, staff=staff, reason=override_reason)

    return moved


def unassignment(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    large = NewRoomFactory(hotel=small_hotel.hotel, room_type=RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=3))
    return partial(unassign_room, booking=coming(small_hotel, adults=3, assigned_room=large))


STEPS: dict[str, Callable[[SmallHotel], Callable[..., RoomBooking]]] = {
    "create": creation,
    "edit": lambda small_hotel: partial(edit_booking, booking=coming(small_hotel, adults=2), children=1),
    "party": lambda small_hotel: partial(set_companions, booking=coming(small_hotel, adults=1), companions=COMPANY),
    # From before the rule existed: no supervisor has allowed it.
    "assign": lambda small_hotel: partial(
        assign_room, booking=coming(small_hotel, adults=3), room_id=small_hotel.rooms[0].pk
    ),
    "check-in": lambda small_hotel: partial(
        check_in, booking=coming(small_hotel, adults=3, assigned_room=small_hotel.rooms[0])
    ),
    "move": move,
    "unassign": unassignment,
}


@pytest.mark.parametrize("name", STEPS)
def test_larger_party_needs_a_supervisors_reason(name, small_hotel):
    step = STEPS[name](small_hotel)
    for staff, more in (
        (small_hotel.agent, {}),
        (small_hotel.agent, {"override_reason": "a cot"}),
        (small_hotel.manager, {}),
    ):
        if name == "move" and staff == small_hotel.manager:
            continue  # a move always has a reason
        refusal = refusal_of(partial(step, staff=staff, **more))
        assert (refusal.code, refusal.status) == ("ROOM_CAPACITY_EXCEEDED", 409)
        assert (refusal.details["max_occupancy"], refusal.details["guests"]) == (2, 3)
    done = step(staff=small_hotel.manager, override_reason="a cot")
    stored = RoomBooking.objects.get(pk=done.pk)
    assert stored.extra_beds == 1
    [*_, change] = BookingChange.objects.filter(booking=done).order_by("pk")
    assert (change.staff, change.reason) == (small_hotel.manager, "a cot")
    assert_invariants_hold()


def test_allowed_extra_beds_are_not_checked_again(small_hotel):
    stay = creation(small_hotel)(staff=small_hotel.manager, override_reason="a cot")
    assign_room(booking=stay, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
    set_companions(booking=stay, companions=COMPANY, staff=small_hotel.agent)
    check_in(booking=stay, staff=small_hotel.agent)
    same = NewRoomFactory(hotel=small_hotel.hotel, room_type=RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=2))
    assert move_room(booking=stay, to_room_id=same.pk, staff=small_hotel.agent, reason="noise").extra_beds == 1
    refusal = refusal_of(lambda: edit_booking(booking=stay, staff=small_hotel.agent, adults=3))
    assert refusal.code == "ROOM_CAPACITY_EXCEEDED"
    assert edit_booking(booking=stay, staff=small_hotel.agent, children=0).extra_beds == 1  # three guests are named
    assert set_companions(booking=stay, companions=[], staff=small_hotel.agent).extra_beds == 0
    assert_invariants_hold()


def test_bulk_check_in_skips_a_party_that_does_not_fit(small_hotel):
    stays = [
        coming(small_hotel, adults=adults, assigned_room=room)
        for adults, room in zip((3, 2), small_hotel.rooms, strict=True)
    ]
    result = check_in_rooms(
        hotel=small_hotel.hotel, room_ids=[room.pk for room in small_hotel.rooms], staff=small_hotel.manager
    )
    assert [refusal.code for _, refusal in result.failed] == ["ROOM_CAPACITY_EXCEEDED"]
    assert result.bookings == stays[1:]


def test_room_type_cannot_become_too_small_for_a_party(small_hotel):
    stay = coming(small_hotel, adults=2)
    request = booking_in(
        "PENDING_APPROVAL", hotel=small_hotel.hotel, room_type=small_hotel.room_type, check_in=day(1), adults=1
    )
    BookingGuest.objects.create(booking=request, first_name="Charles", last_name="Babbage")
    coming(small_hotel, adults=1)
    booking_in("CANCELLED", hotel=small_hotel.hotel, room_type=small_hotel.room_type, adults=2)
    refusal = refusal_of(lambda: update_room_type(room_type=small_hotel.room_type, max_occupancy=1))
    assert (refusal.code, refusal.status) == ("ROOM_CAPACITY_EXCEEDED", 409)
    assert [found["booking_id"] for found in refusal.extra["conflicts"]] == [stay.booking_id, request.booking_id]
    assert refusal.details["conflicts"] == refusal.extra["conflicts"]
    for booking in (stay, request):
        booking.status = "DECLINED"
        booking.decision_at = booking.created_at
        booking.save()
    assert update_room_type(room_type=small_hotel.room_type, max_occupancy=1).max_occupancy == 1
    assert_invariants_hold()


def test_room_cannot_get_a_type_too_small_for_its_guests(small_hotel):
    stay = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], adults=2)
    single = RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=1)
    for more in ({}, {"forced": True}):
        change = partial(
            update_room, room=small_hotel.rooms[0], staff=small_hotel.manager, room_type_id=single.pk, **more
        )
        refusal = refusal_of(change)
        assert refusal.code == "ROOM_CAPACITY_EXCEEDED"
        assert [found["booking_id"] for found in refusal.extra["conflicts"]] == [stay.booking_id]
    double = RoomTypeFactory(hotel=small_hotel.hotel, max_occupancy=2)
    assert update_room(room=small_hotel.rooms[0], staff=small_hotel.manager, room_type_id=double.pk).room_type == double
    assert_invariants_hold()
