"""Statements that Django builds once and PostgreSQL plans once per connection: for a wide row, both take longer than
reading or writing it (measured: two thirds of a status update).

Behind a pooler that shares sessions (``DATABASE_POOLER``) nothing can be prepared: the same statements are sent as text
each time, still built only once. A statement's name is a hash of its text, so even with a wrong configuration a name
means one statement only.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Lookup, Model, QuerySet
from django.db.models.expressions import Combinable, RawSQL
from django.db.models.query import ModelIterable, ValuesListIterable, get_related_populators
from django.db.models.sql import InsertQuery, UpdateQuery
from django.db.transaction import TransactionManagementError, mark_for_rollback_on_error
from psycopg2.extensions import AsIs

from common import dry_run
from common.database import sqlstate

M = TypeVar("M")  # the result for a row: a model instance or a value
Rows = list[tuple[Any, ...]]
BITS = 63  # of a bigint, without the sign
# Statements that one connection keeps, each 30 to 600 kB of the server's memory. Clients choose which fields to change,
# so there can be many; the least recently used one is dropped.
KEPT = 100
# SQLSTATE: a migration changed the type of a statement's result.
RETYPED = "0A000"
# Between statements of one round trip.
AND = ";\n"


@dataclass(frozen=True, eq=False)
class _Statement:
    name: str
    text: str  # with ``$1``, ``$2`` for the values that vary
    sql: str  # the same for the driver, with ``%s`` for each of ``params``
    params: Sequence[Any]

    def with_values(self, values: Sequence[Any]) -> list[Any]:
        """The parameters of ``sql``."""
        return [values[param.number - 1] if isinstance(param, _Place) else param for param in self.params]


_Call = tuple[_Statement, Sequence[Any]]  # a statement and the values for its places
# By name, for reading logs.
STATEMENTS: "WeakValueDictionary[str, _Statement]" = WeakValueDictionary()


class _Read(NamedTuple):
    statement: _Statement
    locks: bool
    convert: Callable[[Rows], Iterable[Sequence[Any]]]  # from the driver's values to the fields' values
    make: Callable[[Sequence[Any]], Any]  # from a row to an instance or a value


# --- reading ----------------------------------------------------------------------------------------------------------


@Field.register_lookup
class AnyOf(Lookup):
    """``pk__any=[1, 2]``: like ``in``, but with one array, so that the statement is the same for any number of them."""

    lookup_name = "any"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, left_params = self.process_lhs(compiler, connection)
        if hasattr(self.rhs, "as_sql"):
            right, right_params = compiler.compile(self.rhs)
        else:
            right, right_params = "%s", [list(self.rhs)]
        return f"{left} = ANY({right})", [*left_params, *right_params]


class PreparedRead(Generic[M]):
    """Reads rows of the queryset that ``build`` makes, by their keys, with the same result as the queryset.

    The queryset returns instances, tuples or one value, and can join (not ``prefetch_related``), annotate and lock. Its
    filters keep the values of the first read.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, M]]) -> None:
        self._build = build
        self._made: dict[tuple[str, ...], _Read] = {}

    def read(self, **keys: Any) -> list[M]:
        """The rows with these ``keys``: lookups of equality or ``any``, by plain values; one statement."""
        made, values = self._made_for(tuple(keys)), list(keys.values())
        if made.locks and not connection.in_atomic_block:
            raise TransactionManagementError("Rows can only be locked inside a transaction.")  # as Django does
        values = [[one for one in value if _fits(one)] if isinstance(value, list) else value for value in values]
        if not all(map(_fits, values)):
            return []  # no row has it, and PostgreSQL would raise an error
        with _run(connections[DEFAULT_DB_ALIAS], (made.statement, values)) as cursor:
            return [made.make(row) for row in made.convert(cursor.fetchall())]

    def stream(self, at_once: int, **keys: Any) -> Iterator[M]:
        """The same rows, ``at_once`` per round trip, for many; the statement is sent as text, like the queryset's."""
        made, database = self._made_for(tuple(keys)), connections[DEFAULT_DB_ALIAS]
        is_whole = database.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        with database.cursor() if is_whole else database.chunked_cursor() as cursor:
            cursor.execute(made.statement.sql, made.statement.with_values(tuple(keys.values())))
            while rows := cursor.fetchmany(at_once):
                yield from map(made.make, made.convert(rows))

    def queryset(self, **keys: Any) -> QuerySet[Any, M]:
        """The same rows as ``read``, not prepared."""
        return self._build().filter(**keys)

    def _made_for(self, names: tuple[str, ...]) -> _Read:
        return self._made.get(names) or self._made.setdefault(names, self._compile(names))

    def _compile(self, names: tuple[str, ...]) -> _Read:
        queryset = self.queryset(**{name: _place(number) for number, name in enumerate(names, start=1)})
        compiler = queryset.query.get_compiler(connection.alias)
        locks = queryset.query.select_for_update
        statement = _named("lock" if locks else "read", queryset.model, *compiler.as_sql())
        return _Read(statement, locks, _converter(compiler), _maker(queryset, compiler))


