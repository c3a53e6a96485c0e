"""Authorisation for private channels: staff for their hotel's channels by right, guests for their booking's channel."""

import hashlib
import hmac
import json
from datetime import time, timedelta

import pytest
import requests
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken
from rest_framework.test import APIClient

from common import clock
from hotel import calendar, rights
from housekeeping.services import set_room_status
from notifications import transport
from room_bookings.models import RoomBooking, hash_token
from room_bookings.selectors import booking_of_guest
from room_bookings.services.check_in import check_in
from room_bookings.services.create import create_booking
from room_bookings.services.room_assignment import assign_room
from tests.conftest import url
from tests.factories import PASSWORD, BookingFactory, HotelFactory, NewRoomFactory, StaffFactory, room_in
from tests.http import DocumentedClient, assert_error, document

pytestmark = pytest.mark.django_db

SOCKET = "123.456"
FORM = f"socket_id={SOCKET}&channel_name=private-grand.rooms"
PATHS = ["/pusher/auth", "/pusher/auth/", "/api/pusher/auth", "/api/pusher/auth/"]


def ask(client, channel: str, path: str = "/pusher/auth", **more):
    return client.post(path, {"socket_id": SOCKET, "channel_name": channel, **more}, format="json")


def signature(channel: str) -> str:
    """As in Pusher's documentation: HMAC-SHA256 of socket and channel with the secret (here: ``secret``)."""
    return "key:" + hmac.new(b"secret", f"{SOCKET}:{channel}".encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("path", PATHS)
def test_staff_can_subscribe_to_their_hotels_rooms_channel(path, api, housekeeper):
    answer = ask(api(housekeeper), "private-grand.rooms", path)
    assert (answer.status_code, answer.json()) == (200, {"auth": signature("private-grand.rooms")})


def test_form_data_as_sent_by_pusher_js(api, housekeeper):
    answer = api(housekeeper).post("/pusher/auth", FORM, content_type="application/x-www-form-urlencoded")
    assert answer.json() == {"auth": signature("private-grand.rooms")}


@pytest.mark.parametrize(
    ("member", "channel", "status"),
    [
        ("housekeeper", "private-grand.rooms", 200),
        ("supervisor", "private-grand.rooms", 200),
        ("agent", "private-grand.rooms", 200),
        ("manager", "private-grand.rooms", 200),
        ("housekeeper", "private-grand.room-bookings", 403),
        ("supervisor", "private-grand.room-bookings", 403),
        ("agent", "private-grand.room-bookings", 200),
        ("manager", "private-grand.room-bookings", 200),
        ("manager", "private-other.rooms", 403),
        ("manager", "private-grand.everything", 403),
        ("manager", "private-grand", 403),
        ("manager", "grand.rooms", 403),
        ("manager", "presence-grand.rooms", 403),
        ("manager", "private-guest-booking.BK-2026-0001", 403),
        ("manager", "private-grand.rooms\n", 200),  # a field is stripped of white space, the signed value is not
    ],
)
def test_channels_depend_on_rights(member, channel, status, api, request):
    HotelFactory(slug="other")
    answer = ask(api(request.getfixturevalue(member)), channel)
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"auth": signature(channel.strip())}
    else:
        assert answer.json()["code"] == "CHANNEL_REFUSED"


def expired_client(staff) -> APIClient:
    with clock.set_to(clock.now() - timedelta(days=15)):
        instance, token = AuthToken.objects.create(user=staff.user)
    instance.expiry = clock.now() - timedelta(days=1)
    instance.save()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def test_unauthenticated_clients_are_refused(api, housekeeper):
    garbled = APIClient()
    garbled.credentials(HTTP_AUTHORIZATION="Token \xff")
    deactivated = api(StaffFactory(hotel=housekeeper.hotel, is_active=False))
    for client in (APIClient(), garbled, expired_client(housekeeper), deactivated):
        answer = ask(client, "private-grand.rooms")
        assert (answer.status_code, answer.json()["code"]) == (403, "CHANNEL_REFUSED")


