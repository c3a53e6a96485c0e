"""The OpenAPI document and its pages. The test client checks every response against it (tests/http.py)."""

import re
import warnings
from io import StringIO

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from tests.endpoints import ENDPOINTS
from tests.http import (
    UNDOCUMENTED_ROUTES,
    DocumentedClient,
    as_json_schema,
    assert_error,
    document,
    validator,
)


@pytest.fixture
def client() -> DocumentedClient:
    return DocumentedClient(raise_request_exception=False)


def routes(patterns, prefix="") -> set[str]:
    """Every served route, in the notation of the OpenAPI document."""
    found = set()
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found |= routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            found.add(route)
    return found


def test_the_document_is_generated_without_a_warning():
    errors = StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO(), stderr=errors)
    assert errors.getvalue() == ""
    validate_schema(SchemaGenerator().get_schema(request=None, public=True))


def test_documented_paths_are_the_routed_paths():
    served = {
        "/" + re.sub(r"<\w+:(\w+)>", lambda match: "{" + {"pk": "id"}.get(match[1], match[1]) + "}", route)
        for route in routes(get_resolver().url_patterns)
        if route.startswith("api/") and route not in UNDOCUMENTED_ROUTES
    }
    assert set(document()["paths"]) == served | {"/api/pusher/auth/"}


def test_every_method_is_documented():
    documented = {
        (method.upper(), path.removeprefix("/api/staff/hotel/{slug}/"))
        for path, methods in document()["paths"].items()
        for method in methods
        if path.startswith("/api/staff/hotel/")
    }
    assert documented == {
        (
            endpoint.method,
            re.sub(r"<\w+:(\w+)>", lambda match: "{" + {"pk": "id"}.get(match[1], match[1]) + "}", endpoint.route),
        )
        for endpoint in ENDPOINTS
    }


def test_every_reference_resolves():
    names = set(re.findall(r"'#/components/schemas/(\w+)'", str(document())))
    assert names <= set(document()["components"]["schemas"])


def test_every_operation_has_parameters_bodies_and_responses():
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["operationId"], where
            assert "400" in operation["responses"], where
            if path.startswith("/api/staff/hotel/"):
                assert {"401", "403", "503"} <= set(operation["responses"]), where
                assert {"token": []} in operation["security"], where
            if "{rid}" in path or "{rno}" in path or "{id}" in path or "{room}" in path or "{bid}" in path:
                assert "404" in operation["responses"], where
            for body in operation.get("requestBody", {}).get("content", {}):
                assert body in ("application/json", "application/x-www-form-urlencoded"), where


def examples():
    """Every example of a response: its place, its schema and its value."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    for example in content.get("examples", {}).values():
                        yield f"{method} {path} {status}", content["schema"], example["value"]


def test_every_example_matches_its_schema():
    components = as_json_schema(document()["components"])
    wrong = {
        where: [f"{error.json_path}: {error.message:.200}" for error in check.iter_errors(value)]
        for where, schema, value in examples()
        if not (check := Draft202012Validator({**as_json_schema(schema), "components": components})).is_valid(value)
    }
    assert wrong == {}


def test_the_checker_finds_a_missing_an_extra_and_a_wrong_field():
    check = validator("GET", "api/staff/hotel/<slug:slug>/rooms/<int:rid>/status-history/", 200)
    good = {
        "room": {"id": 1, "room_number": 101, "current_status": "OCCUPIED"},
        "status_history": [],
        "total_events": 0,
        "next_before": None,
    }
    assert check.is_valid(good)
    assert not check.is_valid({key: value for key, value in good.items() if key != "next_before"})
    assert not check.is_valid({**good, "colour": "blue"})
    assert not check.is_valid({**good, "total_events": "0"})
    assert not check.is_valid({**good, "room": {**good["room"], "current_status": "CLEAN"}})
    assert not check.is_valid({**good, "room": None})


def test_the_checker_requires_utc_times():
    check = validator("GET", "api/staff/hotel/<slug:slug>/turnover/stats/", 200)
    none = {"count": 0, "p50_minutes": None, "p90_minutes": None}
    row = {"room_id": 1, "room_number": 1, "room_status": "OCCUPIED", "since": "2026-07-01T09:00:00Z", "minutes": 1}
    body = {
        "counts": {},
        "total_rooms": 0,
        "bookable": 0,
        "maintenance": {},
        "turn_times": {"today": none, "last_30_days": none},
        "time_in_status": [row],
    }
    assert check.is_valid(body)
    assert not check.is_valid({**body, "time_in_status": [{**row, "since": "2026-07-01T09:00:00+00:00"}]})


def test_nullable_becomes_any_of():
    assert as_json_schema({"type": "string", "nullable": True}) == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_clients_are_checked_against_the_document(api, housekeeper):
    assert isinstance(api(housekeeper), DocumentedClient)


# --- the pages --------------------------------------------------------------------------------------------------------


def test_the_document_is_public(client, db):
    answer = client.get("/api/schema/?format=json", HTTP_ACCEPT="application/json")
    assert answer.status_code == 200
    assert set(answer.json()["paths"]) == set(document()["paths"])
    assert client.get("/api/schema/").status_code == 200


def test_the_pages_load_nothing_from_other_hosts(client, db):
    page = client.get("/api/docs/")
    html = page.content.decode()
    assert page.status_code == 200
    assert "swagger" in html.lower()
    assert "://" not in re.sub(r"https?://www\.w3\.org/\S+", "", html)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', html)
    files = [path.removeprefix("/static/") for path in loaded if path.startswith("/static/")]
    assert len(files) >= 3
    assert all(finders.find(path) for path in files)
    assert [path for path in loaded if not path.startswith(("/static/", "/api/"))] == []


def test_the_root_redirects_to_the_documentation(client, db):
    assert client.get("/")["Location"] == "/api/docs/"
    assert client.get("/admin")["Location"] == "/admin/"


def test_a_post_without_the_trailing_slash_is_404_not_a_redirect(client, db):
    assert_error(client.post("/api/staff/login", {"username": "a", "password": "b"}), 404)
