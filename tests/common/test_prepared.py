"""A prepared read answers exactly as its queryset does, in every thread."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from common.prepared import PLACE, PreparedRead
from hotel.models import Hotel
from housekeeping.selectors import room_list
from room_bookings.selectors import booking_list
from rooms.models import Room
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, in_house, room_in


def facts(row):
    """Everything that a row carries, with the rows joined to it."""
    return {
        name: facts(value) if hasattr(value, "_meta") else value
        for name, value in {**vars(row), **row._state.fields_cache}.items()
        if name != "_state"
    }


@pytest.mark.django_db
def test_it_gives_what_the_queryset_gives(django_assert_num_queries):
    occupied, empty = room_in("OCCUPIED"), room_in("CLEANED_UNINSPECTED")
    for build, rows in (
        (room_list, [occupied, empty]),
        (booking_list, [in_house(NewRoomFactory()), BookingFactory()]),
    ):
        prepared = PreparedRead(build)
        for row in [*rows, *rows]:  # the second time from the statement built the first time
            with django_assert_num_queries(1):
                [read] = prepared.read(row.pk)
            assert facts(read) == facts(build().get(pk=row.pk))
        assert prepared.read(10**9) == []


@pytest.mark.django_db
def test_it_reads_anew_each_time():
    room = NewRoomFactory()
    prepared = PreparedRead(room_list)
    prepared.read(room.pk)
    Room.objects.filter(pk=room.pk).update(turnover_notes="changed")
    assert prepared.read(room.pk)[0].turnover_notes == "changed"


@pytest.mark.django_db(transaction=True)
def test_each_thread_reads_through_its_own_connection():
    hotels = [HotelFactory() for _ in range(4)]
    prepared = PreparedRead(Hotel.objects.all)
    prepared.read(hotels[0].pk)

    def read(hotel):
        try:
            return [prepared.read(hotel.pk)[0].slug for _ in range(50)], connection.connection.info.backend_pid
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(read, hotels))
    assert [slugs for slugs, _ in answers] == [[hotel.slug] * 50 for hotel in hotels]
    assert connection.connection.info.backend_pid not in {pid for _, pid in answers}


def prepared_statements() -> list[str]:
    """What PostgreSQL keeps for this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements")
        return [name for (name,) in cursor.fetchall()]


@pytest.mark.django_db
def test_it_finds_by_any_key_that_is_unique(django_assert_num_queries):
    hotel = HotelFactory()
    prepared = PreparedRead(Hotel.objects.all, key="slug")
    with django_assert_num_queries(1):
        assert prepared.read(hotel.slug) == [hotel]
    for name in ("", "-1", "$1", "x'); DROP TABLE hotel_hotel; --"):
        assert prepared.read(name) == []


@pytest.mark.django_db
def test_postgresql_plans_it_once_also_when_the_work_is_undone():
    hotel = HotelFactory()
    prepared = PreparedRead(Hotel.objects.all)
    before = prepared_statements()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            assert prepared.read(hotel.pk) == [hotel]
            1 / 0  # noqa: B018 - undoes the block
    assert len(prepared_statements()) == len(before) + 1


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_prepares_it_anew():
    hotel = HotelFactory()
    prepared = PreparedRead(Hotel.objects.all)
    assert prepared.read(hotel.pk) == [hotel]
    connection.close()
    assert prepared.read(hotel.pk) == [hotel]


@pytest.mark.django_db(transaction=True)
def test_a_kept_connection_that_has_died_is_replaced_before_it_is_read_through():
    """As Django does at a request's first statement, where connections are kept (``CONN_HEALTH_CHECKS``)."""
    hotel = HotelFactory()
    prepared = PreparedRead(Hotel.objects.all)
    prepared.read(hotel.pk)
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    other.close()
    connection.health_check_enabled, connection.health_check_done = True, False  # a request begins
    try:
        assert prepared.read(hotel.pk) == [hotel]
    finally:
        connection.close()


def test_a_statement_that_holds_the_place_already_is_refused():
    prepared = PreparedRead(lambda: Hotel.objects.exclude(pk=PLACE))
    with pytest.raises(ValueError, match="exactly one place"):
        prepared.read(1)
