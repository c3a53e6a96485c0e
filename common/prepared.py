"""Statements on one row that Django builds once and PostgreSQL plans once on each connection: for a wide row, both take
longer than to read or write it (measured: two thirds of a status update).

A statement's name is made of its text. So whoever has prepared it, on a connection that a pooler hands round, it is the
same statement; and where a pooler is noticed, this process prepares nothing more and sends the plain statements.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model, QuerySet
from django.db.models.expressions import Combinable, RawSQL
from django.db.models.query import ModelIterable, get_related_populators
from django.db.models.sql import InsertQuery, UpdateQuery
from django.db.transaction import TransactionManagementError, mark_for_rollback_on_error
from psycopg2.extensions import AsIs

from common.database import sqlstate

M = TypeVar("M")  # what a row becomes: a model's instance, or a value
Rows = list[tuple[Any, ...]]
BITS = 63  # of a bigint, its sign aside
# Statements that one connection keeps, each 30 to 600 kB of its server's memory; which fields a client changes is up to
# the client. The one that was not used for longest makes room.
KEPT = 100
# PostgreSQL's codes: a result that a migration has given another type; a prepared statement that is not there, or there
# already, though we have prepared it, or not.
RETYPED, MISSING, THERE = "0A000", "26000", "42P05"

logger = logging.getLogger(__name__)
_pooler_seen = threading.Event()


@dataclass(frozen=True, eq=False)
class _Statement:
    name: str
    text: str  # with ``$1``, ``$2`` for the values that vary
    sql: str  # the same for the driver, with ``%s`` for each of ``params``
    params: Sequence[Any]

    def with_values(self, values: Sequence[Any]) -> list[Any]:
        """The parameters of ``sql``."""
        return [values[param.number - 1] if isinstance(param, _Place) else param for param in self.params]


# By name, for whoever reads a log.
STATEMENTS: "WeakValueDictionary[str, _Statement]" = WeakValueDictionary()


class _Read(NamedTuple):
    statement: _Statement
    locks: bool
    convert: Callable[[Rows], Iterable[Sequence[Any]]]  # from what the driver gives to what the fields hold
    make: Callable[[Sequence[Any]], Any]  # what a row becomes


# --- reading ----------------------------------------------------------------------------------------------------------


class PreparedRead(Generic[M]):
    """One row of what ``build`` selects, by unique keys, as the queryset itself would give it.

    ``build`` makes the queryset, of instances or of one value, with whatever it joins (no ``prefetch_related``),
    annotates and locks; whatever it filters by stays as it was at the first read.
    """

    def __init__(self, build: Callable[[], QuerySet[Any, M]]) -> None:
        self._build = build
        self._made: dict[tuple[str, ...], _Read] = {}

    def read(self, **keys: Any) -> list[M]:
        """The row with these ``keys`` (lookups of equality, by plain values), or nothing; one statement."""
        names = tuple(keys)
        made = self._made.get(names) or self._made.setdefault(names, self._compile(names))
        if made.locks and not connection.in_atomic_block:
            raise TransactionManagementError("A row is locked within a transaction.")  # as Django has it, who built it
        values = tuple(keys.values())
        if any(isinstance(value, int) and value.bit_length() > BITS for value in values):
            return []  # no row has it, and PostgreSQL would refuse to take it
        with _run(connections[DEFAULT_DB_ALIAS], made.statement, values) as cursor:
            return [made.make(row) for row in made.convert(cursor.fetchall())]

    def queryset(self, **keys: Any) -> QuerySet[Any, M]:
        """What ``read`` reads, not prepared."""
        return self._build().filter(**keys)

    def _compile(self, names: tuple[str, ...]) -> _Read:
        queryset = self.queryset(**{name: _place(number) for number, name in enumerate(names, start=1)})
        compiler = queryset.query.get_compiler(connection.alias)
        locks = queryset.query.select_for_update
        statement = _named("lock" if locks else "read", queryset.model, *compiler.as_sql())
        make = _instance_maker(compiler) if queryset._iterable_class is ModelIterable else itemgetter(0)
        return _Read(statement, locks, _converter(compiler), make)


def _converter(compiler: Any) -> Callable[[Rows], Iterable[Sequence[Any]]]:
    converters = compiler.get_converters([column for column, *_ in compiler.select])
    return partial(compiler.apply_converters, converters=converters) if converters else iter


def _instance_maker(compiler: Any) -> Callable[[Sequence[Any]], Any]:
    """What ``django.db.models.query.ModelIterable`` does with each row, set up once."""
    info = compiler.klass_info
    model, columns = info["model"], slice(info["select_fields"][0], info["select_fields"][-1] + 1)
    names = [column.target.attname for column, *_ in compiler.select[columns]]
    related = get_related_populators(info, compiler.select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg]  # Django 5.2's
    annotations = list(compiler.annotation_col_map.items())

    def make(row: Sequence[Any]) -> Any:
        instance = model.from_db(DEFAULT_DB_ALIAS, names, row[columns])
        for populator in related:
            populator.populate(row, instance)
        for name, place in annotations:
            setattr(instance, name, row[place])
        return instance

    return make


# --- writing ----------------------------------------------------------------------------------------------------------


def insert(instances: Iterable[Model]) -> None:
    """Store new instances of one model, as ``bulk_create`` does: a single one prepared, many in one statement.

    Plain values only, no expressions; whatever they refer to is stored already.
    """
    things = list(instances)
    if not things:
        return
    thing, model = things[0], type(things[0])
    if len(things) > 1 or thing.pk is not None:
        model._base_manager.bulk_create(things)
        return
    made = _insert_of(model)
    database = connections[DEFAULT_DB_ALIAS]
    values = [_stored(thing, field, database, add=True) for field in _columns(model)]
    with mark_for_rollback_on_error(), _run(database, made, values) as cursor:
        [thing.pk] = cursor.fetchone()
    thing._state.adding, thing._state.db = False, database.alias


def update(thing: Model, names: Sequence[str]) -> None:
    """Write these fields, each named once, of a row that exists, as ``save(update_fields=names)`` does.

    Plain values only, no expressions; Django's signals are not sent.
    """
    if not names:
        return
    model = type(thing)
    ordered = tuple(sorted(names))
    made = _update_of(model, ordered)
    fields: list[Any] = [model._meta.get_field(name) for name in ordered]
    database = connections[DEFAULT_DB_ALIAS]
    values = [_stored(thing, field, database, add=False) for field in fields]
    with mark_for_rollback_on_error(), _run(database, made, [*values, thing.pk]) as cursor:
        if cursor.rowcount != 1:
            raise DatabaseError(f"{model._meta.label} {thing.pk} is not there to be written.")


def _columns(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.local_concrete_fields if not field.primary_key]


def _stored(thing: Model, field: "Field[Any, Any]", database: BaseDatabaseWrapper, *, add: bool) -> Any:
    """The field's value as the driver takes it. Raises TypeError for one that PostgreSQL would have to work out."""
    value = field.pre_save(thing, add)
    if isinstance(value, Combinable):
        raise TypeError(f"{field} takes a plain value here, no expression")
    return field.get_db_prep_save(value, database)


