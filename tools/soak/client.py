"""``python -m tools.soak.client``: staff at work in all hotels over HTTP until SIGTERM.

They decide by what the API returns, as people do, so that several of these processes often do the same thing; sometimes
two colleagues deliberately do it at the same moment. Each attempt is printed as a line of JSON, an ``Attempt``.
"""

import argparse
import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from operations.replay.records import Outcome, Stay, read_stays
from tools.soak.provider import PREFIX
from tools.soak.timeline import Timeline

TIMEOUT = 30  # seconds for one response: gunicorn's limit for a worker
ATTEMPTS, PAUSE = 8, 0.4  # for one request, and seconds between two of them
SHARE_BY_CARD, SHARE_OF_RETRIES, SHARE_OF_RACES, SHARE_BROKEN = 0.3, 0.15, 0.15, 0.25
LONGEST_STAY = 14
NAMES = (("Aoife", "Byrne"), ("Gráinne", "O’Brien"), ("Bruno", "Brandt"), ("Ana", "Almeida"), ("窓", "山田"))
DIRTY, CLEANING, CLEANED = "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"
READY, FAULTY, BROKEN, TAKEN = "READY_FOR_GUEST", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER", "OCCUPIED"


class Attempt(NamedTuple):
    """One attempt at a request, its outcome, and the facts that the response confirms."""

    started: float  # seconds since 1970
    seconds: float
    hotel: str
    op: str
    status: int  # 0: no response
    code: str = ""
    retry_after: bool = False
    tag: str = ""  # of the request: the same in each attempt, and in the text that the attempt writes
    booking: str = ""
    facts: dict[str, Any] = {}


Json = dict[str, Any]
Job = Callable[["Client", Json], None]


