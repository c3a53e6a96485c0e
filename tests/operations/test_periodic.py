"""The periodic work: what ``tick`` does, and that it does it once."""

import logging
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken

from common import clock, database
from common.handlers import exception_handler
from hotel.models import Hotel, IdempotentAnswer, UserSession
from housekeeping.models import HousekeepingTask, StayoverDay, TaskStatus
from housekeeping.task_services import open_stayover_tasks, start_task
from operations import periodic
from operations.periodic import BATCH, tick
from room_bookings.models import BookingChange, RoomBooking
from room_bookings.selectors import booking_lock
from room_bookings.services import history
from room_bookings.services.check_in import check_in
from room_bookings.services.expire import expire_approvals
from tests.factories import BookingFactory, NewRoomFactory, TaskFactory, booking_in
from tests.plans import drop_other_indexes
from tests.races import Writer, in_time
from tests.room_bookings.small_hotel import (
    NOW,
    assert_invariants_hold,
    day,
    last_event,
    locks_and_writes,
    nothing_written,
    open_small_hotel,
    published_events,
)

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
NOTHING = {
    "expired": 0,
    "drafts_dropped": 0,
    "overstays_flagged": 0,
    "blocks_rolled": 0,
    "stayovers_opened": 0,
    "events_forgotten": 0,
    "answers_forgotten": 0,
    "sessions_forgotten": 0,
    "tokens_forgotten": 0,
}


def done(result: dict[str, int]) -> dict[str, int]:
    """The counts of a tick, without the payments."""
    return {name: result[name] for name in NOTHING}


def late(small_hotel, **fields) -> RoomBooking:
    """A request whose deadline passed a second ago."""
    return booking_in(
        "PENDING_APPROVAL",
        hotel=small_hotel.hotel,
        room_type=small_hotel.room_type,
        approval_deadline_at=NOW - timedelta(seconds=1),
        **fields,
    )


def test_everything_due_is_done_once(small_hotel):
    late(small_hotel)
    booking_in("PENDING_PAYMENT", hotel=small_hotel.hotel, created_at=NOW - timedelta(hours=24, seconds=1))
    booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-2), check_out=day(0))
    yesterday = {"check_in": day(-1), "checked_in_at": NOW - timedelta(days=1)}
    booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[1], check_out=day(1), **yesterday)
    since = last_event()
    expected = {"expired": 1, "drafts_dropped": 1, "overstays_flagged": 1, "stayovers_opened": 1}
    assert done(tick()) == NOTHING | expected
    assert published_events(since) == [
        ("room-bookings", "booking_expired"),
        ("room-bookings", "booking_overstay_flagged"),
    ]
    assert_invariants_hold()
    with nothing_written():
        assert done(tick()) == NOTHING


def test_command_prints_what_it_did(small_hotel, capsys):
    late(small_hotel)
    call_command("tick")
    assert "requests expired: 1" in capsys.readouterr().out
    assert RoomBooking.objects.get().status == "EXPIRED"


def test_a_hotel_with_nothing_due(small_hotel):
    booking_in("PENDING_APPROVAL", hotel=small_hotel.hotel, approval_deadline_at=NOW)
    booking_in("PENDING_PAYMENT", hotel=small_hotel.hotel, created_at=NOW - timedelta(hours=24))
    booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0])
    with nothing_written():
        assert done(tick()) == NOTHING


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_past_its_deadline_expires(small_hotel):
    booking = late(small_hotel)
    assert expire_approvals(small_hotel.hotel) == 1
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.expired_at, stored.auto_expire_reason_code, stored.version) == (
        *("EXPIRED", NOW),
        *("APPROVAL_DEADLINE_PASSED", 1),
    )
    assert stored.payment_state == ""
    change = BookingChange.objects.get()
    assert (change.action, change.from_status, change.to_status, change.staff) == (
        *("EXPIRED", "PENDING_APPROVAL"),
        *("EXPIRED", None),
    )
    assert published_events() == [("room-bookings", "booking_expired")]
    assert booking.booking_id == stored.booking_id


