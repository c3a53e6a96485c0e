"""Provider responses that mean failure, overlapping relays, and the limit on one hotel's senders."""

import fcntl
import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pusher.errors
import pytest
import requests.exceptions
from django.db import connection, transaction

from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications import relay, transport, wakeup
from notifications.models import STREAMS, EventStream, RealtimeEvent
from tests.factories import HotelFactory, NewRoomFactory
from tests.notifications.conftest import APP_ID, KEY, PATIENCE, SECRET, until
from tests.notifications.event_log import make_events

BROKEN = pusher.errors.PusherBadStatus("500: oops")


@contextmanager
def answering(status: int, body: bytes = b"{}", **headers: str) -> Iterator[int]:
    """A server that returns this response to every POST, and 200 with an empty object to every GET; yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(status, body, **headers)

        def do_GET(self):
            self.answer(200, b"{}")

        def answer(self, status, body, **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (301, b"", {"Location": "/elsewhere"}),
        (400, b"plain HTTP on an HTTPS port", {}),
        (401, b"no", {}),
        (403, b"over quota", {}),
        (413, b"too large", {}),
        (429, b"slow down", {}),
        (200, b"<html>", {}),
    ],
)
def test_nothing_is_lost_or_parked_if_the_provider_accepts_nothing(status, body, headers, settings, monkeypatch):
    """Even though reads succeed, and after any number of retries."""
    monkeypatch.setattr(relay, "FIRST_BACK_OFF", 0)
    make_events(3)
    with answering(status, body, **headers) as port:
        settings.PUSHER_APP_ID, settings.PUSHER_KEY, settings.PUSHER_SECRET = APP_ID, KEY, SECRET
        settings.PUSHER_HOST, settings.PUSHER_PORT, settings.PUSHER_SSL = "127.0.0.1", port, False
        transport.client.cache_clear()
        try:
            trying = relay.Relay()
            for _ in range(relay.ISOLATE_AFTER + 3):
                trying.run_once()
        finally:
            transport.client.cache_clear()
    assert RealtimeEvent.objects.filter(sent_at=None, parked_at=None).count() == 3


@pytest.mark.django_db
def test_provider_response_is_one_log_line(sent, caplog):
    make_events(1)
    sent.failures = [pusher.errors.PusherBadStatus("500: oops\nevent_sent \x1b[2J")]
    relay.Relay().run_once()
    assert "500: oops?event_sent ?[2J" in caplog.messages[0]


@pytest.mark.django_db
def test_stopped_relay_ends_single_sends(sent):
    make_events(5)
    stopped = relay.Relay()

    def refuses(_message):
        if len(refusals) == 1:
            stopped.stop()
        refusals.append(True)
        return pusher.errors.PusherBadStatus("413: too big")

    refusals: list[bool] = []
    sent.refuses = refuses
    stopped.run_once()
    assert len(refusals) == 2  # the batch, and its first event
    assert RealtimeEvent.objects.filter(parked_at__isnull=False).count() == 1


# --- senders ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_failing_streams_never_use_all_senders(monkeypatch, relay_to, unused_port):
    """Three of one hotel fail; while two of them hang, the third waits, and another hotel's events are sent."""
    slow, quick = HotelFactory(), HotelFactory()
    for stream in STREAMS:
        RealtimeEvent.objects.create(
            hotel=slow,
            stream=stream,
            channel=f"private-slow.{stream}",
            type="x",
            envelope={"category": "x", "type": "x", "payload": {}, "meta": {}},
        )
    monkeypatch.setattr(relay, "FIRST_BACK_OFF", 0.01)
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(relay, "SENDERS", 3)
    tried: set[str] = set()
    at_it: list[str] = []
    let_go = threading.Event()

    def send(batch):
        channel = batch[0]["channel"]
        if not channel.startswith("private-slow."):
            return
        if channel not in tried:
            tried.add(channel)
            raise requests.exceptions.ReadTimeout
        at_it.append(channel)
        let_go.wait(PATIENCE)

    monkeypatch.setattr(transport, "send", send)
    relay_to(unused_port)
    until(lambda: len(tried) == 3 and len(at_it) == relay.MAX_RETRYING)
    set_room_status(room=NewRoomFactory(hotel=quick), to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    until(lambda: RealtimeEvent.objects.filter(hotel=quick, sent_at__isnull=False).exists())
    assert len(at_it) == relay.MAX_RETRYING
    let_go.set()
    until(lambda: not RealtimeEvent.objects.filter(sent_at=None).exists())


@pytest.mark.django_db
def test_hotel_whose_events_cannot_be_numbered_delays_no_other(sent, monkeypatch):
    [first] = make_events(1)
    make_events(1)
    real = relay.number

    def number(stream):
        if stream.hotel_id == first.hotel_id:
            raise ValueError("a bug")
        return real(stream)

    monkeypatch.setattr(relay, "number", number)
    relay.Relay().run_once()
    assert [envelope["meta"]["seq"] for envelope in sent.envelopes] == [1]


# --- overlap ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_event_missed_by_another_relay_is_soon_picked_up(monkeypatch, relay_to, unused_port):
    """Another relay numbers the stream when ours is woken; our next poll is an hour away."""
    monkeypatch.setattr(relay, "POLL_SECONDS", 3600)
    monkeypatch.setattr(transport, "send", lambda _batch: None)
    room = NewRoomFactory()
    change = {"room": room, "source": Source.SYSTEM}
    relay_to(unused_port)
    set_room_status(to_status="CHECKOUT_DIRTY", **change)
    until(lambda: RealtimeEvent.objects.filter(sent_at__isnull=False).exists())
    passed_by = threading.Event()
    real = relay.number

    def number(stream):
        count = real(stream)
        if count is None:
            passed_by.set()
        return count

    monkeypatch.setattr(relay, "number", number)
    with transaction.atomic():
        EventStream.objects.select_for_update(no_key=True).get(hotel=room.hotel, name="rooms")
        writer = threading.Thread(
            target=lambda: (set_room_status(to_status="READY_FOR_GUEST", **change), connection.close())
        )
        writer.start()
        writer.join(PATIENCE)
        assert passed_by.wait(PATIENCE)
    until(lambda: not RealtimeEvent.objects.filter(sent_at=None).exists())


@pytest.mark.django_db(transaction=True)
def test_relay_waits_in_a_process_with_thousands_of_open_files(monkeypatch):
    connection.ensure_connection()
    high = fcntl.fcntl(wakeup._reader, fcntl.F_DUPFD, 2000)
    monkeypatch.setattr(wakeup, "_reader", high)
    before = connection.connection
    began = time.monotonic()
    wakeup.wait(0.2)
    assert time.monotonic() - began >= 0.2
    assert connection.connection is before
    os.close(high)
