"""The comparison at the end of `make fuzz`: silent while log and trail agree, and not when they do not."""

import pytest
from django.db import connection

from hotel.models import Hotel
from notifications.models import RealtimeEvent
from tests.factories import HotelFactory
from tests.notifications.event_log import make_events
from tools.fuzz.agreement import problems

pytestmark = pytest.mark.django_db


@pytest.fixture
def house() -> Hotel:
    hotel = HotelFactory()
    make_events(3, hotel)
    return hotel


def test_what_was_told_once_and_as_it_was_is_no_problem(house):
    assert problems(connection) == []


def test_a_change_that_was_never_told_is_seen(house):
    RealtimeEvent.objects.latest("pk").delete()
    assert "1 in the audit trail, told 0×" in problems(connection)[0]


def test_a_change_that_was_told_otherwise_than_it_was_is_seen(house):
    event = RealtimeEvent.objects.earliest("pk")
    event.envelope["payload"]["room_status"] = "OUT_OF_ORDER"
    event.save()
    assert problems(connection) != []
