"""Only a superuser reaches another hotel's rows through the admin: every model, every page."""

from typing import Any
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.contrib.admin.utils import quote as quote_pk
from django.contrib.contenttypes.models import ContentType
from django.db.models import DateField, DateTimeField, ForeignKey, Model
from django.forms import ModelChoiceField
from django.test import Client
from django.urls import reverse

from common import clock
from hotel.models import Hotel
from room_bookings.admin import STEPS
from room_bookings.models import RoomBooking
from tests.admin.every_model import (
    CALLERS,
    admin_url,
    admin_url_patterns,
    all_rows,
    create_rows,
    model_label,
    registered_models,
    room_number_of,
    signed_in_browser,
    superuser_browser,
)
from tests.factories import HotelFactory, StaffFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("light_sessions")]

MARK = "Zanzibar"
OUT = (302, 403, 404)
# The named URLs of the site itself; each is requested below.
SITE = {
    "index",
    "login",
    "logout",
    "password_change",
    "password_change_done",
    "autocomplete",
    "jsi18n",
    "view_on_site",
    "app_list",
}


@pytest.fixture
def hotel(db: None) -> Hotel:
    return HotelFactory(slug="grand")


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest, hotel: Hotel, light_sessions: None) -> Client:
    """A client of the Grand's staff; the Grand has a row of every model."""
    create_rows("Grandeur", hotel)
    return signed_in_browser(CALLERS[request.param](hotel).user)


def read(client: Client, answer: Any) -> str:
    """The text of the response, including redirects."""
    while answer.status_code == 302:
        answer = client.get(answer["Location"])
    return f"{answer.content.decode()} {answer.headers}"


def shows(text: str) -> bool:
    """Whether the text contains the other hotel's mark."""
    return MARK.lower() in text.lower() or str(room_number_of(MARK)) in text


def address(model: type[Model], pattern: Any, row: Model) -> str:
    if pattern.name:
        return reverse(f"admin:{pattern.name}", args=[quote_pk(row.pk)])
    return f"{admin_url(model, 'changelist')}{quote(str(quote_pk(row.pk)))}/"  # the short URL, which Django redirects


def test_every_model_has_a_row_that_a_superuser_can_read():
    rows = create_rows(MARK)
    assert set(rows) == set(registered_models()), "make a row of the new model in tests/admin/every_model.py"
    client = superuser_browser()
    for model, row in rows.items():
        answer = client.get(admin_url(model, "change", quote_pk(row.pk)))
        assert answer.status_code == 200, model
        assert MARK.lower() in answer.content.decode().lower(), model
        listed = client.get(admin_url(model, "changelist"))
        assert row in listed.context["cl"].queryset, model


@pytest.mark.parametrize("model", registered_models(), ids=model_label)
def test_no_row_url_reaches_another_hotels_row(model, caller):
    row = create_rows(MARK)[model]
    before = all_rows()
    asked = 0
    for pattern, names_a_row in admin_url_patterns(model):
        if not names_a_row:
            continue
        asked += 1
        for query in ("", "?_popup=1&_to_field=id", "?_changelist_filters=q%3DZan"):
            where = address(model, pattern, row) + query
            for answer in (
                caller.get(where),
                caller.post(where, {"post": "yes", "name": "mine", "is_active": "on", "_save": "Save"}),
            ):
                assert answer.status_code in (*OUT, 400), (where, answer.status_code)
                assert not shows(read(caller, answer)), where
    assert asked >= 4
    assert all_rows() == before


@pytest.mark.parametrize("model", registered_models(), ids=model_label)
def test_no_list_search_filter_or_form_shows_another_hotels_row(model, caller):
    rows = create_rows(MARK)
    row, today = rows[model], clock.now()
    queries = ["", "?all=", "?_popup=1", "?_to_field=id&_popup=1", "?o=1.2", "?e=1"]
    for field in model._meta.fields:
        if isinstance(field, ForeignKey):
            target = rows.get(field.related_model)
            queries += [f"?{field.name}__{key}={target.pk}" for key in ("id__exact", "exact")] if target else []
        if isinstance(field, DateField | DateTimeField):
            moment = "T00:00:00%2B00:00" if isinstance(field, DateTimeField) else ""
            queries += [
                f"?{field.name}__year={today.year}",
                f"?{field.name}__year={today.year}&{field.name}__month={today.month}&{field.name}__day={today.day}",
                f"?{field.name}__gte=2000-01-01{moment}",
            ]
    for query in queries:
        answer = caller.get(admin_url(model, "changelist") + query)
        assert answer.status_code in (200, 400, *OUT), query
        assert not shows(read(caller, answer)), query
    searched = caller.get(admin_url(model, "changelist"), {"q": MARK})
    if searched.status_code == 200:  # the page repeats the search term
        assert not searched.context["cl"].queryset.exists()
    answer = caller.get(admin_url(model, "add"))
    assert not shows(read(caller, answer))
    _no_choice_of(rows, answer)
    own = model._default_manager.exclude(pk=row.pk).first()
    _no_choice_of(rows, caller.get(admin_url(model, "change", quote_pk(own.pk))))