@pytest.mark.parametrize(("card", "way_back"), [("AUTHORISED", "VOIDING"), ("CAPTURED", "REFUNDING")])
def test_payment_of_an_expired_request_is_marked_for_return(card, way_back, small_hotel):
    late(small_hotel, card=card)
    expire_approvals(small_hotel.hotel)
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.payment_state, stored.payment_requested_at, stored.payment_attempt) == (
        *("EXPIRED", way_back),
        *(NOW, 1),
    )


@pytest.mark.parametrize("state", ["CAPTURING", "VOIDING", "REFUNDING"])
def test_request_being_decided_on_is_skipped(state, small_hotel):
    late(small_hotel, card=state)
    with nothing_written():
        assert expire_approvals(small_hotel.hotel) == 0


def test_only_the_hotels_requests_expire_in_batches(small_hotel):
    other = open_small_hotel()
    late(other)
    RoomBooking.objects.bulk_create(
        BookingFactory.build(
            hotel=small_hotel.hotel,
            room_type=small_hotel.room_type,
            status="PENDING_APPROVAL",
            approval_deadline_at=NOW - timedelta(seconds=1),
        )
        for _ in range(BATCH + 2)
    )
    assert [
        expire_approvals(small_hotel.hotel, []),
        expire_approvals(small_hotel.hotel),
        expire_approvals(small_hotel.hotel),
    ] == [
        *(0, BATCH + 2, 0),
    ]
    assert done(tick())["expired"] == 1
    assert set(RoomBooking.objects.values_list("status", flat=True)) == {"EXPIRED"}


def test_it_locks_before_it_writes(small_hotel, statements):
    late(small_hotel)
    with statements() as made:
        expire_approvals(small_hotel.hotel)
    assert locks_and_writes(made.sql()) == [
        "lock RoomBooking",
        "UPDATE RoomBooking",
        "INSERT BookingChange",
        "UPDATE HousekeepingTask",
        "INSERT RealtimeEvent",
    ]


# --- drafts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("card", "payment_state"), [("", ""), ("AUTHORISED", "VOIDING"), ("CAPTURED", "REFUNDING")])
def test_unfinished_draft_is_dropped_without_an_event(card, payment_state, small_hotel):
    booking_in("PENDING_PAYMENT", card=card, hotel=small_hotel.hotel, created_at=NOW - timedelta(hours=25))
    assert done(tick())["drafts_dropped"] == 1
    stored = RoomBooking.objects.get()
    assert (stored.status, stored.payment_state) == ("CANCELLED_DRAFT", payment_state)
    change = BookingChange.objects.get()
    assert (change.action, change.from_status, change.to_status) == (
        "DRAFT_DROPPED",
        "PENDING_PAYMENT",
        "CANCELLED_DRAFT",
    )
    assert published_events() == []  # a draft is never shown to staff


# --- stayover tasks ---------------------------------------------------------------------------------------------------


def at(wall: str) -> clock.set_to:
    """A time in July in Dublin."""
    return clock.set_to(datetime.fromisoformat(f"{wall}+01:00").astimezone(UTC))


def stayovers() -> list[tuple[int, date | None, str]]:
    tasks = HousekeepingTask.objects.filter(task_type="STAYOVER").order_by("pk")
    return [(task.room.room_number, task.for_date, task.status) for task in tasks]


def test_each_morning_opens_one_task_per_stayover(small_hotel):
    guest = booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(0), check_out=day(3))
    mornings = {
        "2026-07-01T23:00": [],  # arrived today
        "2026-07-02T05:59": [],
        "2026-07-02T06:00": [(101, day(1), "OPEN")],
        "2026-07-02T23:00": [(101, day(1), "OPEN")],
        "2026-07-03T05:59": [(101, day(1), "OPEN")],
        "2026-07-03T06:00": [(101, day(1), "CANCELLED"), (101, day(2), "OPEN")],
        "2026-07-04T06:00": [(101, day(1), "CANCELLED"), (101, day(2), "CANCELLED")],  # departs today
    }
    seen = {}
    for wall in mornings:
        with at(wall):
            tick()
            tick()
            seen[wall] = stayovers()
    assert seen == mornings
    assert set(HousekeepingTask.objects.values_list("booking", flat=True)) == {guest.pk}


