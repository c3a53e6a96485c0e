"""Housekeeping: status changes, override, history, dashboard and tasks."""

from typing import Any

from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import DASHBOARD, HISTORY, ROOM_ACTIONS, STATUS_CHANGE, TASK, page

TABLE = Table("Housekeeping")
row = TABLE.row


@row("POST rooms/{rid}/status/ and its alias: response and event")
def change_status(s: Session) -> None:
    room = s.room()
    for prefix, to_status in (("", "CHECKOUT_DIRTY"), ("housekeeping/", "CLEANING_IN_PROGRESS")):
        with s.expects_events(rooms=[("room_updated", room["room_number"])]):
            body = {"to_status": to_status, "note": "whispered note", "source": "HOUSEKEEPING"}
            response = s.manager.post(f"{prefix}rooms/{room['id']}/status/", body, shape=STATUS_CHANGE)
        s.equal(response["room"]["room_status"], to_status, "room.room_status")
        s.equal(response["status_event"]["note"], "whispered note", "status_event.note")


@row("status/: source FRONT_DESK, and SYSTEM or MANAGER_OVERRIDE: 400")
def sources(s: Session) -> None:
    room = s.room()
    path, dirty = f"rooms/{room['id']}/status/", "CHECKOUT_DIRTY"
    for source in ("SYSTEM", "MANAGER_OVERRIDE"):
        s.manager.post(path, {"to_status": dirty, "source": source}, status=400, code="INVALID_SOURCE")
    response = s.frontdesk.post(path, {"to_status": dirty, "source": "FRONT_DESK"})
    s.equal(response["status_event"]["source"], "FRONT_DESK", "the agent's source")
    response = s.frontdesk.post(f"rooms/{s.room()['id']}/status/", {"to_status": dirty})
    s.equal(response["status_event"]["source"], "FRONT_DESK", "the agent's default source")
    response = s.manager.post(f"rooms/{s.room()['id']}/status/", {"to_status": dirty})
    s.equal(response["status_event"]["source"], "HOUSEKEEPING", "the manager's default source")


@row("status/: expected_status 409, If-Match 412, with the state in details")
def stale(s: Session) -> None:
    room = s.room()
    path, to = f"rooms/{room['id']}/status/", {"to_status": "CHECKOUT_DIRTY"}
    s.manager.post(path, {**to, "expected_status": "READY_FOR_GUEST"}, if_match=f'"{room["status_version"]}"')
    now = {"current_status": "str", "changed_by_name": "str"}
    refused = s.manager.post(path, {**to, "expected_status": "OCCUPIED"}, status=409, code="STATUS_CHANGED")
    s.matches(refused["details"], now, "details of STATUS_CHANGED")
    refused = s.manager.post(path, to, status=412, if_match=f'"{room["status_version"]}"')
    s.matches(refused["details"], now, "details of 412")
    s.equal(refused["details"]["current_status"], "CHECKOUT_DIRTY", "details.current_status")
    # Checked in this order: expected_status, permission, transition.
    s.housekeeper.post(path, {"to_status": "OUT_OF_ORDER", "expected_status": "OCCUPIED"}, status=409)
    s.housekeeper.post(path, {"to_status": "READY_FOR_GUEST"}, status=403)


@row("status/: the same status is 200, nothing written, no event")
def same_status(s: Session) -> None:
    room = s.room("CHECKOUT_DIRTY")
    with s.expects_events():
        response = s.manager.post(f"rooms/{room['id']}/status/", {"to_status": "CHECKOUT_DIRTY"}, shape=STATUS_CHANGE)
    s.equal(response["status_event"], None, "status_event")
    s.equal(response["room"]["status_version"], room["status_version"], "status_version")


@row("POST housekeeping/rooms/{rid}/manager_override/")
def override(s: Session) -> None:
    room = s.room("CHECKOUT_DIRTY")
    path = f"housekeeping/rooms/{room['id']}/manager_override/"
    ready = {"to_status": "READY_FOR_GUEST"}
    refused = s.supervisor.post(path, {**ready, "note": "looked"}, status=403)
    s.equal("Manager privileges" in refused["message"], True, f"Manager privileges mentioned in {refused['message']!r}")
    for note in ({}, {"note": "  "}):
        s.manager.post(path, {**ready, **note}, status=400)
    with s.expects_events(rooms=[("room_updated", room["room_number"])]):
        response = s.manager.post(path, {**ready, "note": "looked myself"}, shape=STATUS_CHANGE)
    s.equal(response["status_event"]["source"], "MANAGER_OVERRIDE", "the source")
    occupied = {"to_status": "OCCUPIED", "note": "no"}
    s.manager.post(path, occupied, status=409)


