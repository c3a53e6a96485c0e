"""Handles requests to stop: Ctrl-C, ``kill`` or a closed terminal, directly or through ``make``."""

import os
import signal
import time
from pathlib import Path
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequestedError(Exception):
    """We were asked to stop; it unwinds the current start or wait."""


class StopSignals:
    """Records stop signals, so that only ``pause`` raises.

    A signal handler that raises could do so between starting a process and recording its pid, and a second Ctrl-C would
    interrupt the clean-up.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._make = make_that_runs_us()

    def install(self) -> None:
        """Install the handlers until the end of the process."""
        for number in STOP_SIGNALS:
            # Under nohup SIGHUP is ignored, and must stay so.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._note)

    def pause(self, seconds: float) -> None:
        """Sleep, then raise StopRequestedError if we were asked to stop."""
        time.sleep(seconds)
        if self.received or (self._make and self._make.gives_up()):
            raise StopRequestedError

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number


class Make:
    """The make that runs us. Of the signals sent to it alone, it forwards SIGTERM; after any other it silently waits
    for us to exit. It blocks the signal that it has received, which the kernel shows in /proc."""

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
    """The parent process, if it is a make and the system shows its state (Linux does), else None."""
    try:
        name = Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        return None
    return Make(os.getppid()) if name in ("make", "gmake") else None
