"""The server with Pusher's client libraries: ``pusher`` publishes, ``pysher`` subscribes."""

import json
import time

import pusher.errors
import pytest

SUBSCRIBED = "pusher_internal:subscription_succeeded"


def test_event_reaches_public_channel(server, channel):
    with server.pysher() as client:
        assert client.subscribe(channel) == (channel, SUBSCRIBED, "{}")
        assert server.library().trigger(channel, "room_updated", {"room": "101", "note": "café ☕"}) == {}
        heard_on, event, data = client.next()
    assert (heard_on, event, json.loads(data)) == (channel, "room_updated", {"room": "101", "note": "café ☕"})


def test_event_reaches_private_channel_with_a_good_signature(server, channel):
    private = f"private-{channel}"
    with server.pysher() as client:
        assert client.subscribe(private) == (private, SUBSCRIBED, "{}")
        server.library().trigger(private, "room_updated", {"room": "101"})
        assert client.next() == (private, "room_updated", '{"room": "101"}')


def test_private_channel_refuses_a_wrong_signature_and_stays_silent(server, channel):
    private = f"private-{channel}"
    with server.pysher(secret="wrong") as client:
        # Nothing arrives on the private channel, not even an error: the next event is on the public one.
        client.request(private)
        assert client.subscribe(channel) == (channel, SUBSCRIBED, "{}")
        server.library().trigger(private, "room_updated", {})
        server.library().trigger(channel, "marker", {})
        assert client.next() == (channel, "marker", "{}")


def test_authentication_made_by_the_library_is_accepted(server, channel):
    private = f"private-{channel}"
    with server.websocket() as client:
        signed = server.library().authenticate(channel=private, socket_id=client.established())
        assert client.subscribe(private, signed["auth"])["event"] == SUBSCRIBED


def test_burst_arrives_whole_and_in_order(server, channel):
    library = server.library()
    with server.pysher() as client:
        client.subscribe(channel)
        started_at = time.monotonic()
        for number in range(300):
            library.trigger(channel, "burst", {"n": number})
        received = [json.loads(client.next()[2])["n"] for _ in range(300)]
    assert received == list(range(300))
    # This takes 0.4 s; with Nagle's algorithm on the server it takes 12 s.
    assert time.monotonic() - started_at < 6


def test_one_trigger_reaches_two_channels(server, channel):
    first, second = f"{channel}.a", f"private-{channel}.b"
    with server.pysher() as client:
        client.subscribe(first)
        client.subscribe(second)
        server.library().trigger([first, second], "moved", {"to": "102"})
        assert [client.next(), client.next()] == [
            (first, "moved", '{"to": "102"}'),
            (second, "moved", '{"to": "102"}'),
        ]


def test_batch_of_ten_arrives_in_order(server, channel):
    with server.pysher() as client:
        client.subscribe(channel)
        batch = [{"channel": channel, "name": "batched", "data": {"n": number}} for number in range(10)]
        assert server.library().trigger_batch(batch) == {}
        received = [json.loads(client.next()[2])["n"] for _ in range(10)]
    assert received == list(range(10))


def test_socket_id_excludes_its_own_connection(server, channel):
    library = server.library()
    with server.pysher() as sender, server.pysher() as other:
        sender.subscribe(channel)
        other.subscribe(channel)
        library.trigger(channel, "said", {"n": 1}, socket_id=sender.socket_id)
        library.trigger_batch([{"channel": channel, "name": "said", "data": {"n": 2}, "socket_id": sender.socket_id}])
        library.trigger(channel, "marker", {})
        assert [other.next()[1:] for _ in range(3)] == [("said", '{"n": 1}'), ("said", '{"n": 2}'), ("marker", "{}")]
        assert sender.next() == (channel, "marker", "{}")


def test_unsubscribed_client_receives_nothing(server, channel):
    with server.pysher() as client:
        client.subscribe(channel)
        client.unsubscribe(channel)
        client.subscribe(f"{channel}.other")
        server.library().trigger(channel, "room_updated", {})
        server.library().trigger(f"{channel}.other", "marker", {})
        assert client.next() == (f"{channel}.other", "marker", "{}")


def test_channel_info_follows_subscriptions(server, channel):
    library = server.library()
    assert library.channel_info(channel, ["subscription_count"]) == {"occupied": False, "subscription_count": 0}
    with server.pysher() as one, server.pysher() as two:
        one.subscribe(channel)
        two.subscribe(channel)
        assert library.channel_info(channel) == {"occupied": True}
        assert library.channels_info(channel, ["subscription_count"]) == {
            "channels": {channel: {"subscription_count": 2}}
        }
        assert library.channels_info(channel) == {"channels": {channel: {}}}
        assert library.channels_info("somewhere-else") == {"channels": {}}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"secret": "wrong"}, pusher.errors.PusherBadAuth, "Invalid signature"),
        ({"key": "wrong"}, pusher.errors.PusherBadAuth, "Unknown auth_key"),
        ({"app_id": "999"}, pusher.errors.PusherBadStatus, "404: Unknown app_id"),
    ],
)
def test_wrong_credentials_publish_nothing(server, channel, changes, error, message):
    with server.websocket() as client:
        client.established()
        client.subscribe(channel)
        with pytest.raises(error, match=message):
            server.library(**changes).trigger(channel, "evil", {})
        assert client.received_nothing()


def test_pysher_reconnects_after_a_restart(launch, channel, unused_port):
    with launch(unused_port) as server:
        # pysher stops after a plain close; an error event with "try again later" makes it reconnect.
        client = server.pysher(auto_sub=True, reconnect_interval=1)
        received = client.__enter__()
        received.subscribe(channel)
        server.stop()
    with launch(unused_port) as server:
        try:
            assert received.next() == (channel, SUBSCRIBED, "{}")
            server.library().trigger(channel, "room_updated", {})
            assert received.next() == (channel, "room_updated", "{}")
        finally:
            client.__exit__(None, None, None)


@pytest.mark.parametrize("name", ["presence-lobby", "private-encrypted-lobby", "cache-lobby", "private-cache-lobby"])
def test_library_gets_an_error_for_unsupported_channels(server, name):
    library = server.library(encryption_master_key_base64="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
    with pytest.raises(pusher.errors.PusherBadRequest, match="not supported by this server"):
        library.trigger(name, "room_updated", {})


def test_library_gets_an_error_for_unsupported_users(server):
    with pytest.raises(pusher.errors.PusherBadRequest, match="Users are not supported"):
        server.library().users_info("presence-lobby")
