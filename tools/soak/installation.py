"""The soak's installation: the drill's, with its own clock, hotels, clients, card provider and faults."""

import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import requests

from local import LocalError
from local.datadir import DataDir
from local.postgres import public_place
from local.service import Pause, Service, wait_until
from tools.harness.installation import Installation, Lines
from tools.harness.stripe_server import KEY, stripe_server
from tools.soak.client import Attempt
from tools.soak.comparison import Applied, Audit, Booking, Event, HistoryRow, Snapshot
from tools.soak.faults import Fault, PlannedFault
from tools.soak.hotels import ZONES
from tools.soak.provider import Provider
from tools.soak.timeline import Timeline, timeline

WEB_PROCESSES, WORKERS = 3, 2
START = 8.0  # seconds until the web server is up; the hotels' clock starts then
MINE = "soak"  # application_name of this process's connections, which no fault ends
# Log messages that only a bug causes, not an unavailable provider or database.
BUG_MESSAGES = ("Internal Server Error", "failed, retrying", "could not be settled")
STAFF_STREAMS = ("rooms", "room-bookings")
HELD = ("rooms_room", "room_bookings_roombooking", "rooms_roomtype")


class SoakInstallation(Installation):
    """An ``Installation`` on the soak's clock. Use ``throwaway_installation``."""

    def __init__(self, data: DataDir, pause: Pause, *, seconds: float) -> None:
        super().__init__(data, pause)
        self.seconds = seconds
        self.cards: Provider
        self.faults: list[Fault] = []
        self.clients: list[Service] = []
        self.attempts: list[Attempt] = []
        self.applied: list[Applied] = []
        self.reconnects = 0
        self._subscriber_lines: Lines
        self._client_lines: list[Lines] = []
        self._url = ""

    # --- up and down --------------------------------------------------------------------------------------------------

    def open(self, stack: ExitStack) -> None:
        """Start the card provider, then everything that the drill starts."""
        self.cards = Provider(stack.enter_context(stripe_server(strict=False)))
        super().open(stack)
        self._url = self._env["DATABASE_URL"]
        self._connect()
        stack.callback(lambda: self._database.close())

    def _start(self, name: str, *words: object, port: int = 0, **environ: str) -> Service:
        if words[:2] == ("-m", "tools.harness.hotels"):
            words = ("-m", "tools.soak.hotels", *words[2:])
            self._env |= {
                "SOAK_CLOCK": timeline(time.time() + START, self.seconds, set(ZONES.values())).to_json(),
                "STRIPE_SECRET_KEY": KEY,
                "STRIPE_API_BASE": self.cards.server.address,
                "EMAIL_URL": "dummymail://",
                "EVENT_RETENTION_DAYS": "3650",  # the clock jumps over months
            }
        elif words[0] == "manage.py" and words[1] != "migrate":
            words = ("-m", "tools.soak.process", *words[1:])
        elif words[:2] == ("-m", "gunicorn"):
            words = (*words, "tools.soak.wsgi:application")
        return super()._start(name, *words, port=port, **environ)

    def timeline(self) -> Timeline:
        """The hotels' clock."""
        return Timeline.from_json(self._env["SOAK_CLOCK"])

    def start_subscribers(self) -> None:
        """Start one for each staff stream."""
        address = f"ws://127.0.0.1:{self.pusher_port}/app/{self._env['PUSHER_KEY']}?protocol=7&client=soak&version=1"
        words = ("-m", "tools.soak.subscribers", self._hotels, "--port", self.web_port, "--pusher", address)
        self._subscriber_lines = Lines(self._start("subscribers", *words).log)

        def connected() -> bool:
            self.read_subscribers()
            return self.reconnects >= len(ZONES) * len(STAFF_STREAMS)

        self._await(connected, "the subscribers")
        self.reconnects = 0

    def start_clients(self, count: int, *, seed: int, stays: Path, rest: float) -> None:
        """Start client processes; ``rest``: mean seconds between two jobs of a process."""
        words: list[object] = ["-m", "tools.soak.client", self._hotels, stays, "--port", self.web_port]
        words += ["--seed", seed, "--clients", count, "--rest", rest]
        self.clients = [self._start(f"client-{place + 1}", *words, "--place", place) for place in range(count)]
        self._client_lines = [Lines(client.log) for client in self.clients]

    def stop_clients(self) -> None:
        """Stop the clients, letting each finish its current request."""
        for client in self.clients:
            with suppress(ProcessLookupError):
                os.kill(client.pid or 0, signal.SIGTERM)
        for client in self.clients:
            client.stop(seconds=120)
        self.read_results()

    def read_results(self) -> None:
        """Read the clients' new lines."""
        for lines in self._client_lines:
            self.attempts += [Attempt(*line) for line in lines.new()]

    def read_subscribers(self) -> None:
        """Read the subscribers' new lines. Raises LocalError when one has failed."""
        for facts in self._subscriber_lines.new():
            kind = facts.pop("kind")
            if kind == "applied":
                self.applied.append(Applied(**facts))
            elif kind == "connected":
                self.reconnects += 1
            elif kind == "failed":
                raise LocalError(f"The subscriber in {facts['hotel']} failed: {facts['error']}")

    # --- faults -------------------------------------------------------------------------------------------------------

    def inject(self, planned: PlannedFault, rng: random.Random) -> None:
        """Inject a fault, and record its start and end."""
        began = time.time()
        fault = planned.kind.removeprefix("pusher ")
        match planned.kind:
            case "web" | "worker":
                self.kill(planned.kind, rng)
            case "backends":
                self._terminate_backends(rng)
            case "crash":
                self._crash_database(rng)
            case "locks":
                self._hold_rows(planned.seconds, rng)
            case "card failing" | "card hanging":
                self.cards.fault_mode = "failing" if planned.kind == "card failing" else "hanging"
                self._pass_time(time.monotonic() + planned.seconds, pulsing=False)
                self.cards.fault_mode = "none"
            case _:
                with self.pusher_in(fault):
                    self._pass_time(time.monotonic() + planned.seconds, pulsing=False)
        self.faults.append(Fault(planned.kind, began, time.time()))
        self._pass_time(time.monotonic() + planned.recovery, pulsing=False)

    def _terminate_backends(self, rng: random.Random) -> None:
        statement = "SELECT pid, state <> 'idle' FROM pg_stat_activity WHERE backend_type = 'client backend'"
        found = self.query(f"{statement} AND application_name <> %s ORDER BY pid", MINE)
        busy = [pid for pid, working in found if working]
        chosen = {*rng.sample([pid for pid, _ in found], min(3, len(found))), *busy[:2]}
        for pid in chosen:
            self.query("SELECT pg_terminate_backend(%s)", pid)

    def _crash_database(self, rng: random.Random) -> None:
        """SIGKILL one backend, a busy one if any; returns when PostgreSQL accepts connections again."""
        statement = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> %s"
        found = [pid for (pid,) in self.query(f"{statement} ORDER BY state = 'idle', pid", MINE)]
        try:
            os.kill(rng.choice(found[:3]), signal.SIGKILL)
        except (IndexError, ProcessLookupError):
            return  # there is no backend, or it has just ended
        self._await(self._lost, "the crash")
        self._await(self._connect, "PostgreSQL after its crash")

    def _lost(self) -> bool:
        try:
            self.query("SELECT 1")
        except psycopg2.Error:
            return True
        return False

    def _connect(self) -> bool:
        """Reconnect under a name that the faults spare; returns whether it succeeded."""
        self._database.close()
        try:
            self._database = psycopg2.connect(self._url, application_name=MINE)
        except psycopg2.OperationalError:
            return False
        self._database.autocommit = True
        return True

    def _hold_rows(self, seconds: float, rng: random.Random) -> None:
        with closing(psycopg2.connect(self._url, application_name=MINE)) as holder, holder.cursor() as cursor:
            table = rng.choice(HELD)
            cursor.execute("SET lock_timeout = '500ms'")
            # The newest rows: clients are using them now.
            order = "updated_at DESC" if table != "rooms_roomtype" else "random()"
            statement = f"SELECT id FROM {table} ORDER BY {order} LIMIT 12 FOR NO KEY UPDATE SKIP LOCKED"  # noqa: S608
            cursor.execute(statement)
            self._pass_time(time.monotonic() + seconds, pulsing=False)

    # --- the end ------------------------------------------------------------------------------------------------------

    def settle(self, seconds: float = 120) -> list[str]:
        """Wait for payments, mail, events and subscribers to settle; returns what did not."""
        left = []
        # A mail waits two minutes for an older one whose worker was killed while sending it.
        if not wait_until(lambda: not self._open_mails(), 2 * seconds, self.pause):
            left.append(f"{self._open_mails()} mails were never sent")
        # No periodic work from here on: REST must agree with the last events.
        for worker in self.workers:
            worker.stop()
        try:
            self.run("manage.py", "settle")
        except LocalError as error:
            left.append(str(error))

        def applied() -> bool:
            self.read_subscribers()
            last = {(event.hotel, event.stream): event.seq for event in self.applied}
            return self.waiting() == 0 and last == {
                stream: number for stream, number in self.all_last_seqs().items() if number
            }

        if not wait_until(applied, seconds, self.pause):
            left.append(f"after {seconds:.0f} s {self.waiting()} events wait, and a subscriber has not applied all")
        return left

    def _open_mails(self) -> int:
        return int(self.query("SELECT count(*) FROM notifications_bookingmail WHERE settled_at IS NULL")[0][0])

    def all_last_seqs(self) -> dict[tuple[str, str], int]:
        """The counter of each staff stream."""
        rows = self.query(
            "SELECT hotel.slug, stream.name, stream.last_seq FROM notifications_eventstream stream"
            " JOIN hotel_hotel hotel ON hotel.id = stream.hotel_id WHERE stream.name = ANY(%s)",
            list(STAFF_STREAMS),
        )
        return {(hotel, name): last for hotel, name, last in rows}

    def snapshot(self) -> Snapshot:
        """Everything that the database contains, read in plain SQL."""
        return Snapshot(
            bookings=[
                Booking(*row)
                for row in self.query("""
                    SELECT booking_id, hotel.slug, primary_email, status, version, payment_state, payment_reference
                    FROM room_bookings_roombooking booking JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
                    ORDER BY booking.id
                """)
            ],
            history=[
                HistoryRow(*row)
                for row in self.query("""
                    SELECT booking.booking_id, action, from_status, to_status, reason
                    FROM room_bookings_bookingchange step
                    JOIN room_bookings_roombooking booking ON booking.id = step.booking_id ORDER BY step.id
                """)
            ],
            audit=[
                Audit(*row)
                for row in self.query("""
                    SELECT event.id, hotel.slug, room_id, version, from_status, to_status, note
                    FROM housekeeping_roomstatusevent event JOIN hotel_hotel hotel ON hotel.id = event.hotel_id
                    ORDER BY event.id
                """)
            ],
            events=[
                Event(*row)
                for row in self.query(
                    """
                    SELECT event_id::text, hotel.slug, stream, seq, type, envelope,
                           sent_at IS NOT NULL AND parked_at IS NULL
                    FROM notifications_realtimeevent event JOIN hotel_hotel hotel ON hotel.id = event.hotel_id
                    WHERE stream = ANY(%s) ORDER BY hotel.slug, stream, seq
                    """,
                    list(STAFF_STREAMS),
                )
            ],
            tasks=dict(self.query("SELECT id, status FROM housekeeping_housekeepingtask")),
            last_seqs=self.all_last_seqs(),
        )

    def published(self) -> set[str]:
        """The ids of the staff events that the Pusher server has published."""
        channels = tuple(f".{stream}" for stream in STAFF_STREAMS)
        return {
            json.loads(data)["meta"]["event_id"]
            for _, channel, data in self._published.new()
            if channel.endswith(channels)
        }

    def rest_rows(self) -> tuple[dict[int, Any], dict[str, Any]]:
        """Every room by id and every booking by reference, as REST returns them."""
        rooms: dict[int, Any] = {}
        bookings: dict[str, Any] = {}
        for hotel in json.loads(self._hotels.read_text()):
            rooms |= {row["id"]: row for row in self._pages(hotel, "room-management/?")}
            bookings |= {row["booking_id"]: row for row in self._pages(hotel, "room-bookings/?ordering=booking_id&")}
        return rooms, bookings

    def _pages(self, hotel: dict[str, Any], path: str) -> Iterator[dict[str, Any]]:
        page, more = 1, True
        while more:
            response = requests.get(
                f"http://127.0.0.1:{self.web_port}/api/staff/hotel/{hotel['slug']}/{path}page={page}&page_size=100",
                headers={"Authorization": f"Token {hotel['tokens']['manager']}"},
                timeout=30,
            )
            if response.status_code != 200:
                raise LocalError(f"{path} of {hotel['slug']}: {response.status_code} {response.text:.200}")
            content = response.json()
            yield from content["results"]
            page, more = page + 1, content["next"] is not None

    def intents(self) -> dict[str, tuple[str, bool, Counter[str]]]:
        """The card provider's records."""
        return {
            name: (intent.status, intent.refunded, intent.moved)
            for name, intent in sorted(self.cards.server.intents.items())
        }

    def bug_messages(self) -> list[str]:
        """The lines in the servers' and workers' logs that show a bug, as far as the logs go back."""
        return [
            f"{service.name}: {line}"
            for service in (self.web, *self.workers)
            for line in service.log_tail(1_000_000).splitlines()
            if any(words in line for words in BUG_MESSAGES)
        ]


@contextmanager
def throwaway_installation(pause: Pause, *, seconds: float, keep: bool) -> Iterator[SoakInstallation]:
    """Start an installation in a temporary folder; at the end stop it all, and delete the folder unless ``keep``."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="hotelmate-soak-"))
        data = DataDir(folder)
        if not keep:
            stack.callback(shutil.rmtree, public_place(data.path), ignore_errors=True)
            stack.callback(shutil.rmtree, folder)
        data.prepare()
        installation = SoakInstallation(data, pause, seconds=seconds)
        installation.open(stack)
        yield installation
