"""Compares the events that subscribers received with the changes in the database. Pure."""

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

LISTED = 5  # of each kind of failure; the rest is counted


class Change(NamedTuple):
    """A committed change of a room's status, from the audit log."""

    hotel: str
    room: int
    version: int
    from_status: str
    to_status: str


class Stored(NamedTuple):
    """An event in the database."""

    hotel: str
    event_id: str
    seq: int | None
    room: int
    version: int
    sent: bool
    parked: bool


class Arrival(NamedTuple):
    """An event that reached a subscriber, once for each time it arrived, in order of arrival."""

    hotel: str
    way: str  # live, or replay: from the event log
    event_id: str
    seq: int
    room: int
    version: int
    from_status: str
    to_status: str
    body: str  # digest of the whole envelope
    at: float = 0.0  # seconds since 1970

    @property
    def change(self) -> Change:
        return Change(self.hotel, self.room, self.version, self.from_status, self.to_status)


class Sent(NamedTuple):
    """An event that the Pusher server published, once for each time, in that order."""

    hotel: str
    event_id: str
    seq: int
    at: float = 0.0  # seconds since 1970


class Applied(NamedTuple):
    """An event that a subscriber applied, in that order."""

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
    """Every failure as a sentence; empty if delivery was correct.

    ``last_seqs`` are the streams' counters by hotel, ``acknowledged`` the changes (hotel, room number, version) that a
    response confirmed to a writer.
    """
    return [
        *_unsent(stored, sent),
        *_lost(changes, stored, arrivals, acknowledged),
        *_numbers(stored, sent, arrivals, last_seqs),
        *_bodies(arrivals),
        *_order(stored, sent),
        *_applications(applied, last_seqs),
    ]


def digest(envelope: Mapping[str, Any]) -> str:
    """A hash that is equal for equal envelopes."""
    return hashlib.sha256(json.dumps(envelope, sort_keys=True).encode()).hexdigest()[:16]


def some(found: Iterable[str]) -> list[str]:
    """The first few failures, and how many more there are."""
    listed = list(found)
    more = len(listed) - LISTED
    return listed[:LISTED] + ([f"… and {more:,} more like that"] if more > 0 else [])


def _unsent(stored: Sequence[Stored], sent: Sequence[Sent]) -> list[str]:
    published = {event.event_id for event in sent}
    return [
        *some(
            f"{_named(event)} is {'parked' if event.parked else 'still waiting'}"
            for event in stored
            if event.parked or not event.sent
        ),
        *some(
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
        *some(
            f"{hotel}: version {version} of room {room} was confirmed to the writer and is not in the database"
            for hotel, room, version in sorted(set(acknowledged) - committed)
        ),
        *some(f"lost: {_described(change)} never arrived" for change in changes if change not in arrived),
        *some(
            f"invented: {_described(change)} arrived and never happened" for change in sorted(arrived - set(changes))
        ),
        *some(
            f"{_described(change)} has {made[change[:3]]} events instead of one"
            for change in changes
            if made[change[:3]] != 1
        ),
    ]


def _described(change: Change) -> str:
    return f"{change.hotel}, room {change.room}, version {change.version} ({change.from_status} to {change.to_status})"


def _numbers(
    stored: Sequence[Stored], sent: Sequence[Sent], arrivals: Sequence[Arrival], last_seqs: dict[str, int]
) -> list[str]:
    """Every number from 1 on exists and belongs to one event, and every event has one."""
    ids: dict[tuple[str, int | None], set[str]] = defaultdict(set)
    seqs: dict[tuple[str, str], set[int | None]] = defaultdict(set)
    carried = [(event.hotel, event.seq, event.event_id) for event in stored]
    carried += [(event.hotel, event.seq, event.event_id) for event in sent]
    carried += [(arrival.hotel, arrival.seq, arrival.event_id) for arrival in arrivals]
    for hotel, seq, event_id in carried:
        ids[hotel, seq].add(event_id)
        seqs[hotel, event_id].add(seq)
    found = some(
        f"{hotel}: seq {seq} is carried by {len(carriers)} events: {', '.join(sorted(carriers))}"
        for (hotel, seq), carriers in ids.items()
        if len(carriers) > 1
    )
    found += some(
        f"{hotel}: event {event_id} has had several numbers: {sorted(map(str, numbers))}"
        for (hotel, event_id), numbers in seqs.items()
        if len(numbers) > 1
    )
    for hotel in sorted({event.hotel for event in stored} | set(last_seqs)):
        expected = set(range(1, last_seqs.get(hotel, 0) + 1))
        for where, numbers in (
            ("in the database", {event.seq for event in stored if event.hotel == hotel}),
            ("at the subscriber", {arrival.seq for arrival in arrivals if arrival.hotel == hotel}),
        ):
            found += some(f"{hotel}: seq {seq} is missing {where}" for seq in sorted(expected - numbers))
            found += some(
                f"{hotel}: seq {seq} {where} was never assigned" for seq in sorted(map(str, numbers - expected))
            )
    return found


def _bodies(arrivals: Sequence[Arrival]) -> list[str]:
    bodies: dict[str, set[str]] = defaultdict(set)
    for arrival in arrivals:
        bodies[arrival.event_id].add(arrival.body)
    return some(
        f"event {event_id} arrived with {len(different)} different bodies"
        for event_id, different in bodies.items()
        if len(different) > 1
    )


def _order(stored: Sequence[Stored], sent: Sequence[Sent]) -> list[str]:
    """By number, a room's versions are consecutive, and events are sent in the order of their numbers.

    An event that is sent again after a relay was killed may be older; one sent for the first time may not.
    """
    versions: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in sorted(stored, key=lambda event: (event.hotel, event.seq or 0)):
        versions[event.hotel, event.room].append(event.version)
    found = some(
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
    return found + some(late)


def _applications(applied: Sequence[Applied], last_seqs: dict[str, int]) -> list[str]:
    seqs: dict[str, list[int]] = defaultdict(list)
    for event in applied:
        seqs[event.hotel].append(event.seq)
    return [
        f"{hotel}: the subscriber did not apply the events 1 to {last}, each once and in order"
        for hotel, last in sorted(last_seqs.items())
        if seqs[hotel] != list(range(1, last + 1))
    ]


def repeats(events: Iterable[Sent | Arrival]) -> int:
    """The number of duplicates."""
    counts = Counter(event.event_id for event in events)
    return counts.total() - len(counts)


def delivery_times(
    commits: Mapping[Change, float], sent: Sequence[Sent], arrivals: Sequence[Arrival], *, since: float, until: float
) -> tuple[list[float], list[float]]:
    """Milliseconds from the commit to the Pusher server and to the client, of changes committed in that time."""
    published = {event.event_id: event.at for event in reversed(sent)}  # the first, if there are several
    seen = {arrival.event_id: arrival for arrival in reversed(arrivals) if arrival.way == "live"}
    to_pusher, to_client = [], []
    for event_id, arrival in seen.items():
        committed = commits.get(arrival.change, 0.0)
        if since <= committed < until:
            to_pusher.append((published[event_id] - committed) * 1000)
            to_client.append((arrival.at - committed) * 1000)
    return to_pusher, to_client


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed (nearest rank); NaN if there are none."""
    ordered = sorted(values) or [math.nan]
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
