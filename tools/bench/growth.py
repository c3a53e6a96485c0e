"""The effect of a long audit log: plans and buffers of each statement, with and without history.

It uses its own database. auto_explain reports the plan of each statement, including those of triggers, and the buffers
that it reads, cached or not.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.core.management import call_command
from django.db import connection, transaction
from tqdm import tqdm

from hotel.models import Hotel
from notifications import wakeup
from rooms.models import Room, RoomStatus, RoomType
from tools.bench.hotels import BenchHotel
from tools.bench.http_level import Call
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.bench.service_level import STEPS
from tools.harness.installation import Installation

HISTORY_PAGE = "history"  # of 20 rows
AUDIT_LOG = "housekeeping_roomstatusevent"
ROOMS = 100  # of each hotel
TRIES = 5  # rooms whose statements are explained, after a first one for warm-up
STEP = 20_000  # history rows per INSERT, about
# Back and forth from CHECKOUT_DIRTY, after each room's newest version. Inserted without triggers: the rows are valid.
HISTORY = """
    INSERT INTO housekeeping_roomstatusevent
        (hotel_id, room_id, version, from_status, to_status, changed_by_id, source, note, created_at)
    SELECT hotel_id, id, status_version + step,
           CASE step %% 2 WHEN 1 THEN 'CHECKOUT_DIRTY' ELSE 'CLEANING_IN_PROGRESS' END,
           CASE step %% 2 WHEN 1 THEN 'CLEANING_IN_PROGRESS' ELSE 'CHECKOUT_DIRTY' END,
           NULL, 'SYSTEM', '', now() - interval '2 years' + (status_version + step) * interval '10 minutes'
    FROM generate_series(%s, %s) AS step, rooms_room
"""
EXPLAIN = """
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0;
    SET auto_explain.log_analyze = on;
    SET auto_explain.log_buffers = on;
    SET auto_explain.log_timing = off;
    SET auto_explain.log_nested_statements = on;
    SET auto_explain.log_format = json;
    SET client_min_messages = log;
"""


class Notices(deque[str]):
    """All notices, which are only plans here: a connection discards them at a commit, and takes one for a warning."""

    def __delitem__(self, index: object) -> None:
        pass

    def __bool__(self) -> bool:
        return False


class Statement(NamedTuple):
    """One statement that PostgreSQL ran."""

    sql: str  # with ? for values
    plan: str  # the plan's nodes with their tables and indexes
    buffers: int


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """Grow the audit log for each number of hotels.

    Figures are compared with the same hotels without history, and a page of history with the first full page.
    """
    rows: list[Row] = []
    wakeup.relay_started()  # as in a web process, where waking the relay needs no statement
    own = connection.settings_dict["NAME"]
    try:
        for hotels in scale.hotels:
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE growth_{hotels}")
            connection.close()
            connection.settings_dict["NAME"] = f"growth_{hotels}"
            rows += _grow(installation, hotels, scale, report)
            connection.close()
            connection.settings_dict["NAME"] = own
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE growth_{hotels}")
    finally:
        connection.close()
        connection.settings_dict["NAME"] = own
        wakeup.relay_stopped()
    report.add("Growth", sorted(rows, key=lambda row: row.name.startswith(HISTORY_PAGE)))


def _grow(installation: Installation, hotels: int, scale: Scale, report: Report) -> list[Row]:
    call_command("migrate", verbosity=0)
    hotel = BenchHotel("growth", ROOMS)
    hotel.set(hotel.rooms, RoomStatus.CHECKOUT_DIRTY)
    _add_hotels(hotels - 1)
    rows: list[Row] = []
    bases: dict[str, list[Statement]] = {}
    stored = 0
    for total in scale.audit_rows:
        stored += _add_history(installation, (total - stored) // (hotels * ROOMS)) * hotels * ROOMS
        with connection.cursor() as cursor:
            cursor.execute("VACUUM FULL rooms_room")  # back to its size before the loading
            cursor.execute("VACUUM (ANALYZE, FREEZE)")
        installation.pause(0)
        size = f"{total:,} rows, {hotels} {'hotel' if hotels == 1 else 'hotels'}"
        for name, found in _observe(hotel).items():
            is_base = name != HISTORY_PAGE or total > 0
            base = bases.setdefault(name, found) if is_base else found
            others = _other_plans(base, found)
            if total == scale.audit_rows[-1]:
                report.notes += [f"{name}, {size}: {other}" for other in others]
            buffers = _buffers(found)
            ratio = buffers / _buffers(base)
            figures: dict[str, float] = {
                "statements": len(found),
                "read all of it": sum(_reads_all(statement.plan) for statement in found),
                "other plans": len(others),
                "buffers": buffers,
            }
            if is_base:
                figures["× buffers"] = ratio
            rows.append(Row(f"{name}, {size}", figures))
    return rows


def _add_hotels(count: int) -> None:
    """Add hotels whose rooms are CHECKOUT_DIRTY, as in the first."""
    hotels = Hotel.objects.bulk_create([Hotel(slug=f"other-{n}", name=f"Other {n}") for n in range(count)])
    types = RoomType.objects.bulk_create([RoomType(hotel=hotel, code="A", name="Type A") for hotel in hotels])
    with _without_triggers():
        Room.objects.bulk_create(
            [
                Room(
                    hotel=room_type.hotel,
                    room_type=room_type,
                    room_number=100 + n,
                    room_status=RoomStatus.CHECKOUT_DIRTY,
                )
                for room_type in types
                for n in range(ROOMS)
            ],
            batch_size=5000,
        )


def _add_history(installation: Installation, steps: int) -> int:
    """Add ``steps`` rows for each room, rounded down to an even number; returns that number."""
    steps -= steps % 2
    rooms = Room.objects.count()
    at_once = max(2, STEP // rooms // 2 * 2)
    for first in tqdm(range(1, steps + 1, at_once), unit=" batches", disable=None):
        with _without_triggers(), connection.cursor() as cursor:
            cursor.execute(HISTORY, [first, min(first + at_once - 1, steps)])
        installation.pause(0)
    with _without_triggers(), connection.cursor() as cursor:
        cursor.execute("UPDATE rooms_room SET status_version = status_version + %s", [steps])
    return steps


@contextmanager
def _without_triggers() -> Iterator[None]:
    """A transaction in which no trigger fires: for millions of rows that are valid by construction."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
        yield


