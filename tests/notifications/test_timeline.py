"""A failover: on a new timeline of PostgreSQL the numbers jump once, before any event gets one, and clients reload."""

import pytest
from django.db import connection

from notifications import relay, timeline
from notifications.models import ROOMS, STREAMS, EventStream, Timeline
from operations.invariants import violations
from tests.conftest import url
from tests.factories import HotelFactory
from tests.http import assert_error
from tests.notifications.event_log import log_of, make_events, numbers, unnumbered
from tests.races import overlap

pytestmark = pytest.mark.django_db


def fail_over() -> None:
    """As if a standby had been promoted, and this were a new connection to it."""
    timeline.follow()
    Timeline.objects.update(number=1_000_000)
    connection.timeline_followed_on = None


def test_events_are_numbered_after_the_jump(sent, hotel):
    make_events(3, hotel)
    relay.Relay().run_once()
    fail_over()
    make_events(2, hotel)
    relay.Relay().run_once()
    known = Timeline.objects.latest("pk")
    assert known.jumped_to > 1_000_000_000_000
    assert sent.numbers == [1, 2, 3, known.jumped_to + 1, known.jumped_to + 2]
    assert violations() == []
    relay.Relay().run_once()
    assert Timeline.objects.count() == 2


def test_the_first_timeline_is_only_remembered(hotel):
    log_of(hotel, 3)
    timeline.follow()
    assert Timeline.objects.get().jumped_to is None
    assert list(EventStream.objects.values_list("last_seq", flat=True)) == [3]


def test_every_client_reloads(api, hotel, manager):
    """Also one that has seen no lost event, as it may have read a lost change by REST.

    Events that were numbered before keep their numbers.
    """
    log_of(hotel, 4)
    log_of(hotel, 1, sent_at=None)
    fail_over()
    timeline.follow()
    jumped = Timeline.objects.get(jumped_to__isnull=False).jumped_to
    assert set(EventStream.objects.values_list("name", "last_seq")) == {(name, jumped) for name in STREAMS}
    assert violations() == []

    def ask(after):
        return api(manager).get(url(manager, "events/"), {"channel": "rooms", "after": after})

    for seen in (5, 7):
        assert_error(ask(seen), 410, "EVENTS_EXPIRED")
    unnumbered(hotel)
    relay.Relay().run_once()
    assert numbers(hotel) == [1, 2, 3, 4, 5, jumped + 1]
    assert [event["meta"]["seq"] for event in ask(3).json()["results"]] == [4, 5]
    for seen in (5, 7):
        assert_error(ask(seen), 410, "EVENTS_EXPIRED")
    assert violations() == []


@pytest.mark.parametrize("last", [(1, 0), (0, 1)], ids=["another cluster", "a later timeline"])
def test_numbers_jump_wherever_the_last_number_was_not_given(last, hotel):
    """Also on a timeline whose number is known: after pg_upgrade, or in a restored cluster, they count from 1 again."""
    log_of(hotel, 3)
    timeline.follow()
    here = Timeline.objects.get()
    Timeline.objects.create(system=here.system - last[0], number=here.number + last[1])
    connection.timeline_followed_on = None
    timeline.follow()
    assert Timeline.objects.latest("pk").jumped_to > 1_000_000_000_000


@pytest.mark.django_db(transaction=True)
def test_a_connection_is_checked_once(django_assert_num_queries):
    timeline.follow()
    with django_assert_num_queries(0):
        timeline.follow()
    connection.close()
    with django_assert_num_queries(4):  # with BEGIN and COMMIT
        timeline.follow()


@pytest.mark.django_db(transaction=True)
def test_two_relays_jump_once():
    """The second waits for the first, and then numbers after the jump."""
    make_events(1, hotel := HotelFactory())
    stream = EventStream.objects.create(hotel=hotel, name=ROOMS, last_seq=7)
    fail_over()
    first, [second] = overlap(timeline.follow, lambda: relay.number(stream))
    assert (first, second) == (None, 1)
    jumped = Timeline.objects.get(jumped_to__isnull=False).jumped_to
    assert numbers(hotel) == [jumped + 1]
