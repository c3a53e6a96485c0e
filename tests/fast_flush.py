"""A fast flush after transactional tests: only tables with rows are truncated.

Django truncates every table and recreates content types, permissions and groups, which takes longer than most tests.
Here the rows that migrations created stay, unless a test has changed them.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import TransactionTestCase

from hotel import rights

# The tables that migrations fill. None of them references another table, so no CASCADE reaches them.
KEPT = tuple(model._meta.db_table for model in (ContentType, Permission, Group, Group.permissions.through))

_made_by_migrations: str | None = None
_flush_as_django_does = TransactionTestCase._fixture_teardown


def install() -> None:
    """Make every transactional test end with this flush."""
    TransactionTestCase._fixture_teardown = flush_filled_tables


def remember_migrated_rows() -> None:
    """Hash the kept tables before the first transactional test; every later test must find the same rows."""
    global _made_by_migrations
    if _made_by_migrations is None:
        _made_by_migrations = _kept()


def flush_filled_tables(case: Any) -> None:
    """Delete the rows that the test ``case`` has written. Replaces ``TransactionTestCase._fixture_teardown``."""
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
