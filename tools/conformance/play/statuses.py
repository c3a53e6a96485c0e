"""Section 5: the workflow map, the physical facts, the side effects."""

from typing import Any

from tools.conformance.report import Table
from tools.conformance.shapes import ROOM_STATUSES
from tools.conformance.world import World

TABLE = Table("5")
row = TABLE.row

MAP = {
    "CHECKOUT_DIRTY": {"CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED"},
    "CLEANING_IN_PROGRESS": {"CLEANED_UNINSPECTED", "CHECKOUT_DIRTY", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED"},
    "CLEANED_UNINSPECTED": {"READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"},
    # OCCUPIED as well, as soon as somebody is in house.
    "READY_FOR_GUEST": {"CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"},
    "MAINTENANCE_REQUIRED": {"CHECKOUT_DIRTY", "OUT_OF_ORDER", "READY_FOR_GUEST"},
    "OUT_OF_ORDER": {"CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "READY_FOR_GUEST"},
}


def override(w: World, room: dict[str, Any], to_status: str, **options: Any) -> Any:
    """The manager sets any status."""
    path = f"housekeeping/rooms/{room['id']}/manager_override/"
    return w.manager.post(path, {"to_status": to_status, "note": "to see the map"}, **options)


@row("the map: allowed_transitions of each status, and every step of it")
def workflow(w: World) -> None:
    room = w.room()
    status = f"rooms/{room['id']}/status/"
    for start, steps in MAP.items():
        for to_status in sorted(set(ROOM_STATUSES) - {start, "OCCUPIED"}):
            override(w, room, "READY_FOR_GUEST")  # clears a flag as well
            now = override(w, room, start)["room"]
            w.see(set(now["allowed_transitions"]) - {"OCCUPIED"}, steps, f"allowed_transitions of {start}")
            if to_status in steps:
                w.manager.post(status, {"to_status": to_status})
            else:
                refused = {"status": 409, "code": "INVALID_TRANSITION", "begins": "Invalid transition"}
                w.manager.post(status, {"to_status": to_status}, **refused)


@row("physical facts: nobody in house, no OCCUPIED; a guest, nothing else")
def facts(w: World) -> None:
    override(w, w.room(), "OCCUPIED", status=409)
    _, occupied = w.arrived()
    for to_status in set(ROOM_STATUSES) - {"OCCUPIED", "MAINTENANCE_REQUIRED"}:
        override(w, occupied, to_status, status=409)
    override(w, occupied, "MAINTENANCE_REQUIRED")
    w.see("OCCUPIED" in w.now(occupied)["allowed_transitions"], True, "OCCUPIED after a fault with the guest in house")


@row("a fault is never forgotten: 409 MAINTENANCE_OPEN")
def fault(w: World) -> None:
    room = w.room("MAINTENANCE_REQUIRED")
    override(w, room, "CHECKOUT_DIRTY")
    now = override(w, room, "CLEANED_UNINSPECTED")["room"]
    w.see((now["maintenance_required"], now["maintenance_priority"]), (True, "MED"), "the flag after cleaning")
    body = {"to_status": "READY_FOR_GUEST"}
    w.manager.post(f"rooms/{room['id']}/status/", body, status=409, code="MAINTENANCE_OPEN")
    w.see(override(w, room, "READY_FOR_GUEST")["room"]["maintenance_required"], False, "the flag after an override")


@row("a fault survives check-out; MAINTENANCE_REQUIRED → OCCUPIED clears it")
def fault_and_guest(w: World) -> None:
    booking, room = w.arrived()
    w.housekeeper.post(f"rooms/{room['room_number']}/mark-maintenance/", {"notes": "drips"})
    w.frontdesk.post(f"rooms/{room['id']}/status/", {"to_status": "OCCUPIED"}, status=403)
    now = w.supervisor.post(f"rooms/{room['id']}/status/", {"to_status": "OCCUPIED"})["room"]
    w.see(now["maintenance_required"], False, "the flag after → OCCUPIED")
    w.housekeeper.post(f"rooms/{room['room_number']}/mark-maintenance/", {"notes": "drips again"})
    w.frontdesk.post(w.path(booking, "check-out/"))
    now = w.now(room)
    w.see((now["room_status"], now["maintenance_required"]), ("CHECKOUT_DIRTY", True), "the room after check-out")


@row("side effects: stamps and notes; a departure empties turnover_notes")
def side_effects(w: World) -> None:
    booking, room = w.arrived()
    path = f"rooms/{room['id']}/status/"
    w.frontdesk.post(w.path(booking, "check-out/"))
    w.manager.post(path, {"to_status": "CLEANING_IN_PROGRESS", "note": "first"})
    now = w.manager.post(path, {"to_status": "CLEANED_UNINSPECTED", "note": "second"})["room"]
    w.see("first" in now["turnover_notes"] and "second" in now["turnover_notes"], True, "both notes")
    w.has(now, {"last_cleaned_at": "time", "cleaned_by_staff": "str"}, "a cleaned room")
    now = w.manager.post(path, {"to_status": "READY_FOR_GUEST"})["room"]
    w.has(now, {"last_inspected_at": "time", "inspected_by_staff": "str"}, "an inspected room")
    again = w.book()
    w.frontdesk.post(w.path(again, "check-in/"), {"room_id": room["id"]})
    w.frontdesk.post(w.path(again, "check-out/"))
    w.see(w.now(room)["turnover_notes"], "", "turnover_notes after the next departure")


@row("sources as recorded: check-in, check-out, cleaning, override")
def recorded(w: World) -> None:
    booking, room = w.arrived()
    w.frontdesk.post(w.path(booking, "check-out/"))
    w.housekeeper.post(f"rooms/{room['room_number']}/mark-cleaned/")
    override(w, room, "READY_FOR_GUEST")
    rows = w.manager.get(f"rooms/{room['id']}/status-history/")["status_history"]
    found = [(one["to_status"], one["source"]) for one in reversed(rows)]
    wanted = [
        ("OCCUPIED", "FRONT_DESK"),
        ("CHECKOUT_DIRTY", "SYSTEM"),
        ("CLEANED_UNINSPECTED", "HOUSEKEEPING"),
        ("READY_FOR_GUEST", "MANAGER_OVERRIDE"),
    ]
    w.see(found, wanted, "the history")
    desk = w.frontdesk.profile["staff_id"]
    w.see([one["changed_by"] for one in reversed(rows)][:2], [desk, desk], "the clerk as changed_by")
