"""The smaller commands: one program with HotelMate's environment, and removing all that was made."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from hotelmate.local.datadir import PROJECT, DataDir
from hotelmate.local.environment import database, environment
from hotelmate.local.postgres import public_place
from hotelmate.local.run import say, stop_all
from hotelmate.local.signals import StopRequestedError, StopSignals


def execute(command: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run ``command`` with a database and secrets, and return its exit code; ``manage.py`` means ours.

    It shares the PostgreSQL of a running ``make run``, else it starts one and stops it afterwards.
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
    """The child's exit code as a shell puts it. A Ctrl-C reaches the child by itself; other signals are passed on."""
    while child.poll() is None:
        try:
            signals.pause(0.05)
        except StopRequestedError:
            if signals.received != signal.SIGINT:
                child.send_signal(signals.received or signal.SIGTERM)
            signals.received = None
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def clean(environ: Mapping[str, str] = os.environ) -> None:
    """Stop everything and remove what we made in the data folder: of what else lies there, nothing is touched."""
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
