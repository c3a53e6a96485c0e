"""Whether what clients were told, what the database says, what was sent and what screens saw is one story. Pure."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tools.soak.client import Asked

LISTED = 5  # of each kind of failure; the rest is counted


class Booking(NamedTuple):
    booking: str
    hotel: str
    email: str
    status: str
    version: int
    payment_state: str
    payment_reference: str


class Step(NamedTuple):
    """A row of a booking's history, in the order of the rows."""

    booking: str
    action: str
    from_status: str
    to_status: str
    reason: str


class Audit(NamedTuple):
    """A row of the audit trail, in the order of the rows."""

    id: int
    hotel: str
    room: int
    version: int
    from_status: str
    to_status: str
    note: str


class Event(NamedTuple):
    """A row of the log of events, in the order of hotel, stream and number."""

    event_id: str
    hotel: str
    stream: str
    seq: int | None
    type: str
    envelope: dict[str, Any]  # without its number
    done: bool  # sent, and not parked

    @property
    def payload(self) -> dict[str, Any]:
        return dict(self.envelope["payload"])


class Drawn(NamedTuple):
    """What a screen applied, in that order."""

    hotel: str
    stream: str
    event_id: str
    seq: int
    body: str


class House(NamedTuple):
    """All that the database says."""

    bookings: Sequence[Booking]
    steps: Sequence[Step]
    audit: Sequence[Audit]
    events: Sequence[Event]
    tasks: Mapping[int, str]  # status by id
    last_seqs: Mapping[tuple[str, str], int]


# The event that tells of a step; those of ``booking_updated`` are told of other things, too. OVERRIDDEN stands beside
# the step that went beyond a limit, and has that one's event.
TOLD_BY = {
    "CREATED": "booking_created",
    "CONFIRMED": "booking_confirmed",
    "APPROVED": "booking_confirmed",
    "CANCELLED": "booking_cancelled",
    "CHECKED_IN": "booking_checked_in",
    "CHECKED_OUT": "booking_checked_out",
    "NO_SHOW": "booking_no_show",
    "EXPIRED": "booking_expired",
    "EXTENDED": "booking_overstay_extended",
    **dict.fromkeys(
        ("EDITED", "DECLINED", "REINSTATED", "ASSIGNED", "UNASSIGNED", "MOVED", "CHECK_IN_UNDONE"), "booking_updated"
    ),
}
# The step that a request makes, and what in its answer tells one such step from another, where something does.
KEYED = "overstay/extend"  # with an Idempotency-Key: every try of a wish is one request
MADE_BY = {
    "check-in": ("CHECKED_IN", "checked_in_at"),
    "check-out": ("CHECKED_OUT", "checked_out_at"),
    "approve": ("APPROVED", "decision_at"),
    "edit": ("EDITED", "version"),
    "safe-assign-room": ("ASSIGNED", "room_assigned_at"),
    "unassign-room": ("UNASSIGNED", ""),
    KEYED: ("EXTENDED", ""),
    "decline": ("DECLINED", ""),
    "cancel": ("CANCELLED", ""),
    "no-show": ("NO_SHOW", ""),
    "reinstate": ("REINSTATED", ""),
    "undo-check-in": ("CHECK_IN_UNDONE", ""),
    "move-room": ("MOVED", ""),
}
FORCED = "forced out of order"
BULK = {"CHECKED_IN": "bulk check-in", "CHECKED_OUT": "bulk check-out"}
# Granted, they have written a reason with their tag into the history.
ALWAYS_WRITTEN = ("reinstate", "undo-check-in")
# What the hour decides and not the row.
BY_THE_CLOCK = {
    "approval_risk_level",
    "approval_overdue_minutes",
    "is_approval_due_soon",
    "is_approval_overdue",
    "overstay_risk_level",
    "overstay_minutes",
    "is_overstay",
    "is_late_arrival",
}
ABOUT_THE_EVENT = {"changed_fields", "source", "from_status", "to_status", "changed_by_name"}
ABOUT_GUESTS = {"primary_guest", "companions", "guests_in_room", "current_booking"}


def digest(envelope: Mapping[str, Any]) -> str:
    """What two copies of an envelope have in common."""
    return hashlib.sha256(json.dumps(envelope, sort_keys=True).encode()).hexdigest()[:16]


