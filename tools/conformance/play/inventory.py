"""Section 6: what is sold is there: rooms left, rooms taken away, beds."""

from typing import Any

from tools.conformance.play.booking_decisions import request_without_card
from tools.conformance.report import Table
from tools.conformance.shapes import DETAIL, EXTENSION_REFUSED, ROOM_NEEDED
from tools.conformance.world import World

TABLE = Table("6")
row = TABLE.row
REASON = {"override_reason": "a guest of twenty years"}


@row("ROOM_NEEDED: a room that is promised is not taken away, but by force")
def room_needed(w: World) -> None:
    broken: dict[str, Any] = {"to_status": "OUT_OF_ORDER"}
    gone: tuple[dict[str, Any], ...] = ({"is_active": False}, {"room_type_id": w.small_type["id"]})
    for path, body, member in (
        ("rooms/{}/status/", broken, w.supervisor),
        ("housekeeping/rooms/{}/manager_override/", {**broken, "note": "the roof"}, w.manager),
    ):
        booking, room = promised(w)
        refused = member.post(path.format(room["id"]), body, status=409, code="ROOM_NEEDED", shape=ROOM_NEEDED)
        see_conflict(w, refused, booking, room)
        w.supervisor.post(f"rooms/{room['id']}/status/", {**broken, "force": True}, status=403)
        unassigned = [("booking_updated", booking["booking_id"])]
        with w.tells(rooms=[("room_updated", room["room_number"])], bookings=unassigned):
            w.manager.post(path.format(room["id"]), {**body, "force": True})
        w.see(w.frontdesk.get(w.path(booking))["assigned_room"], None, "the booking's room")
    for body in gone:
        booking, room = promised(w)
        path = f"room-management/{room['id']}/"
        see_conflict(w, w.manager.patch(path, body, status=409, code="ROOM_NEEDED", shape=ROOM_NEEDED), booking, room)
        w.manager.patch(path, {**body, "force": True})
        w.see(w.frontdesk.get(w.path(booking))["assigned_room"], None, "the booking's room")


@row("ROOM_NEEDED: nor is the last room of nights that are sold")
def last_room_needed(w: World) -> None:
    kind, room = w.lone_room()
    booking = w.book(3, 1, room_type_id=kind["id"])
    path, body = f"room-management/{room['id']}/", {"is_active": False}
    refused = w.manager.patch(path, body, status=409, code="ROOM_NEEDED", shape=ROOM_NEEDED)
    see_conflict(w, refused, booking, None)
    w.manager.delete(path, status=409, code="ROOM_NEEDED")
    w.manager.patch(path, {**body, "force": True})


@row("ROOM_CAPACITY_EXCEEDED: booking, edit, party, assign, check-in, type")
def capacity(w: World) -> None:
    code: dict[str, Any] = {"status": 409, "code": "ROOM_CAPACITY_EXCEEDED"}
    kind, room = w.lone_room()  # sleeps two
    family = {"room_type_id": kind["id"], "check_in": w.day(0), "check_out": w.day(1), "adults": 2, "children": 1}
    family |= {"primary_first_name": "Ada", "primary_last_name": "B"}
    w.frontdesk.post("room-bookings/", family, **code)
    w.frontdesk.post("room-bookings/", {**family, **REASON}, **code)
    booking = w.book(0, 1, room_type_id=kind["id"], adults=2)
    path, three = w.path(booking), {"companions": [{"first_name": "A", "last_name": "B"}] * 2}
    for body in ({"children": 1}, {"children": 1, **REASON}):
        w.frontdesk.patch(path, body, **code)
    w.frontdesk.put(w.path(booking, "party/companions/"), three, **code)
    w.manager.put(w.path(booking, "party/companions/"), {**three, **REASON})
    w.manager.patch(f"room-types/{kind['id']}/", {"max_occupancy": 1}, **code)
    w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": room["id"]}, shape=DETAIL)
    w.frontdesk.post(w.path(booking, "check-in/"), shape=DETAIL)


