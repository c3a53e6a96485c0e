"""``python -m tools.drill_cluster.screens HOTELS …``: a screen in each hotel, as docs/realtime.md describes one.

Besides what a subscriber of the harness prints, a line for each room that it draws, and for each reload.
"""

from typing import Any

from tools.harness.pusher_client import Subscriber, UnexpectedResponse, run


class Screen(Subscriber):
    """Reads the state by REST, then follows; reloads when it is told to."""

    events = ("room_",)

    async def follow(self) -> None:
        await self._reload()
        await super().follow()

    async def _catch_up(self) -> None:
        while True:
            page = await self._missed()
            if page is None or page["latest_seq"] < (self._last or 0):
                await self._reload()
                return
            for envelope in page["results"]:
                if envelope["meta"]["seq"] > (self._last or 0):
                    self._apply(envelope)
                    self._draw(envelope["payload"])
            if not page["results"] or self._last == page["latest_seq"]:
                return

    async def _live(self, envelope: dict[str, Any], now: float) -> None:
        assert self._last is not None
        if envelope["meta"]["seq"] > self._last + 1:
            await self._catch_up()
        if envelope["meta"]["seq"] == self._last + 1:
            self._apply(envelope)
            self._draw(envelope["payload"])

    async def _missed(self) -> dict[str, Any] | None:
        try:
            return await self._events(after=self._last)
        except UnexpectedResponse as error:
            if " returned 410" in str(error):
                return None
            raise

    async def _reload(self) -> None:
        self._last = (await self._events(after=None))["latest_seq"]
        self._print("reloaded", seq=self._last)
        for column in (await self._call("GET", f"/staff/hotel/{self.slug}/turnover/rooms/")).values():
            for room in column["rooms"]:
                self._draw(room)

    def _draw(self, room: dict[str, Any]) -> None:
        self._print("drawn", room=room["room_number"], status=room["room_status"], version=room["status_version"])


if __name__ == "__main__":
    run(Screen)
