"""JSON excerpts in the documentation: ``…`` stands for anything, and the end may be cut off."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

# The key or element that stands for any others.
MORE = "…"

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|…|[{}\[\]:,]|-?\d[\d.eE+-]*|true|false|null)')
_LITERALS = {"true": True, "false": False, "null": None}

# Texts that vary with each run, compared by type only; in all others only the digits vary.
VOLATILE_TEXTS = {"token", "guest_token", "auth", "event_id", "confirmation_number"}
# Numbers that vary with each run.
VOLATILE_NUMBERS = re.compile(r"([A-Z_]+|(\w+_)?(id|ids|number|room|seq|count|rooms|version|before|bookable))\Z")


@lru_cache(maxsize=64)  # a long answer is compared with many texts
def excerpt(text: str) -> Any:
    """The value of a JSON excerpt; omitted parts become ``MORE``. Raises ValueError."""
    tokens, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        token = _TOKEN.match(stripped, at)
        if token is None:
            raise ValueError(f"no JSON: {stripped[at : at + 40]!r}")
        tokens.append(token[1])
        at = token.end()
    if not tokens:
        raise ValueError("nothing")
    rest = iter(tokens)
    value = _value(next(rest), rest)
    if (extra := next(rest, None)) is not None:
        raise ValueError(f"{extra!r} after the end")
    return value


def _value(token: str, rest: Iterator[str]) -> Any:
    if token == "{":
        return _members(rest)
    if token == "[":
        return _elements(rest)
    if token in _LITERALS:
        return _LITERALS[token]
    if token == MORE:
        return MORE
    if token.startswith('"'):
        return re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), token[1:-1]).replace('\\"', '"')
    if token in "}]:,":
        raise ValueError(f"{token!r} out of place")
    return float(token) if "." in token else int(token)


def _members(rest: Iterator[str]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for token in rest:
        if token == "}":
            return members
        if token == ",":
            continue
        if token == MORE:
            members[MORE] = MORE
            continue
        if next(rest, ":") != ":":
            raise ValueError(f"no value for {token}")
        members[_value(token, rest)] = _value(next(rest, MORE), rest)
    return members | {MORE: MORE}  # cut off


def _elements(rest: Iterator[str]) -> list[Any]:
    elements: list[Any] = []
    for token in rest:
        if token == "]":
            return elements
        if token != ",":
            elements.append(_value(token, rest))
    return [*elements, MORE]  # cut off


def differences(said: Any, actual: Any, where: str = "") -> Iterator[str]:
    """The differences between the excerpt ``said`` and ``actual``, which may be cut off too."""
    if MORE in (said, actual):
        return
    if type(said) is not type(actual):
        yield f"{where or 'it'} is {actual!r}, not {said!r}"
    elif isinstance(said, dict):
        yield from _different_members(said, actual, where)
    elif isinstance(said, list):
        yield from _different_elements(said, actual, where)
    elif not _same(said, actual, where.rpartition(".")[2].partition("[")[0]):
        yield f"{where or 'it'} is {actual!r}, not {said!r}"


def _different_members(said: dict[str, Any], actual: dict[str, Any], where: str) -> Iterator[str]:
    for key in said:
        if key != MORE and key not in actual:
            yield f"{where} has no {key}: it has {', '.join(actual)}"
        elif key != MORE:
            yield from differences(said[key], actual[key], f"{where}.{key}")
    if MORE not in said and (others := [key for key in actual if key not in said]):
        yield f"{where} also has {', '.join(others)}"


def _different_elements(said: list[Any], actual: list[Any], where: str) -> Iterator[str]:
    cut = said.index(MORE) if MORE in said else len(said)
    first, last = said[:cut], said[cut + 1 :]
    if len(actual) < len(first) + len(last) or (MORE not in said and len(actual) > len(said)):
        yield f"{where} has {len(actual)} elements"
        return
    for number, element in enumerate(first):
        yield from differences(element, actual[number], f"{where}[{number}]")
    for number, element in enumerate(reversed(last), start=1):
        yield from differences(element, actual[-number], f"{where}[-{number}]")


def _same(said: Any, actual: Any, key: str) -> bool:
    if isinstance(said, str):
        return key in VOLATILE_TEXTS or in_shape(said, {shape(actual)})
    if isinstance(said, bool) or said is None:
        return said is actual
    return bool(VOLATILE_NUMBERS.match(key)) or said == actual


def shape(text: str) -> str:
    """A text without its digits, as for times, dates and booking references."""
    return re.sub(r"\d+", "0", re.sub(r"\.\d{6}Z", "Z", text))


def line_shape(line: str) -> str:
    """A line without its digits and without the names of people and room types."""
    return re.sub(r"\b(?![A-Z]{2})[A-Z][\w’'-]*", "A", shape(line))


def in_shape(said: str, shapes: set[str]) -> bool:
    """Whether ``said``, where ``…`` stands for anything, matches one of the shapes."""
    pattern = ".*".join(map(re.escape, shape(said).split(MORE)))
    return any(re.fullmatch(pattern, one) for one in shapes)
