"""How the Makefile makes a virtual environment, with an old or a new Python."""

import subprocess
import sys
from pathlib import Path

import pytest

from local import venv
from local.datadir import PROJECT

from .conftest import python


def make(*arguments: str, cwd: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def test_help_is_the_default(clean_env: dict[str, str]):
    done = make(cwd=PROJECT, env=clean_env)
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        "run",
        "reset",
        "test",
        "test-pooled",
        "test-browser",
        "check",
        "audit",
        "lock",
        "permissions",
        "contract",
        "bench",
        "drill-events",
        "drill-cluster",
        "soak",
        "fuzz",
        "mutants",
        "screenshots",
        "clean",
    ]


@pytest.mark.parametrize(
    "target", ["run", "reset", "test", "test-browser", "check", "contract", "drill-events", "soak", "screenshots"]
)
def test_old_python_is_a_one_line_error(project: Path, clean_env: dict[str, str], tmp_path: Path, target: str):
    old = tmp_path / "python2"
    # To the Makefile, an old Python is one that fails its version check.
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make(target, f"PYTHON={old}", cwd=project, env=clean_env)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith(
        f"HotelMate needs Python 3.11 or newer with the venv module, which {old} does not provide: "
    )
    assert f"make {target} PYTHON=/path/to/python3.12" in done.stderr
    assert done.stderr.count("\n") == 2  # the error, and make's own line


def test_version_check_runs_on_an_old_python():
    question = next(line for line in (PROJECT / "Makefile").read_text().splitlines() if line.startswith("SUITABLE"))
    code = question.partition(" = ")[2]
    assert python("-c", code).returncode == 0
    assert python("-c", code.replace("(3, 11)", "(4,)")).returncode == 1


def test_a_newer_python_is_found_when_python3_is_old(project: Path, clean_env: dict[str, str], tmp_path: Path):
    names = {"python3": "exit 1", "python3.13": "exit 1", "python3.12": f'exec {sys.executable} "$@"'}
    for name, line in names.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    (project / "gunicorn.py").write_text("raise SystemExit(7)")
    done = make("run", cwd=project, env=clean_env | {"PATH": f"{tmp_path}:{clean_env['PATH']}"})
    assert "The web server ended unexpectedly" in done.stderr


def test_environment_is_made_once_and_updated_with_the_requirements(folder: Path, capfd: pytest.CaptureFixture[str]):
    assert venv.main(["requirements.txt"]) == 0
    first = capfd.readouterr().out
    assert first.startswith("Creating .venv with Python 3.")
    assert "Installing requirements.txt into .venv" in first

    (folder / "requirements.txt").touch()  # newer, but no different
    assert venv.main(["requirements.txt"]) == 0
    assert capfd.readouterr().out == ""

    (folder / "requirements.txt").write_text("# different\n")
    assert venv.main(["requirements.txt"]) == 0
    assert capfd.readouterr().out.startswith("Installing requirements.txt")

    (folder / "requirements.txt").write_text("./no-such-package\n")
    for _ in range(2):  # a failure is retried
        assert venv.main(["requirements.txt"]) == 1
        assert capfd.readouterr().err.endswith("could not be installed: see pip's output above.\n")

    (folder / "requirements.txt").write_text("# different\n")
    assert venv.is_installed(Path("requirements.txt"))
    assert venv.is_usable()
    venv.PYTHON.unlink()
    venv.PYTHON.symlink_to("/no/such/python")  # as after an upgrade of the system
    assert not venv.is_installed(Path("requirements.txt"))
    assert not venv.is_usable()


def test_make_clean_removes_the_environment_too(project: Path, clean_env: dict[str, str]):
    done = make("clean", cwd=project, env=clean_env)
    assert done.returncode == 0, done.stderr
    assert "Removing .venv" in done.stdout
    assert not (project / ".venv").exists()
    assert make("clean", f"PYTHON={sys.executable}", cwd=project, env=clean_env).returncode == 0
