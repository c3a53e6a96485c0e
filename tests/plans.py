"""For tests of query plans."""

from typing import Any


def drop_other_indexes(cursor: Any, *names: str, constraints: bool = False) -> None:
    """Drop the other indexes of the tables that have these: in a table of a few rows, any of them costs about the same.

    Those of constraints stay, or with ``constraints`` only the primary keys. Call in a transaction that is rolled back.
    """
    cursor.execute(
        "SELECT DISTINCT format('%%I', others.tablename), format('%%I', others.indexname), contype"
        " FROM pg_indexes AS wanted JOIN pg_indexes AS others USING (tablename)"
        " LEFT JOIN pg_constraint ON conname = others.indexname"
        " WHERE wanted.indexname = ANY(%(names)s) AND others.indexname <> ALL(%(names)s)"
        " AND (contype IS NULL OR %(constraints)s AND contype <> 'p')",
        {"names": list(names), "constraints": constraints},
    )
    for table, other, constraint in cursor.fetchall():
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {other}" if constraint else f"DROP INDEX {other}")
