"""A database constraint that HotelMate does not know, for testing the response to a row that violates it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def unknown_constraint(table: str, state: str) -> Iterator[None]:
    """At commit, ``table`` rejects rows named ``Planted`` with SQLSTATE ``state``. The test must really commit."""
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
