"""Bookings: availability, rooms needed by bookings, capacity (docs/api.md, Inventory)."""

from typing import Any

from tools.conformance.checks.booking_decisions import request_without_card
from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import (
    AVAILABILITY,
    BLOCK,
    BLOCK_DETAIL,
    BLOCKS,
    DETAIL,
    EXTENSION_REFUSED,
    ROOM_NEEDED,
    page,
)

TABLE = Table("Bookings")
row = TABLE.row
REASON = {"override_reason": "a guest of twenty years"}


@row("ROOM_NEEDED: an assigned room is removed only with force")
def room_needed(s: Session) -> None:
    broken: dict[str, Any] = {"to_status": "OUT_OF_ORDER"}
    gone: tuple[dict[str, Any], ...] = ({"is_active": False}, {"room_type_id": s.small_type["id"]})
    for path, body, member in (
        ("rooms/{}/status/", broken, s.supervisor),
        ("housekeeping/rooms/{}/manager_override/", {**broken, "note": "the roof"}, s.manager),
    ):
        booking, room = assigned(s)
        refused = member.post(path.format(room["id"]), body, status=409, code="ROOM_NEEDED", shape=ROOM_NEEDED)
        check_conflict(s, refused, booking, room)
        s.supervisor.post(f"rooms/{room['id']}/status/", {**broken, "force": True}, status=403)
        unassigned = [("booking_updated", booking["booking_id"])]
        with s.expects_events(rooms=[("room_updated", room["room_number"])], bookings=unassigned):
            s.manager.post(path.format(room["id"]), {**body, "force": True})
        s.equal(s.frontdesk.get(s.path(booking))["assigned_room"], None, "the booking's room")
    for body in gone:
        booking, room = assigned(s)
        path = f"room-management/{room['id']}/"
        check_conflict(s, s.manager.patch(path, body, status=409, code="ROOM_NEEDED", shape=ROOM_NEEDED), booking, room)
        s.manager.patch(path, {**body, "force": True})
        s.equal(s.frontdesk.get(s.path(booking))["assigned_room"], None, "the booking's room")


@row("ROOM_NEEDED: the last room of a sold night is removed only with force")
def last_room_needed(s: Session) -> None:
    kind, room = s.lone_room()
    booking = s.book(3, 1, room_type_id=kind["id"])
    path, body = f"room-management/{room['id']}/", {"is_active": False}
    refused = s.manager.patch(path, body, status=409, code="ROOM_NEEDED", shape=ROOM_NEEDED)
    check_conflict(s, refused, booking, None)
    s.manager.delete(path, status=409, code="ROOM_NEEDED")
    s.manager.patch(path, {**body, "force": True})


@row("ROOM_CAPACITY_EXCEEDED: booking, edit, party, assign, check-in, type")
def capacity(s: Session) -> None:
    code: dict[str, Any] = {"status": 409, "code": "ROOM_CAPACITY_EXCEEDED"}
    kind, room = s.lone_room()  # sleeps two
    family = {"room_type_id": kind["id"], "check_in": s.day(0), "check_out": s.day(1), "adults": 2, "children": 1}
    family |= {"primary_first_name": "Ada", "primary_last_name": "B"}
    s.frontdesk.post("room-bookings/", family, **code)
    s.frontdesk.post("room-bookings/", {**family, **REASON}, **code)
    booking = s.book(0, 1, room_type_id=kind["id"], adults=2)
    path, three = s.path(booking), {"companions": [{"first_name": "A", "last_name": "B"}] * 2}
    for body in ({"children": 1}, {"children": 1, **REASON}):
        s.frontdesk.patch(path, body, **code)
    s.frontdesk.put(s.path(booking, "party/companions/"), three, **code)
    s.manager.put(s.path(booking, "party/companions/"), {**three, **REASON})
    s.manager.patch(f"room-types/{kind['id']}/", {"max_occupancy": 1}, **code)
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": room["id"]}, shape=DETAIL)
    s.frontdesk.post(s.path(booking, "check-in/"), shape=DETAIL)


