"""The tables of docs/api.md and docs/realtime.md agree with the code exactly."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import time
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from common.dry_run import EFFECTS
from hotel import rights
from hotel.models import Hotel
from hotel.serializers import AccessConfig
from housekeeping import policy
from housekeeping.models import TASK_DUE, Source, TaskStatus, TaskType
from local.datadir import PROJECT
from notifications.models import RealtimeEvent
from notifications.notification_manager import realtime_booking_updated, realtime_room_updated
from notifications.public_channels import BOOKINGS_IN_PUBLIC, ROOMS_IN_PUBLIC
from room_bookings.filters import BUCKETS, MOMENTS, ORDERINGS, BookingQuery, filtered_bookings
from room_bookings.models import BookingStatus
from room_bookings.selectors import booking_read
from room_bookings.services.settlement import REQUESTS
from rooms.models import TRANSITIONS, BlockKind, BlockStatus, Priority, RoomStatus
from rooms.selectors import room_list
from rooms.snapshots import NOBODY, facts_allow
from tests.docs import code_facts
from tests.docs.tables import Field, Fields, Table, codes, fields, tables
from tests.factories import NewRoomFactory, booking_in
from tests.notifications.test_operation_table import EXPECTED

ROLES = {
    "agent": rights.FRONT_DESK_AGENT,
    "office manager": rights.FRONT_OFFICE_MANAGER,
    "housekeeper": rights.HOUSEKEEPER,
    "supervisor": rights.HOUSEKEEPING_SUPERVISOR,
    "manager": rights.HOTEL_MANAGER,
}
# Every call can return these; the OpenAPI document says so, and the page once.
EVERYWHERE = {400, 401, 403, 404, 413, 503}
NOT_IN_THE_DOCUMENT = {"GET /api/schema/", "GET /api/docs/"}
PAGING = {"page", "page_size"}
DRY_RUN = {"dry_run"}  # a section of its own
PAYMENT_REQUESTS = {request.word for request in REQUESTS.values()}


class Pages(NamedTuple):
    """The two pages' texts."""

    api: str
    realtime: str

    def table(self, section: str, first: str) -> Table:
        """The table of docs/api.md, or of docs/realtime.md, with that first column under that heading."""
        [found] = [
            table
            for table in (*tables(self.api), *tables(self.realtime))
            if (table.section, table.columns[0]) == (section, first)
        ]
        return found

    def calls(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Every call in the tables, with its row."""
        for table in tables(self.api):
            for row in table.rows if table.columns[0] == "call" else ():
                for call in codes(row["call"]):
                    method, path = call.split()
                    yield f"{method} {path if path[0] == '/' else f'/api/staff/hotel/{{slug}}/{path}'}", row

    def shapes(self) -> dict[str, dict[str, Field]]:
        """The fields of every shape that the page names, those that it takes over from another one included."""
        found: dict[str, dict[str, Field]] = {}
        for table in tables(self.api):
            for row in table.rows if table.columns[0] == "shape" else ():
                [text] = codes(row["fields"])
                base = re.match(r"(\w+) and `", row["fields"])
                found[row["shape"]] = {**(found[base[1]] if base else {}), **fields(text)}
        return found


PAGES = Pages(*((PROJECT / "docs" / name).read_text() for name in ("api.md", "realtime.md")))


def difference(what: str, page: Any, code: Any) -> Iterator[str]:
    """The elements that are in only one of two collections, or two unequal values."""
    if page == code:
        return
    if isinstance(page, set | frozenset) and isinstance(code, set | frozenset):
        yield f"{what}: only the page has {sorted(page - code)}, only the code has {sorted(code - page)}"
    else:
        yield f"{what}: the page says {page}, the code {code}"


def names(table: Table) -> list[str]:
    """The code in the first column, of all rows."""
    return [code for row in table.rows for code in codes(row[table.columns[0]])]


def marked(row: dict[str, str]) -> set[str]:
    return {role for role in ROLES if row[role] == "✓"}


# --- rooms and rights -------------------------------------------------------------------------------------------------


def transitions(pages: Pages) -> Iterator[str]:
    allowed = {
        role: policy.status_transitions(_member(rights.ROLE_RIGHTS[name]))  # type: ignore[arg-type]
        for role, name in ROLES.items()
    }
    said = {}
    for row in pages.table("Transitions", "from").rows:
        [origin], [target] = codes(row["from"]), codes(row["to"])
        said[origin, target] = row
        grants = {grant.right for grant in policy.GRANTS if origin in grant.origins and target in grant.targets}
        yield from difference(f"rights from {origin} to {target}", set(codes(row["right"])), grants)
        roles = {role for role, steps in allowed.items() if target in steps[origin]}
        yield from difference(f"roles from {origin} to {target}", marked(row), roles)
    yield from difference(
        "transitions",
        {" to ".join(pair) for pair in said},
        {f"{origin} to {target}" for origin, targets in TRANSITIONS.items() for target in targets},
    )


def _member(held: frozenset[str]) -> SimpleNamespace:
    return SimpleNamespace(can=lambda right: right in held)


def rights_of_roles(pages: Pages) -> Iterator[str]:
    table = pages.table("Rights", "right")
    yield from difference("rights", set(names(table)), set(rights.ALL_RIGHTS))
    for row in table.rows:
        [right] = codes(row["right"])
        holders = {role for role, name in ROLES.items() if right in rights.ROLE_RIGHTS[name]}
        yield from difference(f"roles with {right}", marked(row), holders)


def room_statuses(pages: Pages) -> Iterator[str]:
    table = pages.table("Room status", "status")
    yield from difference("room statuses", names(table), RoomStatus.values)
    facts = {(True, False): "required", (False, True): "none", (True, True): "either"}
    for row in table.rows:
        [status] = codes(row["status"])
        fact = facts[facts_allow(status, occupied=True), facts_allow(status, occupied=False)]
        yield from difference(f"guest in house in {status}", row["guest in house"], fact)


def sources(pages: Pages) -> Iterator[str]:
    table = pages.table("Room status", "source")
    yield from difference("sources", set(names(table)), set(Source.values))
    needed = {**policy.SOURCE_RIGHTS, Source.MANAGER_OVERRIDE: (policy.OVERRIDE,)}
    for row in table.rows:
        [source] = codes(row["source"])
        said = set(codes(row["a caller needs one of"]))
        yield from difference(f"rights to record {source}", said, set(needed.get(Source(source), ())))


def tasks(pages: Pages) -> Iterator[str]:
    yield from difference("task types", names(pages.table("Housekeeping", "task type")), TaskType.values)
    yield from difference("task statuses", names(pages.table("Housekeeping", "task status")), TaskStatus.values)
    due = {
        codes(row["priority"])[0]: row["a task is overdue after"]
        for row in pages.table("Housekeeping", "priority").rows
    }
    hours = {priority: f"{TASK_DUE[Priority(priority)].total_seconds() / 3600:.0f} h" for priority in Priority.values}
    yield from difference("priorities", due, hours)


def settings_of_a_hotel(pages: Pages) -> Iterator[str]:
    said = {codes(row["setting"])[0]: row["default"] for row in pages.table("Sign-in", "setting").rows}
    defaults = {name: Hotel._meta.get_field(name).default for name in AccessConfig.Meta.fields}
    yield from difference("defaults of settings", said, {name: _shown(value) for name, value in defaults.items()})


def _shown(value: Any) -> str:
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if value is list:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- bookings ---------------------------------------------------------------------------------------------------------


def booking_statuses(pages: Pages) -> Iterator[str]:
    table = pages.table("Bookings", "status")
    yield from difference("booking statuses", names(table), BookingStatus.values)
    for row in table.rows:
        if unknown := set(codes(row["leads to"])) - set(BookingStatus.values):
            yield f"booking statuses: {unknown} is none"


def buckets(pages: Pages) -> Iterator[str]:
    table = pages.table("Bookings", "bucket")
    yield from difference("buckets", names(table), list(BUCKETS))
    for row in table.rows:
        [bucket] = codes(row["bucket"])
        said = set(codes(row["statuses"]))
        if row["statuses"].startswith("all but "):
            said = set(BookingStatus.values) - said
        if bucket in BUCKETS:
            yield from difference(f"statuses in {bucket}", said, _statuses_of(bucket))


@cache
def _statuses_of(bucket: str) -> set[str]:
    query = BookingQuery().run_validation({"bucket": bucket})
    *_, chosen = re.findall(r'"status" IN \(([^)]*)\)', str(filtered_bookings(Hotel(pk=1), query).query))
    return set(chosen.split(", "))


def filters(pages: Pages) -> Iterator[str]:
    table = pages.table("Bookings", "parameter")
    yield from difference("filters", set(names(table)), set(BookingQuery().fields))
    meanings = {name: set(codes(row["meaning"])) for row in table.rows for name in codes(row["parameter"])}
    yield from difference("date modes", meanings.get("date_mode"), {"stay", *MOMENTS})
    said = {code for code in meanings.get("ordering", ()) if not code.startswith("-")}
    yield from difference("orderings", said, set(ORDERINGS))


# --- calls ------------------------------------------------------------------------------------------------------------


def paths(pages: Pages) -> Iterator[str]:
    elsewhere = re.findall(r"`((?:GET|POST) /api/[^`?]*)", re.sub(r"^\|.*$", "", pages.api, flags=re.MULTILINE))
    live = re.findall(r"`((?:GET|POST) /api/[^`?]*)", pages.realtime)
    said = [call for call, _ in pages.calls()]
    yield from difference("paths", {*said, *elsewhere, *live}, {*code_facts.calls(), *NOT_IN_THE_DOCUMENT})
    if twice := [call for call, count in Counter(said).items() if count > 1]:
        yield f"paths: {twice} twice"


def documented_calls(pages: Pages) -> Iterator[tuple[str, dict[str, str], Any]]:
    for call, row in pages.calls():
        if call in code_facts.calls():
            yield call, row, code_facts.calls()[call]


def required_rights(pages: Pages) -> Iterator[str]:
    for call, row, _ in documented_calls(pages):
        if row["right"] == "none" or row["right"].startswith("by "):
            said = None
        elif any_of := re.fullmatch(r"any (\w+(?: or \w+)*) right", row["right"]):
            said = frozenset(f"{kind}.{action}" for kind in any_of[1].split(" or ") for action in rights.ACTIONS[kind])
        else:
            said = frozenset(codes(row["right"]))
        yield from difference(f"right of {call}", said, code_facts.view_rights(call))


def bodies(pages: Pages) -> Iterator[str]:
    for call, row, _ in documented_calls(pages):
        code = code_facts.body_fields(call)
        said = fields(codes(row["body"])[0].strip("{}")) if row["body"] else {}
        yield from _differing(f"body of {call}", said, code, {}, body=True)


def statuses(pages: Pages) -> Iterator[str]:
    for call, row, operation in documented_calls(pages):
        said = {int(number) for number in re.findall(r"\b[2-5]\d\d\b", re.sub(r"`[^`]*`", "", row["response"]))}
        code = {int(status) for status in operation["responses"]}
        if 204 in code:
            code.discard(200)  # a dry run has a body
        yield from difference(f"statuses of {call}", said - EVERYWHERE - {429}, code - EVERYWHERE - {429})


def query_parameters(pages: Pages) -> Iterator[str]:
    for call, row, operation in documented_calls(pages):
        given = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        given -= PAGING | DRY_RUN
        if call != "GET /api/staff/hotel/{slug}/room-bookings/":  # the filters have a table of their own
            said = {code.removeprefix("?") for code in codes(row["response"]) if code.startswith("?")}
            yield from difference(f"parameters of {call}", said, given)
    [query] = re.findall(r"`GET /api/[^`?]*events/\?([^`]*)`", pages.realtime)
    events = code_facts.calls()["GET /api/staff/hotel/{slug}/events/"]
    given = {each["name"] for each in events["parameters"] if each["in"] == "query"}
    yield from difference("parameters of events/", {pair.partition("=")[0] for pair in query.split("&")}, given)


def _without_actions(found: Any) -> Any:
    """The fields of a response without those that ``expand=actions`` adds."""
    if not isinstance(found, Mapping):
        return found
    return {
        name: replace(each, inner=_without_actions(each.inner)) for name, each in found.items() if name != "actions"
    }


def responses(pages: Pages) -> Iterator[str]:
    shapes, used = pages.shapes(), {"conflict"}
    for call, row, operation in documented_calls(pages):
        found = re.match(r"(20\d) (?:page of |array of )?([A-Z]\w+)(?: and `(\w+)`)?", row["response"])
        if not found:
            continue
        status, shape, more = found.groups()
        if shape not in shapes:
            yield f"response of {call}: the page has no shape {shape}"
            continue
        used.add(shape)
        code = code_facts.response_fields(call, status)
        if any(each["name"] == "expand" for each in operation.get("parameters", ())):
            code = _without_actions(code)  # a section of their own
        if " page of " in row["response"]:
            code = code["results"].inner  # type: ignore[assignment]  # an object
        code = {name: each for name, each in code.items() if name not in (more, "bucket_counts")}
        yield from _differing(f"response of {call}", shapes[shape], code, shapes)
    yield from _differing("conflict", shapes.get("conflict", {}), code_facts.component_fields("Conflict"), shapes)
    for shape in shapes.values():
        used |= {each.inner for each in shape.values() if isinstance(each.inner, str)}
    bases = set(re.findall(r"^\| \w+ \| (\w+) and `", pages.api, re.MULTILINE))
    yield from difference("shapes", set(shapes), used | bases)


def effects(pages: Pages) -> Iterator[str]:
    said = {codes(row["effect"])[0]: row for row in pages.table("Dry run", "effect").rows}
    yield from difference("effects", list(said), list(EFFECTS))
    for name, effect in code_facts.component_fields("Effects").items():
        yield from _differing(f"effects, {name}", fields(codes(said[name]["fields of each"])[0]), effect.inner, {})  # type: ignore[arg-type]
    yield from difference("payment requests", set(codes(said["payments"]["meaning"])), {*PAYMENT_REQUESTS, "look_up"})


def _differing(
    what: str, said: Fields, code: Fields, shapes: dict[str, dict[str, Field]], *, body: bool = False
) -> Iterator[str]:
    """Fields that page and document do not have in common, and their marks: ``?`` in bodies, ``*`` in responses."""
    yield from difference(what, set(said), set(code))
    for name in said.keys() & code.keys():
        page, actual = said[name], code[name]
        mark = "optional" if body else "nullable"
        yield from difference(f"{what}, {name} {mark}", getattr(page, mark), getattr(actual, mark))
        yield from difference(f"{what}, {name} a list", page.many, actual.many)
        inner: Any = shapes.get(page.inner, {}) if isinstance(page.inner, str) else page.inner
        if inner is not None or actual.inner is not None:
            assert not isinstance(actual.inner, str)
            yield from _differing(f"{what}, {name}", inner or {}, actual.inner or {}, shapes, body=body)


# --- errors -----------------------------------------------------------------------------------------------------------


def error_codes(pages: Pages) -> Iterator[str]:
    code = {name: each for name, each in code_facts.error_codes().items() if name not in code_facts.NOT_SENT_BY_THE_API}
    said: dict[str, frozenset[int]] = {}
    for row in pages.table("Errors", "status").rows:
        for name in codes(row["code"]):
            if name in said:
                yield f"error codes: {name} twice"
            said[name] = frozenset(map(int, row["status"].split(", ")))
    yield from difference("error codes", set(said), set(code))
    for name in said.keys() & code.keys():
        yield from difference(f"statuses of {name}", said[name], code[name])


def refusals_of_calls(pages: Pages) -> Iterator[str]:
    """Each code in the tables of calls follows one of its statuses."""
    known = code_facts.error_codes()
    for call, row in pages.calls():
        status = 0
        for number, code in re.findall(r"\b([2-5]\d\d)\b|`([A-Z][A-Z_]+)`", row["response"]):
            status = int(number or status)
            if code in known and status not in known[code]:
                yield f"{call}: {code} is no {status}"


def codes_anywhere(pages: Pages) -> Iterator[str]:
    """Every name in capitals that the pages show as code is one of the code's."""
    known = {
        *code_facts.error_codes(),
        *RoomStatus.values,
        *BookingStatus.values,
        *Source.values,
        *Priority.values,
        *TaskType.values,
        *TaskStatus.values,
        *BlockKind.values,
        *BlockStatus.values,
        *("EVENT_RETENTION_DAYS", "CORS_ALLOWED_ORIGINS"),
    }
    for text in pages:
        for name in codes(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
            if re.fullmatch(r"[A-Z][A-Z_]{3,}", name) and name not in known:
                yield f"there is no {name}"


# --- events -----------------------------------------------------------------------------------------------------------

# By the operation as the page calls it, which of those of tests/notifications it is.
OPERATIONS = {
    "room status": r"POST (housekeeping/)?rooms/<(number:rno|int:rid)>/.*"
    r"|(inspect|mark-maintenance|complete-maintenance), .*|admin: status of rooms",
    "room edit": r"PATCH room-management/.*|room, another .*|admin: change a room",
    "create": r"POST room-bookings/|create, .*",
    "confirm, approve": r"POST .*/(confirm|approve)/|(confirm|approve), .*|admin: approve",
    "decline": r"POST .*/decline/|decline, .*|admin: decline",
    "expiry of the approval deadline": r"expire",
    "edit, reinstate, mark as seen": r"PATCH room-bookings/.*|POST .*/(mark-seen|reinstate)/|(edit|reinstate), .*"
    r"|admin: (reinstate|notes)",
    "companions": r"PUT .*/party/companions/",
    "assign": r"POST .*/safe-assign-room/|assign, .*",
    "unassign": r"POST .*/unassign-room/",
    "check-in": r"POST (.*/check-in|rooms/checkin)/|(bulk )?check-in, .*",
    "undo check-out": r"POST .*/undo-check-out/|undo check-out, .*",
    "undo check-in": r"POST .*/undo-check-in/|undo check-in, .*",
    "room move": r"POST .*/move-room/|move, .*",
    "check-out": r"POST (.*/check-out|rooms/checkout)/|(bulk )?check-out, .*|admin: check out",
    "cancel": r"POST room-bookings/.*/cancel/|cancel, no room",
    "cancel, guest in house": r"cancel, in house",
    "block created, to begin later": r"POST room-blocks/",
    "block extended": r"POST room-blocks/.*/extend/",
    "block completed": r"POST room-blocks/.*/complete/",
    "block cancelled": r"POST room-blocks/.*/cancel/",
    "no-show": r"POST .*/no-show/|no-show, .*|admin: no-show",
    "overstay detected": r"flag overstays",
    "overstay acknowledged or dismissed": r"acknowledge, flagged|dismiss",
    "overstay extended": r"POST .*/overstay/extend/",
    "a mail to the guest is dropped, fails for good or is sent again; a parked payment is retried in the admin": (
        r"POST .*/mails/.*|admin: (send a mail again|retry payment)"
    ),
}
# Several in one, each once for each booking.
COMPOSED = {
    "POST room-bookings/<str:bid>/overstay/acknowledge/": (
        "overstay detected",
        "overstay acknowledged or dismissed",
    ),
    "room, connected": ("room edit", "room edit"),
    "settle payments": ("confirm, approve", "decline"),
    "tick": (
        *["expiry of the approval deadline"] * 2,
        "overstay detected",
        "confirm, approve",
        "decline",
    ),
    "admin: cancel": ("cancel, guest in house", "cancel"),
}
STREAMS = ("rooms", "room-bookings", "guest")
# As tests/notifications shortens them.
ROOM_EVENTS = {
    "U": "room_updated",
    "O": "room_occupancy_updated",
    "N": "room_block_created",
    "L": "room_block_extended",
    "E": "room_block_completed",
    "X": "room_block_cancelled",
}


def events_of_operations(pages: Pages) -> Iterator[str]:
    said = {
        row["operation"].partition(":")[0]: Counter(
            (stream, event) for stream in STREAMS for event in codes(row[stream])
        )
        for row in pages.table("Events", "operation").rows
    }
    yield from difference("operations with events", set(said), set(OPERATIONS))
    tried = set()
    for name, expected_events in EXPECTED.items():
        if not expected_events:
            continue
        events, times = _events(expected_events)
        parts = COMPOSED.get(name)
        if parts is None:
            matching = [each for each, pattern in OPERATIONS.items() if re.fullmatch(pattern, name)]
            if len(matching) != 1:
                yield f"{name} is {matching or 'no operation'} of the page"
                continue
            parts = (matching[0],) * times
        tried |= set(parts)
        expected = sum((said.get(part, Counter()) for part in parts), Counter())
        yield from difference(f"events of {name}", expected, events)
    yield from difference("operations that are tried", set(OPERATIONS), tried)


def _events(expected_events: str) -> tuple[Counter[tuple[str, str]], int]:
    """The events that an operation sends, and the number of bookings (or else rooms) that they are about."""
    events: Counter[tuple[str, str]] = Counter()
    subjects: dict[str, set[str]] = {stream: set() for stream in STREAMS}
    for word in expected_events.split():
        event, _, subject = word.lstrip(">").partition(":")
        stream = "guest" if word.startswith(">") else "room-bookings" if subject else "rooms"
        subjects[stream].add(subject or word[1:])
        events[stream, event if subject else ROOM_EVENTS[word[0]]] += 1
    return events, len(subjects["room-bookings"] or subjects["rooms"])


def event_names(pages: Pages) -> Iterator[str]:
    rows = pages.table("Events", "operation").rows
    staff = {event for row in rows for stream in STREAMS[:2] for event in codes(row[stream])}
    staff |= set(re.findall(r"`(room_block_\w+)`", pages.realtime))  # some are sent by no request
    guests = {event for row in rows for event in codes(row["guest"])}
    published, to_guests = code_facts.event_names()
    yield from difference("events for staff", staff, published)
    yield from difference("events for guests", guests, to_guests)
    public = {**ROOMS_IN_PUBLIC.types, **BOOKINGS_IN_PUBLIC.types}
    yield from difference("events with a public name", staff, set(public))
    renamed = {event: name for event, name in public.items() if event != name}
    said = dict(re.findall(r"`(\w+)`\s+is\s+sent\s+as\s+`(\w+)`", pages.realtime))
    yield from difference("public names that differ", said, renamed)


CHECKS: list[Callable[[Pages], Iterator[str]]] = [
    transitions,
    rights_of_roles,
    room_statuses,
    sources,
    tasks,
    settings_of_a_hotel,
    booking_statuses,
    buckets,
    filters,
    paths,
    required_rights,
    bodies,
    statuses,
    query_parameters,
    responses,
    effects,
    error_codes,
    refusals_of_calls,
    codes_anywhere,
    events_of_operations,
    event_names,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_pages_agree_with_the_code(check):
    assert list(check(PAGES)) == []


def test_codes_that_the_api_does_not_send_exist():
    assert set(code_facts.NOT_SENT_BY_THE_API) <= set(code_facts.error_codes())


@pytest.mark.django_db
def test_payloads_have_the_documented_fields():
    room, booking = NewRoomFactory(), booking_in("CONFIRMED")
    [shown] = room_list().filter(pk=room.pk)
    realtime_room_updated(shown, changed_fields=[], source="SYSTEM", from_status="OCCUPIED", staff=None)
    realtime_booking_updated(
        booking_read(booking.pk), "booking_confirmed", guest_type="booking_confirmed", rooms=[shown]
    )
    payloads = {(event.type, event.stream): set(event.envelope["payload"]) for event in RealtimeEvent.objects.all()}
    shapes = PAGES.shapes()
    said = {codes(row["event"])[0]: row["payload"] for row in PAGES.table("Envelope", "event").rows[:2]}
    [guest] = [row["payload"] for row in PAGES.table("Envelope", "event").rows if "guest" in row["event"]]
    assert payloads == {
        ("room_updated", "rooms"): {*shapes["Room"], *fields(codes(said["room_updated"])[0])},
        ("room_occupancy_updated", "rooms"): {*shapes["Room"]},
        ("booking_confirmed", "room-bookings"): {*shapes["BookingRow"]},
        ("booking_confirmed", "guest-bookings"): {*fields(codes(guest)[0])},
    }
    assert set(NOBODY) <= set(shapes["Room"])


# --- that they would notice -------------------------------------------------------------------------------------------

PROSE = {"topic", "channel", "field", "situation", "event"}  # first columns of tables that no check compares
WRONG = {
    r"`[^`]*?(\w+)[^`]*`": "wrong",  # the first code, often a name in the first column
    r"`([A-Z][A-Z_]+)`": "WRONG",
    r"\b([2-5]\d\d)\b": "418",
    r"\b(409) `[A-Z]": "410",
    r"\| `\{(\w+)": "wrong",  # a body
    r"\| (none|any \w+ right|`\w+\.\w+`) \|": "`wrong`",
    r"`\?(\w+)`": "wrong",  # a query parameter
    r"(✓)": "",
}


def mistakes() -> Iterator[tuple[str, Pages]]:
    """The pages with one mistake in a table, each in turn: a row that is missing, a name or a mark that is another."""
    for place, text in enumerate(PAGES):
        prose = False
        for line in re.finditer(r"^\|.*\|\n", text, re.MULTILINE):
            row, first = line[0], line[0].strip("| ").partition(" |")[0]
            if text[line.end() :].startswith("|---"):
                prose = first in PROSE
            elif not prose and set(row.strip()) - set("|-: "):
                for wrong in {"", *mistaken(row)}:
                    changed = f"{text[: line.start()]}{wrong}{text[line.end() :]}"
                    yield f"{row} became {wrong or 'nothing'}", replace_page(place, changed)


def mistaken(row: str) -> Iterator[str]:
    for pattern, wrong in WRONG.items():
        if found := re.search(pattern, row):
            yield f"{row[: found.start(1)]}{wrong}{row[found.end(1) :]}"


def replace_page(place: int, text: str) -> Pages:
    return Pages(*(text if number == place else page for number, page in enumerate(PAGES)))


def test_each_check_detects_its_mistake():
    undetected, count, checks, silent = [], 0, list(CHECKS), set(CHECKS)
    for what, pages in mistakes():
        count += 1
        first = next((check for check in checks if detected(check, pages)), None)
        if first is None:
            undetected.append(what)
        else:  # it comes first from now on: the next mistake is in the same table
            checks.remove(first)
            checks.insert(0, first)
            silent.discard(first)
    for _, pages in mistakes():  # a check that another one forestalled each time
        if not silent:
            break
        silent -= {check for check in silent if detected(check, pages)}
    assert undetected == []
    assert silent == set()
    assert count > 700


def detected(check: Callable[[Pages], Iterator[str]], pages: Pages) -> list[str]:
    """The result of a check on pages that may be too broken to parse."""
    try:
        return list(check(pages))
    except (KeyError, ValueError) as error:
        return [str(error)]


def test_a_field_that_changes_its_marks_is_detected():
    said = fields("id, room*{id, name?}, guests[{id}], kind{Kind}")
    assert said == {
        "id": Field(),
        "room": Field(nullable=True, inner={"id": Field(), "name": Field(optional=True)}),
        "guests": Field(many=True, inner={"id": Field()}),
        "kind": Field(inner="Kind"),
    }
    shapes = {"Kind": {"id": Field()}}
    assert list(_differing("x", said, {**said, "kind": Field(inner={"id": Field()})}, shapes)) == []
    for name, wrong in {
        "id": Field(nullable=True),
        "room": replace(said["room"], nullable=False),
        "guests": replace(said["guests"], many=False),
        "kind": Field(inner={"pk": Field()}),
    }.items():
        assert list(_differing("x", said, {**said, "kind": Field(inner={"id": Field()}), name: wrong}, shapes))
    with pytest.raises(ValueError, match="out of place"):
        fields("id, room}")
