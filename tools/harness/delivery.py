"""Whether what arrived is what happened: the database and the log of the screens, compared. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

LISTED = 5  # of each kind of failure; the rest is counted


class Change(NamedTuple):
    """A committed change of a room's status, as the audit trail has it."""

    hotel: str
    room: int
    version: int
    from_status: str
    to_status: str


class Stored(NamedTuple):
    """An event as the database has it."""

    hotel: str
    event_id: str
    seq: int | None
    room: int
    version: int
    sent: bool
    parked: bool


class Arrival(NamedTuple):
    """An event as it reached a screen, each time that it did; in the order of arrival."""

    hotel: str
    way: str  # live, or replay: from the log
    event_id: str
    seq: int
    room: int
    version: int
    from_status: str
    to_status: str
    body: str  # a digest of the whole envelope
    at: float = 0.0  # seconds since 1970

    @property
    def change(self) -> Change:
        return Change(self.hotel, self.room, self.version, self.from_status, self.to_status)


class Sent(NamedTuple):
    """An event as the Pusher server published it, each time that it did; in that order."""

    hotel: str
    event_id: str
    seq: int
    at: float = 0.0  # seconds since 1970


class Applied(NamedTuple):
    """What a screen drew, in the order in which it did."""

    hotel: str
    event_id: str
    seq: int


def failures(
    changes: Sequence[Change],
    stored: Sequence[Stored],
    sent: Sequence[Sent],
    arrivals: Sequence[Arrival],
    applied: Sequence[Applied],
    *,
    last_seqs: dict[str, int],
    acknowledged: Iterable[tuple[str, int, int]] = (),
) -> list[str]:
    """Every broken promise, as sentences; empty when all were kept.

    ``last_seqs`` are the streams' own counters by hotel, ``acknowledged`` the changes (hotel, room number, version)
    that a writer was told of.
    """
    return [
        *_unsent(stored, sent),
        *_lost(changes, stored, arrivals, acknowledged),
        *_numbers(stored, sent, arrivals, last_seqs),
        *_bodies(arrivals),
        *_order(stored, sent),
        *_screens(applied, last_seqs),
    ]


def _some(found: Iterable[str]) -> list[str]:
    listed = list(found)
    more = len(listed) - LISTED
    return listed[:LISTED] + ([f"… and {more:,} more like that"] if more > 0 else [])


def _unsent(stored: Sequence[Stored], sent: Sequence[Sent]) -> list[str]:
    published = {event.event_id for event in sent}
    return [
        *_some(
            f"{_named(event)} is {'parked' if event.parked else 'still waiting'}"
            for event in stored
            if event.parked or not event.sent
        ),
        *_some(
            f"{_named(event)} is marked as sent, and the Pusher server never published it"
            for event in stored
            if event.sent and event.event_id not in published
        ),
    ]


def _named(event: Stored) -> str:
    return f"{event.hotel}: event {event.event_id} (seq {event.seq})"


def _lost(
    changes: Sequence[Change],
    stored: Sequence[Stored],
    arrivals: Sequence[Arrival],
    acknowledged: Iterable[tuple[str, int, int]],
) -> list[str]:
    committed = {change[:3] for change in changes}
    arrived = {arrival.change for arrival in arrivals}
    made = Counter((event.hotel, event.room, event.version) for event in stored)
    return [
        *_some(
            f"{hotel}: version {version} of room {room} was confirmed to the writer and is not in the database"
            for hotel, room, version in sorted(set(acknowledged) - committed)
        ),
        *_some(f"lost: {_told(change)} never arrived" for change in changes if change not in arrived),
        *_some(f"invented: {_told(change)} arrived and never happened" for change in sorted(arrived - set(changes))),
        *_some(
            f"{_told(change)} has {made[change[:3]]} events instead of one"
            for change in changes
            if made[change[:3]] != 1
        ),
    ]


def _told(change: Change) -> str:
    return f"{change.hotel}, room {change.room}, version {change.version} ({change.from_status} to {change.to_status})"


