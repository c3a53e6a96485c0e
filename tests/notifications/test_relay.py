"""The relay: events are numbered in order without gaps and sent at least once, and no request waits for Pusher."""

import http.server
import json
import select
import socket
import threading
import time

import pusher.errors
import pytest
import requests.exceptions
from django.db import IntegrityError, connection, transaction

from housekeeping.models import Source
from housekeeping.services import set_room_status, set_room_statuses
from notifications import relay, timeline, transport, wakeup
from notifications.models import BOOKINGS, ROOMS, EventStream, RealtimeEvent
from tests.factories import HotelFactory, NewRoomFactory, StaffFactory, room_in
from tests.notifications.event_log import log_of, make_events, unnumbered
from tests.plans import drop_other_indexes
from tests.races import Writer, overlap

pytestmark = pytest.mark.django_db


def test_events_are_numbered_in_order_and_sent_in_batches_of_ten(sent):
    events = make_events(23)
    relay.Relay().run_once()
    assert [len(batch) for batch in sent.batches] == [10, 10, 3]
    assert sent.numbers == list(range(1, 24))
    assert [envelope["meta"]["event_id"] for envelope in sent.envelopes] == [str(event.event_id) for event in events]
    first = sent.batches[0][0]
    assert (first["channel"], first["name"]) == (f"private-{events[0].hotel.slug}.rooms", "room_updated")
    assert not RealtimeEvent.objects.filter(sent_at=None).exists()
    relay.Relay().run_once()
    assert len(sent.numbers) == 23


def test_long_backlog_is_sent_without_pauses(sent, monkeypatch):
    monkeypatch.setattr(relay, "NUMBERED_AT_ONCE", 2)
    make_events(5)
    relay.Relay().run_once()
    assert sent.numbers == [1, 2, 3, 4, 5]


def test_each_hotel_has_its_own_numbers(sent):
    make_events(2)
    make_events(3)
    relay.Relay().run_once()
    assert sent.numbers == [1, 2, 1, 2, 3]
    assert list(EventStream.objects.order_by("pk").values_list("name", "last_seq")) == [("rooms", 2), ("rooms", 3)]


def test_hotels_are_sent_separately_after_an_outage(sent):
    make_events(2)
    make_events(3)
    sent.failures = [requests.exceptions.ConnectionError(), requests.exceptions.ConnectionError()]
    relay.Relay().run_once()
    assert sent.numbers == []
    relay.Relay().run_once()
    assert sent.numbers == [1, 2, 1, 2, 3]
    assert [len({message["channel"] for message in batch}) for batch in sent.batches] == [1, 1]


def test_hotel_without_pending_events_is_skipped(sent):
    [event] = make_events(1)
    HotelFactory()
    sent.failures = [requests.exceptions.ConnectionError()]
    for _ in range(2):  # unnumbered and numbered
        relay.Relay().run_once()
        assert [stream.hotel_id for stream in EventStream.objects.all()] == [event.hotel_id]
    assert sent.numbers == [1]


@pytest.mark.parametrize("state", ["unnumbered", "numbered"])
def test_one_statement_finds_the_waiting_streams_of_any_number_of_hotels(state, statements):
    """It walks the partial indexes of waiting events, and reads no hotels."""
    hotels = [HotelFactory() for _ in range(5)]
    log_of(hotels[0], 3)
    for hotel in hotels[1:4]:
        for stream in (ROOMS, BOOKINGS):
            for _ in range(2):
                if state == "unnumbered":
                    unnumbered(hotel, stream=stream)
                else:
                    log_of(hotel, 1, stream=stream, sent_at=None)
    looking = relay.Relay()
    looking._waiting_streams()  # the first time it loads the streams
    with statements() as made:
        found = looking._waiting_streams()
    wanted = [(hotel.pk, stream) for hotel in hotels[1:4] for stream in sorted((ROOMS, BOOKINGS))]
    assert [(stream.hotel_id, stream.name) for stream, _ in found] == wanted
    assert {is_unnumbered for _, is_unnumbered in found} == {state == "unnumbered"}
    assert len(made) == 1
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        drop_other_indexes(cursor, "realtime_event_unnumbered", "realtime_event_unsent")
        cursor.execute(f"EXPLAIN {relay.WAITING}")
        plan = str(cursor.fetchall())
    assert plan.count("realtime_event_unnumbered") == plan.count("realtime_event_unsent") == 2
    assert "Seq Scan" not in plan
    assert "hotel_hotel" not in plan


