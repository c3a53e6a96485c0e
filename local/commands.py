"""The smaller commands: run a program in HotelMate's environment, reset the demo, remove everything."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress

from local import LocalError
from local.datadir import PROJECT, DataDir
from local.environment import database, environment
from local.postgres import NAME, EmbeddedPostgres, InUseError, public_place
from local.run import say, single_instance, stop_all, wanted_port
from local.signals import StopRequestedError, StopSignals


def execute(command: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run ``command`` with a database and secrets, and return its exit code; ``manage.py`` is the project's own.

    It uses the PostgreSQL of a running ``make run``; otherwise it starts one and stops it afterwards.
    """
    signals = StopSignals()
    signals.install()
    data = DataDir.from_environment(environ)
    data.prepare()
    with suppress(StopRequestedError), database(data, environ, signals.pause) as url:
        words = [sys.executable, str(PROJECT / "manage.py"), *command[1:]] if command[0] == "manage.py" else command
        try:
            child = subprocess.Popen(words, env=environment(data, url, environ))
        except OSError as error:
            say(f"{words[0]}: {error.strerror}")
            return 127
        return wait_for(child, signals)
    return 128 + (signals.received or signal.SIGTERM)


def wait_for(child: "subprocess.Popen[bytes]", signals: StopSignals) -> int:
    """Return the child's exit code as a shell would. Ctrl-C reaches the child directly; other signals are forwarded."""
    while child.poll() is None:
        try:
            signals.pause(0.05)
        except StopRequestedError:
            if signals.received != signal.SIGINT:
                child.send_signal(signals.received or signal.SIGTERM)
            signals.received = None
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def reset(environ: Mapping[str, str] = os.environ) -> int:
    """Drop the embedded database and load a fresh demo for today; returns an exit code. Keys and password stay.

    Raises LocalError while HotelMate is running, or if DATABASE_URL names another database.
    """
    if environ.get("DATABASE_URL"):
        raise LocalError(
            "DATABASE_URL is set, and HotelMate only drops its own embedded database: unset DATABASE_URL, or point it "
            "to an empty database and let `make run` load the demo there."
        )
    signals = StopSignals()
    signals.install()
    data = DataDir.from_environment(environ)
    port = wanted_port(environ)
    data.prepare()
    with suppress(StopRequestedError), single_instance(data, port):
        for service in map(data.service, ("web", "worker", "setup", "pusher")):
            if service.is_running():
                say(f"Stopping {service.name}, left over from last time ...")
                service.stop()
        postgres = EmbeddedPostgres(data, password=data.secrets()["POSTGRES_PASSWORD"])
        try:
            env = environment(data, postgres.acquire(alone=True, pause=signals.pause), environ)
            say("Dropping the database ...")
            _recreate_database(postgres)
            for task in ("migrate", "seed_demo"):
                say(f"manage.py {task} ...")
                code = wait_for(subprocess.Popen([sys.executable, "manage.py", task], env=env, cwd=PROJECT), signals)
                if code:
                    return code
        except InUseError:
            raise LocalError("Another command is still using the database: wait for it, or stop it.") from None
        finally:
            postgres.release()
        say("The demo has been reset: start it with `make run`.")
        return 0
    return 128 + (signals.received or signal.SIGTERM)


def _recreate_database(postgres: EmbeddedPostgres) -> None:
    """Replace our database by an empty one; open connections to it are closed."""
    import psycopg2  # here, because `make clean` must work without the packages

    with closing(psycopg2.connect(postgres.url("postgres"), connect_timeout=10)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {NAME}")


def clean(environ: Mapping[str, str] = os.environ) -> None:
    """Stop everything and remove what we made in the data folder; other files in it are left alone."""
    data = DataDir.from_environment(environ)
    stop_all(data)
    ours = [data.run, data.logs, *data.path.glob("secrets.*"), *data.path.glob("postgres*"), public_place(data.path)]
    for path in ours:
        if path.is_dir():
            say(f"Removing {path}")
            shutil.rmtree(path)
        elif path.exists():
            say(f"Removing {path}")
            path.unlink()
    with suppress(OSError):  # not there, or not empty
        data.path.rmdir()
