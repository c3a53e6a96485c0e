"""A separate data folder for each test, and a project whose parts are cheap fakes."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from local.datadir import PROJECT, DataDir
from local.postgres import public_place
from local.run import stop_all
from local.service import free_port


@pytest.fixture(autouse=True, scope="session")
def _sighup_is_not_ignored() -> None:
    """Processes inherit ignored signals from the test run: under ``nohup``, they would ignore SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# A fake gunicorn and Pusher server: responds to every request, and exits after "GET /die".
FAKE_SERVER = """
import http.server, os, signal, sys
port = int(sys.argv[sys.argv.index("--port" if "--port" in sys.argv else "--bind") + 1].rpartition(":")[2])
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            print("out of beds", flush=True)
            os._exit(1)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
FAKE_MANAGE = """
import os, signal, sys, time
print("fake", sys.argv[1], flush=True)
if sys.argv[1] == "worker":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(print("out of stamps", flush=True) or 1))
    while True:
        signal.pause()
time.sleep(float(os.environ.get("SLOW", "0")))
sys.exit(os.environ.get("FAILS") == sys.argv[1])
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    data = DataDir(tmp_path / "data")
    data.prepare()
    yield data
    forget(data)


def forget(data: DataDir) -> None:
    """Stop the processes that a test left running, and remove its files outside its folder."""
    stop_all(data)
    shutil.rmtree(public_place(data.path), ignore_errors=True)


@pytest.fixture
def clean_env(data: DataDir) -> dict[str, str]:
    """The environment of a fresh shell: nothing from this test run, and the test's data folder and port."""
    mine = ("PUSHER_", "PYTEST_", "COV_", "MAKE", "MFLAGS", "DJANGO_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    for name in ("DATABASE_URL", "DEVELOPMENT", "SECRET_KEY", "REALTIME_RELAY", "DEMO_PASSWORD", "EMAIL_URL"):
        env.pop(name, None)
    return env | {"HOTELMATE_DATA_DIR": str(data.path), "PORT": str(free_port())}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project for ``make run``: the real launcher and Makefile, everything else fake."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "local", project / "local", ignore=shutil.ignore_patterns("pusher_server"))
    shutil.copy(PROJECT / "Makefile", project)
    files = {
        "hotelmate/__init__.py": "",
        "local/pusher_server.py": FAKE_SERVER,
        "gunicorn.py": FAKE_SERVER,
        "manage.py": FAKE_MANAGE,
        "requirements.txt": "",
        "requirements/local.txt": "",
        "requirements/test.txt": "",
        ".venv/installed-requirements.txt": sha256(b"").hexdigest(),
        ".venv/installed-local.txt": sha256(b"").hexdigest(),
        ".venv/installed-test.txt": sha256(b"").hexdigest(),
        ".venv/bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / ".venv/bin/python").chmod(0o755)
    return project


def python(*arguments: str, cwd: Path = PROJECT, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False, **options
    )  # type: ignore[call-overload,no-any-return]
