"""The pytest plugin, in test runs of a small project that loads it as the real one does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.datadir import DataDir
from local.service import wait_until

Run = Callable[..., "subprocess.Popen[str]"]

CONFIGURATION = """
[tool.pytest.ini_options]
addopts = "-p local.pytest_plugin"
pythonpath = ["."]
filterwarnings = ["error"]
"""
SUITE = """
import os, time
import psycopg2

def test_there_is_a_database():
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    cursor = connection.cursor()
    cursor.execute("SHOW fsync")
    print("\\nDATABASE", os.environ["DATABASE_URL"], cursor.fetchone()[0], os.environ["SECRET_KEY"])
    connection.close()
    print("AS", os.environ.get("SENTRY_DSN"), os.environ["PUSHER_HOST"], flush=True)
    deadline = time.monotonic() + 20
    while "WAIT" in os.environ and not os.path.exists(os.environ["WAIT"]) and time.monotonic() < deadline:
        time.sleep(0.05)

def test_there_is_a_database_for_every_worker():
    test_there_is_a_database()
"""


@pytest.fixture
def run(project: Path, clean_env: dict[str, str]) -> Run:
    (project / "pyproject.toml").write_text(CONFIGURATION)
    (project / "test_suite.py").write_text(SUITE)
    # As in an activated environment.
    env = clean_env | {"PATH": f"{Path(sys.executable).parent}:{clean_env['PATH']}"}
    # Loading all installed plugins takes longer than these tests.
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def run(*command: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command, cwd=project, env=env | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    return run


def read_until(process: "subprocess.Popen[str]", word: str) -> str:
    assert process.stdout
    for line in process.stdout:
        if line.startswith(word):
            return line.removeprefix(word).strip()
    raise AssertionError(f"no {word}")


def runs(data: DataDir, number: int = 1) -> bool:
    return data.service(f"postgres-test-{number}").is_running()


@pytest.mark.parametrize(
    "command",
    [
        ["pytest"],
        ["python", "-m", "pytest"],
        ["pytest", "-n", "2"],
        ["pytest", "test_suite.py::test_there_is_a_database"],
        ["make", "test", f"PYTHON={sys.executable}", "ARGS=-q"],
    ],
    ids=" ".join,
)
def test_every_way_to_run_the_tests_has_a_database(run: Run, data: DataDir, command: list[str]):
    process = run(*command, PYTEST_ADDOPTS="-p xdist")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "passed" in output
    assert not runs(data)


def test_run_is_fast_and_ignores_the_shells_variables(run: Run, data: DataDir):
    process = run("pytest", "-s", SENTRY_DSN="https://real", PUSHER_HOST="real")
    output, _ = process.communicate(timeout=60)
    database = f"postgres://hotelmate:{data.secrets()['POSTGRES_PASSWORD']}@127.0.0.1:"
    assert f"DATABASE {database}" in output
    assert "/hotelmate off only for tests\nAS None 127.0.0.1\n" in output


def test_a_given_database_is_used(run: Run, data: DataDir):
    process = run("pytest", "-s", DATABASE_URL=os.environ["DATABASE_URL"])
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert f"DATABASE {os.environ['DATABASE_URL']}" in output
    assert not data.service("postgres-test-1").pid


def test_help_starts_nothing(run: Run, data: DataDir):
    process = run("pytest", "--help")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert not data.service("postgres-test-1").pid


def test_server_that_cannot_start_is_a_one_line_error(run: Run):
    process = run("pytest", HOTELMATE_DATA_DIR="/dev/null/data")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.USAGE_ERROR
    assert output.startswith("ERROR: The data folder /dev/null/data can't be used")
    assert "Traceback" not in output


def test_two_concurrent_runs_have_separate_servers(run: Run, data: DataDir, tmp_path: Path):
    flag = tmp_path / "go"
    with run("pytest", "-s", WAIT=str(flag)) as first, run("pytest", "-s", WAIT=str(flag)) as second:
        urls = {read_until(first, "DATABASE"), read_until(second, "DATABASE")}
        assert len(urls) == 2
        assert runs(data, 1)
        assert runs(data, 2)
        flag.touch()
        first.communicate(timeout=60)
        second.communicate(timeout=60)
    assert first.returncode == second.returncode == 0
    assert not runs(data, 1)
    assert not runs(data, 2)


def test_a_killed_run_leaves_a_server_that_the_next_one_uses_and_stops(run: Run, data: DataDir, tmp_path: Path):
    with run("pytest", "-s", WAIT=str(tmp_path / "never")) as process:
        url = read_until(process, "DATABASE")
        process.kill()
    assert runs(data)
    pid = data.service("postgres-test-1").pid
    with run("pytest", "-s") as process:
        assert read_until(process, "DATABASE") == url
        assert data.service("postgres-test-1").pid == pid
        process.communicate(timeout=60)
    assert not runs(data)


@pytest.mark.parametrize("command", [["pytest", "-s"], ["sh", "-c", "trap '' INT; exec pytest -s"]])
def test_ctrl_c_twice_stops_the_server_too(run: Run, data: DataDir, tmp_path: Path, command: list[str]):
    """Even if a script runs the tests in the background, as CI may, so that they ignore the signal."""
    with run(*command, WAIT=str(tmp_path / "never")) as process:
        read_until(process, "AS")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    # The second signal may arrive while pytest reports the first: then Python itself ends by it.
    assert process.returncode in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT), output
    assert wait_until(lambda: not runs(data), 10)
