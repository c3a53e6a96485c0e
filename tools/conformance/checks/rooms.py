"""Rooms: the board, the inventory and the turnover actions."""

from typing import Any

from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import (
    BULK_CREATED,
    CHECK_IN_RESULTS,
    CHECK_OUT_RESULTS,
    ROOM,
    ROOM_STATUSES,
    ROOM_TYPE,
    ROOM_WITH_GUESTS,
    ROOMS_CHECKED_IN,
    ROOMS_CHECKED_OUT,
    TURNOVER,
    TURNOVER_ROOMS,
    TURNOVER_STATS,
    page,
)

TABLE = Table("Rooms")
row = TABLE.row


@row("GET turnover/rooms/: all seven statuses, always")
def board(s: Session) -> None:
    body = s.manager.get("turnover/rooms/", shape=TURNOVER_ROOMS)
    s.equal(list(body), list(ROOM_STATUSES), "the columns")
    for status, column in body.items():
        s.equal(column["count"], len(column["rooms"]), f"the count of {status}")


@row("GET turnover/stats/")
def stats(s: Session) -> None:
    body = s.manager.get("turnover/stats/", shape=TURNOVER_STATS)
    s.equal(sum(body["counts"].values()), len(body["time_in_status"]), "the rooms in time_in_status")


@row("GET room-management/, room-management/{rno}/: by number")
def rooms(s: Session) -> None:
    s.manager.get("room-management/", shape=page(ROOM))
    room = s.room()
    body = s.frontdesk.get(f"room-management/{room['room_number']}/", shape=ROOM_WITH_GUESTS)
    s.equal((body["id"], body["room_number"]), (room["id"], room["room_number"]), "the room")
    s.frontdesk.get("room-management/999998/", status=404, begins="Room not found")


@row("Room: guests only for staff with a bookings permission")
def guests(s: Session) -> None:
    _, room = s.arrived(party=[{"first_name": "Ottoline", "last_name": "Quillfeather"}])
    path = f"room-management/{room['room_number']}/"
    body = s.frontdesk.get(path, shape=ROOM_WITH_GUESTS)
    s.equal(body["primary_guest"], {"first_name": "Ada", "last_name": "Quillfeather"}, "primary_guest")
    s.equal(len(body["guests_in_room"]), 2, "the number of guests in the room")
    s.equal((body["is_occupied"], body["is_bookable"], body["room_status"]), (True, False, "OCCUPIED"), "the room")
    s.equal(set(body["allowed_transitions"]), {"MAINTENANCE_REQUIRED"}, "allowed_transitions of an occupied room")
    body = s.housekeeper.get(path, shape=ROOM)
    s.equal("primary_guest" in body or "guests_in_room" in body, False, "guests visible to a housekeeper")


@row("POST room-management/: 201 by room_type_id or room_type")
def create_room(s: Session) -> None:
    for name in ("room_type_id", "room_type"):
        number = s.new_number()
        body = {"room_number": number, name: str(s.type["id"]), "is_active": True}
        made = s.manager.post("room-management/", body, status=201, shape=ROOM)
        s.equal((made["room_status"], made["is_bookable"]), ("READY_FOR_GUEST", True), "a new room")
        s.manager.post("room-management/", body, status=409)


@row("PATCH room-management/{rid}/: by pk, never room_status")
def patch_room(s: Session) -> None:
    room = s.room()
    path = f"room-management/{room['id']}/"
    body = s.manager.patch(path, {"is_active": False}, shape=ROOM)
    s.equal((body["is_active"], body["is_bookable"]), (False, False), "a room out of service")
    s.manager.patch(path, {"is_active": True, "room_type": str(s.type["id"])}, shape=ROOM)
    s.manager.patch(path, {"room_status": "OUT_OF_ORDER"}, status=400, code="READ_ONLY_FIELD")


