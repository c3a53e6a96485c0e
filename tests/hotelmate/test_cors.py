"""Requests from other origins: preflight, and the CORS headers on responses of every status."""

import pytest
from rest_framework.test import APIClient

from hotel.views import MeViewSet
from tests.conftest import url
from tests.factories import HotelFactory
from tests.http import assert_error

ORIGIN = "http://localhost:3000"
FROM_APP = {"HTTP_ORIGIN": ORIGIN}


@pytest.fixture
def browser() -> APIClient:
    return APIClient(raise_request_exception=False)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["/api/staff/login/", "/api/staff/hotel/grand/rooms/1/status/", "/api/staff/hotel/grand/feed/", "/pusher/auth"],
)
def test_a_preflight_allows_the_clients_headers(browser, db, method, path):
    answer = browser.options(
        path,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD=method,
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-type,x-hotel-id,x-hotel-slug,idempotency-key,if-match",
        **FROM_APP,
    )
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert method in answer["Access-Control-Allow-Methods"].split(", ")
    allowed = {name.strip().lower() for name in answer["Access-Control-Allow-Headers"].split(",")}
    assert {
        "authorization",
        "content-type",
        "x-hotel-id",
        "x-hotel-slug",
        "idempotency-key",
        "if-match",
    } <= allowed


def test_a_preflight_from_an_unknown_origin_is_not_allowed(browser, db):
    answer = browser.options(
        "/api/staff/login/", HTTP_ORIGIN="http://evil.example", HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST"
    )
    assert "Access-Control-Allow-Origin" not in answer


def test_responses_expose_etag_and_retry_after(api, manager):
    answer = api(manager).get(url(manager, "me/"), **FROM_APP)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert answer["Access-Control-Expose-Headers"] == "ETag, Retry-After"
    assert "Origin" in answer["Vary"].title()


def test_error_responses_have_the_headers(api, browser, manager):
    HotelFactory(slug="other")
    client = api(manager)
    refusals = {
        400: client.generic("POST", "/api/staff/login/", b"{", content_type="application/json", **FROM_APP),
        401: browser.get(url(manager, "me/"), **FROM_APP),
        403: client.get("/api/staff/hotel/other/me/", **FROM_APP),
        404: client.get("/api/staff/hotel/grand/feed/", **FROM_APP),
        405: client.delete(url(manager, "me/"), **FROM_APP),
        413: client.post("/api/staff/login/", {"username": "x" * 1_100_000}, **FROM_APP),
    }
    for status, answer in refusals.items():
        assert_error(answer, status)
        assert answer["Access-Control-Allow-Origin"] == ORIGIN, status


def test_a_throttled_response_has_the_headers(browser, db):
    answers = [
        browser.post("/api/staff/login/", {"username": "a", "password": "b"}, "json", **FROM_APP) for _ in range(11)
    ]
    assert answers[-1].status_code == 429
    assert answers[-1]["Access-Control-Allow-Origin"] == ORIGIN


def test_a_500_has_the_error_body_and_the_headers(api, manager, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(MeViewSet, "me", broken)
    answer = api(manager).get(url(manager, "me/"), **FROM_APP)
    body = assert_error(answer, 500, "SERVER_ERROR")
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert "secret" not in str(body)
