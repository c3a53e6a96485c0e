"""The soak's house on one machine: the drill's stage with its own clock, hotels, clients, card provider and faults."""

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
from tools.harness.stage import Lines, Stage
from tools.harness.stripe_server import KEY
from tools.soak.client import Asked
from tools.soak.faults import Fault, Strike
from tools.soak.houses import ZONES
from tools.soak.provider import Provider, provider
from tools.soak.timeline import Timeline, timeline
from tools.soak.verdict import Audit, Booking, Drawn, Event, House, Step

WEB_PROCESSES, WORKERS = 3, 2
START = 8.0  # seconds until the web server is there: so long the house's clock stands still
MINE = "soak"  # the name of our own connections, which no fault ends
# What only a bug makes our processes say; not what they say of a provider or a database that is away.
COMPLAINTS = ("Internal Server Error", "failed; again in", "failed; it tries again", "could not be settled")
STAFF_STREAMS = ("rooms", "room-bookings")
HELD = ("rooms_room", "room_bookings_roombooking", "rooms_roomtype")


class SoakStage(Stage):
    """``Stage``, but that what runs in it runs on the soak's clock. Use ``opened``."""

    def __init__(self, data: DataDir, pause: Pause, *, seconds: float) -> None:
        super().__init__(data, pause)
        self.seconds = seconds
        self.cards: Provider
        self.faults: list[Fault] = []
        self.clients: list[Service] = []
        self.asked: list[Asked] = []
        self.drawn: list[Drawn] = []
        self.reconnects = 0
        self._screen_lines: Lines
        self._answers: list[Lines] = []
        self._url = ""

    # --- up and down --------------------------------------------------------------------------------------------------

    def open(self, stack: ExitStack) -> None:
        """As the drill's, and the card provider."""
        self.cards = stack.enter_context(provider())
        super().open(stack)
        self._url = self._env["DATABASE_URL"]
        self._connect()
        stack.callback(lambda: self._database.close())

    def _start(self, name: str, *words: object, port: int = 0) -> Service:
        if words[:2] == ("-m", "tools.harness.hotels"):
            words = ("-m", "tools.soak.houses", *words[2:])
            self._env |= {
                "SOAK_CLOCK": timeline(time.time() + START, self.seconds, set(ZONES.values())).to_json(),
                "STRIPE_SECRET_KEY": KEY,
                "STRIPE_API_BASE": self.cards.address,
                "EMAIL_URL": "dummymail://",
                "EVENT_RETENTION_DAYS": "3650",  # the clock leaps over months
            }
        elif words[0] == "manage.py" and words[1] != "migrate":
            words = ("-m", "tools.soak.process", *words[1:])
        elif words[:2] == ("-m", "gunicorn"):
            words = (*words, "tools.soak.wsgi:application")
        return super()._start(name, *words, port=port)

    def timeline(self) -> Timeline:
        """The house's clock."""
        return Timeline.from_json(self._env["SOAK_CLOCK"])

    def start_screens(self) -> None:
        """One for each staff stream."""
        address = f"ws://127.0.0.1:{self.pusher_port}/app/{self._env['PUSHER_KEY']}?protocol=7&client=soak&version=1"
        words = ("-m", "tools.soak.screens", self._hotels, "--port", self.web_port, "--pusher", address)
        self._screen_lines = Lines(self._start("screens", *words).log)

        def connected() -> bool:
            self.read_screens()
            return self.reconnects >= len(ZONES) * len(STAFF_STREAMS)

        self._await(connected, "the screens")
        self.reconnects = 0

    def start_clients(self, count: int, *, seed: int, stays: Path, rest: float) -> None:
        """People at work; ``rest``: seconds between two jobs of a process."""
        words: list[object] = ["-m", "tools.soak.client", self._hotels, stays, "--port", self.web_port]
        words += ["--seed", seed, "--clients", count, "--rest", rest]
        self.clients = [self._start(f"client-{place + 1}", *words, "--place", place) for place in range(count)]
        self._answers = [Lines(client.log) for client in self.clients]

    def stop_clients(self) -> None:
        """Let them finish the wish at hand."""
        for client in self.clients:
            with suppress(ProcessLookupError):
                os.kill(client.pid or 0, signal.SIGTERM)
        for client in self.clients:
            client.stop(seconds=120)
        self.read_answers()

    def read_answers(self) -> None:
        """Take in what the clients were answered since the last time."""
        for lines in self._answers:
            self.asked += [Asked(*line) for line in lines.new()]

    def read_screens(self) -> None:
        """Take in what the screens drew. Raises LocalError when one gave up."""
        for facts in self._screen_lines.new():
            kind = facts.pop("kind")
            if kind == "applied":
                self.drawn.append(Drawn(**facts))
            elif kind == "connected":
                self.reconnects += 1
            elif kind == "failed":
                raise LocalError(f"The screen in {facts['hotel']} gave up: {facts['error']}")

    # --- trouble ------------------------------------------------------------------------------------------------------

    def strike(self, strike: Strike, rng: random.Random) -> None:
        """Let one happen, and note from when to when."""
        began = time.time()
        trouble = strike.kind.removeprefix("pusher ")
        match strike.kind:
            case "web" | "worker":
                self.kill(strike.kind, rng)
            case "backends":
                self._terminate_backends(rng)
            case "crash":
                self._crash_database(rng)
            case "locks":
                self._hold_rows(strike.seconds, rng)
            case "card failing" | "card hanging":
                self.cards.mood = strike.kind.removeprefix("card ")
                self._pass_time(time.monotonic() + strike.seconds, pulsing=False)
                self.cards.mood = "none"
            case _:
                with self.pusher_in(trouble):
                    self._pass_time(time.monotonic() + strike.seconds, pulsing=False)
        self.faults.append(Fault(strike.kind, began, time.time()))
        self._pass_time(time.monotonic() + strike.calm, pulsing=False)

    def _terminate_backends(self, rng: random.Random) -> None:
        statement = "SELECT pid, state <> 'idle' FROM pg_stat_activity WHERE backend_type = 'client backend'"
        found = self.query(f"{statement} AND application_name <> %s ORDER BY pid", MINE)
        busy = [pid for pid, working in found if working]
        chosen = {*rng.sample([pid for pid, _ in found], min(3, len(found))), *busy[:2]}
        for pid in chosen:
            self.query("SELECT pg_terminate_backend(%s)", pid)

    def _crash_database(self, rng: random.Random) -> None:
        """SIGKILL of one backend, a busy one if there is any; returns when PostgreSQL answers again."""
        statement = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> %s"
        found = [pid for (pid,) in self.query(f"{statement} ORDER BY state = 'idle', pid", MINE)]
        try:
            os.kill(rng.choice(found[:3]), signal.SIGKILL)
        except (IndexError, ProcessLookupError):
            return  # nobody is there, or not any more
        self._await(self._lost, "the crash")
        self._await(self._connect, "PostgreSQL after its crash")

    def _lost(self) -> bool:
        try:
            self.query("SELECT 1")
        except psycopg2.Error:
            return True
        return False

    def _connect(self) -> bool:
        """Connect anew, under a name that the other faults spare; returns whether that was possible."""
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
            # What clients look at just now: the newest ones.
            order = "updated_at DESC" if table != "rooms_roomtype" else "random()"
            statement = f"SELECT id FROM {table} ORDER BY {order} LIMIT 12 FOR NO KEY UPDATE SKIP LOCKED"  # noqa: S608
            cursor.execute(statement)
            self._pass_time(time.monotonic() + seconds, pulsing=False)

    # --- the end ------------------------------------------------------------------------------------------------------

    def settle(self, seconds: float = 120) -> list[str]:
        """Let all come to rest: payments, mail, events, screens; returns what did not."""
        left = []
        # A mail waits two minutes for an older one that a worker was sending when it was killed.
        if not wait_until(lambda: not self._count("mailer_message"), 2 * seconds, self.pause):
            left.append(f"{self._count('mailer_message')} mails were never sent")
        # No more periodic work from here on: what REST shows is to be what the last event showed.
        for worker in self.workers:
            worker.stop()
        try:
            self.run("manage.py", "settle")
        except LocalError as error:
            left.append(str(error))

        def drawn() -> bool:
            self.read_screens()
            last = {(event.hotel, event.stream): event.seq for event in self.drawn}
            return self.waiting() == 0 and last == {
                stream: number for stream, number in self.all_last_seqs().items() if number
            }

        if not wait_until(drawn, seconds, self.pause):
            left.append(f"after {seconds:.0f} s {self.waiting()} events wait, and a screen has not drawn all")
        return left

    def _count(self, table: str) -> int:
        return int(self.query(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - a name of our own

    def all_last_seqs(self) -> dict[tuple[str, str], int]:
        """The counter of each staff stream."""
        rows = self.query(
            "SELECT hotel.slug, stream.name, stream.last_seq FROM notifications_eventstream stream"
            " JOIN hotel_hotel hotel ON hotel.id = stream.hotel_id WHERE stream.name = ANY(%s)",
            list(STAFF_STREAMS),
        )
        return {(hotel, name): last for hotel, name, last in rows}

    def house(self) -> House:
        """All that the database says, in plain SQL."""
        return House(
            bookings=[
                Booking(*row)
                for row in self.query("""
                    SELECT booking_id, hotel.slug, primary_email, status, version, payment_state, payment_reference
                    FROM room_bookings_roombooking booking JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
                    ORDER BY booking.id
                """)
            ],
            steps=[
                Step(*row)
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
        """The ids of the staff's events that the Pusher server has published."""
        channels = tuple(f".{stream}" for stream in STAFF_STREAMS)
        return {
            json.loads(data)["meta"]["event_id"]
            for _, channel, data in self._published.new()
            if channel.endswith(channels)
        }

    def shown(self) -> tuple[dict[int, Any], dict[str, Any]]:
        """Every room by id and every booking by reference, as REST shows them."""
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
            answer = response.json()
            yield from answer["results"]
            page, more = page + 1, answer["next"] is not None

    def intents(self) -> dict[str, tuple[str, bool, Counter[str]]]:
        """The card provider's books."""
        return {
            name: (intent.status, intent.refunded, intent.moved) for name, intent in sorted(self.cards.intents.items())
        }

    def complaints(self) -> list[str]:
        """The lines in the logs of what served that tell of a bug, as far as the logs go back."""
        return [
            f"{service.name}: {line}"
            for service in (self.web, *self.workers)
            for line in service.last_words(1_000_000).splitlines()
            if any(words in line for words in COMPLAINTS)
        ]


@contextmanager
def opened(pause: Pause, *, seconds: float, keep: bool) -> Iterator[SoakStage]:
    """A stage in a folder of its own; whatever happens, nothing of it stays, but for the folder if ``keep``."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="hotelmate-soak-"))
        data = DataDir(folder)
        if not keep:
            stack.callback(shutil.rmtree, public_place(data.path), ignore_errors=True)
            stack.callback(shutil.rmtree, folder)
        data.prepare()
        stage = SoakStage(data, pause, seconds=seconds)
        stage.open(stack)
        yield stage
