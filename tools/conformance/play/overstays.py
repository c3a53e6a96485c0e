"""Section 6: guests who stay past their departure."""

from uuid import uuid4

from tools.conformance.report import Table
from tools.conformance.shapes import EXTENSION_REFUSED, OVERSTAY
from tools.conformance.world import World

TABLE = Table("6")
row = TABLE.row


@row("GET {bid}/overstay/status/: 200 in every status")
def status(w: World) -> None:
    booking = w.book()
    body = w.frontdesk.get(w.path(booking, "overstay/status/"), shape=OVERSTAY)
    wanted = (False, "MISSING", None)
    w.see((body["is_overstay"], body["incident_state"], body["overstay"]), wanted, "no overstay")
    w.frontdesk.post(w.path(booking, "cancel/"))
    w.frontdesk.get(w.path(booking, "overstay/status/"), shape=OVERSTAY)
    overdue, _ = w.overdue()
    body = w.frontdesk.get(w.path(overdue, "overstay/status/"), shape=OVERSTAY)
    w.see(body["is_overstay"], True, "is_overstay of an overdue guest")
    detail = w.frontdesk.get(w.path(overdue))
    w.see((detail["is_overstay"], detail["overstay_risk_level"]), (True, "OVERDUE"), "the detail of an overdue guest")
    w.frontdesk.post(w.path(overdue, "check-out/"))
    w.frontdesk.get(w.path(overdue, "overstay/status/"), shape=OVERSTAY)


@row("POST {bid}/overstay/acknowledge/: note, dismiss; told")
def acknowledge(w: World) -> None:
    booking, _ = w.overdue()
    path, bid = w.path(booking, "overstay/acknowledge/"), booking["booking_id"]
    with w.tells(bookings=[("booking_overstay_acknowledged", bid)]):
        body = w.frontdesk.post(path, {"note": "whispered note", "dismiss": False}, shape=OVERSTAY)
    w.see((body["incident_state"], body["overstay"]["status"]), ("ACTIVE", "ACKED"), "the overstay")
    with w.tells(bookings=[("booking_overstay_acknowledged", bid)]):
        body = w.frontdesk.post(path, {"note": "", "dismiss": True}, shape=OVERSTAY)
    w.see(body["overstay"]["status"], "DISMISSED", "a dismissed overstay")
    told = w.events("room-bookings", after=max(0, w.events("room-bookings")["latest_seq"] - 100))["results"]
    flagged = [one for one in told if (one["type"], one["payload"]["booking_id"]) == ("booking_overstay_flagged", bid)]
    w.see(len(flagged), 1, "how often it was flagged")
    w.frontdesk.post(w.path(w.arrived()[0], "overstay/acknowledge/"), {}, status=409)


@row("POST {bid}/overstay/extend/: add_nights or new_checkout_date; from check_out")
def extend(w: World) -> None:
    booking, _ = w.overdue()
    path, bid = w.path(booking, "overstay/extend/"), booking["booking_id"]
    key = str(uuid4())
    with w.tells(bookings=[("booking_overstay_extended", bid)]):
        w.frontdesk.post(path, {"add_nights": "1"}, idempotency_key=key)
    now = w.frontdesk.get(w.path(booking))
    w.see((now["check_out"], now["is_overstay"]), (w.day(1), False), "the booking")
    with w.tells():
        w.frontdesk.post(path, {"add_nights": "1"}, idempotency_key=key)
    w.frontdesk.post(path, {"add_nights": 2}, idempotency_key=key, status=422)
    with w.tells(bookings=[("booking_overstay_extended", bid)]):
        w.frontdesk.post(path, {"new_checkout_date": w.day(4)}, idempotency_key=str(uuid4()))
    w.see(w.frontdesk.get(w.path(booking))["check_out"], w.day(4), "check_out")
    w.frontdesk.get(w.path(booking, "overstay/status/"), shape=OVERSTAY)
    for wrong in ({}, {"add_nights": 1, "new_checkout_date": w.day(9)}, {"add_nights": 15}, {"add_nights": 0}):
        w.frontdesk.post(path, wrong, status=400)


@row("extend: 409 with conflicts and suggested_rooms; the key serves again")
def extend_refused(w: World) -> None:
    booking, room = w.arrived(0, 2)
    path, key = w.path(booking, "overstay/extend/"), str(uuid4())
    later = w.book(3, 2)
    w.frontdesk.post(w.path(later, "safe-assign-room/"), {"room_id": room["id"]})
    with w.tells():
        body = w.frontdesk.post(path, {"add_nights": 2}, status=409, shape=EXTENSION_REFUSED, idempotency_key=key)
    wanted = {"booking_id": later["booking_id"], "room_number": room["room_number"]}
    w.see({name: body["conflicts"][0][name] for name in wanted}, wanted, "the conflict")
    w.see(len(body["suggested_rooms"]) > 0, True, "suggesting rooms")
    w.frontdesk.post(path, {"add_nights": 1}, idempotency_key=key)
