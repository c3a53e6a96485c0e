"""Each channel carries only what its subscribers may see: every payload that can reach a channel is searched.

Every name and text carries a mark (``marked_hotels.py``). Every operation is run, everything that it would send is
searched, and only the marks that are listed here may be found in it.
"""

import ast
import json
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection
from django.test import override_settings

from common import clock
from hotel import rights
from notifications import notification_manager
from notifications.models import BOOKINGS, GUESTS, ROOMS, STREAMS, RealtimeEvent
from room_bookings.models import RoomBooking
from tests.conftest import in_full
from tests.http import rolled_back
from tests.notifications.marked_hotels import (
    AMOUNT,
    marked_fields,
    marks_in,
    open_marked_hotels,
    operations,
    text_fields,
)
from tests.room_bookings.small_hotel import NOW, last_event

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
PRODUCT = ("common", "hotel", "hotelmate", "housekeeping", "notifications", "operations", "room_bookings", "rooms")

# The marks that each channel may carry, as (owner, field); "own" is the guest of the event's booking.
MAY_CARRY = {
    # staff names, and their notes about a room
    ROOMS: {
        ("S", "staff_first"),
        ("S", "staff_last"),
        ("S", "turnover_note"),
        ("S", "room_note"),
        ("S", "fault_note"),
    },
    # the guest's fields in the list of bookings
    BOOKINGS: {("own", "first"), ("own", "last"), ("own", "email"), ("own", "phone"), ("own", "number")},
    # the reason, and the hotel's phone
    GUESTS: {("own", "typed_reason"), ("S", "hotel_phone")},
    "public": set(),
}

# Texts without personal data.
IMPERSONAL = {
    "BlockReason.code",
    "BlockReason.label",
    "Hotel.name",
    "Hotel.slug",
    "Hotel.timezone",
    "Room.room_number",
    "Room.sort_key",
    "Room.floor",
    "Room.building",
    "Room.section",
    "RoomType.name",
    "RoomType.code",
    "RoomType.currency",
    "RoomType.bed_setup",
    "RoomType.short_description",
    "RoomType.availability_message",
    "RoomBooking.booking_id",
    "RoomBooking.currency",
    "PaymentRetry.last_error",
    "IdempotentAnswer.key",
    "IdempotentAnswer.fingerprint",
    "User.password",
}


@dataclass
class Sent:
    """One message to Pusher."""

    operation: str
    stream: str
    hotel_slug: str
    owner: str  # the owner of the event's booking
    channel: str
    name: str
    data: str

    @property
    def is_public(self) -> bool:
        return not self.channel.startswith("private-")

    @property
    def envelope(self) -> dict[str, Any]:
        return json.loads(self.data)

    def marks(self) -> set[tuple[str, str]]:
        return {("own" if owner == self.owner else owner, what) for owner, what in marks_in(self.data)}


@dataclass
class Collected:
    """The results of running every operation."""

    events: list[list[Sent]] = field(default_factory=list)  # the messages of each event
    silent: list[str] = field(default_factory=list)  # operations without events
    logged: list[str] = field(default_factory=list)
    marked: set[str] = field(default_factory=set)  # text fields that held a mark
    tellers: set[tuple[str, str]] = field(default_factory=set)  # file and name of the functions that published

    @property
    def messages(self) -> list[Sent]:
        return [message for messages in self.events for message in messages]

    def of(self, stream: str) -> list[Sent]:
        """The messages to the private channels of a stream."""
        return [message for message in self.messages if message.stream == stream and not message.is_public]

    def public(self) -> list[Sent]:
        return [message for message in self.messages if message.is_public]


