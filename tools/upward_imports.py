"""``python -m tools.upward_imports``: the names that an app imports from one above it, by the order in pyproject.toml.

Counted are names in ``from … import`` and modules in ``import``, once for each file that imports them, type checking
included. Left out are migrations, and the interface modules that the contract "the order of the apps" names: they stand
above every app.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
CONTRACT = "the order of the apps"
LIMIT = 20


class Upward(NamedTuple):
    """One imported name."""

    importer: str
    imported: str
    name: str


def order(project: Path = PROJECT) -> tuple[dict[str, int], tuple[str, ...]]:
    """The height of each unit that the contract names, 0 at the bottom, and the interface modules' names."""
    settings = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["importlinter"]
    [contract] = [one for one in settings["contracts"] if one["name"] == CONTRACT]
    rows = [re.split(r"[\s:|]+", row.strip()) for row in contract["layers"]]
    heights = {unit: len(rows) - place for place, row in enumerate(rows, start=1) for unit in row}
    interface = tuple(found[1] for one in contract["ignore_imports"] if (found := re.match(r"\*\.(\w+) -> \*\*", one)))
    return heights, interface


def unit_of(module: str, heights: dict[str, int]) -> str | None:
    """The unit that the module belongs to: the longest name that it begins with."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in heights), None)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of each import of the file; the name is empty where the module itself is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def upward_imports(project: Path = PROJECT) -> list[Upward]:
    """Every name imported from a unit above the importer's, by importer."""
    heights, interface = order(project)
    found = []
    for app in sorted({unit.partition(".")[0] for unit in heights}):
        for path in sorted((project / app).rglob("*.py")):
            module = ".".join(path.relative_to(project).with_suffix("").parts)
            unit = unit_of(module, heights)
            if unit is None or "migrations" in path.parts or path.stem in interface:
                continue
            for source, name in imports(path):
                above = unit_of(f"{source}.{name}", heights)
                if above is not None and heights[above] > heights[unit]:
                    found.append(Upward(module, source, name))
    return found


def main() -> None:
    """Print them, and how many there are."""
    found = upward_imports()
    for one in found:
        print(f"{one.importer} <- {one.imported} {one.name}".rstrip())
    print(f"{len(found)} names imported upwards; at most {LIMIT} are allowed.")


if __name__ == "__main__":
    main()