def some(found: Iterable[str]) -> list[str]:
    """The first few, and how many more there are."""
    listed = list(found)
    more = len(listed) - LISTED
    return listed[:LISTED] + ([f"… and {more:,} more like that"] if more > 0 else [])


def is_refused(asked: "Asked") -> bool:
    """Whether the answer says that nothing was done. (502: what was begun with the card may still be finished.)"""
    return 400 <= asked.status < 500


def is_granted(asked: "Asked") -> bool:
    return 200 <= asked.status < 300


# --- what clients were told -------------------------------------------------------------------------------------------


def answers(requests: Sequence["Asked"], house: House) -> list[str]:
    """Every granted request is in the database, no refused one is, and nothing is there that nobody asked for."""
    wishes: dict[str, list[Asked]] = defaultdict(list)
    for asked in requests:
        if asked.tag:
            wishes[asked.tag].append(asked)
    return [*_created(wishes, house), *_reasons(wishes, house), *_rooms(requests, house), *_steps(requests, house)]


def _created(wishes: Mapping[str, Sequence["Asked"]], house: House) -> list[str]:
    made: dict[str, list[str]] = defaultdict(list)
    for booking in house.bookings:
        made[_tag_of(booking.email)].append(booking.booking)
    found = []
    for tag, tries in wishes.items():
        if tries[0].op != "create":
            continue
        told = {asked.facts["booking_id"] for asked in tries if is_granted(asked)}
        there = set(made[tag])
        if told - there:
            found.append(f"lost: {', '.join(sorted(told - there))} was confirmed to {tag} and is not in the database")
        elif len(there) > 1:
            found.append(f"twice: one request with one Idempotency-Key, {tag}, made {', '.join(sorted(there))}")
        elif there and all(is_refused(asked) for asked in tries):
            found.append(f"refused and done: {tag} was answered {tries[-1].code} and made {', '.join(there)}")
    found += [f"nobody asked for {', '.join(bids)}" for tag, bids in made.items() if tag not in wishes]
    return some(found)


def _tag_of(email: str) -> str:
    return email.partition(".")[2].partition("@")[0]


def _reasons(wishes: Mapping[str, Sequence["Asked"]], house: House) -> list[str]:
    """What carries its tag into the history or the audit trail."""
    written: Counter[str] = Counter()
    for text in (*(step.reason for step in house.steps), *(row.note for row in house.audit)):
        written.update({word for word in text.replace(",", " ").split() if word in wishes})
    found = []
    for tag, tries in wishes.items():
        possible = sum(not is_refused(asked) for asked in tries)
        if written[tag] > possible:
            found.append(f"{tries[0].op} {tag} is written {written[tag]} times, {possible} of its tries may have been")
        needed = tries[0].op in ALWAYS_WRITTEN and any(map(is_granted, tries))
        needed |= any(tag in asked.facts.get("reason", "").split() for asked in tries)
        if needed and not written[tag]:
            found.append(f"lost: {tries[0].op} {tag} of {tries[0].booking} was granted and is not in the history")
    return some(found)


def _rooms(requests: Sequence["Asked"], house: House) -> list[str]:
    audit = {row.id: row for row in house.audit}
    found = []
    for asked in requests:
        if (told := asked.facts.get("event")) is not None:
            row = audit.get(told)
            if row is None or (row.to_status, row.hotel) != (asked.facts["to_status"], asked.hotel):
                found.append(f"lost: {asked.op} {asked.tag} was granted with audit row {told}, which is not there")
        if (task := asked.facts.get("task")) is not None:
            status, there = asked.facts["task_status"], house.tasks.get(task)
            if there is None or (status in ("DONE", "CANCELLED") and there != status):
                found.append(f"lost: task {task} was {status} in an answer to {asked.op} and is {there}")
    return some(found)


