"""Every text field of every model, body and form uses a text type of common/text.py."""

import importlib
import pkgutil
import re
import unicodedata
from types import SimpleNamespace
from typing import Any

import pytest
from django import forms as django_forms
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import FieldError
from django.db import connection, models
from rest_framework import serializers as drf

from common import fields, forms, serializers
from hotel.models import Hotel
from room_bookings.models import BookingGuest, RoomBooking
from tests.conftest import url
from tests.endpoints import WRITING, endpoint_targets
from tests.factories import BookingFactory, RoomTypeFactory
from tests.http import WRITTEN, assert_error, document, nothing_written
from tests.snapshots import table_rows

OUR_APPS = (
    "board",
    "common",
    "hotel",
    "hotelmate",
    "housekeeping",
    "notifications",
    "operations",
    "room_bookings",
    "rooms",
)
# What HotelMate writes into them is its own, or has a pattern or a list of its own.
WRITTEN_BY_US = {
    "hotel.Hotel.slug",
    "hotel.Hotel.timezone",
    "hotel.IdempotentAnswer.key",
    "hotel.IdempotentAnswer.fingerprint",
    "rooms.RoomType.currency",
    "rooms.Room.guest_fcm_token",
    "rooms.Room.sort_key",
    "room_bookings.RoomBooking.booking_id",
    "room_bookings.RoomBooking.confirmation_number",
    "room_bookings.RoomBooking.currency",
    "room_bookings.RoomBooking.guest_token_hash",
    "room_bookings.RoomBooking.auto_expire_reason_code",
    "room_bookings.PaymentRetry.last_error",
    "notifications.BookingMail.reason",
    "notifications.EventStream.name",
    "notifications.RealtimeEvent.stream",
    "notifications.RealtimeEvent.channel",
    "notifications.RealtimeEvent.type",
    "notifications.RealtimeEvent.last_error",
}
COLUMNS = (fields.LineField, fields.LinesField, fields.MailField)
# What is only compared: hotel/backends.py reads the name, a password is what it is, and a channel is known or refused.
COMPARED = {"LoginInput.username", "LoginInput.password", "PusherAuthInput.channel_name"}
IN_BODIES = (serializers.LineField, serializers.LinesField, serializers.MailField, serializers.SearchField,
             drf.RegexField)  # fmt: skip
IN_FORMS = (forms.LineField, forms.LinesField, forms.MailField)
DECOMPOSED = "Ame\u0301lie"
COMPOSED = unicodedata.normalize("NFC", DECOMPOSED)


def our_modules() -> None:
    """Import all of our modules, so that their classes are found."""
    for app in OUR_APPS:
        package = importlib.import_module(app)
        for module in pkgutil.walk_packages(package.__path__, f"{app}."):
            if not module.name.startswith(("local", "local.pusher_server", "hotelmate.gunicorn")) and (
                "migrations" not in module.name and not module.name.endswith("__main__")
            ):
                importlib.import_module(module.name)


def ours(base: type) -> list[Any]:
    """The subclasses defined in our modules."""
    our_modules()
    found, waiting = [], [base]
    while waiting:
        for cls in waiting.pop().__subclasses__():
            waiting.append(cls)
            if cls.__module__.partition(".")[0] in OUR_APPS:
                found.append(cls)
    return found


# --- models -----------------------------------------------------------------------------------------------------------


def test_every_text_column_has_a_text_type():
    found = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        if model._meta.app_label in OUR_APPS and model._meta.managed
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField)
        and not field.choices
        and not isinstance(field, COLUMNS)
    }
    assert found == WRITTEN_BY_US


@pytest.mark.django_db
def test_columns_store_composed_text():
    saved = BookingFactory(primary_first_name=DECOMPOSED, special_requests=DECOMPOSED)
    assert saved.primary_first_name == COMPOSED  # the instance has the stored value
    BookingGuest.objects.bulk_create([BookingGuest(booking=saved, first_name=DECOMPOSED, last_name="x")])
    RoomBooking.objects.filter(pk=saved.pk).update(internal_notes=DECOMPOSED)
    saved.refresh_from_db()
    assert (saved.special_requests, saved.internal_notes) == (COMPOSED, COMPOSED)
    assert BookingGuest.objects.filter(first_name=DECOMPOSED).get().first_name == COMPOSED  # lookups are composed too