class PreparedQuery(PreparedRead[M]):
    """The same for a query whose values are not plain keys: ``build`` makes the queryset from them.

    It sees placeholders instead of the values, and must not look into them.
    """

    def queryset(self, **keys: Any) -> QuerySet[Any, M]:
        return self._build(**keys)


def _fits(value: Any) -> bool:
    return not isinstance(value, int) or value.bit_length() <= BITS


def _converter(compiler: Any) -> Callable[[Rows], Iterable[Sequence[Any]]]:
    converters = compiler.get_converters([column for column, *_ in compiler.select])
    return partial(compiler.apply_converters, converters=converters) if converters else iter


def _maker(queryset: QuerySet[Any, Any], compiler: Any) -> Callable[[Sequence[Any]], Any]:
    if queryset._iterable_class is ModelIterable:
        return _instance_maker(compiler)
    return tuple if queryset._iterable_class is ValuesListIterable else itemgetter(0)


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


class Insert:
    """New instances of one model, without primary keys, to store in this order, as ``bulk_create`` does.

    Plain values only, no expressions; related rows must already be stored.
    """

    def __init__(self, instances: Iterable[Model]) -> None:
        self.instances = list(instances)

    def call(self, database: BaseDatabaseWrapper) -> "_Call":
        """The statement and its values."""
        things = self.instances
        model, keyed = type(things[0]), dry_run.is_on()
        if keyed:  # a number that a sequence gives does not roll back
            for thing in things:
                thing.pk = dry_run.new_key()
        columns = [[_stored(thing, field, database, add=True) for thing in things] for field in _columns(model, keyed)]
        if len(things) == 1:
            return _insert_of(model, keyed), [value for [value] in columns]
        return _insert_of_many(model, keyed), columns

    def finish(self, cursor: Any, alias: str) -> None:
        """Set the primary keys."""
        for thing, (pk,) in zip(self.instances, cursor.fetchall(), strict=True):
            thing.pk, thing._state.adding, thing._state.db = pk, False, alias


class Update:
    """Fields, each named once, of rows of one model to write, as ``bulk_update`` does.

    Plain values only, no expressions; Django's signals are not sent.
    """

    def __init__(self, instances: Sequence[Model], names: Iterable[str]) -> None:
        self._names = tuple(sorted(names))
        self.instances = instances if self._names else []

    def call(self, database: BaseDatabaseWrapper) -> "_Call":
        """The statement and its values."""
        things = self.instances
        model = type(things[0])
        fields: list[Any] = [model._meta.get_field(name) for name in self._names]
        columns = [
            [_stored(thing, field, database, add=False) for thing in things] for field in [*fields, model._meta.pk]
        ]
        if len(things) == 1:
            return _update_of(model, self._names), [value for [value] in columns]
        return _update_of_many(model, self._names), columns

    def finish(self, cursor: Any, _alias: str) -> None:
        """Raise DatabaseError if a row does not exist."""
        things = self.instances
        if cursor.rowcount != len(things):
            raise DatabaseError(f"{cursor.rowcount} of {len(things)} rows of {type(things[0])._meta.label} exist.")


def write(*changes: Insert | Update) -> None:
    """Make these changes in this order: a statement for each, all in one round trip.

    The driver keeps only the last statement's result. So only the last change sets primary keys, or raises an error if
    a row to update does not exist; lock the other changes' rows first.
    """
    changes = tuple(change for change in changes if change.instances)
    if not changes:
        return
    database = connections[DEFAULT_DB_ALIAS]
    calls = [change.call(database) for change in changes]
    with mark_for_rollback_on_error(), _run(database, *calls) as cursor:
        changes[-1].finish(cursor, database.alias)


def insert(instances: Iterable[Model]) -> None:
    """One ``Insert``; the instances may have primary keys."""
    things = list(instances)
    if any(thing.pk is not None for thing in things):
        type(things[0])._base_manager.bulk_create(things)
    else:
        write(Insert(things))


def update(instances: Sequence[Model], names: Iterable[str]) -> None:
    """One ``Update``."""
    write(Update(instances, names))


def _columns(model: type[Model], keyed: bool) -> "list[Field[Any, Any]]":
    """The columns of a new row; ``keyed``: with its primary key."""
    return [field for field in model._meta.local_concrete_fields if keyed or not field.primary_key]


