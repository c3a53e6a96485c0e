"""What the rows share: who is signed in, rooms and bookings of our own, the house's clock, what is told of a step."""

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
from tools.conformance.shapes import DETAIL, FORGETS, META, ROOM, ROOM_UPDATED, ROW, TO_THE_GUEST
from tools.harness.pusher_client import Ears, Heard

ROLES = {
    "manager": "hotel manager",
    "supervisor": "housekeeping supervisor",
    "housekeeper": "housekeeper",
    "frontdesk": "front desk agent",
    "frontoffice": "front office manager",
}
# What a stranger may never read on a public channel.
SECRETS = ("Quillfeather", "quillfeather@example.com", "+353 86 555 0177", "Ottoline", "whispered note")
GUEST = {
    "primary_first_name": "Ada",
    "primary_last_name": "Quillfeather",
    "primary_email": "quillfeather@example.com",
    "primary_phone": "+353 86 555 0177",
}
NOTE = "whispered note"
# At the play's hour, ten, the business day is the one before with the first: yesterday's stays begin.
HOUR = 10
YESTERDAY = {"late_arrival_cutoff": "12:00", "early_checkin_from": "12:00"}
TODAY = {"late_arrival_cutoff": "02:00", "early_checkin_from": "08:00"}
STREAMS = ("rooms", "room-bookings")
Told = Sequence[tuple[str, Any]]  # of what, and of which room number or booking


