"""The table of named tests: the test that fails when a guard is removed, or why removing it has no effect."""

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("named.toml")
EQUIVALENT = "equivalent"


class Named(NamedTuple):
    """By the name of the guard: the node id of its test, or why its removal has no effect."""

    tests: dict[str, str]
    equivalent: dict[str, str]


def named_tests(file: Path = FILE) -> Named:
    """Read the table from ``named.toml``, which has a section for each kind of guard."""
    sections = tomllib.loads(file.read_text())
    equivalent = sections.pop(EQUIVALENT, {})
    tests = {f"{kind} {what}": test for kind, section in sections.items() for what, test in section.items()}
    return Named(tests, equivalent)


def followed(found: Iterable[str], named: Named) -> Named:
    """The table under the names that the guards have now.

    A guard of the code is named "kind path function what". Where a file was moved or a function renamed, its entry
    still counts: entries without a guard are matched to guards without an entry by kind, function and what, then by
    kind, path and what, then by kind and what; only where there are as many of one as of the other.
    """
    names = set(found)
    listed = named.tests.keys() | named.equivalent.keys()
    new, gone = set(names - listed), set(listed - names)
    now: dict[str, str] = {}
    for parts in ((0, 2, 3), (0, 1, 3), (0, 3)):
        by_key = [_by_parts(side, parts) for side in (gone, new)]
        for key, entries in by_key[0].items():
            guards = by_key[1].get(key, [])
            if len(entries) == len(guards):
                now |= dict(zip(entries, guards, strict=True))
        gone, new = gone - now.keys(), new - set(now.values())
    return Named(*({now.get(name, name): value for name, value in table.items()} for table in named))


def _by_parts(names: Iterable[str], parts: Sequence[int]) -> dict[tuple[str, ...], list[str]]:
    """The names of guards of the code by some of their parts, each list in order; rules of the database have none."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(names):
        words = name.split(" ", 3)
        if len(words) == 4 and words[1].endswith(".py"):
            found.setdefault(tuple(words[part] for part in parts), []).append(name)
    return found


def differences(found: set[str], named: Named) -> list[str]:
    """The guards of ``found`` that the table lacks, and its superfluous entries, as sentences."""
    listed = named.tests.keys() | named.equivalent.keys()
    return [
        *(f"no named test: {name}" for name in sorted(found - listed)),
        *(f"not in the code: {name}" for name in sorted(listed - found)),
        *(f"named twice: {name}" for name in sorted(named.tests.keys() & named.equivalent.keys())),
    ]
