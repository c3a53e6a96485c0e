"""Malformed requests to every endpoint: a 4xx with the error body, nothing written, and never a 500."""

import pytest

from tests.conftest import url
from tests.endpoints import ENDPOINTS, WITH_OBJECT, Endpoint, endpoint_targets
from tests.factories import room_in
from tests.http import DocumentedClient, assert_error, document, nothing_written, operation, rolled_back

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
# Bodies that are not JSON objects: 400 on every endpoint, even if it needs no body.
NOT_AN_OBJECT = {
    "broken": (b'{"to_status": ', JSON),
    "two": (b"{} {}", JSON),
    "array": (b"[1, 2]", JSON),
    "string": (b'"READY_FOR_GUEST"', JSON),
    "number": (b"1", JSON),
    "null": (b"null", JSON),
    "NaN": (b'{"note": NaN}', JSON),
    "infinity": (b'{"room_number": -Infinity}', JSON),
    "not UTF-8": (b'{"note": "\xff\xfe"}', JSON),
    "NUL bytes": (b"\x00\x00", JSON),
    "deep array": (b"[" * 100_000, JSON),
    "deep object": (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, JSON),
    "closed deep object": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON),
    "more digits than Python reads": (b'{"room_number": ' + b"9" * 5000 + b"}", JSON),
    "form": (b"to_status=CHECKOUT_DIRTY&note=x", FORM),
    "form as text": (b"to_status=CHECKOUT_DIRTY", "text/plain"),
    "multipart": (
        b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
}


@pytest.mark.parametrize(("body", "content_type"), NOT_AN_OBJECT.values(), ids=list(NOT_AN_OBJECT))
def test_a_body_that_is_not_a_json_object_is_400_everywhere(api, hotel, manager, body, content_type):
    things = endpoint_targets(hotel)
    client = api(manager)
    with nothing_written():
        for endpoint in ENDPOINTS:
            path = endpoint.path("grand", things)
            answer = client.generic(endpoint.method, path, body, content_type=content_type)
            assert answer.status_code == 400, (endpoint.name, answer.status_code, answer.content)
            assert_error(answer, 400, "MALFORMED_REQUEST")
        for path in ("/api/staff/login/", "/api/staff/logout/"):
            assert_error(client.generic("POST", path, body, content_type=content_type), 400)
        assert client.get(url(manager, "me/")).status_code == 200  # the sign-out was refused too


def test_a_body_above_a_megabyte_is_413_everywhere(api, hotel, manager):
    things = endpoint_targets(hotel)
    client = api(manager)
    body = b'{"note": "' + b"x" * 1_048_576 + b'"}'
    with nothing_written():
        for endpoint in ENDPOINTS:
            answer = client.generic(endpoint.method, endpoint.path("grand", things), body, content_type=JSON)
            assert assert_error(answer, 413)["code"] == "BODY_TOO_LARGE", endpoint.name
        assert_error(client.generic("POST", "/api/staff/login/", body, content_type=JSON), 413)


@pytest.mark.parametrize("content_type", [JSON, "text/plain", FORM, "application/octet-stream", "nonsense", ""])
def test_json_is_read_with_any_content_type(api, hotel, manager, content_type):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    answer = api(manager).generic(
        "POST", url(manager, f"rooms/{room.pk}/status/"), b'{"to_status": "CHECKOUT_DIRTY"}', content_type=content_type
    )
    assert answer.status_code == 200, answer.content


# A supervisor needs a reason here, and whoever has just checked the guest out needs none: nobody else may.
WITHOUT_A_BODY = {"POST room-bookings/<str:bid>/undo-check-out/": 403}


def test_a_missing_body_never_causes_a_500(api, hotel, manager):
    things = endpoint_targets(hotel)
    client = api(manager)
    needs_a_body = {endpoint.name for endpoint in ENDPOINTS if endpoint.body and endpoint.method != "PATCH"}
    for endpoint in ENDPOINTS:
        for body in (b"", b"{}"):
            with rolled_back():
                answer = client.generic(endpoint.method, endpoint.path("grand", things), body, content_type=JSON)
            expected = WITHOUT_A_BODY.get(endpoint.name, 400 if endpoint.name in needs_a_body else endpoint.status)
            assert answer.status_code == expected, (endpoint.name, body, answer.content)


