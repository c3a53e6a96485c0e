"""The admin's home page: the day's figures of the user's hotel, or of all hotels for a superuser, by permission."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client

from common import clock
from hotel import calendar, rights
from hotel.models import Hotel
from housekeeping.models import HousekeepingTask
from housekeeping.selectors import late_tasks
from operations import admin_site
from operations.figures import todays_figures
from room_bookings.admin import TodayFilter
from room_bookings.models import RoomBooking
from room_bookings.selectors import overdue
from room_bookings.today import TODAY_FILTERS, on_their_day
from tests.admin.every_model import User, signed_in_browser, superuser_browser
from tests.factories import BookingFactory, HotelFactory, NewRoomFactory, StaffFactory, TaskFactory, booking_in, room_in

pytestmark = pytest.mark.django_db

# Past the check-out time and the grace period in Dublin.
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def create_noon_data(hotel: Hotel) -> None:
    """Fill the hotel at noon with rows that each figure counts and rows that it does not."""
    today = calendar.business_date(hotel)
    ready, dirty = room_in("READY_FOR_GUEST", hotel=hotel), room_in("CHECKOUT_DIRTY", hotel=hotel)
    room_in("MAINTENANCE_REQUIRED", hotel=hotel)
    room_in("CHECKOUT_DIRTY", hotel=hotel, fault=True)
    room_in("READY_FOR_GUEST", hotel=hotel, is_active=False)
    for room in (ready, dirty, None):
        BookingFactory(hotel=hotel, room_type=ready.room_type, assigned_room=room, check_in=today)
    BookingFactory(hotel=hotel, check_in=today + timedelta(days=1), room_type=ready.room_type)
    for departure in (0, 1):  # the first one's last night has passed
        late = {"check_in": today - timedelta(days=1), "check_out": today + timedelta(days=departure)}
        BookingFactory(hotel=hotel, room_type=ready.room_type, **late)
    for arrival, departure in ((-2, 0), (-2, -1), (-1, 1)):
        booking_in(
            "IN_HOUSE",
            assigned_room=NewRoomFactory(hotel=hotel, room_type=ready.room_type),
            check_in=today + timedelta(days=arrival),
            check_out=today + timedelta(days=departure),
        )
    for hours in (-1, 1):
        booking_in(
            "PENDING_APPROVAL",
            hotel=hotel,
            room_type=ready.room_type,
            approval_deadline_at=clock.now() + timedelta(hours=hours),
        )
    TaskFactory(room=dirty, priority="HIGH", created_at=clock.now() - timedelta(hours=3))
    TaskFactory(room=dirty, priority="LOW", created_at=clock.now() - timedelta(hours=3))
    TaskFactory(room=dirty, status="CANCELLED", cancelled_at=clock.now())


def figures(answer: Any) -> dict[str, Any]:
    [summary] = answer.context["summaries"]
    found = summary.figures
    return {
        "rooms": found.rooms,
        "bookable": found.bookable,
        "statuses": {status: count for status, count in found.statuses.items() if count},
        "faults": dict(found.faults),
        "dues": dict(found.dues),
        "tasks": (found.open_tasks, found.late_tasks),
    }


A_DAY = {
    "rooms": 7,
    "bookable": 1,
    "statuses": {"READY_FOR_GUEST": 1, "CHECKOUT_DIRTY": 2, "MAINTENANCE_REQUIRED": 1, "OCCUPIED": 3},
    "faults": {"LOW": 0, "MED": 2, "HIGH": 0},
    "dues": {
        "arrivals": 4,
        "late_arrivals": 1,
        "without_room": 2,
        "room_ready": 1,
        "room_not_ready": 1,
        "due_out": 2,
        "in_house": 3,
        "overdue": 2,
        "requests": 2,
        "late_requests": 1,
    },
    "tasks": (2, 1),
}


@pytest.fixture
def manager_client(manager) -> Client:
    return signed_in_browser(manager.user)


def test_manager_sees_their_hotels_day(manager_client, hotel):
    with clock.set_to(NOON):
        create_noon_data(hotel)
        create_noon_data(HotelFactory(name="Elsewhere"))
        answer = manager_client.get("/admin/")
    assert figures(answer) == A_DAY
    text = answer.content.decode()
    assert f"{hotel.name}, Tuesday, 10 March 2026" in text
    assert "Elsewhere" not in text
    assert f"/board/{hotel.slug}/" in text
    assert f"/board/{hotel.slug}/turn-times/" in text


def test_business_date_is_in_the_hotels_timezone(manager_client, hotel):
    Hotel.objects.filter(pk=hotel.pk).update(timezone="Pacific/Kiritimati")
    with clock.set_to(NOON):  # 2 a.m. there, when its business day begins
        assert "Wednesday, 11 March 2026" in manager_client.get("/admin/").content.decode()


def test_each_figure_links_to_a_list_of_as_many_rows(manager_client, root_client, hotel):
    with clock.set_to(NOON):
        create_noon_data(hotel)
        create_noon_data(HotelFactory())
        for client in (manager_client, root_client):
            summary = next(each for each in client.get("/admin/").context["summaries"] if each.hotel == hotel)
            links = summary.links()
            wanted = {name: summary.figures.dues[name] for name in TODAY_FILTERS}
            wanted |= {"rooms": 7, "bookable": 1, "faults": 2, "tasks": 2, "late_tasks": 1}
            assert set(wanted) == set(links)
            wanted = {links[name]: count for name, count in wanted.items()}
            wanted |= {row["link"]: row["count"] for row in [*summary.statuses(), *summary.faults()]}
            for link, count in wanted.items():
                listed = client.get(link)
                assert listed.status_code == 200, link
                assert listed.context["cl"].queryset.count() == count, link


@pytest.fixture
def root_client(db: None) -> Client:
    return superuser_browser()


def test_booking_list_filters_by_every_due_value():
    assert set(TodayFilter.WORDS) == set(TODAY_FILTERS)


def test_superuser_sees_a_row_per_hotel_in_a_fixed_number_of_statements(root_client, statements):
    hotels = [HotelFactory(name=f"House {number}") for number in (1, 2, 3)]
    with clock.set_to(NOON):
        for hotel in hotels:
            create_noon_data(hotel)
        with statements() as made:
            answer = root_client.get("/admin/")
        assert [summary.hotel for summary in answer.context["summaries"]] == hotels
        assert [summary.figures.bookable for summary in answer.context["summaries"]] == [1, 1, 1]
        assert all(dict(summary.figures.dues) == A_DAY["dues"] for summary in answer.context["summaries"])
        assert len(made) == 7  # session, user, number of hotels, hotels, rooms, bookings, tasks
        for summary in answer.context["summaries"]:
            assert summary.hotel.name in answer.content.decode()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", ""])
def test_hotel_with_an_unknown_timezone_hides_no_other(root_client, zone, caplog):
    """Its rooms and tasks are counted, its guests are not; and the page names it, so that it gets fixed."""
    broken, sound = HotelFactory(name="A broken one"), HotelFactory(name="B a sound one")
    with clock.set_to(NOON):
        for hotel in (broken, sound):
            create_noon_data(hotel)
        Hotel.objects.filter(pk=broken.pk).update(timezone=zone)
        answer = root_client.get("/admin/")
        assert answer.status_code == 200
        first, second = (summary.figures for summary in answer.context["summaries"])
        assert (first.business_date, dict(first.dues), first.rooms, first.open_tasks) == (None, {}, 7, 2)
        assert (second.business_date, dict(second.dues)) == (NOON.date(), A_DAY["dues"])
        assert answer.content.decode().count("The business date is unknown") == 1
        for name, count in A_DAY["dues"].items():
            listed = root_client.get("/admin/room_bookings/roombooking/", {"today": name})
            assert listed.context["cl"].queryset.count() == count, name
        # The list of all bookings includes the broken hotel's.
        everything = root_client.get("/admin/room_bookings/roombooking/")
        assert (everything.status_code, everything.context["cl"].result_count) == (200, RoomBooking.objects.count())
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert all(f"hotel {broken.slug} can't be determined" in record.getMessage() for record in caplog.records)


def test_manager_can_fix_an_unknown_timezone(manager_client, hotel):
    """In the admin, which shows times in UTC until then."""
    Hotel.objects.filter(pk=hotel.pk).update(timezone="Mars/Olympus")
    with clock.set_to(NOON):
        answer = manager_client.get("/admin/")
        assert answer.status_code == 200
        assert "Check the hotel's timezone: Mars/Olympus" in answer.content.decode()
        assert manager_client.get(f"/admin/hotel/hotel/{hotel.pk}/change/").status_code == 200


def test_one_hotel_takes_as_many_statements_as_three(root_client, statements, hotel):
    with clock.set_to(NOON):
        create_noon_data(hotel)
        with statements() as made:
            assert len(root_client.get("/admin/").context["summaries"]) == 1
    assert len(made) == 7


def test_many_hotels_are_paged_and_searched_by_name(root_client, statements, monkeypatch):
    monkeypatch.setattr(admin_site, "HOTELS_PER_PAGE", 2)
    hotels = [HotelFactory(name=name) for name in ("Ábc", "Bcd", "cde")]

    def shown(query: str) -> list[str]:
        answer = root_client.get(f"/admin/{query}")
        assert answer.status_code == 200
        return [summary.hotel.name for summary in answer.context["summaries"]]

    with statements() as made:
        assert shown("") == ["Ábc", "Bcd"]
    assert len(made) == 7
    assert shown("?p=2") == shown("?p=9") == ["cde"]
    assert shown("?p=x") == ["Ábc", "Bcd"]
    assert shown("?q=bc") == ["Ábc", "Bcd"]
    assert shown("?q=BC&p=2") == ["Ábc", "Bcd"]
    assert shown(f"?q={hotels[2].slug}") == ["cde"]
    page = root_client.get("/admin/?q=c").content.decode()
    assert "Hotels 1 to 2 of 3" in page
    assert 'href="?q=c&amp;p=2"' in page
    assert "contains “nothing”" in root_client.get("/admin/?q=nothing").content.decode()


def test_a_manager_cannot_page_to_other_hotels(manager_client, hotel):
    HotelFactory()
    for query in ("?p=2", "?q=x"):
        assert [summary.hotel for summary in manager_client.get(f"/admin/{query}").context["summaries"]] == [hotel]


def test_a_manager_takes_one_statement_less(manager_client, hotel, statements):
    with clock.set_to(NOON):
        create_noon_data(hotel)
        with statements() as made:
            manager_client.get("/admin/")
    assert len(made) == 5


@pytest.mark.parametrize("number", [0, 1, 3])
def test_figures_of_any_number_of_hotels(number, statements, db):
    hotels = [HotelFactory() for _ in range(number)]
    with statements() as made:
        assert [found.hotel for found in todays_figures(hotels)] == hotels
    assert len(made) == (3 if number else 0)
    assert not on_their_day(RoomBooking.objects.all(), []).exists()


@pytest.fixture
def texts() -> Iterator[list[tuple[str, int]]]:
    """The text of each statement without its values, and the number of values."""
    seen: list[tuple[str, int]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, len(params or ())))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


def test_statements_do_not_grow_with_the_number_of_hotels(texts, db):
    """PostgreSQL may compile a statement (``jit``), which takes very long with a condition for each hotel."""
    hotels = [HotelFactory(timezone=zone) for zone in ("Europe/Dublin", "Asia/Tokyo", "Pacific/Kiritimati") * 7]
    lists = (todays_figures, *(partial(listed, name) for name in TODAY_FILTERS))
    texts.clear()
    for read in lists:
        read(hotels[:1])
    one = list(texts)
    texts.clear()
    for read in lists:
        read(hotels)
    assert texts == one
    assert len(texts) == 3 + len(TODAY_FILTERS)


def listed(name: str, hotels: list[Hotel]) -> list[RoomBooking]:
    """The bookings in the list behind a figure."""
    return list(on_their_day(RoomBooking.objects.all(), hotels).filter(TODAY_FILTERS[name]))


def test_each_hotel_counts_by_its_own_date_in_one_statement(db):
    """At noon in UTC, the hotels have three different dates."""
    zones = ("Pacific/Kiritimati", "Europe/Dublin", "Pacific/Niue")
    with clock.set_to(datetime(2026, 3, 10, 12, 30, tzinfo=UTC)):
        hotels = [HotelFactory(timezone=zone, late_arrival_cutoff=time(1)) for zone in zones]
        assert [calendar.business_date(hotel).day for hotel in hotels] == [11, 10, 10]
        for hotel in hotels:
            for day in (9, 10, 11):
                BookingFactory(hotel=hotel, check_in=date(2026, 3, day), check_out=date(2026, 3, day + 1))
        arriving = [date(2026, 3, day) for day in (11, 10, 10)]
        found = {booking.hotel: booking.check_in for booking in listed("arrivals", hotels)}
        assert found == dict(zip(hotels, arriving, strict=True))
        assert [figures.dues["arrivals"] for figures in todays_figures(hotels)] == [1, 1, 1]


def test_overdue_figure_follows_the_calendar(hotel):
    """The figure's condition matches the booking's overdue flag."""
    with clock.set_to(NOON):
        create_noon_data(hotel)
        late = [task for task in HousekeepingTask.objects.all() if task.is_overdue_at(clock.now())]
        assert list(HousekeepingTask.objects.filter(late_tasks()).order_by("pk")) == late
        staying = RoomBooking.objects.filter(hotel=hotel, status="IN_HOUSE")
        by_hand = [stay.pk for stay in staying if calendar.is_overdue(hotel, stay.check_in, stay.check_out)]
        assert sorted(staying.filter(overdue(hotel)).values_list("pk", flat=True)) == sorted(by_hand)


SECTIONS = {"view_room": "rooms-today", "view_roombooking": "guests-today", "view_housekeepingtask": "work-today"}


@pytest.mark.parametrize("codename", SECTIONS)
def test_figures_need_the_permission_for_their_list(codename, hotel, statements):
    member = StaffFactory(hotel=hotel, role=rights.HOUSEKEEPER, user__is_staff=True)
    member.user.user_permissions.add(*Permission.objects.filter(codename=codename))
    with clock.set_to(NOON):
        create_noon_data(hotel)
        with statements() as made:
            text = signed_in_browser(member.user).get("/admin/").content.decode()
    sees = {name for name in SECTIONS.values() if f'id="{name}"' in text}
    # Faults count rooms, and are shown with the housekeeping figures.
    assert sees == {SECTIONS[codename], *(["work-today"] if codename == "view_room" else [])}
    assert ("Open faults" in text) == (codename == "view_room")
    assert ("Open tasks" in text) == (codename == "view_housekeepingtask")
    assert len([sql for sql in made.sql() if "COUNT(" in sql]) == 1


def test_user_without_a_hotel_gets_an_explanation(db, hotel):
    client = signed_in_browser(User.objects.create_user("nobody", is_staff=True))
    text = client.get("/admin/").content.decode()
    assert "You are not on the staff of any hotel" in text
    assert hotel.name not in text


def test_superuser_without_hotels_gets_instructions(root_client):
    assert "There is no hotel yet." in root_client.get("/admin/").content.decode()
