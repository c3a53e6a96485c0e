"""Checks with squawk that migrations can run during operation (docs/deployment.md, "Upgrade").

Migrations of the first release are exempt, as they run on an empty database. A migration can allow an intended finding
(such as dropping an unused column), with a reason::

    class Migration(migrations.Migration):
        lint_allows = {"ban-drop-column": "release 1.4 was the last that read it"}
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

CONFIGURATION = Path(__file__).with_name("squawk.toml")
SQUAWK = Path(sys.executable).with_name("squawk")
# Migrations up to these run on an empty database.
FIRST_RELEASE = {
    "hotel": "0004_slug_fixed",
    "housekeeping": "0002_daily_tasks",
    "notifications": "0002_relay_at_work",
    "room_bookings": "0003_list_indexes",
    "rooms": "0001_initial",
}


def main() -> int:
    """Print the findings in the migrations since the first release; returns an exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hotelmate.settings")
    django.setup()
    loader = MigrationLoader(None)
    if blind := unseen(loader):
        print(f"The linter does not work: it does not report {', '.join(blind)}.")
        return 1
    found = 0
    new = new_migrations(loader)
    for migration in new:
        state = loader.project_state((migration.app_label, migration.name), at_end=False)
        complaint = lint(migration, state)
        if complaint:
            found += 1
            print(complaint)
    print(f"{len(new)} migrations since the first release, {found} of them may block requests or break the old code.")
    return 1 if found else 0


def new_migrations(loader: MigrationLoader) -> list[migrations.Migration]:
    """HotelMate's migrations since the first release, in order."""
    before = {key for app, name in FIRST_RELEASE.items() for key in loader.graph.forwards_plan((app, name))}
    plan: list[tuple[str, str]] = []
    for target in loader.graph.leaf_nodes():
        plan += [key for key in loader.graph.forwards_plan(target) if key not in plan]
    ours = {app.label for app in apps.get_app_configs() if Path(app.path).parent == Path(settings.BASE_DIR)}
    return [loader.graph.nodes[key] for key in plan if key[0] in ours and key not in before]


def sql_of(migration: migrations.Migration, state: ProjectState) -> str:
    """The migration's SQL; Python code in it is not included."""
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        migration.apply(state.clone(), editor, collect_sql=True)
    lines = "\n".join(editor.collected_sql)
    return f"BEGIN;\n{lines}\nCOMMIT;\n" if migration.atomic else f"{lines}\n"


def lint(migration: migrations.Migration, state: ProjectState) -> str:
    """Squawk's findings, or an empty string."""
    allowed: dict[str, str] = getattr(migration, "lint_allows", {})
    if unexplained := [rule for rule, reason in allowed.items() if not reason.strip()]:
        return f"{migration}: lint_allows needs a reason for {', '.join(unexplained)}."
    # --exclude replaces the file's excluded_rules.
    excluded = [*tomllib.loads(CONFIGURATION.read_text())["excluded_rules"], *allowed]
    command = [str(SQUAWK), "--config", str(CONFIGURATION), f"--exclude={','.join(excluded)}", "--reporter=gcc"]
    command.append(f"--stdin-filepath={migration.app_label}.{migration.name}.sql")
    done = subprocess.run(command, input=sql_of(migration, state), capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


# --- a check that the linter works ------------------------------------------------------------------------------------


def _example(*operations: migrations.operations.base.Operation, atomic: bool = True) -> migrations.Migration:
    example = type("Migration", (migrations.Migration,), {"operations": list(operations), "atomic": atomic})
    return example("example", "rooms")


def unseen(loader: MigrationLoader) -> list[str]:
    """The rules that squawk fails to report for a violation; ``harmless`` for each false report."""
    index = models.Index(fields=["room_number"], name="example")
    nullable = models.TextField(null=True)
    examples = {
        "require-concurrent-index-creation": _example(migrations.AddIndex("room", index)),
        "ban-drop-column": _example(migrations.RemoveField("room", "room_number")),
        "renaming-column": _example(migrations.RenameField("room", "room_number", "number")),
        # Django drops the default again, and the old code's INSERT fails.
        "ban-drop-default": _example(migrations.AddField("room", "example", models.TextField(default=""))),
        "constraint-missing-not-valid": _example(
            migrations.AddConstraint(
                "room", models.CheckConstraint(condition=models.Q(room_number__gt=0), name="example")
            )
        ),
        "changing-column-type": _example(migrations.AlterField("room", "room_number", models.TextField())),
    }
    state = loader.project_state(("rooms", FIRST_RELEASE["rooms"]))
    blind = [rule for rule, example in examples.items() if rule not in lint(example, state)]
    harmless = [
        _example(migrations.AddField("room", "example", nullable)),
        _example(migrations.AddField("room", "example", models.TextField(db_default=""))),
        _example(AddIndexConcurrently("room", index), atomic=False),
    ]
    allowed = _example(migrations.RemoveField("room", "room_number"))
    allowed.lint_allows = {"ban-drop-column": "nothing reads it"}  # type: ignore[attr-defined]
    harmless.append(allowed)
    return blind + ["harmless" for example in harmless if lint(example, state)]


if __name__ == "__main__":
    sys.exit(main())
