"""``make lock``: write the pinned requirements, with hashes, from the ``.in`` files in ``requirements/``.

Versions that are pinned already stay, unless ``--upgrade`` or ``--upgrade-package NAME`` is given (uv's own options).
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST_PYTHON = "3.11"
# In this order: each file is constrained by those before it.
OUTPUTS = {
    "requirements/application.in": "requirements.txt",
    "requirements/local.in": "requirements/local.txt",
    "requirements/test.in": "requirements/test.txt",
    "requirements/check.in": "requirements/check.txt",
    "requirements/maintenance.in": "requirements/maintenance.txt",
    "requirements/cluster.in": "requirements/cluster.txt",
}


def main(options: list[str]) -> int:
    """Compile each file; returns uv's exit code of the first that fails."""
    for source, output in OUTPUTS.items():
        print(f"Locking {output} ...", flush=True)
        command = [sys.executable, "-m", "uv", "pip", "compile", source, "--output-file", output, "--quiet"]
        command += ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-annotate"]
        command += ["--custom-compile-command", "make lock", *options]
        if code := subprocess.run(command, cwd=ROOT).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
