"""Builds Django's environment: variables from the shell take precedence over those from the data folder."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from local import LocalError
from local.datadir import DataDir
from local.postgres import EmbeddedPostgres
from local.service import Pause, free_port

OLDEST_POSTGRES = 15
PUSHER_ACCOUNT = ("PUSHER_APP_ID", "PUSHER_KEY", "PUSHER_SECRET")


def uses_embedded_pusher(environ: Mapping[str, str]) -> bool:
    """Whether to use the embedded Pusher server: the shell names none. Raises LocalError for half an account."""
    missing = [name for name in PUSHER_ACCOUNT if not environ.get(name)]
    if len(missing) == len(PUSHER_ACCOUNT) and not environ.get("PUSHER_HOST"):
        return True
    if missing:
        raise LocalError(
            f"{', '.join(PUSHER_ACCOUNT)} must be set together, and {', '.join(missing)} is missing: "
            "set all three, or unset them and PUSHER_HOST to use the embedded Pusher server."
        )
    return False


def environment(data: DataDir, database_url: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The complete environment for a command of the project."""
    secrets = data.secrets()
    env = {
        **environ,
        "HOTELMATE_DATA_DIR": str(data.path),
        "DATABASE_URL": database_url,
        "SECRET_KEY": environ.get("SECRET_KEY") or secrets["SECRET_KEY"],
        "DEMO_PASSWORD": environ.get("DEMO_PASSWORD") or secrets["DEMO_PASSWORD"],
        # So that `pytest` and `mypy` are the ones in .venv.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)]),
    }
    if uses_embedded_pusher(environ):
        env.update({name: secrets[name] for name in PUSHER_ACCOUNT})
        port = data.service("pusher").port or free_port()
        env.update(PUSHER_CLUSTER="", PUSHER_HOST="127.0.0.1", PUSHER_PORT=str(port), PUSHER_SSL="0")
    return env


@contextmanager
def database(data: DataDir, environ: Mapping[str, str] = os.environ, pause: Pause = time.sleep) -> Iterator[str]:
    """A working DATABASE_URL: the shell's, or that of the embedded PostgreSQL, which runs within the block."""
    if url := environ.get("DATABASE_URL"):
        check_database(url)
        yield url
        return
    postgres = EmbeddedPostgres(data, password=data.secrets()["POSTGRES_PASSWORD"])
    try:
        yield postgres.acquire(pause=pause)
    finally:
        postgres.release()


def check_database(url: str) -> None:
    """Raise LocalError unless ``url`` connects to a PostgreSQL that is new enough."""
    import psycopg2  # here, because `make clean` must work without the packages

    remedy = "correct it, or unset it to use the embedded PostgreSQL."
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("postgres", "postgresql") and parts.path.strip("/") and (parts.port or True)
    except ValueError:
        named = False
    if not named:
        raise LocalError(f"DATABASE_URL is not of the form postgres://user:password@host:port/database: {remedy}")
    try:
        connection = psycopg2.connect(url, connect_timeout=5)
    except psycopg2.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise LocalError(f"Can't connect to DATABASE_URL ({reason}): {remedy}") from error
    found = connection.server_version
    connection.close()
    require_version(found)


def require_version(number: int) -> None:
    """Raise LocalError if the server is too old. ``number`` is PostgreSQL's version number: 150004 is 15.4."""
    if number < OLDEST_POSTGRES * 10_000:
        raise LocalError(
            f"DATABASE_URL connects to PostgreSQL {number // 10_000}, and HotelMate needs {OLDEST_POSTGRES} or newer: "
            "upgrade it, or unset DATABASE_URL to use the embedded PostgreSQL."
        )
