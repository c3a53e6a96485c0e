"""Compares what clients were sent, what the database contains, and what was published and applied. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tools.harness.delivery import digest, some

if TYPE_CHECKING:
    from tools.soak.client import Attempt


class Booking(NamedTuple):
    booking: str
    hotel: str
    email: str
    status: str
    version: int
    payment_state: str
    payment_reference: str


class HistoryRow(NamedTuple):
    """A row of a booking's history, in order of id."""

    booking: str
    action: str
    from_status: str
    to_status: str
    reason: str


class Audit(NamedTuple):
    """A row of the audit log, in order of id."""

    id: int
    hotel: str
    room: int
    version: int
    from_status: str
    to_status: str
    note: str


class Event(NamedTuple):
    """A row of the event log, in order of hotel, stream and number."""

    event_id: str
    hotel: str
    stream: str
    seq: int | None
    type: str
    envelope: dict[str, Any]  # without its seq
    done: bool  # sent, and not parked

    @property
    def payload(self) -> dict[str, Any]:
        return dict(self.envelope["payload"])


class Applied(NamedTuple):
    """An event that a subscriber applied, in that order."""

    hotel: str
    stream: str
    event_id: str
    seq: int
    body: str


class Snapshot(NamedTuple):
    """Everything that the database contains."""

    bookings: Sequence[Booking]
    history: Sequence[HistoryRow]
    audit: Sequence[Audit]
    events: Sequence[Event]
    tasks: Mapping[int, str]  # status by id
    last_seqs: Mapping[tuple[str, str], int]


# The event of an action; ``booking_updated`` reports other changes, too. OVERRIDDEN is written beside the action that
# exceeded a limit, and shares its event.
EVENT_OF = {
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
        ("EDITED", "DECLINED", "REINSTATED", "ASSIGNED", "UNASSIGNED", "MOVED", "CHECK_IN_UNDONE", "CHECK_OUT_UNDONE"),
        "booking_updated",
    ),
}
# The action of a request, and the field of its response that identifies one such action, if any.
KEYED = "overstay/extend"  # with an Idempotency-Key: all attempts are one request
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
# When granted, these always write a reason with their tag into the history.
ALWAYS_WRITTEN = ("reinstate", "undo-check-in")
# Fields that depend on the time of day.
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


def is_refused(attempt: "Attempt") -> bool:
    """Whether the response means that nothing was done. (After a 502 a payment may still complete.)"""
    return 400 <= attempt.status < 500


def is_granted(attempt: "Attempt") -> bool:
    return 200 <= attempt.status < 300


# --- what clients were sent -------------------------------------------------------------------------------------------


def responses(requests: Sequence["Attempt"], snapshot: Snapshot) -> list[str]:
    """Every granted request is in the database, no refused one is, and no row lacks a request."""
    requests_by_tag: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in requests:
        if attempt.tag:
            requests_by_tag[attempt.tag].append(attempt)
    return [
        *_created(requests_by_tag, snapshot),
        *_reasons(requests_by_tag, snapshot),
        *_rooms(requests, snapshot),
        *_actions(requests, snapshot),
    ]


def _created(requests_by_tag: Mapping[str, Sequence["Attempt"]], snapshot: Snapshot) -> list[str]:
    made: dict[str, list[str]] = defaultdict(list)
    for booking in snapshot.bookings:
        made[_tag_of(booking.email)].append(booking.booking)
    found = []
    for tag, attempts in requests_by_tag.items():
        if attempts[0].op != "create":
            continue
        confirmed = {attempt.facts["booking_id"] for attempt in attempts if is_granted(attempt)}
        stored = set(made[tag])
        if confirmed - stored:
            found.append(
                f"lost: {', '.join(sorted(confirmed - stored))} was confirmed to {tag} and is not in the database"
            )
        elif len(stored) > 1:
            found.append(f"twice: one request with one Idempotency-Key, {tag}, made {', '.join(sorted(stored))}")
        elif stored and all(is_refused(attempt) for attempt in attempts):
            found.append(f"refused and done: {tag} was refused with {attempts[-1].code} and made {', '.join(stored)}")
    found += [f"no request attempt for {', '.join(bids)}" for tag, bids in made.items() if tag not in requests_by_tag]
    return some(found)


def _tag_of(email: str) -> str:
    return email.partition(".")[2].partition("@")[0]