@row("DELETE room-management/{rid}/: 204, 409 with history")
def delete_room(s: Session) -> None:
    number = s.new_number()
    made = s.manager.post("room-management/", {"room_number": number, "room_type_id": s.type["id"]}, status=201)
    s.manager.delete(f"room-management/{made['id']}/")
    s.manager.get(f"room-management/{number}/", status=404)
    s.manager.delete(f"room-management/{s.room('CHECKOUT_DIRTY')['id']}/", status=409)


@row("GET, POST, PATCH, DELETE room-types/: a plain array")
def room_types(s: Session) -> None:
    s.manager.get("room-types/", shape=[ROOM_TYPE])
    body = {
        "name": f"Suite {s.run_id}",
        "code": f"X{s.run_id}",
        "starting_price_from": "250.00",
        "currency": "EUR",
        "max_occupancy": "4",
        "bed_setup": "1 double",
        "short_description": "",
        "availability_message": "",
        "is_active": True,
    }
    made = s.manager.post("room-types/", body, status=201, shape=ROOM_TYPE)
    path = f"room-types/{made['id']}/"
    changed = s.manager.patch(path, {"starting_price_from": "260.00"}, shape=ROOM_TYPE)
    s.equal(changed["starting_price_from"], "260.00", "the new price")
    s.manager.delete(path)
    s.manager.delete(f"room-types/{s.type['id']}/", status=409)


@row("room-types/: 409 for a taken name or code, with the field in details only")
def taken_room_type(s: Session) -> None:
    body = {"name": f"Taken {s.run_id}", "code": f"T{s.run_id}", "max_occupancy": 2}
    made = s.manager.post("room-types/", body, status=201, shape=ROOM_TYPE)
    for field in ("name", "code"):
        twin = {**body, "name": f"Other {s.run_id}", "code": f"O{s.run_id}"} | {field: body[field]}
        refused = s.manager.post("room-types/", twin, status=409, code="ROOM_TYPE_TAKEN")
        s.matches(refused["details"], {field: ["str"]}, f"details of a taken {field}")
        s.manager.patch(f"room-types/{s.small_type['id']}/", {field: body[field]}, status=409, code="ROOM_TYPE_TAKEN")
    refused = s.manager.post("room-types/", {**body, "code": ""}, status=400, code="VALIDATION_ERROR")
    s.matches(refused["details"], {"code": ["str"]}, "details of a blank code")
    s.manager.delete(f"room-types/{made['id']}/")


@row("POST room-types/{id}/rooms/bulk-create/: three ways to name rooms")
def bulk_create(s: Session) -> None:
    path = f"room-types/{s.small_type['id']}/rooms/bulk-create/"
    first, second, third = (s.new_number() for _ in range(3))
    made = s.manager.post(path, {"room_numbers": [str(first)]}, status=201, shape=BULK_CREATED)
    s.equal((made["created_count"], made["skipped_existing"]), (1, []), "the rooms created from a number")
    body = {"ranges": [{"start": str(first), "end": str(second)}]}
    made = s.manager.post(path, body, status=201, shape=BULK_CREATED)
    s.equal((made["created_count"], made["skipped_existing"]), (1, [first]), "the rooms created from a range")
    s.manager.post(path, {"range_from": third, "range_to": third}, status=201, shape=BULK_CREATED)
    s.manager.post(path, {}, status=400)


def turn(s: Session, member: Any, room: dict[str, Any], action: str, way: tuple[str, str], body: Any = None) -> Any:
    """Perform a turnover action, check its event and return the response."""
    path = f"rooms/{room['room_number']}/{action}/"
    with s.expects_events(rooms=[("room_updated", room["room_number"])]):
        response = member.post(path, *([] if body is None else [body]), shape=TURNOVER)
    s.equal((response["old_status"], response["new_status"]), way, f"{action}: old_status, new_status")
    s.equal(response["status_event"]["to_status"], way[1], f"{action}: status_event.to_status")
    s.equal(response["room"]["room_status"], way[1], f"{action}: room.room_status")
    return response


