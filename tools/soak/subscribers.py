"""``python -m tools.soak.subscribers``: two subscribers in each hotel, one for rooms and one for bookings.

It prints a line of JSON for each event that it applied, ``{"kind": "applied", "hotel", "stream", "event_id", "seq",
"body"}``, and ``connected``, ``lost`` and ``failed`` as ``tools.harness.pusher_client`` does.
"""

from typing import Any

from tools.harness.delivery import digest
from tools.harness.pusher_client import Subscriber, run


class RoomSubscriber(Subscriber):
    """Follows the rooms, and reconnects after every error code."""

    events = ("room_", "booking_")
    give_up = ()

    def _apply(self, envelope: dict[str, Any]) -> None:
        meta = envelope["meta"]
        self._seen.add(meta["event_id"])
        self._last = meta["seq"]
        self._print("applied", stream=self.stream, event_id=meta["event_id"], seq=meta["seq"], body=digest(envelope))

    def _arrived(self, envelope: dict[str, Any], way: str, now: float) -> None:
        """Print nothing: only applied events are compared here, the drill checks repeats."""


class BookingSubscriber(RoomSubscriber):
    """Follows the bookings."""

    stream = "room-bookings"


if __name__ == "__main__":
    run(RoomSubscriber, BookingSubscriber)
