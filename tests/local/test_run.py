"""The real launcher, with fakes for the processes that it starts."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import LocalError
from local.datadir import PROJECT, DataDir
from local.metrics_folder import shared_memory
from local.run import check_port, stop_all, wanted_port, welcome
from local.service import free_port, wait_until

from .conftest import forget

Launch = Callable[..., "Launched"]
UP = "HotelMate is up"
EXEC = [sys.executable, "-m", "local", "exec", "--"]


class Launched:
    """A launcher in a separate session, as in a terminal, and its output."""

    def __init__(self, command: list[str], project: Path, env: dict[str, str]) -> None:
        self.env = env
        self._output = project / f"output-{time.monotonic_ns()}"
        with open(self._output, "w") as output:
            self.process = subprocess.Popen(
                command, cwd=project, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def says(self, text: str) -> "Launched":
        assert wait_until(lambda: text in self.output or self.process.poll() is not None, 30)
        assert text in self.output
        return self

    def ends(self) -> int:
        return self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def used_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One data folder for all these tests, because PostgreSQL's first start is slow."""
    folder = tmp_path_factory.mktemp("used")
    yield folder
    forget(DataDir(folder))


@pytest.fixture
def data(used_folder: Path) -> Iterator[DataDir]:
    data = DataDir(used_folder)
    data.prepare()
    yield data
    stop_all(data)


@pytest.fixture
def launch(project: Path, clean_env: dict[str, str]) -> Iterator[Launch]:
    launched = []

    def launch(*command: str, **env: str) -> Launched:
        command = command or (sys.executable, "-W", "error", "-m", "local", "run")
        launched.append(Launched([*command], project, clean_env | env))
        return launched[-1]

    yield launch
    for one in launched:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def nothing_left(data: DataDir, project: Path) -> Callable[[], bool]:
    """Whether none of our processes runs, by the locks and by the kernel's process list."""

    def nothing_left() -> bool:
        services = [data.service(file.stem) for file in data.run.glob("*.json")]
        return not any(service.is_running() for service in services) and not processes_in(data.path, project)

    return nothing_left


