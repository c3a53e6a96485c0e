"""Prepared statements read and write exactly as Django's own do, in every thread."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial

import pytest
from django.db import DatabaseError, DataError, IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from django.db.transaction import TransactionManagementError

from common import clock
from common import prepared as writing
from common.handlers import unavailability
from common.prepared import PreparedRead
from hotel.models import Hotel
from notifications.models import RealtimeEvent
from room_bookings.selectors import booking_list
from rooms.models import Room
from rooms.selectors import room_list
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, in_house, room_in


def facts(row):
    """All attributes of an instance, including its joined instances."""
    return {
        name: facts(value) if hasattr(value, "_meta") else value
        for name, value in {**vars(row), **row._state.fields_cache}.items()
        if name != "_state"
    }


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
def test_a_prepared_read_returns_what_the_queryset_returns(django_assert_num_queries):
    occupied, empty = room_in("OCCUPIED"), room_in("CLEANED_UNINSPECTED")
    for build, rows in (
        (room_list, [occupied, empty]),
        (booking_list, [in_house(NewRoomFactory()), BookingFactory()]),
    ):
        prepared = PreparedRead(build)
        for row in [*rows, *rows]:  # the second time with the statement built the first time
            with django_assert_num_queries(1):
                [read] = prepared.read(pk=row.pk)
            assert facts(read) == facts(build().get(pk=row.pk))
        assert prepared.read(pk=10**9) == []


@pytest.mark.django_db
def test_rows_are_read_again_each_time():
    room = NewRoomFactory()
    prepared = PreparedRead(room_list)
    prepared.read(pk=room.pk)
    Room.objects.filter(pk=room.pk).update(turnover_notes="changed")
    assert prepared.read(pk=room.pk)[0].turnover_notes == "changed"


@pytest.mark.django_db(transaction=True)
def test_each_thread_uses_its_own_connection():
    hotels = [HotelFactory() for _ in range(4)]
    prepared = PreparedRead(Hotel.objects.all)
    prepared.read(pk=hotels[0].pk)

    def read(hotel):
        try:
            return [prepared.read(pk=hotel.pk)[0].slug for _ in range(50)], connection.connection.info.backend_pid
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(read, hotels))
    assert [slugs for slugs, _ in answers] == [[hotel.slug] * 50 for hotel in hotels]
    assert connection.connection.info.backend_pid not in {pid for _, pid in answers}


@pytest.fixture(params=["prepared", "plain"])
def either_way(request, monkeypatch):
    """Run the test once with prepared statements and once as behind a pooler that shares connections."""
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", request.param == "plain")


def prepared_statements() -> dict[str, datetime]:
    """When each statement that is prepared on this connection was, by its name."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, prepare_time FROM pg_prepared_statements")
        return dict(cursor.fetchall())


@pytest.mark.django_db
def test_rows_can_be_read_by_any_unique_key(django_assert_num_queries):
    hotel = HotelFactory()
    prepared = PreparedRead(Hotel.objects.all)
    with django_assert_num_queries(1):
        assert prepared.read(slug=hotel.slug) == [hotel]
    for name in ("", "-1", "$1", "x'); DROP TABLE hotel_hotel; --"):
        assert prepared.read(slug=name) == []


@pytest.mark.django_db
def test_the_statement_stays_prepared_after_a_rollback():
    hotel = HotelFactory()
    prepared = PreparedRead(partial(Hotel.objects.exclude, name="of no other test"))
    before = set(prepared_statements())  # as many as one connection keeps, late in a run
    seen = []
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert prepared.read(pk=hotel.pk) == [hotel]
            1 / 0  # noqa: B018 - rolls the block back
        seen.append({name: at for name, at in prepared_statements().items() if name not in before})
    assert len(seen[0]) == 1
    assert seen[1] == seen[0]


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_prepares_the_statement_again():
    hotel = HotelFactory()
    prepared = PreparedRead(Hotel.objects.all)
    assert prepared.read(pk=hotel.pk) == [hotel]
    connection.close()
    assert prepared.read(pk=hotel.pk) == [hotel]


@pytest.mark.django_db(transaction=True)
def test_a_dead_kept_connection_is_replaced_before_the_read():
    """As Django does at a request's first statement with ``CONN_HEALTH_CHECKS``."""
    hotel = HotelFactory()
    prepared = PreparedRead(Hotel.objects.all)
    prepared.read(pk=hotel.pk)
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    other.close()
    connection.health_check_enabled, connection.health_check_done = True, False  # a request begins
    try:
        assert prepared.read(pk=hotel.pk) == [hotel]
    finally:
        connection.close()


