"""The bench reports figures over target, fails on refused requests, and detects changed plans."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import LocalError
from tools.bench.growth import _other_plans, _statement
from tools.bench.load import PER_CONNECTION, drive, request
from tools.bench.report import Report, Row

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def server(responses: list[list[bytes]]) -> Iterator[tuple[int, list[list[bytes]]]]:
    """Accept one connection after the other, and send the next response to each request; b"" closes the connection.

    Yields its port and the received requests, by connection.
    """
    received: list[list[bytes]] = []

    def serve(listener: socket.socket) -> None:
        for connection in responses:
            client, _ = listener.accept()
            received.append([])
            with client:
                for response in connection:
                    if not (message := client.recv(65536)):
                        break
                    received[-1].append(message)
                    if response:
                        client.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        yield listener.getsockname()[1], received
        thread.join(10)


def test_figure_at_its_limit_is_within_target() -> None:
    report = Report({"quiet": True}, quick=False)
    report.add("Service", [Row("set_room_status", {"× by hand": 3.0})])
    report.add("HTTP", [Row("status update", {"statements": 8.0, "× SQL view": 0.49})])

    assert [(v.row, v.figure, v.word) for v in report.verdicts()] == [
        ("set_room_status", "× by hand", "within target"),
        ("status update", "statements", "over target"),
        ("status update", "× SQL view", "over target"),
    ]


def test_busy_machine_is_reported(tmp_path: Path) -> None:
    report = Report({"quiet": False}, quick=True)
    report.add("HTTP", [Row("status update", {"statements": 7.0})])
    report.write(tmp_path / "bench.json")

    assert "THE MACHINE WAS BUSY" in report.text()
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["machine"] == {"quiet": False}
    assert written["sections"] == {"HTTP": [{"name": "status update", "statements": 7.0}]}
    assert [verdict["word"] for verdict in written["targets"]] == ["within target"]


def test_each_request_is_sent_once_and_connections_are_reopened() -> None:
    messages = [request("POST", f"/{n}/", token="abc", body={"n": n}) for n in range(PER_CONNECTION + 1)]
    with server([[OK] * PER_CONNECTION * 2, [OK]]) as (port, received):
        load = drive(port, messages, connections=1)

    assert received == [messages[:PER_CONNECTION], messages[PER_CONNECTION:]]
    assert len(load.latencies) == len(messages)


def test_unread_request_is_retried() -> None:
    with server([[b""], [OK]]) as (port, received):
        drive(port, [request("GET", "/")], connections=1)

    assert received == [[request("GET", "/")]] * 2


@pytest.mark.parametrize(
    ("response", "message"),
    [(b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}", "refused"), (OK[:-1], "after 39 bytes of a response")],
)
def test_refused_requests_and_partial_responses_fail(response: bytes, message: str) -> None:
    with server([[response]]) as (port, _), pytest.raises(LocalError, match=message):
        drive(port, [request("GET", "/")], connections=1)


def explained(node: str, room: int) -> str:
    query = f"SELECT 1  WHERE room = {room}"
    plan = {
        "Node Type": "Limit",
        "Shared Hit Blocks": 3,
        "Shared Read Blocks": 1,
        "Plans": [{"Node Type": node, "Relation Name": "trail"}],
    }
    return f"LOG:  duration: 0.1 ms  plan:\n{json.dumps({'Query Text': query, 'Plan': plan})}"


def test_plans_are_compared_without_values() -> None:
    base, same, other = (
        _statement(explained(*values)) for values in (("Index Scan", 17), ("Index Scan", 4711), ("Seq Scan", 17))
    )

    assert base == ("SELECT ? WHERE room = ?", "Limit Index Scan (trail)", 4)
    assert _other_plans([base], [same]) == []
    assert _other_plans([base], [other]) == [
        "SELECT ? WHERE room = ? … by Limit Seq Scan (trail), not Limit Index Scan (trail)"
    ]
