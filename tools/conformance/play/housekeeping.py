"""Section 4: status changes, override, history, dashboard and tasks."""

from typing import Any

from tools.conformance.report import Table
from tools.conformance.shapes import DASHBOARD, HISTORY, STATUS_CHANGE, TASK, page
from tools.conformance.world import World

TABLE = Table("4")
row = TABLE.row


@row("POST rooms/{rid}/status/ and its alias: the answer, and what is told")
def change_status(w: World) -> None:
    room = w.room()
    for prefix, to_status in (("", "CHECKOUT_DIRTY"), ("housekeeping/", "CLEANING_IN_PROGRESS")):
        with w.tells(rooms=[("room_updated", room["room_number"])]):
            body = {"to_status": to_status, "note": "whispered note", "source": "HOUSEKEEPING"}
            answer = w.manager.post(f"{prefix}rooms/{room['id']}/status/", body, shape=STATUS_CHANGE)
        w.see(answer["room"]["room_status"], to_status, "room.room_status")
        w.see(answer["status_event"]["note"], "whispered note", "status_event.note")


@row("status/: source FRONT_DESK, and SYSTEM or MANAGER_OVERRIDE: 400")
def sources(w: World) -> None:
    room = w.room()
    path, dirty = f"rooms/{room['id']}/status/", "CHECKOUT_DIRTY"
    for source in ("SYSTEM", "MANAGER_OVERRIDE"):
        w.manager.post(path, {"to_status": dirty, "source": source}, status=400, code="INVALID_SOURCE")
    answer = w.frontdesk.post(path, {"to_status": dirty, "source": "FRONT_DESK"})
    w.see(answer["status_event"]["source"], "FRONT_DESK", "the agent's source")
    answer = w.frontdesk.post(f"rooms/{w.room()['id']}/status/", {"to_status": dirty})
    w.see(answer["status_event"]["source"], "FRONT_DESK", "the agent's source when left out")
    answer = w.manager.post(f"rooms/{w.room()['id']}/status/", {"to_status": dirty})
    w.see(answer["status_event"]["source"], "HOUSEKEEPING", "the manager's source when left out")


@row("status/: expected_status 409, If-Match 412, with the state in details")
def stale(w: World) -> None:
    room = w.room()
    path, to = f"rooms/{room['id']}/status/", {"to_status": "CHECKOUT_DIRTY"}
    w.manager.post(path, {**to, "expected_status": "READY_FOR_GUEST"}, if_match=f'"{room["status_version"]}"')
    now = {"current_status": "str", "changed_by_name": "str"}
    refused = w.manager.post(path, {**to, "expected_status": "OCCUPIED"}, status=409, code="STATUS_CHANGED")
    w.has(refused["details"], now, "details of STATUS_CHANGED")
    refused = w.manager.post(path, to, status=412, if_match=f'"{room["status_version"]}"')
    w.has(refused["details"], now, "details of 412")
    w.see(refused["details"]["current_status"], "CHECKOUT_DIRTY", "details.current_status")
    # First what was expected, then the right, then the transition.
    w.housekeeper.post(path, {"to_status": "OUT_OF_ORDER", "expected_status": "OCCUPIED"}, status=409)
    w.housekeeper.post(path, {"to_status": "READY_FOR_GUEST"}, status=403)


@row("status/: the same status is 200, nothing written, nothing told")
def same_status(w: World) -> None:
    room = w.room("CHECKOUT_DIRTY")
    with w.tells():
        answer = w.manager.post(f"rooms/{room['id']}/status/", {"to_status": "CHECKOUT_DIRTY"}, shape=STATUS_CHANGE)
    w.see(answer["status_event"], None, "status_event")
    w.see(answer["room"]["status_version"], room["status_version"], "status_version")


