"""The flush after transactional tests (tests/fast_flush.py)."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import TransactionTestCase

from hotel import rights
from hotel.models import Hotel
from housekeeping.models import RoomStatusEvent
from tests import fast_flush
from tests.factories import HotelFactory, room_in


def end_transactional_test() -> None:
    """Tear down as a transactional test does."""

    class Case(TransactionTestCase):
        databases = ("default",)

    fast_flush.flush_filled_tables(Case())


def row_counts() -> dict[str, int]:
    with connection.cursor() as cursor:
        counts = {}
        for table in connection.introspection.django_table_names(only_existing=True, include_views=False):
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")
            counts[table] = cursor.fetchone()[0]
    return {table: count for table, count in counts.items() if count}


@pytest.mark.django_db(transaction=True)
def test_rows_are_deleted_and_roles_stay():
    room_in("CLEANED_UNINSPECTED", hotel=HotelFactory())
    assert RoomStatusEvent.objects.exists()
    before = set(Group.objects.values_list("pk", "name"))
    end_transactional_test()
    assert set(row_counts()) == set(fast_flush.KEPT)
    assert set(Group.objects.values_list("pk", "name")) == before
    end_transactional_test()
    assert set(row_counts()) == set(fast_flush.KEPT)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        lambda: Group.objects.all().delete(),
        lambda: Group.objects.create(name="a role of the hotel"),
        lambda: Group.objects.get(name=rights.HOUSEKEEPER).permissions.clear(),
        lambda: Permission.objects.filter(codename="view_room").update(name="changed"),
    ],
)
def test_changed_migration_rows_are_recreated(change):
    wanted = granted()
    HotelFactory()
    change()
    assert granted() != wanted or Permission.objects.filter(name="changed")
    end_transactional_test()
    assert set(row_counts()) == set(fast_flush.KEPT)
    assert granted() == wanted
    assert not Permission.objects.filter(name="changed")
    assert not Hotel.objects.exists()


def granted() -> dict[str, set[str]]:
    return {
        group.name: {permission.codename for permission in group.permissions.all()} for group in Group.objects.all()
    }
