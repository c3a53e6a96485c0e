"""Bookings: guests who stay past their departure."""

from uuid import uuid4

from tools.conformance.report import Table
from tools.conformance.session import Session
from tools.conformance.shapes import EXTENSION_REFUSED, OVERSTAY

TABLE = Table("Bookings")
row = TABLE.row


@row("GET {bid}/overstay/status/: 200 in every status")
def status(s: Session) -> None:
    booking = s.book()
    body = s.frontdesk.get(s.path(booking, "overstay/status/"), shape=OVERSTAY)
    expected = (False, "MISSING", None)
    s.equal((body["is_overstay"], body["incident_state"], body["overstay"]), expected, "no overstay")
    s.frontdesk.post(s.path(booking, "cancel/"))
    s.frontdesk.get(s.path(booking, "overstay/status/"), shape=OVERSTAY)
    overdue, _ = s.overdue()
    body = s.frontdesk.get(s.path(overdue, "overstay/status/"), shape=OVERSTAY)
    s.equal(body["is_overstay"], True, "is_overstay of an overdue guest")
    detail = s.frontdesk.get(s.path(overdue))
    s.equal((detail["is_overstay"], detail["overstay_risk_level"]), (True, "OVERDUE"), "the detail of an overdue guest")
    s.frontdesk.post(s.path(overdue, "check-out/"))
    s.frontdesk.get(s.path(overdue, "overstay/status/"), shape=OVERSTAY)


@row("POST {bid}/overstay/acknowledge/: note, dismiss; events")
def acknowledge(s: Session) -> None:
    booking, _ = s.overdue()
    path, bid = s.path(booking, "overstay/acknowledge/"), booking["booking_id"]
    with s.expects_events(bookings=[("booking_overstay_acknowledged", bid)]):
        body = s.frontdesk.post(path, {"note": "whispered note", "dismiss": False}, shape=OVERSTAY)
    s.equal((body["incident_state"], body["overstay"]["status"]), ("ACTIVE", "ACKED"), "the overstay")
    with s.expects_events(bookings=[("booking_overstay_acknowledged", bid)]):
        body = s.frontdesk.post(path, {"note": "", "dismiss": True}, shape=OVERSTAY)
    s.equal(body["overstay"]["status"], "DISMISSED", "a dismissed overstay")
    recent = s.events("room-bookings", after=max(0, s.events("room-bookings")["latest_seq"] - 100))["results"]
    flagged = [
        one for one in recent if (one["type"], one["payload"]["booking_id"]) == ("booking_overstay_flagged", bid)
    ]
    s.equal(len(flagged), 1, "the number of flagged events")
    s.frontdesk.post(s.path(s.arrived()[0], "overstay/acknowledge/"), {}, status=409)


@row("POST {bid}/overstay/extend/: add_nights or new_checkout_date, from check_out")
def extend(s: Session) -> None:
    booking, _ = s.overdue()
    path, bid = s.path(booking, "overstay/extend/"), booking["booking_id"]
    key = str(uuid4())
    with s.expects_events(bookings=[("booking_overstay_extended", bid)]):
        s.frontdesk.post(path, {"add_nights": "1"}, idempotency_key=key)
    now = s.frontdesk.get(s.path(booking))
    s.equal((now["check_out"], now["is_overstay"]), (s.day(1), False), "the booking")
    with s.expects_events():
        s.frontdesk.post(path, {"add_nights": "1"}, idempotency_key=key)
    s.frontdesk.post(path, {"add_nights": 2}, idempotency_key=key, status=422)
    with s.expects_events(bookings=[("booking_overstay_extended", bid)]):
        s.frontdesk.post(path, {"new_checkout_date": s.day(4)}, idempotency_key=str(uuid4()))
    s.equal(s.frontdesk.get(s.path(booking))["check_out"], s.day(4), "check_out")
    s.frontdesk.get(s.path(booking, "overstay/status/"), shape=OVERSTAY)
    for wrong in ({}, {"add_nights": 1, "new_checkout_date": s.day(9)}, {"add_nights": 15}, {"add_nights": 0}):
        s.frontdesk.post(path, wrong, status=400)


@row("extend: 409 with conflicts and suggested_rooms; the key can be reused")
def extend_refused(s: Session) -> None:
    booking, room = s.arrived(0, 2)
    path, key = s.path(booking, "overstay/extend/"), str(uuid4())
    later = s.book(3, 2)
    s.frontdesk.post(s.path(later, "safe-assign-room/"), {"room_id": room["id"]})
    with s.expects_events():
        body = s.frontdesk.post(path, {"add_nights": 2}, status=409, shape=EXTENSION_REFUSED, idempotency_key=key)
    expected = {"booking_id": later["booking_id"], "room_number": room["room_number"]}
    s.equal({name: body["conflicts"][0][name] for name in expected}, expected, "the conflict")
    s.equal(len(body["suggested_rooms"]) > 0, True, "suggested_rooms is not empty")
    s.frontdesk.post(path, {"add_nights": 1}, idempotency_key=key)
