"""The log has what went wrong and where, but no personal data: names, texts or credentials."""

import io
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.db import DataError, IntegrityError, OperationalError, connection
from django.test import Client
from rest_framework.test import APIClient

from common.logs import RedactingFormatter, redact_server_log
from hotel.models import Staff
from room_bookings.models import RoomBooking
from rooms.models import RoomType
from tests.conftest import token_client
from tests.endpoints import ENDPOINTS, WRITING, Endpoint, endpoint_targets
from tests.http import rolled_back
from tests.notifications.marked_hotels import address, mark, primary, with_marks

PROJECT = Path(__file__).parents[2]
SECRET = mark("S", "password")
TOKEN = mark("S", "token")
ANY_MARK = re.compile(r"zq[A-Z]_", re.IGNORECASE)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Everything that the loggers would write with ``LOG_LEVEL=DEBUG``, in the configured format."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    form = settings.LOGGING["formatters"]["line"]
    assert form["()"] == "common.logs.RedactingFormatter"
    handler.setFormatter(RedactingFormatter(form["format"]))
    loggers = [logging.getLogger(name) for name in ("", *settings.LOGGING["loggers"])]
    level = loggers[0].level
    loggers[0].setLevel(logging.DEBUG)
    for logger in loggers:
        if logger.propagate is False or logger is loggers[0]:
            logger.addHandler(handler)
    yield lines.getvalue
    for logger in loggers:
        logger.removeHandler(handler)
    loggers[0].setLevel(level)


@pytest.fixture
def marked(manager: Staff) -> Any:
    """A hotel in which every text is marked, and its manager."""
    things = endpoint_targets(manager.hotel, manager)
    for booking in RoomBooking.objects.all():
        with_marks(booking, "A")
    user = manager.user
    user.username, user.email = mark("S", "username"), address("S", "email")
    user.first_name, user.last_name = mark("S", "first"), mark("S", "last")
    user.set_password(SECRET)
    user.save()
    Staff.objects.filter(pk=manager.pk).update(phone_number=mark("S", "phone"))
    return things


def with_marked_texts(endpoint: Endpoint, things: Any) -> dict[str, Any]:
    """The body of a call, with a mark in every text that it can have."""
    words = {name: mark("A", "typed") for name in ("note", "notes", "reason", "internal_notes", "reason_note")}
    return words | primary("A") | (endpoint.filled_body(things) or {})


def call_everything(client: Any, things: Any, endpoints: Iterable[Endpoint] = ENDPOINTS) -> list[int]:
    statuses = []
    for endpoint in endpoints:
        path, words = endpoint.path("grand", things), f"search={mark('A', 'searched')}"
        body = {} if endpoint.method == "GET" else {"data": with_marked_texts(endpoint, things), "format": "json"}
        with rolled_back():
            answer = getattr(client, endpoint.method.lower())(
                f"{path}{'&' if '?' in path else '?'}{words}",
                **body,
                HTTP_IDEMPOTENCY_KEY=mark("A", "key"),
                HTTP_COOKIE=f"sessionid={mark('S', 'cookie')}",
                HTTP_USER_AGENT=mark("S", "agent"),
            )
        statuses.append(answer.status_code)
    return statuses


def secrets_of(client: Any) -> str:
    return client._credentials["HTTP_AUTHORIZATION"].partition(" ")[2]


def assert_no_personal_data(text: str, *secrets: str) -> None:
    said = [line for line in text.splitlines() if ANY_MARK.search(line)]
    assert said == []
    for secret in (*secrets, "Lovelace", "Babbage", "Grace", "Hopper"):
        assert secret not in text


def failing(error: Callable[[str, Any], Exception]) -> Any:
    """Make every write of a row fail with an error that quotes the row."""

    def wrapper(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if str(sql).startswith(("INSERT", "UPDATE", "DELETE")):
            raise error(str(sql), params)
        return execute(sql, params, many, context)

    return connection.execute_wrapper(wrapper)


def bug(sql: str, params: Any) -> Exception:
    return KeyError(f"{sql} with {params} for {mark('A', 'first')}")


def as_django_raises(kind: type[Exception]) -> Callable[[str, Any], Exception]:
    def error(sql: str, params: Any) -> Exception:
        words = f"it failed\nDETAIL:  Failing row contains ({params}, {mark('A', 'last')}).\nLINE 1: {sql}"
        made = kind(words)
        made.__cause__ = getattr(psycopg2, kind.__name__)(words)
        return made

    return error


def refused(state: str) -> Callable[[str, Any], Exception]:
    """An error as PostgreSQL raises it, with a row in its message."""

    def error(sql: str, params: Any) -> Exception:
        words = f"Failing row contains ({params}, {mark('A', 'last')})."
        with pytest.raises(IntegrityError) as raised, connection.cursor() as cursor:
            cursor.execute(
                f"DO $do$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}', MESSAGE = $w$refused$w$, "
                f"DETAIL = $w${words}$w$; END $do$"
            )
        return raised.value

    return error


@pytest.mark.django_db
def test_successful_calls(marked, manager, log):
    client = token_client(manager)
    assert {status for status in call_everything(client, marked) if status >= 500} == set()
    assert_no_personal_data(log(), secrets_of(client))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "status", "found"),
    [
        (bug, 500, "KeyError"),
        (as_django_raises(DataError), 500, "django.db.utils.DataError"),
        (as_django_raises(OperationalError), 503, "the database cannot be reached"),
        (refused("23505"), 409, "a database constraint rejected a request"),
        (refused("23514"), 500, "django.db.utils.IntegrityError: SQLSTATE 23514"),
        (refused("23000"), 500, "django.db.utils.IntegrityError: SQLSTATE 23000"),
    ],
    ids=["bug", "data", "connection", "race", "check", "trigger"],
)
def test_failing_calls(marked, manager, log, error, status, found):
    token = secrets_of(token_client(manager))
    client = APIClient(raise_request_exception=False)  # a planted bug's response is not in the schema
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    with failing(error):
        statuses = call_everything(client, marked, WRITING)
    assert statuses.count(status) > 30
    text = log()
    assert found in text
    assert ("Traceback" in text) == (status == 500)  # an outage is one line per request
    if status == 500:
        assert "tests/security/test_logs.py" in text  # every frame is in the traceback
    assert_no_personal_data(text, token)


