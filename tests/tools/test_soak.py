"""The soak can fail: its verdict on stories in which one thing is wrong, its clock, its faults. `make soak` runs it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from room_bookings.models import BookingAction
from tools.harness.stripe_server import Call
from tools.soak import verdict
from tools.soak.client import JOBS, Asked, Client, promised
from tools.soak.faults import KINDS, Fault, explanation, plan, unexplained
from tools.soak.houses import ZONES
from tools.soak.provider import PREFIX, provider
from tools.soak.timeline import Timeline, changes, timeline
from tools.soak.verdict import Audit, Booking, Drawn, Event, House, Step, digest

# --- a story in which everything is right -----------------------------------------------------------------------------


def envelope(kind: str, **payload: Any) -> dict[str, Any]:
    return {"type": kind, "payload": payload, "meta": {"event_id": kind}}


class Story:
    """A guest books by card, is approved, comes into room 1 and leaves; a note is refused on the way."""

    def __init__(self) -> None:
        self.bookings = [Booking("BK-1", "liffey", "row5.c0-1@soak.example", "COMPLETED", 4, "CAPTURED", "pi_1")]
        self.steps = [
            Step("BK-1", "CREATED", "", "PENDING_APPROVAL", ""),
            Step("BK-1", "APPROVED", "PENDING_APPROVAL", "CONFIRMED", ""),
            Step("BK-1", "CHECKED_IN", "CONFIRMED", "IN_HOUSE", "because c0-3"),
            Step("BK-1", "CHECKED_OUT", "IN_HOUSE", "COMPLETED", ""),
        ]
        self.audit = [
            Audit(1, "liffey", 1, 1, "READY_FOR_GUEST", "OCCUPIED", "check-in of BK-1"),
            Audit(2, "liffey", 1, 2, "OCCUPIED", "CHECKOUT_DIRTY", "noted c1-1"),
        ]
        told = [
            ("booking_created", {"status": "PENDING_APPROVAL"}),
            ("booking_confirmed", {"status": "CONFIRMED"}),
            ("booking_checked_in", {"status": "IN_HOUSE"}),
            ("booking_checked_out", {"status": "COMPLETED", "overstay_minutes": 3}),
        ]
        self.events = [
            self.event("room-bookings", seq, kind, booking_id="BK-1", **payload)
            for seq, (kind, payload) in enumerate(told, start=1)
        ]
        for row in self.audit:
            room = {"id": 1, "status_version": row.version, "from_status": row.from_status, "to_status": row.to_status}
            self.events.append(self.event("rooms", row.version, "room_updated", **room, room_status=row.to_status))
        self.drawn = [self.drawing(event) for event in self.events]
        self.published = {event.event_id for event in self.events}
        self.last_seqs = {("liffey", "room-bookings"): 4, ("liffey", "rooms"): 2}
        self.tasks = {7: "DONE"}
        self.rooms: dict[int, Any] = {1: {"id": 1, "status_version": 2, "room_status": "CHECKOUT_DIRTY"}}
        self.shown = {"BK-1": {"booking_id": "BK-1", "status": "COMPLETED", "overstay_minutes": 9}}
        self.intents: dict[str, Any] = {"pi_1": ("succeeded", False, {"captured": 1})}
        self.asked = [
            self.ask("create", 503, tag="c0-1", booking=""),
            self.ask("create", 201, tag="c0-1", booking="", booking_id="BK-1", version=1),
            self.ask("create", 409, tag="c0-2", booking=""),
            self.ask("approve", 200, decision_at="d", version=2),
            self.ask("check-in", 200, tag="c0-3", checked_in_at="i", version=3),
            self.ask("check-in", 200, tag="c0-3", checked_in_at="i", version=3),
            self.ask("check-out", 0),
            self.ask("status", 200, tag="c1-1", booking="", event=2, to_status="CHECKOUT_DIRTY"),
            self.ask("task complete", 200, booking="", task=7, task_status="DONE"),
        ]

    @staticmethod
    def event(stream: str, seq: int, kind: str, **payload: Any) -> Event:
        return Event(f"{stream}-{seq}", "liffey", stream, seq, kind, envelope(kind, **payload), True)  # noqa: FBT003

    @staticmethod
    def drawing(event: Event) -> Drawn:
        numbered = {**event.envelope, "meta": {**event.envelope["meta"], "seq": event.seq}}
        return Drawn(event.hotel, event.stream, event.event_id, event.seq or 0, digest(numbered))

    @staticmethod
    def ask(op: str, status: int, *, tag: str = "", booking: str = "BK-1", **facts: Any) -> Asked:
        return Asked(100.0, 0.1, "liffey", op, status, tag=tag, booking=booking, facts=facts)

    @property
    def house(self) -> House:
        return House(self.bookings, self.steps, self.audit, self.events, self.tasks, self.last_seqs)

    def found(self) -> list[str]:
        return [
            *verdict.answers(self.asked, self.house),
            *verdict.log(self.house),
            *verdict.screens(self.house, self.drawn, self.published),
            *verdict.rest(self.house, self.rooms, self.shown),
            *verdict.money(self.house, self.intents),
        ]


@pytest.fixture
def story() -> Story:
    return Story()


def test_nothing_is_wrong_with_a_good_story(story: Story):
    assert story.found() == []


def lose_event(story: Story) -> None:
    del story.events[5], story.drawn[5]
    story.last_seqs["liffey", "rooms"] = 1
    story.rooms[1] |= {"status_version": 1, "room_status": "OCCUPIED"}


def lose_booking_event(story: Story) -> None:
    story.events[2] = story.event("room-bookings", 3, "booking_updated", booking_id="BK-1", status="IN_HOUSE")
    story.drawn[2] = story.drawing(story.events[2])


def check_in_twice(story: Story) -> None:
    story.steps.insert(3, story.steps[2])
    story.events.insert(3, story.event("room-bookings", 4, "booking_checked_in", booking_id="BK-1"))
    story.events[4] = story.event("room-bookings", 5, "booking_checked_out", booking_id="BK-1", status="COMPLETED")
    story.drawn = [story.drawing(event) for event in story.events]
    story.published.add("room-bookings-5")
    story.last_seqs["liffey", "room-bookings"] = 5


def lose_booking(story: Story) -> None:
    story.asked.append(story.ask("create", 201, tag="c0-9", booking="", booking_id="BK-2"))


def create_twice(story: Story) -> None:
    story.bookings.append(story.bookings[0]._replace(booking="BK-2", payment_reference="", payment_state=""))


def do_what_was_refused(story: Story) -> None:
    story.bookings.append(Booking("BK-2", "liffey", "row6.c0-2@soak.example", "CONFIRMED", 1, "", ""))


def book_for_nobody(story: Story) -> None:
    story.bookings.append(Booking("BK-2", "liffey", "row6.c9-9@soak.example", "CONFIRMED", 1, "", ""))


def forget_check_out(story: Story) -> None:
    story.asked.append(story.ask("check-out", 200, checked_out_at="o"))
    del story.steps[3]
    story.events[3] = story.event("room-bookings", 4, "booking_updated", booking_id="BK-1", status="COMPLETED")
    story.drawn[3] = story.drawing(story.events[3])


def extend(story: Story, times: int, *asked: Asked) -> None:
    """In the middle of the stay."""
    story.asked += asked
    story.steps[3:3] = [Step("BK-1", "EXTENDED", "IN_HOUSE", "IN_HOUSE", "1 → 2")] * times
    rest = story.events[3:]
    extended = [
        story.event("room-bookings", 4 + n, "booking_overstay_extended", booking_id="BK-1") for n in range(times)
    ]
    last = rest[0]._replace(seq=4 + times, event_id=f"room-bookings-{4 + times}")
    story.events[3:] = [*extended, last, *rest[1:]]
    story.drawn = [story.drawing(event) for event in story.events]
    story.published |= {event.event_id for event in story.events}
    story.last_seqs["liffey", "room-bookings"] = 4 + times


def extend_twice(story: Story) -> None:
    extend(story, 2, *[story.ask("overstay/extend", status, tag="c0-5") for status in (503, 200, 200)])


def lose_extension(story: Story) -> None:
    extend(story, 1, *[story.ask("overstay/extend", 200, tag=tag) for tag in ("c0-5", "c0-6")])


def test_a_request_that_is_repeated_under_its_key_is_one(story: Story):
    extend(story, 1, *[story.ask("overstay/extend", status, tag="c0-5") for status in (503, 200, 200)])
    assert story.found() == []


def check_out_unasked(story: Story) -> None:
    story.asked[6] = story.ask("check-out", 409)


def write_refused_note(story: Story) -> None:
    story.asked[7] = story.ask("status", 409, tag="c1-1", booking="")


def forget_audit_row(story: Story) -> None:
    story.asked[7] = story.ask("status", 200, tag="c1-1", booking="", event=3, to_status="CHECKOUT_DIRTY")


def forget_reason(story: Story) -> None:
    story.asked.append(story.ask("cancel", 200, tag="c0-7", reason="because c0-7"))
    story.steps.append(Step("BK-1", "CANCELLED", "COMPLETED", "CANCELLED", ""))
    story.events.insert(4, story.event("room-bookings", 5, "booking_cancelled", booking_id="BK-1", status="COMPLETED"))
    story.drawn.insert(4, story.drawing(story.events[4]))
    story.published.add("room-bookings-5")
    story.last_seqs["liffey", "room-bookings"] = 5


def forget_version(story: Story) -> None:
    story.asked.append(story.ask("mark-seen", 200, version=5))


def undo_task(story: Story) -> None:
    story.tasks[7] = "OPEN"


def leave_waiting(story: Story) -> None:
    story.events[1] = story.events[1]._replace(done=False)


def publish_nothing(story: Story) -> None:
    story.published.discard("rooms-2")


def skip_number(story: Story) -> None:
    story.events[5] = story.events[5]._replace(seq=3)
    story.drawn[5] = story.drawing(story.events[5])


def draw_other_body(story: Story) -> None:
    story.drawn[3] = story.drawn[3]._replace(body="another")


def draw_less(story: Story) -> None:
    del story.drawn[5]


def show_other_room(story: Story) -> None:
    story.rooms[1]["room_status"] = "READY_FOR_GUEST"


def show_no_booking(story: Story) -> None:
    story.shown.clear()


def capture_twice(story: Story) -> None:
    story.intents["pi_1"] = ("succeeded", False, {"captured": 2})


def keep_the_money(story: Story) -> None:
    story.intents["pi_1"] = ("requires_capture", False, {})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lose_event, "liffey, room id 1, version 2 (OCCUPIED to CHECKOUT_DIRTY) has 0 events"),
        (lose_booking_event, "BK-1: 1 steps and 0 events booking_checked_in"),
        (check_in_twice, "BK-1: CHECKED_IN starts at CONFIRMED, the step before ended elsewhere"),
        (lose_booking, "lost: BK-2 was confirmed to c0-9 and is not in the database"),
        (create_twice, "twice: one request with one Idempotency-Key, c0-1, made BK-1, BK-2"),
        (do_what_was_refused, "refused and done: c0-2 was answered  and made BK-2"),
        (book_for_nobody, "nobody asked for BK-2"),
        (forget_check_out, "lost: BK-1 was CHECKED_OUT 1 times in answers and 0 times in truth"),
        (extend_twice, "BK-1 is EXTENDED 2 times, and 1 requests may have done that"),
        (lose_extension, "lost: BK-1 was EXTENDED 2 times in answers and 1 times in truth"),
        (check_out_unasked, "BK-1 is CHECKED_OUT 1 times, and 0 requests may have done that"),
        (write_refused_note, "status c1-1 is written 1 times, 0 of its tries may have been"),
        (forget_audit_row, "lost: status c1-1 was granted with audit row 3, which is not there"),
        (forget_reason, "lost: cancel c0-7 of BK-1 was granted and is not in the history"),
        (forget_version, "lost: BK-1 had version 5 in an answer to mark-seen"),
        (undo_task, "lost: task 7 was DONE in an answer to task complete and is OPEN"),
        (leave_waiting, "liffey: booking_confirmed room-bookings-2 was not sent"),
        (publish_nothing, "liffey: room_updated rooms-2 is marked as sent, and the Pusher server never published it"),
        (skip_number, "liffey.rooms: the numbers are not 1 to 2, each once"),
        (draw_other_body, "liffey.room-bookings: the screen did not draw the log (differ at 4)"),
        (draw_less, "liffey.rooms: the screen did not draw the log (1 of 2)"),
        (
            show_other_room,
            "room id 1 of liffey: room_status differ from the last event: was 'CHECKOUT_DIRTY', is 'READY_FOR_GUEST'",
        ),
        (show_no_booking, "BK-1 of liffey has events, and REST does not show it"),
        (capture_twice, "BK-1: money was moved twice, {'captured': 2}"),
        (keep_the_money, "BK-1 (COMPLETED): we have CAPTURED, the provider AUTHORISED"),
    ],
)
def test_one_thing_that_is_wrong_is_told(story: Story, spoil: Any, sentence: str):
    spoil(story)
    assert sentence in story.found()


def test_many_failures_of_a_kind_are_counted(story: Story):
    story.asked += [story.ask("create", 201, tag=f"c5-{n}", booking="", booking_id=f"BK-{n}") for n in range(10, 17)]
    assert story.found()[5] == "… and 2 more like that"


def test_every_step_of_a_booking_has_its_event():
    assert set(verdict.TOLD_BY) == set(BookingAction.values) - {"DRAFT_DROPPED", "OVERRIDDEN"}
    assert {action for action, _ in verdict.MADE_BY.values()} <= set(BookingAction.values)


# --- which answers a fault explains -----------------------------------------------------------------------------------

AT = 1000.0
ALIKE = [{"web"}, {"locks"}, {"backends", "crash"}, {"card failing", "card hanging"}]  # whose answers are the same


def answered(status: int, code: str = "", *, seconds: float = 0.5, retry_after: bool = True) -> Asked:
    return Asked(AT, seconds, "liffey", "check-in", status, code, retry_after)


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (answered(0), "web"),
        (answered(503, "BUSY"), "locks"),
        (answered(503, "UNAVAILABLE"), "backends"),
        (answered(503, "UNAVAILABLE"), "crash"),
        (answered(502, "PAYMENT_CAPTURE_FAILED"), "card failing"),
    ],
)
def test_an_answer_is_explained_by_its_own_fault_and_in_its_time_only(asked: Asked, kind: str):
    for other in KINDS:
        expected = other in next(alike for alike in ALIKE if kind in alike)
        assert bool(explanation(asked, [Fault(other, AT + 0.1, AT + 0.2)])) == expected
    assert explanation(asked, [Fault(kind, AT + 2, AT + 3)]) == ""
    assert explanation(asked, [Fault(kind, AT - 20, AT - 10)]) == ""
    assert explanation(asked, []) == ""


@pytest.mark.parametrize(
    "asked",
    [
        answered(500, "SERVER_ERROR"),
        answered(503, "BUSY", retry_after=False),
        answered(503),
        answered(502),
        answered(504),
        answered(0, seconds=25.0),  # a client that gave up waiting
        answered(503, "BUSY", seconds=25.0),
    ],
)
def test_no_fault_explains_another_answer(asked: Asked):
    faults = [Fault(kind, AT - 1, AT + 1) for kind in KINDS]
    assert explanation(asked, faults) == ""
    [sentence] = unexplained([asked, answered(409, "CONFLICT"), answered(200)], faults)
    assert sentence.startswith(f"liffey: check-in was answered {asked.status or 'not at all'}")


def test_whoever_waited_for_a_held_row_holds_others_up_a_little_longer():
    assert explanation(answered(503, "BUSY"), [Fault("locks", AT - 8, AT - 3)]) == "locks"


def test_others_at_the_provider_explain_that_it_is_busy():
    assert explanation(answered(503, "PAYMENTS_BUSY"), []) == "other payments"
    assert explanation(answered(503, "PAYMENTS_BUSY", retry_after=False), []) == ""


def test_a_seed_repeats_the_plan_which_begins_with_each_kind_once():
    strikes = list(islice(plan(7), 40))
    assert strikes == list(islice(plan(7), 40))
    assert strikes != list(islice(plan(8), 40))
    assert Counter(strike.kind for strike in strikes[: len(KINDS)]) == dict.fromkeys(KINDS, 1)
    for strike in strikes:
        shortest, longest, _ = KINDS[strike.kind]
        assert shortest <= strike.seconds <= longest


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "moments"),
    [
        ("Europe/Dublin", ["2027-03-28T01:00", "2027-10-31T01:00"]),
        ("America/New_York", ["2027-03-14T07:00", "2027-11-07T06:00"]),
        ("Australia/Lord_Howe", ["2027-04-03T15:00", "2027-10-02T15:30"]),
        ("UTC", []),
    ],
)
def test_the_changes_of_summer_time(zone: str, moments: list[str]):
    assert [f"{moment:%Y-%m-%dT%H:%M}" for moment in changes(zone)] == moments


@pytest.mark.parametrize(("seconds", "windows"), [(6, 1), (30, 2), (180, 6), (1200, 6), (7200, 6)])
def test_the_clock_passes_each_change_and_midnights_and_never_goes_back(seconds: float, windows: int):
    line = timeline(1000.0, seconds, ZONES.values())
    assert len(line.starts) == windows
    shown = [line.moment(1000 + seconds * step / 5000) for step in range(-50, 5100)]
    assert shown == sorted(shown)
    assert shown[0] == shown[50] == datetime.fromtimestamp(line.starts[0], UTC)
    passed = sorted(moment for zone in set(ZONES.values()) for moment in changes(zone))[:windows]
    for moment in passed:
        near = [abs(when - moment) for when in shown]
        assert min(near) < timedelta(hours=1)
        around = [when for when in shown if abs(when - moment) < timedelta(hours=18)]
        assert {when.date() for when in around} >= {moment.date()}
        assert len({when.date() for when in around}) >= 2
    assert Timeline.from_json(line.to_json()) == line


# --- its people, and its card provider --------------------------------------------------------------------------------


def test_what_an_answer_promises():
    assert promised({"booking_id": "BK-1", "version": 3, "status": "IN_HOUSE", "adults": 2}) == {
        "booking_id": "BK-1",
        "version": 3,
        "status": "IN_HOUSE",
    }
    cancelled = {"booking": {"booking_id": "BK-1", "version": 4}, "cancellation_reason": "because c0-1"}
    assert promised(cancelled) == {"booking_id": "BK-1", "version": 4, "reason": "because c0-1"}
    changed = {"room": {"status_version": 5}, "status_event": {"id": 9, "to_status": "OCCUPIED"}}
    assert promised(changed) == {"event": 9, "to_status": "OCCUPIED", "version": 5}
    assert promised(changed | {"status_event": None}) == {}
    assert promised({"id": 4, "task_type": "TURNOVER", "status": "DONE"}) == {"task": 4, "task_status": "DONE"}
    assert promised({"results": {"checked_in_bookings": ["BK-1"]}}) == {"bookings": ["BK-1"]}


def test_everybody_has_something_to_do():
    assert {name for name in dir(Client) if not name.startswith("_")} >= {job.__name__ for job, _ in JOBS}
    assert all(weight > 0 for _, weight in JOBS)


def test_the_card_provider_knows_every_payment_and_fails_on_order():
    capture = Call("POST", "capture", f"{PREFIX}1", "key")
    with provider() as cards:
        answer = cards.answer(capture, "")
        assert answer is not None
        assert answer[0] == 200
        assert cards.moved(f"{PREFIX}1") == {"captured": 1}
        cards.mood = "failing"
        calls = [cards.answer(Call("POST", "cancel", f"{PREFIX}{n}", f"key {n}"), "") for n in range(2, 200)]
        seen = {answer and answer[0] for answer in calls}
        assert seen == {200, 402, 500, None}
        assert cards.trouble == []
