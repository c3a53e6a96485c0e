"""A database of many hotels and their years of bookings, made by SQL: through the services it would take days.

Every row is valid (``manage.py check_invariants`` finds nothing), and nothing periodic is due.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from hotel.models import Hotel
from hotelmate.probes import Readiness
from local import LocalError
from local.datadir import PROJECT
from local.run import say
from notifications.metrics import backlog
from notifications.relay import Relay
from operations.invariants import violations
from operations.periodic import tick
from room_bookings.filters import BookingQuery, filtered_bookings
from tools.bench import meters
from tools.bench.report import Report, Row
from tools.bench.scale import Scale
from tools.harness.installation import Installation

ROOMS = 100  # of each hotel, in four types
IN_HOUSE = 60  # guests of each hotel
AT_ONCE = 250  # hotels filled in one transaction
SMALL = 120  # bookings of the first hotel
COMMON = "Smith"  # one guest in ten has this name

# Built after the rows, in a tenth of the time.
BUILT_LATER = ("room_booking_words", "booking_guest_words", "room_booking_by_name")

# Time zones where it is early afternoon now: the morning's tasks are open, and the guests of today have left.
HOTELS = """
    INSERT INTO hotel_hotel (name, slug, phone, timezone, standard_checkout_time, late_checkout_grace_minutes,
        approval_cutoff_time, approval_cutoff_day_offset, check_in_time, early_checkin_from, late_arrival_cutoff,
        allow_overbooking, require_complete_party)
    SELECT 'Hotel ' || n, 'many-' || n, '', zone.name, '11:00', 30, '23:00', 0, '15:00', '08:00', '02:00', false, false
    FROM generate_series(1, %(hotels)s) n
    CROSS JOIN LATERAL (
        SELECT 13 + n %% 3 - extract(hour FROM now() AT TIME ZONE 'UTC')::int AS ahead
    ) east
    CROSS JOIN LATERAL (
        SELECT CASE WHEN ahead = 0 THEN 'Etc/GMT' ELSE 'Etc/GMT' || to_char(-ahead, 'SGFM99') END AS name
    ) zone
"""
TYPES = """
    INSERT INTO rooms_roomtype (hotel_id, name, code, currency, max_occupancy, bed_setup, short_description,
        availability_message, is_active)
    SELECT id, 'Type ' || n, 'T' || n, 'EUR', 3, '', '', '', true FROM hotel_hotel, generate_series(0, 3) n
"""
# Rooms with guests have ten audit rows, every fourth of the others nine, and eight those waiting for the cleaner.
ROOM_ROWS = """
    INSERT INTO rooms_room (hotel_id, room_type_id, number, is_active, room_status, status_version,
        status_changed_at, maintenance_required, maintenance_priority, maintenance_notes, turnover_notes,
        guest_fcm_token, created_at, updated_at)
    SELECT type.hotel_id, type.id, (100 + n)::text, true,
        CASE WHEN n <= %(in_house)s THEN 'OCCUPIED' WHEN n %% 4 = 0 THEN 'CHECKOUT_DIRTY' ELSE 'READY_FOR_GUEST' END,
        CASE WHEN n <= %(in_house)s THEN 10 WHEN n %% 4 = 0 THEN 8 ELSE 9 END,
        now(), false, '', '', '', '', now(), now()
    FROM rooms_roomtype type JOIN generate_series(1, %(rooms)s) n ON n %% 4 = right(type.code, 1)::int
    WHERE type.hotel_id BETWEEN %(first)s AND %(last)s
"""
AUDIT = """
    INSERT INTO housekeeping_roomstatusevent
        (hotel_id, room_id, version, from_status, to_status, source, note, created_at)
    SELECT hotel_id, id, version,
        (ARRAY['READY_FOR_GUEST', 'OCCUPIED', 'CHECKOUT_DIRTY'])[(version - 1) %% 3 + 1],
        (ARRAY['OCCUPIED', 'CHECKOUT_DIRTY', 'READY_FOR_GUEST'])[(version - 1) %% 3 + 1],
        'SYSTEM', '', now() - (status_version - version) * interval '12 hours'
    FROM rooms_room CROSS JOIN LATERAL generate_series(1, status_version) version
    WHERE hotel_id BETWEEN %(first)s AND %(last)s
