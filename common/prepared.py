"""Reads by primary key whose statement is built once: for a wide row, Django takes longer to build it than PostgreSQL
to answer it (measured: half the processor time of a check-in)."""

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)
PLACE = -1  # a primary key that no row has: where the real one goes among the statement's parameters


class PreparedRead(Generic[M]):
    """One row of what ``build`` selects, by its primary key, exactly as the queryset itself would give it.

    ``build`` makes the queryset, with whatever it joins and annotates; no parameter of its own may be ``PLACE``. Not
    for ``select_for_update``, whose check for a transaction is made where the statement is built.
    """

    def __init__(self, build: Callable[[], QuerySet[M]]) -> None:
        self._build = build
        self._made: tuple[QuerySet[M], Any, str, tuple[Any, ...]] | None = None

    def read(self, pk: int) -> list[M]:
        """The row, or nothing; one statement."""
        queryset, compiler, sql, params = self._made = self._made or self._compile()
        mine = copy.copy(compiler)  # it keeps state of one run, and each thread has its own connection
        mine.connection = connection
        filled = tuple(pk if param == PLACE else param for param in params)
        mine.as_sql = lambda *_args, **_kwargs: (sql, filled)
        rows = queryset.all()
        rows.query.get_compiler = lambda *_args, **_kwargs: mine  # type: ignore[method-assign]
        return list(rows)

    def _compile(self) -> tuple[QuerySet[M], Any, str, tuple[Any, ...]]:
        queryset = self._build().filter(pk__in=[PLACE])
        compiler = queryset.query.get_compiler(connection.alias)
        sql, params = compiler.as_sql()
        if tuple(params).count(PLACE) != 1:
            raise ValueError("the statement needs exactly one place for the primary key")
        return queryset, compiler, sql, tuple(params)