def _steps(requests: Sequence["Asked"], house: House) -> list[str]:
    done = Counter((step.booking, step.action) for step in house.steps)
    versions = {booking.booking: booking.version for booking in house.bookings}
    marks: dict[tuple[str, str], set[Any]] = defaultdict(set)
    possible: Counter[tuple[str, str]] = Counter()
    keys: set[str] = set()
    wild = {  # a bulk request that nobody answered may have been anybody's
        (asked.hotel, action)
        for action, op in BULK.items()
        for asked in requests
        if asked.op == op and not is_granted(asked) and not is_refused(asked)
    }
    # Whose room was taken away by force, no answer says.
    wild |= {(asked.hotel, "UNASSIGNED") for asked in requests if asked.op == FORCED and not is_refused(asked)}
    found = []
    for asked in requests:
        version = asked.facts.get("version", -1) if asked.booking else -1
        if version > versions.get(asked.booking, -1):
            found.append(f"lost: {asked.booking} had version {version} in an answer to {asked.op}")
        for action, op in BULK.items():
            if asked.op == op:
                for bid in asked.facts.get("bookings", ()):
                    marks[bid, action].add("bulk")
                    possible[bid, action] += 1
        if asked.op in MADE_BY and not is_refused(asked):
            action, mark = MADE_BY[asked.op]
            possible[asked.booking, action] += asked.op != KEYED or asked.tag not in keys
            if asked.op == KEYED:
                keys.add(asked.tag)
            if is_granted(asked) and action != "UNASSIGNED":  # of a booking without a room nothing is written
                marks[asked.booking, action].add(asked.tag if asked.op == KEYED else asked.facts.get(mark))
    hotels = {booking.booking: booking.hotel for booking in house.bookings}
    for (bid, action), seen in marks.items():
        # A granted repeat may show a later step of the same kind by somebody else, never more of them than there were.
        if done[bid, action] < len(seen - {"bulk"}) or not done[bid, action]:
            found.append(
                f"lost: {bid} was {action} {len(seen)} times in answers and {done[bid, action]} times in truth"
            )
    asked_for = {action for action, _ in MADE_BY.values()}
    for (bid, action), count in done.items():
        if action in asked_for and count > possible[bid, action] and (hotels.get(bid), action) not in wild:
            found.append(f"{bid} is {action} {count} times, and {possible[bid, action]} requests may have done that")
    return some(found)


# --- the log of events, the audit trail, the history ------------------------------------------------------------------


def log(house: House) -> list[str]:
    """Each change has its event, each event its change, in the order of the numbers, and none waits."""
    return [*_numbers(house), *_audit(house), *_history(house)]


def _numbers(house: House) -> list[str]:
    found = [f"{event.hotel}: {event.type} {event.event_id} was not sent" for event in house.events if not event.done]
    seqs: dict[tuple[str, str], list[int | None]] = defaultdict(list)
    for event in house.events:
        seqs[event.hotel, event.stream].append(event.seq)
    for stream in sorted({*seqs, *house.last_seqs}):
        last = house.last_seqs.get(stream, 0)
        if seqs[stream] != list(range(1, last + 1)):
            found.append(f"{'.'.join(stream)}: the numbers are not 1 to {last}, each once")
    return some(found)


def _audit(house: House) -> list[str]:
    rows = Counter((row.hotel, row.room, row.version, row.from_status, row.to_status) for row in house.audit)
    told: Counter[tuple[Any, ...]] = Counter()
    versions: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in house.events:
        if event.type != "room_updated":
            continue
        payload = event.payload
        if payload["from_status"] != payload["to_status"]:
            room, version = payload["id"], payload["status_version"]
            told[event.hotel, room, version, payload["from_status"], payload["to_status"]] += 1
            versions[event.hotel, room].append(version)
    found = [f"{_told(row)} has {told[row]} events" for row, count in rows.items() if told[row] != count]
    found += [f"{_told(row)} has an event and no audit row" for row in told if row not in rows]
    found += [
        f"{hotel}, room id {room}: by their numbers the events have the versions {' '.join(map(str, row)):.60}"
        for (hotel, room), row in versions.items()
        if row != list(range(1, len(row) + 1))
    ]
    return some(found)


def _told(row: tuple[Any, ...]) -> str:
    hotel, room, version, from_status, to_status = row
    return f"{hotel}, room id {room}, version {version} ({from_status} to {to_status})"


