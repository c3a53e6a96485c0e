"""One WebSocket client: handshake, subscriptions, malformed frames, heartbeat and overload."""

import contextlib
import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

KEY = "hotel-key"
SUBSCRIBED = "pusher_internal:subscription_succeeded"
JSON_VALUES = st.recursive(
    # Text with lone surrogates, which JSON can express and UTF-8 cannot.
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["channel", "auth", "x"]), inner),
    max_leaves=6,
)


def test_greeting_carries_socket_id_and_activity_timeout(server):
    with server.websocket() as client:
        greeting = client.receive()
    assert (greeting["event"], set(greeting)) == ("pusher:connection_established", {"event", "data"})
    data = json.loads(greeting["data"])
    assert (set(data), data["activity_timeout"]) == ({"socket_id", "activity_timeout"}, 120)
    assert [part.isdigit() for part in data["socket_id"].split(".")] == [True, True]


@pytest.mark.parametrize("version", ["5", "6", "7"])
def test_supported_protocol_versions(server, version):
    with server.websocket(f"/app/{KEY}?client=js&protocol={version}") as client:
        assert client.established()


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/app/unknown?protocol=7", 4001, "Application does not exist"),
        ("/app/cl%C3%A9?protocol=7", 4001, "Application does not exist"),
        (f"/app/{KEY}/more?protocol=7", 4001, "Application does not exist"),
        (f"/apps/{KEY}?protocol=7", 4005, "Path not found"),
        ("/app/?protocol=7", 4005, "Path not found"),
        ("/?protocol=7", 4005, "Path not found"),
        (f"/app/{KEY}?protocol=seven", 4006, "Invalid version string format"),
        (f"/app/{KEY}?protocol=%D9%A7", 4006, "Invalid version string format"),
        (f"/app/{KEY}?protocol=4", 4007, "Unsupported protocol version"),
        (f"/app/{KEY}?protocol=8", 4007, "Unsupported protocol version"),
        (f"/app/{KEY}", 4008, "No protocol version supplied"),
        (f"/app/{KEY}?protocol=", 4008, "No protocol version supplied"),
    ],
)
def test_refused_handshake_gives_the_reason_and_closes(server, path, code, message):
    with server.websocket(path) as client:
        error = client.receive()
        assert (error["event"], error["data"]["code"]) == ("pusher:error", code)
        assert message in error["data"]["message"]
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
    assert (closed.value.rcvd.code, message in closed.value.rcvd.reason) == (code, True)


def test_private_channel_checks_the_signature_of_this_connection(server, channel):
    private = f"private-{channel}"
    with server.websocket() as client, server.websocket() as other:
        own, foreign = client.established(), other.established()
        missing = f"Auth info required to subscribe to {private}"
        malformed = f"Auth value for subscription to {private} is invalid: should be of format 'key:signature'"
        unsigned = f"Invalid signature: Expected HMAC SHA256 hex digest of {own}:{private}, but got "
        right = server.auth(own, private)
        wrong = [
            ({}, missing),
            ({"auth": None}, missing),
            ({"auth": ""}, missing),
            ({"auth": 7}, malformed),
            ({"auth": "é"}, malformed),
            ({"auth": right.removeprefix(f"{KEY}:")}, malformed),
            ({"auth": right, "channel_data": 7}, malformed),
            ({"auth": right.removeprefix(KEY)}, "Invalid key in subscription auth data: ''"),
            ({"auth": f"other{right}"}, f"Invalid key in subscription auth data: 'other{KEY}'"),
            ({"auth": f"{KEY}:\ud800"}, unsigned + "\ud800"),
            ({"auth": server.auth(foreign, private)}, unsigned),
            ({"auth": server.auth(own, f"{private}.else")}, unsigned),
            ({"auth": server.auth(own, private, secret="wrong")}, unsigned),
            ({"auth": server.auth(own, private, ':{"user":1}')}, unsigned),
            ({"auth": right, "channel_data": ""}, unsigned.replace(", but", ":, but")),
        ]
        for data, message in wrong:
            answer = client.ask("pusher:subscribe", {"channel": private} | data)
            # As with Pusher: an error on the connection, which stays open, and not an event on the channel.
            assert (answer["event"], answer["data"]["code"], set(answer)) == ("pusher:error", None, {"event", "data"})
            assert answer["data"]["message"].startswith(message), answer
        assert server.library().channel_info(private) == {"occupied": False}
        assert client.subscribe(private, server.auth(own, private)) == {
            "event": SUBSCRIBED,
            "channel": private,
            "data": "{}",
        }


