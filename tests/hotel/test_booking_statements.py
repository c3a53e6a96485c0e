"""The number of SQL statements of front desk requests, including sign-in: the same for one booking and for many."""

import pytest

from housekeeping.models import Source
from housekeeping.services import set_room_statuses
from room_bookings.models import BookingGuest, BookingStatus, Overbooking, RoomBooking
from room_bookings.services.overstay import flag_overstays
from rooms.models import Room, RoomStatus
from tests.conftest import url
from tests.factories import NewRoomFactory, RoomTypeFactory
from tests.hotel.booking_api import NOW, booking_url, day

pytestmark = pytest.mark.usefixtures("afternoon")

SIZES = pytest.mark.parametrize("size", [1, 3, 100])


def fill(standard, size: int, *, status: str, first: int, in_rooms: bool = True) -> list[RoomBooking]:
    """Add bookings with two companions each, in separate rooms numbered from ``first``."""
    hotel = standard.hotel
    Room.objects.bulk_create(Room(hotel=hotel, room_type=standard, room_number=first + n) for n in range(size))
    rooms = list(Room.objects.filter(room_number__gte=first).order_by("pk")[:size])
    in_house = status == BookingStatus.IN_HOUSE
    bookings = RoomBooking.objects.bulk_create(
        RoomBooking(
            hotel=hotel,
            booking_id=f"BK-2001-{room.room_number}",
            status=status,
            room_type=standard,
            assigned_room=room if in_rooms else None,
            adults=2,
            check_in=day(0),
            check_out=day(2),
            checked_in_at=NOW if in_house or status == BookingStatus.COMPLETED else None,
            checked_out_at=NOW if status == BookingStatus.COMPLETED else None,
            cancelled_at=NOW if status == BookingStatus.CANCELLED else None,
            primary_first_name="Ada",
            primary_last_name="Lovelace",
            primary_email="ada@example.com",
        )
        for room in rooms
    )
    BookingGuest.objects.bulk_create(
        BookingGuest(booking=booking, first_name="C", last_name="B") for booking in bookings for _ in range(2)
    )
    if in_house:
        set_room_statuses(
            changes=[(room, RoomStatus.OCCUPIED) for room in rooms], source=Source.SYSTEM, all_or_nothing=True
        )
    return bookings


@SIZES
@pytest.mark.parametrize(("path", "made"), [("", 2), ("party/", 2), ("available-rooms/", 4), ("overstay/status/", 3)])
def test_reading_one_booking(agent_client, agent, standard, statements, size, path, made):
    booking = fill(standard, size, status="CONFIRMED", first=101)[-1]
    with statements() as counted:
        answer = agent_client.get(booking_url(agent, booking, path))
    assert answer.status_code == 200
    assert len(counted) == made, counted.sql()


@SIZES
@pytest.mark.parametrize(("query", "made"), [("", 4), ("?page_size=100&q=ada", 4), ("?include_counts=0", 4)])
def test_reading_the_list(agent_client, agent, standard, statements, size, query, made):
    fill(standard, size, status="CONFIRMED", first=101)
    with statements() as counted:
        answer = agent_client.get(url(agent, f"room-bookings/{query}"))
    assert answer.json()["count"] == size
    assert len(counted) == made, counted.sql()


@SIZES
@pytest.mark.parametrize(
    ("status", "step", "body", "made"),
    [
        ("CONFIRMED", "", {"check_out": str(day(1)), "adults": 3}, 12),
        ("CONFIRMED", "mark-seen/", None, 6),
        ("CONFIRMED", "party/companions/", {"companions": [{"first_name": "C", "last_name": "D"}] * 3}, 10),
        ("PENDING_APPROVAL", "confirm/", None, 11),
        ("PENDING_APPROVAL", "approve/", None, 11),
        ("PENDING_APPROVAL", "decline/", {"reason_note": "full"}, 10),
        ("CONFIRMED", "cancel/", {"reason": "ill"}, 10),
        ("CANCELLED", "reinstate/", {"reason": "mistake"}, 11),
        ("CONFIRMED", "safe-assign-room/", "to", 11),
        ("CONFIRMED", "unassign-room/", None, 7),
        ("CONFIRMED", "check-in/", None, 14),
        ("CONFIRMED", "check-in/", "to", 16),
        ("IN_HOUSE", "undo-check-in/", {"reason": "mistake"}, 14),
        ("IN_HOUSE", "check-out/", None, 14),
        ("COMPLETED", "undo-check-out/", {"reason": "mistake"}, 20),
        ("IN_HOUSE", "move-room/", "to", 18),
        ("IN_HOUSE", "overstay/extend/", {"add_nights": 2}, 16),
    ],
)
def test_booking_actions(api, office_manager, standard, statements, size, status, step, body, made):
    in_rooms = status in ("CONFIRMED", "IN_HOUSE", "COMPLETED")
    booking = fill(standard, size, status=status, first=101, in_rooms=in_rooms)[-1]
    free = NewRoomFactory(hotel=standard.hotel, room_type=standard, room_number=999)
    if body == "to":
        body = {"to_room_id" if step == "move-room/" else "room_id": free.pk, "reason": "noise"}
    client = api(office_manager)
    send = {"": client.patch, "party/companions/": client.put}.get(step, client.post)
    with statements() as counted:
        answer = send(booking_url(office_manager, booking, step), body)
    assert answer.status_code == 200, answer.content
    assert len(counted) == made, counted.sql()


