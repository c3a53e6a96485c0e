"""Junk in admin URLs and form data never causes a 500."""

from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import reverse

from room_bookings.admin import STEPS, RoomBookingAdmin
from room_bookings.models import RoomBooking
from rooms.models import Room
from tests.admin.every_model import (
    CALLERS,
    User,
    admin_url,
    create_rows,
    model_label,
    registered_models,
    signed_in_browser,
)
from tests.factories import HotelFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("light_sessions")]

PKS = [
    "abc",
    "0",
    "-1",
    "9999999999999999999",
    "99999999999999999999999999999",
    "1_2F",
    "1%2F2",
    "%00",
    "1.5",
    "%F0%9F",
]
QUERIES = [
    "q=%00",
    "q=" + "x" * 3000,
    "q=%27%22%3B--%25_",
    "q=99999999999999999999999",
    "q=%ED%A0%80",
    "p=99999999999999999999",
    "p=-1",
    "p=abc",
    "o=99.-99.x",
    "o=%00",
    "id__in=1,2,x",
    "id__range=1",
    "created_at__range=2026-01-01",
    "id__exact=%00",
    "pk__exact=abc",
    "pk__in=99999999999999999999999",
    "hotel__id__exact=abc",
    "hotel__id__exact=%00",
    "hotel__id__exact=9999999999999999999",
    "hotel__isnull=maybe",
    "hotel__staff__user__password__startswith=m",
    "is_active__exact=2",
    "created_at__gte=never",
    "created_at__year=99999",
    "created_at__year=0",
    "created_at__year=2026&created_at__month=13",
    "created_at__year=2026&created_at__month=2&created_at__day=31",
    "nonsense=1",
    "nonsense__exact=1",
    "today=nonsense",
    "today=%00",
    "work=nonsense",
    "_to_field=password",
    "_to_field=%00",
    "_popup=%00",
    "_changelist_filters=%00",
    "e=1",
    "all=%00",
]
POSTS: list[dict[str, Any]] = [
    {},
    {"action": "delete_selected", "_selected_action": "abc"},
    {"action": "delete_selected", "_selected_action": "\0"},
    {"action": "delete_selected", "_selected_action": "9" * 30, "post": "yes"},
    {"action": "change_status", "_selected_action": "abc", "apply": "1"},
    {"action": "change_status", "_selected_action": "1", "others": "abc", "again": "1"},
    {"action": "change_status", "select_across": "1", "apply": "1", "to_status": "\0", "reason": "\0"},
    {"action": "cancel", "_selected_action": "\0", "apply": "1", "reason": "x"},
    {"action": "complete", "_selected_action": "\0", "apply": "1", "note": "\0"},
    {"action": "complete", "select_across": "1", "_selected_action": "1", "apply": "1", "note": "\0"},
    {"action": "explode", "_selected_action": "1"},
    {"action": "\0", "_selected_action": "1", "index": "abc"},
    {"index": "99999999999999999999", "action": "x", "_selected_action": "1"},
    {"_save": "Save", "form-TOTAL_FORMS": "x"},
]


def fields_of_junk(model: Any, value: str) -> dict[str, str]:
    """``value`` for every possible field of the model's form, its formsets and its hidden inputs."""
    names = [field.name for field in model._meta.get_fields()] + ["password1", "password2", "usable_password"]
    data = {prefix + name: value for name in names for prefix in ("", "initial-")}
    for prefix in ("companions", "changes", "overstays", "extensions", "events"):
        data |= {f"{prefix}-TOTAL_FORMS": "3", f"{prefix}-INITIAL_FORMS": "3", f"{prefix}-0-id": value}
    return data


@pytest.fixture(params=["superuser", "with all permissions"])
def caller(request: pytest.FixtureRequest, light_sessions: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    # Django's client copies each template's context, which these tests do not need.
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *_, **__: None)
    hotel = HotelFactory(slug="grand")
    if request.param == "superuser":
        client = signed_in_browser(User.objects.create_superuser("root"))
    else:
        client = signed_in_browser(CALLERS[request.param](hotel).user)
    client.raise_request_exception = False
    client.rows = create_rows("Grandeur", hotel)
    return client


@pytest.mark.parametrize("model", registered_models(), ids=model_label)
def test_lists(model, caller):
    for query in QUERIES:
        answer = caller.get(f"{admin_url(model, 'changelist')}?{query}")
        assert answer.status_code in (200, 302, 400, 403), (query, answer.status_code)
    for data in POSTS:
        answer = caller.post(admin_url(model, "changelist"), data)
        assert answer.status_code in (200, 302, 400, 403), (data, answer.status_code)


@pytest.mark.parametrize("model", registered_models(), ids=model_label)
def test_unknown_rows(model, caller):
    for pk in PKS:
        for kind in ("change/", "delete/", "history/", "password/", ""):
            answer = caller.get(f"{admin_url(model, 'changelist')}{pk}/{kind}")
            assert answer.status_code in (302, 400, 403, 404), (pk, kind, answer.status_code)
        for kind in ("change/", "delete/"):
            answer = caller.post(f"{admin_url(model, 'changelist')}{pk}/{kind}", {"post": "yes"})
            assert answer.status_code in (302, 400, 403, 404), (pk, kind, answer.status_code)


