"""Measures processor time, memory and SQL statements, and describes the machine."""

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from statistics import median
from typing import Any

import psutil

from local.datadir import PROJECT

PACKAGES = ("Django", "djangorestframework", "psycopg2-binary", "gunicorn")
BUSY = 10.0  # percent of processor use by others above which the figures are useless


class Processor:
    """The processor time used from now on by the descendants of ``parent``."""

    def __init__(self, parent: int) -> None:
        self._parent = psutil.Process(parent)
        self._before = self._used()

    def milliseconds(self) -> float:
        """The time so far. Processes that have ended meanwhile are not counted."""
        return 1000 * sum(used - self._before.get(which, 0.0) for which, used in self._used().items())

    def _used(self) -> dict[psutil.Process, float]:
        found = {}
        for process in self._parent.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found[process] = times.user + times.system
        return found


def resident_megabytes(pids: list[int]) -> float:
    """The memory of the largest of these processes, as the kernel counts it (RSS), in MB of 10^6 bytes."""
    return max(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that Django sends on this thread's connection within the block, without BEGIN and COMMIT."""
    from django.db import connection

    from common.prepared import AND

    seen: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.extend(sql.split(AND))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


def milliseconds(work: Callable[[], object]) -> float:
    """The duration of ``work``."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}


def machine(query: Callable[..., list[Any]]) -> dict[str, Any]:
    """The properties of the machine, including its load, measured for a second."""
    revision = _git("rev-parse", "--short", "HEAD")
    busy = psutil.cpu_percent(interval=1.0)
    return {
        "revision": f"{revision}{'+' if _git('status', '--porcelain') else ''}",
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": query("SHOW server_version")[0][0],
        **{name: version(name) for name in PACKAGES},
        "busy_percent_before": busy,
        "quiet": busy <= BUSY,
    }


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True)  # noqa: S607 - any git in PATH
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
