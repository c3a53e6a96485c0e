"""``make test-pooled``: runs the tests as a web process behind PgBouncer in ``transaction`` mode.

A pytest plugin, loaded by ``-p tests.pooled``. The database role gets its settings by the statements of
docs/scaling.md.
"""

import os
import re
import runpy
from contextlib import ExitStack, closing
from typing import Any

import psycopg2
import pytest
from django.db import connection, connections

from local import LocalError, pytest_plugin
from local.datadir import PROJECT
from tools.harness.pgbouncer import pgbouncer

# Tests of what needs a session, or of the direct connection itself, by the beginning of their ids: these connect
# directly.
DIRECT = {
    "tests/common/test_prepared.py": "prepares statements, and ends a session by its process id",
    "tests/common/test_kept_connection.py": "ends a session by its process id, listens in it",
    "tests/common/test_database_away.py": "ends a session by its process id",
    "tests/common/test_read_only.py": "makes a session read-only",
    "tests/hotelmate/test_dry_run.py::test_a_lost_database": "ends a session by its process id",
    "tests/hotelmate/test_busy.py": "sets a session's lock_timeout",
    "tests/room_bookings/test_booking_races.py::test_twenty": "sets a session's lock_timeout",
    "tests/hotelmate/test_connection.py": "tests the start-up options of a direct connection",
    "tests/hotelmate/test_probes.py::test_a_standby_is_not_ready": "sets a start-up option",
    "tests/hotelmate/test_probes.py::test_a_session_without_lock_timeout": "sets a start-up option",
    "tests/notifications/test_relay": "the relay runs in the worker, under session locks",
    "tests/notifications/test_mail_sending.py": "mail is sent by the worker, under session locks",
    "tests/local/test_newcomer.py": "`make run` starts a PostgreSQL of its own",
    "tests/notifications/test_public_channels.py::test_a_public_channel_over": "the relay runs in the worker",
    "tests/notifications/test_worker.py": "the worker connects directly",
    "tests/notifications/test_web_process.py": "web processes with a relay",
    "tests/operations/test_periodic.py": "periodic work runs in the worker",
    "tests/operations/test_replay.py": "a command, with session settings",
    "tests/deploy/": "`migrate`, backups and other commands connect directly",
    "tests/docs/test_pages.py": "web processes with a relay",
}

POOLED, DIRECTLY = "transaction", ""
VARIABLES = {POOLED: "TESTS_POOLED_URL", DIRECTLY: "TESTS_DIRECT_URL"}
SWITCHED = ("HOST", "PORT", "OPTIONS", "DISABLE_SERVER_SIDE_CURSORS")
_found: dict[str, dict[str, Any]] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start PostgreSQL first, set up the role, and start PgBouncer."""
    pytest_plugin.pytest_load_initial_conftests(early_config)  # pytest calls it later, and it finds all done
    url = os.environ.get("DATABASE_URL")
    if "PYTEST_XDIST_WORKER" in os.environ or not url:
        return
    stack = ExitStack()
    early_config.add_cleanup(stack.close)
    page = (PROJECT / "docs" / "scaling.md").read_text()
    statements = re.findall(r"ALTER ROLE hotelmate (SET (\w+) = .*);", page)
    _alter_role(url, *(statement for statement, _ in statements))
    stack.callback(_alter_role, url, *(f"RESET {name}" for _, name in statements))
    try:
        pooled = stack.enter_context(pgbouncer(url, default_pool_size="60"))
    except LocalError as error:
        raise pytest.UsageError(str(error)) from error
    os.environ.update({VARIABLES[POOLED]: pooled, VARIABLES[DIRECTLY]: url})
    _use_environment(POOLED)


def _alter_role(url: str, *changes: str) -> None:
    with closing(psycopg2.connect(url)) as session, session, session.cursor() as cursor:
        for change in changes:
            cursor.execute(f"ALTER ROLE CURRENT_USER {change}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Connect as the test does: through the pooler, or directly."""
    use(DIRECTLY if any(item.nodeid.startswith(beginning) for beginning in DIRECT) else POOLED)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Any:
    """Create and drop the test database directly, as ``migrate`` does."""
    if fixturedef.argname != "django_db_setup":
        return (yield)
    before = os.environ["DATABASE_POOLER"]
    use(DIRECTLY)
    result = yield
    use(before)
    fixturedef.addfinalizer(_leave)
    return result


def _leave() -> None:
    """End the pooler's sessions: a database with sessions cannot be dropped."""
    use(DIRECTLY)
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as session, session.cursor() as cursor:
        name = connection.settings_dict["NAME"]
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name])


def use(pooler: str) -> None:
    """Connect in this way from now on: this process, and those that it starts."""
    if os.environ["DATABASE_POOLER"] == pooler and _found:
        return
    for kind in (POOLED, DIRECTLY):
        if kind not in _found:
            _use_environment(kind)
            _found[kind] = runpy.run_path(str(PROJECT / "hotelmate" / "settings.py"))["DATABASES"]["default"]
    _use_environment(pooler)
    connections.close_all()
    connection.settings_dict.update({name: _found[pooler][name] for name in SWITCHED})


def _use_environment(pooler: str) -> None:
    os.environ.update(DATABASE_POOLER=pooler, DATABASE_URL=os.environ[VARIABLES[pooler]])
    os.environ.pop("DATABASE_DIRECT_URL", None)
    if pooler:
        os.environ["DATABASE_DIRECT_URL"] = os.environ[VARIABLES[DIRECTLY]]
