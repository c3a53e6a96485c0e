"""Imported by mutated code: calls a function without locking the rows that it reads."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.db.models import QuerySet

from common.prepared import PreparedRead

_unlocked: ContextVar[bool] = ContextVar("unlocked", default=False)
_select_for_update = QuerySet.select_for_update
_read = PreparedRead.read


def _select(rows: QuerySet[Any], *args: Any, **kwargs: Any) -> QuerySet[Any]:
    return rows.all() if _unlocked.get() else _select_for_update(rows, *args, **kwargs)


def _unprepared(prepared: PreparedRead[Any], **keys: Any) -> list[Any]:
    return list(prepared.queryset(**keys)) if _unlocked.get() else _read(prepared, **keys)


def unlocked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``function`` so that it locks no rows; calls in other threads still lock."""

    def call(*args: Any, **kwargs: Any) -> Any:
        QuerySet.select_for_update = _select  # type: ignore[method-assign, assignment]
        PreparedRead.read = _unprepared  # type: ignore[method-assign, assignment]
        before = _unlocked.set(True)
        try:
            return function(*args, **kwargs)
        finally:
            _unlocked.reset(before)

    return call
