"""The bench can say "missed", takes no refusal for an answer, and sees a plan that is another."""

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
def server(answers: list[list[bytes]]) -> Iterator[tuple[int, list[list[bytes]]]]:
    """Takes one connection after the other; to each request of it the next answer, b"" being to hang up.

    Yields its port and what it has heard, by connection.
    """
    heard: list[list[bytes]] = []

    def serve(listener: socket.socket) -> None:
        for connection in answers:
            client, _ = listener.accept()
            heard.append([])
            with client:
                for answer in connection:
                    if not (message := client.recv(65536)):
                        break
                    heard[-1].append(message)
                    if answer:
                        client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join(10)


def test_target_is_kept_at_its_limit_and_missed_above() -> None:
    report = Report({"quiet": True}, quick=False)
    report.add("Service", [Row("set_room_status", {"× by hand": 3.0})])
    report.add("HTTP", [Row("status update", {"statements": 8.0, "× SQL view": 0.49})])

    assert [(v.row, v.figure, v.word) for v in report.verdicts()] == [
        ("set_room_status", "× by hand", "as wanted"),
        ("status update", "statements", "missed"),
        ("status update", "× SQL view", "missed"),
    ]


def test_busy_machine_is_told(tmp_path: Path) -> None:
    report = Report({"quiet": False}, quick=True)
    report.add("HTTP", [Row("status update", {"statements": 7.0})])
    report.write(tmp_path / "bench.json")

    assert "THE MACHINE WAS BUSY" in report.text()
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["machine"] == {"quiet": False}
    assert written["sections"] == {"HTTP": [{"name": "status update", "statements": 7.0}]}
    assert [verdict["word"] for verdict in written["targets"]] == ["as wanted"]


def test_each_request_is_sent_once_and_the_connection_is_renewed_now_and_then() -> None:
    messages = [request("POST", f"/{n}/", token="abc", body={"n": n}) for n in range(PER_CONNECTION + 1)]
    with server([[OK] * PER_CONNECTION * 2, [OK]]) as (port, heard):
        load = drive(port, messages, connections=1)

    assert heard == [messages[:PER_CONNECTION], messages[PER_CONNECTION:]]
    assert len(load.latencies) == len(messages)


def test_request_that_was_not_read_is_sent_again() -> None:
    with server([[b""], [OK]]) as (port, heard):
        drive(port, [request("GET", "/")], connections=1)

    assert heard == [[request("GET", "/")]] * 2


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [(b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}", "refused"), (OK[:-1], "after 39 bytes of an answer")],
)
def test_refusal_and_half_an_answer_end_the_bench(answer: bytes, complaint: str) -> None:
    with server([[answer]]) as (port, _), pytest.raises(LocalError, match=complaint):
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


def test_plan_is_compared_and_the_values_are_not() -> None:
    base, same, other = (
        _statement(explained(*told)) for told in (("Index Scan", 17), ("Index Scan", 4711), ("Seq Scan", 17))
    )

    assert base == ("SELECT ? WHERE room = ?", "Limit Index Scan (trail)", 4)
    assert _other_plans([base], [same]) == []
    assert _other_plans([base], [other]) == [
        "SELECT ? WHERE room = ? … by Limit Seq Scan (trail), not Limit Index Scan (trail)"
    ]