@pytest.mark.parametrize("model", registered_models(), ids=model_label)
def test_forms(model, caller):
    row = caller.rows[model]
    for where in (
        admin_url(model, "add"),
        admin_url(model, "change", quote(row.pk)),
        admin_url(model, "delete", quote(row.pk)),
    ):
        for query in ("", "?_to_field=password", "?_popup=%00", "?hotel=abc&room_type=%00&created_at=x", "?p=abc"):
            assert caller.get(where + query).status_code in (200, 302, 400, 403), (where, query)
        for value in ("", "\0", "abc", "9" * 40, "-1", "2026-02-30", "x" * 5000, "\ud800".encode("utf-8", "replace")):
            if "delete" in where and value:
                continue
            answer = caller.post(where, fields_of_junk(model, value))
            assert answer.status_code in (200, 302, 400, 403), (where, value, answer.status_code)


def test_site_pages(caller):
    for query in QUERIES:
        for kind in ("index", "jsi18n", "password_change", "autocomplete"):
            assert caller.get(f"{reverse(f'admin:{kind}')}?{query}").status_code < 500, (kind, query)
    good = {"app_label": "rooms", "model_name": "room", "field_name": "room_type", "term": "", "page": "1"}
    for key in good:
        for value in ("", "\0", "abc", "9" * 30, "pk", "hotel", "bookings", "housekeeping_tasks", "room_status"):
            answer = caller.get(reverse("admin:autocomplete"), {**good, key: value})
            assert answer.status_code < 500, (key, value)
    for pk in PKS:
        assert caller.get(f"/admin/r/{pk}/1/").status_code == 404
        assert caller.get(f"/admin/r/1/{pk}/").status_code == 404
        assert caller.get(f"/admin/{pk}/").status_code in (400, 404)
    for data in ({"username": "\0", "password": "\0"}, {"username": "x" * 5000, "password": "9"}, {}):
        assert Client(raise_request_exception=False).post("/admin/login/?next=%00", data).status_code < 500
    junk = {"old_password": "\0", "new_password1": "\0"}
    assert caller.post(reverse("admin:password_change"), junk).status_code < 500


# --- bugs are not blamed on the request -------------------------------------------------------------------------------


def test_a_bug_in_an_action_is_not_blamed_on_the_selection(db, monkeypatch):
    def take(*_: Any) -> None:
        raise ValueError("a bug")

    hotel = HotelFactory()
    client, booking = signed_in_browser(CALLERS["manager"](hotel).user), create_rows("Grandeur", hotel)[RoomBooking]
    monkeypatch.setitem(STEPS, "no_show", STEPS["no_show"]._replace(take=take))
    with pytest.raises(ValueError, match="a bug"):
        client.post(
            admin_url(RoomBooking, "changelist"), {"action": "no_show", "_selected_action": booking.pk, "apply": "1"}
        )


@pytest.mark.parametrize("query", ["", "?e=1", "?status__exact=CONFIRMED"])
def test_a_bug_in_a_list_is_not_blamed_on_the_filter(query, db, monkeypatch):
    def guest(*_: Any) -> None:
        raise ValueError("a bug")

    hotel = HotelFactory()
    create_rows("Grandeur", hotel)
    monkeypatch.setattr(RoomBookingAdmin, "guest", guest)
    with pytest.raises(ValueError, match="a bug"):
        signed_in_browser(CALLERS["manager"](hotel).user).get(admin_url(RoomBooking, "changelist") + query)


@pytest.mark.parametrize("query", ["", "?e=1"])
def test_a_bug_in_an_unfiltered_list_is_raised(query, db, monkeypatch):
    def count(*_: Any) -> None:
        raise ValueError("a bug")

    client = signed_in_browser(CALLERS["manager"](HotelFactory()).user)
    monkeypatch.setattr("django.core.paginator.Paginator.count", property(count))
    with pytest.raises(ValueError, match="a bug"):
        client.get(admin_url(RoomBooking, "changelist") + query)


@pytest.mark.parametrize("field", ["_selected_action", "others"])
@pytest.mark.parametrize("value", ["abc", "\0", ""])
def test_an_invalid_selection_is_refused_with_a_message(field, value, db):
    chosen = {"action": "change_status", "_selected_action": "1", "apply": "1", field: value}
    answer = signed_in_browser(CALLERS["manager"](HotelFactory()).user).post(
        admin_url(Room, "changelist"), chosen, follow=True
    )
    assert [str(message) for message in answer.context["messages"]] == ["This selection is not valid."]


def test_an_invalid_regex_redirects_to_the_unfiltered_list(db):
    answer = signed_in_browser(CALLERS["manager"](HotelFactory()).user).get(
        admin_url(Room, "changelist") + "?room_number__regex=("
    )
    assert (answer.status_code, answer["Location"]) == (302, "/admin/rooms/room/?e=1")
