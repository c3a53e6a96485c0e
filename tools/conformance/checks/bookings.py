"""Bookings: create, read, edit, mark seen, party, mails, check-in, check-out, settings."""

from typing import Any
from uuid import uuid4

from tools.conformance.report import Table
from tools.conformance.session import YESTERDAY, Session
from tools.conformance.shapes import ACCESS_CONFIG, DETAIL, MAIL, PARTY, SEEN, page

TABLE = Table("Bookings")
row = TABLE.row


@row("POST room-bookings/: 201, CONFIRMED, every field")
def create(s: Session) -> None:
    body = {
        "room_type_id": str(s.type["id"]),
        "check_in": s.day(3),
        "check_out": s.day(6),
        "primary_first_name": "Ada",
        "primary_last_name": "Quillfeather",
        "adults": "2",
        "children": "0",
        "total_amount": "285.00",
        "currency": "EUR",
        "party": [{"first_name": "Ottoline", "last_name": "Quillfeather"}],
    }
    booking = s.frontdesk.post("room-bookings/", body, status=201, shape=DETAIL)
    s.run_bookings.add(booking["booking_id"])
    s.equal((booking["status"], booking["nights"], booking["total_amount"]), ("CONFIRMED", 3, "285.00"), "the booking")
    s.equal((booking["party_total_count"], booking["party_complete"]), (2, True), "the party")
    for name in ("check_in", "primary_last_name", "room_type_id"):
        wrong = {key: value for key, value in body.items() if key != name}
        s.matches(s.frontdesk.post("room-bookings/", wrong, status=400), {name: ["str"]}, f"without {name}")


@row("POST room-bookings/: Idempotency-Key; a retry returns the same, another body 422")
def idempotent_create(s: Session) -> None:
    key = str(uuid4())
    body = {
        "room_type_id": s.type["id"],
        "check_in": s.day(3),
        "check_out": s.day(4),
        "primary_first_name": "Ada",
        "primary_last_name": "Repeat",
        "adults": 1,
        "children": 0,
    }
    first = s.frontdesk.post("room-bookings/", body, status=201, idempotency_key=key)
    s.run_bookings.add(first["booking_id"])
    with s.expects_events():
        again = s.frontdesk.post("room-bookings/", body, status=201, idempotency_key=key)
    s.equal(again["booking_id"], first["booking_id"], "the booking of the retry")
    s.frontdesk.post("room-bookings/", {**body, "children": 1}, status=422, idempotency_key=key)


@row("POST room-bookings/: NO_AVAILABILITY 409 unless allow_overbooking")
def availability(s: Session) -> None:
    kind: dict[str, Any] = {"room_type_id": s.lone_type()["id"]}
    s.book(100, 1, **kind)
    body: dict[str, Any] = {
        "check_in": s.day(100),
        "check_out": s.day(101),
        "primary_first_name": "A",
        "primary_last_name": "B",
    }
    body |= {**kind, "adults": 1, "children": 0}
    s.frontdesk.post("room-bookings/", body, status=409, code="NO_AVAILABILITY")
    with s.rules(allow_overbooking=True):
        made = s.frontdesk.post("room-bookings/", body, status=201)
    s.run_bookings.add(made["booking_id"])


@row("GET {bid}/: the detail and its flags")
def detail(s: Session) -> None:
    booking = s.book()
    body = s.frontdesk.get(s.path(booking), shape=DETAIL)
    flags = dict.fromkeys(body["flags"], False) | dict.fromkeys(
        ("can_check_in", "can_assign_room", "can_cancel", "can_edit_party"), True
    )
    s.equal(body["flags"], flags, "the flags of a booking for today")
    arrived, _ = s.arrived()
    flags = dict.fromkeys(body["flags"], False) | dict.fromkeys(
        ("is_checked_in", "can_check_out", "can_move_room", "can_cancel", "can_edit_party"), True
    )
    s.equal(arrived["flags"], flags, "the flags of an in-house booking")
    s.frontdesk.get("room-bookings/BK-1999-0001/", status=404)