class Log(logging.Handler):
    """Collects every log line, with its traceback, as an operator sees it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter("%(levelname)s %(name)s %(message)s").format(record))


@pytest.fixture(scope="module")
def collected(django_db_setup: None, django_db_blocker: Any) -> Iterator[Collected]:
    """Run every operation once, each from the same state of the hotels, with the public channels on."""
    found, log = Collected(), Log()
    loggers = [logging.getLogger(name) for name in ("", "django", "stripe")]
    for logger in loggers:
        logger.addHandler(log)
    try:
        with (
            django_db_blocker.unblock(),
            override_settings(REALTIME_PUBLIC_CHANNELS=True),
            clock.set_to(NOW),
            connection.execute_wrapper(_record_publishers(found.tellers)),
            rolled_back(),
        ):
            if not Group.objects.exists():
                rights.create_roles(apps)
            hotels = open_marked_hotels()
            for name, prepare in operations(hotels):
                with rolled_back():
                    operation = prepare()
                    since = last_event()
                    operation()
                    _collect(name, since, found)
    finally:
        for logger in loggers:
            logger.removeHandler(log)
    found.logged = log.lines
    return found


def _collect(name: str, since: int, found: Collected) -> None:
    events = list(RealtimeEvent.objects.filter(pk__gt=since).select_related("hotel").order_by("pk"))
    names = RoomBooking.objects.values_list("booking_id", "primary_first_name")
    owners = {reference: owner for reference, first in names for owner, _ in marks_in(first)}
    for seq, event in enumerate(events, start=1):
        event.seq = seq
        about = event.envelope["meta"]["scope"].get("booking_id", "")
        found.events.append(
            [
                Sent(name, event.stream, event.hotel.slug, owners[about] if about else "", **message)
                for message in notification_manager.messages(event)
            ]
        )
    if not events:
        found.silent.append(name)
    found.marked |= marked_fields()


def _record_publishers(tellers: set[tuple[str, str]]) -> Any:
    """An execute wrapper that records the functions in the stack that store an event."""

    def wrapper(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        if in_full(str(sql)).startswith('INSERT INTO "notifications_realtimeevent"'):
            frame = sys._getframe()
            while frame is not None:
                tellers.add((frame.f_code.co_filename, frame.f_code.co_name))
                frame = frame.f_back
        return execute(sql, params, many, context)

    return wrapper


# --- publishers in the code -------------------------------------------------------------------------------------------


def calls(*names: str) -> Iterator[tuple[str, str, ast.Call]]:
    """Every call in the product of a function with this prefix: file, enclosing function, call."""
    for path in (path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))):
        text = path.read_text()
        if not any(name in text for name in names):
            continue
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and _called(call).startswith(names):
                        yield str(path), function.name, call


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def kinds_in_the_code() -> set[str]:
    """Every event type that a call names."""
    named = calls("realtime_", "BookingUpdate", "_rooms_event", "_store")
    constants = (node for _, _, call in named for node in ast.walk(call) if isinstance(node, ast.Constant))
    words = {node.value for node in constants if isinstance(node.value, str)}
    return {word for word in words if re.fullmatch(r"(room|booking)_[a-z_]+", word)}


def test_every_publishing_operation_was_run(collected):
    tellers = {(path, function) for path, function, _ in calls("realtime_")}
    assert len(tellers) >= 20
    assert tellers - collected.tellers == set()


def test_every_event_type_was_published(collected):
    kinds = {message.envelope["type"] for message in collected.messages if not message.is_public}
    assert kinds_in_the_code() == kinds
    assert len(kinds) >= 17


def test_operations_without_events(collected):
    assert collected.silent == ["task", "drop drafts"]


def test_every_text_field_has_a_mark(collected):
    """A new text field fails here: mark it in ``marked_hotels.py``, or list it as not personal."""
    assert set(text_fields()) - collected.marked == IMPERSONAL


# --- the marks on each channel ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_private_channels_carry_only_the_listed_marks(stream, collected):
    messages = collected.of(stream)
    wrong = {(m.operation, m.name, *mark) for m in messages for mark in m.marks() - MAY_CARRY[stream]}
    assert wrong == set()
    # … and the search is complete: each allowed mark occurs somewhere.
    assert {mark for message in messages for mark in message.marks()} == MAY_CARRY[stream]


def test_public_channels_carry_no_personal_data(collected):
    messages = collected.public()
    wrong = {(m.operation, m.name, *mark) for m in messages for mark in m.marks() - MAY_CARRY["public"]}
    assert wrong == set()
    assert len(messages) > 100


def test_guest_channel_carries_only_the_guests_booking(collected):
    for message in collected.of(GUESTS):
        reference = message.channel.removeprefix("private-guest-booking.")
        assert message.envelope["meta"]["scope"] == {"booking_id": reference}
        assert message.envelope["payload"]["booking_id"] == reference
        assert set(re.findall(r"BK-\d+-\d+", message.data)) == {reference}


def test_prices_are_only_on_the_bookings_channels(collected):
    assert {m.stream for m in collected.messages if AMOUNT in m.data} == {BOOKINGS}


def test_room_events_name_no_booking(collected):
    assert [m.operation for m in collected.of(ROOMS) if re.search(r"BK-\d+-\d+", m.data)] == []


def test_events_stay_on_their_hotels_channels(collected):
    hotels = {message.hotel_slug for message in collected.messages}
    assert hotels == {"grand", "grand-marked"}
    for message in collected.messages:
        owners = {owner for owner, _ in marks_in(message.data)}
        assert owners <= ({"B"} if message.hotel_slug == "grand" else {"A", "O", "S"}), message.operation
        assert message.envelope["meta"]["hotel_slug"] == message.hotel_slug
        if message.stream != GUESTS:
            private = f"private-{message.hotel_slug}.{message.stream}"
            assert message.channel in (private, private.removeprefix("private-")), message.operation


def test_log_has_no_personal_data(collected):
    assert [line for line in collected.logged if marks_in(line)] == []


# --- public twins -----------------------------------------------------------------------------------------------------


def test_every_event_field_is_decided_on_for_public_channels(collected):
    """A new type or field fails here: decide in ``notifications/public_channels.py``."""
    for stream, view in notification_manager.IN_PUBLIC.items():
        envelopes = [message.envelope for message in collected.of(stream)]
        assert {envelope["type"] for envelope in envelopes} == set(view.types)
        fields = {name for envelope in envelopes for name in envelope["payload"]}
        assert fields == view.shown | set(view.hidden)
        assert not view.shown & set(view.hidden)
    assert set(notification_manager.IN_PUBLIC) == {ROOMS, BOOKINGS}


def test_only_staff_events_have_a_public_twin(collected):
    for messages in collected.events:
        first, *others = messages
        assert not first.is_public
        if first.stream == GUESTS:
            assert others == []
            continue
        [twin] = others
        assert twin.channel == first.channel.removeprefix("private-")
        private, public = first.envelope, twin.envelope
        assert public["meta"] == private["meta"]
        assert public["meta"]["seq"] is not None
        assert list(public["payload"]) == list(private["payload"])
        assert set(public) == set(private)
        assert twin.name == public["type"]
        assert public["type"] == ("booking_updated" if private["type"] == "booking_no_show" else private["type"])


def test_public_twin_keeps_the_types_of_its_values(collected):
    """Text stays text and a list a list; a field becomes null only if it could be null before."""
    nullable = {"cleaned_by_staff", "cleaned_by_staff_name", "inspected_by_staff"}
    nullable |= {"inspected_by_staff_name", "changed_by_name", "block", "next_block", "reason"}
    for first, *twins in collected.events:
        for twin in twins:
            private, public = first.envelope["payload"], twin.envelope["payload"]
            for name, value in private.items():
                assert type(public[name]) is type(value) or (name in nullable and public[name] is None), name