def test_started_task_keeps_its_assignee(small_hotel):
    came = {"check_in": day(-2), "checked_in_at": NOW - timedelta(days=2)}
    booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_out=day(3), **came)
    tick()
    start_task(task=HousekeepingTask.objects.get(), staff=small_hotel.manager)
    with clock.set_to(NOW + timedelta(days=1)):
        tick()
    assert stayovers() == [(101, day(0), "IN_PROGRESS"), (101, day(1), "OPEN")]


def test_a_finished_task_is_not_opened_again(small_hotel):
    came = {"check_in": day(-2), "checked_in_at": NOW - timedelta(days=2)}
    booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_out=day(3), **came)
    done_at = {"status": TaskStatus.DONE, "started_at": NOW, "completed_at": NOW}
    TaskFactory(room=small_hotel.rooms[0], task_type="STAYOVER", for_date=day(0), **done_at)
    with nothing_written():
        tick()


def test_morning_is_in_the_hotels_timezone(db):
    with clock.set_to(datetime(2026, 7, 1, 19, 0, tzinfo=UTC)):  # 7 a.m. on the 2nd in Auckland
        for zone in ("Pacific/Auckland", "Europe/Dublin"):
            small_hotel = open_small_hotel(timezone=zone)
            came = {"check_in": day(-1), "checked_in_at": clock.now() - timedelta(days=1)}
            booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_out=day(5), **came)
        tick()
    assert sorted(for_date for _, for_date, _ in stayovers()) == [day(0), day(1)]


def test_a_guest_who_arrived_in_the_morning_has_no_stayover(small_hotel):
    check_in(
        booking=BookingFactory(
            hotel=small_hotel.hotel, room_type=small_hotel.room_type, assigned_room=small_hotel.rooms[0]
        ),
        staff=small_hotel.agent,
    )
    assert done(tick()) == NOTHING


# --- concurrency and failures -----------------------------------------------------------------------------------------


def test_stored_responses_are_deleted_after_a_day(small_hotel):
    for hours in (23, 25):
        IdempotentAnswer.objects.create(
            staff=small_hotel.agent, key=str(hours), fingerprint="x", created_at=NOW - timedelta(hours=hours)
        )
    assert done(tick())["answers_forgotten"] == 1
    assert IdempotentAnswer.objects.get().key == "23"


def test_expired_sessions_and_tokens_are_deleted_in_portions(small_hotel, monkeypatch, statements):
    user = small_hotel.agent.user
    for hours in (-50, -25, -1, 1):
        UserSession.objects.create(session_key=f"s{hours}", expire_date=NOW + timedelta(hours=hours))
        AuthToken.objects.create(user=user, expiry=timedelta(hours=hours))
    AuthToken.objects.filter(expiry__lt=timezone.now()).update(expiry=NOW - DAY)
    monkeypatch.setattr(database, "PORTION", 2)
    with statements() as made:
        result = tick()
    assert (result["sessions_forgotten"], result["tokens_forgotten"]) == (3, 3)
    assert UserSession.objects.get().session_key == "s1"
    assert AuthToken.objects.get().expiry > NOW
    assert sum(sql.startswith('DELETE FROM "django_session"') for sql in made.sql()) == 2


@pytest.mark.parametrize("rows", periodic.OLD_ROWS)
def test_old_rows_are_found_by_an_index(rows, small_hotel):
    indexes = {
        "answers_forgotten": "hotel_idempotentanswer_created_at",
        "sessions_forgotten": "django_session_expire_date",
        "tokens_forgotten": "knox_authtoken_expiry",
    }
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        drop_other_indexes(cursor, indexes[rows])
    plan = periodic.OLD_ROWS[rows]().values_list("pk", flat=True)[:1000].explain()
    assert indexes[rows] in plan, plan


