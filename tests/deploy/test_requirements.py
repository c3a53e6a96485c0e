"""A server installs only ``requirements.txt``: the application needs no other package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.release.lock import OUTPUTS

PROJECT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)")

# Imports every module that serves a hotel, commands included, with only the packages of requirements.txt available.
SERVE = """
import importlib, importlib.metadata, importlib.util, pkgutil, re, sys

def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()

allowed = {normal(name) for name in sys.argv[1].split(",")}
owners = importlib.metadata.packages_distributions()

class Missing:
    def find_spec(self, name, path=None, target=None):
        found = owners.get(name.partition(".")[0])
        if found and not any(normal(one) in allowed for one in found):
            raise ModuleNotFoundError(f"No module named {name!r}: {found} is not in requirements.txt", name=name)

sys.meta_path.insert(0, Missing())
import django
django.setup()
imported = 0
apps = "board common hotel hotelmate housekeeping notifications operations room_bookings rooms"
for app in apps.split():
    package = importlib.import_module(app)
    for module in pkgutil.walk_packages(package.__path__, app + "."):
        if not module.name.endswith(".conf"):  # hotelmate/gunicorn.conf.py is no module
            importlib.import_module(module.name)
            imported += 1
import hotelmate.wsgi, gunicorn.app.wsgiapp
print(imported)
"""


def pins(path: str) -> dict[str, str]:
    found = (PIN.match(line) for line in (PROJECT / path).read_text().splitlines())
    return {re.sub(r"[-_.]+", "-", pin[1]).lower(): pin[2] for pin in found if pin}


def serve(packages: set[str]) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "hotelmate.settings"}
    return subprocess.run(
        [sys.executable, "-c", SERVE, ",".join(packages)], cwd=PROJECT, env=environment, capture_output=True, text=True
    )


def test_the_application_needs_only_the_pinned_packages():
    done = serve(set(pins("requirements.txt")))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150


@pytest.mark.parametrize("package", ["orjson", "websockets"])
def test_a_missing_package_is_detected(package: str):
    done = serve(set(pins("requirements.txt")) - {package})
    assert "is not in requirements.txt" in done.stderr


@pytest.mark.parametrize("path", OUTPUTS.values())
def test_every_package_is_pinned_with_hashes(path: str):
    text = (PROJECT / path).read_text()
    blocks = re.split(r"(?m)^(?=[A-Za-z])", re.sub(r"(?m)^ *#.*\n", "", text))
    assert all(PIN.match(block) and "--hash=sha256:" in block for block in blocks if block.strip())


def test_no_package_is_pinned_to_two_versions():
    seen: dict[str, str] = {}
    for path in OUTPUTS.values():
        for name, version in pins(path).items():
            assert seen.setdefault(name, version) == version, (path, name)
