"""The server process: its command line, its ASGI app, its start and stop."""

import argparse
import asyncio
import errno
import ipaddress
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

import uvicorn

from local.pusher_server.asgi import Receive, Scope, Send
from local.pusher_server.connection import Code, Connection, serve_websocket
from local.pusher_server.credentials import Credentials, CredentialsError, credentials_from
from local.pusher_server.http_api import serve_http
from local.pusher_server.hub import Hub
from local.pusher_server.protocols import HttpProtocol, WebSocketProtocol

DEFAULT_ACTIVITY_TIMEOUT = 120

# Clients only send subscriptions and pings, which are short; above this, the WebSocket layer closes with 1009.
MAX_FRAME_BYTES = 64 * 1024

# Seconds that clients have to read the close frame when we stop.
STOP_PATIENCE = 0.3

# Seconds for which an idle HTTP connection is kept open. If it were short, a publisher's request would sometimes meet a
# connection that is being closed, and fail.
KEEP_ALIVE = 75


class StartError(Exception):
    """The server cannot start; ``exit_code`` is 2 if the arguments or the environment are wrong."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class PusherApp:
    """The ASGI app: connects WebSockets and HTTP requests through one hub."""

    def __init__(self, credentials: Credentials, activity_timeout: int = DEFAULT_ACTIVITY_TIMEOUT) -> None:
        self._credentials = credentials
        self._activity_timeout = activity_timeout
        self._hub = Hub()
        self._connections: set[Connection] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            await serve_websocket(
                scope,
                receive,
                send,
                hub=self._hub,
                credentials=self._credentials,
                activity_timeout=self._activity_timeout,
                connections=self._connections,
            )
        else:
            await serve_http(scope, receive, send, hub=self._hub, credentials=self._credentials)

    async def ask_to_reconnect(self, patience: float) -> None:
        """Tell every client to reconnect in a moment; wait until that is sent, but at most ``patience`` seconds.

        Not with 42xx (reconnect immediately): while the server is down, pusher-js may then wait for 15 s, much longer
        than a restart takes, and pysher retries without a pause. And not with WebSocket's own 1012 alone: pysher would
        not reconnect, and pusher-js on Node takes it for a protocol error.
        """
        for connection in list(self._connections):
            connection.close(Code.OVER_CAPACITY, "Server is stopping: reconnect in a moment")
        deadline = time.monotonic() + patience
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)


class FastStoppingServer(uvicorn.Server):
    """uvicorn's server, but it sends clients the reason when it stops, and a slow client cannot delay the stop."""

    def __init__(self, config: uvicorn.Config, app: PusherApp) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close every connection properly, and abort those that are still open a moment later."""
        for server in self.servers:
            server.close()  # clients must not reconnect to this process
        asyncio.get_running_loop().call_later(STOP_PATIENCE, self._cut_off)
        await self._app.ask_to_reconnect(STOP_PATIENCE)
        await super().shutdown(sockets)

    def _cut_off(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is stopped; return the exit code."""
    arguments = parse_arguments(argv)
    try:
        app = PusherApp(read_credentials(os.environ), read_activity_timeout(os.environ))
        listener = open_listener(arguments.host, arguments.port, allow_remote=arguments.allow_remote)
    except StartError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    # uvicorn stops cleanly on these signals and then raises them again for the previous handlers: ours, which make a
    # requested stop count as success.
    signal.signal(signal.SIGTERM, exit_cleanly)
    signal.signal(signal.SIGINT, exit_cleanly)
    host, port = listener.getsockname()[:2]
    sys.stdout.write(f"Pusher server listening on http://{f'[{host}]' if ':' in host else host}:{port}\n")
    sys.stdout.flush()
    build_server(app).run(sockets=[listener])
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m local.pusher_server",
        description="A server with Pusher's protocol for one machine: public and private channels, kept in memory.",
        epilog="PUSHER_APP_ID, PUSHER_KEY and PUSHER_SECRET name the app; PUSHER_ACTIVITY_TIMEOUT (120) is in seconds.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=port_number, default=6001, help="port, 0 for any free one (default: %(default)s)"
    )
    parser.add_argument("--allow-remote", action="store_true", help="allow a --host that other machines can reach")
    return parser.parse_args(argv)


def port_number(text: str) -> int:
    """Return ``text`` as a TCP port."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 0 and 65535")
    return int(text)


def read_credentials(environ: Mapping[str, str]) -> Credentials:
    """Return the app's credentials; ``StartError`` when there are none."""
    try:
        return credentials_from(environ)
    except CredentialsError as problem:
        raise StartError(str(problem)) from problem


def read_activity_timeout(environ: Mapping[str, str]) -> int:
    """Return the seconds of silence after which a client is pinged."""
    text = environ.get("PUSHER_ACTIVITY_TIMEOUT") or str(DEFAULT_ACTIVITY_TIMEOUT)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 3600):
        raise StartError("PUSHER_ACTIVITY_TIMEOUT must be a whole number of seconds from 1 to 3600.")
    return int(text)


def open_listener(host: str, port: int, *, allow_remote: bool) -> socket.socket:
    """Return a listening socket; raises ``StartError`` with one sentence.

    The address is checked after it was resolved: the result counts, not the spelling of the name.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise StartError(
            f"Cannot listen on {host!r}: it is not an IP address or a name that this machine can resolve."
        ) from error
    # "localhost" may resolve to IPv4 and IPv6; clients use IPv4 by default.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    if not allow_remote and not ipaddress.ip_address(address[0]).is_loopback:
        raise StartError(f"Refusing to listen on {host}, which other machines may reach: add --allow-remote to do so.")
    # asyncio only turns off Nagle's algorithm, which delays every response by 40 ms, if the protocol is given here.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A restart must not wait for the last run's connections to time out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            advice = f"Port {port} on {host} is in use: stop the other program, or choose another port with --port."
        else:
            advice = f"Cannot listen on port {port} of {host} ({error.strerror}): choose another --port or --host."
        raise StartError(advice, exit_code=1) from error
    return listener


def build_server(app: PusherApp) -> FastStoppingServer:
    """Return uvicorn, configured to log only errors and to leave the heartbeat to the Pusher protocol."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=HttpProtocol,
        ws=WebSocketProtocol,  # of uvicorn's two, the one that does not use the deprecated websockets.legacy
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,  # on one machine, compression only costs time
        ws_ping_interval=None,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,  # request lines carry signatures
        log_level="error",  # clients get their own errors as messages
        use_colors=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )
    logging.getLogger("uvicorn.error").addFilter(is_not_client_error)
    return FastStoppingServer(config, app)


def is_not_client_error(record: logging.LogRecord) -> bool:
    """Filter out the traceback that uvicorn logs when a client sends text that is not UTF-8."""
    return not (record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError) and "from client" in record.msg)


def exit_cleanly(signum: int, frame: FrameType | None) -> None:
    """End the process with success."""
    sys.exit(0)
