"""The machine that thinks up days in a house: people, the clock and the periodic work, in any order."""

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.busy import RULES, live
from tests.model.rules import (
    CANCELLED,
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
from tests.model.world import ROOMS, RealHouse, World

numbers = st.sampled_from(sorted(ROOMS))
some_rooms = st.lists(numbers, min_size=1, max_size=3, unique=True)
picks = st.integers(0, 5)
# Most steps are taken by somebody who may, so that something happens.
desk = st.sampled_from(
    ["agent", "office", "manager", "agent", "office", "agent", "manager", "housekeeper", "supervisor"]
)
boss = st.sampled_from(["manager", "office", "manager", "office", "manager", "office", "agent", "supervisor"])
floor = st.sampled_from(
    ["manager", "supervisor", "housekeeper", "manager", "supervisor", "housekeeper", "agent", "office"]
)
anybody = st.sampled_from(ROLES)
parties = st.sampled_from([1, 2, 3])
stays = st.tuples(st.sampled_from([0, 0, 0, -1, 1, 2]), st.sampled_from([1, 2, 0, 3, -1]))
apt = st.sampled_from([True, True, True, False])
seldom = st.sampled_from([False, False, False, True])
reasons = st.sampled_from(["", "", "a loyal guest", "a loyal guest", " "])
# A quarter of an hour; the hours at which something begins or ends (8, 11, 2, 23, with the grace) lie on its grid.
hours = st.sampled_from([0.25, 1, 3, 6, 9, 12, 15, 18, 20.75, 24])

BUSY = 8  # steps at once


class Machine(RuleBasedStateMachine):
    """One run is a few days in ``real``, which is afterwards as it was before."""

    real: RealHouse

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.real)
        self.broken = False

    def teardown(self) -> None:
        if self.broken:
            note("\n".join(["the run, step by step:", *self.world.log]))
            self.world.discard()
        else:
            self.world.close()

    def do(self, step: str, who: str, **args: Any) -> None:
        # A comparison that failed has said what is wrong: the database is not asked again.
        self.broken = True
        self.world.do(step, who, **args)
        self.broken = False

    def pick(self, number: int, likely: bool, suits: Callable[[Booking], bool]) -> int:
        """A booking: one that the step is meant for, where ``likely`` and there is any."""
        bookings = self.world.house.bookings
        found = [each.number for each in bookings if suits(each)] if likely else []
        found = found or [each.number for each in bookings]
        return found[number % len(found)]

    @initialize(
        days=st.lists(st.tuples(st.sampled_from("AAB"), stays, parties), min_size=1, max_size=4),
        nights=st.sampled_from([2, 1, 0, 3]),
        inside=st.sampled_from([True, True, True, False]),
    )
    def begin(self, days: list[tuple[str, tuple[int, int], int]], nights: int, inside: bool) -> None:
        """A house is never empty: bookings, and mostly somebody in a room."""
        today = self.world.house.business_day()
        self.do("create", "agent", kind="A", check_in=today, check_out=today + nights * DAY, adults=1)
        if inside:
            self.do("check_in", "manager", booking=0, room=101)
        for kind, (after, stay), adults in days:
            check_in = today + after * DAY
            self.do("create", "agent", kind=kind, check_in=check_in, check_out=check_in + stay * DAY, adults=adults)

    @rule(seed=st.integers(0, 2**64 - 1))
    def be_busy(self, seed: int) -> None:
        """Several steps drawn by chance: Hypothesis likes to repeat what it did, and this goes on to somewhere else."""
        self.broken = True
        live(self.world, Random("\n".join([str(seed), *self.world.log])), BUSY)
        self.broken = False

    def tick(self) -> None:
        self.broken = True
        self.world.tick()
        self.broken = False

    # --- rooms --------------------------------------------------------------------------------------------------------

    @rule(
        who=anybody,
        room=numbers,
        to=st.sampled_from(STATUSES),
        source=st.sampled_from(["", "", "HOUSEKEEPING", "FRONT_DESK"]),
        sees=st.sampled_from(["", "", "", "status", "version", "old status", "old version"]),
        force=seldom,
    )
    def set_status(self, who: str, room: int, to: str, source: str, sees: str, force: bool) -> None:
        now = self.world.house.rooms[room]
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
        force=seldom,
    )
    def override(self, who: str, room: int, to: str, note: str, force: bool) -> None:
        self.do("override", who, room=room, to=to, note=note, force=force)

    @rule(who=boss, room=numbers, force=st.booleans())
    def take_out_of_order(self, who: str, room: int, force: bool) -> None:
        """By way of its fault, from wherever it is."""
        self.do("flag_fault", who, room=room, priority="MED", note="it drips")
        self.do("set_status", who, room=room, to=OOO, force=force)

    @rule(who=floor, room=numbers)
    def start_cleaning(self, who: str, room: int) -> None:
        self.do("start_cleaning", who, room=room)

    @rule(who=floor, room=numbers)
    def mark_cleaned(self, who: str, room: int) -> None:
        self.do("mark_cleaned", who, room=room)

    @rule(who=st.sampled_from(["supervisor", "manager", "housekeeper"]), room=numbers, passed=apt)
    def inspect(self, who: str, room: int, passed: bool) -> None:
        self.do("inspect", who, room=room, passed=passed)

    @rule(who=floor, room=numbers)
    def turn_over(self, who: str, room: int) -> None:
        """The way of most days."""
        self.do("mark_cleaned", who, room=room)
        self.do("inspect", "supervisor", room=room, passed=True)

    @rule(who=anybody, room=numbers, priority=st.sampled_from(PRIORITIES), note=st.sampled_from(["", "it drips"]))
    def flag_fault(self, who: str, room: int, priority: str, note: str) -> None:
        self.do("flag_fault", who, room=room, priority=priority, note=note)

    @precondition(
        lambda self: any(room.flag or room.status in (MAINT, OOO) for room in self.world.house.rooms.values())
    )
    @rule(who=anybody, number=picks)
    def complete_fault(self, who: str, number: int) -> None:
        faulty = [room.number for room in self.world.house.rooms.values() if room.flag or room.status in (MAINT, OOO)]
        self.do("complete_fault", who, room=faulty[number % len(faulty)])

    @rule(who=boss, room=numbers, active=st.sampled_from([True, True, False]), force=seldom)
    def set_active(self, who: str, room: int, active: bool, force: bool) -> None:
        self.do("set_active", who, room=room, is_active=active, force=force)

    @precondition(lambda self: self.world.house.tasks)
    @rule(who=floor, step=st.sampled_from(["start_task", "complete_task", "cancel_task", "delete_task"]), number=picks)
    def work_on_task(self, who: str, step: str, number: int) -> None:
        self.do(step, who, task=number % len(self.world.house.tasks))

    @precondition(lambda self: self.world.house.tasks)
    @rule(who=floor, to=st.sampled_from([None, *ROLES]), number=picks)
    def assign_task(self, who: str, to: str | None, number: int) -> None:
        self.do("assign_task", who, task=number % len(self.world.house.tasks), to=to)

    @rule(who=floor, room=numbers, kind=st.sampled_from(["TURNOVER", "DEEP_CLEAN"]))
    def open_task(self, who: str, room: int, kind: str) -> None:
        self.do("open_task", who, room=room, kind=kind)

    @precondition(lambda self: self.world.house.bookings)
    @rule(who=desk, room=numbers, kind=st.sampled_from(["TURNOVER", "DEEP_CLEAN", "AMENITY", "AMENITY"]), number=picks)
    def open_task_for_a_guest(self, who: str, room: int, kind: str, number: int) -> None:
        self.do("open_task", who, room=room, kind=kind, booking=number % len(self.world.house.bookings))

    # --- the house ----------------------------------------------------------------------------------------------------

    @rule(who=boss, room=numbers, kind=st.sampled_from("AB"), force=seldom)
    def set_type(self, who: str, room: int, kind: str, force: bool) -> None:
        self.do("set_type", who, room=room, kind=kind, force=force)

    @rule(who=st.sampled_from(["manager", "manager", "office"]), kind=st.sampled_from("AB"), beds=st.integers(1, 4))
    def set_beds(self, who: str, kind: str, beds: int) -> None:
        self.do("set_beds", who, kind=kind, beds=beds)

    @rule(who=boss, name=st.sampled_from(list(RULES)), other=apt)
    def set_rules(self, who: str, name: str, other: bool) -> None:
        self.do("set_rules", who, **{name: RULES[name][other]})

    @precondition(lambda self: self.world.done)
    @rule(number=picks)
    def once_more(self, number: int) -> None:
        """A step that was taken, as from a screen that is touched twice, at once or later."""
        done = list(self.world.done.values())
        step, who, args = done[-1 - number % len(done)]
        self.do(step, who, **args)

    # --- bookings -----------------------------------------------------------------------------------------------------

    @rule(
        who=desk,
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
        check_in = self.world.house.business_day() + stay[0] * DAY
        args = {"kind": room_type, "check_in": check_in, "check_out": check_in + stay[1] * DAY, "adults": adults}
        args |= {"children": children, "reason": reason}
        if way == "card":
            self.do("create", who, **args, card=True)
        else:
            self.do(way, who, **args)

    has_bookings = precondition(lambda self: self.world.house.bookings)

    def somebody(*statuses: str) -> Any:
        """A step for bookings of these statuses, which waits until there is one."""
        return precondition(lambda self: any(each.status in statuses for each in self.world.house.bookings))

    @has_bookings
    @rule(
        who=desk,
        number=picks,
        likely=apt,
        begins=st.sampled_from([0, 0, -1, 1]),
        ends=st.sampled_from([1, -1, 2, 0]),
        notes=st.sampled_from([None, None, "loud"]),
        adults=st.sampled_from([None, None, 1, 3]),
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
        stale: bool,
        reason: str,
    ) -> None:
        booking = self.pick(number, likely, lambda each: each.status in (PENDING, CONFIRMED, IN_HOUSE))
        it = self.world.house.bookings[booking]
        dates = {"check_in": it.check_in + begins * DAY if begins else None}
        dates["check_out"] = it.check_out + ends * DAY if ends else None
        self.do("edit", who, booking=booking, notes=notes, adults=adults, stale=stale, reason=reason, **dates)

    @has_bookings
    @rule(who=desk, number=picks)
    def mark_seen(self, who: str, number: int) -> None:
        self.do("mark_seen", who, booking=number % len(self.world.house.bookings))

    @has_bookings
    @rule(who=desk, number=picks, likely=apt, count=st.integers(0, 2), reason=reasons)
    def companions(self, who: str, number: int, likely: bool, count: int, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status in (PENDING, CONFIRMED, IN_HOUSE))
        self.do("companions", who, booking=booking, count=count, reason=reason)

    @somebody(PENDING)
    @rule(who=desk, step=st.sampled_from(["confirm", "approve", "decline"]), number=picks, likely=apt)
    def decide(self, who: str, step: str, number: int, likely: bool) -> None:
        self.do(step, who, booking=self.pick(number, likely, lambda each: each.status == PENDING))

    @has_bookings
    @rule(who=boss, number=picks, likely=apt, reason=st.sampled_from(["the ferry", "the ferry", " "]))
    def cancel(self, who: str, number: int, likely: bool, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status in (CONFIRMED, IN_HOUSE))
        self.do("cancel", who, booking=booking, reason=reason)

    @somebody(CONFIRMED)
    @rule(who=desk, number=picks, likely=apt)
    def no_show(self, who: str, number: int, likely: bool) -> None:
        self.do("no_show", who, booking=self.pick(number, likely, lambda each: each.status == CONFIRMED))

    @somebody(CANCELLED, NO_SHOW)
    @rule(who=boss, number=picks, likely=apt)
    def reinstate(self, who: str, number: int, likely: bool) -> None:
        self.do("reinstate", who, booking=self.pick(number, likely, lambda each: each.status in (CANCELLED, NO_SHOW)))

    @somebody(IN_HOUSE)
    @rule(who=boss, number=picks, likely=apt)
    def undo_check_in(self, who: str, number: int, likely: bool) -> None:
        self.do("undo_check_in", who, booking=self.pick(number, likely, lambda each: each.status == IN_HOUSE))

    @somebody(CONFIRMED)
    @rule(who=desk, number=picks, likely=apt, room=numbers, fits=apt, reason=reasons)
    def assign(self, who: str, number: int, likely: bool, room: int, fits: bool, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status == CONFIRMED)
        self.do("assign", who, booking=booking, room=self.fitting(booking, room, fits), reason=reason)

    def fitting(self, booking: int, room: int, fits: bool) -> int:
        """A room of the booking's own type, where ``fits``."""
        wanted = self.world.house.bookings[booking].type
        return room if not fits or ROOMS[room] == wanted else {"A": 101, "B": 201}[wanted]

    @somebody(CONFIRMED)
    @rule(who=desk, number=picks, likely=apt, reason=reasons)
    def unassign(self, who: str, number: int, likely: bool, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status == CONFIRMED and each.room is not None)
        self.do("unassign", who, booking=booking, reason=reason)

    @somebody(CONFIRMED)
    @rule(
        who=desk,
        number=picks,
        likely=apt,
        room=st.one_of(numbers, st.none()),
        fits=apt,
        reason=st.sampled_from(["", "", "walked in", " "]),
    )
    def check_in(self, who: str, number: int, likely: bool, room: int | None, fits: bool, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status == CONFIRMED)
        self.do("check_in", who, booking=booking, room=room and self.fitting(booking, room, fits), reason=reason)

    @somebody(IN_HOUSE)
    @rule(who=desk, number=picks, likely=apt)
    def check_out(self, who: str, number: int, likely: bool) -> None:
        self.do("check_out", who, booking=self.pick(number, likely, lambda each: each.status == IN_HOUSE))

    @rule(who=desk, rooms=some_rooms)
    def check_in_rooms(self, who: str, rooms: list[int]) -> None:
        self.do("check_in_rooms", who, rooms=rooms)

    @rule(who=desk, rooms=some_rooms)
    def check_out_rooms(self, who: str, rooms: list[int]) -> None:
        self.do("check_out_rooms", who, rooms=rooms)

    @somebody(IN_HOUSE)
    @rule(who=desk, number=picks, likely=apt, room=numbers)
    def move(self, who: str, number: int, likely: bool, room: int) -> None:
        booking = self.pick(number, likely, lambda each: each.status == IN_HOUSE)
        self.do("move", who, booking=booking, room=room)

    @somebody(IN_HOUSE)
    @rule(who=desk, number=picks, likely=apt, note=st.sampled_from(["", "packing"]), dismiss=st.booleans())
    def acknowledge(self, who: str, number: int, likely: bool, note: str, dismiss: bool) -> None:
        booking = self.pick(number, likely, lambda each: each.status == IN_HOUSE)
        self.do("acknowledge", who, booking=booking, note=note, dismiss=dismiss)

    @somebody(IN_HOUSE)
    @rule(who=desk, number=picks, likely=apt, nights=st.integers(1, 3), reason=reasons)
    def extend(self, who: str, number: int, likely: bool, nights: int, reason: str) -> None:
        booking = self.pick(number, likely, lambda each: each.status == IN_HOUSE)
        self.do("extend", who, booking=booking, nights=nights, reason=reason)

    @somebody(CONFIRMED)
    @rule(who=boss, number=picks, room=st.sampled_from([102, 101]))
    def arrive(self, who: str, number: int, room: int) -> None:
        """The way of most days: the first room of the type, at whatever hour it is."""
        booking = self.pick(number, True, lambda each: each.status == CONFIRMED)  # noqa: FBT003 - likely
        self.do("companions", who, booking=booking, count=2)
        self.do("check_in", who, booking=booking, room=self.fitting(booking, room, True), reason="welcome")  # noqa: FBT003

    # --- time ---------------------------------------------------------------------------------------------------------

    @rule(passed=hours)
    def wait(self, passed: float) -> None:
        self.world.wait(passed)

    @rule(passed=hours)
    def wait_and_tick(self, passed: float) -> None:
        self.world.wait(passed)
        self.tick()