"""
# Of each hotel: guests in house (the first two overdue and flagged), twenty arrivals, three requests, then seven in ten
# past stays, two in ten cancelled and one in ten to come.
BOOKINGS = f"""
    INSERT INTO room_bookings_roombooking (hotel_id, booking_id, confirmation_number, status, version, created_at,
        updated_at, check_in, check_out, adults, children, extra_beds, room_type_id, primary_first_name,
        primary_last_name, primary_email, primary_phone, booker_type, booker_first_name, booker_last_name,
        booker_company, booker_email, booker_phone, special_requests, internal_notes, currency, payment_provider,
        payment_reference, payment_state, payment_attempt, guest_token_hash, assigned_room_id, room_assigned_at,
        assignment_notes, checked_in_at, arrived_on, checked_out_at, approval_deadline_at, decline_reason_code,
        decline_reason_note, cancelled_at, cancellation_reason, auto_expire_reason_code, overstay_flagged_at)
    SELECT hotel.id, 'BK-1990-' || lpad(hotel.id || lpad(n::text, 5, '0'), 11, '0'), '', kind.status, 1,
        now() - interval '3 days' - n * interval '2 days', now(), stay.check_in, stay.check_out, 2, 0, 0, room.type,
        (ARRAY['Ada', 'Charles', 'Émile', 'Grace', 'Alan', 'Zoë', 'Percy', 'Mary', 'Søren', 'John'])[1 + n %% 10],
        CASE WHEN hashint4(n + hotel.id::int) %% 10 = 0 THEN '{COMMON}' ELSE 'Guest ' || md5(hotel.id || ' ' || n) END,
        'guest.' || hotel.id || '.' || n || '@guest.example', '+353 86 ' || lpad((hotel.id * 13 + n * 7)::text, 7, '5'),
        'SELF', '', '', '', '', '', '', '', 'EUR', '', '', '', 0, '', room.id,
        CASE WHEN room.id IS NOT NULL THEN now() END, '',
        CASE WHEN kind.status IN ('IN_HOUSE', 'COMPLETED')
            THEN (stay.check_in + time '15:00') AT TIME ZONE hotel.timezone END,
        CASE WHEN kind.status IN ('IN_HOUSE', 'COMPLETED') THEN stay.check_in END,
        CASE WHEN kind.status = 'COMPLETED' THEN (stay.check_out + time '10:00') AT TIME ZONE hotel.timezone END,
        CASE WHEN kind.status = 'PENDING_APPROVAL' THEN now() + interval '1 day' END, '', '',
        CASE WHEN kind.status = 'CANCELLED' THEN now() - interval '3 days' END, '', '',
        CASE WHEN kind.status = 'IN_HOUSE' AND n <= 2 THEN now() - interval '20 hours' END
    FROM hotel_hotel hotel
    CROSS JOIN LATERAL generate_series(1, CASE WHEN hotel.slug = 'many-1' THEN {SMALL} ELSE %(each)s END) n
    CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE hotel.timezone)::date AS today) clock
    CROSS JOIN LATERAL (SELECT CASE WHEN n <= %(in_house)s THEN 'IN_HOUSE'
        WHEN n <= %(in_house)s + 20 THEN 'CONFIRMED' WHEN n <= %(in_house)s + 23 THEN 'PENDING_APPROVAL'
        WHEN n %% 10 < 7 THEN 'COMPLETED' WHEN n %% 10 < 9 THEN 'CANCELLED' ELSE 'CONFIRMED' END AS status) kind
    CROSS JOIN LATERAL (SELECT CASE
        WHEN kind.status = 'IN_HOUSE' THEN clock.today - 2 - n %% 3
        WHEN kind.status = 'COMPLETED' THEN clock.today - 3 - n
        WHEN n <= %(in_house)s + 20 THEN clock.today + n %% 5
        ELSE clock.today + 6 + (n * 7) %% 300 END AS check_in) arrival
    CROSS JOIN LATERAL (SELECT arrival.check_in, CASE
        WHEN kind.status = 'IN_HOUSE' THEN clock.today + CASE WHEN n <= 2 THEN -1 ELSE 1 + n %% 4 END
        ELSE arrival.check_in + 2 END AS check_out) stay
    LEFT JOIN LATERAL (
        SELECT room.id, room.room_type_id FROM rooms_room room
        WHERE room.hotel_id = hotel.id AND room.number = (100 + (n - 1) %% %(rooms)s + 1)::text
    ) numbered ON true
    CROSS JOIN LATERAL (SELECT numbered.room_type_id AS type, CASE
        WHEN kind.status IN ('IN_HOUSE', 'COMPLETED') OR n <= %(in_house)s + 20 THEN numbered.id END AS id) room
    WHERE hotel.id BETWEEN %(first)s AND %(last)s
