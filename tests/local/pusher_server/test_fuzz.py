"""The embedded Pusher server under what `make fuzz` throws at it for longer, the same each time: it lives, says nothing
in its log, stays small, and whoever else listens goes on hearing."""

import pytest

from tests.notifications.conftest import APP_ID, KEY, SECRET
from tools.fuzz.pusher import CROWDS, KINDS, Call, Target, attack, bystander, call, judge


@pytest.fixture(scope="module")
def target(launch):
    # At the end `launch` sees that the server stops cleanly and that its log is empty.
    with launch() as server:
        yield Target(server.port, APP_ID, KEY, SECRET, server.process.pid)


@pytest.mark.parametrize("name", KINDS)
def test_nobody_else_notices_what_one_client_says(target, name):
    with bystander(target) as listener:
        attack(target, listener, name, number=20_260_701, examples=60)


@pytest.mark.parametrize("blame", [b"HTTP/1.1 500 Oh", b"\x88\x02\x03\xf3", b"\x88\x09\x03\xf3because"])
def test_the_judge_finds_what_blames_the_server_in_whatever_was_said(blame):
    before, after = b'HTTP/1.1 400 Bad Request\r\n\r\n{"error": 1}', b"HTTP/1.1 200 OK\r\n\r\n"
    judge(before + after)
    judge(b"\x88\x02\x03\xf1")
    with pytest.raises(AssertionError, match="the server returns"):
        judge(before + blame + after)


@pytest.mark.parametrize("name", CROWDS)
def test_a_crowd_that_never_goes_on_costs_little_and_hinders_nobody(target, name):
    with bystander(target) as listener:
        attack(target, listener, name, number=1)


def test_a_broken_request_that_cannot_even_be_refused_is_no_traceback(target):
    with bystander(target) as listener:
        call(target, [Call("HEAD", "/events", b"x", "bad chunks", {}, "")])
        listener.check_delivery()


def test_a_client_listens_to_ten_thousand_channels_and_no_more(server, channel):
    with server.websocket(max_queue=None) as client:
        client.established()
        for number in range(10_000):
            client.send("pusher:subscribe", {"channel": f"{channel}.{number}"})
            assert client.receive()["event"] == "pusher_internal:subscription_succeeded"
        assert "at most 10000" in client.subscribe(channel)["data"]["message"]
        client.send("pusher:unsubscribe", {"channel": f"{channel}.7"})
        assert client.subscribe(channel)["event"] == "pusher_internal:subscription_succeeded"


def test_an_endless_channel_name_is_not_quoted_in_full(server):
    with server.websocket() as client:
        client.established()
        error = client.ask("pusher:unsubscribe", {"channel": "r" * 60_000})
        assert len(error["data"]["message"]) < 300
