"""A whole HotelMate installation in a temporary folder: every process can be started, disturbed and stopped."""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from local import LocalError
from local.datadir import PROJECT, DataDir
from local.environment import environment
from local.postgres import EmbeddedPostgres, public_place
from local.run import wait_for_response
from local.service import Pause, Service, port_is_free, wait_until
from tools.harness.chaos import PlannedFault
from tools.harness.delivery import Applied, Arrival, Change, Sent, Stored
from tools.harness.writer import Request

# Nothing else of the shell's environment: no existing database, provider or setting is touched.
INHERITED = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH")
# Below the kernel's ephemeral ports, so that no other process gets the Pusher server's port while it is down.
PORTS = range(20_000, 32_000)
WORKER_HELLO = "Worker running"
PULSE, GAP = 0.2, 0.05  # seconds for which a slowed server is stopped, and runs


class Lines:
    """The JSON lines that a process prints, read as they appear."""

    def __init__(self, file: Path | None) -> None:
        assert file
        self._name = file.stem
        self._file = open(file)  # noqa: SIM115 - open for the whole run
        self._rest = ""

    def new(self) -> list[Any]:
        """The lines printed since the last call; raises LocalError if one is not JSON."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise LocalError(f"{self._name} printed:\n" + "\n".join(lines[-10:])) from error


class SubscriberLog:
    """Everything that the subscribers have printed so far."""

    def __init__(self, service: Service) -> None:
        self._lines = Lines(service.log)
        self.arrivals: list[Arrival] = []
        self.applied: list[Applied] = []
        self.counts: Counter[str] = Counter()
        self.last: dict[str, int] = {}

    def read(self) -> None:
        """Read new lines. Raises LocalError when a subscriber has failed."""
        for facts in self._lines.new():
            kind = facts.pop("kind")
            self.counts[kind] += 1
            if kind == "event":
                self.arrivals.append(Arrival(**facts))
            elif kind == "applied":
                self.applied.append(Applied(**facts))
                self.last[facts["hotel"]] = facts["seq"]
            elif kind == "failed":
                raise LocalError(f"The subscriber in {facts['hotel']} failed: {facts['error']}")


class Installation:
    """The processes by name, and what they have recorded. Use ``throwaway_installation``."""

    def __init__(self, data: DataDir, pause: Pause, settings: str = "hotelmate.settings") -> None:
        self.data = data
        self._settings = settings
        self.on_pause: Callable[[], None] = lambda: None  # called after every pause
        self._pause = pause
        self.kills: Counter[str] = Counter()
        self.fault_counts: Counter[str] = Counter()
        # In the folders that `python -m local clean` removes.
        self._hotels, self._record, self._tmp = data.run / "hotels", data.logs / "published.jsonl", data.run / "tmp"
        free = (port for port in random.sample(PORTS, len(PORTS)) if port_is_free(port))
        self.web_port, self.pusher_port = next(free), next(free)
        self.web: Service
        self.pusher: Service
        self.workers: list[Service] = []
        self.writers: list[Service] = []
        self.subscribers: SubscriberLog
        self.requests: list[Request] = []
        self.sent: list[Sent] = []
        self._published: Lines
        self._services: dict[str, Service] = {}
        self._env: dict[str, str] = {}
        self._database: Any = None

    def pause(self, seconds: float) -> None:
        """Sleep; raises StopRequestedError after Ctrl-C or SIGTERM."""
        self._pause(seconds)
        self.on_pause()

    # --- up and down --------------------------------------------------------------------------------------------------

    def open(self, stack: ExitStack) -> None:
        """Start PostgreSQL with the settings of ``make run``, create the hotels, and start the Pusher server."""
        # It also records when each change was committed, from which delivery times are measured.
        postgres = EmbeddedPostgres(
            self.data,
            password=self.data.secrets()["POSTGRES_PASSWORD"],
            settings={"track_commit_timestamp": "on"},
        )
        stack.callback(postgres.release)
        url = postgres.acquire(pause=self.pause)
        stack.callback(self.kill_all)
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._env = environment(self.data, url, inherited) | {
            "DEVELOPMENT": "1",
            "DJANGO_SETTINGS_MODULE": self._settings,
            "PUSHER_PORT": str(self.pusher_port),
            # Files that a killed process leaves behind are deleted with the folder.
            "TMPDIR": str(self._tmp),
        }
        self._tmp.mkdir()
        self._database = stack.enter_context(closing(psycopg2.connect(url)))
        self._database.autocommit = True
        self.run("manage.py", "migrate")
        self.run("-m", "tools.harness.hotels", self._hotels)
        self.start_pusher()
        self._published = Lines(self._record)

    @property
    def environment(self) -> dict[str, str]:
        """The processes' environment variables."""
        return dict(self._env)

    @property
    def postgres(self) -> int:
        """The pid of PostgreSQL's postmaster."""
        return self.data.service("postgres").pid or 0

    def start_subscribers(self) -> None:
        """Start the subscribers; they need the web server."""
        address = f"ws://127.0.0.1:{self.pusher_port}/app/{self._env['PUSHER_KEY']}?protocol=7&client=drill&version=1"
        words = ("-m", "tools.harness.pusher_client", self._hotels, "--port", self.web_port, "--pusher", address)
        self.subscribers = SubscriberLog(self._start("subscriber", *words))
        hotels = len(json.loads(self._hotels.read_text()))

        def connected() -> bool:
            self.subscribers.read()
            return self.subscribers.counts["connected"] >= hotels

        self._await(connected, "the subscribers")

    def stop_subscribers(self) -> None:
        """Stop the subscribers."""
        self._services["subscriber"].stop()

    def run(self, *words: object) -> None:
        """Run a Python command to its end. Raises LocalError if it fails."""
        task = self._start("task", *words)
        wait_until(lambda: not task.is_running(), 300, self.pause)
        task.stop()  # afterwards it has an exit code, even if it had to be stopped
        if task.exit_code != 0:
            raise LocalError(f"{' '.join(map(str, words))} failed:\n{task.log_tail(40)}")

    def start_web(self, *, processes: int, relay: str, name: str = "web", **environ: str) -> None:
        """Start gunicorn as deployed, on ``web_port``; ``relay``: thread or off. From now on it is ``web``."""
        self._env |= {"WEB_CONCURRENCY": str(processes), "REALTIME_RELAY": relay}
        bind = f"127.0.0.1:{self.web_port}"
        words = ("-m", "gunicorn", "-c", "hotelmate/gunicorn.conf.py", "--bind", bind, "--no-control-socket")
        self.web = self._start(name, *words, port=self.web_port, **environ)
        wait_for_response("The web server", self.web, "/api/docs/", self.pause)
        self._await(lambda: len(self.web_processes()) == processes, "all web processes")

    def start_workers(self, count: int) -> None:
        """Start ``count`` processes of ``manage.py worker``."""
        self.workers = [self._start_worker(f"worker-{number + 1}") for number in range(count)]
        for worker in self.workers:
            self._await_worker(worker)

    def restart(self, worker: Service) -> None:
        """Stop a worker (SIGTERM) and start it again."""
        worker.stop()
        self._start_worker(worker.name)
        self._await_worker(worker)

    def start_pusher(self) -> None:
        """Start the embedded Pusher server, always on the same port."""
        words = ("-m", "tools.harness.recording_pusher", self._record, "--port", self.pusher_port)
        self.pusher = self._start("pusher", *words, port=self.pusher_port)
        wait_for_response("The Pusher server", self.pusher, "/healthz", self.pause)

    def start_writers(self, count: int, *, seed: object, rate: float) -> None:
        """Start clients that change rooms, ``rate`` times a second in total, or as fast as they get responses."""
        words: list[object] = ["-m", "tools.harness.writer", self._hotels, "--port", self.web_port]
        words += ["--seed", seed, "--writers", count, "--rate", rate / count]
        self.writers = [self._start(f"writer-{place + 1}", *words, "--place", place) for place in range(count)]

    def stop_writers(self) -> None:
        """Stop the writers, letting each finish its current request."""
        for writer in self.writers:
            with suppress(ProcessLookupError):
                os.kill(writer.pid or 0, signal.SIGTERM)
        for writer in self.writers:
            writer.stop(seconds=40)
            self.requests += [Request(*line) for line in Lines(writer.log).new()]

    def stop_relays(self) -> None:
        """Stop the web server and the workers with SIGTERM."""
        for service in (self.web, *self.workers):
            service.stop()
        self.workers = []

    def kill_all(self) -> None:
        """Kill every process; SIGKILL also ends a stopped one."""
        for service in self._services.values():
            service.stop(signal.SIGKILL)

    def _start(self, name: str, *words: object, port: int = 0, **environ: str) -> Service:
        service = self._services.setdefault(name, self.data.service(name))
        service.start([sys.executable, *map(str, words)], port=port, env=self._env | environ, cwd=PROJECT)
        return service

    def _start_worker(self, name: str) -> Service:
        return self._start(name, "manage.py", "worker")

    def _await_worker(self, worker: Service) -> None:
        self._await(lambda: WORKER_HELLO in worker.log_tail(1000), worker.name)

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        if not wait_until(condition, 60, self.pause):
            raise LocalError(f"{what}: not ready after a minute")

    # --- faults -------------------------------------------------------------------------------------------------------

    def perform(self, planned: PlannedFault, rng: random.Random) -> None:
        """Inject a fault, and repair what it broke."""
        self.fault_counts[planned.fault] += 1
        began = time.monotonic()
        with self.pusher_in(planned.fault):
            for moment, kind in (*planned.kills, (planned.seconds, "")):
                self._pass_time(began + moment, pulsing=planned.fault == "slowed")
                if kind:
                    self.kill(kind, rng)
        self._pass_time(time.monotonic() + planned.recovery, pulsing=False)

    def kill(self, kind: str, rng: random.Random) -> None:
        """SIGKILL one web process, which gunicorn replaces, or one worker, which is restarted here."""
        if kind == "web":
            if pids := self.web_processes():
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(pids), signal.SIGKILL)
                    self.kills[kind] += 1
        else:
            worker = rng.choice(self.workers)
            worker.stop(signal.SIGKILL)
            self.kills[kind] += 1
            self._start_worker(worker.name)

    def web_processes(self) -> list[int]:
        """gunicorn's children."""
        with suppress(psutil.NoSuchProcess):
            return sorted(child.pid for child in psutil.Process(self.web.pid).children())
        return []

    @contextmanager
    def pusher_in(self, fault: str) -> Iterator[None]:
        """Within the block the Pusher server has this fault (of ``chaos.FAULTS``; ``slowed`` does nothing here)."""
        if fault in ("crashed", "stopped"):
            self.pusher.stop(signal.SIGKILL if fault == "crashed" else signal.SIGTERM)
        elif fault == "hung":
            self._signal_pusher(signal.SIGSTOP)
        yield
        if fault in ("crashed", "stopped"):
            self.start_pusher()
        else:
            self._signal_pusher(signal.SIGCONT)

    def _pass_time(self, until: float, *, pulsing: bool) -> None:
        while (left := until - time.monotonic()) > 0:
            if pulsing:
                self._signal_pusher(signal.SIGSTOP)
                self.pause(min(PULSE, left))
                self._signal_pusher(signal.SIGCONT)
                self.pause(GAP)
            else:
                self.pause(min(0.25, left))

    def _signal_pusher(self, number: int) -> None:
        os.kill(self.pusher.pid or 0, number)

    # --- what the database and the processes recorded -----------------------------------------------------------------

    def query(self, statement: str, *parameters: object) -> list[Any]:
        """The rows of one statement."""
        with self._database.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def committed(self) -> int:
        """The number of committed changes."""
        return int(self.query("SELECT count(*) FROM housekeeping_roomstatusevent")[0][0])

    def changes(self) -> dict[Change, float]:
        """Every committed change, and the time of its commit (seconds since 1970)."""
        rows = self.query("""
            SELECT hotel.slug, room.number::int, event.version, event.from_status, event.to_status,
                   extract(epoch FROM pg_xact_commit_timestamp(event.xmin))::float8
            FROM housekeeping_roomstatusevent event
            JOIN rooms_room room ON room.id = event.room_id
            JOIN hotel_hotel hotel ON hotel.id = event.hotel_id
            ORDER BY event.id
        """)
        return {Change(*facts): at for *facts, at in rows}

    def stored(self) -> list[Stored]:
        """Every event of the room streams."""
        rows = self.query("""
            SELECT hotel.slug, event.event_id::text, event.seq, (event.envelope->'payload'->>'room_number')::int,
                   (event.envelope->'payload'->>'status_version')::int, sent_at IS NOT NULL, parked_at IS NOT NULL
            FROM notifications_realtimeevent event JOIN hotel_hotel hotel ON hotel.id = event.hotel_id
            WHERE event.stream = 'rooms' ORDER BY event.id
        """)
        return [Stored(*row) for row in rows]

    def last_seqs(self) -> dict[str, int]:
        """The counter of each hotel's room stream."""
        return dict(
            self.query("""
                SELECT hotel.slug, stream.last_seq
                FROM notifications_eventstream stream JOIN hotel_hotel hotel ON hotel.id = stream.hotel_id
                WHERE stream.name = 'rooms'
            """)
        )

    def acknowledged(self) -> set[tuple[str, int, int]]:
        """The changes that a response confirmed to a writer: hotel, room number, version."""
        numbers = dict(self.query("SELECT id, number::int FROM rooms_room"))
        return {(seen.hotel, numbers[seen.room_id], seen.version) for seen in self.requests if seen.version}

    def read_sent(self) -> None:
        """Read what the Pusher server has published on the room channels."""
        for at, channel, data in self._published.new():
            if channel.endswith(".rooms"):
                meta = json.loads(data)["meta"]
                self.sent.append(Sent(meta["hotel_slug"], meta["event_id"], meta["seq"], at))

    def waiting(self) -> int:
        """The number of events not yet sent."""
        statement = "SELECT count(*) FROM notifications_realtimeevent WHERE sent_at IS NULL AND parked_at IS NULL"
        return int(self.query(statement)[0][0])

    def drain(self, seconds: float = 90) -> float | None:
        """Wait until everything is sent and applied; returns the seconds it took, or None on a timeout."""
        began = time.monotonic()

        def settled() -> bool:
            self.subscribers.read()
            return self.waiting() == 0 and self.subscribers.last == {
                hotel: last for hotel, last in self.last_seqs().items() if last
            }

        return time.monotonic() - began if wait_until(settled, seconds, self.pause) else None


@contextmanager
def throwaway_installation(pause: Pause, *, keep: bool, settings: str = "hotelmate.settings") -> Iterator[Installation]:
    """Start an installation in a temporary folder; at the end stop it all, and delete the folder unless ``keep``."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="hotelmate-drill-"))
        data = DataDir(folder)
        if not keep:
            stack.callback(shutil.rmtree, public_place(data.path), ignore_errors=True)
            stack.callback(shutil.rmtree, folder)
        data.prepare()
        installation = Installation(data, pause, settings)
        installation.open(stack)
        yield installation
