"""The data folder: its place, permissions and secrets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import LocalError
from local.datadir import GENERATED, PROJECT, DataDir


def test_folder_is_in_the_project_by_default():
    assert DataDir.from_environment({}).path == PROJECT / ".data"
    assert DataDir.from_environment({"HOTELMATE_DATA_DIR": "/srv/house"}).path == Path("/srv/house")


def test_only_the_owner_can_read_it(data: DataDir):
    data.secrets()
    assert [f"{path.stat().st_mode & 0o777:o}" for path in (data.path, data.run, data.logs)] == ["700"] * 3
    assert f"{(data.path / 'secrets.json').stat().st_mode & 0o777:o}" == "600"


def test_permissions_of_an_open_folder_are_restricted(tmp_path: Path):
    tmp_path.chmod(0o755)
    DataDir(tmp_path).prepare()
    assert tmp_path.stat().st_mode & 0o044 == 0


def test_secrets_are_made_once(data: DataDir):
    first = data.secrets()
    assert set(first) == set(GENERATED)
    assert data.secrets() == first
    assert first["PUSHER_APP_ID"].isdigit()
    assert len(first["SECRET_KEY"]) >= 50
    assert re.fullmatch(r"[a-z]{6}-[a-z]{6}-\d\d", first["DEMO_PASSWORD"])


def test_two_data_folders_share_no_secret(data: DataDir, tmp_path: Path):
    other = DataDir(tmp_path / "other")
    other.prepare()
    assert not set(data.secrets().values()) & set(other.secrets().values())


def test_a_missing_secret_is_added_and_the_others_stay(data: DataDir):
    (data.path / "secrets.json").write_text('{"SECRET_KEY": "kept"}')
    secrets = data.secrets()
    assert secrets["SECRET_KEY"] == "kept"
    assert set(secrets) == set(GENERATED)


def test_concurrent_starts_agree_on_the_secrets(data: DataDir):
    program = f"""
from pathlib import Path
from local.datadir import DataDir
print(DataDir(Path({str(data.path)!r})).secrets())
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in "123"
    ]
    assert len({run.communicate(timeout=30)[0] for run in runs}) == 1


def test_a_broken_secrets_file_is_not_overwritten(data: DataDir):
    (data.path / "secrets.json").write_text("{")
    with pytest.raises(LocalError, match="repair the file"):
        data.secrets()
    assert (data.path / "secrets.json").read_text() == "{"


def test_file_in_its_place_is_a_one_line_error(tmp_path: Path):
    (tmp_path / "data").write_text("")
    with pytest.raises(LocalError, match=r"can't be used .* HOTELMATE_DATA_DIR"):
        DataDir(tmp_path / "data").prepare()


def test_the_folder_of_another_user_is_left_alone(tmp_path: Path):
    # Root's folder for a plain user; another user's for root.
    folder = Path("/") if os.geteuid() else tmp_path
    if not os.geteuid():
        os.chown(tmp_path, 65534, 65534)
    with pytest.raises(LocalError, match="belongs to another user"):
        DataDir(folder).prepare()
    assert not (folder / "run" / "guard").exists()
