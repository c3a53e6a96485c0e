"""The comparison at the end of `make fuzz` finds disagreements between the event log and the audit log."""

import pytest
from django.db import connection

from hotel.models import Hotel
from notifications.models import RealtimeEvent
from tests.factories import HotelFactory
from tests.notifications.event_log import make_events
from tools.fuzz.agreement import problems

pytestmark = pytest.mark.django_db


@pytest.fixture
def hotel() -> Hotel:
    hotel = HotelFactory()
    make_events(3, hotel)
    return hotel


def test_one_event_for_each_change_is_no_problem(hotel):
    assert problems(connection) == []


def test_change_without_an_event_is_found(hotel):
    RealtimeEvent.objects.latest("pk").delete()
    assert "1 in the audit log, 0 events" in problems(connection)[0]


def test_event_that_differs_from_its_change_is_found(hotel):
    event = RealtimeEvent.objects.earliest("pk")
    event.envelope["payload"]["room_status"] = "OUT_OF_ORDER"
    event.save()
    assert problems(connection) != []
