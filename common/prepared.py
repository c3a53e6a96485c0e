"""Reads by a unique key whose statement is built once by Django and planned once by PostgreSQL on each connection: for
a wide row, both take longer than the reading (measured: two thirds of a status update)."""

import itertools
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import connection, connections
from django.db.models import QuerySet
from django.db.transaction import TransactionManagementError
from psycopg2.extensions import AsIs

M = TypeVar("M")  # what a row becomes: a model's instance, or a value
PLACES = (-1, -2)  # keys that no row has: where the real ones go among the statement's parameters
TEXTS: dict[str, str] = {}  # by the name of a statement, for who reads a log: what PostgreSQL was told to prepare
BITS = 63  # of a bigint, its sign aside
_numbers = itertools.count(1)


class _Statement(NamedTuple):
    queryset: QuerySet[Any]
    compiler: Any
    name: str
    sql: str
    params: tuple[Any, ...]  # with ``PLACES`` as ``$1``, ``$2``
    converters: Any  # from what the driver gives to what the fields hold


class PreparedRead(Generic[M]):
    """One row of what ``build`` selects, by unique keys, exactly as the queryset itself would give it.

    ``build`` makes the queryset, with whatever it joins, annotates and locks; no parameter of its own may be one of
    ``PLACES``, and whatever else it filters by stays as it was at the first read.
    """

    def __init__(self, build: Callable[[], QuerySet[Any, M]]) -> None:
        self._build = build
        self._made: dict[tuple[str, ...], _Statement] = {}

    def read(self, **keys: Any) -> list[M]:
        """The row with these ``keys`` (lookups of equality), or nothing; one statement."""
        names = tuple(keys)
        made = self._made.get(names) or self._made.setdefault(names, self._compile(names))
        if made.queryset.query.select_for_update and not connection.in_atomic_block:
            raise TransactionManagementError("A row is locked within a transaction.")  # as Django has it, who built it
        values = tuple(keys.values())
        if any(isinstance(value, int) and value.bit_length() > BITS for value in values):
            return []  # no row has it, and PostgreSQL would refuse to take it
        _prepare(made)
        call = f"EXECUTE {made.name}({', '.join('%s' for _ in values)})"
        mine = _twin(made.compiler)  # it keeps state of one run, and each thread has its own connection
        mine.connection = connections[connection.alias]
        mine.as_sql = lambda *_args, **_kwargs: (call, values)
        mine.get_converters = lambda _columns: made.converters
        rows = _twin(made.queryset)
        rows._query = _twin(rows.query)
        rows._query.get_compiler = lambda *_args, **_kwargs: mine
        return list(rows)

    def queryset(self, **keys: Any) -> QuerySet[Any, M]:
        """What ``read`` reads, not prepared."""
        return self._build().filter(**{f"{name}__in": [value] for name, value in keys.items()})

    def _compile(self, names: tuple[str, ...]) -> _Statement:
        places = dict(zip(names, PLACES, strict=False))
        queryset = self.queryset(**places)
        compiler = queryset.query.get_compiler(connection.alias)
        sql, params = compiler.as_sql()
        numbers = {str(place): f"${number}" for number, place in enumerate(places.values(), start=1)}
        if sorted(str(param) for param in params if str(param) in numbers) != sorted(numbers):
            raise ValueError("the statement needs exactly one place for each key")
        verb = "lock" if queryset.query.select_for_update else "read"
        name = f"{verb}_{queryset.model._meta.db_table}_{next(_numbers)}"
        filled = tuple(AsIs(numbers[str(param)]) if str(param) in numbers else param for param in params)
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        return _Statement(queryset, compiler, name, sql, filled, converters)


def _twin(thing: Any) -> Any:
    """Another with the same attributes; Django's own copies go deeper, as they may be filtered further."""
    twin = object.__new__(type(thing))
    vars(twin).update(vars(thing))
    return twin


def _prepare(made: _Statement) -> None:
    """Once on each connection to PostgreSQL; it forgets when the connection ends, and keeps it through a rollback."""
    connection.close_if_health_check_failed()  # now, not at the read: a new connection has nothing prepared
    connection.ensure_connection()
    driver = connection.connection
    of, names = getattr(connection, "prepared", (None, set[str]()))
    if of is not driver:
        of, names = connection.prepared = driver, set()  # type: ignore[attr-defined]
    if made.name not in names:
        with connection.wrap_database_errors, driver.cursor() as cursor:
            cursor.execute(f"PREPARE {made.name} AS {made.sql}", made.params)
            TEXTS[made.name] = cursor.query.decode().partition(" AS ")[2]
        names.add(made.name)
