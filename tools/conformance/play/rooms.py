"""Section 3: the board, the inventory and the turnover actions."""

from typing import Any

from tools.conformance.report import Table
from tools.conformance.shapes import (
    BULK_CREATED,
    CHECK_IN_RESULTS,
    CHECK_OUT_RESULTS,
    ROOM,
    ROOM_AT_THE_DESK,
    ROOM_STATUSES,
    ROOM_TYPE,
    ROOMS_CHECKED_IN,
    ROOMS_CHECKED_OUT,
    TURNOVER,
    TURNOVER_ROOMS,
    TURNOVER_STATS,
    page,
)
from tools.conformance.world import World

TABLE = Table("3")
row = TABLE.row


@row("GET turnover/rooms/: all seven statuses, always")
def board(w: World) -> None:
    body = w.manager.get("turnover/rooms/", shape=TURNOVER_ROOMS)
    w.see(list(body), list(ROOM_STATUSES), "the columns")
    for status, column in body.items():
        w.see(column["count"], len(column["rooms"]), f"the count of {status}")


@row("GET turnover/stats/")
def stats(w: World) -> None:
    body = w.manager.get("turnover/stats/", shape=TURNOVER_STATS)
    w.see(sum(body["counts"].values()), len(body["time_in_status"]), "the rooms in time_in_status")


@row("GET room-management/, room-management/{rno}/: by number")
def rooms(w: World) -> None:
    w.manager.get("room-management/", shape=page(ROOM))
    room = w.room()
    body = w.frontdesk.get(f"room-management/{room['room_number']}/", shape=ROOM_AT_THE_DESK)
    w.see((body["id"], body["room_number"]), (room["id"], room["room_number"]), "the room")
    w.frontdesk.get("room-management/999998/", status=404, begins="Room not found")


@row("Room: guests only for staff with a bookings right")
def guests(w: World) -> None:
    _, room = w.arrived(party=[{"first_name": "Ottoline", "last_name": "Quillfeather"}])
    path = f"room-management/{room['room_number']}/"
    body = w.frontdesk.get(path, shape=ROOM_AT_THE_DESK)
    w.see(body["primary_guest"], {"first_name": "Ada", "last_name": "Quillfeather"}, "primary_guest")
    w.see(len(body["guests_in_room"]), 2, "the number of guests in the room")
    w.see((body["is_occupied"], body["is_bookable"], body["room_status"]), (True, False, "OCCUPIED"), "the room")
    w.see(set(body["allowed_transitions"]), {"MAINTENANCE_REQUIRED"}, "allowed_transitions of an occupied room")
    body = w.housekeeper.get(path, shape=ROOM)
    w.see("primary_guest" in body or "guests_in_room" in body, False, "a housekeeper seeing guests")


@row("POST room-management/: 201 by room_type_id or room_type")
def create_room(w: World) -> None:
    for name in ("room_type_id", "room_type"):
        number = w.new_number()
        body = {"room_number": number, name: str(w.type["id"]), "is_active": True}
        made = w.manager.post("room-management/", body, status=201, shape=ROOM)
        w.see((made["room_status"], made["is_bookable"]), ("READY_FOR_GUEST", True), "a new room")
        w.manager.post("room-management/", body, status=409)


@row("PATCH room-management/{rid}/: by pk, never room_status")
def patch_room(w: World) -> None:
    room = w.room()
    path = f"room-management/{room['id']}/"
    body = w.manager.patch(path, {"is_active": False}, shape=ROOM)
    w.see((body["is_active"], body["is_bookable"]), (False, False), "a room out of service")
    w.manager.patch(path, {"is_active": True, "room_type": str(w.type["id"])}, shape=ROOM)
    w.manager.patch(path, {"room_status": "OUT_OF_ORDER"}, status=400, code="READ_ONLY_FIELD")


@row("DELETE room-management/{rid}/: 204, 409 with history")
def delete_room(w: World) -> None:
    number = w.new_number()
    made = w.manager.post("room-management/", {"room_number": number, "room_type_id": w.type["id"]}, status=201)
    w.manager.delete(f"room-management/{made['id']}/")
    w.manager.get(f"room-management/{number}/", status=404)
    w.manager.delete(f"room-management/{w.room('CHECKOUT_DIRTY')['id']}/", status=409)


@row("GET, POST, PATCH, DELETE room-types/: a plain array")
def room_types(w: World) -> None:
    w.manager.get("room-types/", shape=[ROOM_TYPE])
    body = {
        "name": f"Suite {w.run}",
        "code": f"X{w.run}",
        "starting_price_from": "250.00",
        "currency": "EUR",
        "max_occupancy": "4",
        "bed_setup": "1 double",
        "short_description": "",
        "availability_message": "",
        "is_active": True,
    }
    made = w.manager.post("room-types/", body, status=201, shape=ROOM_TYPE)
    path = f"room-types/{made['id']}/"
    changed = w.manager.patch(path, {"starting_price_from": "260.00"}, shape=ROOM_TYPE)
    w.see(changed["starting_price_from"], "260.00", "the new price")
    w.manager.delete(path)
    w.manager.delete(f"room-types/{w.type['id']}/", status=409)


