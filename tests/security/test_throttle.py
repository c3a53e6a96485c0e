"""The sign-in throttle cannot be bypassed, and does not affect a busy front desk."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from hotel import throttles
from tests.factories import PASSWORD, StaffFactory
from tests.http import DocumentedClient

API, BOARD, ADMIN = "/api/staff/login/", "/board/sign-in/", "/admin/login/"
ALLOWED = 10  # attempts per minute for one name from one IP address
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def passes(number: int, name: str = "manager", password: str = "wrong", **headers) -> bool:
    """Whether the attempt was not throttled; attempts alternate between the three sign-in endpoints."""
    client = Client(raise_request_exception=False)
    door = (API, BOARD, ADMIN)[number % 3]
    kind = {"content_type": JSON} if door == API else {}
    answer = client.post(door, {"username": name, "password": password}, **kind, **headers)
    assert answer.status_code in (200, 302, 401, 429), answer.content
    return answer.status_code != 429 and b"Too many attempts" not in answer.content


def counted(tries) -> list[bool]:
    return [True] * ALLOWED + [False] * (len(tries) - ALLOWED)


def test_three_sign_in_endpoints_share_one_count(manager):
    tries = [passes(number) for number in range(ALLOWED + 3)]
    assert tries == counted(tries)


@pytest.mark.parametrize("spelt", ["MANAGER", "Manager", " manager ", "\tmanager", "ｍａｎａｇｅｒ"])
def test_spellings_of_a_name_share_one_count(manager, spelt):
    for number in range(ALLOWED):
        passes(number)
    assert [passes(door, spelt, PASSWORD) for door in range(3)] == [False] * 3


@pytest.mark.parametrize(
    ("name", "spelt"),
    [("zoé", "zoe\u0301"), ("zoé", "ZOE\u0301"), ("kiosk", "KıOSK"), ("kiosk", "\u212aiosk"), ("moss", "moſſ")],
)
def test_every_form_that_signs_in_as_a_name_counts_as_that_name(hotel, name, spelt):
    """At every sign-in endpoint; the last three have letters whose capitals are those of the name."""
    StaffFactory(hotel=hotel, user__username=name, user__is_staff=True)
    assert [passes(door, spelt, PASSWORD) for door in range(3)] == [True] * 3
    for number in range(ALLOWED - 3):
        passes(number, name)
    assert [passes(door, spelt, PASSWORD) for door in range(3)] == [False] * 3


@pytest.mark.parametrize("proxies", [0, 1])
def test_no_header_fakes_another_address(manager, settings, proxies):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}

    def forged(number: int) -> dict[str, str]:
        made_up = f"10.0.0.{number}"
        headers = dict.fromkeys(
            ("HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_CLIENT_IP", "HTTP_X_CLUSTER_CLIENT_IP"), made_up
        )
        # The client's value, and the one that the proxy adds.
        return headers | {"HTTP_X_FORWARDED_FOR": f"{made_up}, 203.0.113.7" if proxies else made_up}

    tries = [passes(number, **forged(number)) for number in range(ALLOWED + 3)]
    assert tries == counted(tries)
    if proxies:
        assert passes(0, HTTP_X_FORWARDED_FOR="203.0.113.8")


def test_ipv6_addresses_of_one_64_network_share_one_count(manager):
    tries = [passes(number, REMOTE_ADDR=f"2001:db8:0:1::{number:x}") for number in range(ALLOWED + 3)]
    assert tries == counted(tries)
    assert passes(0, REMOTE_ADDR="2001:db8:0:2::1")
    assert not passes(0, REMOTE_ADDR="2001:0DB8:0000:0001:ffff::")


def test_ipv4_address_mapped_to_ipv6_is_the_same(manager):
    tries = [passes(number, REMOTE_ADDR=("192.0.2.1", "::ffff:192.0.2.1")[number % 2]) for number in range(ALLOWED + 2)]
    assert tries == counted(tries)


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete"])
@pytest.mark.parametrize("door", [API, BOARD, ADMIN])
def test_no_other_method_checks_a_password(manager, door, method):
    client = Client(raise_request_exception=False)
    query = f"username=manager&password={PASSWORD}"
    body, kind = (f'{{"username": "manager", "password": "{PASSWORD}"}}', JSON) if door == API else (query, FORM)
    answer = client.generic(method.upper(), f"{door}?{query}", body, content_type=kind)
    assert answer.status_code in (200, 403, 405)
    assert "sessionid" not in client.cookies
    assert b"token" not in answer.content.replace(b"csrfmiddlewaretoken", b"")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_api_counts_every_content_type(manager, content_type):
    client = DocumentedClient(raise_request_exception=False)
    body = '{"username": "manager", "password": "wrong"}'
    answers = [client.generic("POST", API, body, content_type=content_type) for _ in range(ALLOWED + 1)]
    assert [answer.status_code for answer in answers] == [401] * ALLOWED + [429]


def test_many_names_from_one_address_are_throttled_at_every_endpoint(db, monkeypatch):
    monkeypatch.setitem(throttles._AddressThrottle.THROTTLE_RATES, "login-address", "6/min")
    assert [passes(number, f"guess-{number}") for number in range(9)] == [True] * 6 + [False] * 3


@pytest.mark.django_db(transaction=True)
def test_concurrent_attempts_are_all_counted(request):
    """Without a lock, all of them together would count as one."""

    def at_once(number: int) -> bool:
        try:
            return passes(0, REMOTE_ADDR="192.0.2.9")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        tries = list(pool.map(at_once, range(3 * ALLOWED)))
    assert sum(tries) == ALLOWED


def test_forty_staff_behind_one_address_can_sign_in_at_once(hotel, manager):
    """Each mistypes once; a signed-in user is never counted again."""
    for number, member in enumerate(StaffFactory(hotel=hotel) for _ in range(40)):
        assert passes(number, member.user.username, "mistyped")
        assert passes(number, member.user.username, PASSWORD)
