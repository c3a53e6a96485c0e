"""Single-row statements that Django builds once and PostgreSQL plans once per connection: for a wide row, both take
longer than reading or writing it (measured: two thirds of a status update).

Behind a pooler that shares sessions (``DATABASE_POOLER``) nothing can be prepared: the same statements are sent as text
each time, still built only once. A statement's name is a hash of its text, so even with a wrong configuration a name
means one statement only.
"""

import hashlib
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

M = TypeVar("M")  # the result for a row: a model instance or a value
Rows = list[tuple[Any, ...]]
BITS = 63  # of a bigint, without the sign
# Statements that one connection keeps, each 30 to 600 kB of the server's memory. Clients choose which fields to change,
# so there can be many; the least recently used one is dropped.
KEPT = 100
# SQLSTATE: a migration changed the type of a statement's result.
RETYPED = "0A000"


@dataclass(frozen=True, eq=False)
class _Statement:
    name: str
    text: str  # with ``$1``, ``$2`` for the values that vary
    sql: str  # the same for the driver, with ``%s`` for each of ``params``
    params: Sequence[Any]

    def with_values(self, values: Sequence[Any]) -> list[Any]:
        """The parameters of ``sql``."""
        return [values[param.number - 1] if isinstance(param, _Place) else param for param in self.params]


# By name, for reading logs.
STATEMENTS: "WeakValueDictionary[str, _Statement]" = WeakValueDictionary()


class _Read(NamedTuple):
    statement: _Statement
    locks: bool
    convert: Callable[[Rows], Iterable[Sequence[Any]]]  # from the driver's values to the fields' values
    make: Callable[[Sequence[Any]], Any]  # from a row to an instance or a value


# --- reading ----------------------------------------------------------------------------------------------------------


class PreparedRead(Generic[M]):
    """Reads one row of the queryset that ``build`` makes, by unique keys, with the same result as the queryset.

    The queryset returns instances or one value, and can join (not ``prefetch_related``), annotate and lock. Its filters
    keep the values of the first read.
    """

    def __init__(self, build: Callable[[], QuerySet[Any, M]]) -> None:
        self._build = build
        self._made: dict[tuple[str, ...], _Read] = {}

    def read(self, **keys: Any) -> list[M]:
        """The row with these ``keys`` (lookups of equality, by plain values), or nothing; one statement."""
        names = tuple(keys)
        made = self._made.get(names) or self._made.setdefault(names, self._compile(names))
        if made.locks and not connection.in_atomic_block:
            raise TransactionManagementError("Rows can only be locked inside a transaction.")  # as Django does
        values = tuple(keys.values())
        if any(isinstance(value, int) and value.bit_length() > BITS for value in values):
            return []  # no row has it, and PostgreSQL would raise an error
        with _run(connections[DEFAULT_DB_ALIAS], made.statement, values) as cursor:
            return [made.make(row) for row in made.convert(cursor.fetchall())]

    def queryset(self, **keys: Any) -> QuerySet[Any, M]:
        """The same rows as ``read``, not prepared."""
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
    """Does what ``django.db.models.query.ModelIterable`` does with each row, but is set up once."""
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

    Plain values only, no expressions; related rows must already be stored.
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
            raise DatabaseError(f"{model._meta.label} {thing.pk} does not exist: nothing was updated.")


def _columns(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.local_concrete_fields if not field.primary_key]


def _stored(thing: Model, field: "Field[Any, Any]", database: BaseDatabaseWrapper, *, add: bool) -> Any:
    """The field's value for the driver. Raises TypeError for an expression."""
    value = field.pre_save(thing, add)
    if isinstance(value, Combinable):
        raise TypeError(f"{field} takes a plain value here, not an expression")
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
    """A placeholder for a value that varies: ``$1`` in the prepared statement."""

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
    """Run the statement with these values and return the cursor.

    It is prepared once on each connection to PostgreSQL, where it survives rollbacks until the connection ends; unless
    a pooler shares the connections.
    """
    cursor = database.cursor()  # first: it may take a new connection, on which nothing is prepared
    if database.is_pooled:
        cursor.execute(made.sql, made.with_values(values))
        return cursor
    driver = database.connection
    # For this driver connection: the EXECUTE of each statement that it has prepared, the most recently used last.
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
        if is_new or sqlstate(error) != RETYPED:
            raise
        database.close()  # all its prepared statements may have old types
        if database.in_atomic_block:
            raise OperationalError("A prepared statement can no longer be used; a retry runs without it.") from error
        return _run(database, made, values)
    return cursor


def _prepare(database: Any, made: _Statement, calls: OrderedDict[str, str], count: int) -> None:
    with database.wrap_database_errors, database.connection.cursor() as cursor:
        cursor.execute(f"PREPARE {made.name} AS {made.text}")
        calls[made.name] = f"EXECUTE {made.name}({', '.join(['%s'] * count)})"
        if len(calls) > KEPT:
            cursor.execute(f"DEALLOCATE {calls.popitem(last=False)[0]}")
