"""Size limits of requests: bodies, forms, URLs, headers."""

import http.client
import json
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from hotel.models import Staff
from tests.conftest import token_client, url
from tests.security.served import answer, gunicorn
from tools.conformance.client import error_problems

LIMIT = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
FILE = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * LIMIT + b"\r\n--b--\r\n",
    "multipart/form-data; boundary=b",
)
BODIES = {
    "json": (b'{"note": "' + b"x" * LIMIT + b'"}', JSON),
    "form": (b"username=" + b"x" * LIMIT, FORM),
    "file": FILE,
}
DOORS = ["/board/sign-in/", "/admin/login/", "/board/sign-out/", "/api/staff/login/", "/pusher/auth", "/nowhere/"]


@pytest.mark.django_db
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("door", DOORS)
def test_more_than_a_megabyte_is_413_without_signing_in(door, body):
    data, content_type = BODIES[body]
    answer = Client(raise_request_exception=False).post(door, data, content_type=content_type)
    assert answer.status_code == 413


@pytest.mark.django_db
@pytest.mark.parametrize("body", BODIES)
def test_more_than_a_megabyte_is_413_in_the_admin(manager: Staff, body):
    data, content_type = BODIES[body]
    client = Client(raise_request_exception=False)
    client.force_login(manager.user)
    for page in ("/admin/rooms/room/add/", "/admin/rooms/room/", "/admin/password_change/", "/admin/logout/"):
        assert client.post(page, data, content_type=content_type).status_code == 413
    assert Session.objects.exists()


@pytest.mark.django_db
def test_a_whole_megabyte_is_read():
    client = Client(raise_request_exception=False)
    body = b"username=" + b"x" * (LIMIT - len(b"username="))
    assert client.post("/board/sign-in/", body, content_type=FORM).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("door", ["/board/sign-in/", "/admin/login/", "/pusher/auth"])
def test_a_form_of_a_thousand_fields_is_refused(door):
    """Parsing more of them costs more than their size suggests."""
    body = "&".join(f"a{number}=" for number in range(1001))
    answer = Client(raise_request_exception=False).post(door, body, content_type=FORM)
    assert answer.status_code == 400


@pytest.mark.django_db
def test_a_query_of_a_thousand_parameters_is_refused(manager: Staff):
    answer = token_client(manager).get(url(manager, "room-bookings/?" + "&".join(f"a{n}=" for n in range(1001))))
    assert answer.status_code == 400


# --- gunicorn ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gunicorn's output."""
    return tmp_path_factory.mktemp("gunicorn") / "log"


@pytest.fixture(scope="module")
def port(server_log: Path):
    """gunicorn as in production, without a database, which refusals do not need."""
    with gunicorn(server_log) as number:
        yield number


@pytest.mark.parametrize(
    ("path", "headers", "status", "words"),
    [
        ("/healthz?" + "x" * 5000, [], 414, "The URL is too long"),
        ("/healthz", [("X-Long", "x" * 9000)], 431, "The headers are too many or too long"),
    ],
)
def test_gunicorns_refusals_have_the_usual_shape(port, path, headers, status, words):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        body = json.load(answer)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/json")
    assert error_problems(body) == []
    assert body["message"].startswith(words)


def ask(port: int, method: str, path: str, headers: list[tuple[str, str]] | None = None, body: bytes = b"") -> int:
    return answer(port, method, path, headers, body).status


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "statuses"),
    [
        ("GET", "/healthz?" + "x" * 3900, [], b"", {200}),
        ("GET", "/healthz?" + "x" * 5000, [], b"", {400, 414}),
        ("GET", "/healthz", [("X-Long", "x" * 9000)], b"", {400, 431}),
        ("GET", "/healthz", [(f"X-{number}", "x") for number in range(101)], b"", {400, 431}),
        ("POST", "/healthz", [("Content-Length", "-1")], b"", {400}),
        ("POST", "/healthz", [("Content-Length", "ten")], b"", {400}),
        ("POST", "/healthz", [("Content-Length", "2"), ("Content-Length", "3")], b"ab", {400}),
        # Two ends of one body (request smuggling): a proxy would read the rest as the next request.
        ("POST", "/board/sign-in/", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")], b"0\r\n\r\n", {400}),
        ("POST", "/board/sign-in/", [("Transfer-Encoding", "chunked")], b"3\r\na=b\r\n0\r\n\r\n", {400}),
        ("POST", "/board/sign-in/", [("Content-Length", str(10**15))], b"a=b", {413}),
    ],
    ids=["long", "too long", "header", "headers", "negative", "no number", "two", "both", "chunked", "petabyte"],
)  # fmt: skip
def test_requests_that_gunicorn_accepts(port, method, path, headers, body, statuses):
    assert ask(port, method, path, headers, body) in statuses


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /healthz HTTP/1.1\r\nAuthorization Token zqS_token\r\n\r\n",
        b"GET /healthz?name=zqS_token Lovelace HTTP/1.1\r\n\r\n",
        b"zqS_token /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nX-Name: zqS_token\r\nContent-Length: zqS_token\r\n\r\n",
    ],
)
def test_gunicorn_does_not_log_unreadable_requests(port, server_log, request_text):
    before = len(server_log.read_text())
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request_text)
        answer = connection.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert error_problems(json.loads(body)) == []
    assert json.loads(body)["code"] == "MALFORMED_REQUEST" and b"zqS_token" not in body
    for _ in range(100):
        printed = server_log.read_text()[before:]
        if printed.endswith("\n"):
            break
        time.sleep(0.05)
    assert "Invalid request" in printed
    assert "zqS_token" not in printed and "127.0.0.1" not in printed and "Lovelace" not in printed
