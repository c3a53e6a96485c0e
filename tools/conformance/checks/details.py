"""Details of the API that no other module checks."""

from typing import Any

from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import DETAIL, TURNOVER

TABLE = Table("Details")
row = TABLE.row


@row("no body, {} and blank text are the same for actions without a required body")
def no_bodies(s: Session) -> None:
    bodies: tuple[list[Any], ...] = ([], [{}], [""])
    for body in bodies:
        room = s.room("CHECKOUT_DIRTY")
        number = room["room_number"]
        for member, step in (
            (s.housekeeper, "start-cleaning"),
            (s.housekeeper, "mark-cleaned"),
            (s.supervisor, "inspect"),
            (s.housekeeper, "mark-maintenance"),
            (s.supervisor, "complete-maintenance"),
        ):
            member.post(f"rooms/{number}/{step}/", *body, shape=TURNOVER)
        booking = s.book()
        s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": s.room()["id"]})
        for action in ("mark-seen/", "unassign-room/", "confirm/", "approve/"):
            s.frontdesk.post(s.path(booking, action), *body)
        s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": s.room()["id"]})
        for action in ("check-in/", "check-out/"):
            s.frontdesk.post(s.path(booking, action), *body, shape=DETAIL)


@row("If-Match accepts an ETag changed by a compressing proxy")
def compressed_tags(s: Session) -> None:
    for written in ('W/"{}"', '"{}-gzip"', '"{}-br"', '"{}-zstd"', 'W/"{}-gzip"', '"999", "{}"'):
        room = s.room()
        path, version = f"rooms/{room['id']}/status/", room["status_version"]
        s.manager.post(path, {"to_status": "CHECKOUT_DIRTY"}, status=412, if_match=written.format(version + 1))
        s.manager.post(path, {"to_status": "CHECKOUT_DIRTY"}, if_match=written.format(version))
    booking = s.book()
    for written in ('W/"{}"', '"{}-gzip"'):
        version = s.frontdesk.get(s.path(booking))["version"]
        s.frontdesk.patch(s.path(booking), {"adults": 1}, status=412, if_match=written.format(version + 1))
        s.frontdesk.patch(s.path(booking), {"internal_notes": f"at {version}"}, if_match=written.format(version))


@row("complete-maintenance clears the flag in any status")
def flag_anywhere(s: Session) -> None:
    room = s.room("MAINTENANCE_REQUIRED")
    s.manager.post(f"rooms/{room['id']}/status/", {"to_status": "CHECKOUT_DIRTY"})
    response = s.supervisor.post(f"rooms/{room['room_number']}/complete-maintenance/")
    s.equal(response["room"]["room_status"], "CHECKOUT_DIRTY", "the status")
    s.equal(response["room"]["maintenance_required"], False, "the flag")
    again = s.supervisor.post(f"rooms/{room['room_number']}/complete-maintenance/")
    s.equal(again["status_event"], None, "status_event of the second call")


@row("notes up to 2,000 characters, longer 400")
def notes(s: Session) -> None:
    room = s.room()
    path = f"rooms/{room['id']}/status/"
    s.manager.post(path, {"to_status": "CHECKOUT_DIRTY", "note": "x" * 2000})
    s.manager.post(path, {"to_status": "CLEANING_IN_PROGRESS", "note": "x" * 2001}, status=400)


@row("payment_provider: 400 unless stripe, with a reference")
def providers(s: Session) -> None:
    body = {"room_type_id": s.type["id"], "check_in": s.day(2), "check_out": s.day(3), "adults": 1, "children": 0}
    body |= {"primary_first_name": "A", "primary_last_name": "B"}
    for more in ({"payment_provider": "paypal", "payment_reference": "x"}, {"payment_provider": "stripe"}):
        s.frontdesk.post("room-bookings/", {**body, **more}, status=400)


@row("passed must be a JSON boolean, destructive too")
def booleans(s: Session) -> None:
    room = s.room("CHECKOUT_DIRTY", "CLEANED_UNINSPECTED")
    for passed in ("true", 1, None):
        s.supervisor.post(f"rooms/{room['room_number']}/inspect/", {"passed": passed}, status=400)
    s.frontdesk.post("rooms/checkout/", {"room_ids": [room["id"]], "destructive": "no"}, status=400)


@row("permission first: 403 before INVALID_TRANSITION")
def right_first(s: Session) -> None:
    room = s.room()
    s.housekeeper.post(f"rooms/{room['id']}/status/", {"to_status": "CLEANED_UNINSPECTED"}, status=403)


@row("a path without its final slash is 404, not a redirect that loses the body")
def slashes(s: Session) -> None:
    headers = s.manager.headers | {"Content-Type": "application/json"}
    path = f"/api/staff/hotel/{s.hotel}/room-bookings"
    response, _ = s.wire.send("POST", path, headers=headers, data="{}")
    s.equal(response.status_code, 404, "the status")
