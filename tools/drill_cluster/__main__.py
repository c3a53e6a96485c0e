"""``make drill-cluster``: no acknowledged change is lost, and no wrong answer given, while the database fails over.

A PostgreSQL cluster of three machines under Patroni, two web machines (one with several hosts in ``DATABASE_URL``, one
behind PgBouncer and HAProxy), two workers, screens and clients. The primary is killed, switched over, cut off and
frozen, and etcd stopped; then replication is made asynchronous, and a failover loses changes. Afterwards everything
that was acknowledged, sent and drawn is compared with the database. The exit code is 1 if a promise was broken.
"""

import argparse
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import requests

from local import LocalError
from local.datadir import PROJECT, DataDir
from local.environment import environment
from local.run import say, wait_for_response
from local.service import Service, wait_until
from local.signals import StopRequestedError, StopSignals
from tools.drill_cluster import nodes
from tools.drill_cluster.nodes import Cluster
from tools.drill_cluster.traffic import Answer
from tools.harness.installation import INHERITED, WORKER_HELLO, Lines

INSIDE = "HOTELMATE_DRILL_INSIDE"
TTL = 20  # seconds, of deploy/cluster/patroni.yml
SLOWEST = 15.0  # seconds
CALM = 4.0  # seconds of undisturbed traffic after each fault
HOSTS, POOLED = "hosts", "pooled"  # the two web machines
PORTS = {HOSTS: 8001, POOLED: 8002}
PUSHER_PORT = 8003
DATABASE_PASSWORD = secrets.token_hex()
GUIDE = PROJECT / "docs" / "scaling.md"
LISTED = 5  # of each kind of failure


class Counts(NamedTuple):
    """How often each fault happens."""

    killed: int
    switched: int
    cut: int


DEFAULT, QUICK, FULL = Counts(2, 2, 1), Counts(1, 1, 0), Counts(5, 5, 3)


class Row(NamedTuple):
    """What was done, and when; ``limit``: seconds until writes are possible again, if there is a promise."""

    title: str
    began: float
    ended: float
    limit: float | None


def main(arguments: list[str] | None = None) -> int:
    """Run the drill; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make drill-cluster ARGS='…'", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="each fault once, without the cut: about four minutes")
    length.add_argument(
        "--full", action="store_true", help="5 kills, 5 switchovers, 3 cuts: about a quarter of an hour"
    )
    parser.add_argument("--seed", type=int, help="repeat the clients' decisions of an earlier run")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    options = parser.parse_args(arguments)
    if not os.environ.get(INSIDE):
        return enter(sys.argv[1:] if arguments is None else arguments)

    counts = QUICK if options.quick else FULL if options.full else DEFAULT
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    signals = StopSignals()
    signals.install()
    try:
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="hotelmate-cluster-"))
            if not options.keep:
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            say(f"Seed {seed}, in {folder}")
            return Drill(folder, signals.pause, seed, counts).run(stack)
    except StopRequestedError:
        say("\nStopped.")
        return 130
    except LocalError as error:
        say(f"\n{error}")
        return 1


def enter(arguments: Sequence[str]) -> int:
    """Run the drill in namespaces of its own: its network is not the host's, and all its processes end with it."""
    if os.geteuid() != 0:
        say("The drill needs root, for network namespaces: sudo make drill-cluster")
        return 1
    if missing := nodes.missing_packages():
        say(f"Packages are missing: apt install --no-install-recommends {' '.join(missing)}")
        return 1
    if not nodes.found("patroni"):
        say("Patroni is missing: make drill-cluster installs it.")
        return 1
    inside = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    env = os.environ | {INSIDE: "1", "PATH": nodes.PATH}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the drill itself
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with subprocess.Popen([*inside, sys.executable, "-m", "tools.drill_cluster.init", *arguments], env=env) as process:
        try:
            return process.wait()
        finally:
            process.kill()  # and with it all that it has started