@row("room-types/: a name or code that is taken is 409, the field in details and not at the top level")
def taken_room_type(w: World) -> None:
    body = {"name": f"Taken {w.run}", "code": f"T{w.run}", "max_occupancy": 2}
    made = w.manager.post("room-types/", body, status=201, shape=ROOM_TYPE)
    for field in ("name", "code"):
        twin = {**body, "name": f"Other {w.run}", "code": f"O{w.run}"} | {field: body[field]}
        refused = w.manager.post("room-types/", twin, status=409, code="ROOM_TYPE_TAKEN")
        w.has(refused["details"], {field: ["str"]}, f"details of a taken {field}")
        w.manager.patch(f"room-types/{w.small_type['id']}/", {field: body[field]}, status=409, code="ROOM_TYPE_TAKEN")
    refused = w.manager.post("room-types/", {**body, "code": ""}, status=400, code="VALIDATION_ERROR")
    w.has(refused["details"], {"code": ["str"]}, "details of a blank code")
    w.manager.delete(f"room-types/{made['id']}/")


@row("POST room-types/{id}/rooms/bulk-create/: three ways to say which")
def bulk_create(w: World) -> None:
    path = f"room-types/{w.small_type['id']}/rooms/bulk-create/"
    first, second, third = (w.new_number() for _ in range(3))
    made = w.manager.post(path, {"room_numbers": [str(first)]}, status=201, shape=BULK_CREATED)
    w.see((made["created_count"], made["skipped_existing"]), (1, []), "what was made of one number")
    body = {"ranges": [{"start": str(first), "end": str(second)}]}
    made = w.manager.post(path, body, status=201, shape=BULK_CREATED)
    w.see((made["created_count"], made["skipped_existing"]), (1, [first]), "what was made of a range")
    w.manager.post(path, {"range_from": third, "range_to": third}, status=201, shape=BULK_CREATED)
    w.manager.post(path, {}, status=400)


def step(w: World, member: Any, room: dict[str, Any], action: str, way: tuple[str, str], body: Any = None) -> Any:
    """One turnover action, which tells room_updated, and its answer."""
    path = f"rooms/{room['room_number']}/{action}/"
    with w.tells(rooms=[("room_updated", room["room_number"])]):
        answer = member.post(path, *([] if body is None else [body]), shape=TURNOVER)
    w.see((answer["old_status"], answer["new_status"]), way, f"{action}: old_status, new_status")
    w.see(answer["status_event"]["to_status"], way[1], f"{action}: status_event.to_status")
    w.see(answer["room"]["room_status"], way[1], f"{action}: room.room_status")
    return answer


@row("POST rooms/{rno}/start-cleaning/, by somebody else: 409 with the name")
def start_cleaning(w: World) -> None:
    room = w.room("CHECKOUT_DIRTY")
    answer = step(w, w.housekeeper, room, "start-cleaning", ("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS"))
    w.see(answer["status_event"]["source"], "HOUSEKEEPING", "the source")
    path = f"rooms/{room['room_number']}/start-cleaning/"
    refused = w.supervisor.post(path, {}, status=409, code="ALREADY_IN_PROGRESS")
    name = w.housekeeper.profile["first_name"]
    w.see(name in refused["message"], True, f"naming {name} in {refused['message']!r}")


@row("POST rooms/{rno}/mark-cleaned/: with and without notes")
def mark_cleaned(w: World) -> None:
    room, other = w.room("CHECKOUT_DIRTY"), w.room("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS")
    body = {"notes": "extra towels"}
    answer = step(w, w.housekeeper, room, "mark-cleaned", ("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED"), body)
    w.see("extra towels" in answer["room"]["turnover_notes"], True, "the note in turnover_notes")
    name = f"{w.housekeeper.profile['first_name']} {w.housekeeper.profile['last_name']}"
    w.see((answer["room"]["cleaned_by_staff"], answer["room"]["cleaned_by_staff_name"]), (name, name), "who cleaned")
    w.has(answer["room"]["last_cleaned_at"], "time", "last_cleaned_at")
    step(w, w.housekeeper, other, "mark-cleaned", ("CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"), {})


@row("POST rooms/{rno}/inspect/: no body passes, fail → dirty, fault → maintenance")
def inspect(w: World) -> None:
    cleaned = ("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED")
    answer = step(w, w.supervisor, w.room(*cleaned), "inspect", ("CLEANED_UNINSPECTED", "READY_FOR_GUEST"))
    w.has(answer["room"]["last_inspected_at"], "time", "last_inspected_at")
    w.has(answer["room"]["inspected_by_staff"], "str", "inspected_by_staff")
    body = {"passed": False, "notes": "mirror"}
    step(w, w.supervisor, w.room(*cleaned), "inspect", ("CLEANED_UNINSPECTED", "CHECKOUT_DIRTY"), body)
    room = w.room()
    w.supervisor.post(f"rooms/{room['room_number']}/mark-maintenance/")
    for to_status in cleaned:
        w.manager.post(f"housekeeping/rooms/{room['id']}/manager_override/", {"to_status": to_status, "note": "so"})
    step(w, w.supervisor, room, "inspect", ("CLEANED_UNINSPECTED", "MAINTENANCE_REQUIRED"), {"passed": True})
    w.supervisor.post(f"rooms/{w.room(*cleaned)['room_number']}/inspect/", {"passed": "yes"}, status=400)
    again = w.supervisor.post(f"rooms/{w.room()['room_number']}/inspect/", shape=TURNOVER)
    w.see(again["status_event"], None, "status_event of a room that is ready already")


