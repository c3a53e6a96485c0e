"""Requests with an ``Idempotency-Key`` are executed once, however often they are sent (docs/api.md, Conventions)."""

from datetime import timedelta

import pytest

from common import clock
from hotel import rights
from hotel.models import IdempotentAnswer
from operations.periodic import tick
from room_bookings.models import BookingExtension, RoomBooking
from tests.conftest import token_client, url
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory, StaffFactory, booking_in
from tests.hotel.booking_api import NOW, booking_url, day
from tests.http import assert_error, nothing_written
from tests.races import overlap


def new_booking(room_type, **fields):
    """The body of a new booking."""
    return {
        "room_type_id": room_type.pk,
        "check_in": str(day(1)),
        "check_out": str(day(3)),
        "primary_first_name": "Grace",
        "primary_last_name": "Hopper",
        "total_amount": "190.00",
        "party": [{"first_name": "Vincent", "last_name": "Hopper"}],
    } | fields


@pytest.fixture
def stay(book, rooms) -> RoomBooking:
    return book("IN_HOUSE", assigned_room=rooms[0])


@pytest.mark.usefixtures("afternoon")
def test_a_retry_gets_the_first_response_without_the_guest_token(agent_client, agent, standard, rooms):
    path = url(agent, "room-bookings/")
    first = agent_client.post(path, new_booking(standard), HTTP_IDEMPOTENCY_KEY="a key")
    RoomBooking.objects.update(adults=3)  # the stored response is returned, regardless of later changes
    with nothing_written():
        # The same request in another notation.
        repeat = agent_client.post(
            path,
            new_booking(standard, room_type_id=str(standard.pk), total_amount=190, colour="blue"),
            HTTP_IDEMPOTENCY_KEY="a key",
        )
    assert (first.status_code, repeat.status_code) == (201, 201)
    assert repeat["ETag"] == first["ETag"] == '"0"'
    token = first.json()["guest_token"]
    assert len(token) == 32
    assert repeat.json() == first.json() | {"guest_token": None}
    assert token not in str(IdempotentAnswer.objects.get().body)
    assert RoomBooking.objects.count() == 1


@pytest.mark.usefixtures("afternoon")
def test_without_a_key_every_request_is_a_new_one(agent_client, agent, standard, rooms):
    for key in ({}, {"HTTP_IDEMPOTENCY_KEY": ""}, {"HTTP_IDEMPOTENCY_KEY": "  "}):
        assert agent_client.post(url(agent, "room-bookings/"), new_booking(standard), **key).status_code == 201
    assert RoomBooking.objects.count() == 3
    assert not IdempotentAnswer.objects.exists()


