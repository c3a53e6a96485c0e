"""PgBouncer, from the system's package, with ``deploy/pgbouncer.ini`` for tests and bench."""

import configparser
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg2.extensions import parse_dsn

from local import LocalError
from local.datadir import PROJECT
from local.postgres import NOBODY, UNSHARE, choose_privilege
from local.service import Pause, free_port, wait_until

DEPLOYED = PROJECT / "deploy" / "pgbouncer.ini"


def program() -> str:
    """PgBouncer's path: HOTELMATE_PGBOUNCER, or that of the package. Raises LocalError if it is missing."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    found = os.environ.get("HOTELMATE_PGBOUNCER") or shutil.which("pgbouncer", path=path)
    if not found:
        raise LocalError("PgBouncer is not installed: apt install pgbouncer (or set HOTELMATE_PGBOUNCER to its path).")
    return found


@contextmanager
def pgbouncer(database_url: str, pause: Pause = time.sleep, **settings: str) -> Iterator[str]:
    """Run PgBouncer in front of this server within the block; yields the URL that leads through it.

    ``settings`` override those of ``deploy/pgbouncer.ini``.
    """
    direct = parse_dsn(database_url)
    user, password = direct["user"], direct.get("password") or os.environ.get("PGPASSWORD", "")
    server = f"host={direct.get('host', '/var/run/postgresql')} port={direct.get('port', 5432)}"
    port, privilege, command = free_port(), choose_privilege(), [program()]
    with tempfile.TemporaryDirectory(prefix="hotelmate-pgbouncer-") as name:
        folder = Path(name)
        # No fixed port, socket or file.
        ours = {"listen_port": str(port), "unix_socket_dir": "", "logfile": "", "pidfile": "", "admin_users": user}
        config = configparser.ConfigParser(interpolation=None)
        config.read(DEPLOYED)
        config["databases"] = {"*": server}
        config["pgbouncer"].update(ours | {"auth_file": str(folder / "userlist.txt")} | settings)
        with open(folder / "pgbouncer.ini", "w") as file:
            config.write(file)
        (folder / "userlist.txt").write_text(f'"{user}" "{password}"\n')
        as_nobody: dict[str, Any] = {}
        if privilege == "namespace":  # like PostgreSQL, it refuses to run as root
            command = [*UNSHARE, *command]
        elif privilege == "nobody":
            as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            folder.chmod(0o755)
        with open(folder / "log", "w") as log:
            process = subprocess.Popen(
                [*command, str(folder / "pgbouncer.ini")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_nobody
            )
        try:
            if not wait_until(lambda: process.poll() is not None or _accepts(port), 20, pause) or process.poll():
                raise LocalError(f"PgBouncer did not start:\n{(folder / 'log').read_text()}")
            yield f"postgres://{quote(user)}:{quote(password)}@127.0.0.1:{port}/{direct['dbname']}"
        finally:
            process.kill()
            process.wait()


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
