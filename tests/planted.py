"""A rule of the database of which HotelMate knows nothing, for tests of what becomes of a row that breaks it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def planted(table: str, state: str) -> Iterator[None]:
    """At the commit, ``table`` refuses a row whose name is ``Planted``, with this SQLSTATE; needs real commits."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE FUNCTION planted() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.name = 'Planted' THEN
                    RAISE EXCEPTION '% is refused', NEW
                    USING ERRCODE = '{state}', CONSTRAINT = 'planted_rule', TABLE = TG_TABLE_NAME;
                END IF;
                RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER planted AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION planted()
            """
        )
        try:
            yield
        finally:
            cursor.execute(f"DROP TRIGGER planted ON {table}; DROP FUNCTION planted()")
