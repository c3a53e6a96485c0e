"""Bookings: available rooms, assign, unassign, move."""

from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import AVAILABLE_ROOMS, DETAIL

TABLE = Table("Bookings")
row = TABLE.row


@row("GET {bid}/available-rooms/: without its own room, 200 in every status")
def available_rooms(s: Session) -> None:
    booking, room = s.book(), s.room()
    path = s.path(booking, "available-rooms/")
    ids = [one["id"] for one in s.frontdesk.get(path, shape=AVAILABLE_ROOMS)["available_rooms"]]
    s.equal(room["id"] in ids, True, "includes a free room")
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": str(room["id"])})
    ids = [one["id"] for one in s.frontdesk.get(path, shape=AVAILABLE_ROOMS)["available_rooms"]]
    s.equal(room["id"] in ids, False, "includes its own room")
    for action in ("check-in/", "check-out/"):
        s.frontdesk.post(s.path(booking, action))
        s.frontdesk.get(path, shape=AVAILABLE_ROOMS)
    cancelled = s.book()
    s.frontdesk.post(s.path(cancelled, "cancel/"))
    s.frontdesk.get(s.path(cancelled, "available-rooms/"), shape=AVAILABLE_ROOMS)


@row("POST {bid}/safe-assign-room/: detail with assigned_room; events")
def assign(s: Session) -> None:
    booking, room = s.book(), s.room("CHECKOUT_DIRTY")
    s.subscribe_as_guest(booking)
    events = [("booking_updated", booking["booking_id"])]
    with s.expects_events(bookings=events, guest=booking, guest_event="booking_room_assigned"):
        body = {"room_id": str(room["id"]), "assignment_notes": "quiet side"}
        body = s.frontdesk.post(s.path(booking, "safe-assign-room/"), body, shape=DETAIL)
    s.equal(body["assigned_room"], {"id": room["id"], "room_number": room["room_number"]}, "assigned_room")
    s.equal((body["assignment_notes"], body["assigned_room_number"]), ("quiet side", room["room_number"]), "the detail")
    other = {"room_id": s.room()["id"], "notes": "lift side"}
    with s.expects_events(bookings=events, guest=booking, guest_event="booking_room_assigned"):
        body = s.frontdesk.post(s.path(booking, "safe-assign-room/"), other, shape=DETAIL)
    s.equal(body["assignment_notes"], "lift side", "assignment_notes, sent as notes")


@row("safe-assign-room: every code of the table")
def assign_refused(s: Session) -> None:
    room, booking = s.room(), s.book(2, 2)
    path, body = s.path(booking, "safe-assign-room/"), {"room_id": str(room["id"])}
    with s.rules(require_complete_party=True):
        crowd = s.book(2, 2, adults=2)
        s.frontdesk.post(s.path(crowd, "safe-assign-room/"), body, status=400, code="PARTY_INCOMPLETE")
        family = s.book(2, 2, adults=1, children=2)
        s.frontdesk.post(s.path(family, "safe-assign-room/"), {"room_id": s.room()["id"]})
    theirs = s.stranger.get("room-management/")["results"][0]["id"]
    for rid in (theirs, "999999999"):
        s.frontdesk.post(path, {"room_id": rid}, status=404, code="ROOM_NOT_FOUND", begins="Room not found")
    s.frontdesk.post(path, {"room_id": s.small_room["id"]}, status=400, code="ROOM_TYPE_MISMATCH")
    broken, idle = s.room("OUT_OF_ORDER"), s.room()
    s.manager.patch(f"room-management/{idle['id']}/", {"is_active": False})
    for one in (broken, idle):
        s.frontdesk.post(path, {"room_id": one["id"]}, status=409, code="ROOM_NOT_BOOKABLE")
    s.frontdesk.post(s.path(s.book(3, 2), "safe-assign-room/"), body)
    s.frontdesk.post(path, body, status=409, code="ROOM_OVERLAP_CONFLICT")
    arrived, _ = s.arrived()
    path = s.path(arrived, "safe-assign-room/")
    s.frontdesk.post(path, {"room_id": s.room()["id"]}, status=409, code="BOOKING_ALREADY_CHECKED_IN")
    cancelled = s.book(2, 2)
    s.frontdesk.post(s.path(cancelled, "cancel/"))
    path = s.path(cancelled, "safe-assign-room/")
    s.frontdesk.post(path, {"room_id": s.room()["id"]}, status=409, code="BOOKING_NOT_ELIGIBLE")


