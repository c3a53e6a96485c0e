"""Gives a test run its PostgreSQL: the one of DATABASE_URL, else an embedded one of its own.

Loaded by ``-p`` in pyproject.toml, because pytest-django reads the settings before any conftest.py; ``pythonpath``
there makes it importable for a bare ``pytest`` too.
"""

import os
import signal
from itertools import count

import pytest

from local import LocalError
from local.datadir import DataDir
from local.postgres import EmbeddedPostgres, InUseError

# Tests of a house that nothing in the shell can change, and that talk to no one outside.
ENVIRONMENT = {
    "DEVELOPMENT": "1",
    "SECRET_KEY": "only for tests",
    "PUSHER_APP_ID": "1",
    "PUSHER_KEY": "key",
    "PUSHER_SECRET": "secret",
    "PUSHER_CLUSTER": "",
    "PUSHER_HOST": "127.0.0.1",
    "PUSHER_PORT": "9",
    "PUSHER_SSL": "0",
    "REALTIME_RELAY": "off",
}
NEVER = ("DEFAULT_FROM_EMAIL", "EMAIL_URL", "SENTRY_DSN", "STRIPE_SECRET_KEY")

# Nobody misses this data after a power cut.
UNSAFE_BUT_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before pytest-django looks: set the environment, and start the server unless there is one."""
    heed_ctrl_c()
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # inherited from the controller
    os.environ.update(ENVIRONMENT)
    for name in NEVER:
        os.environ.pop(name, None)
    options = early_config.known_args_namespace
    if os.environ.get("DATABASE_URL") or options.help or options.version:
        return
    try:
        postgres, url = start_own_server()
    except LocalError as error:
        raise pytest.UsageError(str(error)) from error
    # Not by a hook alone: a run that fails before it is configured never gets to pytest_unconfigure.
    early_config.add_cleanup(lambda: stop_own_server(postgres))
    os.environ["DATABASE_URL"] = url


def heed_ctrl_c() -> None:
    """A script's background job (``make test &``) is deaf to it, and so would be all that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def start_own_server() -> tuple[EmbeddedPostgres, str]:
    """The first embedded server that no other test run uses: two runs at once must not share a test database."""
    data = DataDir.from_environment()
    data.prepare()
    password = data.secrets()["POSTGRES_PASSWORD"]
    for number in count(1):
        postgres = EmbeddedPostgres(data, password=password, name=f"postgres-test-{number}", settings=UNSAFE_BUT_FAST)
        try:
            return postgres, postgres.acquire(alone=True)
        except InUseError:
            continue
    raise AssertionError("count() never ends")


def stop_own_server(postgres: EmbeddedPostgres) -> None:
    """Stop it whatever happens: an impatient second Ctrl-C must not leave it behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    postgres.release()
    signal.signal(signal.SIGINT, before)