@row("PATCH {bid}/: If-Match, read back, event; 412, ROOM_OVERLAP_CONFLICT")
def edit(s: Session) -> None:
    booking = s.book(5, 2)
    bid = booking["booking_id"]
    body = {
        "check_out": s.day(8),
        "adults": "2",
        "children": "1",
        "primary_phone": "+353 86 555 0177",
        "special_requests": "whispered note",
        "internal_notes": "whispered note too",
    }
    with s.expects_events(bookings=[("booking_updated", bid)]):
        changed = s.frontdesk.patch(s.path(booking), body, shape=DETAIL, if_match=f'"{booking["version"]}"')
    s.equal((changed["nights"], changed["adults"], changed["children"]), (3, 2, 1), "nights, adults, children")
    s.equal(changed["version"] > booking["version"], True, "a higher version")
    s.frontdesk.patch(s.path(booking), {"adults": 1}, status=412, if_match=f'"{booking["version"]}"')
    s.frontdesk.patch(s.path(booking), {"check_out": s.day(2)}, status=400)
    room, later = s.room(), s.book(8, 2)
    for one in (booking, later):
        s.frontdesk.post(s.path(one, "safe-assign-room/"), {"room_id": room["id"]})
    s.frontdesk.patch(s.path(booking), {"check_out": s.day(9)}, status=409, code="ROOM_OVERLAP_CONFLICT")


@row("PATCH {bid}/: amount and currency; 400 READ_ONLY_FIELD unless unchanged")
def edit_money(s: Session) -> None:
    booking = s.book()
    changed = s.frontdesk.patch(s.path(booking), {"total_amount": "12000", "currency": "JPY"})
    s.equal((changed["total_amount"], changed["currency"]), ("12000", "JPY"), "amount and currency")
    s.matches(
        s.frontdesk.patch(s.path(booking), {"currency": "QQQ"}, status=400),
        {"currency": ["str"]},
        "an unknown currency",
    )
    wrong = s.frontdesk.patch(s.path(booking), {"total_amount": "99.5"}, status=400)
    s.matches(wrong, {"total_amount": ["str"]}, "an amount with decimals of a currency without")
    with s.expects_events():
        s.frontdesk.patch(s.path(booking), {"status": "CANCELLED"}, status=400, code="READ_ONLY_FIELD")
        s.frontdesk.patch(s.path(booking), changed)


@row("PATCH {bid}/: only check_out while in house")
def edit_in_house(s: Session) -> None:
    booking, _ = s.arrived()
    s.frontdesk.patch(s.path(booking), {"check_out": s.day(4)}, shape=DETAIL)
    response = s.frontdesk.call("PATCH", s.path(booking), {"check_in": s.day(1)}, status=409)
    s.equal(bool(response["message"]), True, "a message")


@row("booker: set on create or later, read back as sent; refused without a name")
def booker(s: Session) -> None:
    company = {"type": "COMPANY", "company": "Engines Ltd", "first_name": "", "last_name": "", "email": "", "phone": ""}
    booking = s.book(booker={"type": "COMPANY", "company": "Engines Ltd"})
    s.equal((booking["booker"], booking["party"]["booker"]), (company, company), "the booker")
    agent = {"type": "THIRD_PARTY", "first_name": "Ottoline", "last_name": "Quillfeather", "company": ""}
    agent |= {"email": "quillfeather@example.com", "phone": "+353 86 555 0177"}
    with s.expects_events(bookings=[("booking_updated", booking["booking_id"])]):
        changed = s.frontdesk.patch(s.path(booking), {"booker": agent}, shape=DETAIL)
    s.equal(changed["booker"], agent, "the changed booker")
    refused = s.frontdesk.patch(s.path(booking), {"booker": {"type": "COMPANY"}}, status=400, code="VALIDATION_ERROR")
    s.matches(refused, {"details": {"booker": ["str"]}, "booker": ["str"]}, "a company without a name")