def test_channel_data_is_part_of_the_signature(server, channel):
    private, data = f"private-{channel}", '{"user":1}'
    with server.websocket() as client:
        auth = server.auth(client.established(), private, f":{data}")
        answer = client.ask("pusher:subscribe", {"channel": private, "auth": auth, "channel_data": data})
    assert answer["event"] == SUBSCRIBED


def test_second_subscription_is_refused_and_changes_nothing(server, channel):
    with server.websocket() as client:
        client.established()
        client.subscribe(channel)
        assert client.subscribe(channel) == {
            "event": "pusher:error",
            "data": {"code": None, "message": f"Existing subscription to channel {channel}"},
        }
        server.library().trigger(channel, "room_updated", {})
        assert client.receive()["event"] == "room_updated"
        assert client.received_nothing()


def test_leaving_client_frees_its_channels(server, channel):
    library = server.library()
    with server.websocket() as stays:
        stays.established()
        stays.subscribe(channel)
        with server.websocket() as leaves:
            leaves.established()
            leaves.subscribe(channel)
            assert library.channel_info(channel, ["subscription_count"])["subscription_count"] == 2
        # The server has completed the closing handshake; a trigger must not fail because of the client that left.
        library.trigger(channel, "room_updated", {})
        assert stays.receive()["event"] == "room_updated"
        stays.send("pusher:unsubscribe", {"channel": channel})
        assert stays.received_nothing()
        assert library.channel_info(channel) == {"occupied": False}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("presence-lobby", "Presence channels are not supported"),
        ("private-encrypted-lobby", "Encrypted channels are not supported"),
        ("cache-lobby", "Cache channels are not supported"),
        ("private-cache-lobby", "Cache channels are not supported"),
        ("#server-to-user-7", "Events to signed-in users are not supported"),
    ],
)
def test_channel_of_a_kind_that_is_not_supported_is_refused_on_that_channel(server, name, message):
    with server.websocket() as client:
        socket_id = client.established()
        answer = client.subscribe(name, server.auth(socket_id, name) if name.isascii() else None)
        assert (answer["event"], answer["channel"]) == ("pusher:subscription_error", name)
        assert (answer["data"]["type"], answer["data"]["status"]) == ("ChannelError", 400)
        assert message in answer["data"]["error"]
        assert client.received_nothing()


@pytest.mark.parametrize("name", ["", "two words", "a/b", "café", "#rooms", "rooms\n", "r" * 165, "\ud800"])
def test_invalid_channel_name_is_refused(server, name):
    with server.websocket() as client:
        client.established()
        error = client.subscribe(name)
        assert (error["event"], error["data"]["code"]) == ("pusher:error", None)
        assert "Invalid channel name" in error["data"]["message"]
        assert client.received_nothing()


@pytest.mark.parametrize("name", ["r" * 164, "-", "aZ09_-=@,.;", "Private-Rooms", "PRESENCE-rooms", "private"])
def test_every_valid_channel_name_works(server, name):
    with server.websocket() as client, server.websocket() as other:
        for one in (client, other):
            one.established()
        assert client.subscribe(name)["event"] == SUBSCRIBED
        other.subscribe(name.swapcase())
        server.library().trigger(name, "room_updated", {})
        assert client.receive() == {"event": "room_updated", "channel": name, "data": "{}"}
        assert name == name.swapcase() or other.received_nothing()
        assert server.library().channel_info(name) == {"occupied": True}


