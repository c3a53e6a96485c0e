"""Background processes that a later start can find again, even if the process that started them has died."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from local import LocalError

Pause = Callable[[float], None]


def wait_until(condition: Callable[[], bool], seconds: float, pause: Pause = time.sleep) -> bool:
    """Whether ``condition`` came true within ``seconds``; ``pause`` may raise to give up earlier."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause(0.05)
    return True


def port_is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback address. Raises PermissionError for a reserved port."""
    with socket.socket() as probe:
        # A stopped server leaves connections in TIME_WAIT, which must not count as in use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise
        except OSError:
            return False
        return True


def free_port(preferred: int | None = None) -> int:
    """``preferred`` if it is free, else a port that the kernel chooses."""
    if preferred and port_is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """A background process and its state file: ``{"pid": …, "port": …}``.

    The process and all its children inherit a lock on that file, so the lock is held for exactly as long as any process
    of the tree is alive. So nobody has to guess whether the pid in the file is still valid, even after SIGKILL or a
    reboot; and while the lock is held, the pid is the id of the tree's process group, so it is safe to signal. The port
    is kept when the process ends: the next start prefers it.
    """

    def __init__(self, name: str, *, run_dir: Path, log: Path | None) -> None:
        self.name = name
        self.log = log
        self._file = run_dir / f"{name}.json"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int | None:
        """The port of the last start, or None before the first one."""
        port = self._state().get("port")
        return port if isinstance(port, int) else None

    @property
    def pid(self) -> int | None:
        """The pid of the last start; valid only while ``is_running()``."""
        pid = self._state().get("pid")
        return pid if isinstance(pid, int) else None

    @property
    def exit_code(self) -> int | None:
        """The exit code, if this process started it; None while it runs or if another process started it."""
        if self._child is None:
            return None
        # The lock is released a moment before the exit code is available.
        return self._child.poll() if self.is_running() else self._child.wait()

    def is_running(self) -> bool:
        """Whether any process of the tree is alive, whichever process started it."""
        if self._child:
            self._child.poll()
        try:
            with open(self._file) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def start(
        self, command: Sequence[str | Path], *, port: int, env: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        """Start ``command``, which must not be running, in its own session, so that Ctrl-C does not reach it."""
        with open(self._file, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)
            with ExitStack() as stack:
                self._child = subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=stack.enter_context(open(self.log, "wb")) if self.log else None,
                    stderr=subprocess.STDOUT if self.log else None,
                    env=env,
                    pass_fds=[file.fileno()],
                    start_new_session=True,
                    **options,
                )
            json.dump({"pid": self._child.pid, "port": port}, file)

    def stop(self, signum: int = signal.SIGTERM, *, seconds: float = 10) -> None:
        """Stop the whole tree with ``signum`` and, after ``seconds``, with SIGKILL; does nothing if it isn't running.

        Nothing interrupts this, not even a second Ctrl-C: otherwise processes would be left behind.
        """
        for number in (signum, signal.SIGKILL):
            if self.is_running():
                self._signal(number)
                wait_until(lambda: not self.is_running(), seconds)
        if self.is_running():
            raise LocalError(f"{self.name} (process {self.pid}) does not stop: kill it by hand.")
        if self._child:
            self._child.wait()

    def log_tail(self, lines: int = 10) -> str:
        """The end of the log, for error messages."""
        if not self.log or not self.log.exists():
            return ""
        with open(self.log, errors="replace") as log:
            return "".join(deque(log, lines)).rstrip()

    def _signal(self, number: int) -> None:
        if not self.pid:
            raise LocalError(f"{self.name} is running, but {self._file} doesn't contain its pid: kill it by hand.")
        with suppress(ProcessLookupError):  # it has ended in the meantime
            os.killpg(self.pid, number)

    def _state(self) -> dict[str, object]:
        try:
            state = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}