def processes_in(*folders: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            traces = [(process / "cmdline").read_text(), os.readlink(process / "cwd")]
        except OSError:
            continue
        if any(str(folder) in trace for folder in folders for trace in traces):
            found.append(f"{process.name} {traces[0]}")
    return found


def get(port: int, path: str = "/") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def services(data: DataDir) -> dict[str, int | None]:
    return {name: data.service(name).pid for name in ("postgres", "pusher", "worker", "web")}


# --- starting ---------------------------------------------------------------------------------------------------------


def test_it_starts_everything_prints_the_next_steps_and_serves(launch: Launch, data: DataDir, nothing_left: Callable):
    launched = launch().says(UP)
    port, secrets = launched.env["PORT"], data.secrets()
    for text in (
        f"http://127.0.0.1:{port}/api/docs/",
        f"http://127.0.0.1:{port}/admin/",
        f"127.0.0.1:{data.service('pusher').port}, key {secrets['PUSHER_KEY']}",
        f"Mail       not sent, but written to {data.logs}/worker.log",
        secrets["DEMO_PASSWORD"],
        "resort-manager, resort-supervisor, resort-housekeeper, resort-frontdesk",
        "city-manager, city-supervisor, city-housekeeper, city-frontdesk",
        f"curl -s http://127.0.0.1:{port}/api/staff/login/",
    ):
        assert text in launched.output
    # The order of dependence.
    assert launched.output.index("fake migrate") < launched.output.index("fake seed_demo") < launched.output.index(UP)
    assert get(int(port)) == 200
    assert (data.logs / "worker.log").read_text() == "fake worker\n"
    launched.process.send_signal(signal.SIGINT)
    assert launched.ends() == 0
    assert nothing_left()


def test_web_server_and_worker_share_a_metrics_folder_by_default(launch: Launch, data: DataDir):
    for settings in ({}, {"PROMETHEUS_MULTIPROC_DIR": "/elsewhere"}):
        launched = launch(**settings).says(UP)
        folders = set()
        for pid in (data.service("web").pid, data.service("worker").pid):
            environ = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            folders |= {line.partition("=")[2] for line in environ if line.startswith("PROMETHEUS_MULTIPROC_DIR=")}
        [folder] = folders
        if settings:
            assert folder == "/elsewhere"
        else:
            assert Path(folder).parent == (shared_memory() or data.run)
        launched.process.send_signal(signal.SIGTERM)
        assert launched.ends() == 0
        assert not Path(folder).exists()


@pytest.mark.parametrize("coding", ["ascii", "utf-8"])
def test_it_prints_a_folder_name_that_the_terminal_cannot_encode(coding: str):
    """Even if the folder's name is not valid UTF-8."""
    done = subprocess.run(
        [sys.executable, "-c", r"from local.run import say; say('/home/se\u00e1n/\udcff')"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONIOENCODING": coding},
        capture_output=True,
        check=True,
    )
    letter = r"\xe1" if coding == "ascii" else "á"
    assert done.stdout.decode() == f"/home/se{letter}n/\\udcff\n"


def test_second_start_keeps_keys_and_ports(launch: Launch, data: DataDir):
    seen = []
    for _ in range(2):
        launched = launch().says(UP)
        seen.append(launched.output.partition(UP)[2].partition("API docs")[2])
        launched.process.send_signal(signal.SIGTERM)
        assert launched.ends() == 0
    assert seen[0].splitlines()[:8] == seen[1].splitlines()[:8]


def test_second_launcher_is_refused_without_disturbing_the_first(launch: Launch, data: DataDir):
    launched = launch().says(UP)
    before = services(data)
    second = launch(PORT=str(free_port()))
    assert second.ends() == 1
    assert second.output.strip() == (
        f"HotelMate is already running from {data.path} at http://127.0.0.1:{launched.env['PORT']}: "
        f"use that one, or stop it first (Ctrl-C there, or `kill {launched.process.pid}`)."
    )
    assert get(int(launched.env["PORT"])) == 200
    assert services(data) == before


def test_leftovers_of_a_killed_launcher_are_used_or_replaced(
    launch: Launch, data: DataDir, nothing_left: Callable[[], bool]
):
    launched = launch().says(UP)
    before = services(data)
    launched.process.kill()
    assert launched.ends() == -signal.SIGKILL
    assert not nothing_left()
    again = launch().says(UP)
    after = services(data)
    assert after["postgres"] == before["postgres"]
    assert after["web"] != before["web"]
    assert after["pusher"] != before["pusher"]
    assert after["worker"] != before["worker"]
    assert "Stopping worker, left over from last time ..." in again.output
    again.process.send_signal(signal.SIGINT)
    assert again.ends() == 0
    assert nothing_left()


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("target", ["launcher", "make", "everyone"])
def test_signals_to_any_process_leave_nothing_behind(
    launch: Launch, data: DataDir, nothing_left: Callable[[], bool], number: int, target: str
):
    if target == "make" and number != signal.SIGTERM and not Path("/proc/self/status").exists():
        pytest.skip("this system does not show that make was asked to stop")
    launched = launch("make", "run", f"PYTHON={sys.executable}").says(UP)
    launcher = json.loads((data.run / "launcher").read_text())["pid"]
    for _ in range(3):
        try:
            if target == "everyone":
                os.killpg(launched.process.pid, number)
            else:
                os.kill(launcher if target == "launcher" else launched.process.pid, number)
        except ProcessLookupError:
            break  # already exited
        time.sleep(0.05)
    launched.ends()
    assert "Stopped." in launched.output
    assert "Traceback" not in launched.output
    assert nothing_left()


def test_killing_make_stops_everything(launch: Launch, nothing_left: Callable[[], bool]):
    launched = launch("make", "run", f"PYTHON={sys.executable}").says(UP)
    launched.process.kill()
    launched.ends()
    assert wait_until(nothing_left, 30)


def test_ctrl_c_during_the_start_ends_the_start(launch: Launch, nothing_left: Callable[[], bool]):
    launched = launch(SLOW="30").says("fake migrate")
    launched.process.send_signal(signal.SIGINT)
    launched.process.send_signal(signal.SIGINT)
    assert launched.ends() == 0
    assert UP not in launched.output
    assert nothing_left()


def test_nohup_is_respected(launch: Launch):
    launched = launch("nohup", sys.executable, "-m", "local", "run").says(UP)
    launched.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert get(int(launched.env["PORT"])) == 200
    launched.process.send_signal(signal.SIGTERM)
    assert launched.ends() == 0


def test_it_stops_with_a_closed_terminal(launch: Launch, project: Path, nothing_left: Callable[[], bool]):
    launched = launch("sh", "-c", f"{sys.executable} -m local run | head -1").says("Starting PostgreSQL")
    os.killpg(launched.process.pid, signal.SIGTERM)
    launched.ends()
    assert wait_until(nothing_left, 30)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ("postgres", "PostgreSQL ended unexpectedly; {logs}/postgres.log ends:"),
        ("pusher", "The Pusher server ended unexpectedly; {logs}/pusher.log ends:\nout of beds"),
        ("worker", "The worker ended unexpectedly; {logs}/worker.log ends:\nfake worker\nout of stamps"),
        ("web", "The web server ended unexpectedly; see its output above."),
    ],
)
def test_process_that_dies_is_named_and_the_others_are_stopped(
    launch: Launch, data: DataDir, nothing_left: Callable[[], bool], service: str, sentence: str
):
    launched = launch().says(UP)
    died = data.service(service)
    assert died.pid
    if service in ("postgres", "worker"):
        os.kill(died.pid, signal.SIGKILL if service == "postgres" else signal.SIGUSR1)
    else:
        assert died.port
        with pytest.raises(http.client.RemoteDisconnected):
            get(died.port, "/die")
    assert launched.ends() == 1
    assert sentence.format(logs=data.logs) in launched.output
    assert "Traceback" not in launched.output
    assert nothing_left()