@row("ROOM_CAPACITY_EXCEEDED: a smaller room, without a supervisor's override")
def smaller_room(s: Session) -> None:
    kind, room = s.lone_room()
    booking = s.arrived(0, 2, adults=2)[0]
    s.manager.post(s.path(booking, "move-room/"), {"to_room_id": room["id"], "reason": "the lift"}, shape=DETAIL)
    s.manager.patch(s.path(booking), {"adults": 2, "children": 1, **REASON})
    small = {"to_room_id": s.small_room["id"], "reason": "noise"}
    s.frontdesk.post(s.path(booking, "move-room/"), small, status=409, code="ROOM_CAPACITY_EXCEEDED")
    s.equal(kind["max_occupancy"], 2, "the beds of the type")


@row("confirm, approve: 409 NO_AVAILABILITY, nothing captured")
def sold_out(s: Session) -> None:
    kind, _ = s.lone_room()
    if s.stripe:
        first, second = (s.by_card(room_type_id=kind["id"]) for _ in range(2))
        s.frontdesk.post(s.path(first, "approve/"), shape=DETAIL)
        with s.expects_events():
            s.frontdesk.post(s.path(second, "approve/"), status=409, code="NO_AVAILABILITY")
        s.equal(s.stripe.moved(second["payment_reference"]), {}, "payments at the provider")
    else:
        s.not_reached("its card provider has no payments of this run")
    if s.own and (request := request_without_card(s)):
        types = s.manager.get("room-types/")
        [expected] = [one["id"] for one in types if one["name"] == request["room_type_name"]]
        stay = {"room_type_id": expected, "check_in": request["check_in"], "check_out": request["check_out"]}
        sold = {"bucket": "all", "status": "CONFIRMED", "room_type": expected, "date_from": request["check_in"]}
        left = 8 - s.frontdesk.get("room-bookings/", query={**sold, "date_to": request["check_in"]})["count"]
        others = [s.book(**stay) for _ in range(left)]
        for action in ("confirm/", "approve/"):
            s.frontdesk.post(s.path(request, action), status=409, code="NO_AVAILABILITY")
        for other in others:
            s.frontdesk.post(s.path(other, "cancel/"))


@row("GET availability/: rooms, blocked, sold and free, for each type and night")
def availability(s: Session) -> None:
    kind, room = s.lone_room()
    booking = s.book(3, 1, room_type_id=kind["id"])
    query = {"from": s.day(2), "to": s.day(4), "room_type": kind["code"]}
    for place in ("sold_unassigned", "sold_assigned"):
        body = s.frontdesk.get("availability/", query=query, shape=AVAILABILITY)
        s.equal([one["id"] for one in body["room_types"]], [kind["id"]], "the only type")
        seen = [(night["date"], night["rooms"], night[place], night["free"]) for night in body["total"]]
        s.equal(seen, [(s.day(2), 1, 0, 1), (s.day(3), 1, 1, 0)], "the nights")
        s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    s.equal(s.supervisor.get("availability/", query=query)["total"], body["total"], "housekeeping's answer")
    s.frontdesk.get("availability/", query={**query, "to": s.day(2)}, status=400)


