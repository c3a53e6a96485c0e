"""gunicorn keeps a connection open after an early refusal."""

import http.client
import json

import pytest

from tests.notifications.conftest import until


def body(kilobytes: int) -> bytes:
    return b'{"note": "' + b"x" * 1024 * kilobytes + b'"}'


@pytest.mark.django_db(transaction=True)
def test_unread_body_costs_neither_the_response_nor_the_connection(start_web, unused_port):
    process = start_web(unused_port, REALTIME_RELAY="off")
    connection = http.client.HTTPConnection("127.0.0.1", unused_port, timeout=20)

    def connected() -> bool:
        assert process.poll() is None, process.communicate()
        try:
            connection.connect()
        except ConnectionRefusedError:
            return False
        return True

    until(connected)
    line = connection.sock
    requests = (
        ("/api/staff/login/", 1200, 413),
        ("/api/staff/hotel/x/rooms/1/inspect/", 900, 401),
        ("/api/x/", 7000, 404),
    )
    for path, kilobytes, status in (*requests, *requests):
        connection.request("POST", path, body(kilobytes), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert json.loads(answer.read())["code"]
        assert (answer.status, connection.sock) == (status, line)
    connection.close()
