"""Lets the processes of one machine count together: a folder, and in it a place for each process.

prometheus_client keeps counts in files of the folder that PROMETHEUS_MULTIPROC_DIR names, and adds the files up when
somebody reads. Left alone it names them after process ids: those of the dead pile up, and taking them away lets sums go
down, which a reader takes for new counts. Ours are named after places. A process takes the first free one and goes on
counting where the last that had it stopped; its lock goes with it, however it ends. Where nobody is left, whoever comes
next starts from nothing. Whoever reads or counts must see the same processes: one machine, or one container.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = f"hotelmate-metrics-{os.getuid()}-"
# Seconds; a younger folder may belong to somebody who is about to take a place in it.
JUST_MADE = 60


class Place:
    """This process's place in ``folder``, as prometheus_client asks for it at each count; notices a fork.

    Raises OSError where the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid = 0
        self._number = 0
        self._lock: int | None = None

    def __call__(self) -> int:
        if self._pid != os.getpid():
            self._take()
        return self._number

    def _take(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # the parent's: it keeps its own hold of it
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._folder / "guard", "a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if is_deserted(self._folder):
                for counts in self._folder.glob("*.db"):
                    counts.unlink()
            for self._number in count(1):
                self._lock = _lock(self._folder / f"place-{self._number}")
                if self._lock is not None:
                    break
        self._pid = os.getpid()


def is_deserted(folder: Path) -> bool:
    """Whether no process that lives has a place in it."""
    for path in folder.glob("place-*"):
        lock = _lock(path)
        if lock is None:
            return False
        os.close(lock)
    return True


def _lock(path: Path) -> int | None:
    """Lock the file until the descriptor is closed or its process ends; ``None`` when somebody else has."""
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def share() -> None:
    """Let this process's children count together, in a folder of their own unless the environment names one.

    It is removed when this process ends; where that was killed, when the next one on this machine starts.
    """
    if os.environ.get(VARIABLE):
        return
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else is removing it
            if time.time() - left.stat().st_mtime > JUST_MADE and is_deserted(left):
                shutil.rmtree(left)
    os.environ[VARIABLE] = folder = tempfile.mkdtemp(prefix=PREFIX)
    # A place of this process's own, which its children inherit: the folder is in use for as long as any of them lives.
    _lock(Path(folder) / "place-0")
    atexit.register(_remove, folder, os.getpid())


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # a forked child ends with the same list of things to do
        shutil.rmtree(folder, ignore_errors=True)
