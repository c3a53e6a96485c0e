"""Creates .venv and installs requirements files into it, when they have changed: ``python venv.py FILE …``.

The Makefile runs it with the system's Python before any package is installed, so it uses only the standard library.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(".venv")
PYTHON = FOLDER / "bin" / "python"
USABLE = "import sys, pip; sys.exit(sys.version_info < (3, 11))"


def stamp(requirements: Path) -> Path:
    """The file with the digest of the ``requirements`` that were last installed."""
    return FOLDER / f"installed-{requirements.name}"


def is_installed(requirements: Path) -> bool:
    # Compares the content, not the time: checking out another branch and back changes nothing.
    return (
        os.access(PYTHON, os.X_OK)
        and stamp(requirements).exists()
        and stamp(requirements).read_text() == digest(requirements)
    )


def digest(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes()).hexdigest()


def is_usable() -> bool:
    """Whether the environment's Python still starts (an upgrade may have removed it), is new enough and has pip."""
    return os.access(PYTHON, os.X_OK) and subprocess.run([PYTHON, "-c", USABLE], capture_output=True).returncode == 0


def main(files: list[str]) -> int:
    with open(files[0]) as first:
        fcntl.flock(first, fcntl.LOCK_EX)  # two makes may run at the same time
        for file in map(Path, files):
            if is_installed(file):
                continue
            if not is_usable():
                print(f"Creating {FOLDER} with Python {sys.version.split()[0]} ...", flush=True)
                if subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER]).returncode:
                    print(f"\n{FOLDER} could not be created: see the output above.", file=sys.stderr)
                    return 1
            print(f"Installing {file} into {FOLDER}: about a minute, only after changes ...", flush=True)
            command: list[str | Path] = [
                PYTHON,
                "-m",
                "pip",
                "install",
                "-qq",
                "--disable-pip-version-check",
                "-r",
                file,
            ]
            if subprocess.run(command).returncode:
                print(f"\n{file} could not be installed: see pip's output above.", file=sys.stderr)
                return 1
            stamp(file).write_text(digest(file))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