def test_private_channel_needs_a_new_signature_after_unsubscribing(server, channel):
    private = f"private-{channel}"
    with server.websocket() as client:
        auth = server.auth(client.established(), private)
        client.subscribe(private, auth)
        client.send("pusher:unsubscribe", {"channel": private})
        assert client.received_nothing()
        server.library().trigger(private, "missed", {})
        assert client.subscribe(private)["event"] == "pusher:error"
        assert client.subscribe(private, auth)["event"] == SUBSCRIBED
        server.library().trigger(private, "heard", {})
        assert client.receive()["event"] == "heard"


def test_unsubscribing_without_a_subscription_is_an_error(server, channel):
    with server.websocket() as client:
        client.established()
        assert client.ask("pusher:unsubscribe", {"channel": channel}) == {
            "event": "pusher:error",
            "data": {
                "code": None,
                "message": f"No current subscription to channel {channel}, or subscription in progress",
            },
        }


def test_thousands_of_subscriptions_sent_at_once_are_all_answered(server, channel):
    names = [f"{channel}.{number}" for number in range(5000)]
    with server.websocket(max_queue=None) as client:
        client.established()
        # Written to the socket in one piece: the server must not mistake the backlog for a slow reader.
        protocol, frames = client.socket.protocol, []
        for name in names:
            protocol.send_text(json.dumps({"event": "pusher:subscribe", "data": {"channel": name}}).encode())
            frames += protocol.data_to_send()
        client.socket.socket.sendall(b"".join(frames))
        answers = [client.receive() for _ in names]
        assert answers == [{"event": SUBSCRIBED, "channel": name, "data": "{}"} for name in names]


def test_client_events_are_refused_and_reach_nobody(server, channel):
    private = f"private-{channel}"
    with server.websocket() as client, server.websocket() as other:
        for one in (client, other):
            one.subscribe(private, server.auth(one.established(), private))
        error = client.ask("client-typing", {"text": "hi"}, channel=private)
        assert (error["event"], error["data"]["code"]) == ("pusher:error", None)
        assert "not supported" in error["data"]["message"]
        assert other.received_nothing()


def test_signing_in_is_refused(server):
    with server.websocket() as client:
        client.established()
        error = client.ask("pusher:signin", {"auth": "x", "user_data": "{}"})
        assert (error["event"], error["data"]["code"]) == ("pusher:error", None)
        assert "not supported" in error["data"]["message"]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "not JSON",
        "null",
        "7",
        "[]",
        "{}",
        '{"event": 7}',
        '{"event": "pusher:unheard"}',
        '{"event": "pusher_internal:subscription_succeeded", "channel": "rooms", "data": "{}"}',
        '{"event": "room_updated", "channel": "rooms"}',
        '{"event": "\\ud800"}',
        '{"event": "pusher:subscribe"}',
        '{"event": "pusher:subscribe", "data": "rooms"}',
        '{"event": "pusher:subscribe", "data": {"channel": ["rooms"]}}',
        '{"event": "pusher:unsubscribe", "data": []}',
        '{"event": "pusher:unsubscribe", "data": {"channel": {}}}',
        "[" * 60_000,
        '{"event":' * 6_000,
        "9" * 5_000,
        b'{"event": "pusher:ping"}',
        b"\x00\xff",
    ],
    ids=lambda frame: repr(frame[:50]),
)
def test_malformed_frame_gets_an_error_and_leaves_the_connection_working(server, frame):
    with server.websocket() as client:
        client.established()
        client.socket.send(frame)
        error = client.receive()
        assert (error["event"], error["data"]["code"]) == ("pusher:error", None)
        assert error["data"]["message"]
        assert client.received_nothing()


