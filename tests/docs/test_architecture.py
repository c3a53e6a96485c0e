"""docs/architecture.md draws what import-linter enforces: the order of the apps, the layers, the exceptions."""

import re
import tomllib

from local.datadir import PROJECT
from tools.release.upward_imports import order

PAGE = (PROJECT / "docs" / "architecture.md").read_text()
CONTRACTS = {
    contract["name"]: contract
    for contract in tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return table[1:]


def modules(cell: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", cell)


def test_the_apps_are_drawn_in_their_order():
    heights, _ = order()
    arrows = re.findall(r'^    (\w+)(?:\["[^"]*"\])? --> (\w+)', PAGE, re.MULTILINE)
    labels = dict(re.findall(r'(\w+)\["([\w. :]+)<br>', PAGE))
    drawn = [arrows[0][0], *(below for _, below in arrows)]
    assert [above for above, _ in arrows] == drawn[:-1]
    units = [set(labels[box].split(" : ")) for box in drawn]
    # The models and reads of room_bookings are one box.
    by_height: dict[int, set[str]] = {}
    for unit, height in heights.items():
        is_data = unit.startswith("room_bookings.") and unit != "room_bookings.services"
        by_height.setdefault(height, set()).add("room_bookings" if is_data else unit)
    assert units == [by_height[height] for height in sorted(by_height, reverse=True)]


def test_the_layers_have_the_modules_of_the_contract():
    layers = CONTRACTS["interface, services, reads, models"]["layers"]
    wanted = [sorted(re.findall(r"\((\w+)\)", layer)) for layer in layers]
    assert [sorted(modules(row[1])) for row in rows("The layers of an app")] == wanted


def test_the_exceptions_are_those_of_the_contract():
    ignored = CONTRACTS["the order of the apps"]["ignore_imports"]
    wanted = {tuple(one.split(" -> ")) for one in ignored if not one.startswith("*")}
    assert {
        (importer, imported)
        for row in rows("The order of the apps")
        for importer in modules(row[0])
        for imported in modules(row[1])
    } == wanted