@pytest.fixture
def retyped():
    """``retyped()`` changes a column's type on another connection, as a migration does."""
    lengths = iter((300, 301))

    def retype(length=None):
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute(f"ALTER TABLE hotel_hotel ALTER COLUMN name TYPE varchar({length or next(lengths)})")
        other.close()

    yield retype
    retype(Hotel._meta.get_field("name").max_length)
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_changed_column_type_is_replanned(retyped):
    """PostgreSQL refuses the old plan (0A000): the read is retried or, inside a transaction, it is a 503."""
    hotel = HotelFactory()
    prepared = PreparedRead(Hotel.objects.all)
    assert prepared.read(pk=hotel.pk) == [hotel]
    retyped()
    assert prepared.read(pk=hotel.pk) == [hotel]
    retyped()
    with pytest.raises(OperationalError) as refusal, transaction.atomic():
        prepared.read(pk=hotel.pk)
    assert unavailability(refusal.value)[0] == "UNAVAILABLE"
    with transaction.atomic():
        assert prepared.read(pk=hotel.pk) == [hotel]


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
def test_rows_can_be_read_by_two_keys():
    room, other = NewRoomFactory(), NewRoomFactory()
    prepared = PreparedRead(room_list)
    assert prepared.read(pk=room.pk, hotel=room.hotel_id) == [room]
    assert prepared.read(pk=room.pk, hotel=other.hotel_id) == []
    assert prepared.read(pk=other.pk, hotel=other.hotel_id) == [other]


def locking():
    return Hotel.objects.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True)


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db(transaction=True)
def test_a_prepared_read_locks_as_the_queryset_does():
    hotel = HotelFactory()
    prepared = PreparedRead(locking)
    other = connection.copy()
    try:
        with transaction.atomic():
            assert prepared.read(pk=hotel.pk) == [hotel.pk]
            with other.cursor() as cursor, pytest.raises(DatabaseError):
                cursor.execute("SELECT 1 FROM hotel_hotel FOR NO KEY UPDATE NOWAIT")
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM hotel_hotel FOR NO KEY UPDATE NOWAIT")
    finally:
        other.close()


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db(transaction=True)
def test_locking_requires_a_transaction():
    hotel = HotelFactory()
    prepared = PreparedRead(locking)
    for _ in range(2):
        with pytest.raises(TransactionManagementError):
            prepared.read(pk=hotel.pk)
        with transaction.atomic():
            assert prepared.read(pk=hotel.pk) == [hotel.pk]


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
@pytest.mark.parametrize("number", [2**63 - 1, -(2**63) + 1, 2**63, -(2**63), 10**40])
def test_numbers_out_of_range_find_nothing(number):
    hotel = HotelFactory()
    assert PreparedRead(Hotel.objects.all).read(pk=number) == []
    assert PreparedRead(Hotel.objects.all).read(pk__any=[number, hotel.pk]) == [hotel]


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
def test_many_rows_are_read_by_one_statement(django_assert_num_queries):
    rooms = [NewRoomFactory() for _ in range(3)]
    prepared = PreparedRead(lambda: room_list().order_by("pk"))
    for some in (rooms, rooms[1:], rooms[:1], []):
        with django_assert_num_queries(1):
            found = prepared.read(pk__any=[room.pk for room in some])
        assert [facts(room) for room in found] == [facts(room_list().get(pk=room.pk)) for room in some]
        assert [room.pk for room in prepared.stream(2, pk__any=[room.pk for room in some])] == [r.pk for r in some]


# --- names ------------------------------------------------------------------------------------------------------------


def statement_of(prepared, **keys):
    prepared.read(**keys)
    [made] = prepared._made.values()
    return made.statement


@pytest.mark.django_db
def test_a_statements_name_is_derived_from_its_text():
    """So the same name means the same statement in every process."""
    hotel = HotelFactory()
    one, same, other = (
        statement_of(PreparedRead(build), pk=hotel.pk) for build in (Hotel.objects.all,) * 2 + (locking,)
    )
    assert one.name == same.name != other.name
    assert one.name.endswith(hashlib.sha256(one.text.encode()).hexdigest()[:16])
    tight, wide = (PreparedRead(partial(Hotel.objects.filter, name=name)) for name in ("a", "b"))
    assert statement_of(tight, pk=1).name != statement_of(wide, pk=1).name  # also where only a constant differs
    assert all(len(name) < 64 for name in prepared_statements())  # PostgreSQL truncates longer ones