@lru_cache
def _insert_of(model: type[Model]) -> _Statement:
    places = model()
    fields = _columns(model)
    for number, field in enumerate(fields, start=1):
        setattr(places, field.attname, _place(number))
    query = InsertQuery(model)
    query.insert_values(fields, [places])
    compiler = query.get_compiler(connection.alias)
    compiler.returning_fields = [model._meta.pk]
    [(sql, params)] = compiler.as_sql()
    return _named("insert", model, sql, params)


@lru_cache(maxsize=4 * KEPT)
def _update_of(model: type[Model], names: Sequence[str]) -> _Statement:
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    row = model._base_manager.filter(pk=_place(len(fields) + 1))
    query: Any = row.query.chain(UpdateQuery)
    query.add_update_fields([(field, None, _place(number)) for number, field in enumerate(fields, start=1)])
    return _named("update", model, *query.get_compiler(connection.alias).as_sql())


# --- preparing --------------------------------------------------------------------------------------------------------


class _Place:
    """Where a value goes that varies: ``$1`` to PostgreSQL, in the statement that is prepared."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __conform__(self, _protocol: Any) -> AsIs:
        return AsIs(f"${self.number}")


def _place(number: int) -> RawSQL:
    return RawSQL("%s", (_Place(number),))


def _named(verb: str, model: type[Model], sql: str, params: Sequence[Any]) -> _Statement:
    with connection.cursor() as cursor:
        text = cursor.mogrify(sql, params).decode()
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    made = _Statement(f"{verb}_{model._meta.db_table[:30]}_{digest}", text, sql, params)
    return STATEMENTS.setdefault(made.name, made)


def _run(database: Any, made: _Statement, values: Sequence[Any]) -> Any:
    """The cursor that has run it with these values.

    Prepared once on each connection to PostgreSQL, which keeps it through a rollback and until the connection ends.
    """
    cursor = database.cursor()  # first: it may take a new connection, on which nothing is prepared
    if _pooler_seen.is_set():
        cursor.execute(made.sql, made.with_values(values))
        return cursor
    driver = database.connection
    # Of this connection of the driver's: how each statement that it has prepared is called, the last used last.
    prepared_for, calls = getattr(database, "prepared", (None, OrderedDict[str, str]()))
    if prepared_for is not driver:
        prepared_for, calls = database.prepared = driver, OrderedDict()
    is_new = made.name not in calls
    try:
        if is_new:
            _prepare(database, made, calls, len(values))
        calls.move_to_end(made.name)
        cursor.execute(calls[made.name], values)
    except DatabaseError as error:
        state = sqlstate(error)
        if state in (MISSING, THERE):
            _pooler_seen.set()
            logger.warning(
                "prepared statements are not this connection's own (%s), so there is a pooler of transactions: none is "
                "used from now on",
                state,
            )
        elif state == RETYPED and not is_new:
            database.close()  # all that it has prepared may be of old types
        else:
            raise
        if database.in_atomic_block:
            raise OperationalError("A prepared statement is of no use any more; the next try does without.") from error
        return _run(database, made, values)
    return cursor


def _prepare(database: Any, made: _Statement, calls: OrderedDict[str, str], count: int) -> None:
    with database.wrap_database_errors, database.connection.cursor() as cursor:
        cursor.execute(f"PREPARE {made.name} AS {made.text}")
        calls[made.name] = f"EXECUTE {made.name}({', '.join(['%s'] * count)})"
        if len(calls) > KEPT:
            cursor.execute(f"DEALLOCATE {calls.popitem(last=False)[0]}")
