"""``python -m tools.release.upward_imports``: lists the names that an app imports from one above it (pyproject.toml).

It counts names in ``from … import`` and modules in ``import``, once for each file, including imports for type checking.
It skips migrations and the interface modules that the contract "the order of the apps" puts above every app.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
CONTRACT = "the order of the apps"
LIMIT = 20


class Upward(NamedTuple):
    """One imported name."""

    importer: str
    imported: str
    name: str


def order(project: Path = PROJECT) -> tuple[dict[str, int], tuple[str, ...]]:
    """The height of each unit in the contract, 0 at the bottom, and the names of the interface modules."""
    settings = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["importlinter"]
    [contract] = [one for one in settings["contracts"] if one["name"] == CONTRACT]
    rows = [re.split(r"[\s:|]+", row.strip()) for row in contract["layers"]]
    heights = {unit: len(rows) - place for place, row in enumerate(rows, start=1) for unit in row}
    interface = tuple(found[1] for one in contract["ignore_imports"] if (found := re.match(r"\*\.(\w+) -> \*\*", one)))
    return heights, interface


def unit_of(module: str, heights: dict[str, int]) -> str | None:
    """The unit of a module: the longest unit name that is a prefix."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in heights), None)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of each import in a file; the name is empty if the module itself is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def upward_imports(project: Path = PROJECT) -> list[Upward]:
    """Every name imported from a unit above the importer's, in order of importer."""
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
    """Print the upward imports and their number."""
    found = upward_imports()
    for one in found:
        print(f"{one.importer} <- {one.imported} {one.name}".rstrip())
    print(f"{len(found)} names imported upwards; at most {LIMIT} are allowed.")


if __name__ == "__main__":
    main()