def _reasons(requests_by_tag: Mapping[str, Sequence["Attempt"]], snapshot: Snapshot) -> list[str]:
    """No tag is in the history or the audit log more often than requests can have written it, and none is missing."""
    written: Counter[str] = Counter()
    for text in (*(row.reason for row in snapshot.history), *(row.note for row in snapshot.audit)):
        written.update({word for word in text.replace(",", " ").split() if word in requests_by_tag})
    found = []
    for tag, attempts in requests_by_tag.items():
        possible = sum(not is_refused(attempt) for attempt in attempts)
        if written[tag] > possible:
            found.append(
                f"{attempts[0].op} {tag} is written {written[tag]} times, {possible} of its attempts can have succeeded"
            )
        needed = attempts[0].op in ALWAYS_WRITTEN and any(map(is_granted, attempts))
        needed |= any(tag in attempt.facts.get("reason", "").split() for attempt in attempts)
        if needed and not written[tag]:
            found.append(f"lost: {attempts[0].op} {tag} of {attempts[0].booking} was granted and is not in the history")
    return some(found)


def _rooms(requests: Sequence["Attempt"], snapshot: Snapshot) -> list[str]:
    audit = {row.id: row for row in snapshot.audit}
    found = []
    for attempt in requests:
        if (confirmed := attempt.facts.get("event")) is not None:
            row = audit.get(confirmed)
            if row is None or (row.to_status, row.hotel) != (attempt.facts["to_status"], attempt.hotel):
                found.append(
                    f"lost: {attempt.op} {attempt.tag} was granted with audit row {confirmed}, which is missing"
                )
        if (task := attempt.facts.get("task")) is not None:
            status, there = attempt.facts["task_status"], snapshot.tasks.get(task)
            if there is None or (status in ("DONE", "CANCELLED") and there != status):
                found.append(f"lost: task {task} was {status} in a response to {attempt.op} and is {there}")
    return some(found)


def _actions(requests: Sequence["Attempt"], snapshot: Snapshot) -> list[str]:
    done = Counter((row.booking, row.action) for row in snapshot.history)
    versions = {booking.booking: booking.version for booking in snapshot.bookings}
    marks: dict[tuple[str, str], set[Any]] = defaultdict(set)
    possible: Counter[tuple[str, str]] = Counter()
    keys: set[str] = set()
    wild = {  # a bulk request without a response may have affected any booking
        (attempt.hotel, action)
        for action, op in BULK.items()
        for attempt in requests
        if attempt.op == op and not is_granted(attempt) and not is_refused(attempt)
    }
    # No response names the bookings that lost their room by force.
    wild |= {(attempt.hotel, "UNASSIGNED") for attempt in requests if attempt.op == FORCED and not is_refused(attempt)}
    found = []
    for attempt in requests:
        version = attempt.facts.get("version", -1) if attempt.booking else -1
        if version > versions.get(attempt.booking, -1):
            found.append(f"lost: {attempt.booking} had version {version} in a response to {attempt.op}")
        for action, op in BULK.items():
            if attempt.op == op:
                for bid in attempt.facts.get("bookings", ()):
                    marks[bid, action].add("bulk")
                    possible[bid, action] += 1
        if attempt.op in MADE_BY and not is_refused(attempt):
            action, mark = MADE_BY[attempt.op]
            possible[attempt.booking, action] += attempt.op != KEYED or attempt.tag not in keys
            if attempt.op == KEYED:
                keys.add(attempt.tag)
            if is_granted(attempt) and action != "UNASSIGNED":  # without a room, nothing is written
                marks[attempt.booking, action].add(attempt.tag if attempt.op == KEYED else attempt.facts.get(mark))
    hotels = {booking.booking: booking.hotel for booking in snapshot.bookings}
    for (bid, action), seen in marks.items():
        # The response to a retry may show a later action of the same kind, but never more actions than there were.
        if done[bid, action] < len(seen - {"bulk"}) or not done[bid, action]:
            found.append(
                f"lost: {bid} was {action} {len(seen)} times in responses and {done[bid, action]} times in the database"
            )
    asked_for = {action for action, _ in MADE_BY.values()}
    for (bid, action), count in done.items():
        if action in asked_for and count > possible[bid, action] and (hotels.get(bid), action) not in wild:
            found.append(f"{bid} is {action} {count} times, and {possible[bid, action]} requests can have done that")
    return some(found)


# --- the event log, the audit log, the history ------------------------------------------------------------------------


def log(snapshot: Snapshot) -> list[str]:
    """Each change has one event and each event one change, in the order of the numbers, and all are sent."""
    return [*_numbers(snapshot), *_audit(snapshot), *_history(snapshot)]


def _numbers(snapshot: Snapshot) -> list[str]:
    found = [
        f"{event.hotel}: {event.type} {event.event_id} was not sent" for event in snapshot.events if not event.done
    ]
    seqs: dict[tuple[str, str], list[int | None]] = defaultdict(list)
    for event in snapshot.events:
        seqs[event.hotel, event.stream].append(event.seq)
    for stream in sorted({*seqs, *snapshot.last_seqs}):
        last = snapshot.last_seqs.get(stream, 0)
        if seqs[stream] != list(range(1, last + 1)):
            found.append(f"{'.'.join(stream)}: the numbers are not 1 to {last}, each once")
    return some(found)


