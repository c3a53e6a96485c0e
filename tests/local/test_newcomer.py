"""A new user's first steps, without fakes: `make run`, open the pages, sign in as printed."""

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from local.datadir import PROJECT, DataDir
from local.service import wait_until


def test_make_run_serves_and_the_housekeeper_can_sign_in(data: DataDir, clean_env: dict[str, str], tmp_path: Path):
    output = tmp_path / "output"
    with open(output, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "run"], cwd=PROJECT, env=clean_env, stdout=file, stderr=file
        )
    try:
        assert wait_until(lambda: "HotelMate is up" in output.read_text() or process.poll() is not None, 240)
        printed = output.read_text()
        for page in re.findall(r"(?:API docs|Admin) +(\S+)", printed):
            with urllib.request.urlopen(page, timeout=20) as answer:
                assert answer.status == 200
        curl = shlex.split(next(line for line in printed.splitlines() if "curl" in line).partition("curl -s ")[2])
        url, _, header, _, body = curl
        request = urllib.request.Request(url, body.encode(), dict([header.split(": ")]))
        with urllib.request.urlopen(request, timeout=20) as answer:
            staff = json.load(answer)
        assert staff["username"] == "resort-housekeeper"
        assert staff["token"]
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
    assert code == 0
    assert not any(data.service(name).is_running() for name in ("web", "pusher", "postgres"))
    assert "Traceback" not in output.read_text()
