"""Random steps, drawn so that most of them succeed: by a role with the right, for a booking in a fitting status."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple

from tests.model.lockstep import Lockstep
from tests.model.reference_hotel import (
    CANCELLED,
    CLEANED,
    CLEANING,
    CONFIRMED,
    DAY,
    DIRTY,
    IN_HOUSE,
    MAINT,
    NO_SHOW,
    OOO,
    PENDING,
    PRIORITIES,
    READY,
    RIGHTS,
    ROLES,
    STATUSES,
    ReferenceHotel,
)


class StepKind(NamedTuple):
    """A kind of step: its weight, the right it needs, the booking statuses it applies to, and its other arguments."""

    weight: int
    right: str
    suits: tuple[str, ...] = ()
    arguments: Callable[[Random, ReferenceHotel], dict[str, Any]] = lambda rng, reference: {}  # noqa: ARG005


REASONS = ("", "", "a loyal guest", "a loyal guest", " ")


def _room(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    return {"room": rng.choice(list(reference.rooms))}


def _reason(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    return {"reason": rng.choice(REASONS)}


def _both(
    *ways: Callable[[Random, ReferenceHotel], dict[str, Any]],
) -> Callable[[Random, ReferenceHotel], dict[str, Any]]:
    return lambda rng, reference: {name: value for way in ways for name, value in way(rng, reference).items()}


def _stay(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    check_in = reference.business_day() + rng.choice([0, 0, 0, 1, 2, -1]) * DAY
    check_out = check_in + rng.choice([0, 1, 1, 2, 3, -1]) * DAY
    return {
        "kind": rng.choice("AAB"),
        "check_in": check_in,
        "check_out": check_out,
        "adults": rng.choice([1, 1, 2, 3]),
        "children": rng.choice([0, 0, 0, 1, 2]),
        "reason": rng.choice(REASONS),
    }


def _stay_by_card(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    return {**_stay(rng, reference), "card": rng.random() < 0.1}


def _edit(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    day = reference.business_day()
    return {
        "check_in": rng.choice([None, None, day, day + DAY]),
        "check_out": rng.choice([None, day, day + DAY, day + 2 * DAY, day + 3 * DAY]),
        "notes": rng.choice([None, None, "loud", "louder"]),
        "adults": rng.choice([None, None, None, 1, 2, 3]),
        "children": rng.choice([None, None, None, 0, 2]),
        "kind": rng.choice([None, None, None, "A", "B"]),
        "stale": rng.random() < 0.1,
        "reason": rng.choice(REASONS),
    }


def _status(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    room = rng.choice(list(reference.rooms))
    arguments = {"room": room, "to": rng.choice(STATUSES), "source": rng.choice(["", "", "HOUSEKEEPING", "FRONT_DESK"])}
    if rng.random() < 0.25:
        arguments["to"] = OOO
    arguments["force"] = rng.random() < 0.3
    sees = rng.random()
    if sees < 0.1:
        arguments["expected"] = rng.choice(STATUSES)
    elif sees < 0.2:
        arguments["version"] = reference.rooms[room].version - rng.choice([0, 1])
    return arguments


# The values of each setting, the default first.
SETTING_VALUES: dict[str, tuple[Any, ...]] = {
    "checkout_time": (time(11), time(12)),
    "grace": (timedelta(minutes=30), timedelta(0)),
    "earliest_check_in": (time(8), time(6)),
    "cutoff": (time(2), time(4)),
    "approval_cutoff": (time(23), time(18)),
    "overbooking": (False, True),
    "whole_party": (False, True),
}


def _rules(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    return {name: rng.choice(SETTING_VALUES[name]) for name in rng.sample(list(SETTING_VALUES), 2)}


def _extension(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    said = _reason(rng, reference)
    if rng.random() < 0.7:
        return {**said, "nights": rng.choice([1, 2, 3])}
    return {**said, "until": reference.business_day() + rng.choice([0, 1, 2, 3]) * DAY}


def _several(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    return {"rooms": rng.sample(list(reference.rooms), rng.choice([1, 2, 3]))}


def _task(rng: Random, reference: ReferenceHotel) -> dict[str, Any]:
    arguments = {
        **_room(rng, reference),
        "kind": rng.choice(["TURNOVER", "DEEP_CLEAN", "INSPECTION", "AMENITY", "AMENITY"]),
    }
    return (
        {**arguments, "booking": rng.randrange(len(reference.bookings))}
        if reference.bookings and rng.random() < 0.8
        else arguments
    )


def _choice(name: str, *values: Any) -> Callable[[Random, ReferenceHotel], dict[str, Any]]:
    return lambda rng, reference: {name: rng.choice(values)}  # noqa: ARG005


def _with_room(name: str, *values: Any) -> Callable[[Random, ReferenceHotel], dict[str, Any]]:
    return lambda rng, reference: {**_room(rng, reference), name: rng.choice(values)}


MOSTLY, SELDOM = (True, True, True, False), (False, False, True)
_force = _choice("force", *SELDOM)
STEP_KINDS = {
    "set_status": StepKind(10, "", (), _status),
    "override": StepKind(
        4,
        "housekeeping.status_override",
        (),
        lambda rng, reference: {
            **_room(rng, reference),
            "to": rng.choice(STATUSES),
            "note": rng.choice(["I saw it myself", "I saw it myself", " "]),
            "force": rng.random() < 0.3,
        },
    ),
    "start_cleaning": StepKind(4, "rooms.status_transition", (), _room),
    "mark_cleaned": StepKind(6, "rooms.status_transition", (), _room),
    "inspect": StepKind(8, "rooms.inspect", (), _with_room("passed", *MOSTLY)),
    "flag_fault": StepKind(
        7,
        "rooms.maintenance_flag",
        (),
        lambda rng, reference: {
            **_room(rng, reference),
            "priority": rng.choice(PRIORITIES),
            "note": rng.choice(["", "it drips"]),
        },
    ),
    "complete_fault": StepKind(5, "rooms.maintenance_clear", (), _room),
    "set_active": StepKind(3, "rooms.inventory_update", (), _both(_with_room("is_active", *MOSTLY), _force)),
    "set_type": StepKind(3, "rooms.inventory_update", (), _both(_with_room("kind", *"AAAB"), _force)),
    "set_beds": StepKind(2, "rooms.type_manage", (), _both(_choice("kind", *"AB"), _choice("beds", 1, 2, 2, 3, 4))),
    "set_rules": StepKind(2, "bookings.manage_rules", (), _rules),
    "create": StepKind(7, "bookings.create", (), _stay_by_card),
    "request": StepKind(3, "bookings.create", (), _stay),
    "edit": StepKind(5, "bookings.update", (PENDING, CONFIRMED, IN_HOUSE), _edit),
    "mark_seen": StepKind(3, "bookings.update", (PENDING, CONFIRMED)),
    "companions": StepKind(
        3, "bookings.update", (PENDING, CONFIRMED, IN_HOUSE), _both(_choice("count", 0, 1, 2, 2), _reason)
    ),
    "confirm": StepKind(2, "bookings.update", (PENDING, CONFIRMED)),
    "approve": StepKind(2, "bookings.update", (PENDING, CONFIRMED)),
    "decline": StepKind(2, "bookings.cancel", (PENDING, PENDING, "DECLINED")),
    "cancel": StepKind(
        3, "bookings.cancel", (CONFIRMED, IN_HOUSE, CANCELLED), _choice("reason", "the ferry", "fog", " ")
    ),
    "no_show": StepKind(3, "bookings.cancel", (CONFIRMED, NO_SHOW)),
    "reinstate": StepKind(3, "bookings.supervise", (CANCELLED, NO_SHOW)),
    "undo_check_in": StepKind(3, "bookings.supervise", (IN_HOUSE,)),
    "assign": StepKind(7, "bookings.assign_room", (CONFIRMED,), _both(_room, _reason, _choice("upgrade", *SELDOM))),
    "unassign": StepKind(2, "bookings.assign_room", (CONFIRMED,), _reason),
    "check_in": StepKind(
        12,
        "bookings.checkin",
        (CONFIRMED,),
        lambda rng, reference: {
            "room": rng.choice([None, *reference.rooms]),
            "reason": rng.choice(["", "", "welcome", " "]),
            "upgrade": rng.choice(SELDOM),
        },
    ),
    "check_out": StepKind(4, "bookings.checkout", (IN_HOUSE, "COMPLETED")),
    "undo_check_out": StepKind(
        5,
        "bookings.checkout",
        ("COMPLETED",),
        lambda rng, reference: {
            "room": rng.choice([None, None, None, *reference.rooms]),
            "reason": rng.choice(["", "the wrong guest", "the wrong guest", " "]),
        },
    ),
    "check_in_rooms": StepKind(4, "bookings.checkin", (), _several),
    "check_out_rooms": StepKind(2, "rooms.checkout_bulk", (), _several),
    "move": StepKind(6, "bookings.assign_room", (IN_HOUSE,), _room),
    "acknowledge": StepKind(
        3,
        "bookings.resolve_overstay",
        (IN_HOUSE,),
        lambda rng, reference: {  # noqa: ARG005
            "note": rng.choice(["", "packing"]),
            "dismiss": rng.random() < 0.3,
        },
    ),
    "extend": StepKind(3, "bookings.extend", (IN_HOUSE,), _extension),
    "open_task": StepKind(3, "housekeeping.task_create", (), _task),
    "assign_task": StepKind(2, "housekeeping.task_assign", (), _choice("to", None, *ROLES)),
    "start_task": StepKind(2, "housekeeping.task_execute"),
    "complete_task": StepKind(2, "housekeeping.task_execute"),
    "cancel_task": StepKind(1, "housekeeping.task_cancel"),
    "delete_task": StepKind(1, "housekeeping.task_cancel"),
}
WAITS = (0.25, 0.25, 0.5, 1, 1, 3, 3, 6, 9, 12, 20.75)  # hours
MINUTE = timedelta(minutes=1)


def permitted_role(rng: Random, name: str) -> str:
    """A random role that has the right to the step."""
    return rng.choice([who for who in ROLES if STEP_KINDS[name].right in RIGHTS[who]])


def turning_points(reference: ReferenceHotel) -> list[datetime]:
    """The coming times at which a rule changes its answer: deadlines, arrival windows, ends of a day."""
    today, settings = reference.local_time.date(), reference.settings
    found = [each.deadline for each in reference.bookings if each.status == PENDING and each.deadline]
    for each in reference.bookings:
        if each.status == IN_HOUSE:
            found.append(reference.at(each.check_out, settings["checkout_time"]) + settings["grace"])
        elif each.status == CONFIRMED:
            found.append(reference.at(each.check_in, settings["earliest_check_in"]))
    found += [reference.at(today + DAY, settings["cutoff"]), reference.at(today + DAY, time(0))]
    return [each for each in found if reference.now < each < reference.now + 2 * DAY]


def let_time_pass(rng: Random, lockstep: Lockstep) -> None:
    """Wait, often until just around a turning point; usually the worker runs, sometimes it is late."""
    reference, ends = lockstep.reference, turning_points(lockstep.reference)
    if ends and rng.random() < 0.5:
        until = rng.choice(ends) + rng.choice([0, 1]) * MINUTE
        lockstep.wait((until - reference.now) / timedelta(hours=1))
    else:
        lockstep.wait(rng.choice(WAITS))
    if rng.random() < 0.7:
        lockstep.tick()


def likely_step(rng: Random, reference: ReferenceHotel) -> tuple[str, str, dict[str, Any]] | None:
    """A step that keeps the hotel running, such as cleaning a room or checking in a guest: without these, most other
    steps would soon be refused."""
    late = [
        each
        for each in reference.bookings
        if each.status == PENDING and each.deadline and each.deadline < reference.now
    ]
    if late and rng.random() < 0.7:
        name = rng.choice(["approve", "confirm"])
        return name, permitted_role(rng, name), {"booking": rng.choice(late).number}
    room = rng.choice(list(reference.rooms.values()))
    said: dict[str, Any] = {"room": room.number}
    if rng.random() < 0.12:  # into the room in its current state: mostly refused
        guests = [each for each in reference.bookings if each.status in (CONFIRMED, IN_HOUSE) and each.room is not room]
        if guests:
            booking = rng.choice(guests)
            name = "move" if booking.status == IN_HOUSE else rng.choice(["assign", "check_in"])
            return name, permitted_role(rng, name), {**said, "booking": booking.number}
    if not room.active:
        return "set_active", "office", {**said, "is_active": True}
    if room.flag and room.status in (DIRTY, CLEANING, CLEANED) and rng.random() < 0.5:
        return "set_status", "manager", {**said, "to": READY}  # ignoring its fault
    if room.status == DIRTY and rng.random() < 0.3:
        return "start_cleaning", permitted_role(rng, "start_cleaning"), said
    if room.status == CLEANING and rng.random() < 0.4:  # by the same person or, more often, another
        return "start_cleaning", permitted_role(rng, "start_cleaning"), said
    if room.status in (DIRTY, CLEANING):
        return "mark_cleaned", "housekeeper", said
    if room.status == CLEANED:
        return "inspect", "supervisor", {**said, "passed": True}
    if room.status == MAINT and rng.random() < 0.5:
        return "set_status", "supervisor", {**said, "to": DIRTY}  # keeping its fault
    if room.status == MAINT:
        return "complete_fault", "office", said
    if room.status == OOO:
        return "set_status", "supervisor", {**said, "to": READY}
    inside = [each for each in reference.bookings if each.status == IN_HOUSE and each.room is not room]
    if room.bookable and inside and rng.random() < 0.25:
        crowd = max(inside, key=lambda each: each.adults + each.children)
        return "move", permitted_role(rng, "move"), {**said, "booking": crowd.number}
    due = [
        each
        for each in reference.bookings
        if each.status == CONFIRMED and each.type == room.type and each.check_in <= reference.business_day()
    ]
    if not due:
        return "create", "agent", {**_stay(rng, reference), "kind": room.type}
    booking = rng.choice(due)
    if booking.named < booking.adults - 1:
        return "companions", "agent", {"booking": booking.number, "count": booking.adults - 1}
    way = rng.choice(["assign", "check_in", "check_in", "check_in_rooms"])
    if way == "check_in_rooms":
        return way, "agent", {"rooms": list(reference.rooms)}
    return way, "agent", {**said, "booking": booking.number}


def random_step(rng: Random, reference: ReferenceHotel) -> tuple[str, str, dict[str, Any]] | None:
    """A step, its role and its arguments; ``None`` if there is nothing to apply it to yet."""
    name = rng.choices(list(STEP_KINDS), [kind.weight for kind in STEP_KINDS.values()])[0]
    kind = STEP_KINDS[name]
    who = permitted_role(rng, name) if kind.right and rng.random() < 0.88 else rng.choice(ROLES)
    args = kind.arguments(rng, reference)
    if name.endswith("_task") and name != "open_task":
        if not reference.tasks:
            return None
        args["task"] = rng.randrange(len(reference.tasks))
    if kind.suits:
        expected = rng.choice(kind.suits)
        found = (
            [each for each in reference.bookings if each.status == expected]
            if rng.random() < 0.88
            else reference.bookings
        )
        if not found:
            return None
        booking = rng.choice(found)
        args["booking"] = booking.number
        if args.get("room") and rng.random() < 0.7:  # a room of the booked type
            own = [room.number for room in reference.rooms.values() if room.type == booking.type]
            args["room"] = rng.choice(own or [args["room"]])
    return name, who, args


def repeat_last_steps(lockstep: Lockstep) -> None:
    """Retry the last successful step of each kind."""
    for name, who, args in list(lockstep.done.values()):
        lockstep.do(name, who, **args)


def run_random_steps(lockstep: Lockstep, rng: Random, steps: int) -> None:
    """Take ``steps`` random steps, with time passing between them."""
    for _ in range(steps):
        done = list(lockstep.done.values())
        if done and rng.random() < 0.05:  # an immediate retry, as from a double tap
            step = done[-1]
        else:
            step = (likely_step if rng.random() < 0.4 else random_step)(rng, lockstep.reference)
        if step is not None:
            name, who, args = step
            lockstep.do(name, who, **args)
        if rng.random() < 0.12:
            let_time_pass(rng, lockstep)
