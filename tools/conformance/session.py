"""The state that the rows share: staff signed in, rooms and bookings of this run, settings, and expected events."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import requests

from tools.conformance.checking import problems
from tools.conformance.client import Member, Wire
from tools.conformance.report import Deviation, Report, Row
from tools.conformance.shapes import DETAIL, GUEST_PAYLOAD, META, NO_GUESTS, ROOM, ROOM_UPDATED, ROW
from tools.harness.pusher_client import EventRecorder, Message

ROLES = {
    "manager": "hotel manager",
    "supervisor": "housekeeping supervisor",
    "housekeeper": "housekeeper",
    "frontdesk": "front desk agent",
    "frontoffice": "front office manager",
}
# Texts that must never appear on a public channel.
SECRETS = ("Quillfeather", "quillfeather@example.com", "+353 86 555 0177", "Ottoline", "whispered note")
GUEST = {
    "primary_first_name": "Ada",
    "primary_last_name": "Quillfeather",
    "primary_email": "quillfeather@example.com",
    "primary_phone": "+353 86 555 0177",
}
NOTE = "whispered note"
# At ten, the hour of the run, YESTERDAY makes the business date the day before, so that yesterday's arrivals check in.
HOUR = 10
YESTERDAY = {"late_arrival_cutoff": "12:00", "early_checkin_from": "12:00"}
TODAY = {"late_arrival_cutoff": "02:00", "early_checkin_from": "08:00"}
STREAMS = ("rooms", "room-bookings")
Events = Sequence[tuple[str, Any]]  # event name, and room number or booking reference


class Session:
    """One conformance run. ``own``: it runs on a throw-away HotelMate, which has everything that the rows need."""

    def __init__(
        self, wire: Wire, recorder: EventRecorder, report: Report, *, hotel: str, other: str, password: str, own: bool
    ):
        self.wire, self.recorder, self.report = wire, recorder, report
        self.hotel, self.other, self.password, self.own = hotel, other, password, own
        self.run_id = uuid4().hex[:6]
        self.manager, self.supervisor, self.housekeeper, self.frontdesk, self.frontoffice = (
            self.member(name) for name in ("manager", "supervisor", "housekeeper", "frontdesk", "frontoffice")
        )
        self.stranger = Member(wire, other, f"{other}-manager", password)
        self.type: dict[str, Any] = {}
        self.small_type: dict[str, Any] = {}
        self.stripe: Any = None
        self.database_url = ""
        self._fresh: list[dict[str, Any]] = []
        self.run_rooms: set[int] = set()
        self.run_bookings: set[str] = set()
        self._guests: dict[str, int] = {}
        self._settings: dict[str, Any] = {}
        self._numbers = iter(range(0))

    def member(self, name: str) -> Member:
        """A staff member of the hotel, not signed in yet."""
        return Member(self.wire, self.hotel, f"{self.hotel}-{name}", self.password)

    # --- setting up ---------------------------------------------------------------------------------------------------

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Within the block the staff is signed in, the hotel's local time is ten, and this run has its own rooms."""
        members = [self.manager, self.supervisor, self.housekeeper, self.frontdesk, self.stranger]
        for member in [*members, *([self.frontoffice] if self.own else [])]:
            member.sign_in()
        self._settings = self.manager.get("access-config/")
        # Some timezone always has ten o'clock, so that checks that depend on the hour have one outcome.
        offset = HOUR - datetime.now(UTC).hour
        offset += 24 if offset < -12 else 0
        zone = f"Etc/GMT{-offset:+d}" if offset else "Etc/GMT"
        usual = {
            "standard_checkout_time": "09:00",
            "late_checkout_grace_minutes": 30,
            "approval_cutoff_time": "23:00",
            "approval_cutoff_day_offset": 1,
            "check_in_time": "15:00",
            "allow_overbooking": False,
            "require_complete_party": False,
        }
        self.settings(timezone=zone, **usual, **TODAY)
        self.today: date = (datetime.now(UTC) + timedelta(hours=offset)).date()
        try:
            self._make_rooms()
            for stream in STREAMS:
                self.recorder.subscribe(f"{self.hotel}.{stream}")
            self.subscribe_privately()
            yield
        finally:
            self.settings(**self._settings)

    def settings(self, **changes: Any) -> None:
        """Change the hotel's settings."""
        self.manager.patch("access-config/", changes)

    @contextmanager
    def rules(self, **changes: Any) -> Iterator[None]:
        """Within the block the hotel has other settings."""
        before = self.manager.get("access-config/")
        self.settings(**changes)
        try:
            yield
        finally:
            self.settings(**{name: before[name] for name in changes})

    def _make_rooms(self) -> None:
        prices = {"starting_price_from": "120.00", "currency": "EUR"}
        kinds = (("Conformance", "C", 3), ("Conformance small", "S", 1))
        self.type, self.small_type = (
            self.manager.post(
                "room-types/",
                {"name": f"{name} {self.run_id}", "code": f"{code}{self.run_id}", "max_occupancy": beds, **prices},
                status=201,
            )
            for name, code, beds in kinds
        )
        numbers = [room["room_number"] for rooms in self._all_rooms() for room in rooms]
        first = 1 + max((number for number in numbers if isinstance(number, int)), default=100)
        self._numbers = iter(range(first + 150, first + 10_000))
        path = f"room-types/{self.type['id']}/rooms/bulk-create/"
        made = self.manager.post(path, {"range_from": first, "range_to": first + 149}, status=201)
        self._fresh = made["created_rooms"]
        self.run_rooms.update(room["room_number"] for room in self._fresh)
        self.small_room = self.add_room(self.small_type)

    def _all_rooms(self) -> Iterator[list[dict[str, Any]]]:
        page, more = 1, True
        while more:
            content = self.manager.get("room-management/", query={"page": page, "page_size": 100})
            yield content["results"]
            page, more = page + 1, content["next"] is not None

    def subscribe_privately(self) -> None:
        """Subscribe to the two private channels: one signed in with a form, as pusher-js does, one with JSON."""
        for stream, kind in zip(STREAMS, ("form", "json"), strict=True):
            channel = f"private-{self.hotel}.{stream}"
            self.recorder.subscribe(channel, self.signature(self.manager.headers, channel, kind=kind)["auth"])

    def signature(
        self,
        headers: dict[str, str],
        channel: str,
        *,
        kind: str = "form",
        path: str = "/pusher/auth",
        status: int = 200,
    ) -> dict[str, Any]:
        """Request the signature for a private channel."""
        asked = {"socket_id": self.recorder.socket_id, "channel_name": channel}
        media = {"form": "application/x-www-form-urlencoded; charset=UTF-8", "json": "application/json"}[kind]
        data = json.dumps(asked) if kind == "json" else requests.models.RequestEncodingMixin._encode_params(asked)
        response, body = self.wire.send("POST", path, headers={**headers, "Content-Type": media}, data=data)
        if response.status_code != status:
            raise Deviation(
                f"POST {path} for {channel} returns {response.status_code}, not {status}: {response.text:.200}"
            )
        return dict(body)

    # --- rooms and bookings of this run -------------------------------------------------------------------------------

    def room(self, *status: str) -> dict[str, Any]:
        """An unused room, after the manager has set each ``status`` in order."""
        room = self._fresh.pop(0)
        for to_status in status:
            body = {"to_status": to_status}
            room = self.manager.post(f"rooms/{room['id']}/status/", body)["room"]
        return room

    def add_room(self, room_type: dict[str, Any]) -> dict[str, Any]:
        """Another room of that type."""
        body = {"room_number": self.new_number(), "room_type_id": room_type["id"]}
        return dict(self.manager.post("room-management/", body, status=201))

    def lone_type(self) -> dict[str, Any]:
        """A room type that has one room."""
        return self.lone_room()[0]

    def lone_room(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A room type that has one room, and the room; it sleeps two."""
        code = f"{self.new_number()}-{self.run_id}"
        body = {"name": f"Lone {code}", "code": code, "max_occupancy": 2}
        made: dict[str, Any] = self.manager.post("room-types/", body, status=201)
        return made, self.add_room(made)

    def new_number(self) -> int:
        """An unused room number."""
        number = next(self._numbers)
        self.run_rooms.add(number)
        return number

    def current(self, room: dict[str, Any]) -> dict[str, Any]:
        """The current room, read by the front desk."""
        return dict(self.frontdesk.get(f"room-management/{room['room_number']}/"))

    def day(self, days: int) -> str:
        """The date ``days`` days from the hotel's today."""
        return (self.today + timedelta(days=days)).isoformat()

    def book(self, arrival: int = 0, nights: int = 2, **more: Any) -> dict[str, Any]:
        """A booking by the front desk, ``arrival`` days from today; it contains the guest's SECRETS."""
        body = {
            "room_type_id": str(self.type["id"]),
            "check_in": self.day(arrival),
            "check_out": self.day(arrival + nights),
            "adults": 1,
            "children": 0,
            "special_requests": NOTE,
            **GUEST,
            **more,
        }
        booking: dict[str, Any] = self.frontdesk.post("room-bookings/", body, status=201, shape=DETAIL)
        self.run_bookings.add(booking["booking_id"])
        return booking

    def arrived(self, arrival: int = 0, nights: int = 2, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """An in-house booking, and its room."""
        booking, room = self.book(arrival, nights, **more), self.room()
        path = f"room-bookings/{booking['booking_id']}/check-in/"
        body = {"room_id": str(room["id"])}
        return self.frontdesk.post(path, body, shape=DETAIL), room

    def overdue(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A booking that was due out today and is past checkout time and grace, and its room."""
        self.settings(**YESTERDAY)
        try:
            return self.arrived(-1, 1)
        finally:
            self.settings(**TODAY)

    def by_card(self, **more: Any) -> dict[str, Any]:
        """A booking request with an authorised card payment."""
        reference = f"pi_{uuid4().hex[:16]}"
        if self.stripe:
            self.stripe.authorise(reference)
        return self.book(30, 2, payment_provider="stripe", payment_reference=reference, **more)

    def path(self, booking: dict[str, Any], action: str = "") -> str:
        """The path of a booking or of an action on it."""
        return f"room-bookings/{booking['booking_id']}/{action}"

    # --- checks ----------------------------------------------------------------------------------------------------

    def run_row(self, row: Row) -> None:
        """Run a row and print its line."""
        self.wire.row = row
        try:
            row.check(self)
        except Deviation as deviation:
            row.wrong.append(str(deviation))
        except Exception as error:  # a response that lacks what the row reads next
            row.wrong.append(f"{type(error).__name__}: {error}")
        self.report.done(row)

    def equal(self, value: Any, expected: Any, where: str) -> None:
        """Record a deviation unless ``value`` equals ``expected``."""
        if value != expected:
            self.wire.row.wrong.append(f"{where} is {value!r:.150}, not {expected!r:.150}")

    def matches(self, value: Any, shape: Any, where: str) -> None:
        """Record deviations from the shape."""
        self.wire.row.wrong += [f"{where}: {line}" for line in problems(value, shape)]

    def not_reached(self, why: str) -> None:
        """Record that this HotelMate cannot reach the case; in a throw-away one that is a deviation."""
        row: Any = self.wire.row
        if self.own:
            row.wrong.append(f"not reached: {why}")
        row.not_reached = why

    # --- live events -----------------------------------------------------------------------------------------------

    def subscribe_as_guest(self, booking: dict[str, Any]) -> None:
        """Subscribe as the booking's guest, with the token from the response that created it."""
        bid = booking["booking_id"]
        channel = f"private-guest-booking.{bid}"
        headers = {"Authorization": f"GuestToken {booking['guest_token']}"}
        self._wait_until_sent()  # so that earlier events are not counted
        self.recorder.subscribe(channel, self.signature(headers, channel)["auth"])
        self._guests[bid] = 0

    def occupancy_events(self, *rooms: dict[str, Any]) -> Events:
        """The expected events of rooms that a guest moves into or out of."""
        numbers = [room["room_number"] for room in rooms]
        return [(name, number) for name in ("room_updated", "room_occupancy_updated") for number in numbers]

    @contextmanager
    def expects_events(
        self, *, rooms: Events = (), bookings: Events = (), guest: dict[str, Any] | None = None, guest_event: str = ""
    ) -> Iterator[None]:  # fmt: skip
        """Check that the block sends exactly these events, in this order, on all channels.

        ``guest`` is a booking whose guest is subscribed (``subscribe_as_guest``), ``guest_event`` that guest's event.
        """
        self._wait_until_sent()
        after = {stream: self.events(stream)["latest_seq"] for stream in STREAMS}
        yield
        self._wait_until_sent()
        for stream, expected in zip(STREAMS, (rooms, bookings), strict=True):
            sent = [one for one in self.events(stream, after=after[stream])["results"] if self._is_ours(one, expected)]
            found = [(one["type"], next(iter(one["meta"]["scope"].values()))) for one in sent]
            self.equal(found, list(expected), f"the events on {stream}")
            for envelope in sent:
                self._check_event(stream, envelope)
            self._check_arrival(stream, sent)
        if guest is not None:
            self._check_guest_events(guest["booking_id"], guest_event)

    @contextmanager
    def expects_created(self) -> Iterator[None]:
        """Check that the block creates one booking and sends its event."""
        expected: list[tuple[str, Any]] = []
        before = set(self.run_bookings)
        with self.expects_events(bookings=expected):
            yield
            expected += [("booking_created", bid) for bid in self.run_bookings - before]

    def events(self, stream: str, **query: Any) -> dict[str, Any]:
        """A page of the stream's event log."""
        return dict(self.manager.get("events/", query={"channel": stream, **query}))

    def _wait_until_sent(self) -> None:
        """Wait until every committed event has its number and was sent."""
        for _ in range(500):
            text = requests.get(f"{self.wire.url}/metrics", timeout=10).text
            waiting = [float(number) for number in re.findall(r"^hotelmate_events_waiting\S* (\S+)$", text, re.M)]
            if not waiting:
                time.sleep(0.5)  # the metrics are not readable without the token
                return
            if not sum(waiting):
                return
            time.sleep(0.01)

    def _is_ours(self, envelope: dict[str, Any], expected: Events) -> bool:
        scope = envelope["meta"]["scope"]
        # The worker may flag an overdue guest before the row acts on it.
        if envelope["type"] == "booking_overstay_flagged" and envelope["type"] not in dict(expected):
            return False
        if scope.get("booking_id") in self.run_bookings:
            return (envelope["type"], scope["booking_id"]) in expected or not self._is_about_mail(envelope)
        return scope.get("room_number") in self.run_rooms

    def _is_about_mail(self, envelope: dict[str, Any]) -> bool:
        """Whether the event reports that the worker dropped an outdated mail, which can happen at any time."""
        if envelope["type"] != "booking_updated":
            return False
        mails = self.manager.get(f"room-bookings/{envelope['meta']['scope']['booking_id']}/mails/")["results"]
        sent_at = datetime.fromisoformat(envelope["meta"]["ts"])
        dropped = [datetime.fromisoformat(mail["settled_at"]) for mail in mails if mail["state"] == "DROPPED"]
        return any(abs(moment - sent_at) < timedelta(seconds=1) for moment in dropped)

    def _check_event(self, stream: str, envelope: dict[str, Any]) -> None:
        """Check the envelope and the payload of a staff event."""
        where, name = f"{envelope['type']} on {stream}", envelope["type"]
        self.matches(envelope["meta"], META, f"{where}, meta")
        self.equal(envelope["category"], "rooms" if stream == "rooms" else "room_booking", f"{where}, category")
        self.equal(envelope["meta"]["hotel_slug"], self.hotel, f"{where}, meta.hotel_slug")
        payload = envelope["payload"]
        if stream == "rooms":
            self.matches(payload, ROOM_UPDATED if name == "room_updated" else ROOM, where)
            if not payload["is_occupied"]:
                self.equal({key: payload.get(key, "missing") for key in NO_GUESTS}, NO_GUESTS, f"{where}, vacant,")
            elif "primary_guest" in payload:
                self.wire.row.wrong.append(f"{where} has the guests of an occupied room")
        else:
            self.matches(payload, ROW, where)

    def _check_arrival(self, stream: str, sent: list[dict[str, Any]]) -> None:
        """Check that the events arrived once and in order: unchanged on the private channel, redacted on the public."""
        ids = [one["meta"]["event_id"] for one in sent]
        for channel in (f"private-{self.hotel}.{stream}", f"{self.hotel}.{stream}"):
            if not ids:
                continue
            self.recorder.wait_for(channel, ids[-1])
            received = [one for one in self.recorder.on(channel) if one.event_id in ids]
            self.equal([one.event_id for one in received], ids, f"the events received on {channel}")
            for one, envelope in zip(received, sent, strict=False):
                if channel.startswith("private-"):
                    self.equal(one.envelope, envelope, f"{one.name} on {channel}")
                    self.equal(one.name, envelope["type"], "Pusher's event name")
                else:
                    self._check_public(one, envelope)

    def _check_public(self, received: Message, envelope: dict[str, Any]) -> None:
        where, public = f"{received.name} on the public channel", received.envelope
        expected = "booking_updated" if envelope["type"] == "booking_no_show" else envelope["type"]
        self.equal((received.name, public["type"]), (expected, expected), f"{where}, type")
        for name in ("event_id", "seq", "hotel_slug", "scope", "ts"):
            self.equal(public["meta"].get(name), envelope["meta"][name], f"{where}, meta.{name}")
        self.equal(set(public["payload"]), set(envelope["payload"]), f"{where}, the payload's fields")
        if "guest_name" in public["payload"]:
            self.equal(public["payload"]["guest_name"], "Guest", f"{where}, guest_name")
        self.check_public_text(received)

    def check_public_text(self, received: Message) -> None:
        """Check that the text contains no guest data and no note."""
        for secret in (*SECRETS, "@"):
            if secret in received.text:
                self.wire.row.wrong.append(f"{received.name} on the public channel contains {secret!r}")

    def _check_guest_events(self, bid: str, name: str) -> None:
        channel, before = f"private-guest-booking.{bid}", self._guests[bid]
        count = before + bool(name)
        self.recorder.wait_for_count(channel, count)
        received = self.recorder.on(channel)[before:]
        self._guests[bid] = before + len(received)
        self.equal([one.name for one in received], [name] if name else [], f"the events for the guest of {bid}")
        for one in received:
            self.matches(one.envelope["payload"], GUEST_PAYLOAD, f"{one.name} for the guest")
            self.matches(one.envelope["meta"], {**META, "seq": "any"}, f"{one.name} for the guest, meta")
            self.equal(one.envelope["meta"]["seq"], None, f"{one.name} for the guest, meta.seq")
            for secret in ("email", "phone_number", "internal_notes", "special_requests"):
                if secret in one.envelope["payload"]:
                    self.wire.row.wrong.append(f"{one.name} for the guest has {secret}")