def test_numbering_goes_on_while_pusher_is_down_and_numbers_stay(sent, monkeypatch):
    monkeypatch.setattr(relay, "FIRST_BACK_OFF", 600)
    monkeypatch.setattr(relay, "LONGEST_BACK_OFF", 600)
    make_events(2, hotel := HotelFactory())
    sent.failures = [requests.exceptions.ConnectionError()]
    down = relay.Relay()
    down.run_once()
    make_more = NewRoomFactory(hotel=hotel)
    set_room_status(room=make_more, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    down.run_once()  # still backing off
    assert sent.batches == []
    numbered = dict(RealtimeEvent.objects.values_list("event_id", "seq"))
    assert sorted(numbered.values()) == [1, 2, 3]
    relay.Relay().run_once()
    assert sent.numbers == [1, 2, 3]
    assert dict(RealtimeEvent.objects.values_list("event_id", "seq")) == numbered


@pytest.mark.parametrize(
    "failure",
    [
        requests.exceptions.ConnectionError(),
        requests.exceptions.ReadTimeout(),
        pusher.errors.PusherBadStatus("500: oops"),
        pusher.errors.PusherBadStatus("429: slow down"),
        pusher.errors.PusherBadAuth("wrong secret"),
        pusher.errors.PusherForbidden("account over quota"),
        ValueError("an answer that is not JSON"),
        transport.PusherNotConfigured(),
    ],
)
def test_a_failure_loses_nothing_and_backs_off(failure, sent, monkeypatch):
    monkeypatch.setattr(relay, "FIRST_BACK_OFF", 600)
    monkeypatch.setattr(relay, "LONGEST_BACK_OFF", 1200)
    make_events(3)
    sent.failures = [failure]
    one = relay.Relay()
    one.run_once()
    assert RealtimeEvent.objects.filter(sent_at=None, parked_at=None).count() == 3
    one.run_once()
    assert sent.batches == []
    [back_off] = one._back_off.values()
    assert back_off.failures == 1
    # Between half and all of it, less the time since.
    assert 290 <= back_off.until - time.monotonic() <= 600


def test_permanently_refused_event_is_parked_and_others_arrive(sent, caplog):
    events = make_events(5)
    bad = str(events[2].event_id)
    sent.refuses = lambda message: pusher.errors.PusherBadStatus("413: too big") if bad in message["data"] else None
    relay.Relay().run_once()
    assert sent.numbers == [1, 2, 4, 5]
    parked = RealtimeEvent.objects.get(event_id=bad)
    assert (parked.sent_at, parked.last_error) == (None, "PusherBadStatus: 413: too big")
    assert parked.parked_at is not None
    assert bad in caplog.text


def test_event_resent_after_a_crash_is_the_same_event(sent, monkeypatch):
    make_events(2)

    class KilledError(BaseException):
        """The process dies between sending and marking as sent."""

    def die(*_args, **_kwargs):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(relay.clock, "now", die)
        with pytest.raises(KilledError):
            relay.Relay().run_once()
    relay.Relay().run_once()
    first, second, *again = sent.envelopes
    assert again == [first, second]


def test_one_hotels_failure_does_not_hold_up_another(sent):
    make_events(1, broken := HotelFactory())
    make_events(1)
    sent.refuses = lambda message: requests.exceptions.ConnectionError() if broken.slug in message["channel"] else None
    relay.Relay().run_once()
    assert len(sent.envelopes) == 1
    assert sent.envelopes[0]["meta"]["hotel_slug"] != broken.slug


def test_numbers_are_unique(hotel):
    make_events(2, hotel)
    stream = EventStream.objects.create(hotel=hotel, name=ROOMS)
    assert relay.number(stream) == 2
    with pytest.raises(IntegrityError, match="realtime_event_seq_unique"), transaction.atomic():
        RealtimeEvent.objects.update(seq=1)


# --- several connections ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_relay_skips_a_stream_that_another_is_numbering():
    make_events(2, hotel := HotelFactory())
    stream = EventStream.objects.create(hotel=hotel, name=ROOMS)
    timeline.follow()
    first, [second] = overlap(lambda: relay.number(stream), lambda: relay.number(stream), waits=False)
    assert (first, second) == (2, None)


@pytest.mark.django_db(transaction=True)
def test_relay_waiting_for_pusher_blocks_no_writer(monkeypatch):
    """While a batch is in flight, a status change commits, and another relay does not send the same batch."""
    make_events(1, hotel := HotelFactory())
    room = NewRoomFactory(hotel=hotel)
    sent: list[str] = []

    def slow_send(batch):
        assert connection.in_atomic_block is False
        writer = Writer(lambda: set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM))
        rival = Writer(lambda: relay.Relay().run_once())
        for thread in (writer, rival):
            thread.start()
            assert not isinstance(thread.outcome(), Exception)
        sent.extend(message["data"] for message in batch)

    monkeypatch.setattr(transport, "send", slow_send)
    relay.Relay().run_once()
    assert room.status_version >= 1
    numbers = [json.loads(data)["meta"]["seq"] for data in sent]
    assert numbers[0] == 1
    assert len(numbers) == len(set(numbers))


@pytest.mark.django_db(transaction=True)
def test_a_commit_wakes_the_relay_of_this_process():
    wakeup.relay_started()
    try:
        make_events(1)
        started = time.monotonic()
        wakeup.wait(5)
        assert time.monotonic() - started < 1
    finally:
        wakeup.relay_stopped()


