"""gunicorn as in production, on a free port and without a database, and requests that are sent verbatim."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]


class Answer(NamedTuple):
    status: int
    location: str | None
    body: str


@contextmanager
def gunicorn(log: Path, **settings: str) -> Iterator[int]:
    """Run gunicorn; yields its port. ``log`` is the file for its output, ``settings`` extra environment variables."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = os.environ | {"PORT": str(port), "REALTIME_RELAY": "off", "WEB_CONCURRENCY": "1", "DEVELOPMENT": "1"}
    environ |= {"SECRET_KEY": "only here", "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"} | settings
    with log.open("w") as file:
        command = [sys.executable, "-m", "gunicorn", "-c", "hotelmate/gunicorn.conf.py"]
        server = subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=file, stderr=file)
    try:
        for _ in range(300):
            try:
                if answer(port, "GET", "/healthz").status == 200:
                    break
            except OSError:
                assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def answer(
    port: int, method: str, path: str, headers: list[tuple[str, str]] | None = None, body: bytes = b""
) -> Answer:
    """The response to this request, sent verbatim except for an added host."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers or []:
            connection.putheader(name, value)
        connection.endheaders(body)
        given = connection.getresponse()
        return Answer(given.status, given.headers["Location"], given.read().decode())
