"""``make audit``: checks the pinned packages for known vulnerabilities in the advisory databases; needs the internet.

Run it by hand before a release. It is not part of ``make check``, because a new advisory or an unreachable database is
not caused by the change being checked.
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
# Known to be vulnerable: a service that finds nothing in it is not working.
CANARY = "Django==3.2.0"
SAFE, UNSAFE, NOT_ASKED = 0, 1, 2


def of_python(report: dict[str, Any], canary: dict[str, Any]) -> tuple[int, list[str]]:
    """Evaluate pip-audit's JSON, also that of ``CANARY``; returns the exit status and lines to print."""
    if not any(package.get("vulns") for package in canary.get("dependencies", [])):
        return NOT_ASKED, [f"Python: no advisory for {CANARY}, so the advisories are unavailable: nothing was audited"]
    lines = [
        f"Python: {package['name']} {package['version']}: {fault['id']}, fixed in {', '.join(fault['fix_versions'])}"
        for package in report["dependencies"]
        for fault in package.get("vulns", ())
    ]
    missing = [f"Python: {one['name']}: {one['skip_reason']}" for one in report["dependencies"] if "skip_reason" in one]
    if lines or missing:
        return UNSAFE if lines else NOT_ASKED, lines + missing
    return SAFE, [f"Python: {len(report['dependencies'])} packages, no known vulnerability"]


def of_npm(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Evaluate the output of ``npm audit --json``; returns the exit status and lines to print."""
    if "vulnerabilities" not in report:
        return NOT_ASKED, ["npm: the advisories are unavailable: nothing was audited"]
    found = [f"npm: {name}: {fault['severity']}" for name, fault in report["vulnerabilities"].items()]
    return (UNSAFE, found) if found else (SAFE, ["npm: no known vulnerability"])


def asked(command: list[str]) -> dict[str, Any]:
    """The JSON that a command prints, or ``{}``; its exit status adds nothing to that."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        report = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return report if isinstance(report, dict) else {}


def pip_audit(*files: str) -> dict[str, Any]:
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    return asked([sys.executable, "-m", "pip_audit", *options, *(word for file in files for word in ("-r", file))])


def main() -> int:
    """Exit code 0: no known vulnerability; 1: a vulnerable package; 2: some or all could not be audited."""
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
