"""Nobody but a superuser reaches another hotel's row by any address of the admin: every model, every page."""

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
from tests.admin.world import CALLERS, browser, everything, live, name, number, page, patterns, registered, root
from tests.factories import HotelFactory, StaffFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("light_sessions")]

MARK = "Zanzibar"
OUT = (302, 403, 404)
# What of the site itself has a name; each is asked for below.
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
    """A browser of a member of the Grand, who has rows of their own to see."""
    live("Grandeur", hotel)
    return browser(CALLERS[request.param](hotel).user)


def read(client: Client, answer: Any) -> str:
    """All that the answer says, also after its redirects."""
    while answer.status_code == 302:
        answer = client.get(answer["Location"])
    return f"{answer.content.decode()} {answer.headers}"


def shows(text: str) -> bool:
    """Whether anything of the other hotel is to be read there."""
    return MARK.lower() in text.lower() or str(number(MARK)) in text


def address(model: type[Model], pattern: Any, row: Model) -> str:
    if pattern.name:
        return reverse(f"admin:{pattern.name}", args=[quote_pk(row.pk)])
    return f"{page(model, 'changelist')}{quote(str(quote_pk(row.pk)))}/"  # the short one, which Django leads on


def test_there_is_a_row_of_every_model_and_a_superuser_reads_its_word():
    rows = live(MARK)
    assert set(rows) == set(registered()), "make a row of the new model in tests/admin/world.py"
    client = root()
    for model, row in rows.items():
        answer = client.get(page(model, "change", quote_pk(row.pk)))
        assert answer.status_code == 200, model
        assert MARK.lower() in answer.content.decode().lower(), model
        listed = client.get(page(model, "changelist"))
        assert row in listed.context["cl"].queryset, model


@pytest.mark.parametrize("model", registered(), ids=name)
def test_no_address_of_a_row_leads_to_another_hotels(model, caller):
    row = live(MARK)[model]
    before = everything()
    asked = 0
    for pattern, names_a_row in patterns(model):
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
    assert everything() == before


@pytest.mark.parametrize("model", registered(), ids=name)
def test_no_list_search_filter_or_form_shows_another_hotels(model, caller):
    rows = live(MARK)
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
        answer = caller.get(page(model, "changelist") + query)
        assert answer.status_code in (200, 400, *OUT), query
        assert not shows(read(caller, answer)), query
    searched = caller.get(page(model, "changelist"), {"q": MARK})
    if searched.status_code == 200:  # the page repeats the word itself
        assert not searched.context["cl"].queryset.exists()
    answer = caller.get(page(model, "add"))
    assert not shows(read(caller, answer))
    _no_choice_of(rows, answer)
    own = model._default_manager.exclude(pk=row.pk).first()
    _no_choice_of(rows, caller.get(page(model, "change", quote_pk(own.pk))))


def _no_choice_of(rows: dict[type[Model], Model], answer: Any) -> None:
    if answer.status_code != 200 or "adminform" not in answer.context:
        return
    for field in answer.context["adminform"].form.fields.values():
        if isinstance(field, ModelChoiceField):
            other = rows.get(field.queryset.model)
            assert other is None or not field.queryset.filter(pk=other.pk).exists()


@pytest.mark.parametrize("model", registered(), ids=name)
def test_no_action_reaches_another_hotels(model, caller):
    row = live(MARK)[model]
    actions = {action for _, action, _ in admin.site._registry[model]._get_base_actions()}
    actions |= set(STEPS) if model is RoomBooking else set()
    before = everything()
    for action in actions:
        for more in ({}, {"apply": "1"}, {"preview": "1"}, {"again": "1", "others": [row.pk]}, {"post": "yes"}):
            chosen = {
                "action": action,
                "_selected_action": [row.pk],
                "to_status": "OUT_OF_ORDER",
                "reason": "x",
                **more,
            }
            answer = caller.post(page(model, "changelist"), chosen)
            assert answer.status_code in (200, *OUT)
            assert not shows(read(caller, answer))
        # All that match: the page that asks names no other hotel's either.
        every = {"action": action, "_selected_action": [row.pk], "select_across": "1"}
        assert not shows(read(caller, caller.post(page(model, "changelist"), every)))
    assert actions
    assert everything() == before


@pytest.mark.parametrize("model", registered(), ids=name)
def test_no_autocomplete_finds_another_hotels(model, caller):
    live(MARK)
    asked = 0
    for source in registered():
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
        for model in registered()
        if not any(
            getattr(field, "related_model", None) is model and field.concrete
            for source in registered()
            for field in source._meta.get_fields()
        )
    }


def test_the_autocomplete_finds_the_own_ones(hotel):
    """So that the test above can fail."""
    live("Grandeur", hotel)
    client = browser(CALLERS["manager"](hotel).user)
    query = {"app_label": "rooms", "model_name": "room", "field_name": "room_type", "term": "Grand"}
    assert "Grandeur" in client.get(reverse("admin:autocomplete"), query).content.decode()


def test_no_page_of_the_site_itself_shows_another_hotels(caller):
    rows = live(MARK)
    assert {pattern.name for pattern in AdminSite.get_urls(admin.site) if getattr(pattern, "name", None)} == SITE
    for kind in SITE - {"logout", "view_on_site", "app_list", "autocomplete"}:
        assert not shows(read(caller, caller.get(reverse(f"admin:{kind}")))), kind
    for label in {model._meta.app_label for model in registered()}:
        assert not shows(read(caller, caller.get(reverse("admin:app_list", args=[label])))), label
    for model, row in rows.items():
        kind = ContentType.objects.get_for_model(model)
        answer = caller.get(reverse("admin:view_on_site", args=[kind.pk, row.pk]))
        assert answer.status_code == 404
        assert not shows(read(caller, answer))
    assert caller.post(reverse("admin:logout")).status_code == 200


@pytest.mark.parametrize("who", ["anonymous", "housekeeper", "deactivated manager"])
def test_who_is_not_let_into_the_admin_sees_its_sign_in_only(who, hotel):
    client, rows = Client(), live(MARK)
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
            for pattern, names_a_row in patterns(model)
        ]
    before = everything()
    for where in addresses:
        for answer in (client.get(where), client.post(where, {"post": "yes"})):
            assert answer.status_code == 302, where
            assert answer["Location"].startswith(("/admin/login/", "/admin/")), where
            assert not shows(answer.content.decode())
    assert everything() == before
