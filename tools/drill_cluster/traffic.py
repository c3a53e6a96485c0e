"""``python -m tools.drill_cluster.traffic HOTELS …``: the clients of one web machine, until SIGTERM.

Two change rooms, one books, checks in and checks out, one reads and signs in. Each prints a line of JSON per request:
the values of an ``Answer``.
"""

import argparse
import json
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import requests

from tools.harness.writer import NEXT

TIMEOUT = 60  # seconds for one response: far above what is allowed, so that it is measured
AGAIN = 0.25  # seconds until a refused request is sent again


class Answer(NamedTuple):
    """One request and its outcome."""

    at: float  # seconds since 1970, when the response arrived
    seconds: float
    machine: str
    what: str
    status: int  # 0: no response
    retry_after: bool
    code: str
    fact: str  # what a 2xx confirms, "" if it confirms no change


class Client:
    """A client of one web machine in one hotel."""

    def __init__(self, hotel: Mapping[str, Any], port: int, machine: str, stopping: threading.Event) -> None:
        self.hotel = hotel
        self._root = f"http://127.0.0.1:{port}"
        self._api = f"{self._root}/api/staff/hotel/{hotel['slug']}/"
        self._machine, self._stopping = machine, stopping
        self.session = requests.Session()
        self.known: dict[int, str] = {}  # the last status seen of each room
        self.headers = {"Authorization": f"Token {hotel['tokens']['manager']}"}

    def call(
        self, what: str, method: str, path: str, fact: Callable[[Any], str] = lambda _: "", **options: Any
    ) -> tuple[int, Any]:
        """Send a request and print its outcome; returns the status and the body.

        A ``path`` that begins with ``/`` is not one of the hotel's API.
        """
        url = self._root + path if path.startswith("/") else self._api + path
        headers = options.pop("headers", {} if path.startswith("/") else self.headers)
        began = time.monotonic()
        status, retry_after, body = 0, False, None
        try:
            answer = self.session.request(method, url, headers=headers, timeout=TIMEOUT, **options)
            status, retry_after = answer.status_code, "Retry-After" in answer.headers
            body = answer.json() if "json" in answer.headers.get("Content-Type", "") else None
        except (requests.RequestException, ValueError):
            pass
        code = body.get("code", "") if isinstance(body, dict) and status >= 400 else ""
        confirmed = fact(body) if 200 <= status < 300 else ""
        seconds = time.monotonic() - began
        line = Answer(time.time(), seconds, self._machine, what, status, retry_after, code, confirmed)
        print(json.dumps(line), flush=True)
        return status, body

    def insist(self, *request: Any, **options: Any) -> tuple[int, Any]:
        """Send the same request until it is granted or refused."""
        while not self._stopping.is_set():
            status, body = self.call(*request, **options)
            if status and status < 500:
                return status, body
            self._stopping.wait(AGAIN)
        return 0, None


def change_rooms(client: Client, rooms: list[int], rng: random.Random) -> None:
    """Change the status of one of these rooms; each change has a note that no other has."""
    known = client.known
    room = rng.choice(rooms)
    note = f"drill {uuid.uuid4()}"
    body = {"to_status": rng.choice(NEXT[known.get(room, "READY_FOR_GUEST")]), "note": note}

    def fact(answer: Any) -> str:
        return f"note {note}" if answer["status_event"] else ""

    status, answer = client.call("status", "POST", f"rooms/{room}/status/", fact, json=body)
    if status == 200:
        known[room] = answer["room"]["room_status"]
    elif status and "current_status" in (answer or {}).get("details", {}):
        known[room] = answer["details"]["current_status"]


def keep_a_guest(client: Client, rooms: list[int], rng: random.Random) -> None:
    """A guest books, arrives and leaves, and the room is made ready; every step is repeated until it is answered."""
    room = rng.choice(rooms)
    name = str(uuid.uuid4())
    today = datetime.now(ZoneInfo(client.hotel["timezone"])).date()
    stay = {
        "room_type_id": client.hotel["types"][str(room)],
        "check_in": str(today),
        "check_out": str(today + timedelta(days=1)),
        "primary_first_name": "Ada",
        "primary_last_name": name,
        "adults": 1,
    }
    status, booking = client.insist(
        "book",
        "POST",
        "room-bookings/",
        lambda _: f"guest {name}",
        json=stay,
        headers=client.headers | {"Idempotency-Key": name},
    )
    if status != 201:
        return
    path = f"room-bookings/{booking['booking_id']}"
    status, _ = client.insist(
        "check in", "POST", f"{path}/check-in/", lambda _: f"CHECKED_IN {name}", json={"room_id": room}
    )
    if status == 200:
        client.insist("check out", "POST", f"{path}/check-out/", lambda _: f"CHECKED_OUT {name}", json={})
    note = f"drill {uuid.uuid4()}"
    client.insist(
        "status",
        "POST",
        f"rooms/{room}/status/",
        lambda answer: f"note {note}" if answer["status_event"] else "",
        json={"to_status": "READY_FOR_GUEST", "note": note},
    )


def read(client: Client, rooms: list[int], rng: random.Random) -> None:
    """Read what screens read, with token and session, and sign in."""
    slug = client.hotel["slug"]
    signing_in = {"username": f"{slug}-manager", "password": os.environ["DEMO_PASSWORD"]}
    page = rng.randrange(9)
    if page == 0:
        client.call("sign in", "POST", "/api/staff/login/", json=signing_in)
    elif page == 1:
        client.session.cookies.clear()
        client.call("page", "GET", "/board/sign-in/")
        token = client.session.cookies.get("csrftoken", "")
        client.call("sign in", "POST", "/board/sign-in/", data=signing_in | {"csrfmiddlewaretoken": token})
    elif page == 2:
        client.call("page", "GET", f"/board/{slug}/")
    elif page == 3:
        client.call("admin", "GET", "/admin/")
    elif page == 4:
        client.call("admin", "GET", "/admin/rooms/room/")
    else:
        paths = ("turnover/rooms/", "housekeeping/dashboard/", "turnover/stats/", "room-bookings/")
        client.call("read", "GET", paths[page - 5])


def main() -> None:
    """Run the clients until SIGTERM; each finishes its request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hotels", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--machine", required=True, help="the name of the web machine, for the report")
    parser.add_argument("--place", type=int, required=True, help="index of this machine, of two")
    parser.add_argument("--seed", required=True)
    options = parser.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    hotels = json.loads(options.hotels.read_text())

    def repeat(do: Callable[[Client, list[int], random.Random], None], number: int, seconds: float) -> None:
        rng = random.Random(f"{options.seed}.{options.place}.{number}")
        clients = [Client(hotel, options.port, options.machine, stopping) for hotel in hotels]
        while not stopping.wait(rng.uniform(0.5, 1.5) * seconds):
            client = rng.choice(clients)
            mine = client.hotel["rooms"][options.place * 3 + number :: 6] if number < 3 else client.hotel["rooms"]
            do(client, mine, rng)

    kinds = ((change_rooms, 0.3), (change_rooms, 0.3), (keep_a_guest, 0.3), (read, 0.5))
    threads = [
        threading.Thread(target=repeat, args=[do, number, seconds]) for number, (do, seconds) in enumerate(kinds)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
