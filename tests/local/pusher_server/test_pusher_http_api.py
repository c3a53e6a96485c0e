"""The HTTP API: authentication, refusals, and that a refusal publishes nothing."""

import http.client
import json
import socket
import time

import pytest
import requests

from local.pusher_server.credentials import Credentials
from local.pusher_server.server import PusherApp, build_server
from tests.notifications.conftest import APP_ID, KEY, SECRET


def event(channel, **changes):
    return {"name": "room_updated", "channel": channel, "data": "{}"} | changes


@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_health_needs_no_signature(server, path):
    answer = requests.get(f"http://127.0.0.1:{server.port}{path}", timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "service": "pusher"})


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"auth_timestamp": str(int(time.time()) - 90_000)}, "Timestamp expired"),
        ({"auth_timestamp": str(int(time.time()) + 90_000)}, "Timestamp expired"),
        ({"auth_timestamp": "soon"}, "Invalid auth_timestamp"),
        ({"auth_timestamp": "nan"}, "Invalid auth_timestamp"),
        ({"auth_timestamp": "-5"}, "Invalid auth_timestamp"),
        ({"auth_timestamp": "9" * 5000}, "Invalid auth_timestamp"),
        ({"auth_timestamp": "١٢٣"}, "Invalid auth_timestamp"),
        ({"auth_timestamp": None}, "Invalid auth_timestamp"),
        ({"auth_key": "other"}, "Unknown auth_key"),
        ({"auth_key": "clé"}, "Unknown auth_key"),
        ({"auth_key": None}, "Unknown auth_key"),
        ({"auth_version": "2.0"}, "Unsupported auth_version"),
        ({"body_md5": "0" * 32}, "Invalid body_md5"),
        ({"body_md5": None}, "Invalid body_md5"),
        ({"secret": "wrong"}, "Invalid signature"),
        ({"auth_signature": "é"}, "Invalid signature"),
        ({"auth_signature": None}, "Invalid signature"),
    ],
)
def test_unauthenticated_call_is_401_and_publishes_nothing(server, channel, query, message):
    with server.websocket() as client:
        client.established()
        client.subscribe(channel)
        answer = server.post("/events", event(channel), **query)
        assert (answer.status_code, message in answer.text) == (401, True), answer.text
        assert client.received_nothing()


def test_timestamp_within_ten_minutes_is_accepted(server, channel):
    for skew in (-590, 590):
        answer = server.post("/events", event(channel), auth_timestamp=str(int(time.time()) + skew))
        assert answer.status_code == 200


def test_signature_covers_every_query_parameter(server):
    answer = server.call("GET", "/apps/1001/channels", filter_by_prefix="a")
    assert answer.status_code == 200
    changed = requests.get(answer.url.replace("filter_by_prefix=a", "filter_by_prefix=b"), timeout=10)
    assert (changed.status_code, "Invalid signature" in changed.text) == (401, True)