def _observe(hotel: BenchHotel) -> dict[str, list[Statement]]:
    """The statements of a status update and of a page of history, for the room with the median buffers."""
    connection.close()  # an old connection has cached plans for the old table
    connection.ensure_connection()
    notices = Notices()
    connection.connection.notices = notices
    with connection.cursor() as cursor:
        cursor.execute(EXPLAIN)
    seen: dict[str, list[list[Statement]]] = {"status update": [], HISTORY_PAGE: []}
    for number, room in enumerate(hotel.rooms[: TRIES + 1]):
        path = f"{hotel.path}/rooms/{room.pk}"
        for to_status in STEPS:  # and back, so that every room keeps its status
            notices.clear()
            Call("POST", f"{path}/status/", hotel.token, {"to_status": to_status}).inside()
            update = [_statement(notice) for notice in notices]
        notices.clear()
        Call("GET", f"{path}/status-history/?limit=20", hotel.token).inside()
        if number:
            seen["status update"].append(update)
            seen[HISTORY_PAGE].append([_statement(notice) for notice in notices])
    connection.close()
    return {name: sorted(tries, key=_buffers)[len(tries) // 2] for name, tries in seen.items()}


def _buffers(statements: list[Statement]) -> int:
    return sum(statement.buffers for statement in statements)


def _statement(notice: str) -> Statement:
    explained = json.loads(notice[notice.index("{") :])
    sql = re.sub(r"'(?:[^']|'')*'|\b\d+\b", "?", " ".join(explained["Query Text"].split()))
    plan = explained["Plan"]
    return Statement(sql, " ".join(_nodes(plan)), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    place = plan.get("Index Name") or plan.get("Relation Name")
    yield f"{plan['Node Type']} ({place})" if place else plan["Node Type"]
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _other_plans(base: list[Statement], found: list[Statement]) -> list[str]:
    """The statements with another plan than in ``base``, as sentences.

    PostgreSQL scans a table of a page or two; using the index of a longer one is expected and not listed.
    """
    plans = {statement.sql: statement.plan for statement in base}
    return [
        f"{statement.sql[:100]} … by {statement.plan}, not {plans.get(statement.sql, 'there')}"
        for statement in found
        if plans.get(statement.sql) != statement.plan
        and not (_reads_all(plans.get(statement.sql, "")) and not _reads_all(statement.plan))
    ]


def _reads_all(plan: str) -> bool:
    return f"Seq Scan ({AUDIT_LOG})" in plan
