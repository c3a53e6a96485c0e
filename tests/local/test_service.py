"""Local services: ports, starting, stopping and finding them again."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from local import LocalError
from local.datadir import DataDir
from local.service import free_port, port_is_free, wait_until

from .conftest import python

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# A parent that exits immediately, and a child that stays.
ORPHAN = ["sh", "-c", "sleep 60 & exit 0"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]


def test_wait_until_gives_up_after_its_time():
    began = time.monotonic()
    assert not wait_until(lambda: False, 0.1)
    assert time.monotonic() - began < 5


def test_a_port_in_use_is_not_free_and_another_one_is_chosen():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not port_is_free(port)
        assert free_port(port) != port
    assert port_is_free(port)
    assert free_port(port) == port


def test_a_service_starts_is_found_by_others_and_stops(data: DataDir):
    service, same = data.service("web"), data.service("web")
    assert not same.is_running()
    service.start(SLEEP, port=8123)
    assert same.is_running()
    assert same.pid == service.pid
    same.stop()
    assert not service.is_running()
    assert same.port == 8123


def test_stopping_a_stopped_service_is_a_no_op(data: DataDir):
    data.service("web").stop()


def test_stop_ends_children_that_outlived_their_parent(data: DataDir):
    service = data.service("web")
    service.start(ORPHAN, port=0)
    assert wait_until(lambda: service.exit_code == 0, 10)
    assert service.is_running()
    service.stop()
    assert not service.is_running()


def test_stop_kills_after_an_ignored_signal(data: DataDir):
    service = data.service("web")
    service.start(STUBBORN, port=0)
    assert wait_until(lambda: "deaf" in service.log_tail(), 10)
    service.stop(seconds=0.3)
    assert not service.is_running()
    assert service.exit_code == -signal.SIGKILL


def test_service_survives_its_killed_launcher_and_is_found(data: DataDir):
    program = f"""
import os, signal
from pathlib import Path
from local.datadir import DataDir
DataDir(Path({str(data.path)!r})).service("web").start({SLEEP!r}, port=8123)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert python("-c", program).returncode == -signal.SIGKILL
    service = data.service("web")
    assert service.is_running()
    assert service.port == 8123
    service.stop()
    assert not service.is_running()


def test_an_old_pid_is_never_signalled(data: DataDir):
    with subprocess.Popen(SLEEP, start_new_session=True) as stranger:
        (data.run / "web.json").write_text(f'{{"pid": {stranger.pid}, "port": 1}}')
        service = data.service("web")
        assert not service.is_running()
        service.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_running_service_without_a_pid_is_an_error_not_a_guess(data: DataDir):
    service = data.service("web")
    service.start(SLEEP, port=0)
    pid = service.pid
    (data.run / "web.json").write_text("")
    with pytest.raises(LocalError, match="kill it by hand"):
        service.stop()
    assert pid
    os.killpg(pid, signal.SIGKILL)
    assert wait_until(lambda: not service.is_running(), 10)


def test_log_tail_is_the_end_of_the_log(data: DataDir):
    service = data.service("web")
    assert service.log_tail() == ""
    service.start(["sh", "-c", "seq 20"], port=0)
    assert wait_until(lambda: not service.is_running(), 10)
    assert service.log_tail(2) == "19\n20"