@row("POST housekeeping/rooms/{rid}/manager_override/")
def override(w: World) -> None:
    room = w.room("CHECKOUT_DIRTY")
    path = f"housekeeping/rooms/{room['id']}/manager_override/"
    ready = {"to_status": "READY_FOR_GUEST"}
    refused = w.supervisor.post(path, {**ready, "note": "looked"}, status=403)
    w.see("Manager privileges" in refused["message"], True, f"naming Manager privileges in {refused['message']!r}")
    for note in ({}, {"note": "  "}):
        w.manager.post(path, {**ready, **note}, status=400)
    with w.tells(rooms=[("room_updated", room["room_number"])]):
        answer = w.manager.post(path, {**ready, "note": "looked myself"}, shape=STATUS_CHANGE)
    w.see(answer["status_event"]["source"], "MANAGER_OVERRIDE", "the source")
    occupied = {"to_status": "OCCUPIED", "note": "no"}
    w.manager.post(path, occupied, status=409)


@row("GET rooms/{rid}/status-history/ and its alias: limit, before, source, from, to")
def history(w: World) -> None:
    room = w.room("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED")
    for prefix in ("", "housekeeping/"):
        path = f"{prefix}rooms/{room['id']}/status-history/"
        body = w.supervisor.get(path, shape=HISTORY)
        w.see(body["total_events"], 3, "total_events")
        w.see(body["status_history"][0]["to_status"], "CLEANED_UNINSPECTED", "the newest first")
        first = w.supervisor.get(path, query={"limit": "2"}, shape=HISTORY)
        rest = w.supervisor.get(path, query={"limit": "2", "before": str(first["next_before"])}, shape=HISTORY)
        w.see((len(first["status_history"]), len(rest["status_history"])), (2, 1), "the pages")
        w.see(rest["next_before"], None, "the last page's next_before")
        w.supervisor.get(path, query={"limit": "1000"}, shape=HISTORY)
        query = {"source": "HOUSEKEEPING", "from": w.day(-1), "to": w.day(1)}
        w.see(len(w.supervisor.get(path, query=query)["status_history"]), 3, "what the filters find")
        w.see(w.supervisor.get(path, query={"source": "SYSTEM"})["status_history"], [], "what another source finds")
        w.see(w.supervisor.get(path, query={"to": w.day(-2)})["total_events"], 0, "what other days find")
        w.supervisor.get(path, query={"from": "yesterday"}, status=400)


@row("GET housekeeping/dashboard/")
def dashboard(w: World) -> None:
    body = w.housekeeper.get("housekeeping/dashboard/", shape=DASHBOARD)
    w.see(sum(body["counts"].values()), body["total_rooms"], "the sum of counts")
    w.frontdesk.get("housekeeping/dashboard/", shape=DASHBOARD)


@row("housekeeping/tasks/: CRUD and its filters")
def tasks(w: World) -> None:
    room, booking = w.room(), w.book()
    rid = str(room["id"])
    body = {"room": rid, "booking": booking["booking_id"], "task_type": "DEEP_CLEAN", "priority": "HIGH", "note": "so"}
    task = w.supervisor.post("housekeeping/tasks/", body, status=201, shape=TASK)
    w.see((task["room"], task["booking"], task["status"]), (room["id"], booking["booking_id"], "OPEN"), "a new task")
    path = f"housekeeping/tasks/{task['id']}/"
    w.supervisor.get(path, shape=TASK)
    w.see(w.supervisor.patch(path, {"priority": "LOW"}, shape=TASK)["priority"], "LOW", "the priority")
    w.supervisor.put(path, {"room": rid, "task_type": "AMENITY", "priority": "MED", "note": ""}, shape=TASK)
    me = str(w.housekeeper.profile["staff_id"])
    w.supervisor.post(f"{path}assign/", {"assigned_to_id": me, "note": "please"}, shape=TASK)
    for query in ({"assigned_to": "me"}, {"room": rid}, {"status": "OPEN", "task_type": "AMENITY"}):
        found = w.housekeeper.get("housekeeping/tasks/", query={**query, "page_size": "100"}, shape=page(TASK))
        w.see(task["id"] in [one["id"] for one in found["results"]], True, f"finding the task by {query}")
    mine = w.housekeeper.get("housekeeping/dashboard/")["my_open_tasks"]
    w.see(task["id"] in [one["id"] for one in mine], True, "the task among my_open_tasks")
    w.supervisor.get("housekeeping/tasks/", query={"status": "LOST"}, status=400)
    w.supervisor.delete(path)
    w.supervisor.get(path, status=404)
    w.supervisor.post("housekeeping/tasks/", {"room": rid, "task_type": "PARTY"}, status=400)