@row("GET {bid}/mails/, POST {bid}/mails/{id}/send-again/: 409 when outdated")
def mails(s: Session) -> None:
    booking = s.book(primary_email="ada@guest.example")
    bid = booking["booking_id"]
    listed = s.frontdesk.get(s.path(booking, "mails/"), shape=page(MAIL))
    s.equal([mail["kind"] for mail in listed["results"]], ["CONFIRMATION"], "the kinds of mail")
    again = s.path(booking, f"mails/{listed['results'][0]['id']}/send-again/")
    s.equal(s.frontdesk.post(again, shape=MAIL)["kind"], "CONFIRMATION", "the mail sent again")
    s.housekeeper.get(s.path(booking, "mails/"), status=403)
    s.frontdesk.post(s.path(booking, "cancel/"), {"reason": "ill"})
    with s.expects_events():
        s.frontdesk.post(again, status=409, code="MAIL_OVERTAKEN")
    kinds = {mail["kind"] for mail in s.frontdesk.get(s.path({"booking_id": bid}, "mails/"))["results"]}
    s.equal(kinds, {"CONFIRMATION", "CANCELLATION"}, "the kinds of mail after the cancellation")


@row("POST {bid}/mark-seen/: no body, idempotent")
def mark_seen(s: Session) -> None:
    booking = s.book()
    with s.expects_events(bookings=[("booking_updated", booking["booking_id"])]):
        seen = s.frontdesk.post(s.path(booking, "mark-seen/"), shape=SEEN)
    s.equal((seen["booking_id"], seen["is_new_for_staff"]), (booking["booking_id"], False), "the response")
    with s.expects_events():
        again = s.manager.post(s.path(booking, "mark-seen/"), {}, shape=SEEN)
    s.equal(again["staff_seen_by"], seen["staff_seen_by"], "the first viewer")


@row("GET {bid}/party/, PUT {bid}/party/companions/")
def party(s: Session) -> None:
    booking = s.book(adults=2)
    s.equal(booking["party_missing_count"], 1, "a party with one name missing")
    companions = [{"first_name": "Ottoline", "last_name": "Quillfeather", "email": "", "phone": ""}]
    with s.expects_events(bookings=[("booking_party_updated", booking["booking_id"])]):
        body = s.frontdesk.put(s.path(booking, "party/companions/"), {"companions": companions}, shape=PARTY)
    s.equal(body["total_count"], 2, "total_count")
    body = s.frontdesk.get(s.path(booking, "party/"), shape=PARTY)
    s.equal(body["companions"][0]["first_name"], "Ottoline", "the companion")
    s.frontdesk.put(s.path(booking, "party/companions/"), {"companions": [{"first_name": "O"}]}, status=400)


@row("party_complete: false only if the hotel requires every name; enables can_assign_room")
def party_complete(s: Session) -> None:
    booking = s.book(adults=2)
    seen = (booking["party_complete"], booking["party_missing_count"], booking["flags"]["can_assign_room"])
    s.equal(seen, (True, 1, True), "two adults with one name")
    [listed] = s.frontdesk.get("room-bookings/", query={"q": booking["booking_id"]})["results"]
    s.equal(listed["party_complete"], True, "party_complete in the list")
    with s.rules(require_complete_party=True):
        body = s.frontdesk.get(s.path(booking), shape=DETAIL)
        s.equal((body["party_complete"], body["flags"]["can_assign_room"]), (False, False), "where names are required")
        named = {"companions": [{"first_name": "Ottoline", "last_name": "Quillfeather"}]}
        s.frontdesk.put(s.path(booking, "party/companions/"), named, shape=PARTY)
        s.equal(s.frontdesk.get(s.path(booking))["party_complete"], True, "party_complete with both names")