@pytest.mark.usefixtures("afternoon")
def test_another_body_or_path_with_the_same_key_is_422(agent_client, agent, standard, stay):
    path = url(agent, "room-bookings/")
    assert agent_client.post(path, new_booking(standard), HTTP_IDEMPOTENCY_KEY="k").status_code == 201
    with nothing_written():
        for where, body in (
            (path, new_booking(standard, adults=2)),
            (path, new_booking(standard, party=[])),
            (booking_url(agent, stay, "overstay/extend/"), {"add_nights": 1}),
        ):
            assert_error(agent_client.post(where, body, HTTP_IDEMPOTENCY_KEY="k"), 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.usefixtures("afternoon")
def test_an_extension_is_made_once(agent_client, agent, stay):
    path = booking_url(agent, stay, "overstay/extend/")
    first = agent_client.post(path, {"add_nights": 2}, HTTP_IDEMPOTENCY_KEY="k")
    assert first.status_code == 200
    with nothing_written():
        repeat = agent_client.post(path, {"add_nights": "2", "new_checkout_date": None}, HTTP_IDEMPOTENCY_KEY="k")
    assert repeat.json() == first.json()
    assert repeat["ETag"] == first["ETag"] == '"1"'
    assert agent_client.post(path, {"add_nights": 2}, HTTP_IDEMPOTENCY_KEY="k2").json()["booking"]["check_out"] == str(
        day(6)
    )
    assert BookingExtension.objects.count() == 2


@pytest.mark.usefixtures("afternoon")
def test_a_refusal_does_not_use_up_the_key(agent_client, agent, stay, book, rooms):
    book(assigned_room=rooms[0], check_in=day(3), check_out=day(5))
    path = booking_url(agent, stay, "overstay/extend/")
    with nothing_written():
        assert_error(agent_client.post(path, {"add_nights": 2}, HTTP_IDEMPOTENCY_KEY="k"), 409, "ROOM_OVERLAP_CONFLICT")
        assert_error(agent_client.post(path, {"add_nights": 99}, HTTP_IDEMPOTENCY_KEY="k"), 400, "VALIDATION_ERROR")
    answer = agent_client.post(path, {"add_nights": 1}, HTTP_IDEMPOTENCY_KEY="k")
    assert answer.json()["booking"]["check_out"] == str(day(3))


@pytest.mark.usefixtures("afternoon")
def test_keys_are_per_user(api, agent, manager, standard, rooms):
    for staff in (agent, manager):
        answer = api(staff).post(url(staff, "room-bookings/"), new_booking(standard), HTTP_IDEMPOTENCY_KEY="k")
        assert answer.json()["guest_token"]
    assert RoomBooking.objects.count() == 2


@pytest.mark.usefixtures("afternoon")
@pytest.mark.parametrize(("key", "status"), [("x" * 255, 201), ("x" * 256, 400), ("a\x00b", 400), ("a\nb", 400)])
def test_a_key_has_at_most_255_printable_characters(agent_client, agent, standard, rooms, key, status):
    answer = agent_client.post(url(agent, "room-bookings/"), new_booking(standard), HTTP_IDEMPOTENCY_KEY=key)
    assert answer.status_code == status
    assert RoomBooking.objects.count() == (status == 201)


@pytest.mark.usefixtures("afternoon")
def test_a_key_expires_after_a_day(agent_client, agent, standard, rooms):
    path = url(agent, "room-bookings/")
    assert agent_client.post(path, new_booking(standard), HTTP_IDEMPOTENCY_KEY="k").status_code == 201
    for later, bookings in ((timedelta(hours=23), 1), (timedelta(hours=25), 2)):
        with clock.set_to(NOW + later):
            tick()
            assert agent_client.post(path, new_booking(standard), HTTP_IDEMPOTENCY_KEY="k").status_code == 201
        assert RoomBooking.objects.count() == bookings


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["booking", "extension"])
def test_concurrent_requests_with_one_key_are_executed_once(what):
    """The second waits until the first has committed, and returns its response."""
    with clock.set_to(NOW):
        hotel = HotelFactory(slug="grand")
        staff = StaffFactory(hotel=hotel, role=rights.FRONT_DESK_AGENT)
        room_type = RoomTypeFactory(hotel=hotel)
        room = NewRoomFactory(hotel=hotel, room_type=room_type)
        if what == "booking":
            NewRoomFactory(hotel=hotel, room_type=room_type)
            path, body, made = url(staff, "room-bookings/"), new_booking(room_type), RoomBooking
        else:
            stay = booking_in("IN_HOUSE", assigned_room=room, check_in=day(0), check_out=day(2))
            path, body, made = booking_url(staff, stay, "overstay/extend/"), {"add_nights": 2}, BookingExtension

    def send():
        with clock.set_to(NOW):  # each thread has its own clock
            return token_client(staff).post(path, body, HTTP_IDEMPOTENCY_KEY="k")

    first, [second, third] = overlap(send, send, send)
    assert [answer.status_code for answer in (first, second, third)] == [201 if what == "booking" else 200] * 3
    repeated = first.json() | ({"guest_token": None} if what == "booking" else {})
    assert second.json() == third.json() == repeated
    assert made.objects.count() == 1
    assert IdempotentAnswer.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_without_a_key_are_executed_twice():
    """The twin of the test above."""
    with clock.set_to(NOW):
        hotel = HotelFactory(slug="grand")
        staff = StaffFactory(hotel=hotel, role=rights.FRONT_DESK_AGENT)
        room_type = RoomTypeFactory(hotel=hotel)
        NewRoomFactory.create_batch(2, hotel=hotel, room_type=room_type)

    def send():
        with clock.set_to(NOW):
            return token_client(staff).post(url(staff, "room-bookings/"), new_booking(room_type))

    first, [second] = overlap(send, send)
    assert (first.status_code, second.status_code) == (201, 201)
    assert sorted(RoomBooking.objects.values_list("booking_id", flat=True)) == ["BK-2025-0001", "BK-2025-0002"]