@pytest.mark.django_db
def test_migrations_compose_existing_names(hotel):
    booking = BookingFactory(hotel=hotel)
    guest = BookingGuest.objects.create(booking=booking, first_name="x", last_name="x")
    plain, taken = RoomTypeFactory(hotel=hotel, code="A"), RoomTypeFactory(hotel=hotel, code=COMPOSED)
    with connection.cursor() as cursor:  # past the columns, which would compose it
        for table, column, key in (
            ("room_bookings_roombooking", "primary_last_name", booking.pk),
            ("room_bookings_bookingguest", "first_name", guest.pk),
            ("rooms_roomtype", "name", plain.pk),
            ("rooms_roomtype", "code", plain.pk),
        ):
            cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [DECOMPOSED, key])
    for app, name in (("rooms", "0006_composed"), ("room_bookings", "0009_composed")):
        importlib.import_module(f"{app}.migrations.{name}").compose(apps, SimpleNamespace(connection=connection))
    for row in (booking, guest, plain, taken):
        row.refresh_from_db()
    assert (booking.primary_last_name, guest.first_name, plain.name) == (COMPOSED, COMPOSED, COMPOSED)
    assert (plain.code, taken.code) == (DECOMPOSED, COMPOSED)  # which another type has already
    assert booking.version == 0  # nobody has changed it


def test_models_refuse_what_forms_refuse(db):
    hotel = Hotel(name="Gr\u202eand", slug="grand")
    with pytest.raises(Exception, match="invisible character"):
        hotel.full_clean()


# --- bodies and queries -----------------------------------------------------------------------------------------------


def inputs() -> list[Any]:
    """The serializers of request bodies and queries, by name, including nested ones."""
    return [cls for cls in ours(drf.Serializer) if cls.__name__.endswith(("Input", "Query", "AccessConfig", "Range"))]


