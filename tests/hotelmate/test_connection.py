"""Settings of connections to PostgreSQL, with any DATABASE_URL, and the time that a dead connection costs a request."""

import os
import re
import runpy
import socket
import threading
import time
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connection, connections

from common.postgres import validation
from common.postgres.base import DatabaseWrapper
from common.postgres.validation import NO_LOCK_TIMEOUT, NO_OPTIONS, NO_SESSION, require_guarantees
from tests.conftest import url
from tests.factories import StaffFactory
from tests.http import assert_error

SETTINGS = settings.BASE_DIR / "hotelmate" / "settings.py"


@pytest.fixture
def configured(monkeypatch):
    """``configured(query)`` returns the database settings for a DATABASE_URL with that query string."""

    def read(query, **environ):
        monkeypatch.setenv("DATABASE_URL", f"{os.environ['DATABASE_URL'].partition('?')[0]}?{query}")
        monkeypatch.delenv("REALTIME_RELAY", raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        found = runpy.run_path(str(SETTINGS))
        return found["DATABASES"]["default"] | {"RELAY": found["REALTIME_RELAY"]}

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


@pytest.mark.django_db
def test_a_command_may_wait_for_locks_for_longer(in_force, monkeypatch):
    """It applies to any DATABASE_URL, with or without a query; a lock_timeout in its options wins."""
    monkeypatch.setenv("DATABASE_LOCK_TIMEOUT", "60s")
    assert [in_force(query)["lock_timeout"] for query in ("", "sslmode=prefer")] == ["60000", "60000"]
    assert in_force("options=-c%20lock_timeout%3D5s")["lock_timeout"] == "5000"


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
def test_several_hosts_are_tried_in_turn(monkeypatch):
    """Those that are down are skipped; with three hosts, each gets less time."""
    real = connection.settings_dict
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nothing listens
        down = f"127.0.0.1:{taken.getsockname()[1]}"
        for hosts, seconds in (([down], 4), ([down, down], 2)):
            netloc = ",".join([*hosts, f"{real['HOST']}:{real['PORT']}"])
            monkeypatch.setenv("DATABASE_URL", f"postgres://{real['USER']}@{netloc}/x?target_session_attrs=read-write")
            found = runpy.run_path(str(SETTINGS))["DATABASES"]["default"]
            assert found["OPTIONS"]["connect_timeout"] == seconds
            other = DatabaseWrapper({**real, **{name: found[name] for name in ("HOST", "PORT", "OPTIONS")}})
            with closing(other), other.cursor() as cursor:
                cursor.execute("SHOW transaction_read_only")
                assert cursor.fetchone() == ("off",)


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


def test_a_process_with_a_lost_guarantee_does_not_start(transactional_db, session, caplog):
    require_guarantees()
    assert caplog.messages == []
    session("lock_timeout=0")
    with pytest.raises(SystemExit) as refusal:
        require_guarantees()
    assert refusal.value.code == 3  # gunicorn stops, instead of starting the next process
    assert caplog.messages == [f"{NO_LOCK_TIMEOUT.msg} {NO_LOCK_TIMEOUT.hint}"]
    assert connection.connection is None


def test_an_unreachable_database_is_checked_when_it_is_back(transactional_db, session, monkeypatch, caplog):
    """The process starts; if the database then loses a guarantee, it stops as on SIGTERM, and cannot start again."""
    stopped = threading.Event()
    monkeypatch.setattr(validation.os, "kill", lambda *_: stopped.set())
    monkeypatch.setattr(validation, "PAUSE", 0.01)
    session("lock_timeout=0")
    database = connections["default"].settings_dict
    port = database["PORT"]
    database["PORT"] = "1"
    try:
        require_guarantees()
        assert caplog.messages == ["the settings of the database could not be checked: OperationalError"]
        assert not stopped.is_set()
    finally:
        database["PORT"] = port
    assert stopped.wait(20)
    assert caplog.messages[1:] == [f"{NO_LOCK_TIMEOUT.msg} {NO_LOCK_TIMEOUT.hint}"]


def test_a_pooler_that_refuses_our_options_is_named(monkeypatch, caplog):
    """The words are PgBouncer's."""

    def refuse(_self):
        raise OperationalError("FATAL:  unsupported startup parameter: options")

    monkeypatch.setattr(DatabaseWrapper, "ensure_connection", refuse)
    with pytest.raises(SystemExit):
        require_guarantees()
    assert caplog.messages == [f"{NO_OPTIONS.msg} {NO_OPTIONS.hint}"]


def test_the_guide_sets_on_the_role_what_a_connection_sets():
    page = (settings.BASE_DIR / "docs" / "scaling.md").read_text()
    assert dict(re.findall(r"ALTER ROLE hotelmate SET (\w+) = '(.*)';", page)) == settings.SESSION_SETTINGS


def test_a_database_of_ascii_letters_is_refused(transactional_db):
    """In locale C, lower-casing knows no other letters: a search for елена would not find Елена."""
    own = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE DATABASE {own}_ascii TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    other = connection.copy()
    other.settings_dict["NAME"] = f"{own}_ascii"
    try:
        with closing(other):
            assert [problem.id for problem in validation.problems(other)] == ["hotelmate.E004"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {own}_ascii WITH (FORCE)")


# --- behind a pooler that shares sessions -----------------------------------------------------------------------------

POOLED = {"DATABASE_POOLER": "transaction", "DATABASE_DIRECT_URL": "postgres://hotelmate@direct/hotelmate"}


def test_behind_a_pooler_web_processes_rely_on_no_session(configured):
    found = configured("sslmode=require", **POOLED)
    assert "options" not in found["OPTIONS"]  # PgBouncer would refuse them, or drop them
    assert (found["OPTIONS"]["sslmode"], found["OPTIONS"]["connect_timeout"]) == ("require", 4)
    assert found["DISABLE_SERVER_SIDE_CURSORS"]
    assert found["RELAY"] == "off"
    direct = configured("", DATABASE_POOLER="")
    assert (direct["DISABLE_SERVER_SIDE_CURSORS"], direct["RELAY"]) == (False, "thread")


@pytest.mark.parametrize(
    ("query", "environ", "named"),
    [
        ("", POOLED | {"DATABASE_POOLER": "statement"}, "must be 'transaction'"),
        ("", POOLED | {"DATABASE_DIRECT_URL": ""}, "DATABASE_DIRECT_URL"),
        ("", POOLED | {"REALTIME_RELAY": "thread"}, "REALTIME_RELAY"),
        ("options=-c%20statement_timeout%3D5s", POOLED, "ALTER ROLE"),
    ],
)
def test_settings_that_contradict_the_pooler_are_refused(configured, query, environ, named):
    with pytest.raises(ImproperlyConfigured, match=named):
        configured(query, **environ)


def test_commands_connect_directly(monkeypatch):
    for name, value in POOLED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("django.core.management.execute_from_command_line", lambda _: None)
    monkeypatch.setattr("sys.argv", ["manage.py", "worker"])
    monkeypatch.setenv("DATABASE_URL", "postgres://hotelmate@pooler/hotelmate")
    runpy.run_path(str(settings.BASE_DIR / "manage.py"), run_name="__main__")
    assert (os.environ["DATABASE_URL"], os.environ["DATABASE_POOLER"]) == (POOLED["DATABASE_DIRECT_URL"], "")


def test_a_worker_does_not_start_behind_a_pooler(monkeypatch, caplog):
    """As with django-admin, which does not know DATABASE_DIRECT_URL."""
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", value=True)
    with pytest.raises(SystemExit):
        require_guarantees(session=True)
    assert caplog.messages == [f"{NO_SESSION.msg} {NO_SESSION.hint}"]


class Pooler:
    """Hands out its sessions to clients: the one that was returned last, or each in turn; or one to each client."""

    def __init__(self, kind, sessions):
        self.kind, self.free, self.kept = kind, list(range(1, sessions + 1)), {}

    def session_for(self, client):
        if self.kind == "session":
            return self.kept.setdefault(client, len(self.kept) + 1)
        if self.kind == "in turn":
            self.free.append(self.free.pop(0))
        return self.free[-1]


class Client:
    """What ``shares_sessions`` uses of a connection."""

    def __init__(self, pooler):
        self.pooler = pooler

    def copy(self):
        return Client(self.pooler)

    @contextmanager
    def cursor(self):
        yield SimpleNamespace(execute=lambda _: None, fetchone=lambda: (self.pooler.session_for(self),))

    def close(self):
        pass


@pytest.mark.parametrize(
    ("kind", "sessions", "shared"),
    [
        ("last", 1, True),
        ("last", 5, True),
        *(("in turn", sessions, True) for sessions in range(1, 6)),
        ("session", 5, False),  # as without a pooler
    ],
)
def test_a_pooler_that_shares_sessions_is_found_out(kind, sessions, shared):
    assert validation.shares_sessions(Client(Pooler(kind, sessions))) == shared


def test_settings_that_the_role_lacks_are_named(transactional_db, settings, caplog):
    settings.SESSION_SETTINGS = {"random_page_cost": "1.1", "geqo_seed": "0.5"}  # a connection sets only the first
    require_guarantees()
    assert caplog.messages == ["Not set on the database's role: geqo_seed (docs/scaling.md)."]