@row("POST {bid}/check-in/: with the assigned room, no body; all events")
def check_in(s: Session) -> None:
    booking, room = s.book(), s.room()
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    s.subscribe_as_guest(booking)
    events = {"rooms": s.occupancy_events(room), "bookings": [("booking_checked_in", booking["booking_id"])]}
    with s.expects_events(**events, guest=booking, guest_event="booking_checked_in"):
        body = s.frontdesk.post(s.path(booking, "check-in/"), shape=DETAIL)
    s.equal((body["status"], body["room_number"]), ("IN_HOUSE", room["room_number"]), "the booking")
    s.matches(body["checked_in_at"], "time", "checked_in_at")
    s.equal(s.current(room)["room_status"], "OCCUPIED", "the room")
    with s.expects_events(guest=booking):
        s.frontdesk.post(s.path(booking, "check-in/"), {}, shape=DETAIL)


@row("POST {bid}/check-in/ with room_id: also assigns, same events")
def check_in_with_room(s: Session) -> None:
    booking, room = s.book(), s.room()
    s.subscribe_as_guest(booking)
    events = {"rooms": s.occupancy_events(room), "bookings": [("booking_checked_in", booking["booking_id"])]}
    with s.expects_events(**events, guest=booking, guest_event="booking_checked_in"):
        body = {"room_id": str(room["id"])}
        body = s.frontdesk.post(s.path(booking, "check-in/"), body, shape=DETAIL)
    s.equal(body["assigned_room"], {"id": room["id"], "room_number": room["room_number"]}, "assigned_room")


@row("check-in: CHECKIN_TOO_EARLY, WRONG_DATE, TOO_LATE; override with a reason")
def arrival_windows(s: Session) -> None:
    room = {"room_id": s.room()["id"]}
    booking = s.book()
    with s.rules(early_checkin_from="23:30"):
        s.frontdesk.post(s.path(booking, "check-in/"), room, status=409, code="CHECKIN_TOO_EARLY")
        body = {**room, "override_reason": "a good guest"}
        s.frontdesk.post(s.path(booking, "check-in/"), body, status=409, code="CHECKIN_TOO_EARLY")
        s.manager.post(s.path(booking, "check-in/"), body, shape=DETAIL)
    room = {"room_id": s.room()["id"]}
    s.frontdesk.post(s.path(s.book(2), "check-in/"), room, status=409, code="CHECKIN_WRONG_DATE")
    with s.rules(**YESTERDAY):
        late = s.book(-1, 1)
    s.frontdesk.post(s.path(late, "check-in/"), room, status=409, code="CHECKIN_TOO_LATE")


@row("check-in: ROOM_NOT_READY, BOOKING_NOT_ELIGIBLE without a room or when over")
def check_in_refused(s: Session) -> None:
    booking = s.book()
    path = s.path(booking, "check-in/")
    s.frontdesk.post(path, status=409, code="BOOKING_NOT_ELIGIBLE")
    dirty = s.room("CHECKOUT_DIRTY")
    s.frontdesk.post(path, {"room_id": dirty["id"]}, status=409, code="ROOM_NOT_READY", begins="Room not ready")
    s.frontdesk.post(path, {"room_id": "999999999"}, status=404, code="ROOM_NOT_FOUND", begins="Room not found")
    s.frontdesk.post(s.path(booking, "cancel/"))
    s.frontdesk.post(path, {"room_id": s.room()["id"]}, status=409, code="BOOKING_NOT_ELIGIBLE")


