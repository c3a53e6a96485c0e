"""Installs the live board's browser packages (package-lock.json) into node_modules, when the lockfile has changed.

npm is optional: on any problem one sentence is printed, and the board loads pusher-js from a CDN.
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

# Without these, npm would wait for minutes for a registry that does not respond.
COMMAND = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
IMPATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=15000")
# `make run` waits for it before it starts PostgreSQL, also offline; it is only one package.
SECONDS = 30
TO_STOP = 5
OTHERWISE = "the live board loads pusher-js from Pusher's CDN, or else polls every few seconds."


def install(
    say: Callable[[str], None], pause: Pause, environ: Mapping[str, str] = os.environ, project: Path = PROJECT
) -> None:
    """Run ``npm ci`` if the lockfile has changed. ``pause`` may raise StopRequestedError."""
    lockfile = project / "package-lock.json"
    if not lockfile.exists():
        return
    with open(lockfile) as file:
        # Two HotelMates may start from one project at the same time.
        if not wait_until(lambda: try_lock(file.fileno(), fcntl.LOCK_EX), SECONDS, pause):
            say(f"Another start is still installing package-lock.json after {SECONDS} s; until it is done, {OTHERWISE}")
            return
        if is_installed(project):
            return
        npm = shutil.which("npm", path=environ.get("PATH", os.defpath))
        if npm is None:
            say(f"npm is not installed: {OTHERWISE}")
            return
        say("Installing package-lock.json into node_modules, because it has changed ...")
        if _npm_ci(npm, environ, project, pause):
            stamp(project).write_text(digest(project))
        else:
            say(f"npm could not install it; {OTHERWISE}")


def stamp(project: Path) -> Path:
    """The file with the digest of the lockfile that was last installed."""
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
            stdout=subprocess.DEVNULL,  # errors go to stderr
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