def test_session_authentication(manager):
    client = Client()
    client.force_login(manager.user)
    answer = client.post("/pusher/auth", FORM, content_type="application/x-www-form-urlencoded")
    assert answer.json() == {"auth": signature("private-grand.rooms")}


# --- guests -----------------------------------------------------------------------------------------------------------


def new_booking(hotel=None) -> RoomBooking:
    """A booking created by staff, with its guest's token."""
    room = NewRoomFactory(hotel=hotel or HotelFactory())
    today = calendar.business_date(room.hotel)
    guest = {"primary_first_name": "Ada", "primary_last_name": "Lovelace"}
    stay = {"check_in": today, "check_out": today + timedelta(days=2)}
    return create_booking(hotel=room.hotel, staff=None, room_type_id=room.room_type_id, **stay, **guest)


def guest_client(token: str) -> DocumentedClient:
    return with_header(f"GuestToken {token}")


def with_header(header: str) -> DocumentedClient:
    client = DocumentedClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=header)
    return client


def own_channel(booking: RoomBooking) -> str:
    return f"private-guest-booking.{booking.booking_id}"


@pytest.mark.parametrize("path", PATHS)
def test_guest_can_subscribe_to_their_channel(path, hotel):
    booking = new_booking(hotel)
    answer = ask(guest_client(booking.guest_token), own_channel(booking), path)
    assert (answer.status_code, answer.json()) == (200, {"auth": signature(own_channel(booking))})


def test_guest_can_subscribe_with_form_data(hotel):
    booking = new_booking(hotel)
    form = f"socket_id={SOCKET}&channel_name={own_channel(booking)}"
    answer = guest_client(booking.guest_token).post(
        "/pusher/auth", form, content_type="application/x-www-form-urlencoded"
    )
    assert answer.json() == {"auth": signature(own_channel(booking))}


def test_guest_is_refused_on_other_channels(hotel):
    mine, neighbour, elsewhere = new_booking(hotel), new_booking(hotel), new_booking()
    client = guest_client(mine.guest_token)
    for channel in (
        own_channel(neighbour),
        own_channel(elsewhere),
        "private-grand.rooms",
        "private-grand.room-bookings",
        "private-grand.guest-bookings",
        f"private-{elsewhere.hotel.slug}.rooms",
        "grand.rooms",
        f"guest-booking.{mine.booking_id}",
        f"presence-guest-booking.{mine.booking_id}",
        f"private-encrypted-guest-booking.{mine.booking_id}",
        own_channel(mine).lower(),
        f"{own_channel(mine)}0",
        own_channel(mine)[:-1],
        f"private-guest-booking.{mine.pk}",
        "private-guest-booking.",
        "private-guest-booking.*",
    ):
        assert_error(ask(client, channel), 403, "CHANNEL_REFUSED")
    assert ask(client, own_channel(mine)).status_code == 200


@pytest.mark.parametrize("status", ["PENDING_APPROVAL", "COMPLETED", "CANCELLED", "EXPIRED", "CANCELLED_DRAFT"])
def test_guest_can_subscribe_in_every_status_of_the_booking(status):
    """The guest may know how it ended, and the channel carries nothing else."""
    now = clock.now()
    ended = {
        "COMPLETED": {"checked_in_at": now, "checked_out_at": now},
        "CANCELLED": {"cancelled_at": now},
        "EXPIRED": {"expired_at": now},
    }
    booking = BookingFactory(status=status, guest_token_hash=hash_token("the-token"), **ended.get(status, {}))
    assert ask(guest_client("the-token"), own_channel(booking)).status_code == 200


def test_guest_authorisation_takes_one_statement(hotel, statements):
    booking = new_booking(hotel)
    client = guest_client(booking.guest_token)
    with statements() as made:
        assert ask(client, own_channel(booking)).status_code == 200
    assert len(made) == 1, made.sql()


