"""``python -m tools.harness.writer``: a client that changes room statuses over HTTP until SIGTERM.

It prints one line of JSON for each request: the values of a ``Request``.
"""

import argparse
import http.client
import json
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

# The next status of a room: transitions that need no guest. A fault is repaired before the room is cleaned.
NEXT = {
    "READY_FOR_GUEST": ("CHECKOUT_DIRTY", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"),
    "CHECKOUT_DIRTY": ("CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST"),
    "CLEANING_IN_PROGRESS": ("CLEANED_UNINSPECTED", "CHECKOUT_DIRTY"),
    "CLEANED_UNINSPECTED": ("READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY"),
    "MAINTENANCE_REQUIRED": ("READY_FOR_GUEST",),
    "OUT_OF_ORDER": ("READY_FOR_GUEST", "CHECKOUT_DIRTY"),
}
NOTES = ("", "", "", "extra towels", "seomra glan, réidh", "窓が閉まらない")
# To make writers collide, a share of the requests goes to the first rooms of each hotel. Other rooms have one writer.
SHARE_OF_SHARED, SHARED_ROOMS = 0.25, 3
TIMEOUT = 30  # seconds for one response: gunicorn's limit for a worker


class Request(NamedTuple):
    """One request and its outcome."""

    started: float  # seconds since 1970
    seconds: float
    status: int  # 0: no response
    hotel: str
    room_id: int
    version: int | None  # of the change that the response confirms


class Writer:
    """One client: its connection, and the last status it saw of each room."""

    def __init__(self, hotels: list[dict[str, Any]], port: int, rng: random.Random, place: int, writers: int) -> None:
        self._hotels = hotels
        self._shared = {hotel["slug"]: hotel["rooms"][:SHARED_ROOMS] for hotel in hotels}
        self._own = {hotel["slug"]: hotel["rooms"][SHARED_ROOMS + place :: writers] for hotel in hotels}
        self._rng = rng
        self._statuses: dict[int, str] = {}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def change(self) -> Request:
        """Try to change a room."""
        hotel = self._rng.choice(self._hotels)
        rooms = self._shared if self._rng.random() < SHARE_OF_SHARED else self._own
        room = self._rng.choice(rooms[hotel["slug"]])
        to_status = self._rng.choice(NEXT[self._statuses.get(room, "READY_FOR_GUEST")])
        body = {"to_status": to_status, "note": self._rng.choice(NOTES)}
        started, began = time.time(), time.perf_counter()
        status, content = self._post(hotel, room, body)
        seconds = time.perf_counter() - began
        version = None
        if status == 200:
            self._statuses[room] = content["room"]["room_status"]
            if content["status_event"]:
                version = content["room"]["status_version"]
        elif "current_status" in content.get("details", {}):
            self._statuses[room] = content["details"]["current_status"]
        return Request(started, seconds, status, hotel["slug"], room, version)

    def _post(self, hotel: dict[str, Any], room: int, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        try:
            self._connection.request(
                "POST",
                f"/api/staff/hotel/{hotel['slug']}/rooms/{room}/status/",
                body=json.dumps(body),
                headers={"Authorization": f"Token {hotel['tokens']['manager']}", "Content-Type": "application/json"},
            )
            response = self._connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            return 0, {}


def main() -> None:
    """Write until SIGTERM, and finish the current request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hotels", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--place", type=int, required=True, help="index of this writer, from 0")
    parser.add_argument("--writers", type=int, required=True, help="number of writers")
    parser.add_argument("--rate", type=float, required=True, help="changes a second")
    options = parser.parse_args()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    rng = random.Random(f"{options.seed}.{options.place}")
    hotels = json.loads(options.hotels.read_text())
    writer = Writer(hotels, options.port, rng, options.place, options.writers)
    interval = 1 / options.rate
    due = time.monotonic() + rng.uniform(0, interval)
    while not stopping.wait(max(0.0, due - time.monotonic())):
        request = writer.change()
        print(json.dumps(request), flush=True)
        if request.version is not None:
            # A late writer does not catch up: that would be a higher rate than the requested one.
            due = max(due + interval, time.monotonic())
        elif request.status == 0:
            stopping.wait(0.05)  # the web process was killed


if __name__ == "__main__":
    main()
