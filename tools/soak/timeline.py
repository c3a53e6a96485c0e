"""The soak's clock: it runs fast through a window around each daylight saving change, one after the other. Pure."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

YEAR = 2027
SHORTEST, LONGEST = timedelta(hours=36), timedelta(days=6)  # of the hotels' time, in a window
USUAL_SPEED = 1200  # unless a window would then be too short or too long
SHORTEST_WINDOW = 12  # seconds: a shorter run has fewer of them


def changes(zone: str, year: int = YEAR) -> list[datetime]:
    """The moments of the year at which the zone's UTC offset changes."""
    place, moment, found = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC), []
    while moment.year == year:
        before, moment = moment.astimezone(place).utcoffset(), moment + timedelta(minutes=30)
        if moment.astimezone(place).utcoffset() != before:
            found.append(moment)
    return found


class Timeline(NamedTuple):
    """``starts`` are the windows' first moments (seconds since 1970); each lasts ``seconds`` of real time."""

    began: float
    seconds: float
    speed: float
    starts: tuple[float, ...]

    def moment(self, real: float) -> datetime:
        """The hotels' time at ``real``: constant before the start, and running on after the end."""
        passed = max(0.0, real - self.began)
        window = min(int(passed // self.seconds), len(self.starts) - 1)
        return datetime.fromtimestamp(self.starts[window] + (passed - window * self.seconds) * self.speed, UTC)

    def to_json(self) -> str:
        return json.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> "Timeline":
        began, seconds, speed, starts = json.loads(text)
        return cls(began, seconds, speed, tuple(starts))


def timeline(began: float, seconds: float, zones: Iterable[str]) -> Timeline:
    """A run of ``seconds`` through the changes of ``zones``, each mid-window; a short run has only the first few."""
    moments = sorted({moment for zone in zones for moment in changes(zone)})
    moments = moments[: max(1, int(seconds // SHORTEST_WINDOW))]
    each = seconds / len(moments)
    span = min(max(SHORTEST, timedelta(seconds=each * USUAL_SPEED)), LONGEST)
    return Timeline(
        began, each, span.total_seconds() / each, tuple((moment - span / 2).timestamp() for moment in moments)
    )
