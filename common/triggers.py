"""Database triggers that enforce HotelMate's rules, against raw SQL and the admin as much as against our own code.

They are declared in the models' ``Meta.triggers`` (django-pgtrigger writes the migrations), with two differences from
the library's own triggers: the search path is fixed to the schema of the migration that made the function, so that it
works in a restore (which empties the search path) and a session cannot substitute temporary tables; and there is no
per-session switch to ignore triggers.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pgtrigger
from pgtrigger import compiler

from common.money import DECIMALS, USUAL_DECIMALS


class RuleSql(compiler.UpsertTriggerSql):
    """The SQL that installs one rule. Migrations refer to this class: the SQL of existing ones must never change."""

    def get_template(self) -> str:
        return """
            CREATE OR REPLACE FUNCTION {pgid}() RETURNS TRIGGER AS $$
                {declare}
                BEGIN
                    {func}
                END;
            $$ LANGUAGE plpgsql;
            DO $$ BEGIN
                EXECUTE format('ALTER FUNCTION {pgid}() SET search_path = %I, pg_temp', current_schema());
            END $$;

            DROP TRIGGER IF EXISTS {pgid} ON {table};
            CREATE {constraint} TRIGGER {pgid}
                {when} {operation} ON {table}
                {timing}
                {referencing}
                FOR EACH {level} {condition}
                EXECUTE PROCEDURE {execute};

            COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
        """


class Rule(pgtrigger.Trigger):
    """A trigger that raises when a row breaks a rule; the error names the rule as its constraint."""

    def compile(self, model: Any) -> compiler.Trigger:
        compiled = super().compile(model)
        return compiler.Trigger(
            name=self.name,
            sql=RuleSql(**compiled.sql.kwargs),
        )


def refusal_sql(name: str | None, message: str) -> str:
    """The SQL that rejects a row, as a violation of the constraint ``name``."""
    return (
        f"RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation', "
        f"CONSTRAINT = '{name}', TABLE = TG_TABLE_NAME;"
    )


class NeverChanged(Rule):
    """Rows of this table are written once: no update, no delete."""

    when = pgtrigger.Before
    operation = pgtrigger.Update | pgtrigger.Delete

    def get_func(self, model: Any) -> str:
        return refusal_sql(self.name, f"{model._meta.verbose_name_plural} are never changed or deleted")


class NeverDeleted(Rule):
    """Rows of this table are never deleted."""

    when = pgtrigger.Before
    operation = pgtrigger.Delete

    def get_func(self, model: Any) -> str:
        return refusal_sql(self.name, f"{model._meta.verbose_name_plural} are never deleted")


class FixedField(Rule):
    """A field keeps the value that its row was inserted with."""

    when = pgtrigger.Before

    def __init__(self, *, name: str, field: str):
        self.field = field
        super().__init__(name=name, operation=pgtrigger.UpdateOf(field))

    def get_func(self, model: Any) -> str:
        refusal = refusal_sql(self.name, f"the {self.field} of a {model._meta.verbose_name} never changes")
        return f"IF NEW.{self.field} IS DISTINCT FROM OLD.{self.field} THEN {refusal} END IF; RETURN NEW;"


class AmountFitsCurrency(Rule):
    """A new or changed amount has no more decimals than the row's ``currency``; an unchanged old one may have more."""

    when = pgtrigger.Before

    def __init__(self, *, name: str, amount: str):
        self.amount = amount
        super().__init__(name=name, operation=pgtrigger.Insert | pgtrigger.UpdateOf(amount, "currency"))

    def get_func(self, model: Any) -> str:
        unusual: dict[int, list[str]] = {}
        for currency, decimals in sorted(DECIMALS.items()):
            if decimals != USUAL_DECIMALS:
                unusual.setdefault(decimals, []).append(f"'{currency}'")
        cases = " ".join(
            f"WHEN NEW.currency IN ({', '.join(codes)}) THEN {decimals}" for decimals, codes in sorted(unusual.items())
        )
        refusal = refusal_sql(self.name, f"the {self.amount} has more decimals than its currency")
        return f"""
            IF TG_OP = 'UPDATE' THEN
                IF NEW.{self.amount} IS NOT DISTINCT FROM OLD.{self.amount} AND NEW.currency = OLD.currency THEN
                    RETURN NEW;
                END IF;
            END IF;
            IF NEW.{self.amount} <> round(NEW.{self.amount}, CASE {cases} ELSE {USUAL_DECIMALS} END) THEN
                {refusal}
            END IF;
            RETURN NEW;
        """


class SameHotel(Rule):
    """Every row that ``links`` refer to (foreign key name → table) belongs to this row's hotel, which never changes.

    Checked at commit, like Django's foreign keys: a restore may load the tables in any order.
    """

    when = pgtrigger.After
    timing = pgtrigger.Deferred

    def __init__(self, *, name: str, links: Mapping[str, str]):
        self.links = dict(links)
        super().__init__(
            name=name,
            operation=pgtrigger.Insert | pgtrigger.UpdateOf("hotel_id", *(f"{field}_id" for field in links)),
        )

    def get_func(self, model: Any) -> str:
        checks = [
            (
                "IF TG_OP = 'UPDATE' AND NEW.hotel_id <> OLD.hotel_id THEN "
                f"{refusal_sql(self.name, f'a {model._meta.verbose_name} never moves to another hotel')} END IF;"
            )
        ]
        for field, table in self.links.items():
            checks.append(
                f"IF NEW.{field}_id IS NOT NULL AND NOT EXISTS "
                f"(SELECT 1 FROM {table} linked "
                f"WHERE linked.id = NEW.{field}_id AND linked.hotel_id = NEW.hotel_id) THEN "
                f"{refusal_sql(self.name, f'{field} belongs to another hotel')} END IF;"
            )
        return "\n".join([*checks, "RETURN NULL;"])


