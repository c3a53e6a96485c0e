"""What every test of the HTTP surface leans on: a client that checks each answer against the OpenAPI document."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import transaction
from django.db.models import Model
from django.http import HttpResponse
from django.urls import Resolver404, resolve
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker
from mailer.models import Message
from rest_framework.renderers import JSONRenderer
from rest_framework.test import APIClient

from hotel.models import Hotel, IdempotentAnswer
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from notifications.models import BookingMail, RealtimeEvent
from room_bookings.models import (
    BookingChange,
    BookingExtension,
    BookingGuest,
    Overbooking,
    OverstayIncident,
    PaymentRetry,
    ReferenceCounter,
    RoomBooking,
)
from rooms.models import Room, RoomType
from tests.traces import rows_of

ERROR_KEYS = ("code", "message", "detail", "error", "details")
# Any endpoint may answer these; the document need not say so for each.
UNDOCUMENTED = {405, 406, 500}
UNDOCUMENTED_ROUTES = ("api/schema/", "api/docs/", "api/pusher/auth", "pusher/auth", "pusher/auth/")

# Every table that an endpoint may write, sign-in aside.
WRITTEN: tuple[type[Model], ...] = (
    Hotel,
    IdempotentAnswer,
    Room,
    RoomType,
    RoomStatusEvent,
    HousekeepingTask,
    RoomBooking,
    BookingGuest,
    BookingChange,
    BookingExtension,
    Overbooking,
    OverstayIncident,
    PaymentRetry,
    ReferenceCounter,
    RealtimeEvent,
    BookingMail,
    Message,
)

formats = FormatChecker(formats=())


@formats.checks("date-time")
def _is_moment(value: Any) -> bool:
    return value is None or bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", value))


@formats.checks("date")
def _is_date(value: Any) -> bool:
    return value is None or bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))


def as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0's dialect as JSON Schema: ``nullable`` spelt out, and no key beside those that are named."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: as_json_schema(value) for key, value in node.items() if key != "nullable"}
    if "properties" in schema and isinstance(node["properties"], dict) and node.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return {"anyOf": [schema, {"type": "null"}]} if node.get("nullable") is True else schema


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, as clients download it."""
    return SchemaGenerator().get_schema(request=None, public=True)


@cache
def operation(method: str, route: str) -> Any:
    """What the document says of a route such as ``api/staff/hotel/<slug:slug>/me/``; ``None`` when nothing."""
    path = "/" + re.sub(r"<\w+:(\w+)>", lambda match: "{" + {"pk": "id"}.get(match[1], match[1]) + "}", route)
    return document()["paths"].get(path, {}).get(method.lower())


@cache
def validator(method: str, route: str, status: int) -> Draft202012Validator | None:
    """Checks the body of one answer; ``None`` when the document gives it no body."""
    content = operation(method, route)["responses"][str(status)].get("content")
    if not content:
        return None
    schema = as_json_schema(content["application/json"]["schema"])
    return Draft202012Validator({**schema, "components": components()}, format_checker=formats)


@cache
def components() -> Any:
    """What the schemas of all answers refer to."""
    return as_json_schema(document()["components"])


def assert_error(response: HttpResponse, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """The answer is a refusal in the one shape that clients read (contract section 1); returns the body."""
    body = response.json()
    assert status is None or response.status_code == status, (response.status_code, body)
    assert response["Content-Type"].startswith("application/json")
    assert all(key in body for key in ERROR_KEYS), body
    assert isinstance(body["code"], str)
    assert re.fullmatch(r"[A-Z0-9_]+", body["code"]), body
    assert isinstance(body["message"], str)
    assert body["message"]
    assert body["message"] == body["detail"] == body["error"]
    assert isinstance(body["details"], dict)
    if body["code"] == "VALIDATION_ERROR":
        assert response.status_code == 400, body
        for field, messages in body["details"].items():
            assert all(isinstance(message, str) for message in messages), body
            assert field in ERROR_KEYS or body[field] == messages, body
    assert code is None or body["code"] == code, body
    return body


class AnyJSONRenderer(JSONRenderer):
    """JSON with whatever a client may put there: NaN, half a surrogate pair."""

    ensure_ascii = True
    strict = False


class DocumentedClient(APIClient):
    """DRF's client, which fails the test when an answer is not what the OpenAPI document says. Sends JSON."""

    default_format = "json"

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.renderer_classes["json"] = AnyJSONRenderer

    def request(self, **request: Any) -> Any:
        response = super().request(**request)
        self._check(request["REQUEST_METHOD"], request["PATH_INFO"], response)
        return response

    def _check(self, method: str, path: str, response: Any) -> None:
        if not path.startswith("/api") or method in ("OPTIONS", "HEAD"):
            return
        if response.status_code >= 400:
            assert_error(response)
        try:
            route = resolve(path).route
        except Resolver404:
            assert response.status_code == 404
            return
        if route in UNDOCUMENTED_ROUTES or response.status_code in UNDOCUMENTED:
            return
        described = operation(method, route)
        assert described, f"{method} {route} is not in the OpenAPI document"
        assert str(response.status_code) in described["responses"], (
            f"{method} {route} answers {response.status_code}, not in the OpenAPI document: {response.content!r}"
        )
        headers = described["responses"][str(response.status_code)].get("headers", {})
        assert ("ETag" in response) == ("ETag" in headers), f"{method} {route}: ETag"
        assert "Retry-After" not in response or "Retry-After" in headers, f"{method} {route}: Retry-After"
        check = validator(method, route, response.status_code)
        if check is None:
            assert response.content == b""
        else:
            errors = [f"{error.json_path}: {error.message:.300}" for error in check.iter_errors(response.json())]
            assert not errors, f"{method} {route}: {errors}"


def stored() -> dict[str, list[str]]:
    """All that an endpoint may write."""
    return rows_of(WRITTEN)


@contextmanager
def nothing_written() -> Iterator[None]:
    """Within the block no row changes: a refusal leaves no trace, nor does a repeat."""
    before = stored()
    yield
    assert stored() == before


@contextmanager
def undone() -> Iterator[None]:
    """What the block writes is taken back, so that one house does for many calls."""
    block = transaction.atomic()
    block._from_testcase = True  # as the test's own transaction: durable work, a card payment's, may begin in it
    with block:
        yield
        transaction.set_rollback(True)
