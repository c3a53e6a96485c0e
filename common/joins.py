"""A join with rows that exist only in Python, passed as a single parameter."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Field, QuerySet
from django.db.models.expressions import Col
from django.db.models.sql.constants import INNER


def join_rows(
    queryset: QuerySet[Any],
    rows: Iterable[Mapping[str, Any]],
    *,
    on: str | Sequence[str],
    columns: "Mapping[str, Field[Any, Any]]",
) -> QuerySet[Any]:
    """``queryset`` inner-joined with ``rows`` on its field or fields ``on``.

    ``rows`` are mappings of ``on`` and ``columns``. The columns become annotations that filters refer to by ``F`` and
    that are not selected. The rows are passed as one JSON array, so the SQL is the same for any number of them.
    """
    queryset = queryset.all()
    keys = [queryset.model._meta.get_field(name) for name in ([on] if isinstance(on, str) else on)]
    for name, field in columns.items():
        field.column = name  # it belongs to no model, so Django leaves the name unset
    join: Any = _Rows(queryset.query.get_initial_alias(), keys, dict(columns), json.dumps([*rows], default=str))
    alias = queryset.query.join(join)
    return queryset.alias(**{name: Col(alias, field) for name, field in columns.items()})


class _Rows:
    """A FROM item with the interface of a join in ``django.db.models.sql``."""

    join_type = INNER
    nullable = False
    filtered_relation = None
    table_name = "known"

    def __init__(self, parent: str, keys: Sequence[Any], columns: "dict[str, Field[Any, Any]]", rows: str) -> None:
        self.parent_alias = parent
        self.table_alias = self.table_name
        self._keys, self._columns, self._rows = keys, columns, rows

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        quoted, name = compiler.quote_name_unless_alias, connection.ops.quote_name
        typed = {key.name: key for key in self._keys} | self._columns
        shape = ", ".join(f"{name(column)} {field.db_type(connection)}" for column, field in typed.items())
        alias, own = quoted(self.table_alias), quoted(self.parent_alias)
        same = " AND ".join(f"{alias}.{name(key.name)} = {own}.{name(key.column)}" for key in self._keys)
        return f"INNER JOIN json_to_recordset(%s) AS {alias}({shape}) ON ({same})", [self._rows]

    def relabeled_clone(self, changes: Mapping[str, str]) -> "_Rows":
        parent = changes.get(self.parent_alias, self.parent_alias)
        clone = _Rows(parent, self._keys, self._columns, self._rows)
        clone.table_alias = changes.get(self.table_alias, self.table_alias)
        return clone
