"""``make audit``: is any package that we pin known to be unsafe? Asks the advisory databases, so it needs the internet.

By hand before a release, never in ``make check``: an advisory that came overnight, or a database that cannot be
reached, is no fault of the change at hand.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools.release.lock import OUTPUTS

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = tuple(OUTPUTS.values())
# Known to be unsafe for years: a service that finds nothing in it finds nothing in anything.
CANARY = "Django==3.2.0"
SAFE, UNSAFE, NOT_ASKED = 0, 1, 2


def of_python(report: dict[str, Any], canary: dict[str, Any]) -> tuple[int, list[str]]:
    """What pip-audit's JSON says, with what it says of ``CANARY``; the exit status and lines for people."""
    if not any(package.get("vulns") for package in canary.get("dependencies", [])):
        return NOT_ASKED, [
            f"Python: nothing is known of {CANARY}, so no advisories were to be had: nothing was audited"
        ]
    lines = [
        f"Python: {package['name']} {package['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions'])}"
        for package in report["dependencies"]
        for fault in package.get("vulns", ())
    ]
    missing = [f"Python: {one['name']}: {one['skip_reason']}" for one in report["dependencies"] if "skip_reason" in one]
    if lines or missing:
        return UNSAFE if lines else NOT_ASKED, lines + missing
    return SAFE, [f"Python: {len(report['dependencies'])} packages, nothing known of any"]


def of_npm(report: dict[str, Any]) -> tuple[int, list[str]]:
    """What ``npm audit --json`` says; the exit status and lines for people."""
    if "vulnerabilities" not in report:
        return NOT_ASKED, ["npm: no advisories were to be had: nothing was audited"]
    found = [f"npm: {name}: {fault['severity']}" for name, fault in report["vulnerabilities"].items()]
    return (UNSAFE, found) if found else (SAFE, ["npm: nothing known of any package"])


def asked(command: list[str]) -> dict[str, Any]:
    """The JSON that a command prints, empty where it prints none; its exit status says no more than that."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        answer = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return answer if isinstance(answer, dict) else {}


def pip_audit(*files: str) -> dict[str, Any]:
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    return asked([sys.executable, "-m", "pip_audit", *options, *(word for file in files for word in ("-r", file))])


def main() -> int:
    """0: nothing known; 1: a package is unsafe; 2: it could not be found out, of some or of all."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f"{CANARY}\n")
        file.flush()
        canary = pip_audit(file.name)
    found = [of_python(pip_audit(*REQUIREMENTS), canary), of_npm(asked(["npm", "audit", "--json"]))]
    for _, lines in found:
        print("\n".join(lines))
    statuses = {status for status, _ in found}
    return UNSAFE if UNSAFE in statuses else max(statuses)


if __name__ == "__main__":
    sys.exit(main())
