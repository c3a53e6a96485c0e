"""``python -m tools.harness.writer``: a client that changes rooms over HTTP until SIGTERM, and prints the answers.

One line of JSON for each: the values of a ``Request``.
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

# Where a room goes from here: steps of the workflow map that need no guest. A fault is mended before it is cleaned.
NEXT = {
    "READY_FOR_GUEST": ("CHECKOUT_DIRTY", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"),
    "CHECKOUT_DIRTY": ("CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST"),
    "CLEANING_IN_PROGRESS": ("CLEANED_UNINSPECTED", "CHECKOUT_DIRTY"),
    "CLEANED_UNINSPECTED": ("READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY"),
    "MAINTENANCE_REQUIRED": ("READY_FOR_GUEST",),
    "OUT_OF_ORDER": ("READY_FOR_GUEST", "CHECKOUT_DIRTY"),
}
NOTES = ("", "", "", "extra towels", "seomra glan, réidh", "窓が閉まらない")
# So that the writers meet: a share of the requests goes to the first rooms of each hotel. The others are one writer's.
SHARE_OF_MEETINGS, MEETING_ROOMS = 0.25, 3
TIMEOUT = 30  # seconds for one answer, as long as gunicorn gives a worker


class Request(NamedTuple):
    """One request, and how it was answered."""

    started: float  # seconds since 1970
    seconds: float
    status: int  # 0: no answer
    hotel: str
    room_id: int
    version: int | None  # of the change that the answer confirms


class Writer:
    """One client: what it believes of each room, and its connection."""

    def __init__(self, hotels: list[dict[str, Any]], port: int, rng: random.Random, place: int, writers: int) -> None:
        self._hotels = hotels
        self._shared = {hotel["slug"]: hotel["rooms"][:MEETING_ROOMS] for hotel in hotels}
        self._own = {hotel["slug"]: hotel["rooms"][MEETING_ROOMS + place :: writers] for hotel in hotels}
        self._rng = rng
        self._statuses: dict[int, str] = {}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def change(self) -> Request:
        """Change a room, whatever comes of it."""
        hotel = self._rng.choice(self._hotels)
        rooms = self._shared if self._rng.random() < SHARE_OF_MEETINGS else self._own
        room = self._rng.choice(rooms[hotel["slug"]])
        to_status = self._rng.choice(NEXT[self._statuses.get(room, "READY_FOR_GUEST")])
        body = {"to_status": to_status, "note": self._rng.choice(NOTES)}
        started, began = time.time(), time.perf_counter()
        status, answer = self._post(hotel, room, body)
        seconds = time.perf_counter() - began
        version = None
        if status == 200:
            self._statuses[room] = answer["room"]["room_status"]
            if answer["status_event"]:
                version = answer["room"]["status_version"]
        elif "current_status" in answer.get("details", {}):
            self._statuses[room] = answer["details"]["current_status"]
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
    """Write until SIGTERM; the request at hand is finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hotels", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--place", type=int, required=True, help="which of the writers this is, from 0")
    parser.add_argument("--writers", type=int, required=True, help="how many there are")
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
            # Whoever is late does not hurry afterwards: that would be another load than the one that was asked for.
            due = max(due + interval, time.monotonic())
        elif request.status == 0:
            stopping.wait(0.05)  # the web process was killed


if __name__ == "__main__":
    main()
