"""A migration that meets a lock times out within seconds, and later requests wait no longer than that."""

import threading
import time
from importlib import import_module

import pytest
from django.db import InternalError, OperationalError, connection, models, transaction
from django.db.migrations.loader import MigrationLoader

from common.migrations import AddIndexConcurrently
from operations.invariants import violations
from room_bookings.models import RoomBooking, RoomClaim
from rooms.models import Room
from tests.factories import NewRoomFactory, booking_in
from tests.notifications.conftest import until
from tests.races import Writer

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 10  # seconds


def waits_for_a_table(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %s AND NOT granted)", [pid])
        return bool(cursor.fetchone()[0])


def add_a_column() -> float:
    """Add a column as a migration does; returns the seconds until it timed out."""
    field = models.TextField(null=True)
    field.set_attributes_from_name("example")
    began = time.monotonic()
    with pytest.raises(OperationalError, match="lock timeout"), connection.schema_editor() as editor:
        editor.add_field(Room, field)
    return time.monotonic() - began


def test_a_migration_blocked_by_a_long_report_times_out():
    room = NewRoomFactory()
    migration = Writer(add_a_column)
    desk = Writer(lambda: Room.objects.filter(pk=room.pk).update(room_number=999))
    with transaction.atomic():
        assert Room.objects.count() == 1  # a report, which stays open
        migration.start()
        migration.connected.wait(PATIENCE)
        until(lambda: waits_for_a_table(migration.pid))
        desk.start()
        desk.connected.wait(PATIENCE)
        until(lambda: waits_for_a_table(desk.pid))  # it queues behind the migration
        waited = migration.outcome()
        assert desk.outcome() == 1  # and is served once that has given up, while the report is still open
    assert 2.5 < waited < 5
    with connection.cursor() as cursor:
        columns = {
            column.name for column in connection.introspection.get_table_description(cursor, Room._meta.db_table)
        }
    assert "example" not in columns


def test_an_index_whose_creation_was_interrupted_is_created_again():
    """An invalid index is left over, as when PostgreSQL gives up waiting for a backup; a valid one stays."""
    operation = AddIndexConcurrently("room", models.Index(fields=["room_number"], name="example"))
    before = MigrationLoader(None).project_state()
    after = before.clone()
    operation.state_forwards("rooms", after)
    found = "SELECT oid, indisvalid FROM pg_class JOIN pg_index ON indexrelid = oid WHERE relname = 'example'"
    seen = []
    with connection.cursor() as cursor:
        for _ in range(3):
            with connection.schema_editor(atomic=False) as editor:
                operation.database_forwards("rooms", editor, before, after)
            cursor.execute(found)
            seen.append(cursor.fetchone())
            if len(seen) == 2:
                cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s", [seen[0][0]])
        cursor.execute("DROP INDEX example")
    (first, _), kept, (new, is_valid) = seen
    assert kept == (first, True)
    assert new != first
    assert is_valid


def test_more_decimals_do_not_rewrite_the_table():
    """The SQL of the currency migration, on a table as the first release created it."""
    column = ("ALTER TABLE room_bookings_roombooking ALTER COLUMN total_amount TYPE numeric", "(12, 2)")
    where = "SELECT pg_relation_filenode('room_bookings_roombooking')"
    with transaction.atomic(), connection.cursor() as cursor:
        # Such a table had no such trigger, which would hold on to the type.
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE '%room_booking_amount_fits_currency%'")
        cursor.execute(f"DROP TRIGGER {cursor.fetchone()[0]} ON room_bookings_roombooking")
        cursor.execute("".join(column))
        cursor.execute(where)
        before = cursor.fetchone()
        cursor.execute(column[0])
        cursor.execute(where)
        assert cursor.fetchone() == before
        # The twin: a fixed scale does rewrite it.
        cursor.execute(f"{column[0]}(14, 4)")
        cursor.execute(where)
        assert cursor.fetchone() != before
        transaction.set_rollback(True)


def test_claims_of_existing_bookings_are_made_while_one_of_them_moves(monkeypatch):
    backfill = import_module("room_bookings.migrations.0022_claims_of_bookings")
    check = import_module("room_bookings.migrations.0023_claims_guard_rooms").CHECK
    monkeypatch.setattr(backfill, "BATCH", 2)
    bookings = [booking_in("CONFIRMED", assigned_room=NewRoomFactory()) for _ in range(5)]
    other = NewRoomFactory(hotel=bookings[3].hotel, room_type=bookings[3].room_type)
    with connection.cursor() as cursor:  # as before the first of these migrations
        cursor.execute("ALTER TABLE room_bookings_roomclaim DISABLE TRIGGER USER")
        RoomClaim.objects.exclude(booking=bookings[0]).delete()
        cursor.execute("ALTER TABLE room_bookings_roomclaim ENABLE TRIGGER USER")
        with pytest.raises(InternalError, match="run migration room_bookings.0022 again"):
            cursor.execute(check)

    def claim() -> None:
        with connection.schema_editor(atomic=False) as editor:
            backfill.claim(None, editor)

    migration = Writer(claim)
    with transaction.atomic():
        RoomBooking.objects.filter(pk=bookings[3].pk).update(assigned_room=other)
        migration.start()
        migration.connected.wait(PATIENCE)
        until(lambda: waits_for_a_table(migration.pid))
    assert migration.outcome() is None
    assert violations() == []
    assert RoomClaim.objects.count() == 5
    with connection.cursor() as cursor:
        cursor.execute(check)


def test_without_the_timeout_the_migration_keeps_waiting():
    """The twin of the test above, without the lock timeout."""

    def patiently() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")
            cursor.execute("LOCK TABLE rooms_room IN ACCESS EXCLUSIVE MODE")

    done = threading.Event()
    migration = Writer(lambda: (transaction.atomic(patiently)(), done.set()))
    with transaction.atomic():
        Room.objects.count()
        migration.start()
        migration.connected.wait(PATIENCE)
        assert not done.wait(4)
        assert waits_for_a_table(migration.pid)
    migration.outcome()
    assert done.is_set()
