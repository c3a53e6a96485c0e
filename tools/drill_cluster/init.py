"""``python -m tools.drill_cluster.init …``: the first process of the drill's namespace: runs the drill.

Orphans become its children, and Patroni waits until a PostgreSQL that was its child, and died, is gone.
"""

import os
import signal
import subprocess
import sys


def main(arguments: list[str]) -> int:
    """Run the drill, and reap every process that ends meanwhile; returns the drill's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    drill = subprocess.Popen([sys.executable, "-m", "tools.drill_cluster", *arguments])
    while True:
        pid, status = os.wait()
        if pid == drill.pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
