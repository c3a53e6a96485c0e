"""The rules of the migrated database (checks, unique and exclusion constraints, foreign keys, triggers), read from its
catalog so that none is missed."""

from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

import psycopg2

CHECK, UNIQUE, EXCLUSION, FOREIGN_KEY, TRIGGER = "check", "unique", "exclusion", "foreign key", "trigger"
KINDS = (CHECK, UNIQUE, EXCLUSION, FOREIGN_KEY, TRIGGER)
OUR_APPS = ("hotel", "housekeeping", "notifications", "room_bookings", "rooms")

# A foreign key is named by its columns, as its own name ends in a hash. A unique index can exist without a constraint.
CATALOG = """
    SELECT CASE held.contype WHEN 'c' THEN 'check' WHEN 'u' THEN 'unique' WHEN 'x' THEN 'exclusion'
                             ELSE 'foreign key' END,
           held.conrelid::regclass::text,
           CASE held.contype WHEN 'f' THEN (
               SELECT held.conrelid::regclass || '.' || string_agg(attname, ',') FROM pg_attribute
               WHERE attrelid = held.conrelid AND attnum = ANY(held.conkey)
           ) ELSE held.conname END,
           format('ALTER TABLE %s DROP CONSTRAINT %I', held.conrelid::regclass, held.conname)
    FROM pg_constraint held WHERE held.contype IN ('c', 'u', 'x', 'f') AND held.connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'unique', indrelid::regclass::text, indexrelid::regclass::text, format('DROP INDEX %s', indexrelid::regclass)
    FROM pg_index
    WHERE indisunique AND NOT indisprimary
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('u', 'x'))
      AND indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    UNION ALL
    SELECT 'trigger', tgrelid::regclass::text, tgname, format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
    FROM pg_trigger WHERE NOT tgisinternal
    ORDER BY 1, 2, 3
"""


class Rule(NamedTuple):
    """One rule of the database, and the statement that removes it."""

    kind: str
    what: str
    removal: str

    @property
    def name(self) -> str:
        return f"{self.kind} {self.what}"


def rules_of(rows: Iterable[tuple[str, str, str, str]]) -> list[Rule]:
    """The rules of HotelMate's tables, from the rows of ``CATALOG``."""
    ours = tuple(f"{app}_" for app in OUR_APPS)
    return [Rule(kind, what, removal) for kind, table, what, removal in rows if table.startswith(ours)]


def all_rules(url: str) -> list[Rule]:
    """The rules of the migrated database at ``url``."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(CATALOG)
        return rules_of(cursor.fetchall())
