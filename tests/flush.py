"""How a transactional test leaves the database to the next one: as the migrations made it, at little cost.

Django truncates every table and makes content types, permissions and groups anew, which takes longer than most tests.
Here only tables with rows are emptied, and what the migrations wrote stays, as long as no test has changed it.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import TransactionTestCase

from hotel import rights

# What migrations fill. None of these refers to another table, so that no CASCADE reaches them.
KEPT = tuple(model._meta.db_table for model in (ContentType, Permission, Group, Group.permissions.through))

_made_by_migrations: str | None = None
_flush_as_django_does = TransactionTestCase._fixture_teardown


def install() -> None:
    """From now on transactional tests end so."""
    TransactionTestCase._fixture_teardown = leave_clean


def remember() -> None:
    """What is in the kept tables before the first transactional test is what every test is to find there."""
    global _made_by_migrations
    if _made_by_migrations is None:
        _made_by_migrations = _kept()


def leave_clean(case: Any) -> None:
    """Take away what the test ``case`` has written; in place of TransactionTestCase's own way."""
    global _made_by_migrations
    if _made_by_migrations is None or case.available_apps is not None or _kept() != _made_by_migrations:
        _flush_as_django_does(case)
        rights.create_roles(apps)
        _made_by_migrations = _kept()
        return
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    filled = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT FROM {connection.ops.quote_name(table)})"
        for table in tables
        if table not in KEPT
    )
    with connection.cursor() as cursor:
        cursor.execute(filled)
        if names := [connection.ops.quote_name(table) for (table,) in cursor.fetchall()]:
            cursor.execute(f"TRUNCATE {', '.join(names)} CASCADE")


def _kept() -> str:
    rows = " UNION ALL ".join(f"SELECT '{table} ' || row_::text AS line FROM {table} AS row_" for table in KEPT)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT md5(string_agg(line, chr(10) ORDER BY line)) FROM ({rows}) AS all_")
        return cursor.fetchone()[0]
