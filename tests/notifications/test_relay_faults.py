"""The relay under faults: a bad event, a slow hotel, several relays, a stop in the middle of a batch."""

import http.server
import json
import logging
import signal
import threading
import time
from io import StringIO

import pusher.errors
import pytest
import requests.exceptions
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from common import outage
from common.database import advisory_lock
from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications import notification_manager, relay, transport
from notifications.models import ROOMS, EventStream, RealtimeEvent
from tests.factories import HotelFactory, NewRoomFactory, StaffFactory
from tests.notifications.conftest import PATIENCE, sending_to, until
from tests.notifications.event_log import make_events

pytestmark = pytest.mark.django_db

BROKEN = pusher.errors.PusherBadStatus("500: oops")


@pytest.fixture
def tries(monkeypatch):
    """``tries(count, refuses)`` makes one relay try ``count`` times without pauses, and returns it."""
    monkeypatch.setattr(relay, "FIRST_BACK_OFF", 0)

    def run(count: int, one: relay.Relay | None = None) -> relay.Relay:
        one = one or relay.Relay()
        for _ in range(count):
            one.run_once()
        return one

    return run


def fails_for(event: RealtimeEvent, error: Exception = BROKEN):
    return lambda message: error if str(event.event_id) in message["data"] else None


def parked() -> list[int]:
    return list(RealtimeEvent.objects.filter(parked_at__isnull=False).order_by("seq").values_list("seq", flat=True))


# --- one bad event ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [BROKEN, requests.exceptions.ReadTimeout(), ValueError("no JSON")])
def test_repeatedly_failing_event_is_parked_and_others_arrive_in_order(sent, tries, error):
    events = make_events(5)
    sent.refuses = fails_for(events[2], error)
    relaying = tries(relay.ISOLATE_AFTER)
    assert (sent.numbers, parked()) == ([], [])  # not yet: the provider may be at fault
    tries(1, relaying)
    assert (sent.numbers, parked()) == ([1, 2, 4, 5], [3])
    assert RealtimeEvent.objects.get(seq=3).last_error.startswith(type(error).__name__)
    make_events(1, events[0].hotel)
    tries(1, relaying)
    assert sent.numbers == [1, 2, 4, 5, 6]


def test_nothing_is_parked_during_an_outage(sent, tries):
    make_events(4)
    sent.refuses = lambda _message: BROKEN
    sent.pings = [BROKEN] * 100
    relaying = tries(relay.ISOLATE_AFTER * 3)
    assert (sent.numbers, parked()) == ([], [])
    sent.refuses, sent.pings = lambda _message: None, []
    tries(1, relaying)
    assert sent.numbers == [1, 2, 3, 4]


@pytest.mark.parametrize("answers", [[None, BROKEN], [None, None, BROKEN], [None, None, None, BROKEN]])
def test_nothing_is_parked_with_an_unstable_provider(sent, tries, answers):
    """Its status check succeeds, while sending an event fails, but not every time."""
    make_events(2)
    sent.refuses = lambda _message: BROKEN
    relaying = tries(relay.ISOLATE_AFTER)
    sent.pings = list(answers)
    tries(1, relaying)
    assert (sent.numbers, parked(), sent.pings) == ([], [], [])
    tried: list[int] = []

    def recovers_at_the_last_attempt(message):
        tried.append(1)
        return BROKEN if len(tried) < relay.ISOLATION_TRIES else None

    sent.refuses = recovers_at_the_last_attempt
    tries(1, relaying)
    assert (sent.numbers, parked()) == ([1, 2], [])


def test_failing_event_is_parked_even_if_it_is_the_last(sent, tries):
    [bad] = make_events(1)
    sent.refuses = fails_for(bad)
    tries(relay.ISOLATE_AFTER + 1)
    assert parked() == [1]


def test_batches_resume_after_ten_single_sends(sent, tries):
    make_events(25)
    sent.refuses = lambda _message: BROKEN
    relaying = tries(relay.ISOLATE_AFTER)
    sent.refuses = lambda _message: None
    tries(1, relaying)
    assert [len(batch) for batch in sent.batches] == [1] * 10 + [10, 5]
    assert sent.numbers == list(range(1, 26))


def test_event_that_cannot_be_encoded_is_logged_as_a_bug_and_skipped(sent, tries, monkeypatch, caplog):
    events = make_events(3)
    real = notification_manager.messages

    def messages(event):
        if event.pk == events[0].pk:
            raise KeyError("a field that we have forgotten")
        return real(event)

    monkeypatch.setattr(notification_manager, "messages", messages)
    tries(relay.ISOLATE_AFTER + 1)
    assert (sent.numbers, parked()) == ([2, 3], [1])
    assert caplog.records[0].exc_info[0] is KeyError


def test_a_call_never_carries_more_than_ten_messages(sent, monkeypatch):
    make_events(13)
    real = notification_manager.messages
    monkeypatch.setattr(notification_manager, "messages", lambda event: real(event) * 2)
    relay.Relay().run_once()
    assert [len(batch) for batch in sent.batches] == [10, 10, 6]
    assert sent.numbers == sorted([*range(1, 14), *range(1, 14)])