# --- junk in fields ---------------------------------------------------------------------------------------------------

NESTED: list = []
for _ in range(15):
    NESTED = [NESTED]
JUNK = {
    "null": None,
    "a list": [],
    "an object": {},
    "nested": NESTED,
    "true": True,
    "negative": -1,
    "zero": 0,
    "a fraction": 1.5,
    "huge": 10**30,
    "huge text number": "9" * 40,
    "beyond floats": 1e300,
    "a word": "nonsense",
    "empty": "",
    "blank": "   ",
    "long": "x" * 5000,
    "lone surrogate": "\ud800",
    "NUL": "\u0000",
    "arabic digits": "١٢٣",
    "list of junk": [None, "\ud800", {}, [10**30]],
    "object of junk": {"\ud800": "\u0000"},
}


def fields_of(endpoint: Endpoint) -> list[str]:
    """The names of the body fields of an endpoint, from the OpenAPI document."""
    request = operation(endpoint.method, f"api/staff/hotel/<slug:slug>/{endpoint.route}").get("requestBody")
    if not request:
        return ["note"]
    name = request["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return list(document()["components"]["schemas"][name]["properties"])


@pytest.mark.parametrize("junk", JUNK.values(), ids=list(JUNK))
def test_junk_in_a_field_never_causes_a_500(api, hotel, manager, junk):
    things = endpoint_targets(hotel)
    client = api(manager)
    for endpoint in ENDPOINTS:
        for field in fields_of(endpoint) if endpoint.method != "GET" else ():
            body = {**(endpoint.filled_body(things) or {}), field: junk}
            with rolled_back():
                answer = getattr(client, endpoint.method.lower())(endpoint.path("grand", things), body)
            assert answer.status_code < 500, (endpoint.name, field, answer.content)


@pytest.mark.parametrize("depth", [10, 49, 50, 500, 900, 950, 990])
def test_deep_nesting_does_not_break_error_messages(api, hotel, manager, depth):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    body = b'{"to_status": ' + b"[" * depth + b"]" * depth + b"}"
    answer = api(manager).generic("POST", url(manager, f"rooms/{room.pk}/status/"), body, content_type=JSON)
    assert assert_error(answer, 400)["code"] in ("VALIDATION_ERROR", "MALFORMED_REQUEST")


# --- paths and methods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["abc", "-1", "1.5", "%00", "1%00", "١", "1%20", "0x1", "9" * 5000, "%F0%9F%9A%AA"])
def test_a_non_numeric_id_is_404(api, hotel, manager, number):
    client = api(manager)
    with nothing_written():
        for endpoint in WITH_OBJECT:
            prefix, _, rest = endpoint.route.partition("<")
            path = url(manager, prefix + number + rest.partition(">")[2])
            assert_error(client.generic(endpoint.method, path, b"{}", content_type=JSON), 404)


def test_a_number_of_forty_digits_is_404(api, hotel, manager):
    things = endpoint_targets(hotel)
    client = api(manager)
    with nothing_written():
        for number in ("9" * 40, str(2**31), str(2**63), str(10**18), "0"):
            for endpoint in WITH_OBJECT:
                setattr(things, endpoint.target, number)
                assert_error(endpoint.call(client, "grand", things), 404)


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/nothing/",
        "/api/staff/",
        "/api/staff/hotel/grand/",
        "/api/staff/hotel/grand/feed/",
        "/api/staff/hotel/grand/me",
        "/api/staff/hotel/gr%00nd/me/",
        "/api/staff/hotel/gr%2Fand/me/",
        "/api/staff/hotel/%F0%9F%9A%AA/me/",
        "/api/staff/hotel//me/",
        "/api/%00",
        "/api/\ud800",
    ],
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_path_is_404_with_the_error_body(api, manager, path, method):
    answer = getattr(api(manager), method)(path.encode("utf-8", "surrogatepass").decode("latin-1"))
    assert_error(answer, 404, "NOT_FOUND")