@row("tasks: every type; OPEN → IN_PROGRESS → DONE, or CANCELLED, without bodies")
def task_life(w: World) -> None:
    room = w.room()
    made = []
    for kind in ("TURNOVER", "STAYOVER", "INSPECTION", "DEEP_CLEAN", "AMENITY"):
        body = {"room": room["id"], "task_type": kind}
        made.append(w.supervisor.post("housekeeping/tasks/", body, status=201, shape=TASK)["id"])
    first, second = (f"housekeeping/tasks/{pk}/" for pk in made[:2])
    for action, status in (("start", "IN_PROGRESS"), ("complete", "DONE")):
        w.see(w.housekeeper.post(f"{first}{action}/", shape=TASK)["status"], status, f"the status after {action}")
    w.see(w.supervisor.post(f"{second}cancel/", shape=TASK)["status"], "CANCELLED", "the status after cancel")
    w.housekeeper.post(f"{second}start/", status=409)


@row("tasks: check-out opens a TURNOVER")
def turnover_task(w: World) -> None:
    booking, room = w.arrived()
    w.frontdesk.post(w.path(booking, "check-out/"))
    query = {"room": str(room["id"]), "task_type": "TURNOVER", "status": "OPEN"}
    found = w.supervisor.get("housekeeping/tasks/", query=query, shape=page(TASK))
    w.see(found["count"], 1, "the open TURNOVER tasks of the room")
    w.see(found["results"][0]["is_overdue"], False, "is_overdue")


@row("tasks follow: cleaned, moved, checked out, cancelled")
def following_tasks(w: World) -> None:
    def status(task: dict[str, Any]) -> str:
        return w.supervisor.get(f"housekeeping/tasks/{task['id']}/", shape=TASK)["status"]

    def wish(booking: dict[str, Any], room: dict[str, Any]) -> dict[str, Any]:
        body = {"room": str(room["id"]), "booking": booking["booking_id"], "task_type": "AMENITY"}
        return w.supervisor.post("housekeeping/tasks/", body, status=201, shape=TASK)

    (booking, room), other = w.arrived(), w.room()
    towels = wish(booking, room)
    w.frontdesk.post(w.path(booking, "move-room/"), {"to_room_id": str(other["id"]), "reason": "noise"})
    query = {"room": str(room["id"]), "task_type": "TURNOVER", "status": "OPEN"}
    turnover = w.supervisor.get("housekeeping/tasks/", query=query, shape=page(TASK))["results"][0]
    found = w.supervisor.get(f"housekeeping/tasks/{towels['id']}/", shape=TASK)
    w.see((found["room"], found["status"]), (other["id"], "OPEN"), "a wish of a guest who moved")
    w.housekeeper.post(f"rooms/{room['room_number']}/mark-cleaned/")
    w.see(status(turnover), "DONE", "the turnover of a room that is cleaned")
    w.frontdesk.post(w.path(booking, "check-out/"))
    w.see(status(towels), "CANCELLED", "a wish of a guest who left")
    coming = w.book()
    cot = wish(coming, room)
    w.frontdesk.post(w.path(coming, "cancel/"))
    w.see(status(cot), "CANCELLED", "a wish of a guest who cancelled")
    body = {"room": str(room["id"]), "booking": coming["booking_id"], "task_type": "AMENITY"}
    w.supervisor.post("housekeeping/tasks/", body, status=409, code="BOOKING_IS_OVER")
