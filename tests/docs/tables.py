"""The reference pages as tables, and the notation for fields in their cells.

``{room_id?, party?[{first_name}], room*{Room}}``: ``?`` marks what may be left out, ``*`` what may be null, ``[]`` a
list; a name in brackets is another shape of the page.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

CODE = re.compile(r"`([^`]+)`")
_TOKEN = re.compile(r"[A-Za-z_]\w*|[?*{}\[\],]")


@dataclass(frozen=True)
class Table:
    """A table under a heading of the second level; each row by the names of the columns."""

    section: str
    columns: tuple[str, ...]
    rows: list[dict[str, str]] = field(default_factory=list)


@lru_cache(maxsize=4)  # of a page that is read by many checks
def tables(text: str) -> list[Table]:
    """The tables of a page, in order."""
    found: list[Table] = []
    section, previous = "", ""
    for line in re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("|"):
            cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
            if not previous.startswith("|"):
                found.append(Table(section, cells))
            elif set(line) - set("|-: "):
                if len(cells) != len(found[-1].columns):
                    raise ValueError(f"a row of {len(cells)} cells under {found[-1].columns}: {line}")
                found[-1].rows.append(dict(zip(found[-1].columns, cells, strict=True)))
        previous = line
    return found


def codes(cell: str) -> list[str]:
    """The parts of a cell that are formatted as code."""
    return CODE.findall(cell)


@dataclass(frozen=True)
class Field:
    """A field of a JSON object: ``inner`` are the fields within it, or the name of a shape."""

    optional: bool = False
    nullable: bool = False
    many: bool = False
    inner: "Fields | str | None" = None


Fields = Mapping[str, Field]


@cache
def fields(text: str) -> dict[str, Field]:
    """The fields that a text in the pages' notation lists."""
    tokens = _TOKEN.findall(text)
    found = dict(_fields(tokens))
    if tokens:
        raise ValueError(f"{tokens[0]!r} is out of place in {text!r}")
    return found


def _fields(tokens: list[str]) -> Iterator[tuple[str, Field]]:
    while tokens and (tokens[0].isidentifier() or tokens[0] == ","):
        name = tokens.pop(0)
        if name == ",":
            continue
        marks = set()
        while tokens and tokens[0] in "?*":
            marks.add(tokens.pop(0))
        many, inner = False, None
        if tokens and tokens[0] in "[{":
            many, inner = tokens[0] == "[", _bracketed(tokens)
        yield name, Field("?" in marks, "*" in marks, many, inner)


def _bracketed(tokens: list[str]) -> "Fields | str | None":
    closing = {"{": "}", "[": "]"}[tokens.pop(0)]
    inner: Fields | str | None = None
    if tokens[0] == "{":
        inner = _bracketed(tokens)
    elif tokens[0][0].isupper():
        inner = tokens.pop(0)
    else:
        inner = dict(_fields(tokens)) or None
    if not tokens or tokens.pop(0) != closing:
        raise ValueError(f"no {closing}")
    return inner


def documented_fields(schema: Any, components: Mapping[str, Any]) -> dict[str, Field]:
    """The fields of an object in the OpenAPI document, in the same form; ``inner`` is never a name."""
    found = {}
    plain, _ = _plain(schema, components)
    for name, value in plain["properties"].items():
        kind, nullable = _plain(value, components)
        many = kind.get("type") == "array"
        item = _plain(kind["items"], components)[0] if many else kind
        inner = documented_fields(item, components) if "properties" in item else None
        found[name] = Field(name not in plain.get("required", ()), nullable, many, inner)
    return found


def _plain(schema: Any, components: Mapping[str, Any]) -> tuple[Any, bool]:
    """The schema that references lead to, and whether null is allowed."""
    nullable = bool(schema.get("nullable"))
    while True:
        nullable = nullable or bool(schema.get("nullable"))
        if "$ref" in schema:
            schema = components[schema["$ref"].rpartition("/")[2]]
        elif "allOf" in schema:
            schema = schema["allOf"][0]  # alone, or with what dry runs add
        elif "oneOf" in schema:
            names = [option.get("$ref", "").rpartition("/")[2] for option in schema["oneOf"]]
            nullable = nullable or "NullEnum" in names
            schema = schema["oneOf"][0]
        else:
            return schema, nullable
