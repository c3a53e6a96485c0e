"""The booker, if not the guest: set by the front desk, shown in the detail, found by the search."""

from typing import Any

import pytest

from room_bookings.models import BookingChange, RoomBooking
from tests.conftest import url
from tests.factories import BookingFactory
from tests.http import assert_error, nothing_written
from tests.room_bookings.small_hotel import day

pytestmark = pytest.mark.django_db

NOBODY = {"first_name": "", "last_name": "", "email": "", "phone": ""}
BABBAGE = {"first_name": "Charles", "last_name": "Babbage", "email": "office@example.com", "phone": "+44 20 7946 1111"}
ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": ""}
# The request's fields, and what the detail then shows.
BOOKERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"type": "COMPANY", "company": "Engines Ltd"}, {"type": "COMPANY", "company": "Engines Ltd", **NOBODY}),
    (
        {"type": "COMPANY", "company": "Engines Ltd", **BABBAGE},
        {"type": "COMPANY", "company": "Engines Ltd", **BABBAGE},
    ),
    ({"type": "THIRD_PARTY", **BABBAGE}, {"type": "THIRD_PARTY", "company": "", **BABBAGE}),
    (
        {"type": "THIRD_PARTY", "first_name": "C", "last_name": "B", "company": "Travels", "email": None},
        {"type": "THIRD_PARTY", "company": "Travels", **NOBODY, "first_name": "C", "last_name": "B"},
    ),
    ({"type": "SELF"}, {"type": "SELF", "company": "", **ADA}),
    ({"type": "SELF", "company": "Engines Ltd", **BABBAGE}, {"type": "SELF", "company": "Engines Ltd", **ADA}),
]
NO_BOOKERS: list[tuple[Any, str]] = [
    ({"type": "COMPANY"}, "A booker of type COMPANY requires company."),
    ({"type": "COMPANY", "company": " ", **BABBAGE}, "A booker of type COMPANY requires company."),
    ({"type": "THIRD_PARTY"}, "A booker of type THIRD_PARTY requires first_name and last_name."),
    ({"type": "THIRD_PARTY", "first_name": "C"}, "A booker of type THIRD_PARTY requires last_name."),
    ({"type": "AGENT"}, 'type: "AGENT" is not a valid choice.'),
    ({"type": None}, "type: This field may not be null."),
    ({"type": "SELF", "email": "nobody"}, "email: Enter a valid email address."),
    ({"type": "SELF", "company": "x" * 201}, "company: Ensure this field has no more than 200 characters."),
    ("Charles", "non_field_errors: Invalid data. Expected a dictionary, but got str."),
    ([], "non_field_errors: Invalid data. Expected a dictionary, but got list."),
]
bad = pytest.mark.parametrize(("booker", "message"), NO_BOOKERS, ids=[str(sent)[:30] for sent, _ in NO_BOOKERS])


def request(small_hotel: Any, **fields: Any) -> dict[str, Any]:
    """The body of a new booking."""
    stay = {"room_type_id": small_hotel.room_type.pk, "check_in": day(1), "check_out": day(2)}
    ada = {"primary_first_name": "Ada", "primary_last_name": "Lovelace", "primary_email": "ada@example.com"}
    return {**stay, **ada, **fields}


@pytest.fixture
def client(small_hotel, api):
    return api(small_hotel.agent)


@pytest.fixture
def path(small_hotel) -> str:
    """The URL of a booking that Ada made herself."""
    booking = BookingFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, primary_email="ada@example.com")
    return url(small_hotel.agent, f"room-bookings/{booking.booking_id}/")


@pytest.mark.parametrize(("sent", "shown"), BOOKERS)
def test_new_booking_has_a_booker(small_hotel, client, sent, shown):
    answer = client.post(url(small_hotel.agent, "room-bookings/"), request(small_hotel, booker=sent))
    assert answer.status_code == 201, answer.content
    assert answer.json()["booker"] == answer.json()["party"]["booker"] == shown
    # A guest who books for themselves is not stored twice.
    assert (RoomBooking.objects.get().booker_email == "") == (sent.get("type") == "SELF" or not sent.get("email"))


@pytest.mark.parametrize("fields", [{}, {"booker": None}])
def test_a_guest_who_books_needs_no_booker(small_hotel, client, fields):
    answer = client.post(url(small_hotel.agent, "room-bookings/"), request(small_hotel, **fields))
    assert answer.json()["booker"] == {"type": "SELF", "company": "", **ADA}


@bad
def test_invalid_booker_is_refused_with_the_field_named(small_hotel, client, path, booker, message):
    with nothing_written():
        for answer in (
            client.post(url(small_hotel.agent, "room-bookings/"), request(small_hotel, booker=booker)),
            client.patch(path, {"booker": booker}),
        ):
            assert assert_error(answer, 400, "VALIDATION_ERROR")["details"] == {"booker": [message]}


@pytest.mark.parametrize("booker", [{}, {"company": "Engines Ltd"}])
def test_a_booker_has_a_type(small_hotel, client, path, booker):
    with nothing_written():
        assert_error(client.post(url(small_hotel.agent, "room-bookings/"), request(small_hotel, booker=booker)), 400)
        body = assert_error(client.patch(path, {"booker": booker, "adults": 2}), 400, "VALIDATION_ERROR")
    assert list(body["details"]) == ["booker"]


@pytest.mark.parametrize(("sent", "shown"), BOOKERS)
def test_new_booker_replaces_the_old_one(client, path, sent, shown):
    assert client.patch(path, {"booker": {"type": "COMPANY", "company": "Before", **BABBAGE}}).status_code == 200
    answer = client.patch(path, {"booker": sent})
    assert answer.status_code == 200, answer.content
    assert answer.json()["booker"] == client.get(path).json()["booker"] == shown
    with nothing_written():
        assert client.patch(path, {"booker": sent}).status_code == 200
        assert client.patch(path, {"booker": shown}).status_code == 200
        assert client.patch(path, {"booker": None}).status_code == 200
        assert client.patch(path, {"booker_company": "Somebody"}).status_code == 200  # a name of no meaning


def test_history_names_the_changed_fields(client, path):
    client.patch(path, {"booker": {"type": "COMPANY", "company": "Engines Ltd"}})
    assert BookingChange.objects.get().reason == "booker_company, booker_type"


def test_a_booking_that_is_over_keeps_its_booker(small_hotel, client):
    booking = BookingFactory(hotel=small_hotel.hotel, room_type=small_hotel.room_type, status="NO_SHOW")
    path = url(small_hotel.agent, f"room-bookings/{booking.booking_id}/")
    with nothing_written():
        answer = client.patch(path, {"booker": {"type": "COMPANY", "company": "Engines Ltd"}})
        assert_error(answer, 409, "BOOKING_NOT_ELIGIBLE")


def test_a_booker_is_found_by_the_search(small_hotel, client, path):
    client.patch(path, {"booker": {"type": "COMPANY", "company": "Bürger & Söhne", "phone": "+49 30 901820"}})
    for text, number in (("burger", 1), ("030 901820", 1), ("babbage", 0)):
        found = client.get(url(small_hotel.agent, "room-bookings/"), {"q": text}).json()
        assert found["count"] == number, text