@row("ROOM_CAPACITY_EXCEEDED: a smaller room, unless a supervisor says why")
def smaller_room(w: World) -> None:
    kind, room = w.lone_room()
    booking = w.arrived(0, 2, adults=2)[0]
    w.manager.post(w.path(booking, "move-room/"), {"to_room_id": room["id"], "reason": "the lift"}, shape=DETAIL)
    w.manager.patch(w.path(booking), {"adults": 2, "children": 1, **REASON})
    small = {"to_room_id": w.small_room["id"], "reason": "noise"}
    w.frontdesk.post(w.path(booking, "move-room/"), small, status=409, code="ROOM_CAPACITY_EXCEEDED")
    w.see(kind["max_occupancy"], 2, "the beds of the type")


@row("confirm, approve: 409 NO_AVAILABILITY, and nothing is captured")
def sold_out(w: World) -> None:
    kind, _ = w.lone_room()
    if w.stripe:
        first, second = (w.by_card(room_type_id=kind["id"]) for _ in range(2))
        w.frontdesk.post(w.path(first, "approve/"), shape=DETAIL)
        with w.tells():
            w.frontdesk.post(w.path(second, "approve/"), status=409, code="NO_AVAILABILITY")
        w.see(w.stripe.moved(second["payment_reference"]), {}, "what the provider did")
    else:
        w.not_reached("its card provider takes no payment of ours")
    if w.own and (request := request_without_card(w)):
        types = w.manager.get("room-types/")
        [wanted] = [one["id"] for one in types if one["name"] == request["room_type_name"]]
        stay = {"room_type_id": wanted, "check_in": request["check_in"], "check_out": request["check_out"]}
        sold = {"bucket": "all", "status": "CONFIRMED", "room_type": wanted, "date_from": request["check_in"]}
        left = 8 - w.frontdesk.get("room-bookings/", query={**sold, "date_to": request["check_in"]})["count"]
        others = [w.book(**stay) for _ in range(left)]
        for step in ("confirm/", "approve/"):
            w.frontdesk.post(w.path(request, step), status=409, code="NO_AVAILABILITY")
        for other in others:
            w.frontdesk.post(w.path(other, "cancel/"))


@row("early check-in, extend, later departure: NO_AVAILABILITY, override")
def overrides(w: World) -> None:
    kind, room = w.lone_room()
    mine: dict[str, Any] = {"room_type_id": kind["id"]}
    code: dict[str, Any] = {"status": 409, "code": "NO_AVAILABILITY"}
    early, tonight = w.book(1, 1, **mine), w.book(0, 1, **mine)
    other = w.add_room(kind)
    w.manager.patch(f"room-management/{other['id']}/", {"is_active": False})
    here = {"room_id": room["id"]}
    w.frontdesk.post(w.path(early, "check-in/"), {**here, **REASON}, status=409, code="CHECKIN_WRONG_DATE")
    w.manager.post(w.path(early, "check-in/"), {**here, **REASON}, shape=DETAIL)
    w.manager.patch(f"room-management/{other['id']}/", {"is_active": True})
    w.frontdesk.post(w.path(tonight, "check-in/"), {"room_id": other["id"]}, shape=DETAIL)
    w.book(2, 2, **mine)
    w.book(2, 2, **mine)
    path, nights = w.path(early, "overstay/extend/"), {"add_nights": 1}
    body = w.frontdesk.post(path, nights, shape=EXTENSION_REFUSED, **code)
    w.see(body["conflicts"], [], "conflicts")
    w.frontdesk.post(path, {**nights, **REASON}, **code)
    w.manager.post(path, {**nights, **REASON})
    w.frontdesk.patch(w.path(early), {"check_out": w.day(4)}, **code)
    w.manager.patch(w.path(early), {"check_out": w.day(4), **REASON}, shape=DETAIL)


def promised(w: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """An arrival of a later day, and the room that it has."""
    booking, room = w.book(5, 2), w.room()
    w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    return booking, room


def see_conflict(w: World, refused: dict[str, Any], booking: dict[str, Any], room: dict[str, Any] | None) -> None:
    wanted = {"booking_id": booking["booking_id"], "room_number": room and room["room_number"]}
    w.see({name: refused["conflicts"][0][name] for name in wanted}, wanted, "the conflict")
