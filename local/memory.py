"""Where the counters' files lie (common/metrics.py): in memory. They are mapped, and a process that writes to one on a
full disk is killed, in the middle of a request that only reads."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

SHARED = Path("/dev/shm")  # noqa: S108 - what we make there is a folder that only we may enter
ENOUGH = 16 * 1_048_576  # bytes: 64 kB for each kind of figure and process
PREFIX = "hotelmate-metrics-"
FRESH = 60  # seconds for which a folder may be one that is just being made

_made: list[Path] = []


def shared_memory() -> Path | None:
    """The machine's files in memory, when it has them and there is room; they go with a restart of the machine."""
    try:
        room = os.statvfs(SHARED)
    except OSError:
        return None
    return SHARED if os.access(SHARED, os.W_OK | os.X_OK) and room.f_bavail * room.f_frsize >= ENOUGH else None


def make_counters_folder(otherwise: Path | None = None) -> Path:
    """A new folder, which only this user may enter, until ``remove_counters_folders``.

    In memory, or else in ``otherwise`` or where temporary files go. What a process that was killed has left behind is
    removed.
    """
    place = shared_memory() or otherwise or Path(tempfile.gettempdir())
    _remove_left_over(place)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    # Kept open by this process and those that it forks: the lock says that somebody uses it.
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
    _made.append(folder)
    return folder


def remove_counters_folders() -> None:
    """Those that this process has made."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


def _remove_left_over(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        try:
            found = folder.lstat()
            if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or time.time() - found.st_mtime < FRESH:
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # somebody else has just removed it
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(descriptor)