@row("GET rooms/{rid}/status-history/ and its alias: limit, before, source, from, to")
def history(s: Session) -> None:
    room = s.room("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED")
    for prefix in ("", "housekeeping/"):
        path = f"{prefix}rooms/{room['id']}/status-history/"
        body = s.supervisor.get(path, shape=HISTORY)
        s.equal(body["total_events"], 3, "total_events")
        s.equal(body["status_history"][0]["to_status"], "CLEANED_UNINSPECTED", "the newest first")
        first = s.supervisor.get(path, query={"limit": "2"}, shape=HISTORY)
        rest = s.supervisor.get(path, query={"limit": "2", "before": str(first["next_before"])}, shape=HISTORY)
        s.equal((len(first["status_history"]), len(rest["status_history"])), (2, 1), "the pages")
        s.equal(rest["next_before"], None, "the last page's next_before")
        s.supervisor.get(path, query={"limit": "1000"}, shape=HISTORY)
        query = {"source": "HOUSEKEEPING", "from": s.day(-1), "to": s.day(1)}
        s.equal(len(s.supervisor.get(path, query=query)["status_history"]), 3, "the filtered events")
        s.equal(s.supervisor.get(path, query={"source": "SYSTEM"})["status_history"], [], "another source's events")
        s.equal(s.supervisor.get(path, query={"to": s.day(-2)})["total_events"], 0, "the events of other days")
        s.supervisor.get(path, query={"from": "yesterday"}, status=400)


@row("GET rooms/{rid}/actions/: what the calls then do")
def actions(s: Session) -> None:
    room = s.room("CHECKOUT_DIRTY")
    path = f"rooms/{room['id']}/actions/"
    asked = s.housekeeper.get(path, shape=ROOM_ACTIONS)
    s.equal(asked["status_version"], 1, "the version")
    found = {action["action"]: action for action in asked["actions"]}
    s.equal(found["start_cleaning"]["allowed"], True, "cleaning is allowed")
    s.equal(found["pass_inspection"]["reasons"][0]["code"], "PERMISSION_DENIED", "why it is refused")
    s.housekeeper.post(f"rooms/{room['room_number']}/inspect/", {}, status=403)
    s.housekeeper.get(path, query={"to_status": "LOST"}, status=400)


@row("GET housekeeping/dashboard/")
def dashboard(s: Session) -> None:
    body = s.housekeeper.get("housekeeping/dashboard/", shape=DASHBOARD)
    s.equal(sum(body["counts"].values()), body["total_rooms"], "the sum of counts")
    s.frontdesk.get("housekeeping/dashboard/", shape=DASHBOARD)


@row("housekeeping/tasks/: CRUD and its filters")
def tasks(s: Session) -> None:
    room, booking = s.room(), s.book()
    rid = str(room["id"])
    body = {"room": rid, "booking": booking["booking_id"], "task_type": "DEEP_CLEAN", "priority": "HIGH", "note": "so"}
    task = s.supervisor.post("housekeeping/tasks/", body, status=201, shape=TASK)
    s.equal((task["room"], task["booking"], task["status"]), (room["id"], booking["booking_id"], "OPEN"), "a new task")
    path = f"housekeeping/tasks/{task['id']}/"
    s.supervisor.get(path, shape=TASK)
    s.equal(s.supervisor.patch(path, {"priority": "LOW"}, shape=TASK)["priority"], "LOW", "the priority")
    s.supervisor.put(path, {"room": rid, "task_type": "AMENITY", "priority": "MED", "note": ""}, shape=TASK)
    me = str(s.housekeeper.profile["staff_id"])
    s.supervisor.post(f"{path}assign/", {"assigned_to_id": me, "note": "please"}, shape=TASK)
    for query in ({"assigned_to": "me"}, {"room": rid}, {"status": "OPEN", "task_type": "AMENITY"}):
        found = s.housekeeper.get("housekeeping/tasks/", query={**query, "page_size": "100"}, shape=page(TASK))
        s.equal(task["id"] in [one["id"] for one in found["results"]], True, f"the task found by {query}")
    mine = s.housekeeper.get("housekeeping/dashboard/")["my_open_tasks"]
    s.equal(task["id"] in [one["id"] for one in mine], True, "my_open_tasks contains the task")
    s.supervisor.get("housekeeping/tasks/", query={"status": "LOST"}, status=400)
    s.supervisor.delete(path)
    s.supervisor.get(path, status=404)
    s.supervisor.post("housekeeping/tasks/", {"room": rid, "task_type": "PARTY"}, status=400)


