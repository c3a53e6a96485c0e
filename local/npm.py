"""Installs what the live board needs in the browser (package-lock.json) into node_modules, when it has changed.

Nobody needs npm to run HotelMate: whatever is in the way is one sentence, and the board finds pusher-js elsewhere.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from local.datadir import PROJECT, try_lock
from local.service import Pause, wait_until

# From a registry that does not answer npm would wait for minutes.
COMMAND = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
IMPATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=15000")
# PostgreSQL waits for it at each start, offline too; it is one package.
SECONDS = 30
TO_STOP = 5
OTHERWISE = "the live board takes pusher-js from its makers' CDN, and without that asks every few seconds."


def install(
    say: Callable[[str], None], pause: Pause, environ: Mapping[str, str] = os.environ, project: Path = PROJECT
) -> None:
    """Run ``npm ci`` when the lockfile is another one than last time. ``pause`` may raise StopRequestedError."""
    lockfile = project / "package-lock.json"
    if not lockfile.exists():
        return
    with open(lockfile) as file:
        # Two HotelMates of one project at once.
        if not wait_until(lambda: try_lock(file.fileno(), fcntl.LOCK_EX), SECONDS, pause):
            say(f"Another start has been installing package-lock.json for {SECONDS} s; until it has, {OTHERWISE}")
            return
        if is_installed(project):
            return
        npm = shutil.which("npm", path=environ.get("PATH", os.defpath))
        if npm is None:
            say(f"There is no npm: {OTHERWISE}")
            return
        say("Installing package-lock.json into node_modules: a moment, only when it has changed ...")
        if _npm_ci(npm, environ, project, pause):
            stamp(project).write_text(digest(project))
        else:
            say(f"npm could not install it; {OTHERWISE}")


def stamp(project: Path) -> Path:
    """The file that holds the digest of the lockfile as last installed."""
    return project / "node_modules" / ".installed"


def digest(project: Path) -> str:
    return hashlib.sha256((project / "package-lock.json").read_bytes()).hexdigest()


def is_installed(project: Path) -> bool:
    return stamp(project).exists() and stamp(project).read_text() == digest(project)


def _npm_ci(npm: str, environ: Mapping[str, str], project: Path, pause: Pause) -> bool:
    try:
        child = subprocess.Popen(
            [npm, *COMMAND, *IMPATIENCE],
            cwd=project,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # what goes wrong is on stderr
        )
    except OSError:
        return False
    try:
        wait_until(lambda: child.poll() is not None, SECONDS, pause)
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(TO_STOP)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
    return child.returncode == 0