@row("POST rooms/{rno}/mark-maintenance/: MED by default, may rise")
def mark_maintenance(w: World) -> None:
    room = w.room()
    answer = step(w, w.housekeeper, room, "mark-maintenance", ("READY_FOR_GUEST", "MAINTENANCE_REQUIRED"))
    w.see(answer["room"]["maintenance_priority"], "MED", "the priority")
    path, number = f"rooms/{room['room_number']}/mark-maintenance/", room["room_number"]
    with w.tells(rooms=[("room_updated", number)]):
        answer = w.frontdesk.post(path, {"priority": "HIGH", "notes": "whispered note: shower"}, shape=TURNOVER)
    w.see(answer["room"]["maintenance_priority"], "HIGH", "the priority after a second report")
    w.see("shower" in answer["room"]["maintenance_notes"], True, "the note in maintenance_notes")
    told = w.ears.on(f"private-{w.hotel}.rooms")[-1].envelope["payload"]
    w.see(told["from_status"], told["to_status"], "from_status of the second report")
    w.see({"maintenance_notes", "maintenance_priority"} & set(told["changed_fields"]) != set(), True, "changed_fields")
    w.frontdesk.post(path, {"priority": "URGENT"}, status=400)


@row("POST rooms/{rno}/complete-maintenance/: three ways out")
def complete_maintenance(w: World) -> None:
    action = "complete-maintenance"
    room = w.room("MAINTENANCE_REQUIRED")
    answer = step(w, w.supervisor, room, action, ("MAINTENANCE_REQUIRED", "CHECKOUT_DIRTY"))
    w.see((answer["room"]["maintenance_required"], answer["room"]["maintenance_priority"]), (False, None), "the flag")
    turned = w.room("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED")
    step(w, w.supervisor, turned, action, ("MAINTENANCE_REQUIRED", "READY_FOR_GUEST"), {"notes": "new lamp"})
    _, occupied = w.arrived()
    w.housekeeper.post(f"rooms/{occupied['room_number']}/mark-maintenance/", {"priority": "LOW"})
    step(w, w.supervisor, occupied, action, ("MAINTENANCE_REQUIRED", "OCCUPIED"))


@row("POST rooms/checkin/: today's due arrivals, a result for each room")
def check_in_rooms(w: World) -> None:
    booking, room, empty = w.book(), w.room(), w.room()
    w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": str(room["id"])})
    bid = booking["booking_id"]
    with w.tells(rooms=w.moved(room), bookings=[("booking_checked_in", bid)]):
        ids = [str(room["id"]), str(empty["id"])]
        body = w.frontdesk.post("rooms/checkin/", {"room_ids": ids}, shape=ROOMS_CHECKED_IN)
    w.see(body["results"]["checked_in_bookings"], [bid], "checked_in_bookings")
    w.see([one["room_id"] for one in body["results"]["failed"]], [empty["id"]], "the failed rooms")
    refused = w.frontdesk.post("rooms/checkin/", {"room_ids": [empty["id"]]}, status=409)
    w.has(refused.get("results"), CHECK_IN_RESULTS, "the results of a 409")


@row("POST rooms/checkout/: destructive or not, the same")
def check_out_rooms(w: World) -> None:
    for destructive in (False, True):
        (booking, room), empty = w.arrived(), w.room()
        bid, ids = booking["booking_id"], [str(room["id"]), str(empty["id"])]
        with w.tells(rooms=w.moved(room), bookings=[("booking_checked_out", bid)]):
            body = {"room_ids": ids} | ({"destructive": True} if destructive else {})
            done = w.frontdesk.post("rooms/checkout/", body, shape=ROOMS_CHECKED_OUT)
        w.see(done["results"]["checked_out_bookings"], [bid], "checked_out_bookings")
        w.see(done["results"]["destructive_mode"], destructive, "destructive_mode")
        w.see(done["results"]["failed"][0]["room_id"], empty["id"], "the failed room")
        w.see(w.now(room)["room_status"], "CHECKOUT_DIRTY", "the room")
        w.see(w.now(empty)["room_status"], "READY_FOR_GUEST", "the room with nobody in house")
        w.see(w.frontdesk.get(w.path(booking))["primary_email"], booking["primary_email"], "the guest's data")
        refused = w.frontdesk.post("rooms/checkout/", {"room_ids": ids}, status=409)
        w.has(refused.get("results"), CHECK_OUT_RESULTS, "the results of a 409")
