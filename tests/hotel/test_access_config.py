"""The settings that drive a hotel's deadlines (contract section 6)."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hotel.models import Hotel
from hotel.services import update_access_config
from tests.conftest import url
from tests.factories import HotelFactory
from tests.http import assert_error, nothing_written

DEFAULTS = {
    "standard_checkout_time": "11:00",
    "late_checkout_grace_minutes": 30,
    "approval_cutoff_time": "23:00",
    "approval_cutoff_day_offset": 0,
    "check_in_time": "15:00",
    "early_checkin_from": "08:00",
    "late_arrival_cutoff": "02:00",
    "timezone": "Europe/Dublin",
    "allow_overbooking": False,
    "require_complete_party": False,
}
OTHERS = {
    "standard_checkout_time": "10:30",
    "late_checkout_grace_minutes": 0,
    "approval_cutoff_time": "18:45",
    "approval_cutoff_day_offset": 1,
    "check_in_time": "14:00",
    "early_checkin_from": "00:00",
    "late_arrival_cutoff": "23:59",
    "timezone": "America/St_Johns",
    "allow_overbooking": True,
    "require_complete_party": True,
}


def test_a_new_hotel_runs_on_the_defaults(api, agent):
    answer = api(agent).get(url(agent, "access-config/"))
    assert answer.status_code == 200
    assert answer.json() == DEFAULTS


def test_every_setting_can_be_changed(api, office_manager, hotel):
    elsewhere = HotelFactory(slug="other")
    client = api(office_manager)
    answer = client.patch(url(office_manager, "access-config/"), {**OTHERS, "slug": "mine", "name": "x"})
    assert answer.status_code == 200
    assert answer.json() == OTHERS
    assert client.get(url(office_manager, "access-config/")).json() == OTHERS
    hotel.refresh_from_db()
    assert (hotel.slug, hotel.name) == ("grand", "Grand")
    elsewhere.refresh_from_db()
    assert elsewhere.timezone == "Europe/Dublin"


@pytest.mark.parametrize("name", DEFAULTS)
def test_one_setting_leaves_the_others(api, manager, name):
    answer = api(manager).patch(url(manager, "access-config/"), {name: OTHERS[name]})
    assert answer.json() == DEFAULTS | {name: OTHERS[name]}


@pytest.mark.parametrize("sent", ["10:30:00", "10:30"])
def test_times_are_taken_with_and_without_seconds(api, manager, sent):
    answer = api(manager).patch(url(manager, "access-config/"), {"standard_checkout_time": sent})
    assert answer.json()["standard_checkout_time"] == "10:30"


def test_what_says_the_same_writes_nothing(api, manager, hotel):
    client = api(manager)
    with nothing_written(), CaptureQueriesContext(connection) as made:
        assert client.patch(url(manager, "access-config/"), DEFAULTS).json() == DEFAULTS
        assert client.patch(url(manager, "access-config/")).json() == DEFAULTS
    assert not any(query["sql"].startswith("UPDATE") for query in made)


def test_the_hotel_is_locked_and_only_what_changed_is_written(hotel):
    Hotel.objects.filter(pk=hotel.pk).update(name="Renamed meanwhile")
    with CaptureQueriesContext(connection) as made:
        update_access_config(hotel=hotel, late_checkout_grace_minutes=45, check_in_time=hotel.check_in_time)
    lock, write = (query["sql"] for query in made if query["sql"].startswith(("SELECT", "UPDATE")))
    assert lock.endswith("FOR NO KEY UPDATE")
    assert write.startswith('UPDATE "hotel_hotel" SET "late_checkout_grace_minutes" = 45 WHERE')
    hotel.refresh_from_db()
    assert hotel.name == "Renamed meanwhile"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("standard_checkout_time", value) for value in ("", None, "24:00", "11", "11:60", "11:00:30", "\u0000", 11)],
        *[("late_checkout_grace_minutes", value) for value in (-1, 721, "x", None, 1.5, 10**30)],
        *[("approval_cutoff_day_offset", value) for value in (2, -1, None, "x", [], {})],
        *[("timezone", value) for value in ("", None, "Dublin", "europe/dublin", "\u0000", "../etc/passwd", "x" * 65)],
        *[("allow_overbooking", value) for value in (None, "maybe", [], 2)],
    ],
)
def test_a_value_that_makes_no_sense_is_named(api, manager, name, value):
    with nothing_written():
        answer = api(manager).patch(url(manager, "access-config/"), {name: value, "check_in_time": "12:00"})
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == [name]


def test_reading_takes_any_bookings_right_and_changing_a_right_of_its_own(api, agent, housekeeper):
    with nothing_written():
        assert_error(api(agent).patch(url(agent, "access-config/"), OTHERS), 403, "PERMISSION_DENIED")
        assert_error(api(housekeeper).get(url(housekeeper, "access-config/")), 403, "PERMISSION_DENIED")
    HotelFactory(slug="other")
    assert_error(api(agent).get("/api/staff/hotel/other/access-config/"), 403, "HOTEL_ACCESS_DENIED")
