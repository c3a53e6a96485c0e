"""Reads by a unique key whose statement is built once by Django and planned once by PostgreSQL on each connection: for
a wide row, both take longer than the reading (measured: two thirds of a status update)."""

import copy
import itertools
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from django.db import connection, connections
from django.db.models import Model, QuerySet
from psycopg2.extensions import AsIs

M = TypeVar("M", bound=Model)
PLACE = -1  # a key that no row has: where the real one goes among the statement's parameters
_numbers = itertools.count(1)


class _Statement(NamedTuple):
    queryset: QuerySet[Any]
    compiler: Any
    name: str
    sql: str
    params: tuple[Any, ...]  # with ``PLACE`` as ``$1``
    converters: Any  # from what the driver gives to what the fields hold


class PreparedRead(Generic[M]):
    """One row of what ``build`` selects, by its ``key``, exactly as the queryset itself would give it.

    ``build`` makes the queryset, with whatever it joins and annotates; no parameter of its own may be ``PLACE``, and
    whatever else it filters by stays as it was at the first read. Not for ``select_for_update``, whose check for a
    transaction is made where the statement is built.
    """

    def __init__(self, build: Callable[[], QuerySet[M]], key: str = "pk") -> None:
        self._build = build
        self._key = key
        self._made: _Statement | None = None

    def read(self, value: Any) -> list[M]:
        """The row whose key is ``value``, or nothing; one statement."""
        made = self._made = self._made or self._compile()
        _prepare(made)
        mine = copy.copy(made.compiler)  # it keeps state of one run, and each thread has its own connection
        mine.connection = connections[connection.alias]
        mine.as_sql = lambda *_args, **_kwargs: (f"EXECUTE {made.name}(%s)", (value,))
        mine.get_converters = lambda _columns: made.converters
        rows = made.queryset.all()
        rows.query.get_compiler = lambda *_args, **_kwargs: mine  # type: ignore[method-assign]
        return list(rows)

    def _compile(self) -> _Statement:
        queryset = self._build().filter(**{f"{self._key}__in": [PLACE]})
        compiler = queryset.query.get_compiler(connection.alias)
        sql, params = compiler.as_sql()
        places = [str(param) == str(PLACE) for param in params]
        if sum(places) != 1:
            raise ValueError("the statement needs exactly one place for the key")
        name = f"read_{queryset.model._meta.db_table}_{next(_numbers)}"
        filled = tuple(AsIs("$1") if place else param for place, param in zip(places, params, strict=True))
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        return _Statement(queryset, compiler, name, sql, filled, converters)


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
        names.add(made.name)
