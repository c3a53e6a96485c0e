"""The Hypothesis state machine: staff actions, passing time and the periodic work, in any order."""

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.lockstep import ROOMS, Lockstep, RealHotel
from tests.model.random_steps import SETTING_VALUES, run_random_steps
from tests.model.reference_hotel import (
    CANCELLED,
    COMPLETED,
    CONFIRMED,
    DAY,
    IN_HOUSE,
    MAINT,
    NO_SHOW,
    OOO,
    PENDING,
    PRIORITIES,
    ROLES,
    STATUSES,
    Booking,
)

numbers = st.sampled_from(sorted(ROOMS))
some_rooms = st.lists(numbers, min_size=1, max_size=3, unique=True)
indexes = st.integers(0, 5)
# Most steps are taken by a role that has the right, so that they succeed.
front_desk = st.sampled_from(
    ["agent", "office", "manager", "agent", "office", "agent", "manager", "housekeeper", "supervisor"]
)
managers = st.sampled_from(["manager", "office", "manager", "office", "manager", "office", "agent", "supervisor"])
housekeeping = st.sampled_from(
    ["manager", "supervisor", "housekeeper", "manager", "supervisor", "housekeeper", "agent", "office"]
)
anybody = st.sampled_from(ROLES)
parties = st.sampled_from([1, 2, 3])
stays = st.tuples(st.sampled_from([0, 0, 0, -1, 1, 2]), st.sampled_from([1, 2, 0, 3, -1]))
mostly = st.sampled_from([True, True, True, False])
rarely = st.sampled_from([False, False, False, True])
reasons = st.sampled_from(["", "", "a loyal guest", "a loyal guest", " "])
# Multiples of a quarter of an hour, so that waits can reach the times of the rules (2, 8, 11, 23, and the grace).
hours = st.sampled_from([0.25, 1, 3, 6, 9, 12, 15, 18, 20.75, 24])

RANDOM_STEPS = 8  # steps per call of take_random_steps