@row("POST rooms/{rno}/start-cleaning/: 409 with the name of another cleaner")
def start_cleaning(s: Session) -> None:
    room = s.room("CHECKOUT_DIRTY")
    response = turn(s, s.housekeeper, room, "start-cleaning", ("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS"))
    s.equal(response["status_event"]["source"], "HOUSEKEEPING", "the source")
    path = f"rooms/{room['room_number']}/start-cleaning/"
    refused = s.supervisor.post(path, {}, status=409, code="ALREADY_IN_PROGRESS")
    name = s.housekeeper.profile["first_name"]
    s.equal(name in refused["message"], True, f"{name} mentioned in {refused['message']!r}")


@row("POST rooms/{rno}/mark-cleaned/: with and without notes")
def mark_cleaned(s: Session) -> None:
    room, other = s.room("CHECKOUT_DIRTY"), s.room("CHECKOUT_DIRTY", "CLEANING_IN_PROGRESS")
    body = {"notes": "extra towels"}
    response = turn(s, s.housekeeper, room, "mark-cleaned", ("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED"), body)
    s.equal("extra towels" in response["room"]["turnover_notes"], True, "turnover_notes contains the note")
    name = f"{s.housekeeper.profile['first_name']} {s.housekeeper.profile['last_name']}"
    s.equal(
        (response["room"]["cleaned_by_staff"], response["room"]["cleaned_by_staff_name"]), (name, name), "the cleaner"
    )
    s.matches(response["room"]["last_cleaned_at"], "time", "last_cleaned_at")
    turn(s, s.housekeeper, other, "mark-cleaned", ("CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"), {})


@row("POST rooms/{rno}/inspect/: no body passes, fail → dirty, fault → maintenance")
def inspect(s: Session) -> None:
    cleaned = ("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED")
    response = turn(s, s.supervisor, s.room(*cleaned), "inspect", ("CLEANED_UNINSPECTED", "READY_FOR_GUEST"))
    s.matches(response["room"]["last_inspected_at"], "time", "last_inspected_at")
    s.matches(response["room"]["inspected_by_staff"], "str", "inspected_by_staff")
    body = {"passed": False, "notes": "mirror"}
    turn(s, s.supervisor, s.room(*cleaned), "inspect", ("CLEANED_UNINSPECTED", "CHECKOUT_DIRTY"), body)
    room = s.room()
    s.supervisor.post(f"rooms/{room['room_number']}/mark-maintenance/")
    for to_status in cleaned:
        s.manager.post(f"housekeeping/rooms/{room['id']}/manager_override/", {"to_status": to_status, "note": "so"})
    turn(s, s.supervisor, room, "inspect", ("CLEANED_UNINSPECTED", "MAINTENANCE_REQUIRED"), {"passed": True})
    s.supervisor.post(f"rooms/{s.room(*cleaned)['room_number']}/inspect/", {"passed": "yes"}, status=400)
    again = s.supervisor.post(f"rooms/{s.room()['room_number']}/inspect/", shape=TURNOVER)
    s.equal(again["status_event"], None, "status_event of an already ready room")


@row("POST rooms/{rno}/mark-maintenance/: MED by default, can be raised")
def mark_maintenance(s: Session) -> None:
    room = s.room()
    response = turn(s, s.housekeeper, room, "mark-maintenance", ("READY_FOR_GUEST", "MAINTENANCE_REQUIRED"))
    s.equal(response["room"]["maintenance_priority"], "MED", "the priority")
    path, number = f"rooms/{room['room_number']}/mark-maintenance/", room["room_number"]
    with s.expects_events(rooms=[("room_updated", number)]):
        response = s.frontdesk.post(path, {"priority": "HIGH", "notes": "whispered note: shower"}, shape=TURNOVER)
    s.equal(response["room"]["maintenance_priority"], "HIGH", "the priority after a second report")
    s.equal("shower" in response["room"]["maintenance_notes"], True, "maintenance_notes contains the note")
    payload = s.recorder.on(f"private-{s.hotel}.rooms")[-1].envelope["payload"]
    s.equal(payload["from_status"], payload["to_status"], "from_status of the second report")
    s.equal(
        {"maintenance_notes", "maintenance_priority"} & set(payload["changed_fields"]) != set(), True, "changed_fields"
    )
    s.frontdesk.post(path, {"priority": "URGENT"}, status=400)