@pytest.mark.django_db
@pytest.mark.parametrize("broken", [False, True])
def test_sign_in(marked, manager, log, broken):
    client = Client(raise_request_exception=False)

    def everywhere() -> None:
        for password in (SECRET, mark("S", "mistyped")):
            body = {"username": mark("S", "username"), "password": password}
            client.post("/api/staff/login/", body, content_type="application/json")
            client.post("/board/sign-in/", body)
            client.post("/admin/login/?next=/admin/", body)
            client.get("/board/grand/", headers={"Authorization": f"Token {TOKEN}"})
            client.post("/pusher/auth", body, headers={"Authorization": f"GuestToken {TOKEN}"})
            client.post("/api/staff/logout/", headers={"Authorization": f"Token {TOKEN}"})

    if broken:
        with failing(bug):
            everywhere()
        assert log().count("Traceback") >= 3
    else:
        everywhere()
    assert_no_personal_data(log(), *(cookie.value for cookie in client.cookies.values() if cookie.value))


@pytest.mark.django_db
def test_row_refused_by_postgresql_is_not_logged(hotel, log):
    """A real error of PostgreSQL: DETAIL contains the whole row."""
    kind = RoomType(hotel=hotel, code="X", name=mark("A", "first"), starting_price_from="1.00")
    kind.max_occupancy = None
    with rolled_back():
        try:
            kind.save()
        except IntegrityError as error:
            words = str(error)
            logging.getLogger("notifications").exception("could not be saved")
    assert mark("A", "first") in words
    assert "IntegrityError: SQLSTATE 23502 rooms_roomtype max_occupancy" in log()
    assert_no_personal_data(log())


@pytest.mark.django_db
def test_value_refused_by_postgresql_is_not_logged(log):
    with rolled_back():
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s::integer", [mark("A", "phone")])
        except DataError:
            logging.getLogger("hotel").warning("a list refused its filters", exc_info=True)
    assert "DataError: SQLSTATE 22P02" in log()
    assert_no_personal_data(log())


def test_causes_are_logged_in_order_with_their_code(log):
    def inner() -> None:
        int(mark("A", "number"))

    try:
        try:
            inner()
        except ValueError as error:
            raise AttributeError("'Room' has no attribute 'colour'") from error
    except AttributeError:
        logging.getLogger("rooms").exception("that was a bug")
    text = log()
    assert (
        text.index("in inner") < text.index("ValueError") < text.index("which led to:") < text.index("AttributeError:")
    )
    assert "AttributeError: 'Room' has no attribute 'colour'" in text
    assert_no_personal_data(text)


def test_traceback_text_of_another_handler_is_not_reused(log):
    try:
        raise LookupError(mark("A", "first"))
    except LookupError as error:
        record = logging.LogRecord("rooms", logging.ERROR, "", 0, "failed", (), (LookupError, error, None))
    record.exc_text = f"LookupError: {mark('A', 'first')}"
    logging.getLogger("rooms").handle(record)
    assert "LookupError" in log()
    assert_no_personal_data(log())


def test_requests_are_not_logged():
    """An access log would have clients' IP addresses, booking references and search terms."""
    assert re.search(r"^accesslog = None$", (PROJECT / "hotelmate" / "gunicorn.conf.py").read_text(), re.MULTILINE)
    assert not re.search(r"^\s*log\b", (PROJECT / "deploy" / "Caddyfile").read_text(), re.MULTILINE)


def test_gunicorn_logs_a_failed_request_without_its_data():
    lines = io.StringIO()
    server, handler = logging.getLogger("a server's own"), logging.StreamHandler(lines)
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(message)s"))
    server.addHandler(handler)
    server.propagate = False
    server.setLevel(logging.DEBUG)
    redact_server_log(server)
    try:
        raise ValueError(SECRET)
    except ValueError:
        server.exception("Error handling request %s %s", "GET", f"/{SECRET}")
    server.debug("%s %s", "GET", f"/{SECRET}")
    server.warning(f"Invalid request from ip=192.0.2.7: {SECRET}")
    server.info("Listening at: %s", "http://127.0.0.1:8000")
    printed = lines.getvalue()
    assert "[ERROR] Error handling request\nTraceback" in printed and "[WARNING] Invalid request\n" in printed
    assert "Listening at: http://127.0.0.1:8000" in printed
    assert SECRET not in printed and "192.0.2.7" not in printed
