"""The table of named tests: which test turns red when a guard is removed, and what nobody could notice."""

import tomllib
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("named.toml")
EQUIVALENT = "equivalent"


class Named(NamedTuple):
    """By the name of the guard: the node id of its test, or why its removal changes nothing."""

    tests: dict[str, str]
    equivalent: dict[str, str]


def named_tests(file: Path = FILE) -> Named:
    """The table, as ``named.toml`` has it: one section for each kind of guard."""
    sections = tomllib.loads(file.read_text())
    equivalent = sections.pop(EQUIVALENT, {})
    tests = {f"{kind} {what}": test for kind, section in sections.items() for what, test in section.items()}
    return Named(tests, equivalent)


def differences(found: set[str], named: Named) -> list[str]:
    """What the table lacks of the guards that were ``found``, and what it has too many; sentences."""
    listed = named.tests.keys() | named.equivalent.keys()
    return [
        *(f"no named test: {name}" for name in sorted(found - listed)),
        *(f"gone from the code: {name}" for name in sorted(listed - found)),
        *(f"named twice: {name}" for name in sorted(named.tests.keys() & named.equivalent.keys())),
    ]
