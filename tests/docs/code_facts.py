"""Facts read from the code to compare with the pages' tables: error codes with statuses, calls, event names."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

from django.conf import settings
from django.urls import resolve
from rest_framework import exceptions

from common import handlers
from common.errors import HotelMateError
from hotelmate import malformed_requests
from local.datadir import PROJECT
from tests.docs.tables import Field, documented_fields
from tests.http import document

APPS = ("board", "common", "hotel", "housekeeping", "notifications", "operations", "room_bookings", "rooms")
# Raised by services but never returned by an endpoint: the endpoint checks first, or there is no endpoint.
NOT_SENT_BY_THE_API = {
    "UNKNOWN_STATUS": "the body's to_status is one of the choices",
    "NOTE_REQUIRED": "the body's note is not blank",
    "OUTRANKED": "in the admin",
    "ROLE_REFUSED": "in the admin",
    "OWN_ACCOUNT": "in the admin",
    "PAYMENT_NOT_PARKED": "in the admin",
    "NO_READY_ROOM": "in replay_bookings",
}

Errors = set[tuple[int, str]]


@cache
def error_codes() -> dict[str, frozenset[int]]:
    """Every error code that the project has, with its statuses."""
    import_everything()
    found: Errors = {(error.status, error.code) for error in _subclasses(HotelMateError) if _is_ours(error)}
    for error in _subclasses(exceptions.APIException):
        if _is_ours(error):
            found.add((error.status_code, str(error.default_code).upper()))
    found |= {(error.status_code, code) for error, code in handlers.CODES.items()}
    found |= {(503, code) for code in _unavailable_codes()}
    found |= {(status, "MALFORMED_REQUEST") for status in malformed_requests.MESSAGES}
    for tree in _sources():
        found |= set(_responses(tree))
    statuses: dict[str, set[int]] = {}
    for status, code in found:
        statuses.setdefault(code, set()).add(status)
    return {code: frozenset(each) for code, each in statuses.items()}


def import_everything() -> None:
    """Every module of the apps, so that every error class is there."""
    for app in APPS:
        package = importlib.import_module(app)
        for module in pkgutil.walk_packages(package.__path__, f"{app}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)


def _is_ours(error: type) -> bool:
    return error.__module__.partition(".")[0] in APPS


def _subclasses(error: type) -> Iterator[Any]:
    for each in error.__subclasses__():
        yield each
        yield from _subclasses(each)


@cache
def _sources() -> list[ast.Module]:
    paths = [path for app in (*APPS, "hotelmate") for path in (PROJECT / app).rglob("*.py")]
    return [ast.parse(path.read_text()) for path in sorted(paths) if "migrations" not in path.parts]


def _responses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Status and code of each response that is made of an ``error_body`` with a literal code."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args and _is_call(node.args[0], "error_body")):
            continue
        status = next((each.value for each in node.keywords if each.arg == "status"), None)
        status = status or (node.args[1] if len(node.args) > 1 else None)
        code = node.args[0].args[0]  # type: ignore[attr-defined]  # a call
        if isinstance(code, ast.Constant) and isinstance(status, ast.Constant):
            yield status.value, code.value  # type: ignore[misc]  # an int and a str


def _is_call(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) in names


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _unavailable_codes() -> set[str]:
    """The codes that ``handlers.unavailability`` returns."""
    [function] = [
        node
        for node in ast.parse(_text(handlers)).body
        if isinstance(node, ast.FunctionDef) and node.name == handlers.unavailability.__name__
    ]
    pairs = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
    return {pair.elts[0].value for pair in pairs if isinstance(pair, ast.Tuple)}  # type: ignore[attr-defined,misc]


def _text(module: ModuleType) -> str:
    with open(module.__file__ or "") as file:
        return file.read()


@cache
def event_names() -> tuple[set[str], set[str]]:
    """The names of the events that the code publishes: on the staff's channels, and on the guests'."""
    staff, guests = set(), set()
    for tree in _sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if _name(node.func) == "_store":  # of housekeeping.blocks
                staff |= set(_literals([each.value for each in node.keywords if each.arg == "event"]))
            place = {"_rooms_event": 0, "realtime_booking_updated": 1, "BookingUpdate": 1}.get(_name(node.func))
            if place is None:
                continue
            staff |= set(_literals(node.args[place : place + 1]))
            guests |= set(_literals(node.args[2:3] if place else []))
            guests |= set(_literals([each.value for each in node.keywords if each.arg == "guest_type"]))
    return staff, guests


def _literals(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
            yield node.value


@cache
def calls() -> dict[str, Any]:
    """Every documented call (``GET /api/staff/hotel/{slug}/me/``) with its operation in the OpenAPI document."""
    return {
        f"{method.upper()} {path}": operation
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }


@cache
def view_rights(call: str) -> frozenset[str] | None:
    """The rights of which the call's view requires one; ``None`` where it requires none."""
    method, path = call.split()
    concrete = re.sub(r"\{(\w+)\}", lambda match: {"slug": "resort", "bid": "BK-2026-0001"}.get(match[1], "1"), path)
    view: Any = resolve(concrete, urlconf=settings.ROOT_URLCONF).func
    rights = getattr(view.cls, "rights", {})
    needed = rights.get(getattr(view, "actions", {}).get(method.lower()), rights.get("*"))
    return None if needed is None else frozenset(needed)


@cache
def body_fields(call: str) -> dict[str, Field]:
    """The fields of the call's body; none where it has no body."""
    content = calls()[call].get("requestBody", {}).get("content")
    return _fields(content["application/json"]["schema"]) if content else {}


@cache
def response_fields(call: str, status: str) -> dict[str, Field]:
    """The fields of the call's response, or of each element of it."""
    return _fields(calls()[call]["responses"][status]["content"]["application/json"]["schema"])


@cache
def component_fields(name: str) -> dict[str, Field]:
    """The fields of a component of the OpenAPI document."""
    return _fields(document()["components"]["schemas"][name])


def _fields(schema: Any) -> dict[str, Field]:
    if schema.get("type") == "array":
        schema = schema["items"]
    return documented_fields(schema, document()["components"]["schemas"])