def _no_choice_of(rows: dict[type[Model], Model], answer: Any) -> None:
    if answer.status_code != 200 or "adminform" not in answer.context:
        return
    for field in answer.context["adminform"].form.fields.values():
        if isinstance(field, ModelChoiceField):
            other = rows.get(field.queryset.model)
            assert other is None or not field.queryset.filter(pk=other.pk).exists()


@pytest.mark.parametrize("model", registered_models(), ids=model_label)
def test_no_action_reaches_another_hotels_row(model, caller):
    row = create_rows(MARK)[model]
    actions = {action for _, action, _ in admin.site._registry[model]._get_base_actions()}
    actions |= set(STEPS) if model is RoomBooking else set()
    before = all_rows()
    for action in actions:
        for more in ({}, {"apply": "1"}, {"preview": "1"}, {"again": "1", "others": [row.pk]}, {"post": "yes"}):
            chosen = {
                "action": action,
                "_selected_action": [row.pk],
                "to_status": "OUT_OF_ORDER",
                "reason": "x",
                **more,
            }
            answer = caller.post(admin_url(model, "changelist"), chosen)
            assert answer.status_code in (200, *OUT)
            assert not shows(read(caller, answer))
        # With "select all", the preview shows no other hotel's row either.
        every = {"action": action, "_selected_action": [row.pk], "select_across": "1"}
        assert not shows(read(caller, caller.post(admin_url(model, "changelist"), every)))
    assert actions
    assert all_rows() == before


@pytest.mark.parametrize("model", registered_models(), ids=model_label)
def test_no_autocomplete_finds_another_hotels_row(model, caller):
    create_rows(MARK)
    asked = 0
    for source in registered_models():
        for field in source._meta.get_fields():
            if getattr(field, "related_model", None) is not model or not field.concrete:
                continue
            asked += 1
            for term in ("", MARK, MARK[:3]):
                query = {"app_label": source._meta.app_label, "model_name": source._meta.model_name}
                answer = caller.get(reverse("admin:autocomplete"), {**query, "field_name": field.name, "term": term})
                assert answer.status_code in (200, 403, 404)
                assert not shows(answer.content.decode())
    assert asked or model in (type(None), *_never_linked())


def _never_linked() -> set[type[Model]]:
    return {
        model
        for model in registered_models()
        if not any(
            getattr(field, "related_model", None) is model and field.concrete
            for source in registered_models()
            for field in source._meta.get_fields()
        )
    }


def test_the_autocomplete_finds_rows_of_the_callers_hotel(hotel):
    """Shows that the test above can fail."""
    create_rows("Grandeur", hotel)
    client = signed_in_browser(CALLERS["manager"](hotel).user)
    query = {"app_label": "rooms", "model_name": "room", "field_name": "room_type", "term": "Grand"}
    assert "Grandeur" in client.get(reverse("admin:autocomplete"), query).content.decode()


def test_no_site_page_shows_another_hotels_row(caller):
    rows = create_rows(MARK)
    assert {pattern.name for pattern in AdminSite.get_urls(admin.site) if getattr(pattern, "name", None)} == SITE
    for kind in SITE - {"logout", "view_on_site", "app_list", "autocomplete"}:
        assert not shows(read(caller, caller.get(reverse(f"admin:{kind}")))), kind
    for label in {model._meta.app_label for model in registered_models()}:
        assert not shows(read(caller, caller.get(reverse("admin:app_list", args=[label])))), label
    for model, row in rows.items():
        kind = ContentType.objects.get_for_model(model)
        answer = caller.get(reverse("admin:view_on_site", args=[kind.pk, row.pk]))
        assert answer.status_code == 404
        assert not shows(read(caller, answer))
    assert caller.post(reverse("admin:logout")).status_code == 200


@pytest.mark.parametrize("who", ["anonymous", "housekeeper", "deactivated manager"])
def test_without_admin_access_only_the_sign_in_page_is_shown(who, hotel):
    client, rows = Client(), create_rows(MARK)
    if who == "housekeeper":
        client.force_login(StaffFactory(hotel=hotel).user)
    if who == "deactivated manager":
        member = CALLERS["manager"](hotel)
        client.force_login(member.user)
        member.is_active = False
        member.save()
    addresses = [reverse(f"admin:{kind}") for kind in SITE - {"login", "view_on_site", "app_list"}]
    addresses.append(reverse("admin:app_list", args=["rooms"]))
    for model, row in rows.items():
        kind = ContentType.objects.get_for_model(model)
        addresses.append(reverse("admin:view_on_site", args=[kind.pk, row.pk]))
        addresses += [
            address(model, pattern, row) if names_a_row else reverse(f"admin:{pattern.name}")
            for pattern, names_a_row in admin_url_patterns(model)
        ]
    before = all_rows()
    for where in addresses:
        for answer in (client.get(where), client.post(where, {"post": "yes"})):
            assert answer.status_code == 302, where
            assert answer["Location"].startswith(("/admin/login/", "/admin/")), where
            assert not shows(answer.content.decode())
    assert all_rows() == before
