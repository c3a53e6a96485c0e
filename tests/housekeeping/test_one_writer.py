"""``Room.room_status`` has one writer: no other module of the project assigns it, in any way that Django offers."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITER = ROOT / "housekeeping" / "services.py"
# The bench writes to its own hotels: the same change by hand, for comparison, and rooms with years of history.
MEASURED = {ROOT / "tools" / "bench" / name for name in ("floor.py", "growth.py", "many_hotels.py")}
APPS = (
    *("board", "common", "hotel", "hotelmate", "housekeeping", "local"),
    *("notifications", "operations", "room_bookings", "rooms", "tools"),
)
WRITING_CALLS = {"Room", "create", "get_or_create", "update_or_create", "update", "bulk_create", "bulk_update", "save"}
RAW_SQL = re.compile(r"update\s+\S*rooms_room\b.*\broom_status|insert\s+into\s+\S*rooms_room\b", re.I | re.S)


def modules() -> list[Path]:
    return [
        path
        for app in APPS
        for path in sorted((ROOT / app).rglob("*.py"))
        if "migrations" not in path.parts and path not in {WRITER, *MEASURED}
    ]


def writes(source: str) -> list[int]:
    """The lines of ``source`` that write a room status."""
    return [node.lineno for node in ast.walk(ast.parse(source)) if _writes(node)]


def _writes(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "room_status" and isinstance(node.ctx, ast.Store | ast.Del)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(RAW_SQL.search(node.value))
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "setattr":
        return _names_it(node.args[1])
    if name not in WRITING_CALLS:
        return False
    return any(keyword.arg == "room_status" for keyword in node.keywords) or any(
        _names_it(inner) for argument in [*node.args, *[k.value for k in node.keywords]] for inner in ast.walk(argument)
    )


def _names_it(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == "room_status"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_module_writes_the_status(path):
    assert writes(path.read_text()) == []


def test_the_writer_writes_the_status():
    assert writes(WRITER.read_text()) != []


@pytest.mark.parametrize(
    "bypass",
    [
        "room.room_status = 'OCCUPIED'",
        "del room.room_status",
        "setattr(room, 'room_status', 'OCCUPIED')",
        "Room.objects.filter(pk=1).update(room_status='OCCUPIED')",
        "Room.objects.filter(pk=1).update(**{'room_status': 'OCCUPIED'})",
        "Room.objects.create(room_status='OCCUPIED')",
        "Room(room_status='OCCUPIED')",
        "Room.objects.bulk_update(rooms, ['room_status'])",
        "room.save(update_fields=['room_status'])",
        "cursor.execute('UPDATE rooms_room SET room_status = 1')",
    ],
)
def test_every_way_of_writing_is_detected(bypass):
    assert writes(bypass) == [1]


@pytest.mark.parametrize("reading", ["Room.objects.filter(room_status='OCCUPIED')", "status = room.room_status"])
def test_reading_is_not_reported(reading):
    assert writes(reading) == []
