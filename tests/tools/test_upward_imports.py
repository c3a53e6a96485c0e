"""Few names are imported upwards, and the count finds all of them."""

from pathlib import Path

from tools.release.upward_imports import LIMIT, PROJECT, Upward, order, unit_of, upward_imports


def test_number_of_upward_imports_is_limited():
    found = upward_imports()
    assert 0 < len(found) <= LIMIT, found


def test_every_app_is_in_the_order():
    heights, _ = order()
    apps = {path.parent.name for path in PROJECT.glob("*/apps.py")}
    assert apps <= {unit.partition(".")[0] for unit in heights}


def test_a_module_belongs_to_the_longest_unit():
    heights = {"room_bookings.services": 3, "room_bookings.models": 1}
    assert unit_of("room_bookings.services.cancel", heights) == "room_bookings.services"
    assert unit_of("room_bookings.admin", heights) is None


def test_counted_imports(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(
        "[[tool.importlinter.contracts]]\n"
        'name = "the order of the apps"\n'
        'layers = ["upper", "lower"]\n'
        'ignore_imports = ["*.views -> **", "lower.services -> upper.models"]\n'
    )
    for path, text in {
        "upper/models.py": "from lower.models import Base\n",
        "lower/services.py": "from upper.models import One, Two\nimport upper.models\nimport os\n",
        "lower/views.py": "from upper.models import One\n",
        "lower/migrations/0001.py": "from upper.models import One\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert upward_imports(tmp_path) == [
        Upward("lower.services", "upper.models", "One"),
        Upward("lower.services", "upper.models", "Two"),
        Upward("lower.services", "upper.models", ""),
    ]
