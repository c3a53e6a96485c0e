"""A small hotel at a fixed time, and helpers to check what a booking action wrote, locked and published."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.db import connection, models

from common import clock
from common.errors import HotelMateError
from hotel import rights
from hotel.models import Hotel, Staff
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from notifications.mail import compose, open_mails
from notifications.models import GUESTS, BookingMail, RealtimeEvent
from operations import invariants
from room_bookings.models import (
    BookingChange,
    BookingExtension,
    BookingGuest,
    Overbooking,
    OverstayIncident,
    ReferenceCounter,
    RoomBooking,
)
from rooms.models import Room, RoomType
from tests.factories import HotelFactory, NewRoomFactory, RoomTypeFactory, StaffFactory

# 3 p.m. on a Wednesday in Dublin: check-in is open, and check-out was at 11 a.m.
NOW = datetime(2026, 7, 1, 14, 0, tzinfo=UTC)
TODAY = date(2026, 7, 1)

# Every table that a booking action can write.
WRITTEN: tuple[type[models.Model], ...] = (
    RoomBooking,
    BookingGuest,
    BookingChange,
    OverstayIncident,
    BookingExtension,
    Overbooking,
    ReferenceCounter,
    Room,
    RoomStatusEvent,
    HousekeepingTask,
    RealtimeEvent,
    BookingMail,
)
TABLES = {model._meta.db_table: model.__name__ for model in (*WRITTEN, RoomType, Hotel)}


def queued_mails() -> list[EmailMultiAlternatives]:
    """The e-mails in the queue, as they would be sent now."""
    mails = open_mails().select_related("booking__hotel", "booking__room_type").order_by("pk")
    return [compose(mail, mail.booking) for mail in mails]


def day(offset: int) -> date:
    """The date ``offset`` days after today."""
    return TODAY + timedelta(days=offset)


@dataclass
class SmallHotel:
    """A hotel with rooms 101 and 102 of one type, an agent and a manager."""

    hotel: Hotel
    room_type: RoomType
    rooms: list[Room]
    agent: Staff
    manager: Staff


def open_small_hotel(**fields: Any) -> SmallHotel:
    """A new small hotel; also works in a transactional test."""
    hotel = HotelFactory(**fields)
    room_type = RoomTypeFactory(hotel=hotel)
    return SmallHotel(
        hotel=hotel,
        room_type=room_type,
        rooms=[NewRoomFactory(hotel=hotel, room_type=room_type, room_number=number) for number in (101, 102)],
        agent=StaffFactory(hotel=hotel, role=rights.FRONT_DESK_AGENT),
        manager=StaffFactory(hotel=hotel, role=rights.FRONT_OFFICE_MANAGER),
    )


def all_rows() -> list[tuple[str, str]]:
    """Every row of every table that a booking action can write, as (table, JSON)."""
    tables = (f"SELECT '{model.__name__}', to_jsonb(t)::text FROM {model._meta.db_table} t" for model in WRITTEN)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(tables) + " ORDER BY 1, 2")
        return cursor.fetchall()


def refusal_of(work: Callable[[], Any]) -> HotelMateError:
    """The error that ``work`` raises, without writing anything."""
    before = all_rows()
    with pytest.raises(HotelMateError) as refusal:
        work()
    assert all_rows() == before, f"{refusal.value.code} left a trace"
    return refusal.value


@contextmanager
def nothing_written() -> Iterator[None]:
    """Assert that the block writes nothing."""
    before = all_rows()
    yield
    assert all_rows() == before


def published_events(since: int = 0) -> list[tuple[str, str]]:
    """The events after the one with id ``since``, as (channel, type); a guest's channel as "guest"."""
    return [
        (event.channel.rpartition(".")[2] if event.stream != GUESTS else "guest", event.type)
        for event in RealtimeEvent.objects.filter(pk__gt=since).order_by("pk")
    ]


def last_event() -> int:
    """The id of the newest event."""
    return RealtimeEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def assert_invariants_hold() -> None:
    """Assert that the database breaks no invariant."""
    assert invariants.violations(now=clock.now()) == []


def locks_and_writes(statements: Iterable[str]) -> list[str]:
    """The locks and writes in order: ``lock RoomBooking``, ``UPDATE Room``, …

    Asserts that each lock is a separate statement, in pk order, of the weakest sufficient strength (docs/locking.md).
    """
    steps = []
    for sql in statements:
        locks = "FOR " in sql and sql.startswith("SELECT") and "UPDATE" in sql.rpartition("FOR ")[2]
        if locks:
            assert sql.endswith("FOR NO KEY UPDATE"), sql
            assert "JOIN" not in sql, sql
            assert re.search(r'ORDER BY ("\w+"\.)?("id"|1) ASC', sql), sql
        elif sql.lstrip().startswith("WITH"):
            sql = sql[sql.rindex("INSERT INTO") :]
        elif not sql.lstrip().startswith(("UPDATE", "INSERT", "DELETE")):
            continue
        verb = "lock" if locks else sql.split()[0]
        [table] = re.findall(r'(?:FROM|UPDATE|INTO) "?(\w+)"?', sql)[:1]
        steps.append(f"{verb} {TABLES.get(table, table)}")
    return steps