# {token} stands for a valid token.
@pytest.mark.parametrize(
    "header",
    [
        "GuestToken",
        "GuestToken ",
        "GuestToken {token} {token}",
        "GuestToken  {token}",
        "GuestToken\t{token}",
        "guesttoken {token}",
        "GUESTTOKEN {token}",
        "GuestToken {token}x",
        "GuestToken x{token}",
        "GuestToken {hash}",
        "GuestToken {swapped}",
        "GuestToken \xff\xfe",
        "GuestToken {token}\xe9",
        "GuestToken {token}\x00",
        "GuestToken \x00",
        "GuestToken None",
        "GuestToken e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",  # the hash of an empty string
        "GuestToken " + "x" * 8000,
        "Token {token}",
        "Bearer {token}",
        "{token}",
    ],
)
def test_authorization_header_without_a_guest_token(header, hotel):
    booking = new_booking(hotel)
    BookingFactory(hotel=hotel, guest_token_hash="")
    token = booking.guest_token
    filled = header.format(token=token, hash=booking.guest_token_hash, swapped=token.swapcase())
    for channel in (own_channel(booking), "private-grand.rooms"):
        assert_error(ask(with_header(filled), channel), 403, "CHANNEL_REFUSED")
    assert ask(guest_client(token), own_channel(booking)).status_code == 200


def test_booking_without_a_token_has_no_guest_access():
    BookingFactory(guest_token_hash="")
    assert booking_of_guest("") is None


def test_guest_token_is_refused_on_staff_endpoints(hotel, manager):
    token = new_booking(hotel).guest_token
    for path in ("me/", "room-bookings/", "turnover/rooms/"):
        assert_error(guest_client(token).get(url(manager, path)), 401, "NOT_AUTHENTICATED")


def test_guest_token_and_staff_session_in_one_browser(hotel, manager):
    """The header decides; the session of a staff member signed in in the same browser adds no rights."""
    booking = new_booking(hotel)
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager.user)
    guest = {"HTTP_AUTHORIZATION": f"GuestToken {booking.guest_token}"}

    def status(channel: str, **headers: str) -> int:
        form = f"socket_id={SOCKET}&channel_name={channel}"
        answer = client.post("/pusher/auth", form, content_type="application/x-www-form-urlencoded", **headers)
        return answer.status_code

    assert status(own_channel(booking), **guest) == 200
    assert status("private-grand.rooms", **guest) == 403
    assert status("private-grand.rooms", HTTP_AUTHORIZATION="GuestToken wrong") == 403
    assert status(own_channel(booking)) == 403


@pytest.mark.parametrize("role", [rights.HOTEL_MANAGER, rights.FRONT_DESK_AGENT])
def test_staff_cannot_subscribe_to_a_guests_channel(role, api, hotel):
    assert_error(
        ask(api(StaffFactory(hotel=hotel, role=role)), own_channel(new_booking(hotel))), 403, "CHANNEL_REFUSED"
    )


def test_schema_documents_the_guest_token():
    assert document()["components"]["securitySchemes"]["guestToken"]["name"] == "Authorization"
    security = [
        (path, operation["security"])
        for path, methods in document()["paths"].items()
        for operation in methods.values()
        if {"guestToken": []} in operation.get("security", [])
    ]
    assert security == [("/api/pusher/auth/", [{"guestToken": []}, {"token": []}, {"session": []}, {}])]


# --- malformed requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [{}, {"socket_id": "1.2"}, {"socket_id": "one.two", "channel_name": "private-grand.rooms"}, [], "text", None],
)
def test_malformed_requests(body, api, housekeeper):
    answer = api(housekeeper).post("/pusher/auth", body, format="json")
    assert answer.status_code == 400
    assert answer.json()["code"] in ("VALIDATION_ERROR", "MALFORMED_REQUEST")


