"""The environment of the local processes: variables, the database URL, and ``exec``."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local import LocalError
from local.datadir import DataDir
from local.environment import check_database, environment, require_version, uses_embedded_pusher
from local.service import free_port

ACCOUNT = {"PUSHER_APP_ID": "7", "PUSHER_KEY": "k", "PUSHER_SECRET": "s"}


def test_shell_variables_win(data: DataDir):
    shell = {"SECRET_KEY": "mine", "DEMO_PASSWORD": "welcome", "PUSHER_CLUSTER": "eu", **ACCOUNT}
    env = environment(data, "postgres://x", shell)
    assert {name: env[name] for name in shell} == shell
    assert "PUSHER_HOST" not in env


def test_other_variables_come_from_the_data_folder_and_persist(data: DataDir):
    first = environment(data, "postgres://x", {})
    assert first["DATABASE_URL"] == "postgres://x"
    assert first["HOTELMATE_DATA_DIR"] == str(data.path)
    for name in ("SECRET_KEY", "DEMO_PASSWORD", "PUSHER_APP_ID", "PUSHER_KEY", "PUSHER_SECRET"):
        assert first[name] == data.secrets()[name]
    assert first["PUSHER_HOST"] == "127.0.0.1"
    assert first["PUSHER_SSL"] == "0"
    assert first["PATH"].startswith(str(Path(sys.executable).parent))


def test_development_is_not_the_default(data: DataDir):
    assert "DEVELOPMENT" not in environment(data, "postgres://x", {})


def test_embedded_pusher_server_is_the_default():
    assert uses_embedded_pusher({})
    assert uses_embedded_pusher({"PUSHER_KEY": ""})
    assert not uses_embedded_pusher(ACCOUNT)


@pytest.mark.parametrize("half", [{"PUSHER_KEY": "k"}, {"PUSHER_HOST": "push.example"}])
def test_half_a_pusher_account_is_refused(half: dict[str, str]):
    with pytest.raises(LocalError, match="PUSHER_SECRET is missing"):
        uses_embedded_pusher(half)


def test_a_working_database_url_passes():
    check_database(os.environ["DATABASE_URL"])


@pytest.mark.parametrize(
    "url",
    ["hotelmate", "mysql://u:p@127.0.0.1/x", "postgres://u:p@127.0.0.1", "postgres://u:p@127.0.0.1:99999/x", "//[/"],
)
def test_a_malformed_database_url_is_refused(url: str):
    with pytest.raises(LocalError, match="not of the form postgres://"):
        check_database(url)


def test_an_unreachable_database_is_refused():
    with pytest.raises(LocalError, match=r"Connection refused.*unset it"):
        check_database(f"postgres://u:p@127.0.0.1:{free_port()}/x")


def test_an_unknown_option_of_the_url_is_refused():
    with pytest.raises(LocalError, match="invalid URI query parameter"):
        check_database("postgres://u:p@127.0.0.1/x?nonsense=1")


def test_refused_database_login_is_reported_without_the_password():
    parts = urlsplit(os.environ["DATABASE_URL"])
    with pytest.raises(LocalError, match="Can't connect to DATABASE_URL") as refusal:
        check_database(f"postgres://a_user_of_none:guess@{parts.hostname}:{parts.port}{parts.path}")
    assert "guess" not in str(refusal.value)


def test_postgresql_15_is_the_oldest():
    require_version(150_000)
    with pytest.raises(LocalError, match="PostgreSQL 14, and HotelMate needs 15"):
        require_version(140_011)


def test_exec_gives_a_command_the_environment_and_its_exit_code(data: DataDir, clean_env: dict[str, str]):
    program = "import os; print(os.environ['DATABASE_URL'], os.environ['SECRET_KEY']); raise SystemExit(3)"
    done = subprocess.run(
        [sys.executable, "-m", "local", "exec", "--", sys.executable, "-c", program],
        env=clean_env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    url, secret_key = done.stdout.split()
    assert done.returncode == 3
    assert secret_key == data.secrets()["SECRET_KEY"]
    assert urlsplit(url).port == data.service("postgres").port
    assert not data.service("postgres").is_running()
