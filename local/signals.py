"""Being asked to stop: by Ctrl-C, ``kill`` or a closed terminal, directly or through ``make``."""

import os
import signal
import time
from pathlib import Path
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequestedError(Exception):
    """Somebody asked us to stop; it unwinds the start or the wait that was going on."""


class StopSignals:
    """Remembers the request instead of raising in the middle of something.

    A signal handler that raises can hit between starting a process and noting its pid; and the second Ctrl-C of an
    impatient person would hit the clean-up. So the handler takes notes, and only ``pause`` looks at them.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._make = make_that_runs_us()

    def install(self) -> None:
        """From here to the end of the process."""
        for number in STOP_SIGNALS:
            # nohup ignores SIGHUP, and means it.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def pause(self, seconds: float) -> None:
        """Sleep, then raise StopRequestedError when it is time to stop."""
        time.sleep(seconds)
        if self.received or (self._make and self._make.gives_up()):
            raise StopRequestedError

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number


class Make:
    """The make above us. Of the signals sent to it alone it passes on SIGTERM; after any other it waits, without a
    word, for us to end by ourselves. It handles one by blocking it, which the kernel shows."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._blocked_before = self._blocked()

    def gives_up(self) -> bool:
        return os.getppid() != self.pid or self._blocked() != self._blocked_before

    def _blocked(self) -> set[signal.Signals]:
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return set()
        mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))
        return {number for number in STOP_SIGNALS if mask & 1 << (number - 1)}


def make_that_runs_us() -> Make | None:
    """The parent process when it is a make and this system shows its state (Linux does), else None."""
    try:
        name = Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        return None
    return Make(os.getppid()) if name in ("make", "gmake") else None
