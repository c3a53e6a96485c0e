"""Rules for the models of all apps, and the database driver."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.db.backends.postgresql.psycopg_any import is_psycopg3

from hotel.models import Hotel

# Each app may reference those after it.
ORDER = ("housekeeping", "room_bookings", "rooms", "hotel")
OURS = {*ORDER, "notifications"}
# Rows referenced by an audit row, a booking or a room must stay. Companions and claims go with their booking, which is
# never deleted.
CASCADING = {"room_bookings.BookingGuest.booking", "room_bookings.RoomClaim.booking"}


def foreign_keys():
    """Every foreign key of our models, with the app that it references."""
    for model in apps.get_models():
        if model._meta.app_label in OURS:
            for field in model._meta.get_fields():
                if isinstance(field, models.ForeignKey):
                    yield f"{model._meta.label}.{field.name}", field, field.related_model._meta.app_label


def test_django_uses_psycopg2():
    assert is_psycopg3 is False
    assert connection.vendor == "postgresql"


def test_referenced_rows_cannot_be_deleted():
    by_rule = {name: field.remote_field.on_delete for name, field, _ in foreign_keys()}
    assert {name for name, on_delete in by_rule.items() if on_delete is not models.PROTECT} == CASCADING


def test_rows_in_the_audit_log_are_protected():
    named = {name for name, field, _ in foreign_keys() if name.startswith("housekeeping.RoomStatusEvent.")}
    assert named == {
        "housekeeping.RoomStatusEvent.hotel",
        "housekeeping.RoomStatusEvent.room",
        "housekeeping.RoomStatusEvent.changed_by",
    }


def test_foreign_keys_point_only_to_lower_apps():
    """Foreign keys can be strings, which import linters do not see."""
    for name, _, target in foreign_keys():
        app = name.partition(".")[0]
        if app == "notifications":
            assert target in ("hotel", "room_bookings"), name
        elif target in ORDER:
            assert ORDER.index(app) <= ORDER.index(target), name
        else:
            assert target == "auth", name


@pytest.mark.django_db
def test_a_hotel_keeps_its_slug(hotel):
    """A hotel with another's former slug would receive that hotel's waiting events."""
    with pytest.raises(IntegrityError, match="the slug of a hotel never changes"), transaction.atomic():
        Hotel.objects.filter(pk=hotel.pk).update(slug="another")
    Hotel.objects.filter(pk=hotel.pk).update(slug=hotel.slug, name="Another")
    hotel.refresh_from_db()
    assert hotel.name == "Another"
