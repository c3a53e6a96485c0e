"""HTTP test helpers: a client that checks each response against the OpenAPI document, and assertions on responses."""

import json
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
from tests.snapshots import table_rows

ERROR_KEYS = ("code", "message", "detail", "error", "details")
DRY_RUN_KEYS = ("dry_run", "effects")
# Any endpoint may return these, so the document does not list them for each.
UNDOCUMENTED = {405, 406, 500}
UNDOCUMENTED_ROUTES = ("api/schema/", "api/docs/", "api/pusher/auth", "pusher/auth", "pusher/auth/")

# Every table that an endpoint can write, except sign-in.
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
)

formats = FormatChecker(formats=())


@formats.checks("date-time")
def _is_moment(value: Any) -> bool:
    return value is None or bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", value))


@formats.checks("date")
def _is_date(value: Any) -> bool:
    return value is None or bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))


def as_json_schema(node: Any) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: ``nullable`` becomes ``anyOf``, and no additional keys are allowed.

    What dry runs add to a response is checked on its own (``check_dry_run``).
    """
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    if can_be_dry_run(node):
        return as_json_schema(node["allOf"][0])
    schema = {key: as_json_schema(value) for key, value in node.items() if key != "nullable"}
    if "properties" in schema and isinstance(node["properties"], dict) and node.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return {"anyOf": [schema, {"type": "null"}]} if node.get("nullable") is True else schema


def can_be_dry_run(schema: Any) -> bool:
    """Whether the schema of a response is extended by what dry runs add."""
    return schema.get("allOf", [])[1:] == [{"$ref": "#/components/schemas/DryRun"}]


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, as clients download it."""
    return SchemaGenerator().get_schema(request=None, public=True)


@cache
def operation(method: str, route: str) -> Any:
    """The documented operation of a route such as ``api/staff/hotel/<slug:slug>/me/``, or ``None``."""
    path = "/" + re.sub(r"<\w+:(\w+)>", lambda match: "{" + {"pk": "id"}.get(match[1], match[1]) + "}", route)
    return document()["paths"].get(path, {}).get(method.lower())


@cache
def validator(method: str, route: str, status: int) -> Draft202012Validator | None:
    """The validator of a response body, or ``None`` if the response is documented without a body."""
    content = operation(method, route)["responses"][str(status)].get("content")
    if not content:
        return None
    schema = as_json_schema(content["application/json"]["schema"])
    return Draft202012Validator({**schema, "components": components()}, format_checker=formats)


@cache
def dry_run_validator() -> Draft202012Validator:
    """The validator of what dry runs add to a response."""
    return Draft202012Validator({**components()["schemas"]["DryRun"], "components": components()})


def check_dry_run(body: Any) -> Any:
    """Check what a dry run has added to the response; returns the rest."""
    added = {name: body[name] for name in DRY_RUN_KEYS}
    errors = [f"{error.json_path}: {error.message:.300}" for error in dry_run_validator().iter_errors(added)]
    assert not errors, errors
    return {name: value for name, value in body.items() if name not in DRY_RUN_KEYS}


def is_about_null(error: Any) -> bool:
    """Whether the only error is a null: in a dry run, a value that only the real call can choose."""
    options = {one.schema_path[0] for one in error.context}
    return error.instance is None or any(
        all(is_about_null(one) for one in error.context if one.schema_path[0] == option) for option in options
    )


@cache
def components() -> Any:
    """The component schemas that responses refer to."""
    return as_json_schema(document()["components"])


def assert_error(response: HttpResponse, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """Check that the response has the error shape (docs/api.md, Errors), and return its body."""
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
            assert field in (*ERROR_KEYS, *DRY_RUN_KEYS) or body[field] == messages, body
    assert code is None or body["code"] == code, body
    return body


class AnyJSONRenderer(JSONRenderer):
    """Encodes everything that a client can send, including NaN and lone surrogates."""

    ensure_ascii = True
    strict = False


class DocumentedClient(APIClient):
    """DRF's client, sending JSON; a response that deviates from the OpenAPI document fails the test."""

    default_format = "json"

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.renderer_classes["json"] = AnyJSONRenderer

    def request(self, **request: Any) -> Any:
        response = _whole(super().request(**request))
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
            f"{method} {route} returns {response.status_code}, not in the OpenAPI document: {response.content!r}"
        )
        headers = described["responses"][str(response.status_code)].get("headers", {})
        is_dry_run = b'"dry_run":true' in response.content
        assert ("ETag" in response) == ("ETag" in headers and not is_dry_run), f"{method} {route}: ETag"
        assert "Retry-After" not in response or "Retry-After" in headers, f"{method} {route}: Retry-After"
        if response.get("Content-Type", "").startswith("text/csv"):
            assert "text/csv" in described["responses"][str(response.status_code)]["content"], f"{method} {route}: CSV"
            return
        check = validator(method, route, response.status_code)
        if check is None:
            assert response.content == b""
        else:
            body = response.json()
            if is_dry_run and response.status_code < 300 and "204" not in described["responses"]:
                body = check_dry_run(body)
            errors = [error for error in check.iter_errors(body) if not (is_dry_run and is_about_null(error))]
            assert not errors, f"{method} {route}: {[f'{error.json_path}: {error.message:.300}' for error in errors]}"


def _whole(response: Any) -> Any:
    """A streamed response as one that is not."""
    if not response.streaming:
        return response
    whole: Any = HttpResponse(response.getvalue(), status=response.status_code, headers=response.headers)
    whole.json = lambda: json.loads(whole.content)
    return whole


def stored_rows() -> dict[str, list[str]]:
    """All rows that an endpoint can write, by model."""
    return table_rows(WRITTEN)


@contextmanager
def nothing_written() -> Iterator[None]:
    """Assert that the block changes no row, as a refused request or a retry must not."""
    before = stored_rows()
    yield
    assert stored_rows() == before


@contextmanager
def rolled_back() -> Iterator[None]:
    """Roll back what the block writes, so that many calls can share one set-up."""
    block = transaction.atomic()
    block._from_testcase = True  # so that durable blocks (card payments) can begin inside
    with block:
        yield
        transaction.set_rollback(True)