class ReportedInDryRun(Rule):
    """Notes each changed row of a dry run, for ``common.dry_run``; it refuses nothing.

    A row that changes several times keeps its first ``before`` and its last ``after``. Two dry runs cannot wait for
    each other here: a writer locks the rows that it changes, and new rows have keys of their own. Outside of dry runs
    PostgreSQL evaluates the condition and is done.
    """

    when = pgtrigger.After
    operation = pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete
    condition = pgtrigger.Condition("(current_setting('hotelmate.dry_run', true) = 'on')")

    def get_func(self, model: Any) -> str:
        return """
            INSERT INTO hotel_dryrunchange (table_name, row_id, before, after)
            VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), to_jsonb(OLD), to_jsonb(NEW))
            ON CONFLICT (table_name, row_id) DO UPDATE SET after = EXCLUDED.after;
            RETURN NULL;
        """


CLAIMS = "room_bookings_roomclaim"


class NightsTaken(NamedTuple):
    """Which nights of which room a row of ``table`` takes: SQL about the row ``{row}``.

    ``owner`` is the claims' column with the row's id; the rest depends on ``columns`` alone.
    """

    owner: str
    table: str
    condition: str
    room: str
    nights: str
    columns: tuple[str, ...]

    def claimed(self) -> str:
        """The columns of a claim, as ``claimed_by`` selects them."""
        return f"{self.owner}, hotel_id, room_id, nights"

    def claimed_by(self, row: str, *source: str) -> str:
        """A SELECT of what ``row`` claims, if anything; or all rows of ``source``, a FROM clause that names them so."""
        columns = f"{{row}}.id, {{row}}.hotel_id, {{row}}.{self.room}, {self.nights}"
        return " ".join(["SELECT", columns, *source, "WHERE", self.condition]).format(row=row)


class ClaimsKept(Rule):
    """Keeps the claims of each row that takes nights of a room.

    So the exclusion constraint of the claims guards these rows against every writer, raw SQL included.
    """

    when = pgtrigger.After

    def __init__(self, *, name: str, taken: NightsTaken):
        self.taken = taken
        columns = pgtrigger.UpdateOf("id", "hotel_id", *taken.columns)
        super().__init__(name=name, operation=pgtrigger.Insert | columns | pgtrigger.Delete)

    def get_func(self, model: Any) -> str:
        taken = self.taken
        return f"""
            -- In a DELETE all of NEW is null, and nothing is claimed by it.
            IF TG_OP <> 'INSERT' THEN
                DELETE FROM {CLAIMS} WHERE {taken.owner} = OLD.id
                    AND ({taken.claimed()}) NOT IN ({taken.claimed_by("NEW")});
            END IF;
            INSERT INTO {CLAIMS} ({taken.claimed()}) {taken.claimed_by("NEW")};
            RETURN NULL;
        """


class ClaimsTrue(Rule):
    """At commit, a claim is what its owner says: nobody adds, changes or deletes one on its own."""

    when = pgtrigger.After
    timing = pgtrigger.Deferred
    operation = pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete

    def __init__(self, *, name: str, taken: NightsTaken):
        self.taken = taken
        super().__init__(name=name)

    def get_func(self, model: Any) -> str:
        owner, columns = self.taken.owner, self.taken.claimed()
        kept = f"SELECT {columns} FROM {CLAIMS} WHERE {owner} IN (OLD.{owner}, NEW.{owner})"
        said = self.taken.claimed_by("owner", f"FROM {self.taken.table} owner")
        said = f"{said} AND owner.id IN (OLD.{owner}, NEW.{owner})"
        return f"""
            IF EXISTS ({kept} EXCEPT {said}) OR EXISTS ({said} EXCEPT {kept}) THEN
                {refusal_sql(self.name, "a room claim changes only together with what it belongs to")}
            END IF;
            RETURN NULL;
        """


class ClaimedOnce(Rule):
    """Skips a claim that exists: a restore may load the claims before or after the rows that make them."""

    when = pgtrigger.Before
    operation = pgtrigger.Insert

    def __init__(self, *, name: str, owners: tuple[str, ...]):
        self.owners = owners
        super().__init__(name=name)

    def get_func(self, model: Any) -> str:
        same = " AND ".join(
            f"known.{column} IS NOT DISTINCT FROM NEW.{column}" for column in ("hotel_id", *self.owners)
        )
        return f"""
            IF EXISTS (
                SELECT FROM {CLAIMS} known WHERE known.room_id = NEW.room_id AND known.nights = NEW.nights AND {same}
            ) THEN
                RETURN NULL;
            END IF;
            RETURN NEW;
        """
