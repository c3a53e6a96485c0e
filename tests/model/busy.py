"""Busy days: steps drawn evenly and mostly by somebody who may, where they fit, so that much happens in few steps."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from random import Random
from typing import Any, NamedTuple

from tests.model.rules import (
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
    House,
)
from tests.model.world import World


class Kind(NamedTuple):
    """A sort of step: how often, the right it takes, the bookings that it is for, and what else it says."""

    weight: int
    right: str
    suits: tuple[str, ...] = ()
    says: Callable[[Random, House], dict[str, Any]] = lambda rng, house: {}  # noqa: ARG005


REASONS = ("", "", "a loyal guest", "a loyal guest", " ")


def _room(rng: Random, house: House) -> dict[str, Any]:
    return {"room": rng.choice(list(house.rooms))}


def _reason(rng: Random, house: House) -> dict[str, Any]:
    return {"reason": rng.choice(REASONS)}


def _both(*ways: Callable[[Random, House], dict[str, Any]]) -> Callable[[Random, House], dict[str, Any]]:
    return lambda rng, house: {name: value for way in ways for name, value in way(rng, house).items()}


def _stay(rng: Random, house: House) -> dict[str, Any]:
    check_in = house.business_day() + rng.choice([0, 0, 0, 1, 2, -1]) * DAY
    check_out = check_in + rng.choice([0, 1, 1, 2, 3, -1]) * DAY
    return {
        "kind": rng.choice("AAB"),
        "check_in": check_in,
        "check_out": check_out,
        "adults": rng.choice([1, 1, 2, 3]),
        "children": rng.choice([0, 0, 0, 1, 2]),
        "reason": rng.choice(REASONS),
    }


def _stay_by_card(rng: Random, house: House) -> dict[str, Any]:
    return {**_stay(rng, house), "card": rng.random() < 0.1}


def _edit(rng: Random, house: House) -> dict[str, Any]:
    day = house.business_day()
    return {
        "check_in": rng.choice([None, None, day, day + DAY]),
        "check_out": rng.choice([None, day, day + DAY, day + 2 * DAY, day + 3 * DAY]),
        "notes": rng.choice([None, None, "loud", "louder"]),
        "adults": rng.choice([None, None, None, 1, 2, 3]),
        "children": rng.choice([None, None, None, 0, 2]),
        "stale": rng.random() < 0.1,
        "reason": rng.choice(REASONS),
    }


def _status(rng: Random, house: House) -> dict[str, Any]:
    room = rng.choice(list(house.rooms))
    says = {"room": room, "to": rng.choice(STATUSES), "source": rng.choice(["", "", "HOUSEKEEPING", "FRONT_DESK"])}
    if rng.random() < 0.25:
        says["to"] = OOO
    says["force"] = rng.random() < 0.3
    sees = rng.random()
    if sees < 0.1:
        says["expected"] = rng.choice(STATUSES)
    elif sees < 0.2:
        says["version"] = house.rooms[room].version - rng.choice([0, 1])
    return says


# What a house may set, the first as it is unless somebody changes it.
RULES: dict[str, tuple[Any, ...]] = {
    "checkout_time": (time(11), time(12)),
    "grace": (timedelta(minutes=30), timedelta(0)),
    "earliest_check_in": (time(8), time(6)),
    "cutoff": (time(2), time(4)),
    "approval_cutoff": (time(23), time(18)),
    "overbooking": (False, True),
    "whole_party": (False, True),
}


def _rules(rng: Random, house: House) -> dict[str, Any]:
    return {name: rng.choice(RULES[name]) for name in rng.sample(list(RULES), 2)}


def _extension(rng: Random, house: House) -> dict[str, Any]:
    said = _reason(rng, house)
    if rng.random() < 0.7:
        return {**said, "nights": rng.choice([1, 2, 3])}
    return {**said, "until": house.business_day() + rng.choice([0, 1, 2, 3]) * DAY}


def _several(rng: Random, house: House) -> dict[str, Any]:
    return {"rooms": rng.sample(list(house.rooms), rng.choice([1, 2, 3]))}


def _wish(rng: Random, house: House) -> dict[str, Any]:
    says = {**_room(rng, house), "kind": rng.choice(["TURNOVER", "DEEP_CLEAN", "INSPECTION", "AMENITY", "AMENITY"])}
    return {**says, "booking": rng.randrange(len(house.bookings))} if house.bookings and rng.random() < 0.8 else says


def _say(name: str, *values: Any) -> Callable[[Random, House], dict[str, Any]]:
    return lambda rng, house: {name: rng.choice(values)}  # noqa: ARG005


def _with_room(name: str, *values: Any) -> Callable[[Random, House], dict[str, Any]]:
    return lambda rng, house: {**_room(rng, house), name: rng.choice(values)}


MOSTLY, SELDOM = (True, True, True, False), (False, False, True)
_force = _say("force", *SELDOM)
KINDS = {
    "set_status": Kind(10, "", (), _status),
    "override": Kind(
        4,
        "housekeeping.status_override",
        (),
        lambda rng, house: {
            **_room(rng, house),
            "to": rng.choice(STATUSES),
            "note": rng.choice(["I saw it myself", "I saw it myself", " "]),
            "force": rng.random() < 0.3,
        },
    ),
    "start_cleaning": Kind(4, "rooms.status_transition", (), _room),
    "mark_cleaned": Kind(6, "rooms.status_transition", (), _room),
    "inspect": Kind(8, "rooms.inspect", (), _with_room("passed", *MOSTLY)),
    "flag_fault": Kind(
        7,
        "rooms.maintenance_flag",
        (),
        lambda rng, house: {
            **_room(rng, house),
            "priority": rng.choice(PRIORITIES),
            "note": rng.choice(["", "it drips"]),
        },
    ),
    "complete_fault": Kind(5, "rooms.maintenance_clear", (), _room),
    "set_active": Kind(3, "rooms.inventory_update", (), _both(_with_room("is_active", *MOSTLY), _force)),
    "set_type": Kind(3, "rooms.inventory_update", (), _both(_with_room("kind", *"AAAB"), _force)),
    "set_beds": Kind(2, "rooms.type_manage", (), _both(_say("kind", *"AB"), _say("beds", 1, 2, 2, 3, 4))),
    "set_rules": Kind(2, "bookings.manage_rules", (), _rules),
    "create": Kind(7, "bookings.create", (), _stay_by_card),
    "request": Kind(3, "bookings.create", (), _stay),
    "edit": Kind(5, "bookings.update", (PENDING, CONFIRMED, IN_HOUSE), _edit),
    "mark_seen": Kind(3, "bookings.update", (PENDING, CONFIRMED)),
    "companions": Kind(3, "bookings.update", (PENDING, CONFIRMED, IN_HOUSE), _both(_say("count", 0, 1, 2, 2), _reason)),
    "confirm": Kind(2, "bookings.update", (PENDING, CONFIRMED)),
    "approve": Kind(2, "bookings.update", (PENDING, CONFIRMED)),
    "decline": Kind(2, "bookings.cancel", (PENDING, PENDING, "DECLINED")),
    "cancel": Kind(3, "bookings.cancel", (CONFIRMED, IN_HOUSE, CANCELLED), _say("reason", "the ferry", "fog", " ")),
    "no_show": Kind(3, "bookings.cancel", (CONFIRMED, NO_SHOW)),
    "reinstate": Kind(3, "bookings.supervise", (CANCELLED, NO_SHOW)),
    "undo_check_in": Kind(3, "bookings.supervise", (IN_HOUSE,)),
    "assign": Kind(7, "bookings.assign_room", (CONFIRMED,), _both(_room, _reason)),
    "unassign": Kind(2, "bookings.assign_room", (CONFIRMED,), _reason),
    "check_in": Kind(
        12,
        "bookings.checkin",
        (CONFIRMED,),
        lambda rng, house: {
            "room": rng.choice([None, *house.rooms]),
            "reason": rng.choice(["", "", "welcome", " "]),
        },
    ),
    "check_out": Kind(4, "bookings.checkout", (IN_HOUSE, "COMPLETED")),
    "check_in_rooms": Kind(4, "bookings.checkin", (), _several),
    "check_out_rooms": Kind(2, "rooms.checkout_bulk", (), _several),
    "move": Kind(6, "bookings.assign_room", (IN_HOUSE,), _room),
    "acknowledge": Kind(
        3,
        "bookings.resolve_overstay",
        (IN_HOUSE,),
        lambda rng, house: {  # noqa: ARG005
            "note": rng.choice(["", "packing"]),
            "dismiss": rng.random() < 0.3,
        },
    ),
    "extend": Kind(3, "bookings.extend", (IN_HOUSE,), _extension),
    "open_task": Kind(3, "housekeeping.task_create", (), _wish),
    "assign_task": Kind(2, "housekeeping.task_assign", (), _say("to", None, *ROLES)),
    "start_task": Kind(2, "housekeeping.task_execute"),
    "complete_task": Kind(2, "housekeeping.task_execute"),
    "cancel_task": Kind(1, "housekeeping.task_cancel"),
    "delete_task": Kind(1, "housekeeping.task_cancel"),
}
WAITS = (0.25, 0.25, 0.5, 1, 1, 3, 3, 6, 9, 12, 20.75)  # hours
MINUTE = timedelta(minutes=1)


def able(rng: Random, name: str) -> str:
    """Somebody who may take the step."""
    return rng.choice([who for who in ROLES if KINDS[name].right in RIGHTS[who]])


def moments(house: House) -> list[datetime]:
    """When, from now on, something ends by the rules: each of these is the last moment, or the first, of something."""
    today, settings = house.wall.date(), house.settings
    found = [each.deadline for each in house.bookings if each.status == PENDING and each.deadline]
    for each in house.bookings:
        if each.status == IN_HOUSE:
            found.append(house.at(each.check_out, settings["checkout_time"]) + settings["grace"])
        elif each.status == CONFIRMED:
            found.append(house.at(each.check_in, settings["earliest_check_in"]))
    found += [house.at(today + DAY, settings["cutoff"]), house.at(today + DAY, time(0))]
    return [each for each in found if house.now < each < house.now + 2 * DAY]


def pass_time(rng: Random, world: World) -> None:
    """Mostly the worker is there at once; where it is late, the house has to know by itself what is over."""
    house, ends = world.house, moments(world.house)
    if ends and rng.random() < 0.5:
        until = rng.choice(ends) + rng.choice([0, 1]) * MINUTE
        world.wait((until - house.now) / timedelta(hours=1))
    else:
        world.wait(rng.choice(WAITS))
    if rng.random() < 0.7:
        world.tick()


def help_along(rng: Random, house: House) -> tuple[str, str, dict[str, Any]] | None:
    """What keeps a house going: a room becomes ready, a guest who is due gets one. Else all of it soon stands still."""
    late = [each for each in house.bookings if each.status == PENDING and each.deadline and each.deadline < house.now]
    if late and rng.random() < 0.7:
        name = rng.choice(["approve", "confirm"])
        return name, able(rng, name), {"booking": rng.choice(late).number}
    room = rng.choice(list(house.rooms.values()))
    said: dict[str, Any] = {"room": room.number}
    if rng.random() < 0.12:  # into the room as it is: mostly it can't be had
        guests = [each for each in house.bookings if each.status in (CONFIRMED, IN_HOUSE) and each.room is not room]
        if guests:
            booking = rng.choice(guests)
            name = "move" if booking.status == IN_HOUSE else rng.choice(["assign", "check_in"])
            return name, able(rng, name), {**said, "booking": booking.number}
    if not room.active:
        return "set_active", "office", {**said, "is_active": True}
    if room.flag and room.status in (DIRTY, CLEANING, CLEANED) and rng.random() < 0.5:
        return "set_status", "manager", {**said, "to": READY}  # as if the fault were forgotten
    if room.status == DIRTY and rng.random() < 0.3:
        return "start_cleaning", able(rng, "start_cleaning"), said
    if room.status == CLEANING and rng.random() < 0.4:  # by the same person or, mostly, by somebody else
        return "start_cleaning", able(rng, "start_cleaning"), said
    if room.status in (DIRTY, CLEANING):
        return "mark_cleaned", "housekeeper", said
    if room.status == CLEANED:
        return "inspect", "supervisor", {**said, "passed": True}
    if room.status == MAINT and rng.random() < 0.5:
        return "set_status", "supervisor", {**said, "to": DIRTY}  # with its fault
    if room.status == MAINT:
        return "complete_fault", "office", said
    if room.status == OOO:
        return "set_status", "supervisor", {**said, "to": READY}
    inside = [each for each in house.bookings if each.status == IN_HOUSE and each.room is not room]
    if room.bookable and inside and rng.random() < 0.25:
        crowd = max(inside, key=lambda each: each.adults + each.children)
        return "move", able(rng, "move"), {**said, "booking": crowd.number}
    due = [
        each
        for each in house.bookings
        if each.status == CONFIRMED and each.type == room.type and each.check_in <= house.business_day()
    ]
    if not due:
        return "create", "agent", {**_stay(rng, house), "kind": room.type}
    booking = rng.choice(due)
    if booking.named < booking.adults - 1:
        return "companions", "agent", {"booking": booking.number, "count": booking.adults - 1}
    way = rng.choice(["assign", "check_in", "check_in", "check_in_rooms"])
    if way == "check_in_rooms":
        return way, "agent", {"rooms": list(house.rooms)}
    return way, "agent", {**said, "booking": booking.number}


def think(rng: Random, house: House) -> tuple[str, str, dict[str, Any]] | None:
    """A step, who takes it, and what is said; ``None`` when there is nothing yet to take it on."""
    name = rng.choices(list(KINDS), [kind.weight for kind in KINDS.values()])[0]
    kind = KINDS[name]
    who = able(rng, name) if kind.right and rng.random() < 0.88 else rng.choice(ROLES)
    args = kind.says(rng, house)
    if name.endswith("_task") and name != "open_task":
        if not house.tasks:
            return None
        args["task"] = rng.randrange(len(house.tasks))
    if kind.suits:
        wanted = rng.choice(kind.suits)
        found = [each for each in house.bookings if each.status == wanted] if rng.random() < 0.88 else house.bookings
        if not found:
            return None
        booking = rng.choice(found)
        args["booking"] = booking.number
        if args.get("room") and rng.random() < 0.7:  # a room of the booking's own type
            own = [room.number for room in house.rooms.values() if room.type == booking.type]
            args["room"] = rng.choice(own or [args["room"]])
    return name, who, args


def repeat(world: World) -> None:
    """Each sort of step that was taken, as it was last, once more: what is to change nothing meets every rule twice."""
    for name, who, args in list(world.done.values()):
        world.do(name, who, **args)


def live(world: World, rng: Random, steps: int) -> None:
    """So many steps, and time passing between them."""
    for _ in range(steps):
        done = list(world.done.values())
        if done and rng.random() < 0.05:  # the same again at once, as from a screen that is touched twice
            step = done[-1]
        else:
            step = (help_along if rng.random() < 0.4 else think)(rng, world.house)
        if step is not None:
            name, who, args = step
            world.do(name, who, **args)
        if rng.random() < 0.12:
            pass_time(rng, world)