@pytest.mark.django_db
def test_behind_a_pooler_nothing_is_prepared(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", value=True)
    hotel, before = HotelFactory(), prepared_statements()
    event = an_event(channel="private-of-no-other-test")
    assert PreparedRead(partial(Hotel.objects.exclude, name="of this test only")).read(pk=hotel.pk) == [hotel]
    writing.insert([event])
    writing.update([event], ["last_error"])
    assert prepared_statements() == before


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_connection_keeps_the_most_recently_used_statements(monkeypatch):
    hotel = HotelFactory()
    before = len(prepared_statements())
    monkeypatch.setattr(writing, "KEPT", before + 3)
    reads = [PreparedRead(partial(Hotel.objects.exclude, name=f"of no other test {number}")) for number in range(6)]
    for prepared in reads:
        assert prepared.read(pk=hotel.pk) == [hotel]
        assert reads[0].read(pk=hotel.pk) == [hotel]
    assert len(prepared_statements()) == before + 3
    names = [statement_of(prepared, pk=hotel.pk).name for prepared in (reads[0], reads[5])]
    assert set(names) <= set(prepared_statements())


@pytest.mark.django_db
def test_field_order_does_not_make_another_statement():
    event = an_event()
    writing.insert([event])
    found = []
    for names in (["seq", "last_error"], ["last_error", "seq"]):
        event.seq, event.last_error = len(names[0]), names[0]
        writing.update([event], names)
        assert RealtimeEvent.objects.filter(seq=len(names[0]), last_error=names[0]).exists()
        found.append(prepared_statements())
    assert found[0] == found[1]


# --- writing ----------------------------------------------------------------------------------------------------------

AWKWARD = "50 % of $1, \"both\" 'kinds'\\\n of %s; ünïcode → ✓"


def an_event(**fields):
    hotel = Hotel.objects.first() or HotelFactory()
    envelope = {"payload": {"maintenance_notes": AWKWARD, "last_cleaned_at": None, "status_version": 7}}
    return RealtimeEvent(
        **{
            "hotel": hotel,
            "stream": "rooms",
            "channel": "private-x.rooms",
            "type": "room_updated",
            "envelope": envelope,
        }
        | fields
    )


def stored(*, but=("id", "event_id")):
    """The stored events in order, without the columns ``but``."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(row_)::text FROM notifications_realtimeevent row_ ORDER BY id")
        return [{name: value for name, value in json.loads(row).items() if name not in but} for [row] in cursor]


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
def test_insert_stores_what_bulk_create_stores(django_assert_num_queries):
    moment = clock.now()
    for fields in ({}, {"last_error": AWKWARD, "seq": 9, "sent_at": moment}, {"envelope": {}}):
        RealtimeEvent.objects.all().delete()
        RealtimeEvent.objects.bulk_create([an_event(created_at=moment, **fields)])
        by_django = stored()
        RealtimeEvent.objects.all().delete()
        event = an_event(created_at=moment, **fields)
        with django_assert_num_queries(1):
            writing.insert([event])
        assert stored() == by_django
        assert facts(RealtimeEvent.objects.get()) == facts(RealtimeEvent.objects.get(pk=event.pk))
        assert not event._state.adding
        assert event._state.db == "default"
        event.last_error = "and it may be saved again"
        event.save()
        assert RealtimeEvent.objects.get().event_id == event.event_id


@pytest.mark.django_db
@pytest.mark.parametrize("count", [0, 2, 30])
def test_insert_takes_one_statement_for_many_rows_and_none_for_none(count, django_assert_num_queries):
    events = [an_event() for _ in range(count)]
    with django_assert_num_queries(min(count, 1)):
        writing.insert(event for event in events)
    assert {event.pk for event in events} == {event.pk for event in RealtimeEvent.objects.all()}


@pytest.mark.django_db
def test_insert_keeps_a_given_primary_key():
    writing.insert([an_event(pk=4711)])
    assert RealtimeEvent.objects.get().pk == 4711


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
def test_constraint_violations_are_raised():
    event = an_event()
    writing.insert([event])
    with pytest.raises(IntegrityError), transaction.atomic():
        writing.insert([an_event(event_id=event.event_id)])
    with pytest.raises(IntegrityError), transaction.atomic():
        event.hotel_id = None
        writing.update([event], ["hotel"])
    for count in (1, 2):
        with pytest.raises(DataError), transaction.atomic():
            writing.insert([an_event(stream="x" * 21) for _ in range(count)])
    assert RealtimeEvent.objects.count() == 1


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 2, 3])
def test_update_writes_what_bulk_update_writes(django_assert_num_queries, count):
    events = [an_event() for _ in range(2 * count)]
    for event in events:
        event.save()
    ours, djangos = events[:count], events[count:]
    new = {
        "last_error": AWKWARD,
        "seq": 5,
        "sent_at": clock.now(),
        "envelope": {"note": AWKWARD},
        "hotel": HotelFactory(),
    }
    none = {"sent_at": None, "seq": None}
    for values, names in ((new, [*new]), (none, [*none]), ({"seq": 6, "last_error": "not named"}, ["seq"])):
        for name, value in values.items():
            for place, event in enumerate(events):
                # A seq is unique; of several rows, the first has no value.
                own = value if place % count else None if count > 1 and name in none else value
                setattr(event, name, own + place % count if name == "seq" and own else own)
        with django_assert_num_queries(1):
            writing.update(ours, names)
        by_us = stored(but=("id", "event_id", "created_at"))[:count]
        RealtimeEvent.objects.filter(pk__in=[event.pk for event in ours]).update(seq=None, sent_at=None)
        RealtimeEvent.objects.bulk_update(djangos, names)
        by_django = stored(but=("id", "event_id", "created_at"))[count:]
        assert by_us == by_django
        RealtimeEvent.objects.update(seq=None, sent_at=None)


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 3])
def test_several_changes_take_one_round_trip(django_assert_num_queries, count):
    room = NewRoomFactory()
    first, last = ([an_event(last_error=AWKWARD) for _ in range(count)] for _ in range(2))
    room.turnover_notes = AWKWARD
    with django_assert_num_queries(1):
        writing.write(
            writing.Update([room], ["turnover_notes"]),
            writing.Update([room], []),
            writing.Insert(first),
            writing.Insert([]),
            writing.Insert(last),
        )
    assert Room.objects.get(pk=room.pk).turnover_notes == AWKWARD
    events = RealtimeEvent.objects.order_by("pk")
    assert [event.event_id for event in events] == [event.event_id for event in [*first, *last]]
    assert [event.pk for event in events[count:]] == [event.pk for event in last]
    assert all(event.pk is None and event._state.adding for event in first)  # documented
    with django_assert_num_queries(0):
        writing.write(writing.Insert([]), writing.Update([], ["turnover_notes"]))


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_makes_room_for_another_of_the_same_round_trip(monkeypatch):
    event = an_event()
    connection.close()
    writing.insert([event])
    writing.update([event], ["seq"])
    monkeypatch.setattr(writing, "KEPT", 2)
    event.seq, event.last_error = 7, AWKWARD
    other = an_event()
    writing.write(writing.Update([event], ["seq", "last_error"]), writing.Insert([other]))
    assert RealtimeEvent.objects.get(pk=event.pk, seq=7).last_error == AWKWARD
    assert RealtimeEvent.objects.get(pk=other.pk)
    assert len(prepared_statements()) == 2


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db
def test_updating_a_missing_row_is_an_error():
    event = an_event(pk=4711)
    event._state.adding = False
    with pytest.raises(DatabaseError, match="0 of 1 rows of notifications.RealtimeEvent exist"):
        writing.update([event], ["last_error"])


@pytest.mark.django_db
def test_expressions_are_refused_and_no_fields_write_nothing(django_assert_num_queries):
    event = an_event()
    writing.insert([event])
    event.last_error = F("channel")
    another = an_event(last_error=F("channel"))
    with django_assert_num_queries(0):
        with pytest.raises(TypeError, match="last_error"):
            writing.update([event], ["last_error"])
        with pytest.raises(TypeError, match="last_error"):
            writing.insert([another])
        writing.update([event], [])
        writing.update([], ["seq"])


@pytest.mark.usefixtures("either_way")
@pytest.mark.django_db(transaction=True)
def test_after_a_failed_write_nothing_is_committed():
    """As with Django's own writes: even if the error is caught, on_commit callbacks do not run."""
    event, done = an_event(), []
    writing.insert([event])
    twin, nobody = an_event(event_id=event.event_id), an_event(pk=1)
    for write in (
        lambda: writing.insert([twin]),
        lambda: writing.update([nobody], ["seq"]),
        lambda: writing.write(writing.Insert([twin]), writing.Update([event], ["seq"])),
    ):
        with transaction.atomic():
            transaction.on_commit(lambda: done.append(1))
            with suppress(DatabaseError):
                write()
    assert done == []


@pytest.mark.django_db(transaction=True)
def test_each_connection_prepares_its_own_writes():
    event = an_event()
    writing.insert([event])
    writing.update([event], ["last_error"])
    connection.close()
    event.last_error = "after the pause"
    writing.update([event], ["last_error"])
    writing.insert([an_event()])
    assert [event.last_error for event in RealtimeEvent.objects.order_by("pk")] == ["after the pause", ""]