@row("POST rooms/{rno}/complete-maintenance/: three resulting statuses")
def complete_maintenance(s: Session) -> None:
    action = "complete-maintenance"
    room = s.room("MAINTENANCE_REQUIRED")
    response = turn(s, s.supervisor, room, action, ("MAINTENANCE_REQUIRED", "CHECKOUT_DIRTY"))
    s.equal(
        (response["room"]["maintenance_required"], response["room"]["maintenance_priority"]), (False, None), "the flag"
    )
    turned = s.room("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED", "READY_FOR_GUEST", "MAINTENANCE_REQUIRED")
    turn(s, s.supervisor, turned, action, ("MAINTENANCE_REQUIRED", "READY_FOR_GUEST"), {"notes": "new lamp"})
    _, occupied = s.arrived()
    s.housekeeper.post(f"rooms/{occupied['room_number']}/mark-maintenance/", {"priority": "LOW"})
    turn(s, s.supervisor, occupied, action, ("MAINTENANCE_REQUIRED", "OCCUPIED"))


@row("POST rooms/checkin/: today's due arrivals, a result for each room")
def check_in_rooms(s: Session) -> None:
    booking, room, empty = s.book(), s.room(), s.room()
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": str(room["id"])})
    bid = booking["booking_id"]
    with s.expects_events(rooms=s.occupancy_events(room), bookings=[("booking_checked_in", bid)]):
        ids = [str(room["id"]), str(empty["id"])]
        body = s.frontdesk.post("rooms/checkin/", {"room_ids": ids}, shape=ROOMS_CHECKED_IN)
    s.equal(body["results"]["checked_in_bookings"], [bid], "checked_in_bookings")
    s.equal([one["room_id"] for one in body["results"]["failed"]], [empty["id"]], "the failed rooms")
    refused = s.frontdesk.post("rooms/checkin/", {"room_ids": [empty["id"]]}, status=409)
    s.matches(refused.get("results"), CHECK_IN_RESULTS, "the results of a 409")


@row("POST rooms/checkout/: the same with and without destructive")
def check_out_rooms(s: Session) -> None:
    for destructive in (False, True):
        (booking, room), empty = s.arrived(), s.room()
        bid, ids = booking["booking_id"], [str(room["id"]), str(empty["id"])]
        with s.expects_events(rooms=s.occupancy_events(room), bookings=[("booking_checked_out", bid)]):
            body = {"room_ids": ids} | ({"destructive": True} if destructive else {})
            done = s.frontdesk.post("rooms/checkout/", body, shape=ROOMS_CHECKED_OUT)
        s.equal(done["results"]["checked_out_bookings"], [bid], "checked_out_bookings")
        s.equal(done["results"]["destructive_mode"], destructive, "destructive_mode")
        s.equal(done["results"]["failed"][0]["room_id"], empty["id"], "the failed room")
        s.equal(s.current(room)["room_status"], "CHECKOUT_DIRTY", "the room")
        s.equal(s.current(empty)["room_status"], "READY_FOR_GUEST", "the vacant room")
        s.equal(s.frontdesk.get(s.path(booking))["primary_email"], booking["primary_email"], "the guest's data")
        refused = s.frontdesk.post("rooms/checkout/", {"room_ids": ids}, status=409)
        s.matches(refused.get("results"), CHECK_OUT_RESULTS, "the results of a 409")
