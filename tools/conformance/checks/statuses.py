"""Room status: the transitions, the physical facts, the side effects."""

from typing import Any

from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import ROOM_STATUSES

TABLE = Table("Room status")
row = TABLE.row

MAP = {
    "CHECKOUT_DIRTY": {"CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED"},
    "CLEANING_IN_PROGRESS": {"CLEANED_UNINSPECTED", "CHECKOUT_DIRTY", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED"},
    "CLEANED_UNINSPECTED": {"READY_FOR_GUEST", "CLEANING_IN_PROGRESS", "CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED"},
    # OCCUPIED, too, while a guest is in house.
    "READY_FOR_GUEST": {"CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "OUT_OF_ORDER"},
    "MAINTENANCE_REQUIRED": {"CHECKOUT_DIRTY", "OUT_OF_ORDER", "READY_FOR_GUEST"},
    "OUT_OF_ORDER": {"CHECKOUT_DIRTY", "MAINTENANCE_REQUIRED", "READY_FOR_GUEST"},
}


def override(s: Session, room: dict[str, Any], to_status: str, **options: Any) -> Any:
    """Set a status by manager override."""
    path = f"housekeeping/rooms/{room['id']}/manager_override/"
    return s.manager.post(path, {"to_status": to_status, "note": "to test the transitions"}, **options)


@row("allowed_transitions of each status, and every transition")
def workflow(s: Session) -> None:
    room = s.room()
    status = f"rooms/{room['id']}/status/"
    for start, targets in MAP.items():
        for to_status in sorted(set(ROOM_STATUSES) - {start, "OCCUPIED"}):
            override(s, room, "READY_FOR_GUEST")  # clears a flag as well
            now = override(s, room, start)["room"]
            s.equal(set(now["allowed_transitions"]) - {"OCCUPIED"}, targets, f"allowed_transitions of {start}")
            if to_status in targets:
                s.manager.post(status, {"to_status": to_status})
            else:
                refused = {"status": 409, "code": "INVALID_TRANSITION", "begins": "Invalid transition"}
                s.manager.post(status, {"to_status": to_status}, **refused)


@row("physical facts: no OCCUPIED without a guest; with a guest nothing else")
def facts(s: Session) -> None:
    override(s, s.room(), "OCCUPIED", status=409)
    _, occupied = s.arrived()
    for to_status in set(ROOM_STATUSES) - {"OCCUPIED", "MAINTENANCE_REQUIRED"}:
        override(s, occupied, to_status, status=409)
    override(s, occupied, "MAINTENANCE_REQUIRED")
    s.equal(
        "OCCUPIED" in s.current(occupied)["allowed_transitions"], True, "OCCUPIED after a fault with the guest in house"
    )


@row("an open fault stays open: 409 MAINTENANCE_OPEN")
def fault(s: Session) -> None:
    room = s.room("MAINTENANCE_REQUIRED")
    override(s, room, "CHECKOUT_DIRTY")
    now = override(s, room, "CLEANED_UNINSPECTED")["room"]
    s.equal((now["maintenance_required"], now["maintenance_priority"]), (True, "MED"), "the flag after cleaning")
    body = {"to_status": "READY_FOR_GUEST"}
    s.manager.post(f"rooms/{room['id']}/status/", body, status=409, code="MAINTENANCE_OPEN")
    s.equal(override(s, room, "READY_FOR_GUEST")["room"]["maintenance_required"], False, "the flag after an override")


@row("a fault survives check-out; MAINTENANCE_REQUIRED → OCCUPIED clears it")
def fault_and_guest(s: Session) -> None:
    booking, room = s.arrived()
    s.housekeeper.post(f"rooms/{room['room_number']}/mark-maintenance/", {"notes": "drips"})
    s.frontdesk.post(f"rooms/{room['id']}/status/", {"to_status": "OCCUPIED"}, status=403)
    now = s.supervisor.post(f"rooms/{room['id']}/status/", {"to_status": "OCCUPIED"})["room"]
    s.equal(now["maintenance_required"], False, "the flag after → OCCUPIED")
    s.housekeeper.post(f"rooms/{room['room_number']}/mark-maintenance/", {"notes": "drips again"})
    s.frontdesk.post(s.path(booking, "check-out/"))
    now = s.current(room)
    s.equal((now["room_status"], now["maintenance_required"]), ("CHECKOUT_DIRTY", True), "the room after check-out")


@row("side effects: timestamps and notes; check-out clears turnover_notes")
def side_effects(s: Session) -> None:
    booking, room = s.arrived()
    path = f"rooms/{room['id']}/status/"
    s.frontdesk.post(s.path(booking, "check-out/"))
    s.manager.post(path, {"to_status": "CLEANING_IN_PROGRESS", "note": "first"})
    now = s.manager.post(path, {"to_status": "CLEANED_UNINSPECTED", "note": "second"})["room"]
    s.equal("first" in now["turnover_notes"] and "second" in now["turnover_notes"], True, "both notes")
    s.matches(now, {"last_cleaned_at": "time", "cleaned_by_staff": "str"}, "a cleaned room")
    now = s.manager.post(path, {"to_status": "READY_FOR_GUEST"})["room"]
    s.matches(now, {"last_inspected_at": "time", "inspected_by_staff": "str"}, "an inspected room")
    again = s.book()
    s.frontdesk.post(s.path(again, "check-in/"), {"room_id": room["id"]})
    s.frontdesk.post(s.path(again, "check-out/"))
    s.equal(s.current(room)["turnover_notes"], "", "turnover_notes after the next check-out")


@row("sources as recorded: check-in, check-out, cleaning, override")
def recorded(s: Session) -> None:
    booking, room = s.arrived()
    s.frontdesk.post(s.path(booking, "check-out/"))
    s.housekeeper.post(f"rooms/{room['room_number']}/mark-cleaned/")
    override(s, room, "READY_FOR_GUEST")
    rows = s.manager.get(f"rooms/{room['id']}/status-history/")["status_history"]
    found = [(one["to_status"], one["source"]) for one in reversed(rows)]
    expected = [
        ("OCCUPIED", "FRONT_DESK"),
        ("CHECKOUT_DIRTY", "SYSTEM"),
        ("CLEANED_UNINSPECTED", "HOUSEKEEPING"),
        ("READY_FOR_GUEST", "MANAGER_OVERRIDE"),
    ]
    s.equal(found, expected, "the history")
    agent = s.frontdesk.profile["staff_id"]
    s.equal([one["changed_by"] for one in reversed(rows)][:2], [agent, agent], "changed_by")