def _numbers(
    stored: Sequence[Stored], sent: Sequence[Sent], arrivals: Sequence[Arrival], last_seqs: dict[str, int]
) -> list[str]:
    """Every number from 1 on exists, and one event has it; every event has one."""
    ids: dict[tuple[str, int | None], set[str]] = defaultdict(set)
    seqs: dict[tuple[str, str], set[int | None]] = defaultdict(set)
    carried = [(event.hotel, event.seq, event.event_id) for event in stored]
    carried += [(event.hotel, event.seq, event.event_id) for event in sent]
    carried += [(arrival.hotel, arrival.seq, arrival.event_id) for arrival in arrivals]
    for hotel, seq, event_id in carried:
        ids[hotel, seq].add(event_id)
        seqs[hotel, event_id].add(seq)
    found = _some(
        f"{hotel}: seq {seq} is carried by {len(carriers)} events: {', '.join(sorted(carriers))}"
        for (hotel, seq), carriers in ids.items()
        if len(carriers) > 1
    )
    found += _some(
        f"{hotel}: event {event_id} has had several numbers: {sorted(map(str, numbers))}"
        for (hotel, event_id), numbers in seqs.items()
        if len(numbers) > 1
    )
    for hotel in sorted({event.hotel for event in stored} | set(last_seqs)):
        expected = set(range(1, last_seqs.get(hotel, 0) + 1))
        for where, numbers in (
            ("in the database", {event.seq for event in stored if event.hotel == hotel}),
            ("at the screen", {arrival.seq for arrival in arrivals if arrival.hotel == hotel}),
        ):
            found += _some(f"{hotel}: seq {seq} is missing {where}" for seq in sorted(expected - numbers))
            found += _some(
                f"{hotel}: seq {seq} {where} is none that was given" for seq in sorted(map(str, numbers - expected))
            )
    return found


def _bodies(arrivals: Sequence[Arrival]) -> list[str]:
    bodies: dict[str, set[str]] = defaultdict(set)
    for arrival in arrivals:
        bodies[arrival.event_id].add(arrival.body)
    return _some(
        f"event {event_id} arrived with {len(different)} different bodies"
        for event_id, different in bodies.items()
        if len(different) > 1
    )


def _order(stored: Sequence[Stored], sent: Sequence[Sent]) -> list[str]:
    """By number a room goes through its versions one by one, and what is sent comes in the order of the numbers.

    What is sent again, after a relay was killed, may be older; what comes for the first time may not.
    """
    versions: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in sorted(stored, key=lambda event: (event.hotel, event.seq or 0)):
        versions[event.hotel, event.room].append(event.version)
    found = _some(
        f"{hotel}: by the numbers, event {place} of room {room} has version {version}"
        for (hotel, room), row in versions.items()
        for place, version in enumerate(row, start=1)
        if version != place
    )
    seen: set[str] = set()
    newest: dict[str, int] = defaultdict(int)
    late = []
    for hotel, event_id, seq, _ in sent:
        if event_id not in seen:
            seen.add(event_id)
            if seq < newest[hotel]:
                late.append(f"{hotel}: seq {seq} was first sent after seq {newest[hotel]}")
            newest[hotel] = max(newest[hotel], seq)
    return found + _some(late)


def _screens(applied: Sequence[Applied], last_seqs: dict[str, int]) -> list[str]:
    drawn: dict[str, list[int]] = defaultdict(list)
    for event in applied:
        drawn[event.hotel].append(event.seq)
    return [
        f"{hotel}: the screen did not draw the events 1 to {last}, each once and in order"
        for hotel, last in sorted(last_seqs.items())
        if drawn[hotel] != list(range(1, last + 1))
    ]


def repeats(events: Iterable[Sent | Arrival]) -> int:
    """How many came that had come before."""
    counts = Counter(event.event_id for event in events)
    return counts.total() - len(counts)


def way_to_screen(
    commits: Mapping[Change, float], sent: Sequence[Sent], arrivals: Sequence[Arrival], *, since: float, until: float
) -> tuple[list[float], list[float]]:
    """Milliseconds from the commit to the Pusher server and to the screen, of what was committed in that time."""
    published = {event.event_id: event.at for event in reversed(sent)}  # of several times the first
    seen = {arrival.event_id: arrival for arrival in reversed(arrivals) if arrival.way == "live"}
    to_pusher, to_screen = [], []
    for event_id, arrival in seen.items():
        committed = commits.get(arrival.change, 0.0)
        if since <= committed < until:
            to_pusher.append((published[event_id] - committed) * 1000)
            to_screen.append((arrival.at - committed) * 1000)
    return to_pusher, to_screen


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed (nearest rank); of none, not a number."""
    ordered = sorted(values) or [math.nan]
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
