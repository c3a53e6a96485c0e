"""What ``make run`` installs for the board, and that nobody needs npm for it. No test asks a registry."""

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

# It notes each call, and ends as the lockfile says.
STAND_IN_NPM = f"""#!{sys.executable}
import json, os, pathlib, sys, time
with open("calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
lock = json.load(open("package-lock.json"))
time.sleep(lock.get("seconds", 0))
pathlib.Path("node_modules").mkdir(exist_ok=True)
sys.exit(lock.get("code", 0))
"""


class House:
    """A project with a lockfile, and what was said while it was installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.path = folder / "bin"
        self.path.mkdir()

    def has_npm(self, script: str = STAND_IN_NPM) -> None:
        (self.path / "npm").write_text(script)
        (self.path / "npm").chmod(0o755)

    def lock(self, **says: object) -> None:
        (self.folder / "package-lock.json").write_text(json.dumps(says))

    def install(self, pause: Callable[[float], None] = time.sleep) -> list[str]:
        """The calls of npm that this took."""
        self.said.clear()
        (self.folder / "calls").write_text("")
        npm.install(self.said.append, pause, os.environ | {"PATH": str(self.path)}, self.folder)
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.lock(name="board")
    return house


def test_a_lockfile_is_installed_once_and_again_when_it_changes(house: House):
    house.has_npm()
    [call] = house.install()
    assert call.startswith("ci --omit=dev --ignore-scripts ")
    assert len(house.said) == 1 and house.said[0].startswith("Installing package-lock.json into node_modules")

    (house.folder / "package-lock.json").touch()  # newer, but no different
    assert house.install() == []
    assert house.said == []

    house.lock(name="board", version=2)
    assert len(house.install()) == 1


def test_without_npm_one_sentence_says_what_happens_instead(house: House):
    assert house.install() == []
    assert house.said == [f"npm is not installed: {npm.OTHERWISE}"]


@pytest.mark.parametrize("script", [STAND_IN_NPM, "#!/no/such/interpreter\n"])
def test_a_failure_is_one_sentence_and_is_tried_again(house: House, script: str):
    house.has_npm(script)
    house.lock(code=1)
    for _ in range(2):
        house.install()
        assert house.said[1:] == [f"npm could not install it; {npm.OTHERWISE}"]
    house.has_npm()
    house.lock(code=0)
    assert len(house.install()) == 1
    assert house.install() == []


def test_a_project_without_a_lockfile_needs_nothing(house: House):
    (house.folder / "package-lock.json").unlink()
    house.has_npm()
    assert house.install() == []
    assert house.said == []


def test_npm_that_takes_too_long_is_ended(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npm, "SECONDS", 0.5)
    house.has_npm()
    house.lock(seconds=60)
    began = time.monotonic()
    house.install()
    assert time.monotonic() - began < 30
    assert house.said[1:] == [f"npm could not install it; {npm.OTHERWISE}"]


def test_whoever_stops_waits_for_no_npm(house: House):
    def pause(seconds: float) -> None:
        time.sleep(seconds)
        if (house.folder / "calls").read_text():
            raise StopRequestedError

    house.has_npm()
    house.lock(seconds=60)
    began = time.monotonic()
    with pytest.raises(StopRequestedError):
        house.install(pause)
    assert time.monotonic() - began < 30
    assert not npm.stamp(house.folder).exists()


def test_the_lockfile_is_exact_and_names_no_host():
    package = json.loads((PROJECT / "package.json").read_text())
    text = (PROJECT / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert package["dependencies"] == {"pusher-js": packages["node_modules/pusher-js"]["version"]}
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)
    assert "://" not in text


def test_make_run_installs_it_before_anything_starts(project: Path, clean_env: dict[str, str], tmp_path: Path):
    house = House(project)
    house.has_npm()
    house.lock(name="board")
    (project / "gunicorn.py").write_text("raise SystemExit(7)")
    env = clean_env | {"PATH": f"{house.path}:{clean_env['PATH']}"}
    done = subprocess.run(
        ["make", "run"], cwd=project, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (project / "calls").read_text().startswith("ci ")
    assert done.stdout.index("Installing package-lock.json") < done.stdout.index("Starting PostgreSQL")


def test_npm_that_does_not_stop_is_killed(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npm, "SECONDS", 1)
    monkeypatch.setattr(npm, "TO_STOP", 0.5)
    house.has_npm(f"#!{sys.executable}\nimport signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)\n")
    began = time.monotonic()
    house.install()
    assert time.monotonic() - began < 30
    assert house.said[1:] == [f"npm could not install it; {npm.OTHERWISE}"]


def test_who_finds_another_at_it_for_too_long_goes_on_and_says_so(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npm, "SECONDS", 0.2)
    house.has_npm()
    with open(house.folder / "package-lock.json") as other:
        assert try_lock(other.fileno(), fcntl.LOCK_EX)
        assert house.install() == []
    [said] = house.said
    assert said.startswith("Another start is still installing package-lock.json after 0.2 s")
