"""The hotel settings behind deadlines and arrival windows (docs/api.md, Bookings)."""

from datetime import time
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common.errors import FieldError
from hotel.models import ENDS_AFTER_ARRIVALS, ENDS_AFTER_NOON, Hotel
from hotel.services import update_access_config
from tests.conftest import url
from tests.factories import HotelFactory
from tests.http import assert_error, nothing_written
from tests.races import overlap

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
    "room_features": [],
}
OTHERS = {
    "standard_checkout_time": "10:30",
    "late_checkout_grace_minutes": 0,
    "approval_cutoff_time": "18:45",
    "approval_cutoff_day_offset": 1,
    "check_in_time": "14:00",
    "early_checkin_from": "05:30",
    "late_arrival_cutoff": "05:30",
    "timezone": "America/St_Johns",
    "allow_overbooking": True,
    "require_complete_party": True,
    "room_features": ["sea view", "bath"],
}


def test_a_new_hotel_has_the_defaults(api, agent):
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
def test_a_change_leaves_the_other_settings(api, manager, name):
    answer = api(manager).patch(url(manager, "access-config/"), {name: OTHERS[name]})
    assert answer.json() == DEFAULTS | {name: OTHERS[name]}


@pytest.mark.parametrize("sent", ["10:30:00", "10:30"])
def test_times_are_accepted_with_and_without_seconds(api, manager, sent):
    answer = api(manager).patch(url(manager, "access-config/"), {"standard_checkout_time": sent})
    assert answer.json()["standard_checkout_time"] == "10:30"


def test_unchanged_values_write_nothing(api, manager, hotel):
    client = api(manager)
    with nothing_written(), CaptureQueriesContext(connection) as made:
        assert client.patch(url(manager, "access-config/"), DEFAULTS).json() == DEFAULTS
        assert client.patch(url(manager, "access-config/")).json() == DEFAULTS
    assert not any(query["sql"].startswith("UPDATE") for query in made)


def test_the_hotel_is_locked_and_only_changed_fields_are_written(hotel):
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
def test_invalid_values_are_named(api, manager, name, value):
    with nothing_written():
        answer = api(manager).patch(url(manager, "access-config/"), {name: value, "check_in_time": "12:00"})
    assert list(assert_error(answer, 400, "VALIDATION_ERROR")["details"]) == [name]


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"late_arrival_cutoff": "12:01", "early_checkin_from": "13:00"}, "late_arrival_cutoff", ENDS_AFTER_NOON),
        ({"late_arrival_cutoff": "23:00"}, "late_arrival_cutoff", ENDS_AFTER_NOON),
        ({"late_arrival_cutoff": "08:01"}, "late_arrival_cutoff", ENDS_AFTER_ARRIVALS),
        ({"early_checkin_from": "01:59"}, "early_checkin_from", ENDS_AFTER_ARRIVALS),
        ({"early_checkin_from": "03:00", "late_arrival_cutoff": "03:01"}, "late_arrival_cutoff", ENDS_AFTER_ARRIVALS),
    ],
)
def test_a_business_day_that_ends_too_late_is_refused(api, manager, changes, field, sentence):
    """If only one of the two times is sent, it is checked against the stored other one."""
    with nothing_written():
        answer = api(manager).patch(url(manager, "access-config/"), {**changes, "late_checkout_grace_minutes": 5})
    body = assert_error(answer, 400, "VALIDATION_ERROR")
    assert (body["message"], body["details"]) == (sentence, {field: [sentence]})


@pytest.mark.parametrize(
    "changes",
    [
        {"late_arrival_cutoff": "08:00"},
        {"early_checkin_from": "02:00"},
        {"late_arrival_cutoff": "12:00", "early_checkin_from": "12:00"},
        {"late_arrival_cutoff": "00:00", "early_checkin_from": "00:00"},
    ],
)
def test_a_business_day_can_end_when_early_check_in_opens(api, manager, changes):
    answer = api(manager).patch(url(manager, "access-config/"), changes)
    assert answer.json() == DEFAULTS | changes


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_of_both_times(hotel):
    """Each is checked against the committed value of the other, not the value read before."""
    first, [second] = overlap(
        lambda: update_access_config(hotel=hotel, early_checkin_from=time(4)).early_checkin_from,
        lambda: update_access_config(hotel=Hotel.objects.get(pk=hotel.pk), late_arrival_cutoff=time(5)),
    )
    assert first == time(4)
    assert isinstance(second, FieldError)
    assert second.message == ENDS_AFTER_ARRIVALS


@pytest.mark.parametrize(
    ("cutoff", "first", "then"),
    [
        ("23:00", "08:00", "08:00"),
        ("12:01", "14:00", "12:00"),
        ("02:00", "00:00", "00:00"),
        ("02:00", "08:00", "02:00"),
    ],
)
def test_the_migration_moves_a_late_cutoff_and_reports_it(hotel, capsys, cutoff, first, then):
    """Rows from before the constraint; a NOT VALID constraint rejects such a row only when it is written."""
    constraints = ("hotel_day_ends_by_noon", "hotel_day_ends_before_arrivals")
    with connection.cursor() as cursor:
        for constraint in constraints:
            cursor.execute(f"ALTER TABLE hotel_hotel DROP CONSTRAINT {constraint}")
    Hotel.objects.filter(pk=hotel.pk).update(late_arrival_cutoff=cutoff, early_checkin_from=first)
    sound = HotelFactory(slug="sound")
    import_module("hotel.migrations.0010_day_ends_earlier").end_earlier(apps, connection.schema_editor())
    hotel.refresh_from_db()
    assert hotel.late_arrival_cutoff == time.fromisoformat(then)
    assert hotel.early_checkin_from == time.fromisoformat(first)
    said = capsys.readouterr().out
    assert (f"hotel grand ended at {cutoff}" in said and f"it ends at {then} now" in said) == (cutoff != then)
    assert "sound" not in said
    sound.full_clean()
    for name in constraints:
        constraint = next(rule for rule in Hotel._meta.constraints if rule.name == name)
        with connection.cursor() as cursor:
            cursor.execute(str(constraint.create_sql(Hotel, connection.schema_editor())))


def test_reading_requires_any_booking_right_and_changing_its_own(api, agent, housekeeper):
    with nothing_written():
        assert_error(api(agent).patch(url(agent, "access-config/"), OTHERS), 403, "PERMISSION_DENIED")
        assert_error(api(housekeeper).get(url(housekeeper, "access-config/")), 403, "PERMISSION_DENIED")
    HotelFactory(slug="other")
    assert_error(api(agent).get("/api/staff/hotel/other/access-config/"), 403, "HOTEL_ACCESS_DENIED")