def test_locked_booking_delays_no_other(small_hotel, monkeypatch, caplog):
    """One of the hotel's late requests is locked for long: the others expire now, and this one at the next tick."""
    other = open_small_hotel()
    held, free, elsewhere = late(small_hotel), late(small_hotel), late(other)

    def busy(ids):
        ids = list(ids)
        if held.pk in ids:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'busy' USING ERRCODE = 'lock_not_available'; END $$")
        return booking_lock(ids)

    monkeypatch.setattr("room_bookings.services.expire.booking_lock", busy)
    with caplog.at_level(logging.WARNING):
        assert done(tick())["expired"] == 2
    [line] = caplog.records
    assert line.levelname == "WARNING"
    assert line.getMessage() == (
        f"expire_approvals of hotel {small_hotel.hotel.slug} for 1 of 2 rows (ids {held.pk}) has to wait for the "
        "next tick: OperationalError"
    )
    monkeypatch.undo()
    assert statuses(held, free, elsewhere) == ["PENDING_APPROVAL", "EXPIRED", "EXPIRED"]
    assert done(tick())["expired"] == 1


def statuses(*bookings) -> list[str]:
    found = RoomBooking.objects.in_bulk([booking.pk for booking in bookings])
    return [found[booking.pk].status for booking in bookings]


def everything_due(small_hotel) -> list[RoomBooking]:
    """A hotel in which each kind of periodic work has something to do."""
    yesterday = {"check_in": day(-1), "checked_in_at": NOW - timedelta(days=1)}
    return [
        late(small_hotel),
        booking_in("PENDING_PAYMENT", hotel=small_hotel.hotel, created_at=NOW - timedelta(hours=25)),
        booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[0], check_in=day(-2), check_out=day(0)),
        booking_in("IN_HOUSE", assigned_room=small_hotel.rooms[1], check_out=day(1), **yesterday),
    ]


def test_an_error_in_one_hotel_stops_no_other(small_hotel, caplog):
    """Its timezone is unknown, and it is processed first."""
    other = open_small_hotel()
    everything_due(small_hotel)
    due = everything_due(other)
    Hotel.objects.filter(pk=small_hotel.hotel.pk).update(timezone="Mars/Olympus")
    IdempotentAnswer.objects.create(
        staff=small_hotel.agent, key="old", fingerprint="x", created_at=NOW - timedelta(hours=25)
    )
    assert done(tick()) == {
        "expired": 1,
        "drafts_dropped": 2,
        "overstays_flagged": 1,
        "blocks_rolled": 0,
        "stayovers_opened": 1,
        "events_forgotten": 0,
        "answers_forgotten": 1,
        "sessions_forgotten": 0,
        "tokens_forgotten": 0,
    }
    assert statuses(*due) == ["EXPIRED", "CANCELLED_DRAFT", "IN_HOUSE", "IN_HOUSE"]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0] == "no overstays in the timezone 'Mars/Olympus': ZoneInfoNotFoundError"
    assert f"of hotel {small_hotel.hotel.slug}" in lines[1]
    assert "ZoneInfoNotFoundError" in lines[1]
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert "Lovelace" not in caplog.text
    # It is processed once its timezone is valid again.
    Hotel.objects.filter(pk=small_hotel.hotel.pk).update(timezone="Europe/Dublin")
    assert done(tick()) == NOTHING | {"expired": 1, "overstays_flagged": 1, "stayovers_opened": 1}


@pytest.mark.parametrize(
    ("work", "make"),
    [
        ("expired", late),
        (
            "drafts_dropped",
            lambda small_hotel: booking_in("PENDING_PAYMENT", hotel=small_hotel.hotel, created_at=NOW - 2 * DAY),
        ),
        (
            "overstays_flagged",
            lambda small_hotel: booking_in(
                "IN_HOUSE", assigned_room=NewRoomFactory(hotel=small_hotel.hotel), check_in=day(-2), check_out=day(0)
            ),
        ),
    ],
)
def test_failing_booking_is_skipped(work, make, small_hotel, monkeypatch, caplog):
    """After an unexpected error, the rest of the batch is processed one by one, each in a separate transaction."""
    bookings = [make(small_hotel) for _ in range(3)]
    broken = bookings[1].pk

    def save(bookings, *fields):
        if any(booking.pk == broken for booking in bookings):
            raise KeyError("a row that nobody foresaw")
        history.save_bookings(bookings, *fields)

    monkeypatch.setattr("room_bookings.services.expire.save_bookings", save)
    monkeypatch.setattr("room_bookings.services.overstay.save_bookings", save)
    assert done(tick())[work] == 2
    [line] = caplog.records
    assert (line.levelname, line.exc_info[0]) == ("ERROR", KeyError)
    assert f"of hotel {small_hotel.hotel.slug} for 1 of 3 rows (ids {broken})" in line.getMessage()
    changed = RoomBooking.objects.exclude(version=0)
    assert {booking.pk for booking in changed} == {booking.pk for booking in bookings} - {broken}


