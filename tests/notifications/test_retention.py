"""Old events are deleted from the start of each stream, but no pending ones, and without gaps."""

import runpy
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import transaction

import hotelmate
from common import clock
from notifications import relay, retention
from notifications.models import STREAMS, EventStream, RealtimeEvent
from notifications.retention import forget_events
from operations.invariants import violations
from operations.periodic import tick
from tests.factories import HotelFactory
from tests.notifications.event_log import log_of, numbers, unnumbered
from tests.races import overlap

pytestmark = pytest.mark.django_db

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def old() -> dict:
    """Event fields: created a day before the retention limit."""
    return {"created_at": clock.now() - 8 * DAY}


def test_events_older_than_a_week_are_deleted(hotel):
    now = clock.now()
    with clock.set_to(now):
        log_of(hotel, 2, created_at=now - 7 * DAY - SECOND)
        log_of(hotel, 1, created_at=now - 7 * DAY)
        log_of(hotel, 2)
        assert forget_events(hotel) == 2
        assert numbers(hotel) == [3, 4, 5]
        assert forget_events(hotel) == 0
    assert violations() == []


def test_parked_events_of_every_stream_are_deleted_too(hotel):
    for place, stream in enumerate(STREAMS):
        log_of(hotel, 1 + place, stream=stream, **old())
        log_of(hotel, 1, stream=stream, sent_at=None, parked_at=clock.now(), last_error="413", **old())
        log_of(hotel, 1, stream=stream)
    assert forget_events(hotel) == 9
    assert [numbers(hotel, stream) for stream in STREAMS] == [[3], [4], [5]]
    assert violations() == []


def test_pending_event_keeps_all_later_ones(hotel):
    log_of(hotel, 2, **old())
    log_of(hotel, 1, sent_at=None, **old())
    log_of(hotel, 2, **old())
    assert forget_events(hotel) == 2
    assert numbers(hotel) == [3, 4, 5]
    assert violations() == []
    RealtimeEvent.objects.filter(seq=3).update(sent_at=clock.now())
    assert forget_events(hotel) == 3
    assert numbers(hotel) == []
    assert violations() == []


def test_unnumbered_event_is_kept(hotel):
    log_of(hotel, 1, **old())
    waiting = unnumbered(hotel, **old())
    assert forget_events(hotel) == 1
    assert list(RealtimeEvent.objects.all()) == [waiting]
    assert relay.number(EventStream.objects.get()) == 1
    assert forget_events(hotel) == 0
    assert numbers(hotel) == [2]


