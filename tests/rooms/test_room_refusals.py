"""The guards of room and room type management list every refusal, in order, and lock nothing in pre-flight."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from common import clock
from common.errors import Blocker, Lift
from common.guards import examine
from housekeeping.models import Source
from housekeeping.services import set_room_status
from room_bookings.models import BookingAction, BookingChange, BookingStatus
from room_bookings.room_demand import RoomDemand
from rooms.models import Room, RoomType
from rooms.selectors import in_use, room_list
from rooms.services import (
    RoomInUse,
    RoomTypeInUse,
    delete_room,
    delete_room_type,
    deletion_refusals,
    type_creation_refusals,
    type_deletion_refusals,
    type_update_refusals,
    update_refusals,
)
from tests.factories import BookingFactory, NewRoomFactory, RoomTypeFactory, TaskFactory, in_house
from tests.room_bookings.small_hotel import NOW, TODAY

pytestmark = pytest.mark.usefixtures("afternoon")
WITHOUT_LOCK = partial(RoomDemand, lock=False)


@pytest.fixture
def afternoon(db):
    with clock.set_to(NOW):
        yield


def codes(guard):
    return [refusal.code for refusal in examine(guard).refusals]


def needed_room(hotel):
    """A room, as pre-flight reads it, that an arrival of tomorrow has."""
    room = NewRoomFactory(hotel=hotel)
    tomorrow = TODAY + timedelta(days=1)
    arrival = BookingFactory(
        hotel=hotel,
        room_type=room.room_type,
        assigned_room=room,
        check_in=tomorrow,
        check_out=tomorrow + timedelta(days=1),
    )
    return room, arrival


def test_a_room_that_cannot_be_changed_for_every_reason(hotel, statements):
    room, arrival = needed_room(hotel)
    stay = in_house(room, adults=2, check_in=TODAY, check_out=TODAY + timedelta(days=1))
    single = RoomTypeFactory(hotel=hotel, max_occupancy=1)
    change = {"is_active": False, "room_type": single, "room_number": 7}
    [found] = room_list(hotel)
    with statements() as made:
        occupied, needed, too_large, taken = examine(
            update_refusals(found, change, demand_of=WITHOUT_LOCK, number_is_taken=True)
        ).refusals
    assert not [sql for sql in made.sql() if "FOR " in sql]
    assert (occupied.code, occupied.blocker) == (
        "ROOM_OCCUPIED",
        Blocker("booking", stay.booking_id, f"booking {stay.booking_id}"),
    )
    assert (needed.code, needed.lift) == ("ROOM_NEEDED", Lift(("bookings.supervise",), "force"))
    assert needed.blocker == Blocker("booking", arrival.booking_id, f"booking {arrival.booking_id}")
    assert (too_large.code, too_large.blocker) == ("ROOM_CAPACITY_EXCEEDED", occupied.blocker)
    assert (taken.code, taken.details) == ("ROOM_NUMBER_TAKEN", {"room_number": ["Room 7 already exists."]})


def test_a_room_that_cannot_be_deleted_for_every_reason(hotel):
    needed_room(hotel)
    [room] = room_list(hotel)
    used, needed = examine(deletion_refusals(room, WITHOUT_LOCK([room]), is_in_use=True)).refusals
    assert (used.code, needed.code, needed.lift) == ("ROOM_IN_USE", "ROOM_NEEDED", None)


def test_a_room_type_that_is_refused_for_every_reason(hotel):
    room, arrival = needed_room(hotel)
    arrival.adults = 2
    arrival.save()
    cheap = {"starting_price_from": Decimal("0.001"), "currency": "EUR"}
    names = ["name", "code"]
    taken = ["ROOM_TYPE_TAKEN", "ROOM_TYPE_TAKEN"]
    created = type_creation_refusals(RoomType(hotel=hotel, **cheap), taken=names)
    assert codes(created) == ["VALIDATION_ERROR", *taken]
    changed = type_update_refusals(room.room_type, cheap | {"max_occupancy": 1}, taken=names)
    assert codes(changed) == ["ROOM_CAPACITY_EXCEEDED", "VALIDATION_ERROR", *taken]
    assert codes(type_deletion_refusals(is_in_use=True)) == ["ROOM_TYPE_IN_USE"]


def of_the_past(room):
    """A booking that the room was taken from."""
    booking = BookingFactory(hotel=room.hotel, room_type=RoomTypeFactory(hotel=room.hotel))
    status = BookingStatus.CONFIRMED
    BookingChange.objects.create(
        hotel=room.hotel,
        booking=booking,
        action=BookingAction.UNASSIGNED,
        from_status=status,
        to_status=status,
        from_room=room,
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda room: set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM),
        lambda room: TaskFactory(room=room),
        lambda room: BookingFactory(hotel=room.hotel, room_type=room.room_type, assigned_room=room),
        of_the_past,
    ],
    ids=["history", "task", "booking", "history of a booking"],
)
def test_what_is_in_use_is_known_before_it_is_deleted(hotel, use):
    room, room_type = NewRoomFactory(hotel=hotel), RoomTypeFactory(hotel=hotel)
    assert not Room.objects.filter(in_use(Room)).exists()
    assert RoomType.objects.exclude(in_use(RoomType)).get() == room_type
    use(room)
    BookingFactory(hotel=hotel, room_type=room_type)
    assert Room.objects.filter(in_use(Room)).get() == room
    assert not RoomType.objects.filter(hotel=hotel).exclude(in_use(RoomType)).exists()
    with pytest.raises(RoomInUse):
        delete_room(room=room)
    with pytest.raises(RoomTypeInUse):
        delete_room_type(room_type=room_type)