def test_a_failing_migration_ends_the_start(launch: Launch, nothing_left: Callable[[], bool]):
    launched = launch(FAILS="migrate")
    assert launched.ends() == 1
    assert launched.output.endswith("\n`manage.py migrate` failed: see its output above.\n")
    assert "seed_demo" not in launched.output
    assert nothing_left()


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"PORT": "80x"}, "PORT is '80x'"),
        ({"DATABASE_URL": "mysql://x/y"}, "not of the form postgres://"),
        ({"DATABASE_URL": "postgres://u:p@127.0.0.1:1/x"}, "Can't connect to DATABASE_URL"),
        ({"PUSHER_KEY": "k"}, "must be set together"),
        ({"HOTELMATE_DATA_DIR": "/dev/null/data"}, "can't be used (Not a directory)"),
    ],
)
def test_user_errors_are_one_line(launch: Launch, env: dict[str, str], sentence: str):
    launched = launch(**env)
    assert launched.ends() == 1
    assert sentence in launched.output.splitlines()[-1]
    assert "Traceback" not in launched.output


def test_busy_port_is_reported_before_anything_starts(launch: Launch):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        launched = launch(PORT=str(port))
        assert launched.ends() == 1
    assert launched.output.startswith(f"\nPort {port} is in use by another program")


def test_a_port_below_1024_may_be_for_root_only():
    if os.access("/proc/sys/net/ipv4/ip_unprivileged_port_start", os.R_OK) and os.geteuid():
        with pytest.raises(LocalError, match="reserved for root"):
            check_port(1)
    else:
        check_port(1)


def test_default_port_is_8000():
    assert wanted_port({}) == wanted_port({"PORT": ""}) == 8000
    assert wanted_port({"PORT": "9000"}) == 9000
    for wrong in ("0", "65536", "-1", "http"):
        with pytest.raises(LocalError, match="from 1 to 65535"):
            wanted_port({"PORT": wrong})


def test_pusher_account_is_shown():
    text = welcome({"PORT": "8000", "PUSHER_KEY": "k", "DEMO_PASSWORD": "it's me"}, 1, "x/worker.log")
    assert "Pusher Channels, key k" in text
    assert "not sent, but written to x/worker.log" in text
    # Ready to paste, with any password.
    assert """'{"username": "resort-housekeeper", "password": "it'"'"'s me"}'""" in text


def test_mail_provider_is_shown():
    env = {"PORT": "8000", "PUSHER_KEY": "k", "DEMO_PASSWORD": "p", "EMAIL_URL": "smtp://user:secret@mail.example"}
    text = welcome(env, 1, "x/worker.log")
    assert "Mail       sent through the server in EMAIL_URL\n" in text
    assert "secret" not in text


# --- the smaller commands ---------------------------------------------------------------------------------------------


def test_exec_shares_the_server_of_make_run(launch: Launch, data: DataDir):
    launched = launch().says(UP)
    before = services(data)
    other = launch(*EXEC, "manage.py", "shell")
    assert other.ends() == 0
    assert other.output == "fake shell\n"
    assert services(data) == before
    assert get(int(launched.env["PORT"])) == 200
    assert data.service("postgres").is_running()


def test_exec_keeps_the_server_when_make_run_stops_first(launch: Launch, data: DataDir, nothing_left: Callable):
    launched = launch().says(UP)
    other = launch(*EXEC, "sh", "-c", "echo in; sleep 1.5").says("in")
    launched.process.send_signal(signal.SIGINT)
    assert launched.ends() == 0
    assert data.service("postgres").is_running()
    assert other.ends() == 0
    assert nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_exec_forwards_signals_and_stops_its_processes(launch: Launch, nothing_left: Callable[[], bool], number: int):
    other = launch(*EXEC, "sh", "-c", "echo in; exec sleep 60").says("in")
    other.process.send_signal(number)
    assert other.ends() == 128 + number
    assert nothing_left()


def test_exec_leaves_ctrl_c_to_the_command(launch: Launch, nothing_left: Callable[[], bool]):
    other = launch(*EXEC, "sh", "-c", "trap 'echo caught' INT; echo in; sleep 1; echo out").says("in")
    os.killpg(other.process.pid, signal.SIGINT)
    assert other.ends() == 0
    assert other.output.split() == ["in", "caught", "out"]
    assert nothing_left()