def test_creating_a_booking(agent_client, agent, standard, statements):
    NewRoomFactory(hotel=standard.hotel, room_type=standard)
    body = {
        "room_type_id": standard.pk,
        "check_in": str(day(0)),
        "check_out": str(day(1)),
        "primary_first_name": "Grace",
        "primary_last_name": "Hopper",
        "primary_email": "grace@example.com",
        "party": [{"first_name": "Vincent", "last_name": "Hopper"}],
    }
    with statements() as counted:
        answer = agent_client.post(url(agent, "room-bookings/"), body, HTTP_IDEMPOTENCY_KEY="a")
    assert answer.status_code == 201
    assert len(counted) == 14, counted.sql()


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize(
    ("path", "status", "made"), [("rooms/checkin/", "CONFIRMED", 14), ("rooms/checkout/", "IN_HOUSE", 14)]
)
def test_bulk_check_in_and_check_out(agent_client, agent, standard, statements, size, path, status, made):
    bookings = fill(standard, size, status=status, first=101)
    with statements() as counted:
        answer = agent_client.post(url(agent, path), {"room_ids": [booking.assigned_room_id for booking in bookings]})
    assert answer.status_code == 200, answer.content
    [references] = [value for key, value in answer.json()["results"].items() if key.startswith("checked_")]
    assert len(references) == size
    assert len(counted) == made, counted.sql()


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize(("path", "made"), [("check-out/", 16), ("rooms/checkout/", 16)])
def test_overdue_guests_with_a_telephone_take_two_more_statements(
    agent_client, agent, standard, statements, size, path, made
):
    bookings = fill(standard, size, status="IN_HOUSE", first=101)
    RoomBooking.objects.update(check_in=day(-2), check_out=day(-1))
    Room.objects.update(guest_fcm_token="a device")
    assert flag_overstays(standard.hotel) == size
    room_ids = [booking.assigned_room_id for booking in bookings]
    where = booking_url(agent, bookings[-1], path) if path == "check-out/" else url(agent, path)
    with statements() as counted:
        answer = agent_client.post(where, {"room_ids": room_ids})
    assert answer.status_code == 200, answer.content
    assert len(counted) == made, counted.sql()


@SIZES
@pytest.mark.parametrize("force", [True, False])
def test_deactivating_a_room_that_bookings_need(api, manager, standard, statements, size, force):
    """Its arrivals, every other one booked for another type, and other bookings of its type."""
    room, *_ = (NewRoomFactory(hotel=standard.hotel, room_type=standard, room_number=101 + n) for n in range(2))
    other = NewRoomFactory(hotel=standard.hotel).room_type
    hotel, name = standard.hotel, {"primary_first_name": "Ada", "primary_last_name": "Lovelace"}
    arrivals = [
        RoomBooking(
            hotel=hotel,
            booking_id=f"BK-2001-{place}-{night}",
            room_type=other if has_room and night % 2 == 0 else standard,
            assigned_room=room if has_room else None,
            check_in=day(night),
            check_out=day(night + 1),
            **name,
        )
        for night in range(size)
        for place, has_room in enumerate((True, False))
    ]
    arrivals += [
        RoomBooking(
            hotel=hotel,
            booking_id=f"BK-2002-{night}",
            room_type=other,
            check_in=day(night),
            check_out=day(night + 1),
            **name,
        )
        for night in range(size)
    ]
    RoomBooking.objects.bulk_create(arrivals)
    client = api(manager)
    with statements() as counted:
        answer = client.post(
            url(manager, f"rooms/{room.pk}/status/"), {"to_status": "OUT_OF_ORDER", "note": "leak", "force": force}
        )
    assert answer.status_code == (200 if force else 409)
    # Two of them are the block and its history; one more if several bookings are written together.
    made = (22 if size == 1 else 23) if force else 7
    assert len(counted) == made, counted.sql()
    assert Overbooking.objects.count() == (size if force else 0)  # alternating between the other type and this one


@pytest.mark.parametrize("size", [1, 3])
def test_a_move_into_a_room_of_another_type(api, office_manager, standard, statements, size):
    booking = fill(standard, size, status="IN_HOUSE", first=101, in_rooms=True)[-1]
    suite = NewRoomFactory(hotel=standard.hotel, room_type=RoomTypeFactory(hotel=standard.hotel), room_number=999)
    client, body = api(office_manager), {"to_room_id": suite.pk, "reason": "noise"}
    with statements() as counted:
        assert client.post(booking_url(office_manager, booking, "move-room/"), body).status_code == 200
    assert len(counted) == 20, counted.sql()
