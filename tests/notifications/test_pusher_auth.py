"""Who is let into a private channel: staff into their own hotel's, by their rights; everybody else is refused."""

import hashlib
import hmac
from datetime import timedelta

import pytest
import requests
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken
from rest_framework.test import APIClient

from common import clock
from notifications import transport
from tests.conftest import url
from tests.factories import PASSWORD, HotelFactory, StaffFactory, room_in

pytestmark = pytest.mark.django_db

SOCKET = "123.456"
FORM = f"socket_id={SOCKET}&channel_name=private-grand.rooms"
PATHS = ["/pusher/auth", "/pusher/auth/", "/api/pusher/auth", "/api/pusher/auth/"]


def ask(client, channel: str, path: str = "/pusher/auth", **more):
    return client.post(path, {"socket_id": SOCKET, "channel_name": channel, **more}, format="json")


def signature(channel: str) -> str:
    """As Pusher's documentation says: HMAC-SHA256 of socket and channel with the secret (here: ``secret``)."""
    return "key:" + hmac.new(b"secret", f"{SOCKET}:{channel}".encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("path", PATHS)
def test_the_own_rooms_channel(path, api, housekeeper):
    answer = ask(api(housekeeper), "private-grand.rooms", path)
    assert (answer.status_code, answer.json()) == (200, {"auth": signature("private-grand.rooms")})


def test_a_form_as_pusher_js_posts_it(api, housekeeper):
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
        ("manager", "private-grand.rooms\n", 200),  # a field's white space is trimmed, what is signed is not
    ],
)
def test_by_rights(member, channel, status, api, request):
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


def test_strangers_are_refused(api, housekeeper):
    garbled = APIClient()
    garbled.credentials(HTTP_AUTHORIZATION="Token \xff")
    deactivated = api(StaffFactory(hotel=housekeeper.hotel, is_active=False))
    for client in (APIClient(), garbled, expired_client(housekeeper), deactivated):
        answer = ask(client, "private-grand.rooms")
        assert (answer.status_code, answer.json()["code"]) == (403, "CHANNEL_REFUSED")


def test_a_browser_with_a_session(manager):
    client = Client()
    client.force_login(manager.user)
    answer = client.post("/pusher/auth", FORM, content_type="application/x-www-form-urlencoded")
    assert answer.json() == {"auth": signature("private-grand.rooms")}


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
    """Over real HTTP: sign in, subscribe through the sign-in of channels, change a room, hear of it."""
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
        heard = [client.next_envelope()]
        while heard[-1]["payload"]["room_status"] != "CLEANED_UNINSPECTED":
            heard.append(client.next_envelope())
    assert heard[-1]["payload"]["changed_by_name"] == housekeeper.name
    assert heard[-1]["payload"]["status_version"] == changed.json()["room"]["status_version"]
