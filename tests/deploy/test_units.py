"""The files of deploy/ name existing commands, files and variables, and agree with each other."""

import re
import runpy
import shlex
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import get_commands

from local.datadir import PROJECT
from operations.management.commands import worker

DEPLOY = PROJECT / "deploy"
UNITS = {path.name: path for path in sorted((DEPLOY / "systemd").iterdir())}
SERVICES = [name for name in UNITS if name.endswith(".service")]
DEBIAN = ("/bin/kill", "/bin/sh", "/usr/bin/find")
INSTALLED = "/srv/hotelmate"  # where docs/deployment.md puts the project


def unit(name: str) -> ConfigParser:
    """A unit's sections; ours set each option once."""
    parser = ConfigParser(interpolation=None, delimiters=["="], comment_prefixes=["#"])
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS[name])
    return parser


def commands(name: str) -> list[list[str]]:
    """The commands of a service, each split into words."""
    return [shlex.split(text) for option, text in unit(name)["Service"].items() if option.startswith("Exec")]


def documented() -> set[str]:
    """The variables in the README's table."""
    rows = [line for line in (PROJECT / "README.md").read_text().splitlines() if line.startswith("| `")]
    return {variable for row in rows for variable in re.findall(r"`([A-Z_]+)`", row.split("|")[1])}


def in_environment_file() -> set[str]:
    lines = (DEPLOY / "hotelmate.env").read_text().splitlines()
    return {line.partition("=")[0] for line in lines if line and not line.startswith("#")}


def gunicorn_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return runpy.run_path(str(PROJECT / "hotelmate" / "gunicorn.conf.py"))


def seconds(name: str, option: str) -> int:
    return int(unit(name)["Service"][option])


@pytest.mark.parametrize("name", SERVICES)
def test_services_run_existing_commands(name):
    requirements = (PROJECT / "requirements.txt").read_text()
    for program, *words in commands(name):
        path = Path(program)
        if program.startswith(INSTALLED):
            assert path.parent == Path(INSTALLED, ".venv/bin")
            assert path.name == "python" or f"\n{path.name}==" in requirements
        else:
            assert program in DEBIAN
        for word in words:
            if word.endswith(".py"):
                assert (PROJECT / word).is_file()
        if "manage.py" in words:
            assert words[words.index("manage.py") + 1] in get_commands()


@pytest.mark.parametrize("name", SERVICES)
def test_services_read_only_the_environment_file(name):
    service = unit(name)["Service"]
    assert service["EnvironmentFile"] == "/etc/hotelmate.env"
    assert service["User"] == service["Group"] == "hotelmate"
    named = {service["Environment"].partition("=")[0]} if "Environment" in service else set()
    named |= {variable for words in commands(name) for variable in re.findall(r"\$\$([A-Z_]+)", " ".join(words))}
    assert named <= documented()


def test_the_environment_file_has_documented_and_all_required_variables():
    assert in_environment_file() <= documented()
    needed = {"SECRET_KEY", "DATABASE_URL", "PGPASSWORD", "ALLOWED_HOSTS", "TRUST_PROXY_PROTO", "NUM_PROXIES"}
    assert in_environment_file() >= needed


def test_the_database_url_contains_no_password():
    """`ps` shows it to every account; the password is in PGPASSWORD, which libpq reads from the environment."""
    [url] = re.findall(r"^DATABASE_URL='(.*)'$", (DEPLOY / "hotelmate.env").read_text(), re.MULTILINE)
    assert urlsplit(url).username
    assert urlsplit(url).password is None


def test_shell_and_systemd_read_the_environment_file_alike():
    for line in (DEPLOY / "hotelmate.env").read_text().splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[A-Z_]+=('[^'\\]*'|[A-Za-z0-9]+)", line), line


def test_the_procfile_and_the_services_run_the_same():
    lines = (PROJECT / "Procfile").read_text().splitlines()
    procfile = {kind: shlex.split(command) for kind, _, command in (line.partition(": ") for line in lines)}
    [web, _], [work] = commands("hotelmate-web.service"), commands("hotelmate-worker.service")
    assert procfile["web"] == ["gunicorn", *web[1:], "--bind", "0.0.0.0:$PORT"]
    assert procfile["worker"] == ["python", *work[1:]]
    assert procfile["release"] == ["python", "manage.py", "migrate", "--noinput"]
    assert set(procfile) == {"release", "web", "worker"}


def test_services_have_enough_time_to_stop(monkeypatch, tmp_path):
    web = gunicorn_settings(monkeypatch, tmp_path)
    assert seconds("hotelmate-web.service", "TimeoutStopSec") > web["graceful_timeout"] + web["STOP_PATIENCE"]
    assert seconds("hotelmate-worker.service", "TimeoutStopSec") > worker.STOP_PATIENCE


def test_the_proxy_uses_the_socket_and_closes_idle_connections_first(monkeypatch, tmp_path):
    caddy = (DEPLOY / "Caddyfile").read_text()
    address = unit("hotelmate-web.socket")["Socket"]["ListenStream"]
    assert f"reverse_proxy {address} " in caddy
    keepalive = re.search(r"keepalive (\d+)s", caddy)
    assert keepalive
    assert int(keepalive[1]) < gunicorn_settings(monkeypatch, tmp_path)["keepalive"]


def test_the_page_names_existing_files_and_units():
    page = (PROJECT / "docs" / "deployment.md").read_text()
    assert all((PROJECT / path).exists() for path in re.findall(r"\bdeploy/[\w./-]+\w", page))
    installed = set(re.findall(r"hotelmate-[a-z]+(?:\.[a-z]+)?", page))
    assert installed <= {*UNITS, *(Path(name).stem for name in UNITS)}
    assert {Path(name).stem for name in UNITS} <= {Path(name).stem for name in installed}
