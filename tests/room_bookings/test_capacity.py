"""How many guests a room takes: from booking to move, and when a room type shrinks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from room_bookings.models import BookingChange, BookingGuest, RoomBooking
from room_bookings.services.check_in import check_in, check_in_rooms
from room_bookings.services.create import create_booking
from room_bookings.services.edit import edit_booking, set_companions
from room_bookings.services.room_assignment import assign_room
from room_bookings.services.room_move import move_room
from rooms.services import update_room, update_room_type
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, booking_in
from tests.room_bookings.desk import Desk, assert_sound, day, refusal_of

COMPANY = [{"first_name": name, "last_name": "Babbage"} for name in ("Charles", "Georgiana")]


def coming(desk: Desk, **fields: Any) -> RoomBooking:
    """Of a type that sleeps two."""
    stay = {"hotel": desk.hotel, "room_type": desk.room_type, "check_in": day(0), "check_out": day(2)}
    return BookingFactory(**stay | fields)


def creation(desk: Desk) -> Callable[..., RoomBooking]:
    stay = {"room_type_id": desk.room_type.pk, "check_in": day(0), "check_out": day(2)}
    name = {"primary_first_name": "Ada", "primary_last_name": "Lovelace"}
    return partial(create_booking, hotel=desk.hotel, adults=2, children=1, **stay | name)


def move(desk: Desk) -> Callable[..., RoomBooking]:
    large = RoomTypeFactory(hotel=desk.hotel, max_occupancy=3)
    stay = booking_in("IN_HOUSE", assigned_room=NewRoomFactory(hotel=desk.hotel, room_type=large), adults=3)

    def moved(*, staff: Any, override_reason: str = "noise") -> RoomBooking:
        return move_room(booking=stay, to_room_id=desk.rooms[0].pk, staff=staff, reason=override_reason)

    return moved


STEPS: dict[str, Callable[[Desk], Callable[..., RoomBooking]]] = {
    "create": creation,
    "edit": lambda desk: partial(edit_booking, booking=coming(desk, adults=2), children=1),
    "party": lambda desk: partial(set_companions, booking=coming(desk, adults=1), companions=COMPANY),
    # From before there was a rule: nobody has let them in.
    "assign": lambda desk: partial(assign_room, booking=coming(desk, adults=3), room_id=desk.rooms[0].pk),
    "check-in": lambda desk: partial(check_in, booking=coming(desk, adults=3, assigned_room=desk.rooms[0])),
    "move": move,
}


@pytest.mark.parametrize("name", STEPS)
def test_a_larger_party_comes_with_a_supervisor_s_reason(name, desk):
    step = STEPS[name](desk)
    for staff, more in ((desk.agent, {}), (desk.agent, {"override_reason": "a cot"}), (desk.manager, {})):
        if name == "move" and staff == desk.manager:
            continue  # a move has a reason always
        refusal = refusal_of(partial(step, staff=staff, **more))
        assert (refusal.code, refusal.status) == ("ROOM_CAPACITY_EXCEEDED", 409)
        assert (refusal.details["max_occupancy"], refusal.details["guests"]) == (2, 3)
    done = step(staff=desk.manager, override_reason="a cot")
    stored = RoomBooking.objects.get(pk=done.pk)
    assert stored.extra_beds == 1
    [*_, told] = BookingChange.objects.filter(booking=done).order_by("pk")
    assert (told.staff, told.reason) == (desk.manager, "a cot")
    assert_sound()


def test_who_was_let_in_once_is_not_asked_again(desk):
    stay = creation(desk)(staff=desk.manager, override_reason="a cot")
    assign_room(booking=stay, room_id=desk.rooms[0].pk, staff=desk.agent)
    set_companions(booking=stay, companions=COMPANY, staff=desk.agent)
    check_in(booking=stay, staff=desk.agent)
    same = NewRoomFactory(hotel=desk.hotel, room_type=RoomTypeFactory(hotel=desk.hotel, max_occupancy=2))
    assert move_room(booking=stay, to_room_id=same.pk, staff=desk.agent, reason="noise").extra_beds == 1
    refusal = refusal_of(lambda: edit_booking(booking=stay, staff=desk.agent, adults=3))
    assert refusal.code == "ROOM_CAPACITY_EXCEEDED"
    assert edit_booking(booking=stay, staff=desk.agent, children=0).extra_beds == 1  # three have names
    assert set_companions(booking=stay, companions=[], staff=desk.agent).extra_beds == 0
    assert_sound()


def test_one_arrival_that_does_not_fit_in_does_not_hold_up_the_others(desk):
    stays = [coming(desk, adults=adults, assigned_room=room) for adults, room in zip((3, 2), desk.rooms, strict=True)]
    result = check_in_rooms(hotel=desk.hotel, room_ids=[room.pk for room in desk.rooms], staff=desk.manager)
    assert [refusal.code for _, refusal in result.failed] == ["ROOM_CAPACITY_EXCEEDED"]
    assert result.bookings == stays[1:]


def test_a_type_does_not_shrink_under_a_party(desk):
    stay = coming(desk, adults=2)
    request = booking_in("PENDING_APPROVAL", hotel=desk.hotel, room_type=desk.room_type, check_in=day(1), adults=1)
    BookingGuest.objects.create(booking=request, first_name="Charles", last_name="Babbage")
    coming(desk, adults=1)
    booking_in("CANCELLED", hotel=desk.hotel, room_type=desk.room_type, adults=2)
    refusal = refusal_of(lambda: update_room_type(room_type=desk.room_type, max_occupancy=1))
    assert (refusal.code, refusal.status) == ("ROOM_CAPACITY_EXCEEDED", 409)
    assert [found["booking_id"] for found in refusal.extra["conflicts"]] == [stay.booking_id, request.booking_id]
    assert refusal.details["conflicts"] == refusal.extra["conflicts"]
    for booking in (stay, request):
        booking.status = "DECLINED"
        booking.decision_at = booking.created_at
        booking.save()
    assert update_room_type(room_type=desk.room_type, max_occupancy=1).max_occupancy == 1
    assert_sound()


def test_a_room_does_not_get_a_type_that_sleeps_fewer_than_are_in_it(desk):
    stay = booking_in("IN_HOUSE", assigned_room=desk.rooms[0], adults=2)
    single = RoomTypeFactory(hotel=desk.hotel, max_occupancy=1)
    for more in ({}, {"forced": True}):
        change = partial(update_room, room=desk.rooms[0], staff=desk.manager, room_type_id=single.pk, **more)
        refusal = refusal_of(change)
        assert refusal.code == "ROOM_CAPACITY_EXCEEDED"
        assert [found["booking_id"] for found in refusal.extra["conflicts"]] == [stay.booking_id]
    double = RoomTypeFactory(hotel=desk.hotel, max_occupancy=2)
    assert update_room(room=desk.rooms[0], staff=desk.manager, room_type_id=double.pk).room_type == double
    assert_sound()