"""  # noqa: S608 - constants of our own
# As the bookings' trigger does.
CLAIMS = """
    INSERT INTO room_bookings_roomclaim (booking_id, room_id, hotel_id, nights)
    SELECT id, assigned_room_id, hotel_id, daterange(check_in, check_out)
    FROM room_bookings_roombooking
    WHERE status IN ('CONFIRMED', 'IN_HOUSE') AND assigned_room_id IS NOT NULL
        AND hotel_id BETWEEN %(first)s AND %(last)s
"""
GUESTS = f"""
    INSERT INTO room_bookings_bookingguest (booking_id, first_name, last_name, email, phone)
    SELECT id, 'Companion', CASE WHEN id %% 20 = 0 THEN '{COMMON}' ELSE 'Of ' || id END, '', ''
    FROM room_bookings_roombooking WHERE hotel_id BETWEEN %(first)s AND %(last)s AND id %% 2 = 0
"""  # noqa: S608 - constants of our own
HISTORY = """
    INSERT INTO room_bookings_bookingchange
        (hotel_id, booking_id, action, from_status, to_status, is_upgrade, reason, created_at)
    SELECT hotel_id, id, change.action, change.before, change.after, false, '', created_at
    FROM room_bookings_roombooking booking
    CROSS JOIN LATERAL (VALUES
        (1, 'CREATED', '', CASE WHEN status = 'PENDING_APPROVAL' THEN status ELSE 'CONFIRMED' END),
        (2, CASE status WHEN 'IN_HOUSE' THEN 'CHECKED_IN' WHEN 'COMPLETED' THEN 'CHECKED_OUT'
            WHEN 'CANCELLED' THEN 'CANCELLED' ELSE 'EDITED' END, 'CONFIRMED', status)
    ) AS change(place, action, before, after)
    WHERE hotel_id BETWEEN %(first)s AND %(last)s
    ORDER BY booking.id, change.place
"""
OVERSTAYS = """
    INSERT INTO room_bookings_overstayincident (hotel_id, booking_id, status, expected_checkout_date, detected_at, note)
    SELECT hotel_id, id, 'OPEN', check_out, overstay_flagged_at, '' FROM room_bookings_roombooking
    WHERE hotel_id BETWEEN %(first)s AND %(last)s AND overstay_flagged_at IS NOT NULL
"""
TASKS = """
    INSERT INTO housekeeping_housekeepingtask (hotel_id, room_id, booking_id, task_type, status, priority, note,
        created_at, started_at, completed_at, for_date)
    SELECT booking.hotel_id, assigned_room_id, booking.id, 'STAYOVER', CASE ago WHEN 0 THEN 'OPEN' ELSE 'DONE' END,
        'MED', '', now() - ago * interval '1 day', CASE WHEN ago > 0 THEN now() - ago * interval '1 day' END,
        CASE WHEN ago > 0 THEN now() - ago * interval '1 day' END, (now() AT TIME ZONE hotel.timezone)::date - ago
    FROM room_bookings_roombooking booking JOIN hotel_hotel hotel ON hotel.id = booking.hotel_id
    CROSS JOIN generate_series(0, 1) ago
    WHERE hotel_id BETWEEN %(first)s AND %(last)s AND booking.status = 'IN_HOUSE'
        AND check_out > (now() AT TIME ZONE hotel.timezone)::date
"""
MORNINGS = """
    INSERT INTO housekeeping_stayoverday (hotel_id, day)
    SELECT id, (now() AT TIME ZONE timezone)::date FROM hotel_hotel