def test_without_a_pusher_account(api, housekeeper, settings):
    settings.PUSHER_KEY = ""
    transport.client.cache_clear()
    try:
        assert ask(api(housekeeper), "private-grand.rooms").json()["code"] == "REALTIME_NOT_CONFIGURED"
    finally:
        transport.client.cache_clear()


@pytest.mark.django_db(transaction=True)
def test_from_sign_in_to_a_live_event(server, live_server, relay_to):
    """Over real HTTP: sign in, subscribe through the auth endpoint, change a room, receive the event."""
    housekeeper = StaffFactory(hotel=HotelFactory(slug="seaside"), user__username="maeve")
    room = room_in("CHECKOUT_DIRTY", hotel=housekeeper.hotel)
    relay_to(server.port)
    login = requests.post(
        live_server.url + reverse("login"), json={"username": "maeve", "password": PASSWORD}, timeout=10
    )
    headers = {"Authorization": f"Token {login.json()['token']}"}
    with server.pysher(auth_endpoint=live_server.url + "/pusher/auth", auth_endpoint_headers=headers) as client:
        client.subscribe("private-seaside.rooms")
        changed = requests.post(
            live_server.url + url(housekeeper, f"rooms/{room.pk}/status/"),
            json={"to_status": "CLEANED_UNINSPECTED"},
            headers=headers,
            timeout=10,
        )
        assert changed.status_code == 200
        received = [client.next_envelope()]
        while received[-1]["payload"]["room_status"] != "CLEANED_UNINSPECTED":
            received.append(client.next_envelope())
    assert received[-1]["payload"]["changed_by_name"] == housekeeper.name
    assert received[-1]["payload"]["status_version"] == changed.json()["room"]["status_version"]


@pytest.mark.django_db(transaction=True)
def test_guest_receives_only_their_own_events(server, live_server, relay_to, settings):
    """Over real HTTP and a real socket, with the public channels on."""
    settings.REALTIME_PUBLIC_CHANNELS = True
    any_hour = {"early_checkin_from": time(0, 0), "late_arrival_cutoff": time(0, 0)}
    hotel = HotelFactory(slug="harbour", phone="+353 1 222 3333", **any_hour)
    agent = StaffFactory(hotel=hotel, role=rights.FRONT_DESK_AGENT)
    mine, neighbour = new_booking(hotel), new_booking(hotel)
    for booking in (mine, neighbour):
        room = NewRoomFactory(hotel=hotel, room_type=booking.room_type)
        assign_room(booking=booking, room_id=room.pk, staff=agent)
    relay_to(server.port)
    headers = {"Authorization": f"GuestToken {mine.guest_token}"}
    with server.pysher(auth_endpoint=live_server.url + "/pusher/auth", auth_endpoint_headers=headers) as client:
        answered = client.subscribe(own_channel(mine))
        assert answered[:2] == (own_channel(mine), "pusher_internal:subscription_succeeded")
        check_in(booking=neighbour, staff=agent)
        check_in(booking=mine, staff=agent)
        set_room_status(room=room_in("READY_FOR_GUEST", hotel=hotel), to_status="CHECKOUT_DIRTY", source="SYSTEM")
        received = []
        while not received or received[-1][1] != "booking_checked_in":
            channel, event, data = client.next()
            received.append((channel, event, json.loads(data)))
        # Everything sent before this arrives before it.
        server.library().trigger(own_channel(mine), "that_was_all", "{}")
        assert client.next()[1] == "that_was_all"
    assert {channel for channel, _, _ in received} == {own_channel(mine)}
    assert {envelope["payload"]["booking_id"] for _, _, envelope in received} == {mine.booking_id}
    envelope = received[-1][2]
    assert (envelope["meta"]["seq"], envelope["meta"]["scope"]) == (None, {"booking_id": mine.booking_id})
    assert {name: envelope["payload"][name] for name in ("status", "hotel_phone")} == {
        "status": "IN_HOUSE",
        "hotel_phone": "+353 1 222 3333",
    }