def test_failure_to_delete_stored_responses_is_only_logged(small_hotel, monkeypatch, caplog):
    monkeypatch.setattr(periodic, "ANSWERS_KEPT", None)
    late(small_hotel)
    assert done(tick())["expired"] == 1
    assert [record.getMessage() for record in caplog.records] == [
        "answers_forgotten has to wait for the next tick: TypeError"
    ]


@pytest.mark.parametrize("place", ["batch", "one by one", "hotel", "due"])
def test_lost_database_ends_the_tick(small_hotel, monkeypatch, place):
    late(small_hotel)
    away = OperationalError("server closed the connection unexpectedly")

    def fails(bookings, *fields):
        monkeypatch.setattr("room_bookings.services.expire.save_bookings", gone)
        raise KeyError("first the batch")

    def gone(*_):
        raise away

    if place == "hotel":
        monkeypatch.setattr(periodic, "drop_drafts", gone)
        booking_in("PENDING_PAYMENT", hotel=small_hotel.hotel, created_at=NOW - 2 * DAY)
    elif place == "due":
        monkeypatch.setattr(periodic, "hotels_with_old_events", gone)
    else:
        monkeypatch.setattr("room_bookings.services.expire.save_bookings", fails if place == "one by one" else gone)
    with pytest.raises(OperationalError, match="server closed"):
        tick()


def test_a_statement_that_takes_too_long_delays_only_its_hotel(small_hotel, monkeypatch, caplog):
    """It is no sign that the database is away. A request gets a 503."""
    late(small_hotel)
    late(open_small_hotel())
    errors: list[OperationalError] = []

    def expire(hotel, ids):
        if hotel != small_hotel.hotel:
            return expire_approvals(hotel, ids)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 1")
                cursor.execute("SELECT pg_sleep(60)")
        except OperationalError as error:
            errors.append(error)
            raise

    monkeypatch.setattr(periodic, "expire_approvals", expire)
    assert done(tick())["expired"] == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    response = exception_handler(errors[0], {})
    assert (response.status_code, response.data["code"], response["Retry-After"]) == (503, "BUSY", "1")


def test_what_is_due_is_found_by_kind(small_hotel, monkeypatch, caplog):
    """An error while looking for one kind of work stops no other."""
    monkeypatch.setattr(periodic, "hotels_with_old_events", lambda: 1 / 0)
    late(small_hotel)
    assert done(tick())["expired"] == 1
    [line] = caplog.records
    assert line.getMessage() == "events_forgotten has to wait for the next tick: ZeroDivisionError"


# --- many hotels ------------------------------------------------------------------------------------------------------

MORNINGS = ("Pacific/Auckland", "Europe/Dublin", "Etc/GMT+7", "Etc/GMT+9")  # 2, 15, 7 and 5 o'clock at NOW


def test_an_idle_tick_takes_as_many_statements_for_many_hotels_as_for_one(small_hotel, statements):
    counts = []
    for more in (0, 2, 12):
        for number in range(more):
            other = open_small_hotel(timezone=MORNINGS[number % len(MORNINGS)])
            booking_in("IN_HOUSE", assigned_room=other.rooms[0], check_out=day(2))
        tick()
        with statements() as made:
            assert done(tick()) == NOTHING
        counts.append(len(made))
    # Requests, drafts, hours and overstays, ends of the day and blocks, timezones and mornings, old events, stored
    # responses, sessions, tokens.
    assert counts == [12, 12, 12]