def test_parked_events_are_listed_and_sent_again_on_demand(sent, tries, capsys):
    events = make_events(3)
    sent.refuses = fails_for(events[0], pusher.errors.PusherBadRequest("no"))
    tries(1)
    assert (sent.numbers, parked()) == ([2, 3], [1])

    def command(*arguments: str) -> str:
        call_command("parked", *arguments, stdout=(out := StringIO()))
        return out.getvalue()

    line = f"{events[0].event_id} {events[0].hotel.slug}.rooms #1 room_updated: PusherBadRequest: no\n"
    assert command().endswith(f"Z {line}")
    assert command(str(events[1].event_id)) == "No events are parked.\n"
    sent.refuses = lambda _message: None
    assert command("--send-again").endswith("1 will be sent again.\n")
    assert command() == "No events are parked.\n"
    tries(1)
    assert sent.numbers == [2, 3, 1]
    with pytest.raises(CommandError, match="invalid UUID value"):
        command("42")


@pytest.mark.django_db(transaction=True)
def test_event_that_a_real_server_times_out_on_is_parked(server, relay_to, monkeypatch):
    """The server responds to everything else, including the status check."""
    monkeypatch.setattr(relay, "FIRST_BACK_OFF", 0.01)
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.01)
    [bad, good] = make_events(2)
    real = transport.send

    def send(batch):
        if any(str(bad.event_id) in message["data"] for message in batch):
            raise requests.exceptions.ReadTimeout
        real(batch)

    monkeypatch.setattr(transport, "send", send)
    relay_to(server.port)
    until(lambda: RealtimeEvent.objects.filter(pk=good.pk, sent_at__isnull=False).exists())
    assert parked() == [1]


# --- a standby --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_read_only_connection_is_dropped(sent, monkeypatch):
    monkeypatch.setattr(outage, "database", outage.Outage())
    make_events(1)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    one = relay.Relay()
    with one._errors_logged("relay"):
        one.run_once()
    assert (connection.connection, sent.numbers) == (None, [])
    one.run_once()
    assert sent.numbers == [1]


@pytest.mark.django_db(transaction=True)
def test_the_relay_is_back_when_none_of_its_threads_has_failed_since_the_last_round(monkeypatch, caplog):
    monkeypatch.setattr(outage, "database", outage.Outage())
    monkeypatch.setattr(relay, "POLL_SECONDS", 0)
    one, lines = relay.Relay(), []

    def hand_out() -> None:
        lines.append(len(caplog.messages))
        if len(lines) < 3:
            with one._errors_logged("relay sender"):
                raise OperationalError
        if len(lines) == 4:
            one.stop()

    monkeypatch.setattr(one, "_hand_out", hand_out)
    one.run()
    assert lines == [0, 1, 1, 2]  # away, still away, back


# --- the log ----------------------------------------------------------------------------------------------------------


def test_each_event_logs_its_id_and_no_personal_data(sent, caplog):
    caplog.set_level(logging.INFO, "notifications.relay")
    staff = StaffFactory(user__last_name="Marguerite")
    set_room_status(
        room=NewRoomFactory(hotel=staff.hotel),
        to_status="CHECKOUT_DIRTY",
        staff=staff,
        source=Source.SYSTEM,
        note="mud",
    )
    event = RealtimeEvent.objects.get()
    relay.Relay().run_once()
    [line] = caplog.messages
    fields = dict(part.split("=") for part in line.split()[1:])
    assert line.startswith("event_sent event_id=")
    assert int(fields.pop("waited_ms")) >= 0
    assert fields == {
        "event_id": str(event.event_id),
        "hotel": str(staff.hotel.pk),
        "stream": "rooms",
        "type": "room_updated",
        "seq": "1",
    }


# --- one slow hotel ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_hanging_event_of_one_hotel_delays_no_other(monkeypatch, relay_to, unused_port):
    slow, quick = HotelFactory(), HotelFactory()
    rooms = {hotel.pk: NewRoomFactory(hotel=hotel) for hotel in (slow, quick)}
    hanging, let_go = threading.Event(), threading.Event()

    def send(batch):
        if slow.slug in batch[0]["channel"]:
            hanging.set()
            assert let_go.wait(PATIENCE)

    monkeypatch.setattr(transport, "send", send)
    change = {"to_status": "CHECKOUT_DIRTY", "source": Source.SYSTEM}
    set_room_status(room=rooms[slow.pk], **change)
    relay_to(unused_port)
    assert hanging.wait(PATIENCE)
    set_room_status(room=rooms[quick.pk], **change)
    set_room_status(room=NewRoomFactory(hotel=slow), **change)
    until(lambda: RealtimeEvent.objects.filter(hotel=quick, sent_at__isnull=False).count() == 1)
    until(lambda: RealtimeEvent.objects.filter(hotel=slow, seq=2, sent_at=None).exists())
    let_go.set()
    until(lambda: not RealtimeEvent.objects.filter(sent_at=None).exists())


