"""``manage.py watch`` as a real process against the real server: its output, and the faults that it survives."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from common import clock
from housekeeping.models import Source
from housekeeping.services import set_room_status
from notifications import transport
from notifications.management.commands.watch import described, printable
from notifications.models import ROOMS, EventStream, RealtimeEvent
from notifications.notification_manager import encoded, envelope_of
from room_bookings.services.check_in import check_in
from tests.factories import StaffFactory, booking_in, room_in
from tests.notifications.conftest import PATIENCE, STARTING, sending_to, until
from tests.room_bookings.small_hotel import NOW, TODAY

HELLO = "Watching grand: rooms and room bookings, in the hotel's local time. Ctrl-C stops it."
REFUSED = "The Pusher server refused the connection: check PUSHER_KEY and PUSHER_SECRET."
LOST = "Connection lost"


class Terminal:
    """A ``manage.py watch`` process whose output lines can be awaited."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._read = b""

    def line(self, coding: str = "utf-8") -> str:
        """The next line, without its end."""
        deadline = time.monotonic() + STARTING
        while b"\n" not in self._read:
            assert select.select([self.process.stdout], [], [], deadline - time.monotonic())[0], "it says nothing"
            part = os.read(self.process.stdout.fileno(), 65536)
            assert part, self.process.stderr.read()
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(coding)

    def lines(self, count: int) -> list[str]:
        """``count`` lines, without their leading time."""
        return [self.line().partition("  ")[2] for _ in range(count)]

    def stopped(self) -> tuple[int, str, str]:
        """Send Ctrl-C; returns the exit code, the rest of stdout and stderr."""
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def ended(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=STARTING)
        return self.process.returncode, self._read.decode() + output, errors


@pytest.fixture
def watch(server, start_hotelmate) -> Callable[..., Terminal]:
    """``watch()`` starts one for the hotel ``grand``, by default on the tests' Pusher server."""

    def start(port: int = 0, **environ: str) -> Terminal:
        return Terminal(start_hotelmate("manage.py", "watch", "grand", **sending_to(port or server.port) | environ))

    return start


@pytest.fixture
def watching(watch, server, hotel) -> Callable[..., Terminal]:
    """One that has subscribed to both channels."""

    def start(at: Any = server) -> Terminal:
        terminal = watch(at.port)
        assert terminal.line() == HELLO
        wanted = {f"private-{hotel.slug}.rooms", f"private-{hotel.slug}.room-bookings"}
        until(lambda: wanted <= set(at.library().channels_info()["channels"]))
        return terminal

    return start


def numbered(hotel: Any, numbers: list[int], stream: str = ROOMS) -> list[RealtimeEvent]:
    """Stored events with these numbers that no relay sends."""
    made = []
    for _ in numbers:
        room = room_in("READY_FOR_GUEST", hotel=hotel)
        set_room_status(room=room, to_status="CHECKOUT_DIRTY", source=Source.SYSTEM)
        made.append(RealtimeEvent.objects.order_by("pk").last())
    RealtimeEvent.objects.filter(seq=None).exclude(pk__in=[event.pk for event in made]).delete()
    for event, number in zip(made, numbers, strict=True):
        event.seq, event.stream = number, stream
        event.save(update_fields=["seq", "stream"])
    EventStream.objects.update_or_create(hotel=hotel, name=stream, defaults={"last_seq": max(numbers, default=0)})
    return made


def send(server: Any, event: RealtimeEvent) -> None:
    server.library().trigger(event.channel, event.type, encoded(envelope_of(event)))


pytestmark = pytest.mark.django_db(transaction=True)


def test_it_prints_events_without_guest_data(watching, relay_to, server, hotel, agent):
    booking = booking_in(
        "CONFIRMED",
        hotel=hotel,
        check_in=TODAY,
        primary_first_name="Grace",
        primary_last_name="Hopper",
        primary_email="grace@example.com",
        primary_phone="+35311234567",
    )
    room = room_in("READY_FOR_GUEST", hotel=hotel, room_type=booking.room_type)
    RealtimeEvent.objects.all().delete()
    relay_to(server.port)
    terminal = watching()
    with clock.set_to(NOW):
        check_in(booking=booking, room_id=room.pk, staff=agent)
    lines = sorted(terminal.lines(3))  # two channels: their order is not defined
    assert lines == [
        f"room-bookings #1  {booking.booking_id}: checked in (IN_HOUSE, room {room.room_number})",
        f"rooms #1  room {room.room_number}: READY_FOR_GUEST -> OCCUPIED, by {agent.name}",
        f"rooms #2  room {room.room_number}: guests in house",
    ]
    assert terminal.stopped() == (0, "", "")


