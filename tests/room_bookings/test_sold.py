"""Overselling: which actions need a free room of the type, and which roles can override that."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from common import clock
from hotel.services import update_access_config
from housekeeping.models import Source
from housekeeping.services import set_room_status
from room_bookings.filters import BookingQuery, filtered_bookings
from room_bookings.models import BookingChange, Overbooking, RoomBooking
from room_bookings.selectors import available_rooms, booking_read
from room_bookings.services.approval import approve_booking, confirm_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.create import create_booking
from room_bookings.services.edit import edit_booking
from room_bookings.services.overstay import extend_stay
from room_bookings.services.room_assignment import assign_room, unassign_room
from room_bookings.services.room_move import move_room
from room_bookings.services.undo_check_in import undo_check_in
from rooms.models import Room
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, booking_in
from tests.refusals import check_deferred_constraints
from tests.room_bookings.small_hotel import NOW, SmallHotel, assert_invariants_hold, day, refusal_of


def coming(small_hotel: SmallHotel, first: int = 0, last: int = 2, **fields: Any) -> RoomBooking:
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": small_hotel.room_type}
    return BookingFactory(**hotel_fields | {"check_in": day(first), "check_out": day(last)} | fields)


def guest(small_hotel: SmallHotel, first: int = 0, last: int = 2) -> RoomBooking:
    """A guest in house in room 101."""
    return booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(first), check_out=day(last))


def better(small_hotel: SmallHotel) -> Room:
    """The only room of a better type."""
    return NewRoomFactory(hotel=small_hotel.hotel, room_number=201)


def create(small_hotel: SmallHotel, **fields: Any) -> RoomBooking:
    stay = {"room_type_id": small_hotel.room_type.pk, "check_in": day(0), "check_out": day(2)} | fields
    name = {"primary_first_name": "Grace", "primary_last_name": "Hopper"}
    return create_booking(hotel=small_hotel.hotel, staff=small_hotel.agent, **name | stay)


def overbookings() -> list[tuple[Any, ...]]:
    fields = ("room_type", "booking", "room", "first_night", "free_from", "rooms", "staff", "reason")
    return list(Overbooking.objects.order_by("pk").values_list(*fields))


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [approve_booking, confirm_booking])
def test_of_three_requests_for_the_only_room_one_is_confirmed(step, small_hotel):
    room = better(small_hotel)
    requests = [booking_in("PENDING_APPROVAL", hotel=small_hotel.hotel, room_type=room.room_type) for _ in range(3)]
    assert step(booking=requests[0], staff=small_hotel.agent).status == "CONFIRMED"
    for request in requests[1:]:
        refusal = refusal_of(partial(step, booking=request, staff=small_hotel.manager))
        assert (refusal.code, refusal.status) == ("NO_AVAILABILITY", 409)
        assert refusal.details == {"room_type_id": room.room_type_id, "date": day(0).isoformat()}
    assert_invariants_hold()


@pytest.mark.parametrize("step", [approve_booking, confirm_booking])
def test_hotel_that_allows_overbooking_confirms_all_three(step, small_hotel):
    """When overbooking is switched off, the oversold nights are recorded with the number of excess rooms."""
    small_hotel.hotel.allow_overbooking = True
    small_hotel.hotel.save()
    room = better(small_hotel)
    requests = [booking_in("PENDING_APPROVAL", hotel=small_hotel.hotel, room_type=room.room_type) for _ in range(3)]
    for request in requests:
        assert step(booking=request, staff=small_hotel.agent).status == "CONFIRMED"
    coming(small_hotel, 0, 1, room_type=room.room_type)
    assert overbookings() == []
    update_access_config(hotel=small_hotel.hotel, allow_overbooking=False)
    kind = room.room_type_id
    assert overbookings() == [
        (kind, None, None, day(0), day(1), 3, None, ""),
        (kind, None, None, day(1), day(2), 2, None, ""),
    ]
    assert_invariants_hold()


def test_another_hotel_s_overbookings_are_not_recorded(small_hotel):
    elsewhere = HotelFactory(allow_overbooking=True)
    BookingFactory(hotel=elsewhere, check_in=day(1))
    small_hotel.hotel.allow_overbooking = True
    small_hotel.hotel.save()
    update_access_config(hotel=small_hotel.hotel, allow_overbooking=False)
    assert overbookings() == []


# --- overselling by a supervisor --------------------------------------------------------------------------------------


def sold_out(small_hotel: SmallHotel, first: int, last: int) -> None:
    for _ in small_hotel.rooms:
        coming(small_hotel, first, last)


def extension(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    stay = guest(small_hotel, 0, 1)
    sold_out(small_hotel, 1, 2)
    return partial(extend_stay, booking=stay, add_nights=1)


def later_departure(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    stay = guest(small_hotel, 0, 1)
    sold_out(small_hotel, 1, 2)
    return partial(edit_booking, booking=stay, check_out=day(2))


def more_nights(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    stay = coming(small_hotel, 0, 1)
    sold_out(small_hotel, 1, 2)
    return partial(edit_booking, booking=stay, check_out=day(2))


def early_check_in(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    stay = coming(small_hotel, 1, 3, assigned_room=small_hotel.rooms[0])
    sold_out(small_hotel, 0, 1)
    return partial(check_in, booking=stay)


def move(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    stay, room = guest(small_hotel, 0, 1), better(small_hotel)
    coming(small_hotel, 0, 2, room_type=room.room_type)

    def moved(*, staff: Any, override_reason: str = "noise") -> RoomBooking:
        return move_room(booking=stay, to_room_id=room.pk, staff=staff, reason=override_reason)

    return moved


def upgrade(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    stay, room = coming(small_hotel, 0, 1), better(small_hotel)
    coming(small_hotel, 0, 2, room_type=room.room_type)
    return partial(assign_room, booking=stay, room_id=room.pk, upgrade=True)


def another_type(small_hotel: SmallHotel) -> Callable[..., RoomBooking]:
    stay, room = coming(small_hotel, 0, 1), better(small_hotel)
    coming(small_hotel, 0, 2, room_type=room.room_type)
    return partial(edit_booking, booking=stay, room_type_id=room.room_type_id)


def upgraded(small_hotel: SmallHotel) -> RoomBooking:
    stay = coming(small_hotel, 0, 1, assigned_room=better(small_hotel))
    sold_out(small_hotel, 0, 1)
    return stay


# The action, its error code, the first oversold night, and whether the better type is oversold.
BEYOND: dict[str, tuple[Callable[[SmallHotel], Callable[..., RoomBooking]], str, int, bool]] = {
    "extend": (extension, "NO_AVAILABILITY", 1, False),
    "later departure": (later_departure, "NO_AVAILABILITY", 1, False),
    "more nights": (more_nights, "NO_AVAILABILITY", 1, False),
    "early check-in": (early_check_in, "CHECKIN_WRONG_DATE", 0, False),  # the same reason overrides both
    "move": (move, "NO_AVAILABILITY", 0, True),
    "unassign": (
        lambda small_hotel: partial(unassign_room, booking=upgraded(small_hotel)),
        "NO_AVAILABILITY",
        0,
        False,
    ),
    "assign": (
        lambda small_hotel: partial(assign_room, booking=upgraded(small_hotel), room_id=small_hotel.rooms[0].pk),
        "NO_AVAILABILITY",
        0,
        False,
    ),
    "upgrade": (upgrade, "NO_AVAILABILITY", 0, True),
    "another type": (another_type, "NO_AVAILABILITY", 0, True),
    "check-in elsewhere": (
        lambda small_hotel: partial(check_in, booking=upgraded(small_hotel), room_id=small_hotel.rooms[0].pk),
        "NO_AVAILABILITY",
        0,
        False,
    ),
}


@pytest.mark.parametrize("name", BEYOND)
def test_only_a_supervisor_with_a_reason_can_oversell(name, small_hotel):
    prepare, code, night, in_better = BEYOND[name]
    step = prepare(small_hotel)
    assert_invariants_hold()
    for more in ({}, {"override_reason": " "}, {"override_reason": "a regular guest"}):
        refusal = refusal_of(partial(step, staff=small_hotel.agent, **more))
        assert (refusal.code, refusal.status) == (code, 409)
    done = step(staff=small_hotel.manager, override_reason="a regular guest")
    kind = Room.objects.get(room_number=201).room_type_id if in_better else small_hotel.room_type.pk
    assert overbookings() == [
        (kind, done.pk, None, day(night), day(night + 1), 1, small_hotel.manager.pk, "a regular guest"),
    ]
    [*_, change] = BookingChange.objects.filter(booking=done).order_by("pk")
    assert (change.staff, "a regular guest" in change.reason) == (small_hotel.manager, True)
    assert_invariants_hold()


@pytest.mark.parametrize("name", ["extend", "early check-in", "move", "unassign"])
def test_nothing_is_recorded_if_a_room_is_free(name, small_hotel):
    step = BEYOND[name][0](small_hotel)
    RoomBooking.objects.filter(status="CONFIRMED", assigned_room=None).exclude(
        pk=getattr(step, "keywords", {}).get("booking", RoomBooking()).pk
    ).update(status="NO_SHOW")
    step(staff=small_hotel.manager, override_reason="a regular guest")
    assert overbookings() == []
    assert_invariants_hold()


def test_refused_extension_names_alternative_rooms(small_hotel):
    step, room = extension(small_hotel), better(small_hotel)
    refusal = refusal_of(partial(step, staff=small_hotel.agent))
    # Not room 102: it is free, but of the sold-out type.
    assert refusal.extra == {
        "conflicts": [],
        "suggested_rooms": [{"room_id": room.pk, "room_number": 201, "room_type": room.room_type.name}],
    }


def test_stay_can_be_shortened_in_a_sold_out_hotel(small_hotel):
    stay = guest(small_hotel, 0, 3)
    sold_out(small_hotel, 1, 3)
    assert edit_booking(booking=stay, staff=small_hotel.agent, check_out=day(1)).check_out == day(1)


# --- the room type of a night -----------------------------------------------------------------------------------------


def test_upgrade_frees_the_booked_type_and_uses_the_better(small_hotel):
    stay, room = guest(small_hotel), better(small_hotel)
    coming(small_hotel)
    assert refusal_of(lambda: create(small_hotel)).code == "NO_AVAILABILITY"
    move_room(booking=stay, to_room_id=room.pk, staff=small_hotel.agent, reason="noise")
    assert refusal_of(lambda: create(small_hotel, room_type_id=room.room_type_id)).code == "NO_AVAILABILITY"
    assert create(small_hotel).status == "CONFIRMED"
    assert_invariants_hold()


def test_undone_upgrade_needs_a_room_of_the_booked_type_again(small_hotel):
    stay, room = guest(small_hotel), better(small_hotel)
    move_room(booking=stay, to_room_id=room.pk, staff=small_hotel.agent, reason="noise")
    undo_check_in(booking=stay, staff=small_hotel.manager, reason="wrong guest")
    assert refusal_of(lambda: create(small_hotel, room_type_id=room.room_type_id)).code == "NO_AVAILABILITY"
    sold_out(small_hotel, 0, 2)
    assert refusal_of(lambda: unassign_room(booking=stay, staff=small_hotel.agent)).code == "NO_AVAILABILITY"
    assert [offered.room_number for offered in available_rooms(booking_read(stay.pk))] == []
    RoomBooking.objects.filter(assigned_room=None).first().delete()
    assert unassign_room(booking=stay, staff=small_hotel.agent).assigned_room is None
    assert_invariants_hold()


def test_a_room_out_of_order_is_not_sold(small_hotel):
    set_room_status(room=small_hotel.rooms[0], to_status="OUT_OF_ORDER", source=Source.SYSTEM)
    create(small_hotel)
    assert refusal_of(lambda: create(small_hotel)).code == "NO_AVAILABILITY"
    assert refusal_of(lambda: create(small_hotel, check_in=day(300), check_out=day(301), adults=9)).status == 409


def test_room_is_held_during_a_card_charge(small_hotel):
    room = better(small_hotel)
    hotel_fields = {"hotel": small_hotel.hotel, "room_type": room.room_type}
    booking_in("PENDING_APPROVAL", card="CAPTURING", payment_requested_at=NOW, **hotel_fields)
    assert refusal_of(lambda: create(small_hotel, room_type_id=room.room_type_id)).code == "NO_AVAILABILITY"
    request = booking_in("PENDING_APPROVAL", **hotel_fields)
    assert refusal_of(lambda: approve_booking(booking=request, staff=small_hotel.agent)).code == "NO_AVAILABILITY"


# --- nights that a stay holds -----------------------------------------------------------------------------------------


@pytest.fixture
def early(small_hotel: SmallHotel) -> RoomBooking:
    """A guest booked from the day after tomorrow, in room 101 since today."""
    stay = coming(small_hotel, 2, 4, assigned_room=small_hotel.rooms[0])
    return check_in(booking=stay, staff=small_hotel.manager, override_reason="a regular guest")


def test_early_guests_room_is_not_assignable(small_hotel, early):
    tomorrow = coming(small_hotel, 1, 2)
    assert [room.room_number for room in available_rooms(booking_read(tomorrow.pk))] == [102]
    for room_id in (None, small_hotel.rooms[0].pk):
        step = partial(check_in, room_id=room_id) if room_id is None else partial(assign_room, room_id=room_id)
        refusal_of(partial(step, booking=tomorrow, staff=small_hotel.agent))
    refusal = refusal_of(
        lambda: assign_room(booking=tomorrow, room_id=small_hotel.rooms[0].pk, staff=small_hotel.agent)
    )
    assert refusal.code == "ROOM_OVERLAP_CONFLICT"
    assert [conflict["booking_id"] for conflict in refusal.details["conflicts"]] == [early.booking_id]


def test_database_protects_an_early_guests_room(small_hotel, early):
    assert early.arrived_on == day(0)
    tomorrow = coming(small_hotel, 1, 2)
    with pytest.raises(IntegrityError) as broken, transaction.atomic():
        RoomBooking.objects.filter(pk=tomorrow.pk).update(assigned_room=small_hotel.rooms[0])
    assert broken.value.__cause__.diag.constraint_name == "room_claim_no_overlap"
    check_deferred_constraints()


def test_early_guests_nights_count_as_sold(small_hotel, early):
    create(small_hotel)
    assert refusal_of(lambda: create(small_hotel)).code == "NO_AVAILABILITY"
    undo_check_in(booking=early, staff=small_hotel.manager, reason="wrong guest")
    assert RoomBooking.objects.get(pk=early.pk).arrived_on is None
    assert create(small_hotel).status == "CONFIRMED"
    assert_invariants_hold()


@pytest.mark.parametrize("assigned", [True, False])
def test_early_hours_of_the_departure_day_hold_no_further_night(assigned, small_hotel):
    """At 3 a.m. the business date is the departure day: the next night is free for others."""
    late = coming(small_hotel, 0, 1, assigned_room=small_hotel.rooms[0])
    coming(small_hotel, 1, 3, assigned_room=small_hotel.rooms[0] if assigned else None)
    coming(small_hotel, 1, 3)
    with clock.set_to(NOW + timedelta(hours=12)):
        refusal = refusal_of(lambda: check_in(booking=late, staff=small_hotel.agent))
        assert refusal.code == "CHECKIN_TOO_LATE"
        came = check_in(booking=late, staff=small_hotel.manager, override_reason="the flight was late")
        assert (came.status, came.arrived_on) == ("IN_HOUSE", day(1))
        assert overbookings() == []
        assert_invariants_hold()


def test_list_of_stays_has_early_and_overdue_guests_on_their_days_in_house(small_hotel, early):
    overdue = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[1], check_in=day(-4), check_out=day(-2))
    coming(small_hotel, 2, 3)

    def listed(first: int | None, last: int | None) -> set[str]:
        query = {"date_mode": "stay"}
        query |= {"date_from": str(day(first))} if first is not None else {}
        query |= {"date_to": str(day(last))} if last is not None else {}
        form = BookingQuery(data=query)
        form.is_valid(raise_exception=True)
        return set(filtered_bookings(small_hotel.hotel, form.validated_data).values_list("booking_id", flat=True))

    assert listed(0, 0) == {early.booking_id, overdue.booking_id}
    assert listed(-1, -1) == {overdue.booking_id}
    assert listed(1, 1) == {early.booking_id}
    assert listed(None, -1) == {overdue.booking_id}