@row("safe-assign-room: a room of another type with upgrade; the booked type stays")
def upgrade(s: Session) -> None:
    booking = s.book(2, 2)
    asked = s.frontdesk.get(s.path(booking, "available-rooms/"), query={"upgrade": "true"})["available_rooms"]
    better = next(one["id"] for one in asked if one["room_type"] != booking["room_type_name"])
    body = s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": better, "upgrade": True}, shape=DETAIL)
    s.equal(body["room_type_name"], booking["room_type_name"], "room_type_name after an upgrade")
    s.equal(body["is_upgraded"], True, "is_upgraded after an upgrade")


@row("PATCH {bid}/: room_type_id books another type before the arrival")
def another_type(s: Session) -> None:
    booking, kind = s.book(2, 2), s.small_type
    body = s.frontdesk.patch(s.path(booking), {"room_type_id": kind["id"]}, shape=DETAIL)
    s.equal(body["room_type_name"], kind["name"], "room_type_name after the change")
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": s.small_room["id"]})
    s.frontdesk.patch(s.path(booking), {"room_type_id": s.type["id"]}, status=409, code="ROOM_ASSIGNED")


@row("POST {bid}/unassign-room/: no body; 200 without a room, 409 in house")
def unassign(s: Session) -> None:
    booking, room = s.book(), s.room()
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    with s.expects_events(bookings=[("booking_updated", booking["booking_id"])]):
        body = s.frontdesk.post(s.path(booking, "unassign-room/"), shape=DETAIL)
    s.equal((body["assigned_room"], body["room"], body["room_number"]), (None, None, None), "the booking's room")
    with s.expects_events():
        s.frontdesk.post(s.path(booking, "unassign-room/"), {}, shape=DETAIL)
    arrived, _ = s.arrived()
    s.frontdesk.post(s.path(arrived, "unassign-room/"), status=409)


@row("POST {bid}/move-room/: old room dirty, new one occupied; events")
def move(s: Session) -> None:
    booking, old, new = s.book(), s.room(), s.room()
    s.subscribe_as_guest(booking)
    events = {"rooms": s.occupancy_events(old), "bookings": [("booking_checked_in", booking["booking_id"])]}
    with s.expects_events(**events, guest=booking, guest_event="booking_checked_in"):
        s.frontdesk.post(s.path(booking, "check-in/"), {"room_id": old["id"]})
    events = {"rooms": s.occupancy_events(old, new), "bookings": [("booking_updated", booking["booking_id"])]}
    with s.expects_events(**events, guest=booking, guest_event="booking_room_moved"):
        body = {"to_room_id": str(new["id"]), "reason": "air conditioning", "notes": ""}
        body = s.frontdesk.post(s.path(booking, "move-room/"), body, shape=DETAIL)
    s.equal(body["room_number"], new["room_number"], "the room")
    s.matches(body["room_moved_at"], "time", "room_moved_at")
    s.equal(s.current(old)["room_status"], "CHECKOUT_DIRTY", "the old room")
    s.equal(s.current(new)["room_status"], "OCCUPIED", "the new room")


@row("move-room: every code of the table")
def move_refused(s: Session) -> None:
    booking, _ = s.arrived(0, 3, adults=2)
    path, free = s.path(booking, "move-room/"), s.room()
    why = {"reason": "noise"}
    _, occupied = s.arrived()
    assigned = s.room()
    s.frontdesk.post(s.path(s.book(1, 2), "safe-assign-room/"), {"room_id": assigned["id"]})
    for room, code in (
        (occupied, "ROOM_OCCUPIED"),
        (s.room("CHECKOUT_DIRTY"), "ROOM_NOT_READY"),
        (s.room("OUT_OF_ORDER"), "ROOM_OUT_OF_ORDER"),
        (s.small_room, "ROOM_CAPACITY_EXCEEDED"),
        (assigned, "ROOM_OVERLAP_CONFLICT"),
    ):
        s.frontdesk.post(path, {"to_room_id": str(room["id"]), **why}, status=409, code=code)
    s.frontdesk.post(path, {"to_room_id": free["id"]}, status=400)
    body = {"to_room_id": free["id"], **why}
    s.frontdesk.post(s.path(s.book(), "move-room/"), body, status=409, code="BOOKING_NOT_CHECKED_IN")
    s.frontdesk.post(s.path(booking, "check-out/"))
    s.frontdesk.post(path, body, status=409, code="BOOKING_ALREADY_CHECKED_OUT")