@pytest.mark.parametrize(
    "terminal",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""},
    ],
    ids=["ascii", "latin-1", "POSIX"],
)
def test_it_survives_a_terminal_without_a_character(watch, server, hotel, terminal):
    watching_terminal = watch(**terminal)
    assert watching_terminal.line() == HELLO
    wanted = {f"private-{hotel.slug}.rooms", f"private-{hotel.slug}.room-bookings"}
    until(lambda: wanted <= set(server.library().channels_info()["channels"]))
    agnes = StaffFactory(hotel=hotel, user__first_name="Ágnes", user__last_name="Kőszegi")
    events = numbered(hotel, [1, 2])
    for event in events:
        event.envelope["payload"]["changed_by_name"] = agnes.name
        event.save(update_fields=["envelope"])
        send(server, event)
    name = "Ágnes K\\u0151szegi" if "latin-1" in terminal.values() else "\\xc1gnes K\\u0151szegi"
    for number in (1, 2):
        line = watching_terminal.line(coding="latin-1").partition("  ")[2]
        assert line.startswith(f"rooms #{number}  room ")
        assert line.endswith(f", by {name}")
    assert watching_terminal.stopped() == (0, "", "")


def test_it_shows_new_events_fills_gaps_and_repeats_nothing(watching, server, hotel):
    numbered(hotel, [1, 2])
    terminal = watching()
    events = numbered(hotel, [3, 4, 5])
    for event in (events[0], events[0], events[2], events[1], events[2]):
        send(server, event)
    last = numbered(hotel, [6])[0]
    send(server, last)
    assert [line.partition("  ")[0] for line in terminal.lines(4)] == ["rooms #3", "rooms #4", "rooms #5", "rooms #6"]
    assert terminal.stopped() == (0, "", "")


def test_deleted_events_are_reported(watching, server, hotel):
    terminal = watching()
    [event] = numbered(hotel, [8])
    send(server, event)
    assert terminal.line() == "rooms #1 to #7 are no longer available."
    assert terminal.line().partition("  ")[2].startswith("rooms #8  ")
    [event] = numbered(hotel, [13])
    RealtimeEvent.objects.all().delete()
    send(server, event)
    assert terminal.line() == "rooms #9 to #13 are no longer available."
    [event] = numbered(hotel, [14])
    send(server, event)
    assert terminal.line().partition("  ")[2].startswith("rooms #14  ")


def test_it_reconnects_and_misses_nothing(watching, launch, hotel, unused_port):
    with launch(unused_port) as server:
        terminal = watching(server)
    assert terminal.line().startswith(LOST)
    events = numbered(hotel, [1, 2])
    with launch(unused_port) as server:
        assert [line.partition("  ")[0] for line in terminal.lines(2)] == ["rooms #1", "rooms #2"]
        assert terminal.line() == "Reconnected."
        send(server, events[1])
        send(server, numbered(hotel, [3])[0])
        assert terminal.line().partition("  ")[2].startswith("rooms #3  ")
        assert terminal.stopped() == (0, "", "")


def test_ctrl_c_ends_it_even_without_a_server(watch, hotel, unused_port):
    terminal = watch(unused_port)
    assert terminal.line() == HELLO
    assert terminal.line() == f"{LOST} (ConnectionRefusedError); reconnecting."
    assert terminal.stopped() == (0, "", "")


def test_it_ends_silently_on_a_closed_pipe(watching, server, hotel):
    terminal = watching()
    terminal.process.stdout.close()
    [event] = numbered(hotel, [1])
    send(server, event)
    assert terminal.process.wait(PATIENCE) == 0
    assert terminal.process.stderr.read() == ""


def test_any_other_command_ends_silently_on_a_closed_pipe(start_hotelmate, hotel):
    process = start_hotelmate("manage.py", "check_invariants")
    process.stdout.close()
    assert process.wait(STARTING) == 128 + signal.SIGPIPE
    assert process.stderr.read() == ""


@pytest.mark.parametrize("wrong", ["PUSHER_KEY", "PUSHER_SECRET"])
def test_refusal_is_one_line(watch, hotel, wrong):
    code, output, errors = watch(**{wrong: "other"}).ended()
    assert (code, output) == (1, f"{HELLO}\n")
    assert REFUSED in errors
    assert errors.count("\n") == 1


def test_unknown_hotel(hotel):
    with pytest.raises(CommandError, match=r'^There is no hotel "nowhere"\. Known hotels: grand\.$'):
        call_command("watch", "nowhere")


def test_missing_settings_are_named(hotel, settings, capsys):
    transport.client()  # the cached client must not count as configured
    settings.PUSHER_KEY = ""
    with pytest.raises(CommandError, match=r"^Live events are not configured\. Set PUSHER_APP_ID, PUSHER_KEY and .*$"):
        call_command("watch", "grand")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (
            "room_updated",
            {
                "room_number": 101,
                "from_status": "OCCUPIED",
                "to_status": "OCCUPIED",
                "changed_fields": ["maintenance_notes", "maintenance_priority"],
                "changed_by_name": None,
            },
            "room 101: changed: maintenance_notes, maintenance_priority, by HotelMate",
        ),
        ("room_occupancy_updated", {"room_number": 101, "is_occupied": False}, "room 101: no guests in house"),
        (
            "booking_overstay_flagged",
            {"booking_id": "BK-2026-0001", "status": "IN_HOUSE", "room_number": None},
            "BK-2026-0001: overstay flagged (IN_HOUSE)",
        ),
    ],
)
def test_description_of_an_event(kind, payload, words):
    assert described({"type": kind, "payload": payload}) == words


def test_a_name_does_not_move_the_cursor():
    assert printable("Seán\x1b[2J\r\nÓ") == "Seán?[2J??Ó"