class Drill:
    """The installation, the faults, the comparison."""

    def __init__(self, folder: Path, pause: Callable[[float], None], seed: int, counts: Counts) -> None:
        self._folder, self._pause, self._seed, self._counts = folder, pause, seed, counts
        self._data = DataDir(folder / "hotelmate")
        self._hotels, self._published = folder / "hotels.json", folder / "published.jsonl"
        self._cluster = Cluster(folder, pause)
        self._services: dict[str, Service] = {}
        self._env: dict[str, dict[str, str]] = {}
        self._answers: list[Answer] = []
        self._rows: list[Row] = []
        self.failures: list[str] = []

    def run(self, stack: ExitStack) -> int:
        """Everything; returns the exit code."""
        began = time.monotonic()
        stack.callback(self._stop_all)
        say("Starting etcd, Patroni and PostgreSQL on three machines ...")
        self._cluster.create()
        self._prepare()
        say("Starting HotelMate ...")
        self._start()
        self._synchronous()
        if not self.failures:
            self._asynchronous()
        self._print_table()
        say(f"\nSeed {self._seed}, {time.monotonic() - began:.0f} s")
        if self.failures:
            say("\nFAILED:\n" + "\n".join(self.failures))
            return 1
        say("All promises kept.")
        return 0

    # --- start ---

    def _prepare(self) -> None:
        """Create the role and the database, as docs/scaling.md does, and the configuration of each process."""
        address = self._cluster.primary().address
        url = f"postgres://postgres:{nodes.SUPERUSER_PASSWORD}@{address}:5432/postgres"
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(f"CREATE ROLE hotelmate LOGIN PASSWORD '{DATABASE_PASSWORD}'")
            for statement in re.findall(r"ALTER ROLE hotelmate SET .*;", GUIDE.read_text()):
                cursor.execute(statement)
            cursor.execute("CREATE DATABASE hotelmate OWNER hotelmate")
        self._data.prepare()
        hosts = ",".join(f"{machine.address}:5432" for machine in self._cluster.machines)
        login = f"postgres://hotelmate:{DATABASE_PASSWORD}"
        several = f"{login}@{hosts}/hotelmate?target_session_attrs=read-write"
        proxied = f"{login}@127.0.0.1:5432/hotelmate?target_session_attrs=read-write"
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        common = environment(self._data, several, inherited) | {
            "DEVELOPMENT": "1",
            "DJANGO_SETTINGS_MODULE": "hotelmate.settings",
            "PUSHER_PORT": str(PUSHER_PORT),
            "LOGIN_THROTTLE": "1000/min",
            "LOGIN_THROTTLE_ADDRESS": "1000/min",
            "WEB_CONCURRENCY": "1",
            "TMPDIR": str(self._folder),
        }
        pooled = {
            "DATABASE_POOLER": "transaction",
            "DATABASE_URL": f"{login}@127.0.0.1:6432/hotelmate",
            "DATABASE_DIRECT_URL": proxied,
        }
        self._env = {HOSTS: common, POOLED: common | pooled, "proxied": common | {"DATABASE_URL": proxied}}

    def _start(self) -> None:
        self._launch("haproxy", [nodes.found("haproxy"), "-db", "-f", nodes.DEPLOY / "haproxy.cfg"])
        self._launch("pgbouncer", nodes.not_as_root(nodes.found("pgbouncer"), self._pgbouncer_ini()))
        self._finish(HOSTS, "manage.py", "migrate")
        self._finish(HOSTS, "-m", "tools.drill_cluster.hotels", self._hotels)
        words: tuple[object, ...] = ("-m", "tools.harness.recording_pusher", self._published, "--port", PUSHER_PORT)
        self._python("pusher", HOSTS, *words, port=PUSHER_PORT)
        wait_for_response("The Pusher server", self._services["pusher"], "/healthz", self._pause)
        for machine, port in PORTS.items():
            bind = ("--bind", f"127.0.0.1:{port}")
            self._python(machine, machine, "-m", "gunicorn", "-c", "hotelmate/gunicorn.conf.py", *bind, port=port)
            wait_for_response("The web server", self._services[machine], "/healthz", self._pause)
        for name, env in (("worker-1", HOSTS), ("worker-2", "proxied")):
            self._python(name, env, "manage.py", "worker")
            worker = self._services[name]
            if not wait_until(lambda: WORKER_HELLO in worker.log_tail(1000), 60, self._pause):  # noqa: B023
                raise LocalError(f"{name} did not start:\n{worker.log_tail(20)}")
        pusher = f"ws://127.0.0.1:{PUSHER_PORT}/app/{self._env[HOSTS]['PUSHER_KEY']}?protocol=7&client=drill&version=1"
        words = ("-m", "tools.drill_cluster.screens", self._hotels, "--port", PORTS[HOSTS], "--pusher", pusher)
        self._python("screens", HOSTS, *words)
        self._screens = Lines(self._services["screens"].log)
        self._drawn: dict[str, dict[int, tuple[str, int]]] = defaultdict(dict)
        self._screens_counted: Counter[str] = Counter()
        if not wait_until(lambda: self._read_screens()["connected"] >= 3, 60, self._pause):
            raise LocalError("The screens did not connect.")

    def _pgbouncer_ini(self) -> Path:
        text = (PROJECT / "deploy" / "pgbouncer.ini").read_text()
        users = self._folder / "userlist.txt"
        users.write_text(f'"hotelmate" "{DATABASE_PASSWORD}"\n')
        place = self._folder / "pgbouncer"
        place.mkdir()
        text = text.replace("/etc/pgbouncer/userlist.txt", str(users))
        text = text.replace("/var/log/postgresql", str(place)).replace("/var/run/postgresql", str(place))
        file = self._folder / "pgbouncer.ini"
        file.write_text(text)
        return file

    def _launch(self, name: str, command: Sequence[Any], env: str = HOSTS, port: int = 0) -> Service:
        service = self._services.setdefault(name, self._data.service(name))
        service.start(list(command), port=port, env=self._env[env], cwd=PROJECT)
        return service

    def _python(self, name: str, env: str, *words: object, port: int = 0) -> Service:
        return self._launch(name, [sys.executable, *map(str, words)], env, port)

    def _finish(self, env: str, *words: object) -> None:
        """Run a Python command to its end. Raises LocalError if it fails."""
        task = self._python("task", env, *words)
        wait_until(lambda: not task.is_running(), 300, self._pause)
        task.stop()
        if task.exit_code != 0:
            raise LocalError(f"{' '.join(map(str, words))} failed:\n{task.log_tail(40)}")

    def _stop_all(self) -> None:
        for service in self._services.values():
            with suppress(LocalError):
                service.stop(seconds=3)

    # --- traffic ---

    def _start_traffic(self, part: str) -> None:
        for place, (machine, port) in enumerate(PORTS.items()):
            words = ("-m", "tools.drill_cluster.traffic", self._hotels, "--port", port, "--machine", machine)
            self._python(f"traffic-{machine}-{part}", HOSTS, *words, "--place", place, "--seed", f"{self._seed}.{part}")
        self._pause(CALM)

    def _stop_traffic(self, part: str) -> None:
        """Stop the clients, and wait until all events have been sent and drawn."""
        for machine in PORTS:
            service = self._services[f"traffic-{machine}-{part}"]
            service.stop(seconds=90)
            self._answers += [Answer(*line) for line in Lines(service.log).new()]
        waiting = "SELECT count(*) FROM notifications_realtimeevent WHERE sent_at IS NULL AND parked_at IS NULL"
        if not wait_until(lambda: self._query(waiting) == [(0,)], 60, self._pause):
            self.failures.append(f"{part}: events are still waiting after a minute")
        self._pause(2)
        self._read_screens()

    def _query(self, statement: str) -> list[Any]:
        """Its rows; tried for a minute, because HAProxy may have no primary, or change to another, at any time."""
        rows: list[Any] = []

        def ask() -> bool:
            with suppress(psycopg2.OperationalError):
                rows[:] = self._ask(statement)
                return True
            return False

        return rows if wait_until(ask, 60, self._pause) else self._ask(statement)

    def _ask(self, statement: str) -> list[Any]:
        url = self._env["proxied"]["DATABASE_URL"]
        with closing(psycopg2.connect(url, connect_timeout=5)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def _read_screens(self) -> Counter[str]:
        for facts in self._screens.new():
            kind, hotel = facts["kind"], facts["hotel"]
            self._screens_counted[kind] += 1
            if kind == "drawn":
                self._drawn[hotel][facts["room"]] = facts["status"], facts["version"]
            elif kind == "failed":
                raise LocalError(f"The screen in {hotel} failed: {facts['error']}")
        return self._screens_counted

    # --- faults ---

    def _row(self, title: str, do: Callable[[], object], limit: float | None) -> None:
        say(f"{title} ...")
        began = time.time()
        do()
        self._cluster.await_health(180)
        self._pause(CALM)
        self._rows.append(Row(title, began, time.time(), limit))

    def _synchronous(self) -> None:
        """Synchronous replication: nothing may be lost."""
        self._start_traffic("synchronous")
        for number in range(self._counts.killed):
            self._row(f"primary's machine killed, {number + 1}", self._kill, TTL + 5)
        for number in range(self._counts.switched):
            self._row(f"switchover, {number + 1}", self._cluster.switch_over, 5)
        for number in range(self._counts.cut):
            self._row(f"primary cut off, {number + 1}", self._cut, TTL + 5)
        self._row("primary frozen, then woken", self._freeze, TTL + 5)
        self._row("primary's processes hang, then wake", self._hang, None)
        self._row("synchronous standby killed", self._kill_standby, None)
        self._row("etcd without a quorum", self._stop_etcd, None)
        self._stop_traffic("synchronous")
        self.failures += [
            *self._wrong_answers(),
            *self._lost(),
            *self._two_numbers(),
            *self._contradictions(),
        ]

    def _kill(self) -> None:
        machine = self._cluster.primary()
        machine.kill()
        self._await_another(machine)
        machine.join()
        machine.start()

    def _cut(self) -> None:
        machine = self._cluster.primary()
        machine.cut()
        self._await_another(machine)
        self._pause(CALM)
        machine.join()

    def _freeze(self) -> None:
        machine = self._cluster.primary()
        machine.freeze()
        self._await_another(machine)
        self._pause(CALM)
        machine.wake()

    def _hang(self) -> None:
        """As if its disk hung: the kernel acknowledges what it is sent."""
        machine = self._cluster.primary()
        machine.signal(signal.SIGSTOP)
        self._await_another(machine)
        self._pause(CALM)
        machine.signal(signal.SIGCONT)

    def _kill_standby(self) -> None:
        members = self._cluster.state()
        [machine] = [one for one in self._cluster.machines if members[one.name]["role"] == "sync_standby"]
        machine.kill()
        self._pause(TTL)
        machine.join()
        machine.start()

    def _stop_etcd(self) -> None:
        stopped = self._cluster.etcd[:2]
        for machine in stopped:
            machine.kill()
        self._pause(TTL + 10)
        for machine in stopped:
            machine.join()
            machine.start()

    def _await_another(self, machine: nodes.DatabaseMachine) -> None:
        """Wait until another machine is the primary."""

        def changed() -> bool:
            with suppress(LocalError):
                return self._cluster.primary() is not machine
            return False

        if not wait_until(changed, 120, lambda _: self._pause(0.5)):
            raise LocalError("No other machine has become the primary.")

    def _asynchronous(self) -> None:
        """Asynchronous replication: changes are lost, and still no screen shows what is not."""
        self._cluster.make_asynchronous()
        self._start_traffic("asynchronous")
        self._row("asynchronous failover", self._lose, None)
        self._pause(CALM)
        self._stop_traffic("asynchronous")
        lost = self._lost()
        if not lost:
            self.failures.append("the asynchronous failover lost nothing, so it has shown nothing")
        self.failures += [*self._wrong_answers(), *self._contradictions()]

    def _lose(self) -> None:
        machine = self._cluster.primary()
        machine.hold_replication(hold=True)
        self._pause(3)
        machine.kill()
        self._await_another(machine)
        machine.hold_replication(hold=False)
        machine.join()
        machine.start()

    # --- comparison ---

    def _of(self, row: Row, machine: str | None = None) -> list[Answer]:
        return [one for one in self._answers if row.began <= one.at < row.ended and machine in (None, one.machine)]

    def _seconds_until_writes(self, row: Row, machine: str) -> float:
        """The longest time without an acknowledged change."""
        times = [one.at for one in self._of(row, machine) if one.fact]
        moments = [row.began, *times, row.ended]
        return max(after - before for before, after in pairwise(moments))

    def _wrong_answers(self) -> list[str]:
        wrong = [
            f"{one.machine}: {one.what} returned {one.status or 'nothing'} {one.code}after {one.seconds:.1f} s"
            for one in self._answers
            if not (one.status and one.status < 500) and not (one.status == 503 and one.retry_after)
        ]
        slow = [
            f"{one.machine}: {one.what} took {one.seconds:.1f} s ({one.status})"
            for one in self._answers
            if one.seconds > SLOWEST
        ]
        late = [
            f"{row.title}: {self._seconds_until_writes(row, machine):.1f} s without writes ({machine})"
            for row in self._rows
            for machine in PORTS
            if row.limit is not None and self._seconds_until_writes(row, machine) > row.limit
        ]
        return [*some(wrong), *some(slow), *late]

    def _lost_facts(self) -> set[str]:
        there = {f"note {note}" for (note,) in self._query("SELECT note FROM housekeeping_roomstatusevent")}
        guests = Counter(name for (name,) in self._query("SELECT primary_last_name FROM room_bookings_roombooking"))
        self._twice = sorted(name for name, count in guests.items() if count > 1)
        there |= {f"guest {name}" for name in guests}
        there |= {
            f"{action} {name}"
            for action, name in self._query(
                "SELECT change.action, booking.primary_last_name FROM room_bookings_bookingchange change"
                " JOIN room_bookings_roombooking booking ON booking.id = change.booking_id"
            )
        }
        return {one.fact for one in self._answers if one.fact} - there

    def _lost(self) -> list[str]:
        """Acknowledged changes that are not in the database, and requests that were carried out twice."""
        self._missing = self._lost_facts()
        return [
            *some([f"acknowledged and lost: {fact}" for fact in sorted(self._missing)]),
            *some([f"booked twice with one Idempotency-Key: {name}" for name in self._twice]),
        ]

    def _sent(self) -> Iterator[tuple[str, str, int]]:
        """What the Pusher server published: the channel, the event's id and its number."""
        for line in self._published.read_text().splitlines():
            _, channel, data = json.loads(line)
            meta = json.loads(data)["meta"]
            if meta["seq"] is not None:
                yield channel, meta["event_id"], meta["seq"]

    def _two_numbers(self) -> list[str]:
        numbers = defaultdict(set)
        for _, event_id, seq in self._sent():
            numbers[event_id].add(seq)
        return some([f"event {one} was sent as {sorted(seqs)}" for one, seqs in numbers.items() if len(seqs) > 1])

    def _contradictions(self) -> list[str]:
        """Numbers with two events, screens that differ from REST, violated invariants."""
        events = defaultdict(set)
        for channel, event_id, seq in self._sent():
            events[channel, seq].add(event_id)
        found = some(
            [f"{channel}: {seq} is {len(ids)} events" for (channel, seq), ids in events.items() if len(ids) > 1]
        )
        for hotel in json.loads(self._hotels.read_text()):
            answer = requests.get(
                f"http://127.0.0.1:{PORTS[HOSTS]}/api/staff/hotel/{hotel['slug']}/turnover/rooms/",
                headers={"Authorization": f"Token {hotel['tokens']['manager']}"},
                timeout=30,
            )
            rest = {
                room["room_number"]: (room["room_status"], room["status_version"])
                for column in answer.json().values()
                for room in column["rooms"]
            }
            drawn = self._drawn[hotel["slug"]]
            found += some(
                [
                    f"{hotel['slug']}: room {room} is {state}, drawn {drawn.get(room)}"
                    for room, state in rest.items()
                    if drawn.get(room) != state
                ]
            )
        try:
            self._finish("proxied", "manage.py", "check_invariants")
        except LocalError as error:
            found.append(str(error))
        return found

    # --- report ---

    def _print_table(self) -> None:
        lost = {one.fact: one.at for one in self._answers if one.fact in self._missing}
        head = ("", "writes after, s", "", "answers", "", "", "", "slowest, s", "acknowledged", "lost")
        names = ("", HOSTS, POOLED, "2xx", "4xx", "503", "other", "", "", "")
        lines: list[tuple[str, ...]] = [head, names]
        for row in self._rows:
            answers = self._of(row)
            kinds = Counter(kind_of(one.status) for one in answers)
            acknowledged = [one for one in answers if one.fact]
            lines.append(
                (
                    row.title,
                    *(f"{self._seconds_until_writes(row, machine):.1f}" for machine in PORTS),
                    *(f"{kinds[kind]:,}" for kind in ("2xx", "4xx", "503", "other")),
                    f"{max((one.seconds for one in answers), default=0):.1f}",
                    f"{len(acknowledged):,}",
                    f"{sum(one.fact in lost for one in acknowledged):,}",
                )
            )
        say("")
        for line in lines:
            say(f"  {line[0]:<30}" + "".join(f"{cell:>14}" for cell in line[1:]))
        refused = Counter(f"{one.what} {one.status} {one.code}" for one in self._answers if 400 <= one.status < 500)
        changes = sum(bool(one.fact) for one in self._answers)
        say(f"\n  requests {len(self._answers):,}, acknowledged changes {changes:,}")
        say("  refused: " + (" · ".join(f"{what} {count}" for what, count in refused.most_common()) or "nothing"))
        say(f"  screens: {self._screens_counted['drawn']:,} rooms drawn, {self._screens_counted['reloaded']} reloads")
        timelines = self._query("SELECT number, jumped_to FROM notifications_timeline ORDER BY id")
        say(f"  timelines: {' · '.join(str(number) for number, _ in timelines)}")


def kind_of(status: int) -> str:
    """The column of the table."""
    return "503" if status == 503 else f"{status // 100}xx" if status // 100 in (2, 4) else "other"


def some(found: Sequence[str]) -> list[str]:
    """The first few failures, and how many more there are."""
    more = len(found) - LISTED
    return [*found[:LISTED], *([f"… and {more:,} more like that"] if more > 0 else [])]


if __name__ == "__main__":
    sys.exit(main())