"""
STREAMS = """
    INSERT INTO notifications_eventstream (hotel_id, name, last_seq)
    SELECT hotel.id, stream.name, %(events)s FROM hotel_hotel hotel
    CROSS JOIN unnest(ARRAY['rooms', 'room-bookings', 'guest-bookings']) stream(name)
"""
EVENTS = """
    INSERT INTO notifications_realtimeevent
        (event_id, hotel_id, stream, channel, type, envelope, created_at, seq, sent_at, last_error)
    SELECT gen_random_uuid(), hotel_id, name, 'private-' || hotel_id || '.' || name, 'room_status_changed',
        '{"payload": {}}', moment.at, n, moment.at, ''
    FROM notifications_eventstream CROSS JOIN generate_series(1, %(events)s) n
    CROSS JOIN LATERAL (SELECT now() - interval '6 days' + n * interval '2 hours' AS at) moment
    WHERE hotel_id BETWEEN %(first)s AND %(last)s
"""


class Size(NamedTuple):
    """How much is loaded."""

    hotels: int
    bookings: int
    events: int = 40  # of each stream


def fill(installation: Installation, size: Size) -> None:
    """Load the hotels into an empty database."""
    values = {
        "hotels": size.hotels,
        "each": size.bookings // size.hotels,
        "events": size.events,
        "rooms": ROOMS,
        "in_house": IN_HOUSE,
    }
    with _without_triggers():
        _run(HOTELS, values)
        _run(TYPES, values)
        _run(MORNINGS, values)
        _run(STREAMS, values)
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM hotel_hotel WHERE slug LIKE 'many-%%'")
        first, last = cursor.fetchone()
    with _built_later():
        for begin in range(first, last + 1, AT_ONCE):
            part = values | {"first": begin, "last": min(begin + AT_ONCE - 1, last)}
            with _without_triggers():
                for statement in (ROOM_ROWS, AUDIT, BOOKINGS, CLAIMS, GUESTS, HISTORY, OVERSTAYS, TASKS, EVENTS):
                    _run(statement, part)
            say(f"  {part['last'] - first + 1:,} of {size.hotels:,} hotels")
            installation.pause(0)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE, FREEZE)")


def _run(statement: str, values: dict[str, int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


@contextmanager
def _without_triggers() -> Iterator[None]:
    """A transaction without triggers, foreign keys among them."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
        yield


@contextmanager
def _built_later() -> Iterator[None]:
    """Without the large indexes on texts, which are built afterwards."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = ANY (%s)", [list(BUILT_LATER)])
        definitions = [definition for (definition,) in cursor.fetchall()]
        for name in BUILT_LATER:
            cursor.execute(f"DROP INDEX {name}")
        yield
        cursor.execute("SET maintenance_work_mem = '512MB'")
        for definition in definitions:
            cursor.execute(definition)
        cursor.execute("RESET maintenance_work_mem")


# One hotel in a hundred, and in each: a late request, an abandoned draft, an overdue guest, a morning, an old event.
DUE = (
    """UPDATE room_bookings_roombooking SET approval_deadline_at = now() - interval '1 minute'
    WHERE hotel_id %% 100 = 0 AND status = 'PENDING_APPROVAL'""",
    """UPDATE room_bookings_roombooking SET status = 'PENDING_PAYMENT', created_at = now() - interval '2 days'
    WHERE id IN (SELECT max(id) FROM room_bookings_roombooking
        WHERE hotel_id %% 100 = 0 AND status = 'CONFIRMED' AND assigned_room_id IS NULL GROUP BY hotel_id)""",
    """UPDATE room_bookings_roombooking SET overstay_flagged_at = NULL
    WHERE hotel_id %% 100 = 0 AND overstay_flagged_at IS NOT NULL""",
    """DELETE FROM housekeeping_housekeepingtask
    WHERE hotel_id %% 100 = 0 AND task_type = 'STAYOVER' AND status = 'OPEN'""",
    "DELETE FROM housekeeping_stayoverday WHERE hotel_id %% 100 = 0",
    """UPDATE notifications_realtimeevent SET created_at = now() - interval '30 days'
    WHERE hotel_id %% 100 = 0 AND seq = 1""",
)
# In three streams, numbered and not sent: the provider has been away.
BACKLOG = """
    INSERT INTO notifications_realtimeevent
        (event_id, hotel_id, stream, channel, type, envelope, created_at, seq, last_error)
    SELECT gen_random_uuid(), hotel_id, name, 'private-' || hotel_id || '.' || name, 'room_status_changed',
        '{{"payload": {{}}}}', now(), last_seq + n, ''
    FROM (SELECT * FROM notifications_eventstream ORDER BY id LIMIT 3) stream, generate_series(1, {events}) n