def test_exec_of_a_missing_command_is_reported(launch: Launch):
    other = launch(*EXEC, "/no/such/program")
    assert other.ends() == 127
    assert other.output == "/no/such/program: No such file or directory\n"


RESET = [sys.executable, "-W", "error", "-m", "local", "reset"]


def psql(sql: str) -> list[str]:
    """A command that runs ``sql`` in the data folder's database."""
    code = f"""
import os, psycopg2
connection = psycopg2.connect(os.environ["DATABASE_URL"])
connection.autocommit = True
cursor = connection.cursor()
cursor.execute({sql!r})
print(cursor.fetchone()[0])
"""
    return [*EXEC, sys.executable, "-c", code]


def test_reset_recreates_the_database_and_keeps_the_password(launch: Launch, data: DataDir, nothing_left: Callable):
    secrets = data.secrets()
    assert launch(*psql("CREATE TABLE guests AS SELECT 'Ada' AS name; SELECT name FROM guests")).ends() == 0
    again = launch(*RESET)
    assert again.ends() == 0, again.output
    assert again.output.splitlines() == [
        "Dropping the database ...",
        "manage.py migrate ...",
        "fake migrate",
        "manage.py seed_demo ...",
        "fake seed_demo",
        "The demo has been reset: start it with `make run`.",
    ]
    gone = launch(*psql("SELECT coalesce(to_regclass('guests')::text, 'gone')"))
    assert (gone.ends(), gone.output) == (0, "gone\n")
    assert data.secrets() == secrets
    assert nothing_left()


def test_reset_is_refused_while_make_run_runs(launch: Launch, data: DataDir):
    launched = launch().says(UP)
    before = services(data)
    refused = launch(*RESET)
    assert refused.ends() == 1
    assert f"HotelMate is already running from {data.path} at http://127.0.0.1:{launched.env['PORT']}" in refused.output
    assert "Ctrl-C there" in refused.output
    assert "Dropping" not in refused.output
    assert services(data) == before


def test_reset_is_refused_while_a_command_runs(launch: Launch):
    other = launch(*EXEC, "sh", "-c", "echo in; sleep 60").says("in")
    refused = launch(*RESET)
    assert refused.ends() == 1
    assert refused.output == "\nAnother command is still using the database: wait for it, or stop it.\n"
    other.process.send_signal(signal.SIGTERM)
    assert other.ends() == 128 + signal.SIGTERM


def test_reset_never_touches_an_external_database(launch: Launch, data: DataDir):
    refused = launch(*RESET, DATABASE_URL="postgres://me:secret@127.0.0.1:1/mine")
    assert refused.ends() == 1
    assert refused.output.startswith("\nDATABASE_URL is set, and HotelMate only drops its own embedded database")
    assert "unset DATABASE_URL" in refused.output
    assert "secret" not in refused.output
    assert not data.service("postgres").is_running()


def test_reset_stops_the_leftovers_of_a_killed_launcher(launch: Launch, nothing_left: Callable[[], bool]):
    launched = launch().says(UP)
    launched.process.kill()
    launched.ends()
    again = launch(*RESET)
    assert again.ends() == 0, again.output
    assert "Stopping web, left over from last time ..." in again.output
    assert nothing_left()


def test_failed_reset_is_reported_and_stops_its_processes(launch: Launch, nothing_left: Callable[[], bool]):
    again = launch(*RESET, FAILS="seed_demo")
    assert again.ends() == 1
    assert "The demo has been reset" not in again.output
    assert nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reset_can_be_interrupted(launch: Launch, nothing_left: Callable[[], bool], number: int):
    again = launch(*RESET, SLOW="30").says("fake migrate")
    os.killpg(again.process.pid, number)
    assert again.ends() == 128 + number
    assert nothing_left()


def test_clean_stops_everything_and_removes_its_files(launch: Launch, data: DataDir, nothing_left: Callable):
    launched = launch().says(UP)
    (data.path / "notes.txt").write_text("mine")
    cleaner = launch(sys.executable, "-m", "local", "clean")
    assert cleaner.ends() == 0
    assert launched.ends() == 0
    assert "Stopping HotelMate" in cleaner.output
    assert nothing_left()
    assert [path.name for path in data.path.iterdir()] == ["notes.txt"]
    (data.path / "notes.txt").unlink()


def test_clean_stops_the_leftovers_of_a_killed_launcher(launch: Launch, data: DataDir, nothing_left: Callable):
    launched = launch().says(UP)
    launched.process.kill()
    launched.ends()
    assert launch(sys.executable, "-m", "local", "clean").ends() == 0
    assert nothing_left()
    assert not data.path.exists()


def test_clean_with_nothing_to_do(launch: Launch, tmp_path: Path):
    assert launch(sys.executable, "-m", "local", "clean", HOTELMATE_DATA_DIR=str(tmp_path / "no")).ends() == 0
