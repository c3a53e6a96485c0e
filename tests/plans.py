"""For tests of query plans."""

from typing import Any


def drop_other_indexes(cursor: Any, *names: str) -> None:
    """Drop the other indexes of the tables that have these: in a table of a few rows, any of them costs about the same.

    Those of constraints stay. Call in a transaction that is rolled back.
    """
    cursor.execute(
        "SELECT DISTINCT format('%%I', others.indexname)"
        " FROM pg_indexes AS wanted JOIN pg_indexes AS others USING (tablename)"
        " WHERE wanted.indexname = ANY(%(names)s) AND others.indexname <> ALL(%(names)s)"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = others.indexname)",
        {"names": list(names)},
    )
    for (other,) in cursor.fetchall():
        cursor.execute(f"DROP INDEX {other}")