def _history(house: House) -> list[str]:
    events = Counter(
        (event.payload["booking_id"], event.type) for event in house.events if event.stream == "room-bookings"
    )
    wanted: Counter[tuple[str, str]] = Counter()
    status: dict[str, str] = {}
    found = []
    for step in house.steps:
        if status.get(step.booking, "") != step.from_status:
            found.append(f"{step.booking}: {step.action} starts at {step.from_status}, the step before ended elsewhere")
        status[step.booking] = step.to_status
        if step.action in TOLD_BY:
            wanted[step.booking, TOLD_BY[step.action]] += 1
    for (bid, kind), count in wanted.items():
        if events[bid, kind] < count or (events[bid, kind] > count and kind != "booking_updated"):
            found.append(f"{bid}: {count} steps and {events[bid, kind]} events {kind}")
    exact = set(TOLD_BY.values()) - {"booking_updated"}
    found += [
        f"{bid}: {kind} was told and never happened" for bid, kind in events if kind in exact and not wanted[bid, kind]
    ]
    return some(found)


# --- screens, and what REST shows -------------------------------------------------------------------------------------


def screens(house: House, drawn: Sequence[Drawn], published: Iterable[str]) -> list[str]:
    """Each screen drew its stream's log, event by event; all that is marked as sent was published by the server."""
    found = []
    rows: dict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    for event in drawn:
        rows[event.hotel, event.stream].append((event.seq, event.event_id, event.body))
    stored: dict[tuple[str, str], list[tuple[int | None, str, str]]] = defaultdict(list)
    for event_ in house.events:
        meta = {**event_.envelope["meta"], "seq": event_.seq}
        stored[event_.hotel, event_.stream].append(
            (event_.seq, event_.event_id, digest({**event_.envelope, "meta": meta}))
        )
    for stream in sorted({*rows, *stored}):
        if rows[stream] != stored[stream]:
            at = next(
                (
                    place
                    for place, pair in enumerate(zip(rows[stream], stored[stream], strict=False))
                    if pair[0] != pair[1]
                ),
                None,
            )
            where = f"differ at {at + 1}" if at is not None else f"{len(rows[stream])} of {len(stored[stream])}"
            found.append(f"{'.'.join(stream)}: the screen did not draw the log ({where})")
    there = set(published)
    found += [
        f"{event_.hotel}: {event_.type} {event_.event_id} is marked as sent, and the Pusher server never published it"
        for event_ in house.events
        if event_.done and event_.event_id not in there
    ]
    return some(found)


def rest(house: House, rooms: Mapping[int, Mapping[str, Any]], bookings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the last event of each room and booking showed is what REST shows now."""
    last_of_room: dict[int, Event] = {}
    last_of_booking: dict[str, Event] = {}
    for event in house.events:
        if event.stream == "rooms":
            last_of_room[event.payload["id"]] = event
        else:
            last_of_booking[event.payload["booking_id"]] = event
    found = []
    for room, event in last_of_room.items():
        found += _differences(f"room id {room}", event, rooms.get(room), ABOUT_THE_EVENT | ABOUT_GUESTS)
    for bid, event in last_of_booking.items():
        found += _differences(bid, event, bookings.get(bid), BY_THE_CLOCK)
    return some(found)


def _differences(what: str, event: Event, shown: Mapping[str, Any] | None, without: set[str]) -> list[str]:
    if shown is None:
        return [f"{what} of {event.hotel} has events, and REST does not show it"]
    payload = event.payload
    different = sorted(key for key in payload.keys() - without if payload[key] != shown.get(key))
    if not different:
        return []
    key = different[0]
    was, shows = f"{payload[key]!r:.60}", f"{shown.get(key)!r:.60}"
    return [f"{what} of {event.hotel}: {', '.join(different)} differ from the last event: was {was}, is {shows}"]


# --- money ------------------------------------------------------------------------------------------------------------


def money(house: House, intents: Mapping[str, tuple[str, bool, Mapping[str, int]]]) -> list[str]:
    """The provider's books and ours: ``intents`` are status, whether refunded, and how often what was moved."""
    found = []
    for booking in house.bookings:
        if not booking.payment_reference:
            continue
        status, refunded, moved = intents.get(booking.payment_reference, ("requires_capture", False, {}))
        there = "REFUNDED" if refunded else {"succeeded": "CAPTURED", "canceled": "VOIDED"}.get(status, "AUTHORISED")
        if there != booking.payment_state:
            found.append(f"{booking.booking} ({booking.status}): we have {booking.payment_state}, the provider {there}")
        if any(count > 1 for count in moved.values()):
            found.append(f"{booking.booking}: money was moved twice, {dict(moved)}")
    return some(found)
