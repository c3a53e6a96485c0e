"""Checks that a JSON value has a shape.

A shape is a word (``int``, ``str``, ``bool``, ``number``, ``money``, ``time``, ``date``, ``clock``, ``uuid``, ``any``;
a final ``?`` allows null), a set of allowed values, a dict of required fields (others are allowed), a list of one shape
(an array of it), ``maybe(shape)`` (allows null), or ``keyed(shape)`` (an object whose values have it).
"""

import re
from typing import Any, NamedTuple

PATTERNS = {
    "money": r"\d+\.\d{2}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "date": r"\d{4}-\d\d-\d\d",
    "clock": r"\d\d:\d\d",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}


class maybe(NamedTuple):  # noqa: N801 - reads as a word in the tables of shapes.py
    """The shape, or null."""

    shape: Any


class keyed(NamedTuple):  # noqa: N801
    """An object with any keys, or with exactly ``keys`` if given."""

    shape: Any
    keys: tuple[str, ...] = ()


def problems(value: Any, shape: Any, where: str = "") -> list[str]:
    """The deviations of ``value``, one line for each field."""
    if isinstance(shape, maybe):
        return [] if value is None else problems(value, shape.shape, where)
    if isinstance(shape, str):
        return [] if _is(value, shape) else [f"{where or 'the body'} is {value!r:.60}, not {shape}"]
    if isinstance(shape, frozenset):
        return [] if value in shape else [f"{where} is {value!r:.60}, none of {', '.join(sorted(shape))}"]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where or 'the body'} is not an array"]
        return [line for place, item in enumerate(value) for line in problems(item, shape[0], f"{where}[{place}]")]
    if not isinstance(value, dict):
        return [f"{where or 'the body'} is not an object but {value!r:.60}"]
    if isinstance(shape, keyed):
        wrong = [f"{where} has the keys {sorted(value)}"] if shape.keys and set(value) != set(shape.keys) else []
        return wrong + [line for key, item in value.items() for line in problems(item, shape.shape, f"{where}.{key}")]
    missing = [f"{where}.{key} is missing" for key in shape if key not in value]
    return missing + [
        line for key, inner in shape.items() if key in value for line in problems(value[key], inner, f"{where}.{key}")
    ]


def _is(value: Any, word: str) -> bool:
    if word.endswith("?"):
        return value is None or _is(value, word[:-1])
    if word == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if word == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if word == "room":  # a room's number: digits alone are an integer
        is_text = isinstance(value, str) and re.fullmatch(r"[1-9][0-9]*", value) is None
        return is_text or (isinstance(value, int) and not isinstance(value, bool))
    if word in ("bool", "str"):
        return isinstance(value, bool if word == "bool" else str)
    return word == "any" or (isinstance(value, str) and re.fullmatch(PATTERNS[word], value) is not None)
