"""Requests over many connections at once, from one thread that costs next to nothing: the servers get the cores."""

import json
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from local import LocalError

TIMEOUT = 60.0  # seconds without any answer
# Requests before a connection is opened anew: a process of gunicorn keeps the connections that it has accepted, and
# with a new lot now and then no block is measured on one process alone.
PER_CONNECTION = 25


class Load(NamedTuple):
    """How a block went; every request of it was answered with 2xx."""

    seconds: float  # from the first request to the last answer
    latencies: list[float]  # of each request, in seconds


def request(method: str, path: str, *, token: str = "", body: Any = None) -> bytes:
    """A request as it goes over the wire."""
    content = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if token:
        head.append(f"Authorization: Token {token}")
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*head, "", ""]).encode() + content


class _Client:
    """One connection and the request that is under way on it."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._selector = selector
        self._socket: socket.socket | None = None
        self._served = 0
        self._message = b""
        self._answer = bytearray()
        self._length = 0  # of the answer as a whole, once its head is there
        self._again = False
        self.began = 0.0

    def send(self, message: bytes) -> None:
        self._message, self._again = message, False
        self.began = time.perf_counter()
        if self._served == PER_CONNECTION:
            self.close()
        self._send()

    def receive(self) -> bool:
        """Whether the answer is there as a whole. Raises LocalError for any that is not 2xx."""
        assert self._socket
        try:
            part = self._socket.recv(1 << 20)
        except ConnectionResetError:
            part = b""
        if not part:
            if self._answer or self._again:
                raise LocalError(f"The web server closed a connection after {len(self._answer)} bytes of an answer.")
            # Closed before it was read, as a server may that has no time for it: once more, as every client does.
            self._again = True
            self.close()
            self._send()
            return False
        self._answer += part
        if not self._length:
            head, separator, _ = bytes(self._answer).partition(b"\r\n\r\n")
            if not separator:
                return False
            lines = [line.lower() for line in head.split(b"\r\n")]
            body = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
            self._length = len(head) + len(separator) + body
        if len(self._answer) < self._length:
            return False
        if not self._answer.startswith(b"HTTP/1.1 2"):
            raise LocalError(f"A request of the bench was refused: {bytes(self._answer[:1000])!r}")
        return True

    def _send(self) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._served += 1
        self._answer, self._length = bytearray(), 0
        self._socket.sendall(self._message)

    def close(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket, self._served = None, 0


def drive(port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send them all, so many at a time, each as soon as a connection is free. Raises LocalError for a refusal."""
    waiting = iter(requests)
    latencies: list[float] = []
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        clients = [_Client(port, selector) for _ in range(min(connections, len(requests)))]
        try:
            for client in clients:
                client.send(next(waiting))
            while len(latencies) < len(requests):
                ready = selector.select(TIMEOUT)
                if not ready:
                    raise LocalError(f"The web server has not answered for {TIMEOUT:.0f} s.")
                for key, _ in ready:
                    client = key.data
                    if not client.receive():
                        continue
                    latencies.append(time.perf_counter() - client.began)
                    if (message := next(waiting, None)) is not None:
                        client.send(message)
                    else:
                        client.close()  # the server would, after a while, and that is no half an answer
        finally:
            for client in clients:
                client.close()
    return Load(time.perf_counter() - began, latencies)