def test_serializers_of_bodies_are_named_input():
    """Otherwise the next test would miss it."""
    names = {f"{start}{cls.__name__}{end}" for cls in inputs() for start in ("", "Patched") for end in ("", "Request")}
    for operations in document()["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert content["schema"]["$ref"].rpartition("/")[2] in names


def test_every_text_in_a_body_has_a_text_type():
    forgotten = set()
    for cls in inputs():
        for name, field in cls().fields.items():
            field = field.child if isinstance(field, drf.ListField) else field
            if isinstance(field, drf.CharField) and not field.read_only and not isinstance(field, IN_BODIES):
                forgotten.add(f"{cls.__name__}.{name}")
    assert forgotten == COMPARED | {"BookingQuery.status"}  # a list of statuses


@pytest.mark.django_db
def test_every_endpoint_composes_or_refuses_text(api, hotel, manager):
    things = endpoint_targets(hotel, manager)
    client = api(manager)
    schemas = document()["components"]["schemas"]
    tried = 0
    for endpoint in WRITING:
        operation = document()["paths"].get(_documented(endpoint.route), {}).get(endpoint.method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            continue
        schema = schemas[content["application/json"]["schema"]["$ref"].rpartition("/")[2]]
        texts = [name for name, field in schema["properties"].items()
                 if field.get("type") == "string" and not {"format", "enum", "pattern"} & field.keys()]  # fmt: skip
        for name in set(texts) - {"currency", "timezone", "booking", *_times(schema)}:
            tried += 1
            body = {**(endpoint.filled_body(things) or {}), name: "Ada\u202e"}
            with nothing_written():
                refused = getattr(client, endpoint.method.lower())(endpoint.path("grand", things), body)
                assert name in assert_error(refused, 400, "VALIDATION_ERROR")["details"], endpoint.name
    assert tried > 30


def _times(schema: Any) -> list[str]:
    return [name for name in schema["properties"] if name.endswith(("_time", "_from", "_cutoff"))]


def _documented(route: str) -> str:
    named = re.sub(r"<\w+:(\w+)>", lambda match: "{" + {"pk": "id"}.get(match[1], match[1]) + "}", route)
    return f"/api/staff/hotel/{{slug}}/{named}"


@pytest.mark.django_db
def test_names_are_stored_and_returned_composed(api, manager, hotel):
    things = endpoint_targets(hotel)
    body = {
        "room_type_id": things.room_type,
        "check_in": "2100-07-01",
        "check_out": "2100-07-03",
        "primary_first_name": DECOMPOSED,
        "primary_last_name": DECOMPOSED,
        "special_requests": DECOMPOSED,
        "party": [{"first_name": DECOMPOSED, "last_name": DECOMPOSED}],
    }
    answer = api(manager).post(url(manager, "room-bookings/"), body)
    assert answer.status_code == 201
    assert answer.json()["primary_first_name"] == COMPOSED
    stored = str(table_rows(WRITTEN))
    assert COMPOSED in stored
    assert "\u0301" not in stored
    assert "\\u0301" not in stored  # as JSON writes it


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["\u3164", "\u200b", "\u202eAda", "Ada\nLovelace", "Ada\u0000", "\ud800", "\u2800", " "]
)
def test_unreadable_names_are_refused(api, manager, hotel, name):
    things = endpoint_targets(hotel)
    client = api(manager)
    stay = {"room_type_id": things.room_type, "check_in": "2100-07-01", "check_out": "2100-07-03"}
    good = {"primary_first_name": "Ada", "primary_last_name": "Lovelace"}
    with nothing_written():
        for field in good:
            body = assert_error(client.post(url(manager, "room-bookings/"), stay | good | {field: name}), 400)
            assert field in body["details"]
            body = assert_error(client.patch(url(manager, f"room-bookings/{things.arrival}/"), {field: name}), 400)
            assert field in body["details"]
        companion = {"companions": [{"first_name": name, "last_name": "x"}]}
        assert_error(client.put(url(manager, f"room-bookings/{things.arrival}/party/companions/"), companion), 400)
        for field in ("name", "code"):
            new = {"name": "Suite", "code": "S", field: name}
            assert field in assert_error(client.post(url(manager, "room-types/"), new), 400)["details"]
            changed = client.patch(url(manager, f"room-types/{things.room_type}/"), {field: name})
            assert field in assert_error(changed, 400)["details"]


@pytest.mark.django_db
def test_an_invisible_reason_is_no_reason(api, manager, hotel):
    things = endpoint_targets(hotel)
    override = url(manager, f"housekeeping/rooms/{things.dirty}/manager_override/")
    with nothing_written():
        refused = api(manager).post(override, {"to_status": "READY_FOR_GUEST", "note": "\u200b\u2060"})
        assert "note" in assert_error(refused, 400)["details"]


# --- forms ------------------------------------------------------------------------------------------------------------


def texts_of(fields: dict[str, Any]) -> set[str]:
    """The text fields of a form without a text type."""
    return {
        name
        for name, field in fields.items()
        if isinstance(field, django_forms.CharField)
        and not isinstance(field, IN_FORMS)
        and not isinstance(field.widget, django_forms.PasswordInput)
    }


@pytest.mark.django_db
def test_every_text_in_the_admin_forms_has_a_text_type(rf, admin_user):
    request = rf.get("/")
    request.user = admin_user
    forgotten = set()
    for model, model_admin in admin.site._registry.items():
        for thing in (None, model()):
            try:
                form = model_admin.get_form(request, thing)
            except FieldError:
                continue  # of a form that nobody fills in
            forgotten |= {f"{model._meta.label}.{name}" for name in texts_of(form.base_fields)}
    # A list's own field only splits its text, and each part is a line (common.fields.LineField).
    assert forgotten == {"hotel.Hotel.slug", "hotel.Hotel.room_features", "rooms.Room.features"}


def test_every_text_in_other_forms_has_a_text_type():
    forgotten = {
        f"{form.__name__}.{name}"
        for form in ours(django_forms.BaseForm)
        if not issubclass(form, AuthenticationForm)
        for name in texts_of(form.declared_fields)  # what it takes from its model is the test above's
    }
    assert not forgotten


@pytest.mark.django_db
def test_staff_names_are_name_fields(admin_client):
    user = get_user_model().objects.create_user("maeve", first_name="Maeve")
    page = f"/admin/auth/user/{user.pk}/change/"
    posted = {"username": "maeve", "first_name": "Ma\u202eeve", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    answer = admin_client.post(page, posted)
    assert "invisible character" in answer.content.decode()
    answer = admin_client.post(page, {**posted, "first_name": DECOMPOSED})
    assert answer.status_code == 302
    user.refresh_from_db()
    assert user.first_name == COMPOSED