@row("POST {bid}/check-out/: no body, idempotent, room dirty")
def check_out(s: Session) -> None:
    booking, room = s.book(), s.room()
    s.subscribe_as_guest(booking)
    arrival = {"rooms": s.occupancy_events(room), "bookings": [("booking_checked_in", booking["booking_id"])]}
    with s.expects_events(**arrival, guest=booking, guest_event="booking_checked_in"):
        s.frontdesk.post(s.path(booking, "check-in/"), {"room_id": room["id"]})
    events = {"rooms": s.occupancy_events(room), "bookings": [("booking_checked_out", booking["booking_id"])]}
    with s.expects_events(**events, guest=booking, guest_event="booking_checked_out"):
        body = s.frontdesk.post(s.path(booking, "check-out/"), shape=DETAIL)
    s.equal(body["status"], "COMPLETED", "the status")
    s.equal(s.current(room)["room_status"], "CHECKOUT_DIRTY", "the room")
    with s.expects_events(guest=booking):
        s.frontdesk.post(s.path(booking, "check-out/"), {}, shape=DETAIL)
    s.frontdesk.post(s.path(s.book(), "check-out/"), status=409)


@row("POST {bid}/undo-check-in/: for supervisors; keeps the room, dirty")
def undo_check_in(s: Session) -> None:
    booking, room = s.arrived()
    path, reason = s.path(booking, "undo-check-in/"), {"reason": "the wrong guest"}
    s.frontdesk.post(path, reason, status=403)
    s.manager.post(path, {}, status=400)
    with s.expects_events(rooms=s.occupancy_events(room), bookings=[("booking_updated", booking["booking_id"])]):
        body = s.manager.post(path, reason, shape=DETAIL)
    s.equal((body["status"], body["room_number"]), ("CONFIRMED", room["room_number"]), "the booking")
    s.equal(s.current(room)["room_status"], "CHECKOUT_DIRTY", "the room")
    s.manager.post(path, reason, status=409)


@row("POST {bid}/undo-check-out/: for a supervisor with a reason, or at once by whoever did it; the room is occupied")
def undo_check_out(s: Session) -> None:
    booking, room = s.book(), s.room()
    s.frontdesk.post(s.path(booking, "check-in/"), {"room_id": room["id"]})
    path, reason = s.path(booking, "undo-check-out/"), {"reason": "the wrong guest"}
    s.frontdesk.post(path, status=409, code="BOOKING_NOT_CHECKED_OUT")
    s.manager.post(s.path(booking, "check-out/"))
    s.frontdesk.post(path, reason, status=403)
    events = {"rooms": s.occupancy_events(room), "bookings": [("booking_updated", booking["booking_id"])]}
    s.subscribe_as_guest(booking)
    with s.expects_events(**events, guest=booking, guest_event="booking_checked_in"):
        body = s.manager.post(path, reason, shape=DETAIL)
    s.equal((body["status"], body["room_number"]), ("IN_HOUSE", room["room_number"]), "the booking")
    s.equal(s.current(room)["room_status"], "OCCUPIED", "the room")
    s.frontdesk.post(s.path(booking, "check-out/"))
    s.frontdesk.post(path, shape=DETAIL)


@row("GET, PATCH access-config/")
def access_config(s: Session) -> None:
    before = s.manager.get("access-config/", shape=ACCESS_CONFIG)
    body = {"late_checkout_grace_minutes": "45", "check_in_time": "14:00:00"}
    after = s.manager.patch("access-config/", body, shape=ACCESS_CONFIG)
    s.equal((after["late_checkout_grace_minutes"], after["check_in_time"]), (45, "14:00"), "the changed settings")
    s.manager.patch("access-config/", {"timezone": "Europe/Atlantis"}, status=400)
    s.manager.patch("access-config/", {"approval_cutoff_day_offset": 2}, status=400)
    s.manager.patch("access-config/", {"late_arrival_cutoff": "12:01", "early_checkin_from": "13:00"}, status=400)
    s.manager.patch("access-config/", {"late_arrival_cutoff": "08:01"}, status=400)
    s.manager.patch("access-config/", {"early_checkin_from": "01:59"}, status=400)
    s.manager.patch("access-config/", {name: before[name] for name in body})
