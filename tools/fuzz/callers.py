"""The callers (each role by token, the manager by session, a guest, anonymous), and the ids that they can use."""

import random
from collections.abc import Mapping, MutableMapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import requests

from local import LocalError
from tools.harness.throwaway import HotelMate
from tools.harness.two_hotels import OTHER, SLUG

TIMEOUT = 30
ROLES = ("manager", "supervisor", "housekeeper", "frontdesk", "frontoffice")
# How often a generated value is replaced by an existing one: unknown ids are refused before the rest is read.
REAL_PATH, REAL_FIELD, REAL_HOTEL = 0.85, 0.6, 0.9
NAMES = {
    "rid": "room",
    "room_id": "room",
    "to_room_id": "room",
    "rno": "number",
    "room_number": "number",
    "bid": "booking",
    "booking": "booking",
    "room_type": "type",
    "room_type_id": "type",
    "assigned_to": "staff",
    "assigned_to_id": "staff",
    "seen_by_staff_id": "staff",
}
# The number of new stays of each kind, while there are rooms for them.
STAYS = 3


class Caller:
    """A caller, identified by ``headers`` and ``cookies``."""

    def __init__(self, name: str, url: str, password: str) -> None:
        self.name, self.url, self.password = name, url, password
        self.headers: dict[str, str] = {}
        self.cookies: dict[str, str] = {}

    @property
    def is_known(self) -> bool:
        """Whether the caller is staff of the hotel."""
        return self.name not in ("anonymous", "guest")

    def sign_in(self) -> None:
        """Get a new token or session."""
        if self.name in ROLES:
            credentials = {"username": f"{SLUG}-{self.name}", "password": self.password}
            response = requests.post(f"{self.url}/api/staff/login/", json=credentials, timeout=TIMEOUT)
            if response.status_code != 200:
                raise LocalError(f"{self.name} cannot sign in: {response.status_code} {response.text:.300}")
            self.headers = {"Authorization": f"Token {response.json()['token']}"}
        elif self.name == "session":
            self._begin_session()

    def _begin_session(self) -> None:
        page, browser = f"{self.url}/admin/login/?next=/admin/", requests.Session()
        cookies: Any = browser.cookies
        browser.get(page, timeout=TIMEOUT)
        form = {"username": f"{SLUG}-manager", "password": self.password}
        form["csrfmiddlewaretoken"] = cookies["csrftoken"]
        browser.post(page, data=form, timeout=TIMEOUT, allow_redirects=False)
        if "sessionid" not in cookies:
            raise LocalError("The manager cannot sign in to the admin.")
        self.cookies = {name: cookies[name] for name in ("sessionid", "csrftoken")}
        self.headers = {"X-CSRFToken": self.cookies["csrftoken"]}


def callers(hotelmate: HotelMate) -> list[Caller]:
    """All callers, signed in."""
    everybody = [Caller(name, hotelmate.url, hotelmate.password) for name in (*ROLES, "session", "guest", "anonymous")]
    for caller in everybody:
        caller.sign_in()
    return everybody


