"""What a transactional test leaves to the next one (tests/flush.py)."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import TransactionTestCase

from hotel import rights
from hotel.models import Hotel
from housekeeping.models import RoomStatusEvent
from tests import flush
from tests.factories import HotelFactory, room_in


def ends() -> None:
    """As a transactional test does."""

    class Case(TransactionTestCase):
        databases = ("default",)

    flush.leave_clean(Case())


def rows() -> dict[str, int]:
    with connection.cursor() as cursor:
        counts = {}
        for table in connection.introspection.django_table_names(only_existing=True, include_views=False):
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")
            counts[table] = cursor.fetchone()[0]
    return {table: count for table, count in counts.items() if count}


@pytest.mark.django_db(transaction=True)
def test_a_lived_in_house_is_gone_and_the_roles_stay():
    room_in("CLEANED_UNINSPECTED", hotel=HotelFactory())
    assert RoomStatusEvent.objects.exists()
    before = set(Group.objects.values_list("pk", "name"))
    ends()
    assert set(rows()) == set(flush.KEPT)
    assert set(Group.objects.values_list("pk", "name")) == before
    ends()
    assert set(rows()) == set(flush.KEPT)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        lambda: Group.objects.all().delete(),
        lambda: Group.objects.create(name="a role of the house"),
        lambda: Group.objects.get(name=rights.HOUSEKEEPER).permissions.clear(),
        lambda: Permission.objects.filter(codename="view_room").update(name="changed"),
    ],
)
def test_what_a_test_changes_of_the_migrations_rows_is_made_anew(change):
    wanted = granted()
    HotelFactory()
    change()
    assert granted() != wanted or Permission.objects.filter(name="changed")
    ends()
    assert set(rows()) == set(flush.KEPT)
    assert granted() == wanted
    assert not Permission.objects.filter(name="changed")
    assert not Hotel.objects.exists()


def granted() -> dict[str, set[str]]:
    return {
        group.name: {permission.codename for permission in group.permissions.all()} for group in Group.objects.all()
    }
