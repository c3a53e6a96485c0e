"""Sends requests over many connections from one cheap thread, which leaves the cores to the servers."""

import json
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from local import LocalError

TIMEOUT = 60.0  # seconds without any response
# Requests before a connection is reopened: a gunicorn process keeps the connections that it has accepted, so otherwise
# a block could be measured on one process alone.
PER_CONNECTION = 25


class Load(NamedTuple):
    """The duration of a block whose requests all returned 2xx."""

    seconds: float  # from the first request to the last response
    latencies: list[float]  # of each request, in seconds


def request(method: str, path: str, *, token: str = "", body: Any = None) -> bytes:
    """A request as sent over the wire."""
    content = b"" if body is None else json.dumps(body).encode()
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if token:
        head.append(f"Authorization: Token {token}")
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*head, "", ""]).encode() + content


class _Client:
    """One connection and its current request."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._selector = selector
        self._socket: socket.socket | None = None
        self._served = 0
        self._message = b""
        self._response = bytearray()
        self._length = 0  # of the whole response, once its head has arrived
        self._again = False
        self.began = 0.0

    def send(self, message: bytes) -> None:
        self._message, self._again = message, False
        self.began = time.perf_counter()
        if self._served == PER_CONNECTION:
            self.close()
        self._send()

    def receive(self) -> bool:
        """Whether the whole response has arrived. Raises LocalError unless it is 2xx."""
        assert self._socket
        try:
            part = self._socket.recv(1 << 20)
        except ConnectionResetError:
            part = b""
        if not part:
            if self._response or self._again:
                raise LocalError(f"The web server closed a connection after {len(self._response)} bytes of a response.")
            # A server may close an idle connection before it reads a request: retry once, as every client does.
            self._again = True
            self.close()
            self._send()
            return False
        self._response += part
        if not self._length:
            head, separator, _ = bytes(self._response).partition(b"\r\n\r\n")
            if not separator:
                return False
            lines = [line.lower() for line in head.split(b"\r\n")]
            body = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
            self._length = len(head) + len(separator) + body
        if len(self._response) < self._length:
            return False
        if not self._response.startswith(b"HTTP/1.1 2"):
            raise LocalError(f"A request of the bench was refused: {bytes(self._response[:1000])!r}")
        return True

    def _send(self) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._served += 1
        self._response, self._length = bytearray(), 0
        self._socket.sendall(self._message)

    def close(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket, self._served = None, 0


def drive(port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send all requests, each as soon as a connection is free. Raises LocalError unless all return 2xx."""
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
                    raise LocalError(f"The web server has not responded for {TIMEOUT:.0f} s.")
                for key, _ in ready:
                    client = key.data
                    if not client.receive():
                        continue
                    latencies.append(time.perf_counter() - client.began)
                    if (message := next(waiting, None)) is not None:
                        client.send(message)
                    else:
                        client.close()  # or the server closes it later, which would look like a partial response
        finally:
            for client in clients:
                client.close()
    return Load(time.perf_counter() - began, latencies)