def _audit(snapshot: Snapshot) -> list[str]:
    rows = Counter((row.hotel, row.room, row.version, row.from_status, row.to_status) for row in snapshot.audit)
    sent: Counter[tuple[Any, ...]] = Counter()
    versions: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in snapshot.events:
        if event.type != "room_updated":
            continue
        payload = event.payload
        if payload["from_status"] != payload["to_status"]:
            room, version = payload["id"], payload["status_version"]
            sent[event.hotel, room, version, payload["from_status"], payload["to_status"]] += 1
            versions[event.hotel, room].append(version)
    found = [f"{_described(row)} has {sent[row]} events" for row, count in rows.items() if sent[row] != count]
    found += [f"{_described(row)} has an event and no audit row" for row in sent if row not in rows]
    found += [
        f"{hotel}, room id {room}: by their numbers the events have the versions {' '.join(map(str, row)):.60}"
        for (hotel, room), row in versions.items()
        if row != list(range(1, len(row) + 1))
    ]
    return some(found)


def _described(row: tuple[Any, ...]) -> str:
    hotel, room, version, from_status, to_status = row
    return f"{hotel}, room id {room}, version {version} ({from_status} to {to_status})"


def _history(snapshot: Snapshot) -> list[str]:
    events = Counter(
        (event.payload["booking_id"], event.type) for event in snapshot.events if event.stream == "room-bookings"
    )
    expected: Counter[tuple[str, str]] = Counter()
    status: dict[str, str] = {}
    found = []
    for row in snapshot.history:
        if status.get(row.booking, "") != row.from_status:
            found.append(f"{row.booking}: {row.action} starts at {row.from_status}, the action before ended elsewhere")
        status[row.booking] = row.to_status
        if row.action in EVENT_OF:
            expected[row.booking, EVENT_OF[row.action]] += 1
    for (bid, kind), count in expected.items():
        if events[bid, kind] < count or (events[bid, kind] > count and kind != "booking_updated"):
            found.append(f"{bid}: {count} actions and {events[bid, kind]} events {kind}")
    exact = set(EVENT_OF.values()) - {"booking_updated"}
    found += [
        f"{bid}: {kind} was sent and never happened"
        for bid, kind in events
        if kind in exact and not expected[bid, kind]
    ]
    return some(found)


# --- subscribers, and what REST returns -------------------------------------------------------------------------------


def subscribers(snapshot: Snapshot, applied: Sequence[Applied], published: Iterable[str]) -> list[str]:
    """Each subscriber applied its stream's log, event by event; every event marked as sent was published."""
    found = []
    rows: dict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    for event in applied:
        rows[event.hotel, event.stream].append((event.seq, event.event_id, event.body))
    stored: dict[tuple[str, str], list[tuple[int | None, str, str]]] = defaultdict(list)
    for event_ in snapshot.events:
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
            found.append(f"{'.'.join(stream)}: the subscriber did not apply the log ({where})")
    published_ids = set(published)
    found += [
        f"{event_.hotel}: {event_.type} {event_.event_id} is marked as sent, and the Pusher server never published it"
        for event_ in snapshot.events
        if event_.done and event_.event_id not in published_ids
    ]
    return some(found)


def rest(
    snapshot: Snapshot, rooms: Mapping[int, Mapping[str, Any]], bookings: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """REST returns what the last event of each room and booking contained."""
    last_of_room: dict[int, Event] = {}
    last_of_booking: dict[str, Event] = {}
    for event in snapshot.events:
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


def money(snapshot: Snapshot, intents: Mapping[str, tuple[str, bool, Mapping[str, int]]]) -> list[str]:
    """Payment states agree with the provider's: ``intents`` are (status, whether refunded, movements by kind)."""
    found = []
    for booking in snapshot.bookings:
        if not booking.payment_reference:
            continue
        status, refunded, moved = intents.get(booking.payment_reference, ("requires_capture", False, {}))
        actual = "REFUNDED" if refunded else {"succeeded": "CAPTURED", "canceled": "VOIDED"}.get(status, "AUTHORISED")
        if actual != booking.payment_state:
            found.append(
                f"{booking.booking} ({booking.status}): payment_state is {booking.payment_state},"
                f" the provider has {actual}"
            )
        if any(count > 1 for count in moved.values()):
            found.append(f"{booking.booking}: money was moved twice, {dict(moved)}")
    return some(found)