class HotelStateMachine(RuleBasedStateMachine):
    """One run is a few days in ``real``, rolled back at the end."""

    real: RealHotel

    def __init__(self) -> None:
        super().__init__()
        self.lockstep = Lockstep(self.real)
        self.broken = False

    def teardown(self) -> None:
        if self.broken:
            note("\n".join(["the run, step by step:", *self.lockstep.log]))
            self.lockstep.discard()
        else:
            self.lockstep.close()

    def do(self, step: str, who: str, **args: Any) -> None:
        # After a failed comparison, teardown does not query the database again.
        self.broken = True
        self.lockstep.do(step, who, **args)
        self.broken = False

    def pick(self, number: int, likely: bool, suits: Callable[[Booking], bool]) -> int:
        """The number of a booking; of one that ``suits``, if ``likely`` and there is one."""
        bookings = self.lockstep.reference.bookings
        found = [each.number for each in bookings if suits(each)] if likely else []
        found = found or [each.number for each in bookings]
        return found[number % len(found)]

    @initialize(
        days=st.lists(st.tuples(st.sampled_from("AAB"), stays, parties), min_size=1, max_size=4),
        nights=st.sampled_from([2, 1, 0, 3]),
        inside=st.sampled_from([True, True, True, False]),
    )
    def begin(self, days: list[tuple[str, tuple[int, int], int]], nights: int, inside: bool) -> None:
        """Start with bookings and, mostly, a guest in house."""
        today = self.lockstep.reference.business_day()
        self.do("create", "agent", kind="A", check_in=today, check_out=today + nights * DAY, adults=1)
        if inside:
            self.do("check_in", "manager", booking=0, room=101)
        for kind, (after, stay), adults in days:
            check_in = today + after * DAY
            self.do("create", "agent", kind=kind, check_in=check_in, check_out=check_in + stay * DAY, adults=adults)

    @rule(seed=st.integers(0, 2**64 - 1))
    def take_random_steps(self, seed: int) -> None:
        """Take several random steps: Hypothesis tends to repeat itself, and this reaches other states."""
        self.broken = True
        run_random_steps(self.lockstep, Random("\n".join([str(seed), *self.lockstep.log])), RANDOM_STEPS)
        self.broken = False

    def tick(self) -> None:
        self.broken = True
        self.lockstep.tick()
        self.broken = False

    # --- rooms --------------------------------------------------------------------------------------------------------

    @rule(
        who=anybody,
        room=numbers,
        to=st.sampled_from(STATUSES),
        source=st.sampled_from(["", "", "HOUSEKEEPING", "FRONT_DESK"]),
        sees=st.sampled_from(["", "", "", "status", "version", "old status", "old version"]),
        force=rarely,
    )
    def set_status(self, who: str, room: int, to: str, source: str, sees: str, force: bool) -> None:
        now = self.lockstep.reference.rooms[room]
        args: dict[str, Any] = {"force": True} if force else {}
        if sees.endswith("status"):
            args["expected"] = now.status if sees == "status" else next(each for each in STATUSES if each != now.status)
        elif sees:
            args["version"] = now.version if sees == "version" else now.version + 1
        self.do("set_status", who, room=room, to=to, source=source, **args)

    @rule(
        who=st.sampled_from(["manager", "manager", "manager", "office", "supervisor"]),
        room=numbers,
        to=st.sampled_from(STATUSES),
        note=st.sampled_from(["I saw it myself", "I saw it myself", " "]),
        force=rarely,
    )
    def override(self, who: str, room: int, to: str, note: str, force: bool) -> None:
        self.do("override", who, room=room, to=to, note=note, force=force)

    @rule(who=managers, room=numbers, force=st.booleans())
    def take_out_of_order(self, who: str, room: int, force: bool) -> None:
        """Report a fault first, so that it works from any status."""
        self.do("flag_fault", who, room=room, priority="MED", note="it drips")
        self.do("set_status", who, room=room, to=OOO, force=force)

    @rule(who=housekeeping, room=numbers)
    def start_cleaning(self, who: str, room: int) -> None:
        self.do("start_cleaning", who, room=room)

    @rule(who=housekeeping, room=numbers)
    def mark_cleaned(self, who: str, room: int) -> None:
        self.do("mark_cleaned", who, room=room)

    @rule(who=st.sampled_from(["supervisor", "manager", "housekeeper"]), room=numbers, passed=mostly)
    def inspect(self, who: str, room: int, passed: bool) -> None:
        self.do("inspect", who, room=room, passed=passed)

    @rule(who=housekeeping, room=numbers)
    def turn_over(self, who: str, room: int) -> None:
        """The usual turnover: cleaned, then inspected."""
        self.do("mark_cleaned", who, room=room)
        self.do("inspect", "supervisor", room=room, passed=True)

    @rule(who=anybody, room=numbers, priority=st.sampled_from(PRIORITIES), note=st.sampled_from(["", "it drips"]))
    def flag_fault(self, who: str, room: int, priority: str, note: str) -> None:
        self.do("flag_fault", who, room=room, priority=priority, note=note)

    @precondition(
        lambda self: any(room.flag or room.status in (MAINT, OOO) for room in self.lockstep.reference.rooms.values())
    )
    @rule(who=anybody, number=indexes)
    def complete_fault(self, who: str, number: int) -> None:
        faulty = [
            room.number for room in self.lockstep.reference.rooms.values() if room.flag or room.status in (MAINT, OOO)
        ]
        self.do("complete_fault", who, room=faulty[number % len(faulty)])

    @rule(who=managers, room=numbers, active=st.sampled_from([True, True, False]), force=rarely)
    def set_active(self, who: str, room: int, active: bool, force: bool) -> None:
        self.do("set_active", who, room=room, is_active=active, force=force)

    @precondition(lambda self: self.lockstep.reference.tasks)
    @rule(
        who=housekeeping,
        step=st.sampled_from(["start_task", "complete_task", "cancel_task", "delete_task"]),
        number=indexes,
    )
    def work_on_task(self, who: str, step: str, number: int) -> None:
        self.do(step, who, task=number % len(self.lockstep.reference.tasks))

    @precondition(lambda self: self.lockstep.reference.tasks)
    @rule(who=housekeeping, to=st.sampled_from([None, *ROLES]), number=indexes)
    def assign_task(self, who: str, to: str | None, number: int) -> None:
        self.do("assign_task", who, task=number % len(self.lockstep.reference.tasks), to=to)

    @rule(who=housekeeping, room=numbers, kind=st.sampled_from(["TURNOVER", "DEEP_CLEAN"]))
    def open_task(self, who: str, room: int, kind: str) -> None:
        self.do("open_task", who, room=room, kind=kind)

    @precondition(lambda self: self.lockstep.reference.bookings)
    @rule(
        who=front_desk,
        room=numbers,
        kind=st.sampled_from(["TURNOVER", "DEEP_CLEAN", "AMENITY", "AMENITY"]),
        number=indexes,
    )
    def open_task_for_a_guest(self, who: str, room: int, kind: str, number: int) -> None:
        self.do("open_task", who, room=room, kind=kind, booking=number % len(self.lockstep.reference.bookings))

    # --- the hotel ----------------------------------------------------------------------------------------------------

    @rule(who=managers, room=numbers, kind=st.sampled_from("AB"), force=rarely)
    def set_type(self, who: str, room: int, kind: str, force: bool) -> None:
        self.do("set_type", who, room=room, kind=kind, force=force)

    @rule(who=st.sampled_from(["manager", "manager", "office"]), kind=st.sampled_from("AB"), beds=st.integers(1, 4))
    def set_beds(self, who: str, kind: str, beds: int) -> None:
        self.do("set_beds", who, kind=kind, beds=beds)

    @rule(who=managers, name=st.sampled_from(list(SETTING_VALUES)), other=mostly)
    def set_rules(self, who: str, name: str, other: bool) -> None:
        self.do("set_rules", who, **{name: SETTING_VALUES[name][other]})

    @precondition(lambda self: self.lockstep.done)
    @rule(number=indexes)
    def retry(self, number: int) -> None:
        """Retry an earlier step, immediately or later."""
        done = list(self.lockstep.done.values())
        step, who, args = done[-1 - number % len(done)]
        self.do(step, who, **args)

    # --- bookings -----------------------------------------------------------------------------------------------------

    @rule(
        who=front_desk,
        room_type=st.sampled_from("AAB"),
        stay=stays,
        adults=parties,
        children=st.sampled_from([0, 0, 1]),
        way=st.sampled_from(["create", "create", "request", "card"]),
        reason=reasons,
    )
    def create(
        self, who: str, room_type: str, stay: tuple[int, int], adults: int, children: int, way: str, reason: str
    ) -> None:
        check_in = self.lockstep.reference.business_day() + stay[0] * DAY
        args = {"kind": room_type, "check_in": check_in, "check_out": check_in + stay[1] * DAY, "adults": adults}
        args |= {"children": children, "reason": reason}
        if way == "card":
            self.do("create", who, **args, card=True)
        else:
            self.do(way, who, **args)

    has_bookings = precondition(lambda self: self.lockstep.reference.bookings)

    def any_with_status(*statuses: str) -> Any:
        """Enables a rule only while some booking has one of the statuses."""
        return precondition(lambda self: any(each.status in statuses for each in self.lockstep.reference.bookings))

    @has_bookings
    @rule(
        who=front_desk,
        number=indexes,
        likely=mostly,
        begins=st.sampled_from([0, 0, -1, 1]),
        ends=st.sampled_from([1, -1, 2, 0]),
        notes=st.sampled_from([None, None, "loud"]),
        adults=st.sampled_from([None, None, 1, 3]),
        kind=st.sampled_from([None, None, "A", "B"]),
        stale=st.sampled_from([False, False, False, True]),
        reason=reasons,
    )
    def edit(
        self,
        who: str,
        number: int,
        likely: bool,
        begins: int,
        ends: int,
        notes: str | None,
        adults: int | None,
        kind: str | None,
        stale: bool,
        reason: str,
    ) -> None:
        booking = self.pick(number, likely, lambda each: each.status in (PENDING, CONFIRMED, IN_HOUSE))
        it = self.lockstep.reference.bookings[booking]
        dates = {"check_in": it.check_in + begins * DAY if begins else None}
        dates["check_out"] = it.check_out + ends * DAY if ends else None
        self.do(
            "edit", who, booking=booking, notes=notes, adults=adults, kind=kind, stale=stale, reason=reason, **dates
        )

    @has_bookings
    @rule(who=front_desk, number=indexes)
    def mark_seen(self, who: str, number: int) -> None:
        self.do("mark_seen", who, booking=number % len(self.lockstep.reference.bookings))

    @has_bookings
    @rule(who=front_desk, number=indexes, likely=mostly, count=st.integers(0, 2), reason=reasons)
    def companions(self, who: str, number: int, likely: bool, count: int, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status in (PENDING, CONFIRMED, IN_HOUSE))
        self.do("companions", who, booking=booking, count=count, reason=reason)

    @any_with_status(PENDING)
    @rule(who=front_desk, step=st.sampled_from(["confirm", "approve", "decline"]), number=indexes, likely=mostly)
    def decide(self, who: str, step: str, number: int, likely: bool) -> None:
        self.do(step, who, booking=self.pick(number, likely, lambda each: each.status == PENDING))

    @has_bookings
    @rule(who=managers, number=indexes, likely=mostly, reason=st.sampled_from(["the ferry", "the ferry", " "]))
    def cancel(self, who: str, number: int, likely: bool, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status in (CONFIRMED, IN_HOUSE))
        self.do("cancel", who, booking=booking, reason=reason)

    @any_with_status(CONFIRMED)
    @rule(who=front_desk, number=indexes, likely=mostly)
    def no_show(self, who: str, number: int, likely: bool) -> None:
        self.do("no_show", who, booking=self.pick(number, likely, lambda each: each.status == CONFIRMED))

    @any_with_status(CANCELLED, NO_SHOW)
    @rule(who=managers, number=indexes, likely=mostly)
    def reinstate(self, who: str, number: int, likely: bool) -> None:
        self.do("reinstate", who, booking=self.pick(number, likely, lambda each: each.status in (CANCELLED, NO_SHOW)))

    @any_with_status(IN_HOUSE)
    @rule(who=managers, number=indexes, likely=mostly)
    def undo_check_in(self, who: str, number: int, likely: bool) -> None:
        self.do("undo_check_in", who, booking=self.pick(number, likely, lambda each: each.status == IN_HOUSE))

    @any_with_status(CONFIRMED)
    @rule(
        who=front_desk, number=indexes, likely=mostly, room=numbers, fits=mostly, reason=reasons, upgrade=st.booleans()
    )
    def assign(self, who: str, number: int, likely: bool, room: int, fits: bool, reason: str, upgrade: bool) -> None:
        booking = self.pick(number, likely, lambda each: each.status == CONFIRMED)
        room = self.fitting(booking, room, fits)
        self.do("assign", who, booking=booking, room=room, reason=reason, upgrade=upgrade)

    def fitting(self, booking: int, room: int, fits: bool) -> int:
        """A room of the booked type if ``fits``, else ``room``."""
        booked = self.lockstep.reference.bookings[booking].type
        return room if not fits or ROOMS[room] == booked else {"A": 101, "B": 201}[booked]

    @any_with_status(CONFIRMED)
    @rule(who=front_desk, number=indexes, likely=mostly, reason=reasons)
    def unassign(self, who: str, number: int, likely: bool, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status == CONFIRMED and each.room is not None)
        self.do("unassign", who, booking=booking, reason=reason)

    @any_with_status(CONFIRMED)
    @rule(
        who=front_desk,
        number=indexes,
        likely=mostly,
        room=st.one_of(numbers, st.none()),
        fits=mostly,
        reason=st.sampled_from(["", "", "walked in", " "]),
        upgrade=st.booleans(),
    )
    def check_in(
        self, who: str, number: int, likely: bool, room: int | None, fits: bool, reason: str, upgrade: bool
    ) -> None:
        booking = self.pick(number, likely, lambda each: each.status == CONFIRMED)
        room = room and self.fitting(booking, room, fits)
        self.do("check_in", who, booking=booking, room=room, reason=reason, upgrade=upgrade)

    @any_with_status(IN_HOUSE)
    @rule(who=front_desk, number=indexes, likely=mostly)
    def check_out(self, who: str, number: int, likely: bool) -> None:
        self.do("check_out", who, booking=self.pick(number, likely, lambda each: each.status == IN_HOUSE))

    @any_with_status(COMPLETED)
    @rule(
        who=managers,
        number=indexes,
        likely=mostly,
        room=st.one_of(st.none(), st.none(), numbers),
        reason=st.sampled_from(["the wrong guest", "the wrong guest", "", " "]),
    )
    def undo_check_out(self, who: str, number: int, likely: bool, room: int | None, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status == COMPLETED)
        self.do("undo_check_out", who, booking=booking, room=room, reason=reason)

    @rule(who=front_desk, rooms=some_rooms)
    def check_in_rooms(self, who: str, rooms: list[int]) -> None:
        self.do("check_in_rooms", who, rooms=rooms)

    @rule(who=front_desk, rooms=some_rooms)
    def check_out_rooms(self, who: str, rooms: list[int]) -> None:
        self.do("check_out_rooms", who, rooms=rooms)

    @any_with_status(IN_HOUSE)
    @rule(who=front_desk, number=indexes, likely=mostly, room=numbers)
    def move(self, who: str, number: int, likely: bool, room: int) -> None:
        booking = self.pick(number, likely, lambda each: each.status == IN_HOUSE)
        self.do("move", who, booking=booking, room=room)

    @any_with_status(IN_HOUSE)
    @rule(who=front_desk, number=indexes, likely=mostly, note=st.sampled_from(["", "packing"]), dismiss=st.booleans())
    def acknowledge(self, who: str, number: int, likely: bool, note: str, dismiss: bool) -> None:
        booking = self.pick(number, likely, lambda each: each.status == IN_HOUSE)
        self.do("acknowledge", who, booking=booking, note=note, dismiss=dismiss)

    @any_with_status(IN_HOUSE)
    @rule(who=front_desk, number=indexes, likely=mostly, nights=st.integers(1, 3), reason=reasons)
    def extend(self, who: str, number: int, likely: bool, nights: int, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status == IN_HOUSE)
        self.do("extend", who, booking=booking, nights=nights, reason=reason)

    @any_with_status(CONFIRMED)
    @rule(who=managers, number=indexes, room=st.sampled_from([102, 101]))
    def arrive(self, who: str, number: int, room: int) -> None:
        """The usual arrival, into the first room of the type, at any hour."""
        booking = self.pick(number, True, lambda each: each.status == CONFIRMED)  # noqa: FBT003 - likely
        self.do("companions", who, booking=booking, count=2)
        self.do("check_in", who, booking=booking, room=self.fitting(booking, room, True), reason="welcome")  # noqa: FBT003

    # --- time ---------------------------------------------------------------------------------------------------------

    @rule(passed=hours)
    def wait(self, passed: float) -> None:
        self.lockstep.wait(passed)

    @rule(passed=hours)
    def wait_and_tick(self, passed: float) -> None:
        self.lockstep.wait(passed)
        self.tick()
