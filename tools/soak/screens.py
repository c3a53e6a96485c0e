"""``python -m tools.soak.screens``: two screens in each hotel, of rooms and of bookings, as the contract's clients are.

It prints a line of JSON for each event that it applied, ``{"kind": "applied", "hotel", "stream", "event_id", "seq",
"body"}``, and ``connected``, ``lost`` and ``failed`` as the drill's subscriber does.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from tools.harness.subscriber import LIMIT, Screen, listen
from tools.soak.verdict import digest

STREAMS = ("rooms", "room-bookings")


class StreamScreen(Screen):
    """One screen of one stream."""

    events = ("room_", "booking_")
    give_up = ()  # whatever the server says, the soak's screens come back

    def __init__(self, hotel: dict[str, Any], stream: str, *, api: str, pusher: str) -> None:
        super().__init__(hotel, api=api, pusher=pusher)
        self._stream = stream
        self._channel = f"private-{self.slug}.{stream}"

    def _apply(self, envelope: dict[str, Any]) -> None:
        meta = envelope["meta"]
        self._seen.add(meta["event_id"])
        self._last = meta["seq"]
        self._tell("applied", stream=self._stream, event_id=meta["event_id"], seq=meta["seq"], body=digest(envelope))

    def _arrived(self, envelope: dict[str, Any], way: str, now: float) -> None:
        """Only what is applied is told: repeats are the drill's business."""

    async def _events(self, *, after: int | None) -> dict[str, Any]:
        query = {"channel": self._stream, "limit": str(LIMIT)} | ({} if after is None else {"after": str(after)})
        return await self._ask("GET", f"/staff/hotel/{self.slug}/events/", params=query)


def main() -> None:
    """Follow every hotel of the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hotels", type=Path)
    parser.add_argument("--port", type=int, required=True, help="of the web server")
    parser.add_argument("--pusher", required=True, help="the WebSocket address of the Pusher server")
    options = parser.parse_args()
    api = f"http://127.0.0.1:{options.port}/api"
    hotels = json.loads(options.hotels.read_text())
    where = {"api": api, "pusher": options.pusher}
    asyncio.run(listen([StreamScreen(hotel, stream, **where) for hotel in hotels for stream in STREAMS]))


if __name__ == "__main__":
    main()
