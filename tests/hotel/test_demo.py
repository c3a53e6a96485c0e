"""The demo: the size of the real houses, every state of a room, and nothing twice."""

from collections import Counter
from io import StringIO

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command

from hotel.models import Hotel, Staff
from housekeeping.models import RoomStatusEvent
from room_bookings.models import RoomBooking
from rooms.models import Room

pytestmark = pytest.mark.django_db

ROOMS = {
    "resort": {"A": 75, "B": 2, "C": 13, "D": 53, "E": 33, "F": 13, "G": 9, "H": 4, "I": 8},
    "city": {"A": 159, "B": 15, "C": 3, "D": 59, "E": 10, "F": 8, "G": 5, "K": 8},
}


def counts() -> tuple[int, ...]:
    user = get_user_model()
    return tuple(model.objects.count() for model in (Hotel, Staff, user, Room, RoomBooking, RoomStatusEvent))


def test_the_demo(monkeypatch):
    monkeypatch.setenv("DEMO_PASSWORD", "open sesame")
    said = StringIO()
    call_command("seed_demo", stdout=said)

    assert "open sesame" not in said.getvalue()
    assert "resort: floor 7 of 7" in said.getvalue()
    for slug, types in ROOMS.items():
        rooms = Room.objects.filter(hotel__slug=slug)
        assert Counter(rooms.values_list("room_type__code", flat=True)) == types
        assert rooms.get(room_number=101)
        assert set(rooms.values_list("room_status", flat=True)) == {
            "OCCUPIED",
            "CHECKOUT_DIRTY",
            "CLEANING_IN_PROGRESS",
            "CLEANED_UNINSPECTED",
            "READY_FOR_GUEST",
            "MAINTENANCE_REQUIRED",
            "OUT_OF_ORDER",
        }
        occupied = set(rooms.filter(room_status="OCCUPIED").values_list("pk", flat=True))
        in_house = RoomBooking.objects.filter(hotel__slug=slug, status="IN_HOUSE")
        assert set(in_house.values_list("assigned_room", flat=True)) == occupied
        for name in ("manager", "supervisor", "housekeeper", "frontdesk"):
            assert authenticate(username=f"{slug}-{name}", password="open sesame").staff_profile.hotel.slug == slug
    assert authenticate(username="admin", password="open sesame").is_superuser

    before = counts()
    monkeypatch.setenv("DEMO_PASSWORD", "another one")
    call_command("seed_demo", stdout=said)
    assert counts() == before
    assert "resort: 210 rooms are there already" in said.getvalue()
    assert authenticate(username="admin", password="another one")


def test_a_password_that_nobody_named_is_made_up_and_printed(monkeypatch):
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)
    monkeypatch.setattr("hotel.demo.HOUSES", ())
    said = StringIO()
    call_command("seed_demo", stdout=said)
    password = said.getvalue().split()[-1]
    assert authenticate(username="admin", password=password)