class World:
    """The play's stage. ``own`` is a HotelMate that was made for it, which has everything that the rows need."""

    def __init__(self, wire: Wire, ears: Ears, report: Report, *, hotel: str, other: str, password: str, own: bool):
        self.wire, self.ears, self.report = wire, ears, report
        self.hotel, self.other, self.password, self.own = hotel, other, password, own
        self.run = uuid4().hex[:6]
        self.manager, self.supervisor, self.housekeeper, self.frontdesk, self.frontoffice = (
            self.member(name) for name in ("manager", "supervisor", "housekeeper", "frontdesk", "frontoffice")
        )
        self.stranger = Member(wire, other, f"{other}-manager", password)
        self.type: dict[str, Any] = {}
        self.small_type: dict[str, Any] = {}
        self.stripe: Any = None
        self.database_url = ""
        self._fresh: list[dict[str, Any]] = []
        self.own_rooms: set[int] = set()
        self.own_bookings: set[str] = set()
        self._guests: dict[str, int] = {}
        self._settings: dict[str, Any] = {}
        self._numbers = iter(range(0))

    def member(self, name: str) -> Member:
        """Somebody of the hotel, not signed in yet."""
        return Member(self.wire, self.hotel, f"{self.hotel}-{name}", self.password)

    # --- setting up ---------------------------------------------------------------------------------------------------

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Within the block everybody is signed in, the house's clock shows ten, and there are rooms of our own."""
        members = [self.manager, self.supervisor, self.housekeeper, self.frontdesk, self.stranger]
        for member in [*members, *([self.frontoffice] if self.own else [])]:
            member.sign_in()
        self._settings = self.manager.get("access-config/")
        # It is always ten o'clock in some timezone: checks that depend on the hour have one outcome.
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
                self.ears.subscribe(f"{self.hotel}.{stream}")
            self.listen_in_private()
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
                {"name": f"{name} {self.run}", "code": f"{code}{self.run}", "max_occupancy": beds, **prices},
                status=201,
            )
            for name, code, beds in kinds
        )
        first = 1 + max((room["room_number"] for rooms in self._all_rooms() for room in rooms), default=100)
        self._numbers = iter(range(first + 150, first + 10_000))
        path = f"room-types/{self.type['id']}/rooms/bulk-create/"
        made = self.manager.post(path, {"range_from": first, "range_to": first + 149}, status=201)
        self._fresh = made["created_rooms"]
        self.own_rooms.update(room["room_number"] for room in self._fresh)
        self.small_room = self.add_room(self.small_type)

    def _all_rooms(self) -> Iterator[list[dict[str, Any]]]:
        page, more = 1, True
        while more:
            answer = self.manager.get("room-management/", query={"page": page, "page_size": 100})
            yield answer["results"]
            page, more = page + 1, answer["next"] is not None

    def listen_in_private(self) -> None:
        """The two private channels: one signed in to with a form, as pusher-js does, one with JSON."""
        for stream, kind in zip(STREAMS, ("form", "json"), strict=True):
            channel = f"private-{self.hotel}.{stream}"
            self.ears.subscribe(channel, self.signature(self.manager.headers, channel, kind=kind)["auth"])

    def signature(
        self,
        headers: dict[str, str],
        channel: str,
        *,
        kind: str = "form",
        path: str = "/pusher/auth",
        status: int = 200,
    ) -> dict[str, Any]:
        """Ask for a socket's signature."""
        asked = {"socket_id": self.ears.socket_id, "channel_name": channel}
        media = {"form": "application/x-www-form-urlencoded; charset=UTF-8", "json": "application/json"}[kind]
        data = json.dumps(asked) if kind == "json" else requests.models.RequestEncodingMixin._encode_params(asked)
        answer, body = self.wire.send("POST", path, headers={**headers, "Content-Type": media}, data=data)
        if answer.status_code != status:
            raise Deviation(f"POST {path} for {channel} answers {answer.status_code}, not {status}: {answer.text:.200}")
        return dict(body)

    # --- rooms and bookings of our own --------------------------------------------------------------------------------

    def room(self, *status: str) -> dict[str, Any]:
        """A room that nobody has used; ``status``: the steps that the manager takes it through first."""
        room = self._fresh.pop(0)
        for to_status in status:
            body = {"to_status": to_status}
            room = self.manager.post(f"rooms/{room['id']}/status/", body)["room"]
        return room

    def add_room(self, room_type: dict[str, Any]) -> dict[str, Any]:
        """One more room, of that type."""
        body = {"room_number": self.new_number(), "room_type_id": room_type["id"]}
        return dict(self.manager.post("room-management/", body, status=201))

    def lone_type(self) -> dict[str, Any]:
        """A type of which there is one room."""
        return self.lone_room()[0]

    def lone_room(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A type of which there is one room, and the room; it sleeps two."""
        code = f"{self.new_number()}-{self.run}"
        body = {"name": f"Lone {code}", "code": code, "max_occupancy": 2}
        made: dict[str, Any] = self.manager.post("room-types/", body, status=201)
        return made, self.add_room(made)

    def new_number(self) -> int:
        """A room number that no room has."""
        number = next(self._numbers)
        self.own_rooms.add(number)
        return number

    def now(self, room: dict[str, Any]) -> dict[str, Any]:
        """The room as it is now, as the desk sees it."""
        return dict(self.frontdesk.get(f"room-management/{room['room_number']}/"))

    def day(self, days: int) -> str:
        """A date, so many days from the hotel's today."""
        return (self.today + timedelta(days=days)).isoformat()

    def book(self, arrival: int = 0, nights: int = 2, **more: Any) -> dict[str, Any]:
        """A booking made by the desk; days from today. The guest's secrets are in it."""
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
        self.own_bookings.add(booking["booking_id"])
        return booking

    def arrived(self, arrival: int = 0, nights: int = 2, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A guest in house, and the room."""
        booking, room = self.book(arrival, nights, **more), self.room()
        path = f"room-bookings/{booking['booking_id']}/check-in/"
        body = {"room_id": str(room["id"])}
        return self.frontdesk.post(path, body, shape=DETAIL), room

    def overdue(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A guest who came yesterday for one night, and it is past checkout time and grace; and the room."""
        self.settings(**YESTERDAY)
        try:
            return self.arrived(-1, 1)
        finally:
            self.settings(**TODAY)

    def by_card(self, **more: Any) -> dict[str, Any]:
        """A request with an authorised card payment."""
        reference = f"pi_{uuid4().hex[:16]}"
        if self.stripe:
            self.stripe.authorise(reference)
        return self.book(30, 2, payment_provider="stripe", payment_reference=reference, **more)

    def path(self, booking: dict[str, Any], step: str = "") -> str:
        """A booking's address, or that of a step."""
        return f"room-bookings/{booking['booking_id']}/{step}"

    # --- noting ----------------------------------------------------------------------------------------------------

    def play(self, row: Row) -> None:
        """Play a row and print its line."""
        self.wire.row = row
        try:
            row.play(self)
        except Deviation as deviation:
            row.wrong.append(str(deviation))
        except Exception as error:  # an answer that lacks what the row reads next
            row.wrong.append(f"{type(error).__name__}: {error}")
        self.report.done(row)

    def see(self, what: Any, wanted: Any, where: str) -> None:
        """Note it when ``what`` is not as ``wanted``."""
        if what != wanted:
            self.wire.row.wrong.append(f"{where} is {what!r:.150}, not {wanted!r:.150}")

    def has(self, value: Any, shape: Any, where: str) -> None:
        """Note where ``value`` is not of the shape."""
        self.wire.row.wrong += [f"{where}: {line}" for line in problems(value, shape)]

    def not_reached(self, why: str) -> None:
        """The given HotelMate has no occasion for this; in one that was made for the play that is a deviation."""
        row: Any = self.wire.row
        if self.own:
            row.wrong.append(f"not reached: {why}")
        row.not_reached = why

    # --- live events -----------------------------------------------------------------------------------------------

    def hears_guest(self, booking: dict[str, Any]) -> None:
        """Listen as the booking's guest, with the token that the new booking came with."""
        bid = booking["booking_id"]
        channel = f"private-guest-booking.{bid}"
        headers = {"Authorization": f"GuestToken {booking['guest_token']}"}
        self._settled()  # what was told before is not for this ear
        self.ears.subscribe(channel, self.signature(headers, channel)["auth"])
        self._guests[bid] = 0

    def moved(self, *rooms: dict[str, Any]) -> Told:
        """What is told of rooms that somebody moves into or out of."""
        numbers = [room["room_number"] for room in rooms]
        return [(name, number) for name in ("room_updated", "room_occupancy_updated") for number in numbers]

    @contextmanager
    def tells(
        self, *, rooms: Told = (), bookings: Told = (), guest: dict[str, Any] | None = None, guest_told: str = ""
    ) -> Iterator[None]:  # fmt: skip
        """What happens within the block is told exactly so, in this order, on all channels.

        ``guest`` is a booking whose guest listens (``hears_guest``), ``guest_told`` what this guest hears.
        """
        self._settled()
        after = {stream: self.events(stream)["latest_seq"] for stream in STREAMS}
        yield
        self._settled()
        for stream, wanted in zip(STREAMS, (rooms, bookings), strict=True):
            told = [one for one in self.events(stream, after=after[stream])["results"] if self._is_ours(one, wanted)]
            found = [(one["type"], next(iter(one["meta"]["scope"].values()))) for one in told]
            self.see(found, list(wanted), f"what is told on {stream}")
            for envelope in told:
                self._look_at(stream, envelope)
            self._arrives(stream, told)
        if guest is not None:
            self._guest_hears(guest["booking_id"], guest_told)

    @contextmanager
    def tells_created(self) -> Iterator[None]:
        """Within the block one booking is made, and that is told."""
        told: list[tuple[str, Any]] = []
        before = set(self.own_bookings)
        with self.tells(bookings=told):
            yield
            told += [("booking_created", bid) for bid in self.own_bookings - before]

    def events(self, stream: str, **query: Any) -> dict[str, Any]:
        """The stream's replay."""
        return dict(self.manager.get("events/", query={"channel": stream, **query}))

    def _settled(self) -> None:
        """Until every event that is committed has its number and was sent."""
        for _ in range(500):
            text = requests.get(f"{self.wire.url}/metrics", timeout=10).text
            waiting = [float(number) for number in re.findall(r"^hotelmate_events_waiting\S* (\S+)$", text, re.M)]
            if not waiting:
                time.sleep(0.5)  # only who may read the metrics knows
                return
            if not sum(waiting):
                return
            time.sleep(0.01)

    def _is_ours(self, envelope: dict[str, Any], wanted: Told) -> bool:
        scope = envelope["meta"]["scope"]
        # The worker's round may notice an overdue guest before anybody does something about it.
        if envelope["type"] == "booking_overstay_flagged" and envelope["type"] not in dict(wanted):
            return False
        if scope.get("booking_id") in self.own_bookings:
            return (envelope["type"], scope["booking_id"]) in wanted or not self._is_of_a_mail(envelope)
        return scope.get("room_number") in self.own_rooms

    def _is_of_a_mail(self, envelope: dict[str, Any]) -> bool:
        """Whether the worker has just dropped a mail that the booking had overtaken: it does so when it comes to it."""
        if envelope["type"] != "booking_updated":
            return False
        mails = self.manager.get(f"room-bookings/{envelope['meta']['scope']['booking_id']}/mails/")["results"]
        told = datetime.fromisoformat(envelope["meta"]["ts"])
        dropped = [datetime.fromisoformat(mail["settled_at"]) for mail in mails if mail["state"] == "DROPPED"]
        return any(abs(moment - told) < timedelta(seconds=1) for moment in dropped)

    def _look_at(self, stream: str, envelope: dict[str, Any]) -> None:
        """The envelope and the payload of one event for the staff."""
        where, name = f"{envelope['type']} on {stream}", envelope["type"]
        self.has(envelope["meta"], META, f"{where}, meta")
        self.see(envelope["category"], "rooms" if stream == "rooms" else "room_booking", f"{where}, category")
        self.see(envelope["meta"]["hotel_slug"], self.hotel, f"{where}, meta.hotel_slug")
        payload = envelope["payload"]
        if stream == "rooms":
            self.has(payload, ROOM_UPDATED if name == "room_updated" else ROOM, where)
            if not payload["is_occupied"]:
                self.see({key: payload.get(key, "missing") for key in FORGETS}, FORGETS, f"{where}, nobody in house,")
            elif "primary_guest" in payload:
                self.wire.row.wrong.append(f"{where} has the guests of an occupied room")
        else:
            self.has(payload, ROW, where)

    def _arrives(self, stream: str, told: list[dict[str, Any]]) -> None:
        """Live, on the private channel as it is replayed, on the public one without secrets; in order, each once."""
        ids = [one["meta"]["event_id"] for one in told]
        for channel in (f"private-{self.hotel}.{stream}", f"{self.hotel}.{stream}"):
            if not ids:
                continue
            self.ears.wait_for(channel, ids[-1])
            heard = [one for one in self.ears.on(channel) if one.event_id in ids]
            self.see([one.event_id for one in heard], ids, f"what arrives on {channel}")
            for one, envelope in zip(heard, told, strict=False):
                if channel.startswith("private-"):
                    self.see(one.envelope, envelope, f"{one.name} on {channel}")
                    self.see(one.name, envelope["type"], "Pusher's event name")
                else:
                    self._look_at_public(one, envelope)

    def _look_at_public(self, heard: Heard, envelope: dict[str, Any]) -> None:
        where, public = f"{heard.name} on the public channel", heard.envelope
        wanted = "booking_updated" if envelope["type"] == "booking_no_show" else envelope["type"]
        self.see((heard.name, public["type"]), (wanted, wanted), f"{where}, type")
        for name in ("event_id", "seq", "hotel_slug", "scope", "ts"):
            self.see(public["meta"].get(name), envelope["meta"][name], f"{where}, meta.{name}")
        self.see(set(public["payload"]), set(envelope["payload"]), f"{where}, the payload's fields")
        if "guest_name" in public["payload"]:
            self.see(public["payload"]["guest_name"], "Guest", f"{where}, guest_name")
        self.look_at_public_text(heard)

    def look_at_public_text(self, heard: Heard) -> None:
        """Nothing of a guest, and no note, in whatever form."""
        for secret in (*SECRETS, "@"):
            if secret in heard.text:
                self.wire.row.wrong.append(f"{heard.name} on the public channel says {secret!r}")

    def _guest_hears(self, bid: str, name: str) -> None:
        channel, before = f"private-guest-booking.{bid}", self._guests[bid]
        count = before + bool(name)
        self.ears.wait_for_count(channel, count)
        heard = self.ears.on(channel)[before:]
        self._guests[bid] = before + len(heard)
        self.see([one.name for one in heard], [name] if name else [], f"what the guest of {bid} hears")
        for one in heard:
            self.has(one.envelope["payload"], TO_THE_GUEST, f"{one.name} for the guest")
            self.has(one.envelope["meta"], {**META, "seq": "any"}, f"{one.name} for the guest, meta")
            self.see(one.envelope["meta"]["seq"], None, f"{one.name} for the guest, meta.seq")
            for secret in ("email", "phone_number", "internal_notes", "special_requests"):
                if secret in one.envelope["payload"]:
                    self.wire.row.wrong.append(f"{one.name} for the guest has {secret}")
