"""Workspaces for the mutation tests: copies of the code and databases, in a temporary folder."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psycopg2

from local import LocalError
from local.datadir import PROJECT, DataDir
from local.postgres import EmbeddedPostgres, public_place
from local.pytest_plugin import UNSAFE_BUT_FAST
from local.service import Pause

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".data", "node_modules", "__pycache__", ".*_cache", ".hypothesis")
TEMPLATE = "pattern"
# The cheapest test that needs the migrated database.
ANY_TEST = "tests/hotelmate/test_models.py::test_a_hotel_keeps_its_slug"
# In the order of the command line, until the first failure.
PYTEST = ("-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly", "--reuse-db", "-x", "--tb=no")
EXISTING_DATABASE = ("-p", "tools.mutants.plugin")
PASSED, FAILED = 0, 1
PATIENCE = 180.0  # seconds for one named test


class Ended(NamedTuple):
    """A pytest run: its exit code (``None``: stopped after a timeout), output and duration."""

    code: int | None
    output: str
    seconds: float


class Workspace:
    """One copy of the code and its database; one run at a time."""

    def __init__(self, number: int, folder: Path, postgres: EmbeddedPostgres, pause: Pause) -> None:
        self.database = f"mutant{number}"
        self.code = folder / self.database
        self._postgres, self._pause = postgres, pause
        shutil.copytree(PROJECT, self.code, ignore=LEFT_OUT)

    def write(self, path: str, text: str) -> None:
        """Replace a module of the copy."""
        (self.code / path).write_text(text)

    def renew_database(self, changes: Sequence[str] = ()) -> None:
        """Recreate the migrated database and apply ``changes``."""
        with closing(psycopg2.connect(self._postgres.url("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS test_{self.database} WITH (FORCE)")
                cursor.execute(f"CREATE DATABASE test_{self.database} TEMPLATE test_{TEMPLATE} STRATEGY wal_log")
        if changes:
            with closing(psycopg2.connect(self.test_url)) as connection, connection, connection.cursor() as cursor:
                for change in changes:
                    cursor.execute(change)

    @property
    def test_url(self) -> str:
        return self._postgres.url(f"test_{self.database}")

    def run(
        self,
        tests: Sequence[str],
        flags: Sequence[str] = EXISTING_DATABASE,
        *,
        database: str = "",
        patience: float = PATIENCE,
    ) -> Ended:
        """Run pytest in the copy, until its first failure."""
        began = time.monotonic()
        environment = {
            **os.environ,
            "DATABASE_URL": self._postgres.url(database or self.database),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOTELMATE_DATA_DIR": str(self.code / ".data"),
        }
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [sys.executable, *PYTEST, *flags, *tests],
                cwd=self.code,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = self._wait(process, began + patience)
            finally:
                _end(process)
            output.seek(0)
            return Ended(code, output.read(), time.monotonic() - began)

    def _wait(self, process: "subprocess.Popen[bytes]", deadline: float) -> int | None:
        while time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(0.05)
            self._pause(0)
        return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and everything that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


@contextmanager
def throwaway_workspaces(jobs: int, pause: Pause) -> Iterator[list[Workspace]]:
    """Workspaces with a migrated database to copy; everything is deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hotelmate-mutants-"))
    data = DataDir(folder / "data")
    try:
        data.prepare()
        postgres = EmbeddedPostgres(
            data, password=data.secrets()["POSTGRES_PASSWORD"], name="postgres-mutants", settings=UNSAFE_BUT_FAST
        )
        try:
            postgres.acquire(pause=pause)
            workspaces = [Workspace(number, folder, postgres, pause) for number in range(1, jobs + 1)]
            made = workspaces[0].run([ANY_TEST], ["--create-db"], database=TEMPLATE)
            if made.code != PASSED:
                raise LocalError(f"{ANY_TEST} fails before anything is removed:\n{made.output[-2000:]}")
            yield workspaces
        finally:
            postgres.release()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(public_place(data.path), ignore_errors=True)
