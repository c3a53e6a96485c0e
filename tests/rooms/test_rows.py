"""A list of rooms shows each room exactly as a single read does, although its query differs."""

import pytest

from hotel.models import Hotel
from housekeeping.services import set_room_status
from rooms.models import Room, RoomStatus
from rooms.rows import RoomRow, rooms_in_service
from rooms.selectors import room_list
from rooms.snapshots import room_snapshot
from tests.factories import HotelFactory, room_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("guests", [False, True])
def test_rows_equal_single_rooms(hotel, housekeeper, manager, guests):
    for status in RoomStatus.values:
        room_in(status, hotel=hotel)
    cleaned = room_in("CLEANED_UNINSPECTED", hotel=hotel)
    set_room_status(room=cleaned, to_status="CHECKOUT_DIRTY", staff=manager)
    set_room_status(room=cleaned, to_status="CLEANED_UNINSPECTED", staff=housekeeper, note="extra towels")
    set_room_status(room=cleaned, to_status="READY_FOR_GUEST", staff=manager)
    room_in("CHECKOUT_DIRTY", hotel=hotel, fault=True)
    rooms = list(room_list(hotel).order_by("room_number"))
    assert {room.cleaned_by_staff for room in rooms} >= {None, housekeeper}
    shown = [room_snapshot(room, guests=guests) for room in rooms]
    assert [room_snapshot(row, guests=guests) for row in rooms_in_service(hotel)] == shown


def test_rooms_out_of_service_and_of_other_hotels_are_left_out(hotel):
    first, gone = room_in("READY_FOR_GUEST", hotel=hotel), room_in("READY_FOR_GUEST", hotel=hotel)
    room_in("READY_FOR_GUEST", hotel=HotelFactory())
    Room.objects.filter(pk=gone.pk).update(is_active=False)
    assert [row.pk for row in rooms_in_service(hotel)] == [first.pk]


def test_any_number_of_rows_takes_one_statement(hotel, statements):
    counts = []
    for _ in range(2):
        room_in("OCCUPIED", hotel=hotel)
        fresh = Hotel.objects.get(pk=hotel.pk)
        with statements() as made:
            for row in rooms_in_service(fresh):
                room_snapshot(row, guests=True)
        counts.append(len(made))
    assert counts == [1, 1]


def test_bookable_follows_the_same_rule_in_rows():
    assert RoomRow.is_bookable is Room.is_bookable
