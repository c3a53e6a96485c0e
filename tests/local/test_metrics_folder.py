"""The metrics files are kept in shared memory, private to their owner, and removed with their process."""

import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from local import metrics_folder

PROJECT = Path(metrics_folder.__file__).parents[1]


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """A separate shared memory folder for the test."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(metrics_folder, "SHARED", folder)
    monkeypatch.setattr(metrics_folder, "_made", [])
    return folder


def age(folder):
    """Make the folder look old."""
    os.utime(folder, (0, 0))


def test_folder_is_in_memory_and_private(shared):
    one, other = metrics_folder.make_counters_folder(), metrics_folder.make_counters_folder()
    assert one.parent == other.parent == shared
    assert one != other
    assert one.stat().st_mode & 0o777 == 0o700
    (one / "counter_1.db").write_bytes(b"1")
    metrics_folder.remove_counters_folders()
    assert list(shared.iterdir()) == []


def test_this_machine_has_shared_memory():
    assert metrics_folder.shared_memory() in (None, Path("/dev/shm"))


@pytest.mark.parametrize("lacks", ["absent", "tiny", "closed"])
def test_folder_is_on_disk_without_shared_memory(shared, monkeypatch, tmp_path, lacks):
    if lacks == "absent":
        shared.rmdir()
    elif lacks == "tiny":
        room = namedtuple("room", "f_bavail f_frsize")(metrics_folder.ENOUGH // 4096 - 1, 4096)
        monkeypatch.setattr(os, "statvfs", lambda _: room)
    else:
        monkeypatch.setattr(os, "access", lambda *_: False)
    assert metrics_folder.make_counters_folder(tmp_path).parent == tmp_path
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert metrics_folder.make_counters_folder().parent == tmp_path


def test_only_leftovers_of_killed_processes_are_removed(shared):
    used = metrics_folder.make_counters_folder()
    made = "import sys; from pathlib import Path; from local import metrics_folder as it; it.SHARED = Path(sys.argv[1])"
    kill = "print(it.make_counters_folder()); sys.stdout.flush(); import os; os.kill(os.getpid(), 9)"
    words = [sys.executable, "-c", f"{made}; {kill}", str(shared)]
    left = Path(subprocess.run(words, cwd=PROJECT, stdout=subprocess.PIPE, text=True).stdout.strip())
    (left / "counter_1.db").write_bytes(b"1")
    elsewhere = shared.parent / "elsewhere"
    elsewhere.mkdir()
    link, file, theirs = (shared / f"{metrics_folder.PREFIX}{name}" for name in ("link", "file", "theirs"))
    link.symlink_to(elsewhere)
    file.touch()
    others = shared / "of another program"
    others.mkdir()
    for path in (used, left, elsewhere, file, others):
        age(path)
    theirs.mkdir()  # being created
    metrics_folder.make_counters_folder()
    assert not left.exists()
    assert all(path.exists() for path in (used, link, elsewhere, file, others, theirs))
