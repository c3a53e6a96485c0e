"""``python -m tools.soak.client``: people at work in all hotels over HTTP until SIGTERM: desk, housekeeping, managers.

They decide by what the API shows them, as people do, so that several of these processes often want the same thing;
some of the time two colleagues do it at the very same moment on purpose. Each request is printed as a line of JSON, the
values of an ``Asked``, with what its answer promised.
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

TIMEOUT = 30  # seconds for one answer, as long as gunicorn gives a worker
TRIES, PAUSE = 8, 0.4  # of one wish, and seconds between two of them
SHARE_BY_CARD, SHARE_OF_REPEATS, SHARE_OF_DUELS, SHARE_BROKEN = 0.3, 0.15, 0.15, 0.25
LONGEST_STAY = 14
NAMES = (("Aoife", "Byrne"), ("Gráinne", "O’Brien"), ("Bruno", "Brandt"), ("Ana", "Almeida"), ("窓", "山田"))
DIRTY, CLEANING, CLEANED = "CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"
READY, FAULTY, BROKEN, TAKEN = "READY_FOR_GUEST", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER", "OCCUPIED"


class Asked(NamedTuple):
    """One request, how it was answered, and what the answer promises."""

    started: float  # seconds since 1970
    seconds: float
    hotel: str
    op: str
    status: int  # 0: no answer
    code: str = ""
    retry_after: bool = False
    tag: str = ""  # of the wish: the same in each try, and in what the try writes
    booking: str = ""
    facts: dict[str, Any] = {}


Answer = dict[str, Any]
Job = Callable[["Client", Answer], None]


class Client:
    """One process full of people."""

    def __init__(self, hotels: Sequence[Answer], stays: Sequence[Stay], port: int, name: str, rng: random.Random):
        self._hotels, self._stays, self._port, self._name, self._rng = hotels, stays, port, name, rng
        self._next_stay = self._wishes = 0
        self._outcomes: dict[int, Stay] = {stay.number: stay for stay in stays}
        self._timeline = Timeline.from_json(os.environ["SOAK_CLOCK"])
        self._printing = threading.Lock()
        self._known_version: dict[str, int] = {}
        self.stopping = threading.Event()

    def work(self) -> None:
        """One thing, somewhere."""
        jobs, weights = zip(*JOBS, strict=True)
        hotel = self._rng.choice(self._hotels)
        self._rng.choices(jobs, weights)[0](self, hotel)

    # --- asking -------------------------------------------------------------------------------------------------------

    def today(self, hotel: Answer) -> date:
        """The hotel's business day, with the usual cutoff at two in the morning."""
        wall = self._timeline.moment(time.time()).astimezone(ZoneInfo(hotel["timezone"]))
        return (wall.replace(tzinfo=None) - timedelta(hours=2)).date()

    def tag(self) -> str:
        """The name of a new wish."""
        self._wishes += 1
        return f"{self._name}-{self._wishes}"

    def ask(
        self,
        hotel: Answer,
        who: str,
        op: str,
        path: str,
        body: Answer | None = None,
        *,
        method: str = "POST",
        tag: str = "",
        booking: str = "",
        **headers: str,
    ) -> tuple[int, Answer]:
        """One try."""
        started, began = time.time(), time.perf_counter()
        sent = {
            "Authorization": f"Token {hotel['tokens'][who]}",
            "Content-Type": "application/json",
            "Connection": "close",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        status, retry_after = 0, False
        answer: Answer = {}
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/api/staff/hotel/{hotel['slug']}/{path}", body=text, headers=sent)
            response = connection.getresponse()
            content = response.read()
            status, retry_after = response.status, bool(response.headers["Retry-After"])
            answer = json.loads(content) if content else {}
        except (OSError, http.client.HTTPException):
            status = 0
        except ValueError:
            answer = {"code": "NO_JSON"}
        finally:
            connection.close()
        asked = Asked(
            started,
            time.perf_counter() - began,
            hotel["slug"],
            op,
            status,
            answer.get("code", "") if status >= 400 else "",
            retry_after,
            tag,
            booking,
            promised(answer) if 200 <= status < 300 and method != "GET" else {},
        )
        with self._printing:
            print(json.dumps(asked), flush=True)
        return status, answer

    def wish(self, hotel: Answer, who: str, op: str, path: str, body: Answer | None = None, **more: Any) -> Answer:
        """Try until it is granted or refused, as a client does that was not answered or told to come back.

        Some of the time once more: whoever repeats a request must not have it done twice.
        """
        started = time.time()
        status = 0
        answer: Answer = {}
        for number in range(TRIES):
            if number and time.time() - started > PATIENCE:
                break  # later the house no longer knows the key
            status, answer = self.ask(hotel, who, op, path, body, **more)
            if status not in (0, 502, 503) or self.stopping.wait(PAUSE):
                break
        if 200 <= status < 300 and self._rng.random() < SHARE_OF_REPEATS:
            self.ask(hotel, who, op, path, body, **more)
        return answer if 200 <= status < 300 else {}

    def look(self, hotel: Answer, path: str, who: str = "manager") -> Any:
        """What the API shows, or nothing."""
        status, answer = self.ask(hotel, who, "look", path, method="GET")
        return answer if status == 200 else {}

    def together(self, *deeds: Callable[[], Any]) -> None:
        """Two colleagues at the same moment."""
        ready = threading.Barrier(len(deeds))

        def do(deed: Callable[[], Any]) -> None:
            ready.wait()
            deed()

        threads = [threading.Thread(target=do, args=[deed]) for deed in deeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    # --- what people see ----------------------------------------------------------------------------------------------

    def bookings(self, hotel: Answer, query: str) -> list[Answer]:
        """Some bookings of the list, the first of them at random."""
        rows = self.look(hotel, f"room-bookings/?include_counts=0&page_size=25&{query}", "frontdesk").get("results", [])
        self._rng.shuffle(rows)
        return list(rows)

    def rooms(self, hotel: Answer, *statuses: str) -> list[Answer]:
        """The rooms in these statuses, in no order."""
        board = self.look(hotel, "turnover/rooms/")
        found = [room for status in statuses for room in board.get(status, {}).get("rooms", [])]
        self._rng.shuffle(found)
        return found

    def outcome(self, row: Answer) -> Outcome:
        """What became of the guest in the real data: the address says which row of it this is."""
        number = row["primary_email"].partition(".")[0].removeprefix("row")
        stay = self._outcomes.get(int(number)) if number.isdigit() else None
        return stay.outcome if stay else Outcome.CHECK_OUT

    # --- the desk -----------------------------------------------------------------------------------------------------

    def book(self, hotel: Answer) -> None:
        """The next stay of the real data, which begins today or soon."""
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
        self.wish(hotel, "frontdesk", "create", "room-bookings/", body, tag=tag, Idempotency_Key=tag)

    def decide(self, hotel: Answer) -> None:
        """Approve or decline a request; some of the time both."""
        for row in self.bookings(hotel, "bucket=pending")[:2]:
            approve = self.step(hotel, row, "approve")
            decline = self.step(hotel, row, "decline", reason="reason_note", reason_code="FULL")
            if self._rng.random() < SHARE_OF_DUELS:
                self.together(approve, self._rng.choice((approve, decline)))
            else:
                self._rng.choices((approve, decline), (6, 1))[0]()

    def receive(self, hotel: Answer) -> None:
        """An arrival: into a room, or what else became of it."""
        query = f"bucket=all&status=CONFIRMED&date_to={self.today(hotel)}&ordering=check_in"
        for row in self.bookings(hotel, self._rng.choice(("bucket=arrivals", query)))[:2]:
            outcome = self.outcome(row)
            if outcome is Outcome.CANCELED and self._rng.random() < 0.7:
                cancel = self.step(hotel, row, "cancel", reason="reason")
                if self._rng.random() < SHARE_OF_DUELS:
                    self.together(cancel, self.step(hotel, row, "check-in"))
                else:
                    cancel()
            elif outcome is Outcome.NO_SHOW and row["check_in"] < self.today(hotel).isoformat():
                self.step(hotel, row, "no-show", reason="reason")()
            elif self._rng.random() < 0.25:
                self.assign(hotel, row)
            else:
                self.check_in(hotel, row)

    def assign(self, hotel: Answer, row: Answer) -> None:
        """Give a room, or take it back; now and then two bookings want the same one."""
        free = self.look(hotel, f"room-bookings/{row['booking_id']}/available-rooms/").get("available_rooms", [])
        if row["assigned_room_number"] and self._rng.random() < 0.3:
            self.step(hotel, row, "unassign-room")()
        elif free:
            room = self._rng.choice(free)["id"]
            wanted: Answer = {"room_id": room, "notes": "quiet side"}
            deeds = [self.step(hotel, row, "safe-assign-room", **wanted)]
            if others := self.bookings(hotel, "bucket=arrivals")[:1]:
                deeds.append(self.step(hotel, others[0], "safe-assign-room", **wanted))
            self.together(*deeds) if self._rng.random() < SHARE_OF_DUELS else deeds[0]()

    def check_in(self, hotel: Answer, row: Answer) -> None:
        """Into the assigned room, or into one that is ready; two clerks may each have another in mind."""
        ready = [room for room in self.rooms(hotel, READY) if room["room_type_name"] == row["room_type_name"]]
        who = self._rng.choice(("frontdesk", "manager"))
        more: Answer = {"override_reason": f"the guest is here {self.tag()}"} if who == "manager" else {}
        if row["assigned_room_number"] and (self._rng.random() < 0.8 or not ready):
            self.step(hotel, row, "check-in", who=who, **more)()
        elif len(ready) > 1 and self._rng.random() < 2 * SHARE_OF_DUELS:
            self.together(
                *(self.step(hotel, row, "check-in", who=who, room_id=room["id"], **more) for room in ready[:2])
            )
        elif ready:
            self.step(hotel, row, "check-in", who=who, room_id=ready[0]["id"], **more)()

    def receive_many(self, hotel: Answer) -> None:
        """All who have their room by now."""
        numbers = {row["assigned_room_number"] for row in self.bookings(hotel, "bucket=arrivals&assigned=true")}
        if rooms := [room["id"] for room in self.rooms(hotel, READY) if room["room_number"] in numbers]:
            self.ask(hotel, "manager", "bulk check-in", "rooms/checkin/", {"room_ids": rooms})

    def say_goodbye(self, hotel: Answer) -> None:
        """A departure, or a guest who stays on, moves, or should never have been checked in."""
        leaving = self.bookings(hotel, self._rng.choice(("bucket=departures", "bucket=overdue_checkout")))
        rows = leaving or self.bookings(hotel, "bucket=in_house")[:1]
        for row in rows[:3]:
            out = self.step(hotel, row, "check-out")
            if self._rng.random() < 0.8:
                deeds = [out, self._rng.choice((out, self.move(hotel, row)))]
                self.together(*deeds) if self._rng.random() < SHARE_OF_DUELS else out()
            else:
                self.stay_on(hotel, row)

    def stay_on(self, hotel: Answer, row: Answer) -> None:
        """Extended, once whatever is repeated, or the overstay is acknowledged."""
        nights: Answer = {"add_nights": self._rng.randint(1, 2)}
        if self._rng.random() < 0.3:
            self.step(hotel, row, "overstay/extend", who="manager", key=True, reason="override_reason", **nights)()
        else:
            self.step(hotel, row, "overstay/extend", key=True, **nights)()
        if self._rng.random() < 0.3:
            self.step(hotel, row, "overstay/acknowledge", note="waits for a taxi")()

    def move(self, hotel: Answer, row: Answer) -> Callable[[], Any]:
        """The deed of moving somebody into a room that is ready."""
        ready = self.rooms(hotel, READY)
        room = ready[0]["id"] if ready else 1
        return self.step(hotel, row, "move-room", reason="reason", to_room_id=room)

    def disturb(self, hotel: Answer) -> None:
        """Of the guests in house one moves, one is put back before the door, one is sent away."""
        for row in self.bookings(hotel, "bucket=in_house")[:1]:
            deed = self._rng.random()
            if deed < 0.6:
                move = self.move(hotel, row)
                self.together(move, self.move(hotel, row)) if self._rng.random() < SHARE_OF_DUELS else move()
            elif deed < 0.85:
                self.step(hotel, row, "undo-check-in", who="manager", reason="reason")()
            else:
                self.step(hotel, row, "cancel", who="manager", reason="reason")()

    def say_goodbye_to_many(self, hotel: Answer) -> None:
        """Whoever is overdue, all at once."""
        numbers = {row["room_number"] for row in self.bookings(hotel, "bucket=overdue_checkout")}
        if rooms := [room["id"] for room in self.rooms(hotel, TAKEN, FAULTY) if room["room_number"] in numbers]:
            self.ask(hotel, "manager", "bulk check-out", "rooms/checkout/", {"room_ids": rooms[:10]})

    def take_back(self, hotel: Answer) -> None:
        """A cancellation or a no-show was a mistake."""
        for row in self.bookings(hotel, "bucket=all&status=CANCELLED,NO_SHOW&ordering=-updated_at")[:1]:
            self.step(hotel, row, "reinstate", who="manager", reason="reason")()

    def give_up(self, hotel: Answer) -> None:
        """Whoever should have come by now."""
        query = "bucket=all&status=CONFIRMED&ordering=check_in"
        for row in self.bookings(hotel, query)[:3]:
            if row["check_out"] <= self.today(hotel).isoformat():
                self.step(hotel, row, "no-show", reason="reason")()

    def edit(self, hotel: Answer) -> None:
        """A note, who comes along, who has seen it."""
        for row in self.bookings(hotel, "bucket=all&ordering=-updated_at")[:1]:
            bid, deed = row["booking_id"], self._rng.random()
            if deed < 0.6:
                detail, tag = self.look(hotel, f"room-bookings/{bid}/", "frontdesk"), self.tag()
                headers = {"If_Match": f'"{detail["version"]}"'} if detail and self._rng.random() < 0.5 else {}
                body = {"internal_notes": f"asked for a cot {tag}"}
                path = f"room-bookings/{bid}/"
                self.ask(hotel, "frontdesk", "edit", path, body, method="PATCH", tag=tag, booking=bid, **headers)
            elif deed < 0.8:
                self.step(hotel, row, "mark-seen")()
            else:
                party: Answer = {"companions": [{"first_name": "Ada", "last_name": f"No {self._wishes}"}]}
                self.ask(hotel, "frontdesk", "party", f"room-bookings/{bid}/party/companions/", party, method="PUT")

    def step(
        self,
        hotel: Answer,
        row: Answer,
        step: str,
        *,
        who: str = "frontdesk",
        reason: str = "",
        key: bool = False,
        **body: Any,
    ) -> Callable[[], Any]:
        """The deed of a step in a booking's life; ``reason`` names the field into which the wish's tag goes."""
        bid, tag = row["booking_id"], self.tag()
        if reason:
            body[reason] = f"because {tag}"
        headers = {"Idempotency_Key": tag} if key else {}
        path = f"room-bookings/{bid}/{step}/"
        return lambda: self.wish(hotel, who, step, path, body, tag=tag, booking=bid, **headers)

    # --- housekeeping -------------------------------------------------------------------------------------------------

    def clean(self, hotel: Answer) -> None:
        """The next step of a few rooms."""
        for room in self.rooms(hotel, DIRTY, CLEANING, CLEANED)[:4]:
            if room["room_status"] == CLEANED:
                passed = self._rng.random() < 0.93
                self.turn(hotel, room, "inspect", "supervisor", passed=passed)
            elif room["room_status"] == CLEANING:
                self.turn(hotel, room, "mark-cleaned", "housekeeper")
            elif self._rng.random() < SHARE_OF_DUELS:
                self.together(
                    lambda room=room: self.turn(hotel, room, "start-cleaning", "housekeeper"),  # type: ignore[misc]
                    lambda room=room: self.turn(hotel, room, "start-cleaning", "housekeeper2"),  # type: ignore[misc]
                )
            else:
                self.turn(hotel, room, "start-cleaning", "housekeeper")

    def mend(self, hotel: Answer) -> None:
        """A fault is found, gets worse or is mended."""
        if faulty := self.rooms(hotel, FAULTY, BROKEN)[:2]:
            for room in faulty:
                if room["room_status"] == BROKEN:
                    self.set_status(hotel, room, DIRTY, "manager")
                elif self._rng.random() < SHARE_BROKEN:
                    self.take_out_of_order(hotel, room)
                else:
                    self.turn(hotel, room, "complete-maintenance", "supervisor")
        elif rooms := self.rooms(hotel, READY, DIRTY, TAKEN)[:1]:
            self.turn(hotel, rooms[0], "mark-maintenance", "housekeeper", priority=self._rng.choice(("LOW", "HIGH")))

    def take_out_of_order(self, hotel: Answer, room: Answer) -> None:
        """It can't be mended today; where bookings need the room, a manager may say that it goes all the same."""
        self.set_status(hotel, room, BROKEN, "supervisor")
        if self._rng.random() < 0.5:
            body = {"to_status": BROKEN, "note": "beyond repair", "force": True}  # the note may be in several histories
            self.ask(hotel, "manager", "forced out of order", f"rooms/{room['id']}/status/", body)

    def turn(self, hotel: Answer, room: Answer, action: str, who: str, **body: Any) -> None:
        """A turnover action on a room."""
        tag = self.tag()
        path = f"rooms/{room['room_number']}/{action}/"
        self.ask(hotel, who, action, path, {"notes": f"noted {tag}", **body}, tag=tag)

    def change_status(self, hotel: Answer) -> None:
        """A status as such, seen or unseen; or a manager overrides."""
        for room in self.rooms(hotel, READY, DIRTY, CLEANED, BROKEN)[:1]:
            if self._rng.random() < 0.3:
                tag, to_status = self.tag(), self._rng.choice((DIRTY, READY, CLEANED))
                path = f"housekeeping/rooms/{room['id']}/manager_override/"
                body = {"to_status": to_status, "note": f"I say so {tag}"}
                self.ask(hotel, "manager", "override", path, body, tag=tag)
            else:
                steps = [step for step in room["allowed_transitions"] if step not in (TAKEN, FAULTY, BROKEN)]
                self.set_status(hotel, room, self._rng.choice(steps or [DIRTY]), "manager")

    def set_status(self, hotel: Answer, room: Answer, to_status: str, who: str) -> None:
        """A status, on the condition that nobody was faster, or on none."""
        tag = self.tag()
        body = {"to_status": to_status, "note": f"noted {tag}"}
        headers = {}
        condition = self._rng.random()
        if condition < 0.3:
            body["expected_status"] = room["room_status"]
        elif condition < 0.6:
            headers["If_Match"] = f'"{room["status_version"]}"'
        self.wish(hotel, who, "status", f"rooms/{room['id']}/status/", body, tag=tag, **headers)

    def do_tasks(self, hotel: Answer) -> None:
        """Tasks are made, given, begun, ended."""
        page = self.look(hotel, f"housekeeping/tasks/?status={self._rng.choice(('OPEN', 'IN_PROGRESS'))}&page_size=20")
        for task in self._rng.sample(page.get("results", []), min(2, len(page.get("results", [])))):
            if task["status"] == "IN_PROGRESS":
                action, who = "complete", "housekeeper"
            else:
                action, who = self._rng.choice((("start", "housekeeper"), ("assign", "manager"), ("cancel", "manager")))
            body = {"assigned_to_id": hotel["staff"]["housekeeper"]} if action == "assign" else {}
            self.ask(hotel, who, f"task {action}", f"housekeeping/tasks/{task['id']}/{action}/", body)
        if self._rng.random() < 0.2 and (rooms := self.rooms(hotel, TAKEN)[:1]):
            body = {"room": rooms[0]["id"], "task_type": "AMENITY", "priority": "LOW", "note": "towels"}
            self.ask(hotel, "frontdesk", "task create", "housekeeping/tasks/", body)

    def look_around(self, hotel: Answer) -> None:
        """What screens ask for."""
        for path in ("housekeeping/dashboard/", "turnover/stats/", "me/", "room-bookings/"):
            self.look(hotel, path)


PATIENCE = 25.0  # seconds; the house knows the key of a request for longer
JOBS: tuple[tuple[Job, int], ...] = (
    (Client.book, 20),
    (Client.decide, 10),
    (Client.receive, 22),
    (Client.receive_many, 3),
    (Client.say_goodbye, 18),
    (Client.say_goodbye_to_many, 3),
    (Client.disturb, 5),
    (Client.take_back, 3),
    (Client.give_up, 4),
    (Client.edit, 8),
    (Client.clean, 26),
    (Client.mend, 5),
    (Client.change_status, 5),
    (Client.do_tasks, 6),
    (Client.look_around, 4),
)
# What is kept of a booking in an answer.
KEPT = ("booking_id", "status", "version", "checked_in_at", "checked_out_at", "room_assigned_at", "decision_at")


def promised(answer: Any) -> Answer:
    """What a granted request's answer says has happened."""
    if not isinstance(answer, dict):
        return {}
    facts: Answer = {}
    detail = answer.get("booking") if isinstance(answer.get("booking"), dict) else answer
    if isinstance(detail, dict) and "booking_id" in detail:
        facts |= {name: detail[name] for name in KEPT if name in detail}
    if "cancellation_reason" in answer:
        facts["reason"] = answer["cancellation_reason"]
    if event := answer.get("status_event"):
        facts |= {"event": event["id"], "to_status": event["to_status"], "version": answer["room"]["status_version"]}
    if "task_type" in answer:
        facts |= {"task": answer["id"], "task_status": answer["status"]}
    for name in ("checked_in_bookings", "checked_out_bookings"):
        if name in answer.get("results", {}):
            rows = answer["results"][name]
            facts["bookings"] = [row if isinstance(row, str) else row["booking_id"] for row in rows]
    return facts


def main() -> None:
    """Work until SIGTERM; the wish at hand is finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hotels", type=Path)
    parser.add_argument("stays", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--place", type=int, required=True, help="which of the clients this is, from 0")
    parser.add_argument("--clients", type=int, required=True, help="how many there are")
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