@pytest.mark.django_db(transaction=True)
def test_a_commit_without_a_relay_here_notifies_the_others():
    room = NewRoomFactory()
    listener = connection.copy()
    listener.ensure_connection()
    try:
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {wakeup.CHANNEL}")
        set_room_statuses(changes=[(room, "CHECKOUT_DIRTY")], source=Source.SYSTEM)
        select.select([listener.connection], [], [], 5)
        listener.connection.poll()
        assert [notice.channel for notice in listener.connection.notifies] == [wakeup.CHANNEL]
    finally:
        listener.close()


# --- the real server --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_change_reaches_a_real_client(server, relay_to):
    room = room_in("CHECKOUT_DIRTY", hotel=HotelFactory(slug="seaside"))
    RealtimeEvent.objects.all().delete()
    with server.pysher() as client:
        client.subscribe("private-seaside.rooms")
        relay_to(server.port)
        set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", source=Source.SYSTEM)
        channel, event, data = client.next()
    assert (channel, event) == ("private-seaside.rooms", "room_updated")
    envelope = json.loads(data)
    assert envelope["payload"]["room_status"] == "CLEANING_IN_PROGRESS"
    assert envelope["meta"]["seq"] == 1


@pytest.mark.django_db(transaction=True)
def test_an_event_arrives_when_the_server_is_back(launch, relay_to, monkeypatch, unused_port):
    monkeypatch.setattr(relay, "FIRST_BACK_OFF", 0.05)
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.05)
    failed, listening = threading.Event(), threading.Event()
    real_send = transport.send

    def send(batch):
        """The real transport, but the second attempt waits for a subscriber, as Pusher replays nothing."""
        if failed.is_set():
            listening.wait(10)
        try:
            real_send(batch)
        except requests.exceptions.ConnectionError:
            failed.set()
            raise

    monkeypatch.setattr(transport, "send", send)
    room = room_in("CHECKOUT_DIRTY", hotel=HotelFactory(slug="seaside"))
    RealtimeEvent.objects.all().delete()
    relay_to(unused_port)
    set_room_status(room=room, to_status="CLEANING_IN_PROGRESS", source=Source.SYSTEM)
    event = RealtimeEvent.objects.get()
    assert failed.wait(10)
    with launch(port=unused_port) as server, server.pysher() as client:
        client.subscribe("private-seaside.rooms")
        listening.set()
        _, _, data = client.next()
    assert json.loads(data)["meta"]["event_id"] == str(event.event_id)


class FailingServer(http.server.BaseHTTPRequestHandler):
    """Returns 500 to every request."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args):
        pass


class SlowServer:
    """Accepts a connection and sends nothing until the test is over, like a hanging Pusher."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def close(self):
        self.socket.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("trouble", ["down", "slow", "500"])
def test_a_request_never_waits_for_pusher(trouble, relay_to, unused_port, api, settings):
    """The response arrives while the relay still waits: the request never calls Pusher."""
    slow = SlowServer()
    failing = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FailingServer)
    threading.Thread(target=failing.serve_forever, daemon=True).start()
    port = {"down": unused_port, "slow": slow.port, "500": failing.server_port}[trouble]
    housekeeper = StaffFactory()
    room = room_in("CHECKOUT_DIRTY", hotel=housekeeper.hotel)
    client = api(housekeeper)
    relay_to(port)
    try:
        started = time.monotonic()
        answer = client.post(
            f"/api/staff/hotel/{housekeeper.hotel.slug}/rooms/{room.pk}/status/",
            {"to_status": "CLEANED_UNINSPECTED"},
            format="json",
        )
        elapsed = time.monotonic() - started
    finally:
        slow.close()
        failing.shutdown()
        failing.server_close()
    assert answer.status_code == 200
    assert elapsed < settings.PUSHER_TIMEOUT / 2
    assert RealtimeEvent.objects.filter(sent_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_relay_of_another_process_is_woken_immediately(monkeypatch, sent):
    """A relay that polls only once an hour immediately sends events that another process commits."""
    monkeypatch.setattr(relay, "POLL_SECONDS", 3600)
    room = NewRoomFactory()
    elsewhere = relay.Relay()
    arrived, waiting = threading.Event(), threading.Event()
    sent.refuses = lambda _message: arrived.set()
    real_wait = wakeup.wait

    def wait(seconds):
        waiting.set()
        real_wait(seconds)

    monkeypatch.setattr(wakeup, "wait", wait)
    thread = Writer(elsewhere.run)  # no relay_started(): as in another process
    thread.start()
    assert waiting.wait(10)
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    assert arrived.wait(10)
    elsewhere.stop()
    assert thread.outcome() is None


@pytest.mark.django_db(transaction=True)
def test_a_relay_survives_the_loss_of_its_connection(monkeypatch, sent):
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.05)
    room = NewRoomFactory()
    arrived = threading.Event()
    sent.refuses = lambda _message: arrived.set()
    lonely = relay.Relay()
    thread = Writer(lonely.run)
    thread.start()
    assert thread.connected.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [thread.pid])
    set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
    assert arrived.wait(10)
    lonely.stop()
    assert thread.outcome() is None
