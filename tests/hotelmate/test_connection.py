"""Settings of connections to PostgreSQL, with any DATABASE_URL, and the time that a dead connection costs a request."""

import os
import runpy
import socket
import time
from contextlib import closing

import pytest
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, connections

from common.postgres.base import DatabaseWrapper
from common.postgres.validation import NO_LOCK_TIMEOUT, log_problems
from tests.conftest import url
from tests.factories import StaffFactory
from tests.http import assert_error

SETTINGS = settings.BASE_DIR / "hotelmate" / "settings.py"


@pytest.fixture
def configured(monkeypatch):
    """``configured(query)`` returns the database settings for a DATABASE_URL with that query string."""

    def read(query):
        monkeypatch.setenv("DATABASE_URL", f"{os.environ['DATABASE_URL'].partition('?')[0]}?{query}")
        return runpy.run_path(str(SETTINGS))["DATABASES"]["default"]

    return read


@pytest.fixture
def in_force(configured):
    """``in_force(query)`` opens a session with that query string and returns its settings by name."""

    def ask(query):
        options = configured(query)["OPTIONS"]
        other = DatabaseWrapper({**connection.settings_dict, "OPTIONS": options})
        with closing(other), other.cursor() as cursor:
            cursor.execute("SELECT name, setting FROM pg_settings")
            return dict(cursor.fetchall())

    return ask


OURS = {"lock_timeout": "3000", "jit": "off", "random_page_cost": "1.1", "cursor_tuple_fraction": "1"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "theirs"),
    [
        ("", {}),
        ("sslmode=prefer&application_name=desk", {"application_name": "desk"}),
        ("options=-c statement_timeout=5000", {"statement_timeout": "5000"}),
        ("options=-c%20statement_timeout%3D5s%20-c%20jit%3Don", {"statement_timeout": "5000", "jit": "on"}),
        ("options=-c%20lock_timeout%3D60s", {"lock_timeout": "60000"}),
        ("options=--lock_timeout=60s&sslmode=prefer", {"lock_timeout": "60000"}),
    ],
)
def test_session_options_in_the_url_are_added(in_force, query, theirs):
    found = in_force(query)
    assert {name: found[name] for name in OURS | theirs} == OURS | theirs


def test_connection_options_in_the_url_are_added(configured):
    ours = configured("")["OPTIONS"]
    found = configured("sslmode=require&connect_timeout=9&keepalives_idle=60&options=-c%20jit%3Don")
    assert found["OPTIONS"] == ours | {
        "sslmode": "require",
        "connect_timeout": 9,
        "keepalives_idle": 60,
        "options": f"{ours['options']} -c jit=on",
    }
    assert (found["CONN_MAX_AGE"], found["CONN_HEALTH_CHECKS"]) == (60, True)
    assert configured("CONN_MAX_AGE=0")["CONN_MAX_AGE"] == 0


@pytest.mark.django_db
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_a_cut_connection_is_detected_within_seconds():
    """The options of the real socket: a peer that acknowledges nothing for 5 s counts as lost, even during a read."""
    connection.ensure_connection()
    with closing(socket.socket(fileno=os.dup(connection.connection.fileno()))) as line:
        if line.family == socket.AF_UNIX:
            pytest.skip("a database of this machine")
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5_000
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, count = (
            line.getsockopt(socket.IPPROTO_TCP, name)
            for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
    assert idle + interval * count <= 10


@pytest.mark.django_db(transaction=True)
def test_a_host_that_never_answers_is_503_within_seconds(api, monkeypatch):
    """A server accepts the connection and sends nothing, as behind a misconfigured firewall."""
    member = StaffFactory()
    client = api(member)
    connection.close()
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        monkeypatch.setitem(connections["default"].settings_dict, "HOST", "127.0.0.1")
        monkeypatch.setitem(connections["default"].settings_dict, "PORT", str(mute.getsockname()[1]))
        began = time.monotonic()
        answer = client.get(url(member, "turnover/stats/"))
        assert_error(answer, 503, "UNAVAILABLE")
        assert answer["Retry-After"] == "1"
        assert time.monotonic() - began < 8
    monkeypatch.undo()
    connection.close()
    assert client.get(url(member, "turnover/stats/")).status_code == 200


# --- checks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def session(monkeypatch):
    """``session(setting)`` starts connections with it, as behind a proxy that drops ours."""

    def begin(setting):
        options = connections["default"].settings_dict["OPTIONS"]
        monkeypatch.setitem(options, "options", f"{options['options']} -c {setting}")
        connection.close()

    yield begin
    monkeypatch.undo()
    connection.close()


def test_a_check_proves_the_lock_timeout_on_the_real_connection(transactional_db, session):
    assert run_checks(databases=["default"]) == []
    session("lock_timeout=0")
    assert run_checks() == []  # without a database query
    [problem] = run_checks(databases=["default"])
    assert (problem.id, problem.level) == ("hotelmate.E001", ERROR)
    assert "ALTER ROLE" in problem.hint
    with pytest.raises(SystemCheckError, match="E001"):
        call_command("migrate", verbosity=0, skip_checks=False)


def test_a_misconfigured_session_is_logged_at_start(transactional_db, session, monkeypatch, caplog):
    log_problems()
    assert caplog.messages == []
    session("lock_timeout=0")
    log_problems()
    [message] = caplog.messages
    assert message == f"{NO_LOCK_TIMEOUT.msg} {NO_LOCK_TIMEOUT.hint}"
    assert connection.connection is None
    caplog.clear()
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", "1")
    log_problems()
    assert caplog.messages == ["the settings of the database could not be checked: OperationalError"]
