"""The folder for the counter files of common/metrics.py, in memory: they are mapped, and on a full disk a process that
writes to one is killed, even in a request that only reads."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

SHARED = Path("/dev/shm")  # noqa: S108 - the folder made there is accessible to this user only
ENOUGH = 16 * 1_048_576  # bytes: 64 kB for each kind of figure and process
PREFIX = "hotelmate-metrics-"
FRESH = 60  # seconds during which a folder may still be in creation

_made: list[Path] = []


def shared_memory() -> Path | None:
    """The machine's in-memory file system, if it has one with enough room. A reboot clears it."""
    try:
        room = os.statvfs(SHARED)
    except OSError:
        return None
    return SHARED if os.access(SHARED, os.W_OK | os.X_OK) and room.f_bavail * room.f_frsize >= ENOUGH else None


def make_counters_folder(otherwise: Path | None = None) -> Path:
    """Make a folder that only this user can access; ``remove_counters_folders`` deletes it.

    It is in memory, or else in ``otherwise`` or the folder for temporary files. Folders left over by killed processes
    are deleted.
    """
    place = shared_memory() or otherwise or Path(tempfile.gettempdir())
    _remove_left_over(place)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    # Kept open by this process and its forks: the lock marks the folder as in use.
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
    _made.append(folder)
    return folder


def remove_counters_folders() -> None:
    """Delete the folders that this process has made."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


def _remove_left_over(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        try:
            found = folder.lstat()
            if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or time.time() - found.st_mtime < FRESH:
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another process has just removed it
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(descriptor)
