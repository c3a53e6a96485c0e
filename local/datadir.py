"""The folder that holds all that HotelMate keeps on this machine: secrets, database, logs and pid files."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local import LocalError
from local.service import Pause, Service, wait_until

PROJECT = Path(__file__).resolve().parents[1]


def readable_password() -> str:
    """A password that can be read out and typed, such as ``bakemu-tolire-94``: about 43 bits, for a loopback demo."""

    def word() -> str:
        return "".join(secrets.choice("bdfghjklmnprstvz") + secrets.choice("aeiou") for _ in range(3))

    return f"{word()}-{word()}-{secrets.randbelow(90) + 10}"


# What is made once, on the first start, and then stays. Pusher wants an app id of digits.
GENERATED = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "POSTGRES_PASSWORD": lambda: secrets.token_urlsafe(24),
    "PUSHER_APP_ID": lambda: str(secrets.randbelow(900_000) + 100_000),
    "PUSHER_KEY": lambda: secrets.token_hex(10),
    "PUSHER_SECRET": lambda: secrets.token_hex(10),
    "DEMO_PASSWORD": readable_password,
}


class DataDir:
    """``HOTELMATE_DATA_DIR``, by default ``.data`` in the project. Only its owner can read it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.run = self.path / "run"
        self.logs = self.path / "logs"
        self._secrets = self.path / "secrets.json"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "DataDir":
        return cls(Path(environ.get("HOTELMATE_DATA_DIR") or PROJECT / ".data"))

    def prepare(self) -> None:
        """Make the folder, or say in one sentence why it can't be used."""
        try:
            # Root could use it and would leave files behind in it that its owner can't.
            if self.path.exists() and self.path.stat().st_uid != os.geteuid():
                raise LocalError(
                    f"The data folder {self.path} belongs to another user: "
                    "be that user, or name another folder in HOTELMATE_DATA_DIR."
                )
            for folder in (self.path, self.run, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Others may pass through where the database runs as another user (postgres.py), but never look around.
                folder.chmod(0o700 | (folder.stat().st_mode & 0o011))
            (self.run / "guard").touch(mode=0o600)
        except OSError as error:
            raise LocalError(
                f"The data folder {self.path} can't be used ({error.strerror}): "
                "make it writable for you, or name another one in HOTELMATE_DATA_DIR."
            ) from error

    def service(self, name: str, *, logged: bool = True) -> Service:
        return Service(name, run_dir=self.run, log=self.logs / f"{name}.log" if logged else None)

    @contextmanager
    def guard(self, pause: Pause = time.sleep) -> Iterator[None]:
        """One process at a time decides here who starts or stops what. Waits up to a minute for its turn."""
        with open(self.run / "guard") as file:
            if not wait_until(lambda: try_lock(file.fileno(), fcntl.LOCK_EX), 60, pause):
                raise LocalError(f"Another HotelMate command is busy with {self.path}: try again when it is done.")
            yield

    def secrets(self) -> dict[str, str]:
        """The generated secrets; what is missing is made now."""
        with self.guard():
            try:
                known = json.loads(self._secrets.read_text())
            except FileNotFoundError:
                known = {}
            except (OSError, ValueError) as error:
                raise LocalError(f"{self._secrets} can't be read ({error}): put the file right.") from error
            missing = {name: make() for name, make in GENERATED.items() if name not in known}
            if missing:
                # Written aside and renamed: a crash must not leave half a file where the only password was.
                fresh = self._secrets.with_suffix(".new")
                fresh.touch(mode=0o600)
                fresh.write_text(json.dumps(known | missing, indent=2) + "\n")
                fresh.replace(self._secrets)
            return {**known, **missing}


def try_lock(fd: int, kind: int) -> bool:
    """Take a lock of ``kind`` (``LOCK_SH``, ``LOCK_EX``) on an open file if nobody else's is in its way."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