@pytest.mark.parametrize(
    ("endpoint", "value", "status", "message"),
    [
        ("/events", [], 400, "JSON object"),
        ("/events", {}, 400, '"channel"'),
        ("/events", event(None), 400, '"channel"'),
        ("/events", event("rooms", channels="rooms"), 400, '"channel"'),
        ("/events", event("rooms", channels=[]), 400, '"channel"'),
        ("/events", event("rooms", channels=["rooms", 7]), 400, '"channel"'),
        ("/events", event("rooms", channels=["rooms"] * 101), 400, "Too many channels"),
        ("/events", event("rooms and beds"), 400, "Invalid channel name"),
        ("/events", event("rooms\n"), 400, "Invalid channel name"),
        ("/events", event("\ud800"), 400, "Invalid channel name"),
        ("/events", event(""), 400, "Invalid channel name"),
        ("/events", event("r" * 165), 400, "Invalid channel name"),
        ("/events", event("presence-lobby"), 400, "Presence channels are not supported"),
        ("/events", event("#server-to-user-7"), 400, "Events to signed-in users are not supported"),
        ("/events", event("rooms", name=None), 400, '"name"'),
        ("/events", event("rooms", name=""), 400, "1 to 200 characters"),
        ("/events", event("rooms", name="n" * 201), 400, "1 to 200 characters"),
        ("/events", event("rooms", name="\udfff"), 400, "valid Unicode"),
        ("/events", event("rooms", name="pusher:error"), 400, "reserved"),
        ("/events", event("rooms", name="pusher_internal:subscription_succeeded"), 400, "reserved"),
        ("/events", event("rooms", data=None), 400, '"data"'),
        ("/events", event("rooms", data={"room": "101"}), 400, '"data"'),
        ("/events", event("rooms", data="\ud800"), 400, "valid Unicode"),
        ("/events", event("rooms", data="x" * 10_241), 413, "10240 bytes"),
        ("/events", event("rooms", data="é" * 5_121), 413, "10240 bytes"),
        ("/events", event("rooms", socket_id="7"), 400, "Invalid socket_id"),
        ("/events", event("rooms", socket_id=7.5), 400, "Invalid socket_id"),
        ("/events", event("rooms", info=["subscription_count"]), 400, "Invalid info"),
        ("/events", event("rooms", info="subscription_count,user_count"), 400, "presence channels"),
        ("/events", event("rooms", info="mood"), 400, "Unknown info attribute"),
        ("/batch_events", {"batch": [event("rooms"), event("rooms", info="user_count")]}, 400, "presence channels"),
        ("/batch_events", {}, 400, '"batch"'),
        ("/batch_events", {"batch": {}}, 400, '"batch"'),
        ("/batch_events", {"batch": [7]}, 400, "Each event"),
        ("/batch_events", {"batch": [event("rooms", channels=["rooms"])]}, 400, "Each event"),
        ("/batch_events", {"batch": [event("rooms")] * 11}, 400, "at most 10"),
        ("/nowhere", {}, 404, "Not found"),
        ("/channels", {}, 405, "use GET"),
        ("/channels/rooms", {}, 405, "use GET"),
        ("/users/7/terminate_connections", {}, 400, "Users are not supported"),
    ],
)
def test_bad_request_says_what_is_wrong(server, endpoint, value, status, message):
    answer = server.post(endpoint, value)
    assert (answer.status_code, message in answer.text) == (status, True), answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5_000, b"null"],
    ids=["empty", "cut off", "not UTF-8", "deep list", "deep object", "long number", "null"],
)
def test_malformed_body_is_400(server, body):
    answer = server.call("POST", "/apps/1001/events", body)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("path", "query", "status", "message"),
    [
        ("/apps/1001/channels", {"info": "user_count"}, 400, "presence channels"),
        ("/apps/1001/channels", {"info": "mood"}, 400, "Unknown info attribute"),
        ("/apps/1001/channels/rooms", {"info": "user_count"}, 400, "presence channels"),
        ("/apps/1001/channels/presence-lobby", {}, 400, "not supported"),
        ("/apps/1001/events", {}, 405, "use POST"),
        ("/apps/1001/batch_events", {}, 405, "use POST"),
        ("/apps/999/channels", {}, 404, "Unknown app_id"),
        ("/apps/%E9/channels", {}, 404, "Unknown app_id"),
        ("/apps/1001", {}, 404, "Not found"),
        ("/other", {}, 404, "Not found"),
    ],
)
def test_bad_query_says_what_is_wrong(server, path, query, status, message):
    answer = server.call("GET", path, **query)
    assert (answer.status_code, message in answer.text) == (status, True), answer.text


def test_query_with_countless_parameters_is_400(server):
    answer = server.call("GET", "/apps/1001/channels", **{f"p{number}": "" for number in range(100)})
    assert (answer.status_code, "too many parameters" in answer.text) == (400, True)