def _stored(thing: Model, field: "Field[Any, Any]", database: BaseDatabaseWrapper, *, add: bool) -> Any:
    """The field's value for the driver. Raises TypeError for an expression."""
    value = field.pre_save(thing, add)
    if isinstance(value, Combinable):
        raise TypeError(f"{field} takes a plain value here, not an expression")
    return field.get_db_prep_save(value, database)


@lru_cache
def _insert_of(model: type[Model], keyed: bool) -> _Statement:
    places = model()
    fields = _columns(model, keyed)
    for number, field in enumerate(fields, start=1):
        setattr(places, field.attname, _place(number))
    query = InsertQuery(model)
    query.insert_values(fields, [places])
    compiler = query.get_compiler(connection.alias)
    compiler.returning_fields = [model._meta.pk]
    [(sql, params)] = compiler.as_sql()
    return _named("insert", model, sql, params)


@lru_cache
def _insert_of_many(model: type[Model], keyed: bool) -> _Statement:
    quote, pk = connection.ops.quote_name, cast(Any, model._meta.pk)
    fields: list[Any] = _columns(model, keyed)
    columns = ", ".join(quote(field.column) for field in fields)
    table, rows = quote(model._meta.db_table), _rows_of(fields)
    sql = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows} RETURNING {quote(pk.column)}"  # noqa: S608
    return _named("insert", model, sql, [_Place(number) for number in range(1, len(fields) + 1)])


@lru_cache(maxsize=4 * KEPT)
def _update_of_many(model: type[Model], names: Sequence[str]) -> _Statement:
    quote, pk = connection.ops.quote_name, cast(Any, model._meta.pk)
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    changes = ", ".join(f"{quote(field.column)} = new.{quote(field.column)}" for field in fields)
    table, key, rows = quote(model._meta.db_table), quote(pk.column), _rows_of([*fields, pk])
    sql = f"UPDATE {table} SET {changes} FROM {rows} WHERE {table}.{key} = new.{key}"  # noqa: S608
    return _named("update", model, sql, [_Place(number) for number in range(1, len(fields) + 2)])


def _rows_of(fields: Sequence[Any]) -> str:
    """SQL for the rows of ``new``, from an array for each column: the text is the same for any number of rows."""
    arrays = ", ".join(f"%s::{_type_of(field)}[]" for field in fields)
    return f"unnest({arrays}) AS new ({', '.join(connection.ops.quote_name(field.column) for field in fields)})"


def _type_of(field: Any) -> str:
    """The column's type, without its default, as ``bigserial`` has one, or length: a cast would cut longer values."""
    return str(field.rel_db_type(connection) if field.primary_key else field.db_type(connection)).partition("(")[0]


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


def _run(database: Any, *calls: _Call) -> Any:
    """Run the statements with these values, in one round trip; return the cursor, which has the last one's result.

    Each is prepared once on each connection to PostgreSQL, where it survives rollbacks until the connection ends;
    unless a pooler shares the connections.
    """
    cursor = database.cursor()  # first: it may take a new connection, on which nothing is prepared
    if database.is_pooled:
        plain = [value for made, values in calls for value in made.with_values(values)]
        cursor.execute(AND.join(made.sql for made, _ in calls), plain)
        return cursor
    driver = database.connection
    # For this driver connection: the EXECUTE of each statement that it has prepared, the most recently used last.
    prepared_for, known = getattr(database, "prepared", (None, OrderedDict[str, str]()))
    if prepared_for is not driver:
        prepared_for, known = database.prepared = driver, OrderedDict()
    are_new = True
    try:
        for made, values in calls:
            if made.name in known:
                are_new = False
            else:
                _prepare(database, made, known, len(values))
            known.move_to_end(made.name)
        cursor.execute(AND.join(known[made.name] for made, _ in calls), [one for _, values in calls for one in values])
    except DatabaseError as error:
        if are_new or sqlstate(error) != RETYPED:
            raise
        database.close()  # all its prepared statements may have old types
        if database.in_atomic_block:
            raise OperationalError("A prepared statement can no longer be used; a retry runs without it.") from error
        return _run(database, *calls)
    return cursor


def _prepare(database: Any, made: _Statement, known: OrderedDict[str, str], count: int) -> None:
    with database.wrap_database_errors, database.connection.cursor() as cursor:
        cursor.execute(f"PREPARE {made.name} AS {made.text}")
        known[made.name] = f"EXECUTE {made.name}({', '.join(['%s'] * count)})"
        if len(known) > KEPT:
            cursor.execute(f"DEALLOCATE {known.popitem(last=False)[0]}")