@row("tasks: every type; OPEN → IN_PROGRESS → DONE, or CANCELLED, without bodies")
def task_life(s: Session) -> None:
    room = s.room()
    made = []
    for kind in ("TURNOVER", "STAYOVER", "INSPECTION", "DEEP_CLEAN", "AMENITY"):
        body = {"room": room["id"], "task_type": kind}
        made.append(s.supervisor.post("housekeeping/tasks/", body, status=201, shape=TASK)["id"])
    first, second = (f"housekeeping/tasks/{pk}/" for pk in made[:2])
    for action, status in (("start", "IN_PROGRESS"), ("complete", "DONE")):
        s.equal(s.housekeeper.post(f"{first}{action}/", shape=TASK)["status"], status, f"the status after {action}")
    s.equal(s.supervisor.post(f"{second}cancel/", shape=TASK)["status"], "CANCELLED", "the status after cancel")
    s.housekeeper.post(f"{second}start/", status=409)


@row("tasks: check-out creates a TURNOVER")
def turnover_task(s: Session) -> None:
    booking, room = s.arrived()
    s.frontdesk.post(s.path(booking, "check-out/"))
    query = {"room": str(room["id"]), "task_type": "TURNOVER", "status": "OPEN"}
    found = s.supervisor.get("housekeeping/tasks/", query=query, shape=page(TASK))
    s.equal(found["count"], 1, "the open TURNOVER tasks of the room")
    s.equal(found["results"][0]["is_overdue"], False, "is_overdue")


@row("tasks follow: cleaned, moved, checked out, cancelled")
def following_tasks(s: Session) -> None:
    def status(task: dict[str, Any]) -> str:
        return s.supervisor.get(f"housekeeping/tasks/{task['id']}/", shape=TASK)["status"]

    def request(booking: dict[str, Any], room: dict[str, Any]) -> dict[str, Any]:
        body = {"room": str(room["id"]), "booking": booking["booking_id"], "task_type": "AMENITY"}
        return s.supervisor.post("housekeeping/tasks/", body, status=201, shape=TASK)

    (booking, room), other = s.arrived(), s.room()
    towels = request(booking, room)
    s.frontdesk.post(s.path(booking, "move-room/"), {"to_room_id": str(other["id"]), "reason": "noise"})
    query = {"room": str(room["id"]), "task_type": "TURNOVER", "status": "OPEN"}
    turnover = s.supervisor.get("housekeeping/tasks/", query=query, shape=page(TASK))["results"][0]
    found = s.supervisor.get(f"housekeeping/tasks/{towels['id']}/", shape=TASK)
    s.equal((found["room"], found["status"]), (other["id"], "OPEN"), "a request of a moved guest")
    s.housekeeper.post(f"rooms/{room['room_number']}/mark-cleaned/")
    s.equal(status(turnover), "DONE", "the turnover of a cleaned room")
    s.frontdesk.post(s.path(booking, "check-out/"))
    s.equal(status(towels), "CANCELLED", "a request after check-out")
    coming = s.book()
    cot = request(coming, room)
    s.frontdesk.post(s.path(coming, "cancel/"))
    s.equal(status(cot), "CANCELLED", "a request of a cancelled booking")
    body = {"room": str(room["id"]), "booking": coming["booking_id"], "task_type": "AMENITY"}
    s.supervisor.post("housekeeping/tasks/", body, status=409, code="BOOKING_IS_OVER")
