"""The server as a process: its command line, its refusals to start, and how it stops."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).parents[3]
APP = {"PUSHER_APP_ID": "1001", "PUSHER_KEY": "hotel-key", "PUSHER_SECRET": "hotel-secret"}


def refusal(process):
    """Return the exit code and the one-line error of a server that did not start."""
    output, errors = process.communicate(timeout=10)
    assert (output, errors.count("\n")) == ("", 1), errors
    return process.returncode, errors.strip()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_remote_address_is_refused_without_the_flag(start, host):
    code, sentence = refusal(start("--port", "0", "--host", host))
    assert (code, "--allow-remote" in sentence) == (2, True), sentence


@pytest.mark.parametrize("host", ["no such host", "a" * 300, "999.0.0.1"])
def test_unknown_host_is_a_one_line_error(start, host):
    code, sentence = refusal(start("--port", "0", "--host", host))
    assert (code, "not an IP address or a name" in sentence) == (2, True), sentence


def test_remote_address_is_accepted_with_the_flag(start):
    process = start("--port", "0", "--host", "0.0.0.0", "--allow-remote")
    try:
        assert process.stdout.readline().startswith("Pusher server listening on http://0.0.0.0:")
    finally:
        process.terminate()
        process.communicate(timeout=10)
    assert process.returncode == 0


def test_localhost_is_loopback(start):
    process = start("--port", "0", "--host", "localhost")
    try:
        assert process.stdout.readline().startswith("Pusher server listening on http://127.0.0.1:")
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_busy_port_error_gives_a_remedy(start, server):
    code, sentence = refusal(start("--port", str(server.port)))
    assert (code, str(server.port) in sentence, "--port" in sentence) == (1, True, True), sentence


def test_address_of_another_machine_error_gives_a_remedy(start):
    # 192.0.2.0/24 is reserved for documentation: no machine has an address in it.
    code, sentence = refusal(start("--port", "0", "--host", "192.0.2.1", "--allow-remote"))
    assert (code, "--host" in sentence) == (1, True), sentence


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "PUSHER_APP_ID, PUSHER_KEY, PUSHER_SECRET"),
        (APP | {"PUSHER_SECRET": ""}, "PUSHER_SECRET"),
        (APP | {"PUSHER_APP_ID": "hotel"}, "PUSHER_APP_ID must consist of digits"),
        (APP | {"PUSHER_APP_ID": "١٢"}, "PUSHER_APP_ID must consist of digits"),
        (APP | {"PUSHER_ACTIVITY_TIMEOUT": "0"}, "PUSHER_ACTIVITY_TIMEOUT"),
        (APP | {"PUSHER_ACTIVITY_TIMEOUT": "soon"}, "PUSHER_ACTIVITY_TIMEOUT"),
    ],
)
def test_bad_environment_is_a_one_line_error(start, environ, named):
    code, sentence = refusal(start("--port", "0", environ=environ))
    assert (code, named in sentence) == (2, True), sentence


@pytest.mark.parametrize("port", ["70000", "-1", "http"])
def test_bad_port_is_a_usage_error(start, port):
    process = start(f"--port={port}")
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, "is not a port" in errors) == (2, True)


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_within_a_second_with_any_clients(launch, with_signal):
    with launch() as server, server.websocket() as client, server.websocket(max_queue=1, close_timeout=0.1) as stuck:
        for one in (client, stuck):
            one.established()
        stuck.subscribe("flood")
        # Enough that part of it stays unsent, but not enough to get a client dropped.
        for _ in range(80):
            batch = [{"channel": "flood", "name": "flood", "data": "x" * 10_240}] * 10
            assert server.post("/batch_events", {"batch": batch}).status_code == 200
        with socket.create_connection(("127.0.0.1", server.port)) as uploading:
            uploading.sendall(b"POST /apps/1001/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            client.ask("pusher:ping", {})
            code, errors, seconds = server.stop(with_signal)
        # 41xx: reconnect, after a second.
        assert client.receive() == {
            "event": "pusher:error",
            "data": {"code": 4100, "message": "Server is stopping: reconnect in a moment"},
        }
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
    assert (code, errors, closed.value.rcvd.code) == (0, "", 4100)
    assert seconds < 1


def test_client_cannot_reconnect_to_a_stopping_server(launch):
    with launch() as server, server.websocket() as client, server.websocket(max_queue=1, close_timeout=0.1) as stuck:
        for one in (client, stuck):
            one.established()
        stuck.subscribe("flood")
        for _ in range(80):
            batch = [{"channel": "flood", "name": "flood", "data": "x" * 10_240}] * 10
            assert server.post("/batch_events", {"batch": batch}).status_code == 200
        server.process.terminate()
        assert client.receive()["data"]["code"] == 4100
        # The stuck client keeps the process running; a client that reconnected now would be cut off without a reason.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        assert (server.process.communicate(timeout=10), server.process.returncode) == (("", ""), 0)


def test_imports_neither_django_nor_the_project():
    code = (
        "import sys, local.pusher_server.__main__\n"
        "names = set(sys.modules)\n"
        "print(sorted(n for n in names if n.split('.')[0] in ('django', 'rest_framework', 'pusher', 'hotelmate')))\n"
        "print(sorted(n for n in names if n.split('.')[0] == 'local' and '.pusher_server' not in n))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n['local']\n"


def test_messages_are_not_logged(launch):
    with launch() as server:
        with server.websocket() as client:
            client.established()
            client.subscribe("rooms")
            server.post("/events", {"name": "n", "channel": "rooms", "data": "top secret"})
            server.post("/events", {"name": "n", "channel": "rooms", "data": "top secret"}, secret="wrong")
            client.socket.send("top secret")
            client.receive()
        server.process.terminate()
        output, errors = server.process.communicate(timeout=10)
    assert (output, errors) == ("", "")
