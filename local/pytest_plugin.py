"""Provides the PostgreSQL of a test run: that of DATABASE_URL, or else an embedded one.

Loaded by ``-p`` in pyproject.toml, because pytest-django reads the settings before any conftest.py; ``pythonpath``
there makes it importable for a plain ``pytest`` too.
"""

import os
import signal
from itertools import count

import pytest

from local import LocalError
from local.datadir import DataDir
from local.postgres import EmbeddedPostgres, InUseError

# The same for every run, whatever the shell has set; nothing here connects to other machines.
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

# Test data need not survive a power cut.
UNSAFE_BUT_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before pytest-django reads the settings: set the environment, and start a server unless DATABASE_URL is set."""
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
    # Not in pytest_unconfigure, which is not called if the run fails before it is configured.
    early_config.add_cleanup(lambda: stop_own_server(postgres))
    os.environ["DATABASE_URL"] = url


def heed_ctrl_c() -> None:
    """Handle SIGINT: background jobs of a script (``make test &``) ignore it, and so would all child processes."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def start_own_server() -> tuple[EmbeddedPostgres, str]:
    """Start the first embedded server that no other test run uses: concurrent runs must not share a test database."""
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
    """Stop it even if there is a second Ctrl-C, which must not leave the server running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    postgres.release()
    signal.signal(signal.SIGINT, before)
