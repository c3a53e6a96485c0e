"""The small print, as far as no other section has tried it."""

from typing import Any

from tools.conformance.report import Table
from tools.conformance.shapes import DETAIL, TURNOVER
from tools.conformance.world import World

TABLE = Table("8")
row = TABLE.row


@row("no body, {} and blank text are one: every action that needs none")
def no_bodies(w: World) -> None:
    bodies: tuple[list[Any], ...] = ([], [{}], [""])
    for body in bodies:
        room = w.room("CHECKOUT_DIRTY")
        number = room["room_number"]
        for member, step in (
            (w.housekeeper, "start-cleaning"),
            (w.housekeeper, "mark-cleaned"),
            (w.supervisor, "inspect"),
            (w.housekeeper, "mark-maintenance"),
            (w.supervisor, "complete-maintenance"),
        ):
            member.post(f"rooms/{number}/{step}/", *body, shape=TURNOVER)
        booking = w.book()
        w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": w.room()["id"]})
        for step in ("mark-seen/", "unassign-room/", "confirm/", "approve/"):
            w.frontdesk.post(w.path(booking, step), *body)
        w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": w.room()["id"]})
        for step in ("check-in/", "check-out/"):
            w.frontdesk.post(w.path(booking, step), *body, shape=DETAIL)


@row("If-Match takes the ETag as a compressing proxy returns it")
def compressed_tags(w: World) -> None:
    for written in ('W/"{}"', '"{}-gzip"', '"{}-br"', '"{}-zstd"', 'W/"{}-gzip"', '"999", "{}"'):
        room = w.room()
        path, version = f"rooms/{room['id']}/status/", room["status_version"]
        w.manager.post(path, {"to_status": "CHECKOUT_DIRTY"}, status=412, if_match=written.format(version + 1))
        w.manager.post(path, {"to_status": "CHECKOUT_DIRTY"}, if_match=written.format(version))
    booking = w.book()
    for written in ('W/"{}"', '"{}-gzip"'):
        version = w.frontdesk.get(w.path(booking))["version"]
        w.frontdesk.patch(w.path(booking), {"adults": 1}, status=412, if_match=written.format(version + 1))
        w.frontdesk.patch(w.path(booking), {"internal_notes": f"at {version}"}, if_match=written.format(version))


@row("complete-maintenance clears the flag in any status")
def flag_anywhere(w: World) -> None:
    room = w.room("MAINTENANCE_REQUIRED")
    w.manager.post(f"rooms/{room['id']}/status/", {"to_status": "CHECKOUT_DIRTY"})
    answer = w.supervisor.post(f"rooms/{room['room_number']}/complete-maintenance/")
    w.see(answer["room"]["room_status"], "CHECKOUT_DIRTY", "the status")
    w.see(answer["room"]["maintenance_required"], False, "the flag")
    again = w.supervisor.post(f"rooms/{room['room_number']}/complete-maintenance/")
    w.see(again["status_event"], None, "the second time's status_event")


@row("notes up to 2,000 characters, longer 400")
def notes(w: World) -> None:
    room = w.room()
    path = f"rooms/{room['id']}/status/"
    w.manager.post(path, {"to_status": "CHECKOUT_DIRTY", "note": "x" * 2000})
    w.manager.post(path, {"to_status": "CLEANING_IN_PROGRESS", "note": "x" * 2001}, status=400)


@row("payment_provider: any but stripe is 400, a card needs its reference")
def providers(w: World) -> None:
    body = {"room_type_id": w.type["id"], "check_in": w.day(2), "check_out": w.day(3), "adults": 1, "children": 0}
    body |= {"primary_first_name": "A", "primary_last_name": "B"}
    for more in ({"payment_provider": "paypal", "payment_reference": "x"}, {"payment_provider": "stripe"}):
        w.frontdesk.post("room-bookings/", {**body, **more}, status=400)


@row("passed must be a JSON boolean, destructive too")
def booleans(w: World) -> None:
    room = w.room("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED")
    for passed in ("true", 1, None):
        w.supervisor.post(f"rooms/{room['room_number']}/inspect/", {"passed": passed}, status=400)
    w.frontdesk.post("rooms/checkout/", {"room_ids": [room["id"]], "destructive": "no"}, status=400)


@row("the right first: 403 before INVALID_TRANSITION")
def right_first(w: World) -> None:
    room = w.room()
    w.housekeeper.post(f"rooms/{room['id']}/status/", {"to_status": "CLEANED_UNINSPECTED"}, status=403)


@row("without its slash an address is 404, and no redirect that loses the body")
def slashes(w: World) -> None:
    headers = w.manager.headers | {"Content-Type": "application/json"}
    path = f"/api/staff/hotel/{w.hotel}/room-bookings"
    answer, _ = w.wire.send("POST", path, headers=headers, data="{}")
    w.see(answer.status_code, 404, "the status")
