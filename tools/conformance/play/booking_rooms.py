"""Section 6: which room a booking has: found, assigned, taken back, moved."""

from tools.conformance.report import Table
from tools.conformance.shapes import AVAILABLE_ROOMS, DETAIL
from tools.conformance.world import World

TABLE = Table("6")
row = TABLE.row


@row("GET {bid}/available-rooms/: without its own room, 200 in every status")
def available_rooms(w: World) -> None:
    booking, room = w.book(), w.room()
    path = w.path(booking, "available-rooms/")
    ids = [one["id"] for one in w.frontdesk.get(path, shape=AVAILABLE_ROOMS)["available_rooms"]]
    w.see(room["id"] in ids, True, "a free room among them")
    w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": str(room["id"])})
    ids = [one["id"] for one in w.frontdesk.get(path, shape=AVAILABLE_ROOMS)["available_rooms"]]
    w.see(room["id"] in ids, False, "its own room among them")
    for step in ("check-in/", "check-out/"):
        w.frontdesk.post(w.path(booking, step))
        w.frontdesk.get(path, shape=AVAILABLE_ROOMS)
    cancelled = w.book()
    w.frontdesk.post(w.path(cancelled, "cancel/"))
    w.frontdesk.get(w.path(cancelled, "available-rooms/"), shape=AVAILABLE_ROOMS)


@row("POST {bid}/safe-assign-room/: detail with assigned_room; told")
def assign(w: World) -> None:
    booking, room = w.book(), w.room("CHECKOUT_DIRTY")
    w.hears_guest(booking)
    told = [("booking_updated", booking["booking_id"])]
    with w.tells(bookings=told, guest=booking, guest_told="booking_room_assigned"):
        body = {"room_id": str(room["id"]), "assignment_notes": "quiet side"}
        body = w.frontdesk.post(w.path(booking, "safe-assign-room/"), body, shape=DETAIL)
    w.see(body["assigned_room"], {"id": room["id"], "room_number": room["room_number"]}, "assigned_room")
    w.see((body["assignment_notes"], body["assigned_room_number"]), ("quiet side", room["room_number"]), "the detail")
    other = {"room_id": w.room()["id"], "notes": "lift side"}
    with w.tells(bookings=told, guest=booking, guest_told="booking_room_assigned"):
        body = w.frontdesk.post(w.path(booking, "safe-assign-room/"), other, shape=DETAIL)
    w.see(body["assignment_notes"], "lift side", "notes, the other name")


@row("safe-assign-room: every code of the table")
def assign_refused(w: World) -> None:
    room, booking = w.room(), w.book(2, 2)
    path, body = w.path(booking, "safe-assign-room/"), {"room_id": str(room["id"])}
    with w.rules(require_complete_party=True):
        crowd = w.book(2, 2, adults=2)
        w.frontdesk.post(w.path(crowd, "safe-assign-room/"), body, status=400, code="PARTY_INCOMPLETE")
        family = w.book(2, 2, adults=1, children=2)
        w.frontdesk.post(w.path(family, "safe-assign-room/"), {"room_id": w.room()["id"]})
    theirs = w.stranger.get("room-management/")["results"][0]["id"]
    for rid in (theirs, "999999999"):
        w.frontdesk.post(path, {"room_id": rid}, status=404, code="ROOM_NOT_FOUND", begins="Room not found")
    w.frontdesk.post(path, {"room_id": w.small_room["id"]}, status=400, code="ROOM_TYPE_MISMATCH")
    broken, idle = w.room("OUT_OF_ORDER"), w.room()
    w.manager.patch(f"room-management/{idle['id']}/", {"is_active": False})
    for one in (broken, idle):
        w.frontdesk.post(path, {"room_id": one["id"]}, status=409, code="ROOM_NOT_BOOKABLE")
    w.frontdesk.post(w.path(w.book(3, 2), "safe-assign-room/"), body)
    w.frontdesk.post(path, body, status=409, code="ROOM_OVERLAP_CONFLICT")
    arrived, _ = w.arrived()
    path = w.path(arrived, "safe-assign-room/")
    w.frontdesk.post(path, {"room_id": w.room()["id"]}, status=409, code="BOOKING_ALREADY_CHECKED_IN")
    cancelled = w.book(2, 2)
    w.frontdesk.post(w.path(cancelled, "cancel/"))
    path = w.path(cancelled, "safe-assign-room/")
    w.frontdesk.post(path, {"room_id": w.room()["id"]}, status=409, code="BOOKING_NOT_ELIGIBLE")


