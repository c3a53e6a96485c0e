"""Runs the commands of documentation pages as written, and compares their output.

A page's ```bash blocks run one after the other in one shell; the blocks up to the next are the expected output. ```json
is what the block prints; each line of ```text appears in that or, live, in the output of a second terminal. ``…``
stands for anything. A status in bold (``**409**``) right before a block or its output is that of the block's last
request; all others must succeed. ```python blocks are the files that their first line names.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from local.datadir import PROJECT
from tests.docs.excerpts import differences, excerpt, line_shape

ADDRESS, PASSWORD = "http://127.0.0.1:8000", "the one that make run printed"
# Commands that run until Ctrl-C: each gets its own terminal.
FOLLOWERS = re.compile(r"(listen|follow)\.py")
PATIENCE = 20

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r"\*\*([1-5]\d\d)\*\*")

# Continues after errors, as a terminal does, and records failures, except of writers to a closed `head` (141, 32).
_PROLOGUE = r"""
set -E -o pipefail
noted() { [[ $1 = 141 || $1 = 32 || $2 = "source block-"* ]] || echo "\`$2\` exits $1" >> failed; }
trap 'noted $? "$BASH_COMMAND"' ERR
: > failed
"""
_BLOCK = r"""
source block-{number}.sh < /dev/null > printed-{number} 2> complained-{number}
cat failed > failed-{number}; : > failed; wc -l < "$SERVED" > served-{number}
"""
# Wait for its first output, as a reader does.
_FOLLOWER = r"""
bash block-{number}.sh < /dev/null > printed-{number} 2> complained-{number} &
for _ in {{1..200}}; do [ -s printed-{number} ] && break; sleep 0.1; done
: > failed-{number}; wc -l < "$SERVED" > served-{number}
"""


@dataclass
class Exchange:
    """A block of commands and its expected output."""

    commands: str
    line: int
    status: int | None = None
    answers: list[str] = field(default_factory=list)  # JSON
    lines: list[str] = field(default_factory=list)  # text

    @property
    def is_follower(self) -> bool:
        return bool(FOLLOWERS.search(self.commands))

    @property
    def is_refused(self) -> bool:
        """Whether the output is an error body, if no status says so."""
        return any('"code"' in answer and '"message"' in answer for answer in self.answers)


@dataclass
class Page:
    """A parsed page."""

    exchanges: list[Exchange]
    files: dict[str, str]


@dataclass
class Played:
    """The result of an exchange: its output, its failures, and the status of each request."""

    printed: str
    complaints: str
    failed: str
    statuses: list[int]


def read(text: str) -> Page:
    """Parse a page's Markdown."""
    page, end = Page([], {}), 0
    for block in _FENCE.finditer(text):
        language, content, prose = block[1], block[2], text[end : block.start()]
        end = block.end()
        if language == "bash":
            page.exchanges.append(Exchange(content, line=text.count("\n", 0, block.start()) + 2))
        elif language == "json" and page.exchanges:
            page.exchanges[-1].answers.append(content)
        elif language == "text" and page.exchanges:
            page.exchanges[-1].lines += content.splitlines()
        elif language == "python":
            page.files[content.partition("\n")[0].removeprefix("#").split()[0]] = content
            continue
        if page.exchanges and (said := _STATUS.search(prose)):
            page.exchanges[-1].status = int(said[1])
    return page


def play(page: Page, folder: Path, *, address: str, password: str, environ: Mapping[str, str]) -> list[Played]:
    """Run a page's blocks in ``folder``, made to look like a clone; ``environ`` names the file SERVED."""
    _clone(folder)
    for name, content in page.files.items():
        (folder / name).write_text(content.replace(ADDRESS, address))
    script = [_PROLOGUE]
    for number, exchange in enumerate(page.exchanges):
        commands = exchange.commands.replace(ADDRESS, address).replace(PASSWORD, password)
        (folder / f"block-{number}.sh").write_text(commands)
        script.append((_FOLLOWER if exchange.is_follower else _BLOCK).format(number=number))
    served = Path(environ["SERVED"])
    before = len(served.read_text().splitlines())
    shell = subprocess.Popen(["bash", "-c", "".join(script)], cwd=folder, env={**environ}, start_new_session=True)
    try:
        assert shell.wait(90) == 0, "the page's shell ended early"
        _await_live_lines(page, folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)  # and the terminals beside it
        shell.wait()
    statuses = [int(line.split()[0]) for line in served.read_text().splitlines()]
    played = []
    for number in range(len(page.exchanges)):
        until = int((folder / f"served-{number}").read_text())
        texts = [(folder / f"{name}-{number}").read_text() for name in ("printed", "complained", "failed")]
        played.append(Played(*texts, statuses=statuses[before:until]))
        before = until
    return played


def _clone(folder: Path) -> None:
    """Create the files that a page's commands expect in their folder."""
    folder.mkdir(parents=True)
    for path in PROJECT.iterdir():
        if not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)


def _await_live_lines(page: Page, folder: Path) -> None:
    """Wait until the other terminals have printed the expected lines, which arrive a moment later."""
    deadline = time.monotonic() + PATIENCE
    while any(exchange.is_follower for exchange in page.exchanges) and time.monotonic() < deadline:
        printed = [(folder / f"printed-{number}").read_text() for number in range(len(page.exchanges))]
        live = _live(page, printed)
        if not [
            line for said, text in zip(page.exchanges, printed, strict=True) for line in _missing(said, text, live)
        ]:
            return
        time.sleep(0.05)


def problems(page: Page, played: list[Played]) -> list[str]:
    """The differences between the page and the results; empty if the page is correct."""
    live = _live(page, [result.printed for result in played])
    return [
        f"line {exchange.line}: {problem}"
        for exchange, result in zip(page.exchanges, played, strict=True)
        for problem in _problems(exchange, result, live)
    ]


def _live(page: Page, printed: list[str]) -> list[str]:
    return [
        line
        for exchange, text in zip(page.exchanges, printed, strict=True)
        if exchange.is_follower
        for line in text.splitlines()
    ]


def _missing(exchange: Exchange, printed: str, live: list[str]) -> Iterator[str]:
    """The expected text lines that were not printed."""
    there = {line_shape(line) for line in [*printed.splitlines(), *live]} if exchange.lines else set()
    return (line for line in exchange.lines if line_shape(line) not in there)


def _problems(exchange: Exchange, result: Played, live: list[str]) -> Iterator[str]:
    yield from result.failed.splitlines()
    if result.complaints:
        yield f"it complains: {result.complaints}"
    yield from _wrong_statuses(exchange, result.statuses)
    for answer in exchange.answers:
        try:
            printed = excerpt(result.printed)
        except ValueError:
            yield f"it prints no JSON: {result.printed}"
            continue
        yield from differences(excerpt(answer), printed)
    for line in _missing(exchange, result.printed, live):
        yield f"nothing prints {line!r}; it prints {result.printed}"


def _wrong_statuses(exchange: Exchange, statuses: list[int]) -> Iterator[str]:
    if not statuses:
        if exchange.status or exchange.answers:
            yield "it asks nothing of the server"
        return
    *others, last = statuses
    if any(status >= 300 for status in others):
        yield f"its requests answer {statuses}"
    if exchange.status is not None and last != exchange.status:
        yield f"the page says {exchange.status}, the answer is {last}"
    if exchange.status is None and (last >= 400) is not exchange.is_refused:
        yield f"the answer is {last}, of which the page says nothing"