def test_only_hotels_with_something_due_are_visited(small_hotel, monkeypatch):
    """Guests due out at their hotels' times, and mornings: each hotel by its own clock."""
    visited: list[tuple[str, str]] = []

    def visit(name: str, work: periodic.Work, hotel: Hotel) -> int:
        visited.append((name, hotel.timezone))
        return work.do(hotel)

    works = {name: work._replace(do=partial(visit, name, work)) for name, work in periodic.works().items()}
    monkeypatch.setattr(periodic, "works", lambda: works)
    for zone in MORNINGS:
        other = open_small_hotel(timezone=zone)
        booking_in("IN_HOUSE", assigned_room=other.rooms[0], check_in=day(-1), check_out=day(0))
    tick()
    assert sorted(visited) == [
        ("overstays_flagged", "Europe/Dublin"),
        ("overstays_flagged", "Pacific/Auckland"),
        ("stayovers_opened", "Etc/GMT+7"),
        *[("stayovers_opened", "Europe/Dublin")] * 2,
    ]
    visited.clear()
    with clock.set_to(NOW + timedelta(hours=1)):  # it is six in the last one now
        tick()
        tick()
    assert visited == [("stayovers_opened", "Etc/GMT+9")] * 2  # again, for check-ins that were about to commit
    visited.clear()
    with clock.set_to(NOW + timedelta(hours=1, minutes=1)):
        tick()
        tick()
    assert visited == [("stayovers_opened", "Etc/GMT+9")]


def test_workers_share_the_hotels(small_hotel, monkeypatch, statements):
    """Each takes them in another order, and skips a morning that another worker has opened since it listed them."""
    opened: list[str] = []

    def open_tasks(hotel: Hotel, today: date) -> int:
        opened.append(hotel.slug)
        return open_stayover_tasks(hotel, today)

    monkeypatch.setattr(periodic, "open_stayover_tasks", open_tasks)
    work = periodic.works()["stayovers_opened"]
    monkeypatch.setattr(periodic, "works", lambda: {"stayovers_opened": work._replace(due=lambda: [hotel.pk])})
    hotel = small_hotel.hotel
    StayoverDay.objects.create(hotel=open_small_hotel().hotel, day=day(0))
    with statements() as made:
        tick()
        tick()
    assert opened == [hotel.slug]
    assert sum("ORDER BY RANDOM()" in sql for sql in map(str, made)) == 2


@pytest.mark.parametrize("work", periodic.works())
def test_what_is_due_is_found_by_an_index(work, small_hotel):
    indexes = {
        "expired": "room_booking_to_approve",
        "drafts_dropped": "room_booking_draft",
        "overstays_flagged": "room_booking_to_flag",
        "blocks_rolled": "room_block_due",
        "stayovers_opened": "housekeeping_stayoverday_pkey",
        "events_forgotten": "realtime_event_settled",
    }
    with CaptureQueriesContext(connection) as made:
        list(periodic.works()[work].due())
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        drop_other_indexes(cursor, indexes[work], constraints=True)
        cursor.execute(f"EXPLAIN {made.captured_queries[-1]['sql']}")
        plan = str(cursor.fetchall())
    assert indexes[work] in plan, plan


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.django_db(transaction=True)
def test_a_hotel_is_visited_by_one_worker_at_a_time(small_hotel, monkeypatch, locked):
    """Another worker's tick runs while this one is about to expire a request; without the lock both work on it."""
    late(small_hotel)
    others: list[dict[str, int]] = []

    def expire(hotel, ids):
        if not others:
            others.append({})
            worker = Writer(in_time(tick))
            worker.start()
            others[0] = worker.outcome()
        return expire_approvals(hotel, ids)

    monkeypatch.setattr(periodic, "expire_approvals", expire)
    if not locked:
        monkeypatch.setattr(periodic, "advisory_lock", lambda *_: nullcontext(enter_result=True))
    mine = tick()
    assert [others[0]["expired"], mine["expired"]] == ([0, 1] if locked else [1, 0])
    assert done(tick()) == NOTHING  # the lock is free again