class Client:
    """One process of many staff members."""

    def __init__(self, hotels: Sequence[Json], stays: Sequence[Stay], port: int, name: str, rng: random.Random):
        self._hotels, self._stays, self._port, self._name, self._rng = hotels, stays, port, name, rng
        self._next_stay = self._tags = 0
        self._outcomes: dict[int, Stay] = {stay.number: stay for stay in stays}
        self._timeline = Timeline.from_json(os.environ["SOAK_CLOCK"])
        self._printing = threading.Lock()
        self._known_version: dict[str, int] = {}
        self.stopping = threading.Event()

    def work(self) -> None:
        """Do one random job in a random hotel."""
        jobs, weights = zip(*JOBS, strict=True)
        hotel = self._rng.choice(self._hotels)
        self._rng.choices(jobs, weights)[0](self, hotel)

    # --- requests -----------------------------------------------------------------------------------------------------

    def today(self, hotel: Json) -> date:
        """The hotel's business date, with the default cutoff at two in the morning."""
        local = self._timeline.moment(time.time()).astimezone(ZoneInfo(hotel["timezone"]))
        return (local.replace(tzinfo=None) - timedelta(hours=2)).date()

    def tag(self) -> str:
        """The name of a new request."""
        self._tags += 1
        return f"{self._name}-{self._tags}"

    def attempt(
        self,
        hotel: Json,
        member: str,
        op: str,
        path: str,
        body: Json | None = None,
        *,
        method: str = "POST",
        tag: str = "",
        booking: str = "",
        **headers: str,
    ) -> tuple[int, Json]:
        """Send a request once."""
        started, began = time.time(), time.perf_counter()
        sent = {
            "Authorization": f"Token {hotel['tokens'][member]}",
            "Content-Type": "application/json",
            "Connection": "close",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        status, retry_after = 0, False
        content: Json = {}
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/api/staff/hotel/{hotel['slug']}/{path}", body=text, headers=sent)
            response = connection.getresponse()
            raw = response.read()
            status, retry_after = response.status, bool(response.headers["Retry-After"])
            content = json.loads(raw) if raw else {}
        except (OSError, http.client.HTTPException):
            status = 0
        except ValueError:
            content = {"code": "NO_JSON"}
        finally:
            connection.close()
        attempt = Attempt(
            started,
            time.perf_counter() - began,
            hotel["slug"],
            op,
            status,
            content.get("code", "") if status >= 400 else "",
            retry_after,
            tag,
            booking,
            confirmed_facts(content) if 200 <= status < 300 and method != "GET" else {},
        )
        with self._printing:
            print(json.dumps(attempt), flush=True)
        return status, content

    def request(self, hotel: Json, member: str, op: str, path: str, body: Json | None = None, **more: Any) -> Json:
        """Send a request until it is granted or refused, retrying a missing response, 502 or 503.

        Sometimes a granted request is sent again: a retry must not do it twice.
        """
        started = time.time()
        status = 0
        content: Json = {}
        for number in range(ATTEMPTS):
            if number and time.time() - started > PATIENCE:
                break  # later the server no longer has the key
            status, content = self.attempt(hotel, member, op, path, body, **more)
            if status not in (0, 502, 503) or self.stopping.wait(PAUSE):
                break
        if 200 <= status < 300 and self._rng.random() < SHARE_OF_RETRIES:
            self.attempt(hotel, member, op, path, body, **more)
        return content if 200 <= status < 300 else {}

    def get(self, hotel: Json, path: str, member: str = "manager") -> Any:
        """The body of a GET, or ``{}``."""
        status, content = self.attempt(hotel, member, "get", path, method="GET")
        return content if status == 200 else {}

    def simultaneously(self, *actions: Callable[[], Any]) -> None:
        """Run the actions at the same moment, in threads."""
        barrier = threading.Barrier(len(actions))

        def do(action: Callable[[], Any]) -> None:
            barrier.wait()
            action()

        threads = [threading.Thread(target=do, args=[action]) for action in actions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    # --- reads --------------------------------------------------------------------------------------------------------

    def bookings(self, hotel: Json, query: str) -> list[Json]:
        """A page of bookings, in random order."""
        rows = self.get(hotel, f"room-bookings/?include_counts=0&page_size=25&{query}", "frontdesk").get("results", [])
        self._rng.shuffle(rows)
        return list(rows)

    def rooms(self, hotel: Json, *statuses: str) -> list[Json]:
        """The rooms in these statuses, in random order."""
        board = self.get(hotel, "turnover/rooms/")
        found = [room for status in statuses for room in board.get(status, {}).get("rooms", [])]
        self._rng.shuffle(found)
        return found

    def outcome(self, row: Json) -> Outcome:
        """The outcome of the stay in the real data, whose row number is in the e-mail address."""
        number = row["primary_email"].partition(".")[0].removeprefix("row")
        stay = self._outcomes.get(int(number)) if number.isdigit() else None
        return stay.outcome if stay else Outcome.CHECK_OUT

    # --- front desk ---------------------------------------------------------------------------------------------------

    def book(self, hotel: Json) -> None:
        """Book the next stay of the real data, arriving within two days."""
        stay = self._stays[self._next_stay % len(self._stays)]
        self._next_stay += 1
        tag = self.tag()
        arrival = self.today(hotel) + timedelta(
            days=min((stay.arrival - stay.booked).days, self._rng.choice((0, 1, 2)))
        )
        nights = min((stay.departure - stay.arrival).days, LONGEST_STAY)
        codes = sorted(hotel["types"])
        first, last = self._rng.choice(NAMES)
        body = {
            "room_type_id": hotel["types"][codes[ord(stay.room_type[0]) % len(codes)]],
            "check_in": arrival.isoformat(),
            "check_out": (arrival + timedelta(days=nights)).isoformat(),
            "primary_first_name": first,
            "primary_last_name": last,
            "primary_email": f"row{stay.number}.{tag}@soak.example",
            "adults": stay.adults,
            "children": stay.children,
            "total_amount": str(stay.amount),
            "special_requests": "late arrival",
        }
        if self._rng.random() < SHARE_BY_CARD:
            body |= {"payment_provider": "stripe", "payment_reference": PREFIX + tag}
        self.request(hotel, "frontdesk", "create", "room-bookings/", body, tag=tag, Idempotency_Key=tag)

    def decide(self, hotel: Json) -> None:
        """Approve or decline a booking request; sometimes both at once."""
        for row in self.bookings(hotel, "bucket=pending")[:2]:
            approve = self.booking_action(hotel, row, "approve")
            decline = self.booking_action(hotel, row, "decline", reason="reason_note", reason_code="FULL")
            if self._rng.random() < SHARE_OF_RACES:
                self.simultaneously(approve, self._rng.choice((approve, decline)))
            else:
                self._rng.choices((approve, decline), (6, 1))[0]()

    def handle_arrivals(self, hotel: Json) -> None:
        """Check in, assign, cancel or mark as no-show."""
        query = f"bucket=all&status=CONFIRMED&date_to={self.today(hotel)}&ordering=check_in"
        for row in self.bookings(hotel, self._rng.choice(("bucket=arrivals", query)))[:2]:
            outcome = self.outcome(row)
            if outcome is Outcome.CANCELED and self._rng.random() < 0.7:
                cancel = self.booking_action(hotel, row, "cancel", reason="reason")
                if self._rng.random() < SHARE_OF_RACES:
                    self.simultaneously(cancel, self.booking_action(hotel, row, "check-in"))
                else:
                    cancel()
            elif outcome is Outcome.NO_SHOW and row["check_in"] < self.today(hotel).isoformat():
                self.booking_action(hotel, row, "no-show", reason="reason")()
            elif self._rng.random() < 0.25:
                self.assign(hotel, row)
            else:
                self.check_in(hotel, row)

    def assign(self, hotel: Json, row: Json) -> None:
        """Assign or unassign a room; sometimes two bookings get the same one at once."""
        free = self.get(hotel, f"room-bookings/{row['booking_id']}/available-rooms/").get("available_rooms", [])
        if row["assigned_room_number"] and self._rng.random() < 0.3:
            self.booking_action(hotel, row, "unassign-room")()
        elif free:
            room = self._rng.choice(free)["id"]
            choice: Json = {"room_id": room, "notes": "quiet side"}
            actions = [self.booking_action(hotel, row, "safe-assign-room", **choice)]
            if others := self.bookings(hotel, "bucket=arrivals")[:1]:
                actions.append(self.booking_action(hotel, others[0], "safe-assign-room", **choice))
            self.simultaneously(*actions) if self._rng.random() < SHARE_OF_RACES else actions[0]()

    def check_in(self, hotel: Json, row: Json) -> None:
        """Check in to the assigned room or to a ready one; sometimes two agents choose different rooms."""
        ready = [room for room in self.rooms(hotel, READY) if room["room_type_name"] == row["room_type_name"]]
        member = self._rng.choice(("frontdesk", "manager"))
        more: Json = {"override_reason": f"the guest is here {self.tag()}"} if member == "manager" else {}
        if row["assigned_room_number"] and (self._rng.random() < 0.8 or not ready):
            self.booking_action(hotel, row, "check-in", member=member, **more)()
        elif len(ready) > 1 and self._rng.random() < 2 * SHARE_OF_RACES:
            self.simultaneously(
                *(
                    self.booking_action(hotel, row, "check-in", member=member, room_id=room["id"], **more)
                    for room in ready[:2]
                )
            )
        elif ready:
            self.booking_action(hotel, row, "check-in", member=member, room_id=ready[0]["id"], **more)()

    def check_in_many(self, hotel: Json) -> None:
        """Bulk check-in of the arrivals that have a room."""
        numbers = {row["assigned_room_number"] for row in self.bookings(hotel, "bucket=arrivals&assigned=true")}
        if rooms := [room["id"] for room in self.rooms(hotel, READY) if room["room_number"] in numbers]:
            self.attempt(hotel, "manager", "bulk check-in", "rooms/checkin/", {"room_ids": rooms})

    def handle_departures(self, hotel: Json) -> None:
        """Check out, sometimes while the guest is moved, or extend the stay."""
        leaving = self.bookings(hotel, self._rng.choice(("bucket=departures", "bucket=overdue_checkout")))
        rows = leaving or self.bookings(hotel, "bucket=in_house")[:1]
        for row in rows[:3]:
            out = self.booking_action(hotel, row, "check-out")
            if self._rng.random() < 0.8:
                actions = [out, self._rng.choice((out, self.move(hotel, row)))]
                self.simultaneously(*actions) if self._rng.random() < SHARE_OF_RACES else out()
            else:
                self.extend_stay(hotel, row)

    def extend_stay(self, hotel: Json, row: Json) -> None:
        """Extend the stay under an Idempotency-Key; sometimes acknowledge the overstay."""
        nights: Json = {"add_nights": self._rng.randint(1, 2)}
        if self._rng.random() < 0.3:
            self.booking_action(
                hotel, row, "overstay/extend", member="manager", key=True, reason="override_reason", **nights
            )()
        else:
            self.booking_action(hotel, row, "overstay/extend", key=True, **nights)()
        if self._rng.random() < 0.3:
            self.booking_action(hotel, row, "overstay/acknowledge", note="waits for a taxi")()

    def move(self, hotel: Json, row: Json) -> Callable[[], Any]:
        """An action that moves the guest to a ready room."""
        ready = self.rooms(hotel, READY)
        room = ready[0]["id"] if ready else 1
        return self.booking_action(hotel, row, "move-room", reason="reason", to_room_id=room)

    def disturb_stays(self, hotel: Json) -> None:
        """Move an in-house guest, undo the check-in, or end the stay."""
        for row in self.bookings(hotel, "bucket=in_house")[:1]:
            dice = self._rng.random()
            if dice < 0.6:
                move = self.move(hotel, row)
                self.simultaneously(move, self.move(hotel, row)) if self._rng.random() < SHARE_OF_RACES else move()
            elif dice < 0.85:
                self.booking_action(hotel, row, "undo-check-in", member="manager", reason="reason")()
            else:
                self.booking_action(hotel, row, "cancel", member="manager", reason="reason")()

    def check_out_many(self, hotel: Json) -> None:
        """Bulk check-out of the overdue guests."""
        numbers = {row["room_number"] for row in self.bookings(hotel, "bucket=overdue_checkout")}
        if rooms := [room["id"] for room in self.rooms(hotel, TAKEN, FAULTY) if room["room_number"] in numbers]:
            self.attempt(hotel, "manager", "bulk check-out", "rooms/checkout/", {"room_ids": rooms[:10]})

    def reinstate(self, hotel: Json) -> None:
        """Reinstate a cancelled booking or a no-show."""
        for row in self.bookings(hotel, "bucket=all&status=CANCELLED,NO_SHOW&ordering=-updated_at")[:1]:
            self.booking_action(hotel, row, "reinstate", member="manager", reason="reason")()

    def mark_no_shows(self, hotel: Json) -> None:
        """Mark bookings as no-show whose stay is over."""
        query = "bucket=all&status=CONFIRMED&ordering=check_in"
        for row in self.bookings(hotel, query)[:3]:
            if row["check_out"] <= self.today(hotel).isoformat():
                self.booking_action(hotel, row, "no-show", reason="reason")()

    def edit(self, hotel: Json) -> None:
        """Edit a note or the companions, or mark a booking as seen."""
        for row in self.bookings(hotel, "bucket=all&ordering=-updated_at")[:1]:
            bid, dice = row["booking_id"], self._rng.random()
            if dice < 0.6:
                detail, tag = self.get(hotel, f"room-bookings/{bid}/", "frontdesk"), self.tag()
                headers = {"If_Match": f'"{detail["version"]}"'} if detail and self._rng.random() < 0.5 else {}
                body = {"internal_notes": f"asked for a cot {tag}"}
                path = f"room-bookings/{bid}/"
                self.attempt(hotel, "frontdesk", "edit", path, body, method="PATCH", tag=tag, booking=bid, **headers)
            elif dice < 0.8:
                self.booking_action(hotel, row, "mark-seen")()
            else:
                party: Json = {"companions": [{"first_name": "Ada", "last_name": f"No {self._tags}"}]}
                self.attempt(hotel, "frontdesk", "party", f"room-bookings/{bid}/party/companions/", party, method="PUT")

    def booking_action(
        self,
        hotel: Json,
        row: Json,
        name: str,
        *,
        member: str = "frontdesk",
        reason: str = "",
        key: bool = False,
        **body: Any,
    ) -> Callable[[], Any]:
        """A booking action to call; ``reason`` names the field that gets the request's tag."""
        bid, tag = row["booking_id"], self.tag()
        if reason:
            body[reason] = f"because {tag}"
        headers = {"Idempotency_Key": tag} if key else {}
        path = f"room-bookings/{bid}/{name}/"
        return lambda: self.request(hotel, member, name, path, body, tag=tag, booking=bid, **headers)

    # --- housekeeping -------------------------------------------------------------------------------------------------

    def clean(self, hotel: Json) -> None:
        """Take a few rooms to the next status."""
        for room in self.rooms(hotel, DIRTY, CLEANING, CLEANED)[:4]:
            if room["room_status"] == CLEANED:
                passed = self._rng.random() < 0.93
                self.turnover_action(hotel, room, "inspect", "supervisor", passed=passed)
            elif room["room_status"] == CLEANING:
                self.turnover_action(hotel, room, "mark-cleaned", "housekeeper")
            elif self._rng.random() < SHARE_OF_RACES:
                self.simultaneously(
                    lambda room=room: self.turnover_action(hotel, room, "start-cleaning", "housekeeper"),  # type: ignore[misc]
                    lambda room=room: self.turnover_action(hotel, room, "start-cleaning", "housekeeper2"),  # type: ignore[misc]
                )
            else:
                self.turnover_action(hotel, room, "start-cleaning", "housekeeper")

    def handle_faults(self, hotel: Json) -> None:
        """Report, escalate or repair a fault."""
        if faulty := self.rooms(hotel, FAULTY, BROKEN)[:2]:
            for room in faulty:
                if room["room_status"] == BROKEN:
                    self.set_status(hotel, room, DIRTY, "manager")
                elif self._rng.random() < SHARE_BROKEN:
                    self.take_out_of_order(hotel, room)
                else:
                    self.turnover_action(hotel, room, "complete-maintenance", "supervisor")
        elif rooms := self.rooms(hotel, READY, DIRTY, TAKEN)[:1]:
            self.turnover_action(
                hotel, rooms[0], "mark-maintenance", "housekeeper", priority=self._rng.choice(("LOW", "HIGH"))
            )

    def take_out_of_order(self, hotel: Json, room: Json) -> None:
        """Take a room out of order; sometimes a manager forces it although bookings need the room."""
        self.set_status(hotel, room, BROKEN, "supervisor")
        if self._rng.random() < 0.5:
            body = {"to_status": BROKEN, "note": "beyond repair", "force": True}  # the note can be in several histories
            self.attempt(hotel, "manager", "forced out of order", f"rooms/{room['id']}/status/", body)

    def turnover_action(self, hotel: Json, room: Json, action: str, member: str, **body: Any) -> None:
        """Perform a turnover action on a room."""
        tag = self.tag()
        path = f"rooms/{room['room_number']}/{action}/"
        self.attempt(hotel, member, action, path, {"notes": f"noted {tag}", **body}, tag=tag)

    def change_status(self, hotel: Json) -> None:
        """Set a status as a manager, or override one."""
        for room in self.rooms(hotel, READY, DIRTY, CLEANED, BROKEN)[:1]:
            if self._rng.random() < 0.3:
                tag, to_status = self.tag(), self._rng.choice((DIRTY, READY, CLEANED))
                path = f"housekeeping/rooms/{room['id']}/manager_override/"
                body = {"to_status": to_status, "note": f"manager override {tag}"}
                self.attempt(hotel, "manager", "override", path, body, tag=tag)
            else:
                choices = [status for status in room["allowed_transitions"] if status not in (TAKEN, FAULTY, BROKEN)]
                self.set_status(hotel, room, self._rng.choice(choices or [DIRTY]), "manager")

    def set_status(self, hotel: Json, room: Json, to_status: str, member: str) -> None:
        """Set a status, sometimes with ``expected_status`` or If-Match."""
        tag = self.tag()
        body = {"to_status": to_status, "note": f"noted {tag}"}
        headers = {}
        condition = self._rng.random()
        if condition < 0.3:
            body["expected_status"] = room["room_status"]
        elif condition < 0.6:
            headers["If_Match"] = f'"{room["status_version"]}"'
        self.request(hotel, member, "status", f"rooms/{room['id']}/status/", body, tag=tag, **headers)

    def do_tasks(self, hotel: Json) -> None:
        """Create, assign, start, complete or cancel tasks."""
        page = self.get(hotel, f"housekeeping/tasks/?status={self._rng.choice(('OPEN', 'IN_PROGRESS'))}&page_size=20")
        for task in self._rng.sample(page.get("results", []), min(2, len(page.get("results", [])))):
            if task["status"] == "IN_PROGRESS":
                action, member = "complete", "housekeeper"
            else:
                action, member = self._rng.choice(
                    (("start", "housekeeper"), ("assign", "manager"), ("cancel", "manager"))
                )
            body = {"assigned_to_id": hotel["staff"]["housekeeper"]} if action == "assign" else {}
            self.attempt(hotel, member, f"task {action}", f"housekeeping/tasks/{task['id']}/{action}/", body)
        if self._rng.random() < 0.2 and (rooms := self.rooms(hotel, TAKEN)[:1]):
            body = {"room": rooms[0]["id"], "task_type": "AMENITY", "priority": "LOW", "note": "towels"}
            self.attempt(hotel, "frontdesk", "task create", "housekeeping/tasks/", body)

    def read_pages(self, hotel: Json) -> None:
        """Read the pages that clients load."""
        for path in ("housekeeping/dashboard/", "turnover/stats/", "me/", "room-bookings/"):
            self.get(hotel, path)


PATIENCE = 25.0  # seconds; the server keeps an Idempotency-Key for longer
JOBS: tuple[tuple[Job, int], ...] = (
    (Client.book, 20),
    (Client.decide, 10),
    (Client.handle_arrivals, 22),
    (Client.check_in_many, 3),
    (Client.handle_departures, 18),
    (Client.check_out_many, 3),
    (Client.disturb_stays, 5),
    (Client.reinstate, 3),
    (Client.mark_no_shows, 4),
    (Client.edit, 8),
    (Client.clean, 26),
    (Client.handle_faults, 5),
    (Client.change_status, 5),
    (Client.do_tasks, 6),
    (Client.read_pages, 4),
)
# The fields kept of a booking in a response.
KEPT = ("booking_id", "status", "version", "checked_in_at", "checked_out_at", "room_assigned_at", "decision_at")


def confirmed_facts(content: Any) -> Json:
    """The facts that the response to a granted request confirms."""
    if not isinstance(content, dict):
        return {}
    facts: Json = {}
    detail = content.get("booking") if isinstance(content.get("booking"), dict) else content
    if isinstance(detail, dict) and "booking_id" in detail:
        facts |= {name: detail[name] for name in KEPT if name in detail}
    if "cancellation_reason" in content:
        facts["reason"] = content["cancellation_reason"]
    if event := content.get("status_event"):
        facts |= {"event": event["id"], "to_status": event["to_status"], "version": content["room"]["status_version"]}
    if "task_type" in content:
        facts |= {"task": content["id"], "task_status": content["status"]}
    for name in ("checked_in_bookings", "checked_out_bookings"):
        if name in content.get("results", {}):
            rows = content["results"][name]
            facts["bookings"] = [row if isinstance(row, str) else row["booking_id"] for row in rows]
    return facts


def main() -> None:
    """Work until SIGTERM, and finish the current request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hotels", type=Path)
    parser.add_argument("stays", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--place", type=int, required=True, help="index of this client, from 0")
    parser.add_argument("--clients", type=int, required=True, help="number of clients")
    parser.add_argument("--rest", type=float, required=True, help="seconds between two jobs, on average")
    options = parser.parse_args()
    rng = random.Random(f"{options.seed}.{options.place}")
    stays = list(read_stays(options.stays))
    mine = stays[options.place :: options.clients]
    rng.shuffle(mine)
    client = Client(json.loads(options.hotels.read_text()), mine, options.port, f"c{options.place}", rng)
    client._outcomes = {stay.number: stay for stay in stays}
    signal.signal(signal.SIGTERM, lambda *_: client.stopping.set())
    while not client.stopping.wait(rng.expovariate(1 / options.rest)):
        client.work()


if __name__ == "__main__":
    main()