@row("room-blocks/: created, extended, cancelled, completed, listed and exported; ROOM_NEEDED under an arrival")
def room_blocks(s: Session) -> None:
    kind, room = s.lone_room()
    reason = s.supervisor.get("block-reasons/")[0]["code"]
    nights: dict[str, Any] = {"room_ids": [room["id"]], "reason": reason, "kind": "OUT_OF_ORDER"}
    booking = s.book(3, 1, room_type_id=kind["id"])
    later = {**nights, "from": s.day(2), "to": s.day(4)}
    s.supervisor.post("room-blocks/", later, status=409, code="ROOM_NEEDED")
    s.frontdesk.post("room-blocks/", {**later, "to": s.day(3)}, status=403)
    [planned] = s.supervisor.post("room-blocks/", {**later, "to": s.day(3)}, status=201, shape=BLOCKS)["blocks"]
    path = f"room-blocks/{planned['id']}/"
    s.supervisor.post(f"{path}extend/", {"to": s.day(4)}, status=409, code="ROOM_NEEDED")
    s.frontdesk.post(s.path(booking, "cancel/"))
    s.equal(s.supervisor.post(f"{path}extend/", {"to": s.day(4)})["to"], s.day(4), "the new end")
    s.equal(s.supervisor.post(f"{path}cancel/")["status"], "CANCELLED", "the block")
    s.equal(len(s.frontdesk.get(path, shape=BLOCK_DETAIL)["history"]), 3, "its changes")
    [now] = s.supervisor.post("room-blocks/", {**nights, "from": s.day(0)}, status=201, shape=BLOCKS)["blocks"]
    s.equal(s.current(room)["room_status"], "OUT_OF_ORDER", "the room")
    clean = {"to_status": "READY_FOR_GUEST"}
    s.manager.post(f"rooms/{room['id']}/status/", clean, status=409, code="ROOM_BLOCKED")
    s.supervisor.post(f"room-blocks/{now['id']}/complete/")
    s.equal(s.current(room)["room_status"], now["return_status"], "the room")
    listed = s.frontdesk.get("room-blocks/", query={"room_id": str(room["id"])}, shape=page(BLOCK))
    s.equal({one["id"] for one in listed["results"]}, {planned["id"], now["id"]}, "the room's blocks")
    period = {"from": s.day(0), "to": s.day(5)}
    s.supervisor.get("room-blocks/export/", query=period)
    s.supervisor.get("room-blocks/nights/", query=period)


@row("early check-in, extend, later departure: NO_AVAILABILITY, override")
def overrides(s: Session) -> None:
    kind, room = s.lone_room()
    mine: dict[str, Any] = {"room_type_id": kind["id"]}
    code: dict[str, Any] = {"status": 409, "code": "NO_AVAILABILITY"}
    early, tonight = s.book(1, 1, **mine), s.book(0, 1, **mine)
    other = s.add_room(kind)
    s.manager.patch(f"room-management/{other['id']}/", {"is_active": False})
    here = {"room_id": room["id"]}
    s.frontdesk.post(s.path(early, "check-in/"), {**here, **REASON}, status=409, code="CHECKIN_WRONG_DATE")
    s.manager.post(s.path(early, "check-in/"), {**here, **REASON}, shape=DETAIL)
    s.manager.patch(f"room-management/{other['id']}/", {"is_active": True})
    s.frontdesk.post(s.path(tonight, "check-in/"), {"room_id": other["id"]}, shape=DETAIL)
    s.book(2, 2, **mine)
    s.book(2, 2, **mine)
    path, nights = s.path(early, "overstay/extend/"), {"add_nights": 1}
    body = s.frontdesk.post(path, nights, shape=EXTENSION_REFUSED, **code)
    s.equal(body["conflicts"], [], "conflicts")
    s.frontdesk.post(path, {**nights, **REASON}, **code)
    s.manager.post(path, {**nights, **REASON})
    s.frontdesk.patch(s.path(early), {"check_out": s.day(4)}, **code)
    s.manager.patch(s.path(early), {"check_out": s.day(4), **REASON}, shape=DETAIL)


def assigned(s: Session) -> tuple[dict[str, Any], dict[str, Any]]:
    """A future arrival and its assigned room."""
    booking, room = s.book(5, 2), s.room()
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    return booking, room


def check_conflict(s: Session, refused: dict[str, Any], booking: dict[str, Any], room: dict[str, Any] | None) -> None:
    expected = {"booking_id": booking["booking_id"], "room_number": room and room["room_number"]}
    s.equal({name: refused["conflicts"][0][name] for name in expected}, expected, "the conflict")
