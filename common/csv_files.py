"""CSV files for download, as spreadsheets open them."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import HttpResponse

# A spreadsheet evaluates a cell that begins with one of these (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, as_is: bool = False) -> str:
    """The columns of the rows. Text that a spreadsheet would evaluate gets an apostrophe in front, unless ``as_is``:
    for files that are imported again."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name], as_is) for name in columns])
    return out.getvalue()


def _cell(value: Any, as_is: bool) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.startswith(FORMULA_STARTS) and not as_is:
        return f"'{value}"
    return "" if value is None else str(value)


def csv_file(text: str, name: str) -> HttpResponse:
    """A response that the browser saves. The byte order mark tells spreadsheets that it is UTF-8."""
    answer = HttpResponse("\ufeff" + text, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