@row("POST {bid}/unassign-room/: no body; 200 without a room, 409 in house")
def unassign(w: World) -> None:
    booking, room = w.book(), w.room()
    w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    with w.tells(bookings=[("booking_updated", booking["booking_id"])]):
        body = w.frontdesk.post(w.path(booking, "unassign-room/"), shape=DETAIL)
    w.see((body["assigned_room"], body["room"], body["room_number"]), (None, None, None), "the booking's room")
    with w.tells():
        w.frontdesk.post(w.path(booking, "unassign-room/"), {}, shape=DETAIL)
    arrived, _ = w.arrived()
    w.frontdesk.post(w.path(arrived, "unassign-room/"), status=409)


@row("POST {bid}/move-room/: old room dirty, new one occupied; told")
def move(w: World) -> None:
    booking, old, new = w.book(), w.room(), w.room()
    w.hears_guest(booking)
    told = {"rooms": w.moved(old), "bookings": [("booking_checked_in", booking["booking_id"])]}
    with w.tells(**told, guest=booking, guest_told="booking_checked_in"):
        w.frontdesk.post(w.path(booking, "check-in/"), {"room_id": old["id"]})
    told = {"rooms": w.moved(old, new), "bookings": [("booking_updated", booking["booking_id"])]}
    with w.tells(**told, guest=booking, guest_told="booking_room_moved"):
        body = {"to_room_id": str(new["id"]), "reason": "air conditioning", "notes": ""}
        body = w.frontdesk.post(w.path(booking, "move-room/"), body, shape=DETAIL)
    w.see(body["room_number"], new["room_number"], "the room")
    w.has(body["room_moved_at"], "time", "room_moved_at")
    w.see(w.now(old)["room_status"], "CHECKOUT_DIRTY", "the old room")
    w.see(w.now(new)["room_status"], "OCCUPIED", "the new room")


@row("move-room: every code of the table")
def move_refused(w: World) -> None:
    booking, _ = w.arrived(0, 3, adults=2)
    path, free = w.path(booking, "move-room/"), w.room()
    why = {"reason": "noise"}
    _, occupied = w.arrived()
    promised = w.room()
    w.frontdesk.post(w.path(w.book(1, 2), "safe-assign-room/"), {"room_id": promised["id"]})
    for room, code in (
        (occupied, "ROOM_OCCUPIED"),
        (w.room("CHECKOUT_DIRTY"), "ROOM_NOT_READY"),
        (w.room("OUT_OF_ORDER"), "ROOM_OUT_OF_ORDER"),
        (w.small_room, "ROOM_CAPACITY_EXCEEDED"),
        (promised, "ROOM_OVERLAP_CONFLICT"),
    ):
        w.frontdesk.post(path, {"to_room_id": str(room["id"]), **why}, status=409, code=code)
    w.frontdesk.post(path, {"to_room_id": free["id"]}, status=400)
    body = {"to_room_id": free["id"], **why}
    w.frontdesk.post(w.path(w.book(), "move-room/"), body, status=409, code="BOOKING_NOT_CHECKED_IN")
    w.frontdesk.post(w.path(booking, "check-out/"))
    w.frontdesk.post(path, body, status=409, code="BOOKING_ALREADY_CHECKED_OUT")
