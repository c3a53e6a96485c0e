"""The demo: two hotels of real size at the current hour, with work for each role, and seeded only once."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command

from common import clock
from hotel import calendar
from hotel.models import Hotel, Staff
from housekeeping.models import HousekeepingTask, RoomStatusEvent
from notifications.models import BookingMail
from operations import demo
from operations.invariants import violations
from operations.replay.hotels import HOTELS
from operations.replay.records import Outcome, read_stays
from room_bookings.models import BookingStatus, RoomBooking
from rooms.models import Room

pytestmark = pytest.mark.django_db

ROOMS = {
    "resort": {"A": 75, "B": 2, "C": 13, "D": 53, "E": 33, "F": 13, "G": 9, "H": 4, "I": 8},
    "city": {"A": 159, "B": 15, "C": 3, "D": 59, "E": 10, "F": 8, "G": 5, "K": 8},
}
EVERY_STATUS = {
    "OCCUPIED",
    "CHECKOUT_DIRTY",
    "CLEANING_IN_PROGRESS",
    "CLEANED_UNINSPECTED",
    "READY_FOR_GUEST",
    "MAINTENANCE_REQUIRED",
    "OUT_OF_ORDER",
}


def counts() -> tuple[int, ...]:
    user = get_user_model()
    return tuple(model.objects.count() for model in (Hotel, Staff, user, Room, RoomBooking, RoomStatusEvent))


def seed() -> str:
    said = StringIO()
    call_command("seed_demo", stdout=said)
    return said.getvalue()


def test_both_hotels_are_created_only_once(monkeypatch):
    monkeypatch.setenv("DEMO_PASSWORD", "open sesame")
    said = seed()
    assert "open sesame" not in said
    assert "resort: 100 %" in said
    assert "refused" not in said
    for slug, types in ROOMS.items():
        rooms = Room.objects.filter(hotel__slug=slug)
        assert Counter(rooms.values_list("room_type__code", flat=True)) == types
        assert rooms.get(room_number=101)
        for name in ("manager", "supervisor", "housekeeper", "housekeeper2", "frontdesk"):
            assert authenticate(username=f"{slug}-{name}", password="open sesame").staff_profile.hotel.slug == slug
    assert authenticate(username="admin", password="open sesame").is_superuser
    assert [booking.hotel.slug for booking in RoomBooking.objects.filter(payment_provider="stripe")] == ["city"]
    assert violations() == []

    before = counts()
    monkeypatch.setenv("DEMO_PASSWORD", "another one")
    assert "resort: 210 rooms already exist" in seed()
    assert counts() == before
    assert authenticate(username="admin", password="another one")
    assert authenticate(username="city-frontdesk", password="another one")


@pytest.mark.parametrize("hour", ["03:00", "09:00", "15:00", "23:30", "00:40"])
def test_there_is_work_at_every_hour(monkeypatch, hour: str):
    # One hotel, with everything that happens today and a few of the other guests.
    monkeypatch.setattr(demo, "HOTELS", HOTELS[:1])
    day = demo.TODAY["resort"]
    thinned = [
        stay
        for stay in read_stays(demo.SLICE)
        if stay.hotel == "resort"
        and (
            day in (stay.arrival, stay.left)
            or stay.left == day - timedelta(days=1)
            or stay.outcome is not Outcome.CHECK_OUT
            or stay.number % 6 == 0
        )
    ]
    monkeypatch.setattr(demo, "read_stays", lambda _: thinned)
    wall = datetime.fromisoformat(f"2026-03-29T{hour}").replace(tzinfo=ZoneInfo("Europe/Lisbon"))
    now = wall.astimezone(UTC)
    with clock.set_to(now):
        said = seed()
        hotel = Hotel.objects.get(slug="resort")
        today = calendar.business_date(hotel)
        assert today == (date(2026, 3, 28) if hour == "00:40" else date(2026, 3, 29))
        assert "refused" not in said

        bookings = RoomBooking.objects.filter(hotel=hotel)
        by_status = Counter(bookings.values_list("status", flat=True))
        in_house = bookings.filter(status=BookingStatus.IN_HOUSE)
        arrivals = bookings.filter(status=BookingStatus.CONFIRMED, check_in=today)
        assert arrivals.count() >= demo.ARRIVALS_LEFT
        assert in_house.filter(check_out=today).count() >= demo.DEPARTURES_LEFT
        assert in_house.count() >= 20
        assert {"PENDING_APPROVAL", "COMPLETED", "CANCELLED", "NO_SHOW"} <= by_status.keys()
        overdue = [stay for stay in in_house if calendar.is_overdue(hotel, stay.check_in, stay.check_out)]
        assert [stay.check_out for stay in overdue].count(today - timedelta(days=1)) == demo.OVERSTAYS

        # Early in the day nothing has happened yet; late, only the work left for the user of the demo is still due.
        left_today = bookings.filter(checked_out_at__gte=calendar.business_day(hotel, today)[0]).count()
        came_today = bookings.filter(checked_in_at__gte=calendar.business_day(hotel, today)[0]).count()
        if hour == "03:00":
            assert left_today == came_today == 0
        if hour in ("15:00", "23:30", "00:40"):
            overnight = in_house.filter(check_in__lt=today)  # day use departs in the afternoon
            assert overnight.filter(check_out=today).count() == demo.DEPARTURES_LEFT
            assert left_today >= 10
        if hour in ("23:30", "00:40"):
            assert came_today >= 10
            assert arrivals.count() <= demo.ARRIVALS_LEFT + 5  # two of whom never arrive

        requests = bookings.filter(status=BookingStatus.PENDING_APPROVAL)
        assert requests.count() == len(demo.REQUESTS)
        assert all(request.approval_deadline_at > now + timedelta(hours=19) for request in requests)
        assert all(request.created_at < now for request in bookings)

        coming = bookings.filter(status=BookingStatus.CONFIRMED, check_in__gt=today)
        assert 0 < coming.filter(assigned_room__isnull=False).count() < coming.count() / 2
        assert 0 < arrivals.filter(assigned_room__isnull=False).count() < arrivals.count()

        rooms = Room.objects.filter(hotel=hotel)
        assert set(rooms.values_list("room_status", flat=True)) == EVERY_STATUS
        assert set(rooms.filter(room_status="OCCUPIED").values_list("pk", flat=True)) == set(
            in_house.values_list("assigned_room", flat=True)
        )
        # Nothing happened in the future, and each room's history is in order.
        for room in rooms:
            times = list(
                RoomStatusEvent.objects.filter(room=room).order_by("version").values_list("created_at", flat=True)
            )
            assert times == sorted(times) and all(moment < now for moment in times)
        # A ready room needs no turnover.
        waiting = HousekeepingTask.objects.filter(task_type="TURNOVER", status="OPEN")
        assert not waiting.filter(room__room_status__in=["READY_FOR_GUEST", "OCCUPIED"]).exists()
        assert not BookingMail.objects.exists()
    assert violations() == []


def test_data_extract_is_small_and_attributed():
    folder = demo.SLICE.parent
    assert sum(file.stat().st_size for file in folder.iterdir()) < 150_000
    said = " ".join((folder / "README.md").read_text().replace(">", "").split())
    for words in ("Nuno Antonio, Ana de Almeida, Luis Nunes", "Data in Brief", "CC BY 4.0", "What we changed"):
        assert words in said
    stays = list(read_stays(demo.SLICE))
    assert {stay.outcome for stay in stays} == set(Outcome)
    assert {(stay.hotel, stay.is_day_use) for stay in stays} >= {("resort", True), ("city", False)}


def test_default_password_is_random_and_printed(monkeypatch):
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)
    monkeypatch.setattr("operations.demo.HOTELS", ())
    password = seed().split()[-1]
    assert authenticate(username="admin", password=password)