def test_numbering_continues_after_all_events_are_deleted(hotel):
    log_of(hotel, 3, **old())
    assert forget_events(hotel) == 3
    unnumbered(hotel)
    relay.number(EventStream.objects.get())
    assert numbers(hotel) == [4]
    assert violations() == []


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("kept", [0, 1])
def test_many_events_are_deleted_in_small_batches(hotel, monkeypatch, statements, batch, kept):
    monkeypatch.setattr(retention, "BATCH", batch)
    log_of(hotel, 5, **old())
    log_of(hotel, kept)
    with statements() as made:
        assert forget_events(hotel) == 5
    assert numbers(hotel) == [6][:kept]
    deletions = [sql for sql in made.sql() if sql.startswith("DELETE")]
    assert len(deletions) == -(-5 // batch)


def test_retention_setting(hotel, settings):
    settings.EVENT_RETENTION_DAYS = 2
    log_of(hotel, 1, created_at=clock.now() - 2 * DAY)
    log_of(hotel, 1, created_at=clock.now() - 2 * DAY + timedelta(minutes=1))
    assert forget_events(hotel) == 1
    assert numbers(hotel) == [2]


@pytest.mark.parametrize("days", ["0", "-1", "3651", "9999999999"])
def test_retention_setting_is_checked(days, monkeypatch):
    monkeypatch.setenv("EVENT_RETENTION_DAYS", days)
    with pytest.raises(ImproperlyConfigured, match="EVENT_RETENTION_DAYS"):
        runpy.run_path(str(Path(hotelmate.__file__).parent / "settings.py"))


def test_only_the_hotels_events_are_deleted(hotel):
    other = HotelFactory()
    log_of(hotel, 1, **old())
    log_of(other, 1, **old())
    assert forget_events(hotel) == 1
    assert numbers(other) == [1]


@pytest.mark.parametrize("count", [1, 3, 100])
def test_statements_with_nothing_due(hotel, statements, count):
    for stream in STREAMS:
        log_of(hotel, count, stream=stream)
    with statements() as made:
        assert forget_events(hotel) == 0
    assert len(made) == 4, made.sql()


def test_an_error_in_one_stream_is_raised_when_the_others_are_done(hotel, monkeypatch):
    for stream in STREAMS:
        log_of(hotel, 2, stream=stream, **old())
    forget = retention._forget

    def fails_for_the_first(stream, before):
        if stream.name == STREAMS[0]:
            raise KeyError(stream.name)
        return forget(stream, before)

    monkeypatch.setattr(retention, "_forget", fails_for_the_first)
    with pytest.raises(KeyError):
        forget_events(hotel)
    assert [numbers(hotel, stream) for stream in STREAMS] == [[1, 2], [], []]


# --- the tick ---------------------------------------------------------------------------------------------------------


def test_tick_deletes_in_every_hotel_and_reports_it(hotel, capsys):
    other = HotelFactory()
    for each in (hotel, other):
        log_of(each, 2, **old())
        log_of(each, 1)
    assert tick()["events_forgotten"] == 4
    assert [numbers(each) for each in (hotel, other)] == [[3], [3]]
    call_command("tick")
    assert "old events deleted: 0\n" in capsys.readouterr().out


# --- concurrency ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("batch", [2, 1000])
def test_two_concurrent_ticks_delete_each_event_once(monkeypatch, batch):
    monkeypatch.setattr(retention, "BATCH", batch)
    hotel = HotelFactory()
    log_of(hotel, 5, **old())
    log_of(hotel, 2)
    first, [second] = overlap(lambda: forget_events(hotel), lambda: forget_events(hotel))
    assert (first, second) == (5, 0)
    assert numbers(hotel) == [6, 7]
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_rolled_back_tick_leaves_the_work_to_the_other(monkeypatch):
    """The second waits for the first: continuing behind it would leave a gap."""
    monkeypatch.setattr(retention, "BATCH", 2)
    hotel = HotelFactory()
    log_of(hotel, 5, **old())

    def undone():
        """Its first batch is written and rolled back; its locks are kept."""
        list(RealtimeEvent.objects.select_for_update().order_by("seq")[:2])
        with transaction.atomic():
            RealtimeEvent.objects.filter(seq__lte=2).delete()
            transaction.set_rollback(True)

    _, [second] = overlap(undone, lambda: forget_events(hotel))
    assert second == 5
    assert numbers(hotel) == []


@pytest.mark.django_db(transaction=True)
def test_event_unparked_concurrently_is_kept():
    hotel = HotelFactory()
    log_of(hotel, 1, **old())
    log_of(hotel, 1, sent_at=None, parked_at=clock.now(), **old())
    log_of(hotel, 1, **old())
    _, [forgotten] = overlap(
        lambda: RealtimeEvent.objects.filter(seq=2).update(parked_at=None), lambda: forget_events(hotel)
    )
    assert forgotten == 1
    assert numbers(hotel) == [2, 3]
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_deletion_blocks_no_one():
    """Neither writers of events, nor the relay that numbers them and marks them as sent."""
    hotel = HotelFactory()
    log_of(hotel, 3, **old())
    log_of(hotel, 1, sent_at=None)
    stream = EventStream.objects.get()

    def relay_work():
        unnumbered(hotel)
        return relay.number(stream), RealtimeEvent.objects.filter(seq=4).update(sent_at=clock.now())

    assert overlap(lambda: forget_events(hotel), relay_work, waits=False) == (3, [(1, 1)])
    assert numbers(hotel) == [4, 5]
