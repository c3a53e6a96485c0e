"""A short, deterministic run of the inputs of `make fuzz` against the embedded Pusher server: it survives, logs
nothing, uses little memory, and other clients still receive events."""

import pytest

from tests.notifications.conftest import APP_ID, KEY, SECRET
from tools.fuzz.pusher import CROWDS, KINDS, Call, Target, attack, bystander, call, judge


@pytest.fixture(scope="module")
def target(launch):
    # At the end, `launch` checks that the server stops cleanly and that its log is empty.
    with launch() as server:
        yield Target(server.port, APP_ID, KEY, SECRET, server.process.pid)


@pytest.mark.parametrize("name", KINDS)
def test_one_client_does_not_affect_others(target, name):
    with bystander(target) as listener:
        attack(target, listener, name, number=20_260_701, examples=60)


@pytest.mark.parametrize("blame", [b"HTTP/1.1 500 Oh", b"\x88\x02\x03\xf3", b"\x88\x09\x03\xf3because"])
def test_server_faults_are_recognised_in_any_exchange(blame):
    before, after = b'HTTP/1.1 400 Bad Request\r\n\r\n{"error": 1}', b"HTTP/1.1 200 OK\r\n\r\n"
    judge(before + after)
    judge(b"\x88\x02\x03\xf1")
    with pytest.raises(AssertionError, match="the server returns"):
        judge(before + blame + after)


@pytest.mark.parametrize("name", CROWDS)
def test_many_idle_connections_cost_little_and_block_nobody(target, name):
    with bystander(target) as listener:
        attack(target, listener, name, number=1)


def test_unreadable_request_causes_no_traceback(target):
    with bystander(target) as listener:
        call(target, [Call("HEAD", "/events", b"x", "bad chunks", {}, "")])
        listener.check_delivery()


def test_client_is_limited_to_ten_thousand_channels(server, channel):
    with server.websocket(max_queue=None) as client:
        client.established()
        for number in range(10_000):
            client.send("pusher:subscribe", {"channel": f"{channel}.{number}"})
            assert client.receive()["event"] == "pusher_internal:subscription_succeeded"
        assert "at most 10000" in client.subscribe(channel)["data"]["message"]
        client.send("pusher:unsubscribe", {"channel": f"{channel}.7"})
        assert client.subscribe(channel)["event"] == "pusher_internal:subscription_succeeded"


def test_very_long_channel_name_is_not_quoted_in_full(server):
    with server.websocket() as client:
        client.established()
        error = client.ask("pusher:unsubscribe", {"channel": "r" * 60_000})
        assert len(error["data"]["message"]) < 300