class KnownIds:
    """The existing ids, by hotel; also makes new bookings while the fuzzing cancels and closes everything."""

    def __init__(self, hotelmate: HotelMate, manager: Caller, guest: Caller) -> None:
        self._hotelmate, self._manager, self._guest = hotelmate, manager, guest
        self.known: dict[str, dict[str, list[Any]]] = {}

    def read(self) -> None:
        """Read the ids from the database."""
        statements = {
            "room": "SELECT id FROM rooms_room WHERE hotel_id = %s",
            "number": "SELECT number FROM rooms_room WHERE hotel_id = %s",
            "type": "SELECT id FROM rooms_roomtype WHERE hotel_id = %s",
            "booking": "SELECT booking_id FROM room_bookings_roombooking WHERE hotel_id = %s ORDER BY id DESC LIMIT 60",
            "task": "SELECT id FROM housekeeping_housekeepingtask WHERE hotel_id = %s ORDER BY id DESC LIMIT 40",
            "staff": "SELECT id FROM hotel_staff WHERE hotel_id = %s",
        }
        with closing(psycopg2.connect(self._hotelmate.database_url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT slug, id FROM hotel_hotel")
            for slug, pk in cursor.fetchall():
                self.known[slug] = {}
                for kind, statement in statements.items():
                    cursor.execute(statement, [pk])
                    self.known[slug][kind] = [row[0] for row in cursor.fetchall()]

    def refill(self) -> None:
        """Reopen what was closed, and add arrivals and in-house guests; ignore refusals."""
        self.read()
        now = datetime.now(UTC)
        rules = {"timezone": "Etc/GMT", "early_checkin_from": "00:00", "late_arrival_cutoff": "00:00"}
        self._send("PATCH", "access-config/", {**rules, "require_complete_party": False})
        for pk in self.known[SLUG]["type"]:
            self._send("PATCH", f"room-types/{pk}/", {"is_active": True, "max_occupancy": 4})
        for pk in self.known[SLUG]["room"][:8]:
            self._send("PATCH", f"room-management/{pk}/", {"is_active": True})
            ready = {"to_status": "READY_FOR_GUEST", "note": "open again"}
            self._send("POST", f"housekeeping/rooms/{pk}/manager_override/", ready)
        dates = {"check_in": now.date().isoformat(), "check_out": (now.date() + timedelta(days=2)).isoformat()}
        for number in range(STAYS * 2):
            guest = {"primary_first_name": "Ada", "primary_last_name": "Byron", "adults": 1, **dates}
            made = self._send("POST", "room-bookings/", {**guest, "room_type_id": self.known[SLUG]["type"][0]})
            if made.status_code != 201:
                continue
            booking = made.json()
            self._guest.headers = {"Authorization": f"GuestToken {booking['guest_token']}"}
            for pk in self.known[SLUG]["room"]:
                path = f"room-bookings/{booking['booking_id']}"
                if self._send("POST", f"{path}/safe-assign-room/", {"room_id": pk}).status_code == 200:
                    if number % 2:
                        self._send("POST", f"{path}/check-in/", {"override_reason": "early"})
                    break
        self.read()

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> requests.Response:
        return requests.request(
            method,
            f"{self._hotelmate.url}/api/staff/hotel/{SLUG}/{path}",
            json=body,
            headers=self._manager.headers,
            timeout=TIMEOUT,
        )

    def with_real_path(self, path: str, values: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
        """The parameters of a path, most of them replaced by existing ones."""
        values = dict(values)
        if "slug" in values and rng.random() < REAL_HOTEL:
            values["slug"] = SLUG if rng.random() < REAL_HOTEL else OTHER
        known = self.known.get(str(values.get("slug")), self.known[SLUG])
        for name in values:
            kind = NAMES.get(name, "")
            if name == "id":
                kind = "type" if "/room-types/" in path else "task"
            elif name == "room":
                kind = rng.choice(("room", "number"))
            if known.get(kind) and rng.random() < REAL_PATH:
                values[name] = rng.choice(known[kind])
        return values

    def fill_in(self, fields: MutableMapping[str, Any], rng: random.Random) -> None:
        """Replace some fields by existing values."""
        known, today = self.known[SLUG], datetime.now(UTC).date()
        for name in list(fields):
            if rng.random() > REAL_FIELD:
                continue
            kind = NAMES.get(name, "room" if name == "room" else "")
            if known.get(kind):
                fields[name] = rng.choice(known[kind])
            elif name == "room_ids":
                fields[name] = rng.sample(known["room"], k=min(len(known["room"]), rng.randrange(1, 4)))
            elif name in ("check_in", "date_from", "from"):
                fields[name] = (today + timedelta(days=rng.randrange(-1, 5))).isoformat()
            elif name in ("check_out", "date_to", "to", "new_checkout_date"):
                fields[name] = (today + timedelta(days=rng.randrange(0, 9))).isoformat()
            elif name == "channel":
                fields[name] = rng.choice(("rooms", "room-bookings"))
            elif name == "channel_name":
                channels = [f"private-{SLUG}.rooms", f"private-{SLUG}.room-bookings", f"private-{OTHER}.rooms"]
                channels += [f"private-guest-booking.{bid}" for bid in known["booking"][:5]]
                fields[name] = rng.choice(channels)
            elif name == "socket_id":
                fields[name] = f"{rng.randrange(10**9)}.{rng.randrange(10**9)}"
            elif name == "username":
                fields[name] = f"{SLUG}-{rng.choice(ROLES)}"