def test_an_unsupported_method_is_405(api, hotel, manager):
    things = endpoint_targets(hotel)
    client = api(manager)
    offered: dict[str, set[str]] = {}
    for endpoint in ENDPOINTS:
        offered.setdefault(endpoint.route, set()).add(endpoint.method)
    with nothing_written():
        for endpoint in ENDPOINTS:
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - offered[endpoint.route]:
                answer = client.generic(method, endpoint.path("grand", things))
                assert_error(answer, 405, "METHOD_NOT_ALLOWED")
        assert_error(client.get("/api/staff/login/"), 405, "METHOD_NOT_ALLOWED")
        assert_error(client.get("/api/staff/logout/"), 405, "METHOD_NOT_ALLOWED")


def test_unknown_fields_and_parameters_are_ignored(api, hotel, manager):
    room = room_in("READY_FOR_GUEST", hotel=hotel)
    client = api(manager)
    answer = client.post(
        url(manager, f"rooms/{room.pk}/status/?foo=%00&bar[]=1"), {"to_status": "CHECKOUT_DIRTY", "colour": "\ud800"}
    )
    assert answer.status_code == 200
    assert client.get(url(manager, "room-management/?colour=blue&page=&page_size=")).status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "*/*;q=x", ""])
def test_a_response_is_json_or_406(api, manager, accept):
    answer = api(manager).get(url(manager, "me/"), HTTP_ACCEPT=accept)
    assert answer.status_code in (200, 406)
    assert answer["Content-Type"] == "application/json"


# --- query parameters -------------------------------------------------------------------------------------------------

PAGED = ("room-management/", "housekeeping/tasks/", "room-bookings/", "room-bookings/?include_counts=0")


def with_query(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


@pytest.mark.parametrize("path", PAGED)
@pytest.mark.parametrize("query", ["page=abc", "page=0", "page=-1", "page=1.5", "page=%00", "page=١", "page_size=0",
                                   "page_size=-1", "page_size=abc", "page_size=%00"])  # fmt: skip
def test_an_invalid_page_is_400_and_names_the_parameter(api, manager, path, query):
    body = assert_error(api(manager).get(url(manager, with_query(path, query))), 400, "VALIDATION_ERROR")
    assert query.partition("=")[0] in body["details"]


@pytest.mark.parametrize("path", PAGED)
@pytest.mark.parametrize("page", ["3", "999999999", "1000000000", "9" * 30, "00000000000000000003"])
def test_a_page_past_the_end_is_empty(api, hotel, manager, path, page):
    endpoint_targets(hotel)
    answer = api(manager).get(url(manager, with_query(path, f"page={page}")))
    body = answer.json()
    assert answer.status_code == 200
    assert body["results"] == []
    assert body["count"] > 0
    assert body["next"] is None


@pytest.mark.parametrize(
    "query",
    ["limit=abc", "limit=-1", "limit=0", "limit=1.5", "before=abc", "before=0", "before=-1", "before=1.5",
     "before=%00", "source=nonsense", "source=%00", "source=%ED%A0%80", "from=notadate", "from=2026-13-01",
     "from=2026-01-01T00:00:00Z", "to=notadate", "to=%00", "from=10000-01-01", "from=0000-01-01"],
)  # fmt: skip
def test_an_invalid_history_filter_is_400_and_names_the_parameter(api, hotel, manager, query):
    room = room_in("CHECKOUT_DIRTY", hotel=hotel)
    body = assert_error(api(manager).get(url(manager, f"rooms/{room.pk}/status-history/?{query}")), 400)
    assert query.partition("=")[0] in body["details"]


@pytest.mark.parametrize("query", ["status=nonsense", "status=%00", "task_type=x", "room=abc", "room=0", "room=-1",
                                   "assigned_to=you", "assigned_to=-1", "assigned_to=%00"])  # fmt: skip
def test_an_invalid_task_filter_is_400_and_names_the_parameter(api, manager, query):
    body = assert_error(api(manager).get(url(manager, f"housekeeping/tasks/?{query}")), 400)
    assert query.partition("=")[0] in body["details"]


def test_a_refused_host_is_400_with_the_error_body(db):
    client = DocumentedClient(raise_request_exception=False)
    assert_error(client.get("/api/staff/hotel/grand/me/", HTTP_HOST="evil.example"), 400)