"""
BACKLOG_EVENTS = 100_000
DATABASE = "many_hotels"
START_UP = 20  # seconds until an idle worker has settled
IDLE_SECONDS = 120  # two ticks, and each of the other frequent jobs many times


def measure(installation: Installation, scale: Scale, report: Report) -> None:
    """Load the hotels into a database of their own, then time everything that could visit all of them."""
    with _own_database():
        call_command("migrate", verbosity=0)
        began = time.perf_counter()
        fill(installation, Size(scale.many_hotels, scale.many_bookings))
        report.notes.append(f"Many hotels: loaded in {time.perf_counter() - began:.0f} s.")
        figures: dict[str, float] = {}
        relay = Relay()
        figures["relay's look"] = _median(relay._waiting_streams)
        figures["backlog"] = _median(lambda: backlog(connection))
        figures["tick, nothing due"] = _median(tick)
        browser = _superuser()
        for name, path in PAGES.items():
            figures[name] = _median(partial(_get, browser, path))
        figures["/readyz"] = _median(lambda: Readiness().look())
        for word in ("smith", "smith mary"):
            figures[f"search: {word}"] = _median(partial(_search, word))
        began = time.perf_counter()
        broken = len(violations())
        figures["check_invariants"] = (time.perf_counter() - began) * 1000
        report.notes.append(f"Many hotels: {broken} violations.")
        busy = _idle_worker(installation)
        for statement in DUE:
            _run(statement, {})
        figures["tick, 1 % due"] = meters.milliseconds(lambda: report.notes.append(f"Many hotels: {tick()}"))
        _run(BACKLOG.format(events=BACKLOG_EVENTS // 3), {})
        figures["relay's look, 100,000 unsent"] = _median(relay._waiting_streams)
    rows = [Row(f"{name}, many hotels", {"ms": value}) for name, value in figures.items()]
    rows.append(Row("idle worker with relay, many hotels", {"% of a core": busy}))
    report.add(f"{scale.many_hotels:,} hotels, {scale.many_bookings:,} bookings", rows)


PAGES = {
    "admin home of a superuser": "/admin/",
    "list of hotels, searched": "/admin/hotel/hotel/?q=12&o=-1",
    "/metrics": "/metrics",
}


def _median(work: Callable[[], object], rounds: int = 7) -> float:
    work()  # a warm-up
    return median(meters.milliseconds(work) for _ in range(rounds))


def _superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("many-root"))
    return client


def _get(client: Client, path: str) -> None:
    if (status := client.get(path, headers={"host": "127.0.0.1"}).status_code) != 200:
        raise LocalError(f"{path} returned {status}")


def _search(word: str) -> None:
    hotel = Hotel.objects.get(slug="many-1")
    query = BookingQuery().run_validation({"q": word})
    list(filtered_bookings(hotel, query).values_list("pk", flat=True)[:20])


def _idle_worker(installation: Installation) -> float:
    """The processor time, in percent of one core, of a worker with its relay and of PostgreSQL, with nothing due."""
    url = urlsplit(installation.environment["DATABASE_URL"])._replace(path=f"/{DATABASE}").geturl()
    command = [sys.executable, "manage.py", "worker"]
    with subprocess.Popen(command, cwd=PROJECT, env=installation.environment | {"DATABASE_URL": url}) as process:
        try:
            installation.pause(START_UP)
            worker, postgres = psutil.Process(process.pid), meters.Processor(installation.postgres)
            before = worker.cpu_times()
            installation.pause(IDLE_SECONDS)
            after = worker.cpu_times()
            used = after.user + after.system - before.user - before.system + postgres.milliseconds() / 1000
            return 100 * used / IDLE_SECONDS
        finally:
            process.terminate()


@contextmanager
def _own_database() -> Iterator[None]:
    own = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
    connection.close()
    connection.settings_dict["NAME"] = DATABASE
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = own
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
