"""The npm packages that ``make run`` installs for the board, and that npm is optional. No test calls a registry."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import npm
from local.datadir import PROJECT, try_lock
from local.signals import StopRequestedError

# A fake npm: logs each call, and exits as the lockfile says.
FAKE_NPM = f"""#!{sys.executable}
import json, os, pathlib, sys, time
with open("calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
lock = json.load(open("package-lock.json"))
time.sleep(lock.get("seconds", 0))
pathlib.Path("node_modules").mkdir(exist_ok=True)
sys.exit(lock.get("code", 0))
"""


class NpmProject:
    """A project with a lockfile, and the messages of its installation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.path = folder / "bin"
        self.path.mkdir()

    def has_npm(self, script: str = FAKE_NPM) -> None:
        (self.path / "npm").write_text(script)
        (self.path / "npm").chmod(0o755)

    def lock(self, **says: object) -> None:
        (self.folder / "package-lock.json").write_text(json.dumps(says))

    def install(self, pause: Callable[[float], None] = time.sleep) -> list[str]:
        """Install, and return the calls of npm."""
        self.said.clear()
        (self.folder / "calls").write_text("")
        npm.install(self.said.append, pause, os.environ | {"PATH": str(self.path)}, self.folder)
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def npm_project(tmp_path: Path) -> NpmProject:
    npm_project = NpmProject(tmp_path)
    npm_project.lock(name="board")
    return npm_project


def test_a_lockfile_is_installed_once_and_again_when_it_changes(npm_project: NpmProject):
    npm_project.has_npm()
    [call] = npm_project.install()
    assert call.startswith("ci --omit=dev --ignore-scripts ")
    assert len(npm_project.said) == 1 and npm_project.said[0].startswith(
        "Installing package-lock.json into node_modules"
    )

    (npm_project.folder / "package-lock.json").touch()  # newer, but no different
    assert npm_project.install() == []
    assert npm_project.said == []

    npm_project.lock(name="board", version=2)
    assert len(npm_project.install()) == 1


def test_missing_npm_is_one_line_with_the_consequence(npm_project: NpmProject):
    assert npm_project.install() == []
    assert npm_project.said == [f"npm is not installed: {npm.OTHERWISE}"]


@pytest.mark.parametrize("script", [FAKE_NPM, "#!/no/such/interpreter\n"])
def test_failure_is_one_line_and_is_retried(npm_project: NpmProject, script: str):
    npm_project.has_npm(script)
    npm_project.lock(code=1)
    for _ in range(2):
        npm_project.install()
        assert npm_project.said[1:] == [f"npm could not install it; {npm.OTHERWISE}"]
    npm_project.has_npm()
    npm_project.lock(code=0)
    assert len(npm_project.install()) == 1
    assert npm_project.install() == []


def test_a_project_without_a_lockfile_needs_nothing(npm_project: NpmProject):
    (npm_project.folder / "package-lock.json").unlink()
    npm_project.has_npm()
    assert npm_project.install() == []
    assert npm_project.said == []


def test_npm_that_takes_too_long_is_ended(npm_project: NpmProject, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npm, "SECONDS", 0.5)
    npm_project.has_npm()
    npm_project.lock(seconds=60)
    began = time.monotonic()
    npm_project.install()
    assert time.monotonic() - began < 30
    assert npm_project.said[1:] == [f"npm could not install it; {npm.OTHERWISE}"]


def test_stopping_does_not_wait_for_npm(npm_project: NpmProject):
    def pause(seconds: float) -> None:
        time.sleep(seconds)
        if (npm_project.folder / "calls").read_text():
            raise StopRequestedError

    npm_project.has_npm()
    npm_project.lock(seconds=60)
    began = time.monotonic()
    with pytest.raises(StopRequestedError):
        npm_project.install(pause)
    assert time.monotonic() - began < 30
    assert not npm.stamp(npm_project.folder).exists()


def test_lockfile_is_exact_and_has_no_host():
    package = json.loads((PROJECT / "package.json").read_text())
    text = (PROJECT / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert package["dependencies"] == {"pusher-js": packages["node_modules/pusher-js"]["version"]}
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)
    assert "://" not in text


def test_make_run_installs_packages_before_anything_starts(project: Path, clean_env: dict[str, str], tmp_path: Path):
    npm_project = NpmProject(project)
    npm_project.has_npm()
    npm_project.lock(name="board")
    (project / "gunicorn.py").write_text("raise SystemExit(7)")
    env = clean_env | {"PATH": f"{npm_project.path}:{clean_env['PATH']}"}
    done = subprocess.run(
        ["make", "run"], cwd=project, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (project / "calls").read_text().startswith("ci ")
    assert done.stdout.index("Installing package-lock.json") < done.stdout.index("Starting PostgreSQL")


def test_npm_that_does_not_stop_is_killed(npm_project: NpmProject, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npm, "SECONDS", 1)
    monkeypatch.setattr(npm, "TO_STOP", 0.5)
    npm_project.has_npm(f"#!{sys.executable}\nimport signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)\n")
    began = time.monotonic()
    npm_project.install()
    assert time.monotonic() - began < 30
    assert npm_project.said[1:] == [f"npm could not install it; {npm.OTHERWISE}"]


def test_waiting_for_another_install_times_out_with_a_message(npm_project: NpmProject, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npm, "SECONDS", 0.2)
    npm_project.has_npm()
    with open(npm_project.folder / "package-lock.json") as other:
        assert try_lock(other.fileno(), fcntl.LOCK_EX)
        assert npm_project.install() == []
    [said] = npm_project.said
    assert said.startswith("Another start is still installing package-lock.json after 0.2 s")
