"""The data folder, with everything that HotelMate keeps on this machine: secrets, database, logs and pid files."""

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
    """A password that is easy to read and type, such as ``bakemu-tolire-94``: about 43 bits, for a loopback demo."""

    def word() -> str:
        return "".join(secrets.choice("bdfghjklmnprstvz") + secrets.choice("aeiou") for _ in range(3))

    return f"{word()}-{word()}-{secrets.randbelow(90) + 10}"


# Generated on the first start and kept. Pusher requires an app id of digits.
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
        """Create the folder; raises LocalError if it can't be used."""
        try:
            # Root could use it, but would leave files in it that its owner can't access.
            if self.path.exists() and self.path.stat().st_uid != os.geteuid():
                raise LocalError(
                    f"The data folder {self.path} belongs to another user: "
                    "run this as that user, or set HOTELMATE_DATA_DIR to another folder."
                )
            for folder in (self.path, self.run, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Only keep others' execute bits, which are set if PostgreSQL runs as another user (postgres.py).
                folder.chmod(0o700 | (folder.stat().st_mode & 0o011))
            (self.run / "guard").touch(mode=0o600)
        except OSError as error:
            raise LocalError(
                f"The data folder {self.path} can't be used ({error.strerror}): "
                "make it writable for you, or set HOTELMATE_DATA_DIR to another folder."
            ) from error

    def service(self, name: str, *, logged: bool = True) -> Service:
        return Service(name, run_dir=self.run, log=self.logs / f"{name}.log" if logged else None)

    @contextmanager
    def guard(self, pause: Pause = time.sleep) -> Iterator[None]:
        """Serializes the processes that start and stop services. Waits up to a minute."""
        with open(self.run / "guard") as file:
            if not wait_until(lambda: try_lock(file.fileno(), fcntl.LOCK_EX), 60, pause):
                raise LocalError(f"Another HotelMate command is using {self.path}: try again when it is done.")
            yield

    def secrets(self) -> dict[str, str]:
        """The generated secrets; missing ones are generated now."""
        with self.guard():
            try:
                known = json.loads(self._secrets.read_text())
            except FileNotFoundError:
                known = {}
            except (OSError, ValueError) as error:
                raise LocalError(
                    f"{self._secrets} can't be read ({error}): repair the file, or remove all data with `make clean`."
                ) from error
            missing = {name: make() for name, make in GENERATED.items() if name not in known}
            if missing:
                # Written to a new file and renamed: a crash must not leave half a file in place of the only passwords.
                fresh = self._secrets.with_suffix(".new")
                fresh.touch(mode=0o600)
                fresh.write_text(json.dumps(known | missing, indent=2) + "\n")
                fresh.replace(self._secrets)
            return {**known, **missing}


def try_lock(fd: int, kind: int) -> bool:
    """Take a lock of ``kind`` (``LOCK_SH``, ``LOCK_EX``) on an open file; returns whether it was free."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