@pytest.mark.django_db(transaction=True)
def test_event_numbered_while_its_stream_is_being_sent_follows_immediately(monkeypatch, relay_to, unused_port):
    """Without waiting for the poll, which here is an hour away."""
    monkeypatch.setattr(relay, "POLL_SECONDS", 3600)
    room = NewRoomFactory()
    numbers: list[int] = []
    first, let_go = threading.Event(), threading.Event()

    def send(batch):
        numbers.extend(json.loads(message["data"])["meta"]["seq"] for message in batch)
        if not first.is_set():
            first.set()
            assert let_go.wait(PATIENCE)

    monkeypatch.setattr(transport, "send", send)
    relay_to(unused_port)
    for to_status in ("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"):
        set_room_status(room=room, to_status=to_status, source=Source.SYSTEM)
        assert first.wait(PATIENCE)
    until(lambda: EventStream.objects.filter(last_seq=3).exists())
    let_go.set()
    until(lambda: not RealtimeEvent.objects.filter(sent_at=None).exists())
    assert numbers == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_relay_does_not_busy_wait_on_a_failing_stream_of_another_relay(monkeypatch, relay_to, unused_port):
    stream = EventStream.objects.create(hotel=make_events(1)[0].hotel, name=ROOMS)
    looks: list[float] = []
    looked_twice = threading.Event()

    def look(namespace, number):
        looks.append(time.monotonic())
        if len(looks) == 2:
            looked_twice.set()
        return advisory_lock(namespace, number)

    monkeypatch.setattr(relay, "POLL_SECONDS", 0.5)
    monkeypatch.setattr(relay, "advisory_lock", look)
    failing = {stream.pk: relay.BackOff(failures=1)}
    monkeypatch.setattr(relay, "Relay", lambda make=relay.Relay: with_back_off(make(), failing))
    with advisory_lock(relay.ADVISORY_NAMESPACE, stream.pk) as alone:
        assert alone
        relay_to(unused_port)
        assert looked_twice.wait(PATIENCE)
    assert looks[1] - looks[0] > 0.4  # at the poll and no sooner


def with_back_off(one: relay.Relay, failing: dict[int, relay.BackOff]) -> relay.Relay:
    one._back_off.update(failing)
    return one


def test_numbered_backlog_is_not_numbered_again_at_each_poll(sent, tries):
    make_events(3)
    sent.refuses = lambda _: BROKEN
    relaying = tries(1)
    with CaptureQueriesContext(connection) as statements:
        tries(1, relaying)
    assert not [query for query in statements.captured_queries if "notifications_eventstream" in query["sql"]]


# --- several processes ------------------------------------------------------------------------------------------------


class SlowPusher:
    """Accepts every batch, a quarter of a second each, and records its events."""

    def __init__(self) -> None:
        self.event_ids: list[str] = []
        self.busy = threading.Event()
        pusher_ = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["batch"]
                pusher_.busy.set()
                time.sleep(0.25)
                pusher_.event_ids += [json.loads(event["data"])["meta"]["event_id"] for event in batch]
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def slow_pusher():
    running = SlowPusher()
    yield running
    running.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("count", [2, 4])
def test_several_workers_send_each_event_once_and_in_order(count, start_worker, server):
    hotels = [HotelFactory(slug=f"house-{number}") for number in range(2)]
    rooms = [NewRoomFactory(hotel=hotel) for hotel in hotels]
    with server.pysher() as client:
        for hotel in hotels:
            client.subscribe(f"private-{hotel.slug}.rooms")
        processes = [start_worker(**sending_to(server.port)) for _ in range(count)]
        for number in range(30):
            for room in rooms:
                to_status = "CHECKOUT_DIRTY" if number % 2 == 0 else "READY_FOR_GUEST"
                set_room_status(room=room, to_status=to_status, source=Source.SYSTEM)
        received = [client.next_envelope()["meta"] for _ in range(60)]
        until(lambda: not RealtimeEvent.objects.filter(sent_at=None).exists())
        for process in processes:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        assert client.received_nothing_more()
    for hotel in hotels:
        assert [meta["seq"] for meta in received if meta["hotel_slug"] == hotel.slug] == list(range(1, 31))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["worker", "web"])
def test_stopped_relay_finishes_its_batch_without_repeats(kind, start_worker, start_web, slow_pusher, relay_to):
    make_events(35)
    ids = [str(event_id) for event_id in RealtimeEvent.objects.order_by("pk").values_list("event_id", flat=True)]
    start = start_worker if kind == "worker" else start_web
    first = start(**sending_to(slow_pusher.server.server_port))
    assert slow_pusher.busy.wait(PATIENCE)
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    marked = RealtimeEvent.objects.filter(sent_at__isnull=False).count()
    assert 0 < marked < 35
    assert slow_pusher.event_ids == ids[:marked]
    relay_to(slow_pusher.server.server_port)
    until(lambda: not RealtimeEvent.objects.filter(sent_at=None).exists())
    assert slow_pusher.event_ids == ids
