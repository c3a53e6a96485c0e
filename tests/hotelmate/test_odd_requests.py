"""Unusual requests, which must not cause errors or be misread."""

import http.client
import json
import re
import socket

import pytest
from django.test import Client
from rest_framework.test import APIClient

from rooms.models import Room
from tests.conftest import token_client, url
from tests.endpoints import ENDPOINTS, Endpoint, endpoint_targets
from tests.factories import HotelFactory, StaffFactory, room_in
from tests.http import assert_error


@pytest.mark.django_db(transaction=True)
def test_a_chunked_body_is_not_taken_for_none(live_server):
    """Django treats a body without a length as no body, and no body means that the inspection passed."""
    supervisor = StaffFactory(hotel=HotelFactory(slug="grand"), role="housekeeping supervisor")
    room = room_in("CLEANED_UNINSPECTED", hotel=supervisor.hotel)
    token = token_client(supervisor)._credentials["HTTP_AUTHORIZATION"]
    # Sent in one piece: the response does not wait for the body, and a later write would find the connection closed.
    request = (
        f"POST {url(supervisor, f'rooms/{room.room_number}/inspect/')} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        '11\r\n{"passed": false}\r\n0\r\n\r\n'
    )
    with socket.create_connection((live_server.thread.host, live_server.thread.port), timeout=10) as connection:
        connection.sendall(request.encode())
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            assert answer.status == 400
            assert json.loads(answer.read())["code"] == "LENGTH_REQUIRED"
    assert Room.objects.get(pk=room.pk).room_status == "CLEANED_UNINSPECTED"


@pytest.mark.django_db
@pytest.mark.parametrize("route", sorted({endpoint.route for endpoint in ENDPOINTS}))
def test_options_is_for_preflights_only(route, manager):
    client = APIClient(raise_request_exception=False)  # not the documented one: nothing documents this
    client.force_login(manager.user)
    answer = client.options(url(manager, re.sub(r"<\w+:\w+>", "1", route)))
    assert_error(answer, 405, "METHOD_NOT_ALLOWED")


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["options", "post", "delete"])
@pytest.mark.parametrize("path", ["/api/docs/", "/api/schema/"])
def test_the_schema_endpoints_are_read_only(path, method):
    answer = getattr(Client(raise_request_exception=False), method)(path)
    assert answer.status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("body", ["[1]", '"abc"', "null", '{"csrfmiddlewaretoken": 5}', "a=b"])
def test_a_body_that_contradicts_its_form_content_type(body, content_type, manager):
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(manager.user)
    answer = client.post(url(manager, "room-management/"), body, content_type=content_type)
    assert answer.status_code in (400, 403)
    assert answer.json()["code"] in ("MALFORMED_REQUEST", "PERMISSION_DENIED")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "accept", "begins"),
    [
        ("?format=json", "*/*", b"{"),
        ("?format=yaml", "*/*", b"openapi:"),
        ("", "*/*", b"openapi:"),
        ("", "application/json", b"{"),
    ],
)
def test_the_schema_is_returned_in_the_requested_format(query, accept, begins):
    answer = Client().get(f"/api/schema/{query}", HTTP_ACCEPT=accept)
    assert answer.status_code == 200
    assert answer.content.startswith(begins)


@pytest.mark.django_db
def test_an_unknown_schema_format_is_404():
    assert Client(raise_request_exception=False).get("/api/schema/?format=xml").status_code == 404


# WSGI decodes header bytes as Latin-1.
ODD = [
    "\xff\xfe",
    "\x80",
    "\xc3\xa9",
    "\x01\x1f\x7f",
    "x" * 4000,
    "\t",
    ",;=\"'\\",
    "%00",
    "-1",
    "9" * 400,
    "[]",
    "\xed\xa0\x80",
]
HEADERS = ["X_HOTEL_ID", "X_HOTEL_SLUG", "IDEMPOTENCY_KEY", "IF_MATCH", "IF_NONE_MATCH", "IF_MODIFIED_SINCE", "RANGE",
           "ACCEPT", "ACCEPT_LANGUAGE", "ACCEPT_ENCODING", "ORIGIN", "REFERER", "COOKIE", "AUTHORIZATION",
           "X_CSRFTOKEN", "X_FORWARDED_FOR", "X_FORWARDED_PROTO", "USER_AGENT"]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("header", HEADERS)
def test_odd_headers_cause_no_500(header, hotel, manager):
    things = endpoint_targets(hotel, manager)
    token = token_client(manager)._credentials["HTTP_AUTHORIZATION"]
    client = APIClient(raise_request_exception=False)  # what 406 and the like say is documented nowhere
    for endpoint in (by_name("POST room-bookings/"), by_name("PATCH room-bookings/<str:bid>/"), by_name("GET me/")):
        for value in ODD:
            sent = {"HTTP_AUTHORIZATION": token, f"HTTP_{header}": value}
            answer = endpoint.call(client, "grand", things, format=None if endpoint.method == "GET" else "json", **sent)
            assert answer.status_code < 500, (endpoint.name, value, answer.content)


def by_name(name: str) -> Endpoint:
    return next(endpoint for endpoint in ENDPOINTS if endpoint.name == name)