def test_no_message_breaks_a_connection(server):
    events = st.sampled_from(["pusher:subscribe", "pusher:unsubscribe", "pusher:pong", "pusher:signin", "client-x"])
    messages = st.fixed_dictionaries({"event": events | JSON_VALUES, "data": JSON_VALUES}) | JSON_VALUES
    with server.websocket() as client:
        client.established()

        # No deadline: the time of an example depends on the tests running in parallel.
        @settings(max_examples=100, deadline=None, database=None)
        @given(messages)
        def answers_the_ping_that_follows(message):
            client.socket.send(json.dumps(message))
            client.send("pusher:ping", {})
            while (answer := client.receive())["event"] != "pusher:pong":
                assert answer["event"] in ("pusher:error", "pusher:subscription_error", SUBSCRIBED)

        answers_the_ping_that_follows()


@pytest.mark.parametrize(
    ("frame", "as_text", "code"),
    [("x" * 70_000, None, 1009), (["x" * 40_000, "x" * 40_000], None, 1009), (b"\xff\xfe", True, 1007)],
    ids=["huge", "huge in fragments", "not UTF-8"],
)
def test_frame_that_breaks_the_websocket_rules_ends_only_its_own_connection(server, channel, frame, as_text, code):
    with server.websocket() as bystander:
        bystander.established()
        bystander.subscribe(channel)
        with server.websocket() as client:
            client.established()
            client.subscribe(channel)
            with contextlib.suppress(ConnectionClosed):  # the server may close before the last fragment
                client.socket.send(frame, text=as_text)
            with pytest.raises(ConnectionClosed) as closed:
                client.receive()
            assert closed.value.rcvd.code == code
        server.library().trigger(channel, "room_updated", {})
        assert bystander.receive()["event"] == "room_updated"


def test_garbage_instead_of_frames_ends_only_its_own_connection(server):
    with server.websocket() as bystander, socket.create_connection(("127.0.0.1", server.port)) as raw:
        bystander.established()
        raw.settimeout(10)
        raw.sendall(
            f"GET /app/{KEY}?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert raw.recv(4096).startswith(b"HTTP/1.1 101")
        raw.sendall(b"\xff" * 512)
        while raw.recv(4096):
            pass
        assert bystander.received_nothing()


def test_silent_client_is_pinged_and_closed_unless_it_answers(launch, channel):
    with launch(PUSHER_ACTIVITY_TIMEOUT="1") as server, server.pysher() as lively:
        lively.subscribe(channel)
        with server.websocket() as client:
            assert json.loads(client.receive()["data"])["activity_timeout"] == 1
            for _ in range(2):
                assert client.receive() == {"event": "pusher:ping", "data": "{}"}
                client.send("pusher:pong", {})
            assert client.receive() == {"event": "pusher:ping", "data": "{}"}
            assert client.receive() == {
                "event": "pusher:error",
                "data": {"code": 4201, "message": "Pong reply not received"},
            }
            with pytest.raises(ConnectionClosed) as closed:
                client.receive()
            assert closed.value.rcvd.code == 4201
        # pysher was silent just as long, but its library answers pings.
        server.library().trigger(channel, "marker", {})
        assert lively.next() == (channel, "marker", "{}")


def test_client_that_stops_reading_is_dropped_and_others_receive_everything(server, channel):
    names = [f"{channel}.{number}" for number in range(100)]
    library = server.library()
    with server.websocket() as reader, server.websocket(max_queue=1) as stuck:
        reader.established()
        reader.subscribe(channel)
        stuck.established()
        for name in names:
            assert stuck.subscribe(name)["event"] == SUBSCRIBED
        # A hundred messages of 10 kB each time: the kernel's buffers and the server's queue are soon full.
        for number in range(60):
            library.trigger(names, "flood", "x" * 10_240)
            library.trigger(channel, "flood", str(number))
            assert reader.receive()["data"] == str(number)
            if not library.channel_info(names[0])["occupied"]:
                break
        else:
            pytest.fail("a client that reads nothing was kept")
        while (message := stuck.receive())["event"] == "flood":
            pass
        assert (message["event"], message["data"]["code"]) == ("pusher:error", 4100)
        with pytest.raises(ConnectionClosed) as closed:
            stuck.receive()
        assert closed.value.rcvd.code == 4100