def test_connection_is_kept_for_the_next_request(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    connection.auto_open = 0  # a second connection would be an error, not a retry
    for _ in range(3):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    connection.close()


def test_unused_connection_is_kept_for_more_than_a_minute():
    """Longer than uvicorn's default of five seconds."""
    config = build_server(PusherApp(Credentials(APP_ID, KEY, SECRET))).config
    assert config.timeout_keep_alive > 60


@pytest.mark.parametrize("data", ["x" * 10_240, "é" * 5_120, "\x01" * 10_240])
def test_data_of_exactly_the_limit_in_bytes_arrives(server, channel, data):
    with server.websocket() as client:
        client.established()
        client.subscribe(channel)
        assert server.post("/events", event(channel, data=data)).status_code == 200
        assert client.receive() == {"event": "room_updated", "channel": channel, "data": data}


def test_largest_batch_fits(server, channel):
    with server.websocket() as client:
        client.established()
        client.subscribe(channel)
        batch = [event(channel, data="\x01" * 10_240, name=str(number)) for number in range(10)]
        assert server.post("/batch_events", {"batch": batch}).status_code == 200
        assert [client.receive()["event"] for _ in range(10)] == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    "bad",
    [{"data": "x" * 10_241}, {"channel": "presence-lobby"}, {"name": "n" * 201}, {"data": None}, {"socket_id": "x"}],
)
def test_batch_with_one_bad_event_publishes_nothing(server, channel, bad):
    with server.websocket() as client:
        client.established()
        client.subscribe(channel)
        answer = server.post("/batch_events", {"batch": [event(channel)] * 9 + [event(channel) | bad]})
        assert answer.status_code in (400, 413)
        assert client.received_nothing()


def test_trigger_with_one_bad_channel_publishes_nothing(server, channel):
    with server.websocket() as client:
        client.established()
        client.subscribe(channel)
        assert server.post("/events", event(channel, channels=[channel, "presence-lobby"])).status_code == 400
        assert client.received_nothing()


def test_publisher_can_request_the_subscription_count(server, channel):
    silent, asked = f"{channel}.silent", {"info": "subscription_count"}
    with server.websocket() as one, server.websocket() as two:
        for client in (one, two):
            client.established()
            client.subscribe(channel)
        to_both = {"name": "n", "channels": [channel, silent, channel], "data": "{}"}
        batch = [event(channel, **asked), event(channel), event(silent, **asked)]
        assert [
            server.post("/events", to_both).json(),
            server.post("/events", to_both | asked).json(),
            server.post("/events", to_both | {"info": ""}).json(),
            server.post("/batch_events", {"batch": [event(channel), event(silent)]}).json(),
            server.post("/batch_events", {"batch": batch}).json(),
        ] == [
            {},
            {"channels": {channel: {"subscription_count": 2}, silent: {"subscription_count": 0}}},
            {"channels": {channel: {}, silent: {}}},
            {},
            {"batch": [{"subscription_count": 2}, {}, {"subscription_count": 0}]},
        ]


@pytest.mark.parametrize("chunked", [False, True])
def test_oversized_body_is_413_and_read_to_its_end(server, chunked):
    pieces = [b"x" * 65_536] * 64
    answer = requests.post(
        f"http://127.0.0.1:{server.port}/apps/1001/events",
        data=iter(pieces) if chunked else b"".join(pieces),
        timeout=10,
    )
    assert (answer.status_code, "exceeds the allowed maximum" in answer.text) == (413, True)


def test_one_event_reaches_a_hundred_channels(server, channel):
    names = [f"{channel}.{number}" for number in range(100)]
    with server.websocket() as client:
        client.established()
        for name in names:
            client.subscribe(name)
        assert server.post("/events", {"name": "n", "channels": names, "data": json.dumps(1)}).status_code == 200
        assert [client.receive()["channel"] for _ in names] == names


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000,
        b"POST /apps/1001/events HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    ],
    ids=["TLS", "not ASCII", "endless header", "bad length"],
)
def test_invalid_http_is_400(server, request_bytes):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(request_bytes)
        assert raw.recv(4096).startswith(b"HTTP/1.1 400 ")
