"""The soak test can fail: its comparison on stories with one error each, its clock, its faults. `make soak` runs it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from room_bookings.models import BookingAction
from tools.harness.delivery import digest
from tools.harness.stripe_server import Call, stripe_server
from tools.soak import comparison
from tools.soak.client import JOBS, Attempt, Client, confirmed_facts
from tools.soak.comparison import Applied, Audit, Booking, Event, HistoryRow, Snapshot
from tools.soak.faults import KINDS, Fault, explanation, plan, unexplained
from tools.soak.hotels import ZONES
from tools.soak.provider import PREFIX, Provider
from tools.soak.timeline import Timeline, changes, timeline

# --- a story without an error -----------------------------------------------------------------------------------------


def envelope(kind: str, **payload: Any) -> dict[str, Any]:
    return {"type": kind, "payload": payload, "meta": {"event_id": kind}}


class Story:
    """A guest books by card, is approved, checks in to room 1 and checks out; one other request is refused."""

    def __init__(self) -> None:
        self.bookings = [Booking("BK-1", "liffey", "row5.c0-1@soak.example", "COMPLETED", 4, "CAPTURED", "pi_1")]
        self.history = [
            HistoryRow("BK-1", "CREATED", "", "PENDING_APPROVAL", ""),
            HistoryRow("BK-1", "APPROVED", "PENDING_APPROVAL", "CONFIRMED", ""),
            HistoryRow("BK-1", "CHECKED_IN", "CONFIRMED", "IN_HOUSE", "because c0-3"),
            HistoryRow("BK-1", "CHECKED_OUT", "IN_HOUSE", "COMPLETED", ""),
        ]
        self.audit = [
            Audit(1, "liffey", 1, 1, "READY_FOR_GUEST", "OCCUPIED", "check-in of BK-1"),
            Audit(2, "liffey", 1, 2, "OCCUPIED", "CHECKOUT_DIRTY", "noted c1-1"),
        ]
        sent = [
            ("booking_created", {"status": "PENDING_APPROVAL"}),
            ("booking_confirmed", {"status": "CONFIRMED"}),
            ("booking_checked_in", {"status": "IN_HOUSE"}),
            ("booking_checked_out", {"status": "COMPLETED", "overstay_minutes": 3}),
        ]
        self.events = [
            self.event("room-bookings", seq, kind, booking_id="BK-1", **payload)
            for seq, (kind, payload) in enumerate(sent, start=1)
        ]
        for row in self.audit:
            room = {"id": 1, "status_version": row.version, "from_status": row.from_status, "to_status": row.to_status}
            self.events.append(self.event("rooms", row.version, "room_updated", **room, room_status=row.to_status))
        self.applied = [self.application(event) for event in self.events]
        self.published = {event.event_id for event in self.events}
        self.last_seqs = {("liffey", "room-bookings"): 4, ("liffey", "rooms"): 2}
        self.tasks = {7: "DONE"}
        self.rooms: dict[int, Any] = {1: {"id": 1, "status_version": 2, "room_status": "CHECKOUT_DIRTY"}}
        self.shown = {"BK-1": {"booking_id": "BK-1", "status": "COMPLETED", "overstay_minutes": 9}}
        self.intents: dict[str, Any] = {"pi_1": ("succeeded", False, {"captured": 1})}
        self.attempts = [
            self.attempt("create", 503, tag="c0-1", booking=""),
            self.attempt("create", 201, tag="c0-1", booking="", booking_id="BK-1", version=1),
            self.attempt("create", 409, tag="c0-2", booking=""),
            self.attempt("approve", 200, decision_at="d", version=2),
            self.attempt("check-in", 200, tag="c0-3", checked_in_at="i", version=3),
            self.attempt("check-in", 200, tag="c0-3", checked_in_at="i", version=3),
            self.attempt("check-out", 0),
            self.attempt("status", 200, tag="c1-1", booking="", event=2, to_status="CHECKOUT_DIRTY"),
            self.attempt("task complete", 200, booking="", task=7, task_status="DONE"),
        ]

    @staticmethod
    def event(stream: str, seq: int, kind: str, **payload: Any) -> Event:
        return Event(f"{stream}-{seq}", "liffey", stream, seq, kind, envelope(kind, **payload), True)  # noqa: FBT003

    @staticmethod
    def application(event: Event) -> Applied:
        numbered = {**event.envelope, "meta": {**event.envelope["meta"], "seq": event.seq}}
        return Applied(event.hotel, event.stream, event.event_id, event.seq or 0, digest(numbered))

    @staticmethod
    def attempt(op: str, status: int, *, tag: str = "", booking: str = "BK-1", **facts: Any) -> Attempt:
        return Attempt(100.0, 0.1, "liffey", op, status, tag=tag, booking=booking, facts=facts)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self.bookings, self.history, self.audit, self.events, self.tasks, self.last_seqs)

    def found(self) -> list[str]:
        return [
            *comparison.responses(self.attempts, self.snapshot),
            *comparison.log(self.snapshot),
            *comparison.subscribers(self.snapshot, self.applied, self.published),
            *comparison.rest(self.snapshot, self.rooms, self.shown),
            *comparison.money(self.snapshot, self.intents),
        ]


@pytest.fixture
def story() -> Story:
    return Story()


def test_good_story_has_no_failures(story: Story):
    assert story.found() == []


def lose_event(story: Story) -> None:
    del story.events[5], story.applied[5]
    story.last_seqs["liffey", "rooms"] = 1
    story.rooms[1] |= {"status_version": 1, "room_status": "OCCUPIED"}


def lose_booking_event(story: Story) -> None:
    story.events[2] = story.event("room-bookings", 3, "booking_updated", booking_id="BK-1", status="IN_HOUSE")
    story.applied[2] = story.application(story.events[2])


def check_in_twice(story: Story) -> None:
    story.history.insert(3, story.history[2])
    story.events.insert(3, story.event("room-bookings", 4, "booking_checked_in", booking_id="BK-1"))
    story.events[4] = story.event("room-bookings", 5, "booking_checked_out", booking_id="BK-1", status="COMPLETED")
    story.applied = [story.application(event) for event in story.events]
    story.published.add("room-bookings-5")
    story.last_seqs["liffey", "room-bookings"] = 5


def lose_booking(story: Story) -> None:
    story.attempts.append(story.attempt("create", 201, tag="c0-9", booking="", booking_id="BK-2"))


def create_twice(story: Story) -> None:
    story.bookings.append(story.bookings[0]._replace(booking="BK-2", payment_reference="", payment_state=""))


def save_refused_booking(story: Story) -> None:
    story.bookings.append(Booking("BK-2", "liffey", "row6.c0-2@soak.example", "CONFIRMED", 1, "", ""))


def save_unrequested_booking(story: Story) -> None:
    story.bookings.append(Booking("BK-2", "liffey", "row6.c9-9@soak.example", "CONFIRMED", 1, "", ""))


def forget_check_out(story: Story) -> None:
    story.attempts.append(story.attempt("check-out", 200, checked_out_at="o"))
    del story.history[3]
    story.events[3] = story.event("room-bookings", 4, "booking_updated", booking_id="BK-1", status="COMPLETED")
    story.applied[3] = story.application(story.events[3])


def extend(story: Story, times: int, *attempt: Attempt) -> None:
    """Add extensions in the middle of the stay."""
    story.attempts += attempt
    story.history[3:3] = [HistoryRow("BK-1", "EXTENDED", "IN_HOUSE", "IN_HOUSE", "1 → 2")] * times
    rest = story.events[3:]
    extended = [
        story.event("room-bookings", 4 + n, "booking_overstay_extended", booking_id="BK-1") for n in range(times)
    ]
    last = rest[0]._replace(seq=4 + times, event_id=f"room-bookings-{4 + times}")
    story.events[3:] = [*extended, last, *rest[1:]]
    story.applied = [story.application(event) for event in story.events]
    story.published |= {event.event_id for event in story.events}
    story.last_seqs["liffey", "room-bookings"] = 4 + times


def extend_twice(story: Story) -> None:
    extend(story, 2, *[story.attempt("overstay/extend", status, tag="c0-5") for status in (503, 200, 200)])


def lose_extension(story: Story) -> None:
    extend(story, 1, *[story.attempt("overstay/extend", 200, tag=tag) for tag in ("c0-5", "c0-6")])


def test_retries_with_one_key_count_as_one_request(story: Story):
    extend(story, 1, *[story.attempt("overstay/extend", status, tag="c0-5") for status in (503, 200, 200)])
    assert story.found() == []


def check_out_unrequested(story: Story) -> None:
    story.attempts[6] = story.attempt("check-out", 409)


def write_refused_note(story: Story) -> None:
    story.attempts[7] = story.attempt("status", 409, tag="c1-1", booking="")


def forget_audit_row(story: Story) -> None:
    story.attempts[7] = story.attempt("status", 200, tag="c1-1", booking="", event=3, to_status="CHECKOUT_DIRTY")


def forget_reason(story: Story) -> None:
    story.attempts.append(story.attempt("cancel", 200, tag="c0-7", reason="because c0-7"))
    story.history.append(HistoryRow("BK-1", "CANCELLED", "COMPLETED", "CANCELLED", ""))
    story.events.insert(4, story.event("room-bookings", 5, "booking_cancelled", booking_id="BK-1", status="COMPLETED"))
    story.applied.insert(4, story.application(story.events[4]))
    story.published.add("room-bookings-5")
    story.last_seqs["liffey", "room-bookings"] = 5


def forget_version(story: Story) -> None:
    story.attempts.append(story.attempt("mark-seen", 200, version=5))


def undo_task(story: Story) -> None:
    story.tasks[7] = "OPEN"


def leave_waiting(story: Story) -> None:
    story.events[1] = story.events[1]._replace(done=False)


def publish_nothing(story: Story) -> None:
    story.published.discard("rooms-2")


def skip_number(story: Story) -> None:
    story.events[5] = story.events[5]._replace(seq=3)
    story.applied[5] = story.application(story.events[5])


def apply_other_body(story: Story) -> None:
    story.applied[3] = story.applied[3]._replace(body="another")


def apply_fewer_events(story: Story) -> None:
    del story.applied[5]


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
        (lose_booking_event, "BK-1: 1 actions and 0 events booking_checked_in"),
        (check_in_twice, "BK-1: CHECKED_IN starts at CONFIRMED, the action before ended elsewhere"),
        (lose_booking, "lost: BK-2 was confirmed to c0-9 and is not in the database"),
        (create_twice, "twice: one request with one Idempotency-Key, c0-1, made BK-1, BK-2"),
        (save_refused_booking, "refused and done: c0-2 was refused with  and made BK-2"),
        (save_unrequested_booking, "no request attempt for BK-2"),
        (forget_check_out, "lost: BK-1 was CHECKED_OUT 1 times in responses and 0 times in the database"),
        (extend_twice, "BK-1 is EXTENDED 2 times, and 1 requests can have done that"),
        (lose_extension, "lost: BK-1 was EXTENDED 2 times in responses and 1 times in the database"),
        (check_out_unrequested, "BK-1 is CHECKED_OUT 1 times, and 0 requests can have done that"),
        (write_refused_note, "status c1-1 is written 1 times, 0 of its attempts can have succeeded"),
        (forget_audit_row, "lost: status c1-1 was granted with audit row 3, which is missing"),
        (forget_reason, "lost: cancel c0-7 of BK-1 was granted and is not in the history"),
        (forget_version, "lost: BK-1 had version 5 in a response to mark-seen"),
        (undo_task, "lost: task 7 was DONE in a response to task complete and is OPEN"),
        (leave_waiting, "liffey: booking_confirmed room-bookings-2 was not sent"),
        (publish_nothing, "liffey: room_updated rooms-2 is marked as sent, and the Pusher server never published it"),
        (skip_number, "liffey.rooms: the numbers are not 1 to 2, each once"),
        (apply_other_body, "liffey.room-bookings: the subscriber did not apply the log (differ at 4)"),
        (apply_fewer_events, "liffey.rooms: the subscriber did not apply the log (1 of 2)"),
        (
            show_other_room,
            "room id 1 of liffey: room_status differ from the last event: was 'CHECKOUT_DIRTY', is 'READY_FOR_GUEST'",
        ),
        (show_no_booking, "BK-1 of liffey has events, and REST does not show it"),
        (capture_twice, "BK-1: money was moved twice, {'captured': 2}"),
        (keep_the_money, "BK-1 (COMPLETED): payment_state is CAPTURED, the provider has AUTHORISED"),
    ],
)
def test_each_error_is_reported(story: Story, spoil: Any, sentence: str):
    spoil(story)
    assert sentence in story.found()


def test_long_lists_of_failures_are_cut(story: Story):
    story.attempts += [
        story.attempt("create", 201, tag=f"c5-{n}", booking="", booking_id=f"BK-{n}") for n in range(10, 17)
    ]
    assert story.found()[5] == "… and 2 more like that"


def test_every_booking_action_has_an_event():
    assert set(comparison.EVENT_OF) == set(BookingAction.values) - {"DRAFT_DROPPED", "OVERRIDDEN"}
    assert {action for action, _ in comparison.MADE_BY.values()} <= set(BookingAction.values)


# --- which responses a fault explains ---------------------------------------------------------------------------------

AT = 1000.0
ALIKE = [{"web"}, {"locks"}, {"backends", "crash"}, {"card failing", "card hanging"}]  # with the same responses


def outcome(status: int, code: str = "", *, seconds: float = 0.5, retry_after: bool = True) -> Attempt:
    return Attempt(AT, seconds, "liffey", "check-in", status, code, retry_after)


@pytest.mark.parametrize(
    ("attempt", "kind"),
    [
        (outcome(0), "web"),
        (outcome(503, "BUSY"), "locks"),
        (outcome(503, "UNAVAILABLE"), "backends"),
        (outcome(503, "UNAVAILABLE"), "crash"),
        (outcome(502, "PAYMENT_CAPTURE_FAILED"), "card failing"),
    ],
)
def test_only_its_own_fault_explains_a_response_and_only_at_that_time(attempt: Attempt, kind: str):
    for other in KINDS:
        expected = other in next(alike for alike in ALIKE if kind in alike)
        assert bool(explanation(attempt, [Fault(other, AT + 0.1, AT + 0.2)])) == expected
    assert explanation(attempt, [Fault(kind, AT + 2, AT + 3)]) == ""
    assert explanation(attempt, [Fault(kind, AT - 20, AT - 10)]) == ""
    assert explanation(attempt, []) == ""


@pytest.mark.parametrize(
    "attempt",
    [
        outcome(500, "SERVER_ERROR"),
        outcome(503, "BUSY", retry_after=False),
        outcome(503),
        outcome(502),
        outcome(504),
        outcome(0, seconds=25.0),  # a client that gave up waiting
        outcome(503, "BUSY", seconds=25.0),
    ],
)
def test_other_responses_are_never_explained(attempt: Attempt):
    faults = [Fault(kind, AT - 1, AT + 1) for kind in KINDS]
    assert explanation(attempt, faults) == ""
    [sentence] = unexplained([attempt, outcome(409, "CONFLICT"), outcome(200)], faults)
    assert sentence.startswith(f"liffey: check-in returned {attempt.status or 'nothing'}")


def test_held_rows_explain_busy_responses_shortly_afterwards():
    assert explanation(outcome(503, "BUSY"), [Fault("locks", AT - 8, AT - 3)]) == "locks"


def test_other_payments_explain_that_the_provider_is_busy():
    assert explanation(outcome(503, "PAYMENTS_BUSY"), []) == "other payments"
    assert explanation(outcome(503, "PAYMENTS_BUSY", retry_after=False), []) == ""


def test_same_seed_gives_the_same_plan_beginning_with_each_kind_once():
    planned_faults = list(islice(plan(7), 40))
    assert planned_faults == list(islice(plan(7), 40))
    assert planned_faults != list(islice(plan(8), 40))
    assert Counter(planned.kind for planned in planned_faults[: len(KINDS)]) == dict.fromkeys(KINDS, 1)
    for planned in planned_faults:
        shortest, longest, _ = KINDS[planned.kind]
        assert shortest <= planned.seconds <= longest


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
def test_daylight_saving_changes(zone: str, moments: list[str]):
    assert [f"{moment:%Y-%m-%dT%H:%M}" for moment in changes(zone)] == moments


@pytest.mark.parametrize(("seconds", "windows"), [(6, 1), (30, 2), (180, 6), (1200, 6), (7200, 6)])
def test_clock_passes_each_change_and_midnight_and_never_goes_back(seconds: float, windows: int):
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


# --- its clients and its card provider --------------------------------------------------------------------------------


def test_confirmed_facts_of_a_response():
    assert confirmed_facts({"booking_id": "BK-1", "version": 3, "status": "IN_HOUSE", "adults": 2}) == {
        "booking_id": "BK-1",
        "version": 3,
        "status": "IN_HOUSE",
    }
    cancelled = {"booking": {"booking_id": "BK-1", "version": 4}, "cancellation_reason": "because c0-1"}
    assert confirmed_facts(cancelled) == {"booking_id": "BK-1", "version": 4, "reason": "because c0-1"}
    changed = {"room": {"status_version": 5}, "status_event": {"id": 9, "to_status": "OCCUPIED"}}
    assert confirmed_facts(changed) == {"event": 9, "to_status": "OCCUPIED", "version": 5}
    assert confirmed_facts(changed | {"status_event": None}) == {}
    assert confirmed_facts({"id": 4, "task_type": "TURNOVER", "status": "DONE"}) == {"task": 4, "task_status": "DONE"}
    assert confirmed_facts({"results": {"checked_in_bookings": ["BK-1"]}}) == {"bookings": ["BK-1"]}


def test_every_job_is_a_client_method_with_a_positive_weight():
    assert {name for name in dir(Client) if not name.startswith("_")} >= {job.__name__ for job, _ in JOBS}
    assert all(weight > 0 for _, weight in JOBS)


def test_card_provider_authorises_every_payment_and_fails_on_demand():
    capture = Call("POST", "capture", f"{PREFIX}1", "key")
    with stripe_server() as server:
        provider = Provider(server)
        response = server.respond(capture, "")
        assert response is not None
        assert response[0] == 200
        assert server.moved(f"{PREFIX}1") == {"captured": 1}
        provider.fault_mode = "failing"
        calls = [server.respond(Call("POST", "cancel", f"{PREFIX}{n}", f"key {n}"), "") for n in range(2, 200)]
        assert {response and response[0] for response in calls} == {200, 402, 500, None}
