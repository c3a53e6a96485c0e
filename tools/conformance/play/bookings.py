"""Section 6: a booking made, read, changed, seen, its party, and the guest's arrival and departure."""

from typing import Any
from uuid import uuid4

from tools.conformance.report import Table
from tools.conformance.shapes import ACCESS_CONFIG, DETAIL, MAIL, PARTY, SEEN, page
from tools.conformance.world import YESTERDAY, World

TABLE = Table("6")
row = TABLE.row


@row("POST room-bookings/: 201, CONFIRMED, every field; told once")
def create(w: World) -> None:
    body = {
        "room_type_id": str(w.type["id"]),
        "check_in": w.day(3),
        "check_out": w.day(6),
        "primary_first_name": "Ada",
        "primary_last_name": "Quillfeather",
        "adults": "2",
        "children": "0",
        "total_amount": "285.00",
        "currency": "EUR",
        "party": [{"first_name": "Ottoline", "last_name": "Quillfeather"}],
    }
    booking = w.frontdesk.post("room-bookings/", body, status=201, shape=DETAIL)
    w.own_bookings.add(booking["booking_id"])
    w.see((booking["status"], booking["nights"], booking["total_amount"]), ("CONFIRMED", 3, "285.00"), "the booking")
    w.see((booking["party_total_count"], booking["party_complete"]), (2, True), "the party")
    for name in ("check_in", "primary_last_name", "room_type_id"):
        wrong = {key: value for key, value in body.items() if key != name}
        w.has(w.frontdesk.post("room-bookings/", wrong, status=400), {name: ["str"]}, f"without {name}")


@row("POST room-bookings/: Idempotency-Key; a repeat is the same, another body 422")
def idempotent_create(w: World) -> None:
    key = str(uuid4())
    body = {
        "room_type_id": w.type["id"],
        "check_in": w.day(3),
        "check_out": w.day(4),
        "primary_first_name": "Ada",
        "primary_last_name": "Repeat",
        "adults": 1,
        "children": 0,
    }
    first = w.frontdesk.post("room-bookings/", body, status=201, idempotency_key=key)
    w.own_bookings.add(first["booking_id"])
    with w.tells():
        again = w.frontdesk.post("room-bookings/", body, status=201, idempotency_key=key)
    w.see(again["booking_id"], first["booking_id"], "the repeat's booking")
    w.frontdesk.post("room-bookings/", {**body, "children": 1}, status=422, idempotency_key=key)


@row("POST room-bookings/: NO_AVAILABILITY 409 unless allow_overbooking")
def availability(w: World) -> None:
    kind: dict[str, Any] = {"room_type_id": w.lone_type()["id"]}
    w.book(100, 1, **kind)
    body: dict[str, Any] = {
        "check_in": w.day(100),
        "check_out": w.day(101),
        "primary_first_name": "A",
        "primary_last_name": "B",
    }
    body |= {**kind, "adults": 1, "children": 0}
    w.frontdesk.post("room-bookings/", body, status=409, code="NO_AVAILABILITY")
    with w.rules(allow_overbooking=True):
        made = w.frontdesk.post("room-bookings/", body, status=201)
    w.own_bookings.add(made["booking_id"])


@row("GET {bid}/: the detail and its flags")
def detail(w: World) -> None:
    booking = w.book()
    body = w.frontdesk.get(w.path(booking), shape=DETAIL)
    flags = dict.fromkeys(body["flags"], False) | dict.fromkeys(
        ("can_check_in", "can_assign_room", "can_cancel", "can_edit_party"), True
    )
    w.see(body["flags"], flags, "the flags of a booking for today")
    arrived, _ = w.arrived()
    flags = dict.fromkeys(body["flags"], False) | dict.fromkeys(
        ("is_checked_in", "can_check_out", "can_move_room", "can_cancel", "can_edit_party"), True
    )
    w.see(arrived["flags"], flags, "the flags of a guest in house")
    w.frontdesk.get("room-bookings/BK-1999-0001/", status=404)


@row("PATCH {bid}/: If-Match, read back, told; 412, ROOM_OVERLAP_CONFLICT")
def edit(w: World) -> None:
    booking = w.book(5, 2)
    bid = booking["booking_id"]
    body = {
        "check_out": w.day(8),
        "adults": "2",
        "children": "1",
        "primary_phone": "+353 86 555 0177",
        "special_requests": "whispered note",
        "internal_notes": "whispered note too",
    }
    with w.tells(bookings=[("booking_updated", bid)]):
        changed = w.frontdesk.patch(w.path(booking), body, shape=DETAIL, if_match=f'"{booking["version"]}"')
    w.see((changed["nights"], changed["adults"], changed["children"]), (3, 2, 1), "nights, adults, children")
    w.see(changed["version"] > booking["version"], True, "a higher version")
    w.frontdesk.patch(w.path(booking), {"adults": 1}, status=412, if_match=f'"{booking["version"]}"')
    w.frontdesk.patch(w.path(booking), {"check_out": w.day(2)}, status=400)
    room, later = w.room(), w.book(8, 2)
    for one in (booking, later):
        w.frontdesk.post(w.path(one, "safe-assign-room/"), {"room_id": room["id"]})
    w.frontdesk.patch(w.path(booking), {"check_out": w.day(9)}, status=409, code="ROOM_OVERLAP_CONFLICT")


@row("PATCH {bid}/: amount and currency; READ_ONLY_FIELD 400, unless it is as it was read")
def edit_money(w: World) -> None:
    booking = w.book()
    changed = w.frontdesk.patch(w.path(booking), {"total_amount": "12000", "currency": "JPY"})
    w.see((changed["total_amount"], changed["currency"]), ("12000", "JPY"), "amount and currency")
    w.has(w.frontdesk.patch(w.path(booking), {"currency": "QQQ"}, status=400), {"currency": ["str"]}, "no currency")
    wrong = w.frontdesk.patch(w.path(booking), {"total_amount": "99.5"}, status=400)
    w.has(wrong, {"total_amount": ["str"]}, "an amount that its currency does not have")
    with w.tells():
        w.frontdesk.patch(w.path(booking), {"status": "CANCELLED"}, status=400, code="READ_ONLY_FIELD")
        w.frontdesk.patch(w.path(booking), changed)


@row("PATCH {bid}/: of a guest in house only the departure")
def edit_in_house(w: World) -> None:
    booking, _ = w.arrived()
    w.frontdesk.patch(w.path(booking), {"check_out": w.day(4)}, shape=DETAIL)
    answer = w.frontdesk.call("PATCH", w.path(booking), {"check_in": w.day(1)}, status=409)
    w.see(bool(answer["message"]), True, "a message")


@row("booker: given with a new booking or later, read back as sent; refused without a name")
def booker(w: World) -> None:
    company = {"type": "COMPANY", "company": "Engines Ltd", "first_name": "", "last_name": "", "email": "", "phone": ""}
    booking = w.book(booker={"type": "COMPANY", "company": "Engines Ltd"})
    w.see((booking["booker"], booking["party"]["booker"]), (company, company), "who booked")
    agent = {"type": "THIRD_PARTY", "first_name": "Ottoline", "last_name": "Quillfeather", "company": ""}
    agent |= {"email": "quillfeather@example.com", "phone": "+353 86 555 0177"}
    with w.tells(bookings=[("booking_updated", booking["booking_id"])]):
        changed = w.frontdesk.patch(w.path(booking), {"booker": agent}, shape=DETAIL)
    w.see(changed["booker"], agent, "who booked, as changed")
    refused = w.frontdesk.patch(w.path(booking), {"booker": {"type": "COMPANY"}}, status=400, code="VALIDATION_ERROR")
    w.has(refused, {"details": {"booker": ["str"]}, "booker": ["str"]}, "a company without a name")


@row("GET {bid}/mails/, POST {bid}/mails/{id}/send-again/: told; 409 when overtaken")
def mails(w: World) -> None:
    booking = w.book(primary_email="ada@guest.example")
    bid = booking["booking_id"]
    listed = w.frontdesk.get(w.path(booking, "mails/"), shape=page(MAIL))
    w.see([mail["kind"] for mail in listed["results"]], ["CONFIRMATION"], "the kinds of mail")
    again = w.path(booking, f"mails/{listed['results'][0]['id']}/send-again/")
    w.see(w.frontdesk.post(again, shape=MAIL)["kind"], "CONFIRMATION", "what is sent again")
    w.housekeeper.get(w.path(booking, "mails/"), status=403)
    w.frontdesk.post(w.path(booking, "cancel/"), {"reason": "ill"})
    with w.tells():
        w.frontdesk.post(again, status=409, code="MAIL_OVERTAKEN")
    kinds = {mail["kind"] for mail in w.frontdesk.get(w.path({"booking_id": bid}, "mails/"))["results"]}
    w.see(kinds, {"CONFIRMATION", "CANCELLATION"}, "the kinds of mail after the cancellation")


@row("POST {bid}/mark-seen/: no body, idempotent")
def mark_seen(w: World) -> None:
    booking = w.book()
    with w.tells(bookings=[("booking_updated", booking["booking_id"])]):
        seen = w.frontdesk.post(w.path(booking, "mark-seen/"), shape=SEEN)
    w.see((seen["booking_id"], seen["is_new_for_staff"]), (booking["booking_id"], False), "the answer")
    with w.tells():
        again = w.manager.post(w.path(booking, "mark-seen/"), {}, shape=SEEN)
    w.see(again["staff_seen_by"], seen["staff_seen_by"], "who was first")


@row("GET {bid}/party/, PUT {bid}/party/companions/")
def party(w: World) -> None:
    booking = w.book(adults=2)
    w.see(booking["party_missing_count"], 1, "a party with one name missing")
    companions = [{"first_name": "Ottoline", "last_name": "Quillfeather", "email": "", "phone": ""}]
    with w.tells(bookings=[("booking_party_updated", booking["booking_id"])]):
        body = w.frontdesk.put(w.path(booking, "party/companions/"), {"companions": companions}, shape=PARTY)
    w.see(body["total_count"], 2, "total_count")
    body = w.frontdesk.get(w.path(booking, "party/"), shape=PARTY)
    w.see(body["companions"][0]["first_name"], "Ottoline", "the companion")
    w.frontdesk.put(w.path(booking, "party/companions/"), {"companions": [{"first_name": "O"}]}, status=400)


@row("party_complete: false only where the hotel requires every name; it opens the assign button")
def party_complete(w: World) -> None:
    booking = w.book(adults=2)
    seen = (booking["party_complete"], booking["party_missing_count"], booking["flags"]["can_assign_room"])
    w.see(seen, (True, 1, True), "two adults with one name")
    [listed] = w.frontdesk.get("room-bookings/", query={"q": booking["booking_id"]})["results"]
    w.see(listed["party_complete"], True, "party_complete in the list")
    with w.rules(require_complete_party=True):
        body = w.frontdesk.get(w.path(booking), shape=DETAIL)
        w.see((body["party_complete"], body["flags"]["can_assign_room"]), (False, False), "where names are required")
        named = {"companions": [{"first_name": "Ottoline", "last_name": "Quillfeather"}]}
        w.frontdesk.put(w.path(booking, "party/companions/"), named, shape=PARTY)
        w.see(w.frontdesk.get(w.path(booking))["party_complete"], True, "party_complete with both names")


@row("POST {bid}/check-in/: with the assigned room, no body; told to all")
def check_in(w: World) -> None:
    booking, room = w.book(), w.room()
    w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    w.hears_guest(booking)
    told = {"rooms": w.moved(room), "bookings": [("booking_checked_in", booking["booking_id"])]}
    with w.tells(**told, guest=booking, guest_told="booking_checked_in"):
        body = w.frontdesk.post(w.path(booking, "check-in/"), shape=DETAIL)
    w.see((body["status"], body["room_number"]), ("IN_HOUSE", room["room_number"]), "the booking")
    w.has(body["checked_in_at"], "time", "checked_in_at")
    w.see(w.now(room)["room_status"], "OCCUPIED", "the room")
    with w.tells(guest=booking):
        w.frontdesk.post(w.path(booking, "check-in/"), {}, shape=DETAIL)


@row("POST {bid}/check-in/ with room_id: assigns by the way, the same events")
def check_in_with_room(w: World) -> None:
    booking, room = w.book(), w.room()
    w.hears_guest(booking)
    told = {"rooms": w.moved(room), "bookings": [("booking_checked_in", booking["booking_id"])]}
    with w.tells(**told, guest=booking, guest_told="booking_checked_in"):
        body = {"room_id": str(room["id"])}
        body = w.frontdesk.post(w.path(booking, "check-in/"), body, shape=DETAIL)
    w.see(body["assigned_room"], {"id": room["id"], "room_number": room["room_number"]}, "assigned_room")


@row("check-in: CHECKIN_TOO_EARLY, WRONG_DATE, TOO_LATE; a supervisor's reason")
def arrival_windows(w: World) -> None:
    room = {"room_id": w.room()["id"]}
    booking = w.book()
    with w.rules(early_checkin_from="23:30"):
        w.frontdesk.post(w.path(booking, "check-in/"), room, status=409, code="CHECKIN_TOO_EARLY")
        body = {**room, "override_reason": "a good guest"}
        w.frontdesk.post(w.path(booking, "check-in/"), body, status=409, code="CHECKIN_TOO_EARLY")
        w.manager.post(w.path(booking, "check-in/"), body, shape=DETAIL)
    room = {"room_id": w.room()["id"]}
    w.frontdesk.post(w.path(w.book(2), "check-in/"), room, status=409, code="CHECKIN_WRONG_DATE")
    with w.rules(**YESTERDAY):
        late = w.book(-1, 1)
    w.frontdesk.post(w.path(late, "check-in/"), room, status=409, code="CHECKIN_TOO_LATE")


@row("check-in: ROOM_NOT_READY, BOOKING_NOT_ELIGIBLE without a room or when over")
def check_in_refused(w: World) -> None:
    booking = w.book()
    path = w.path(booking, "check-in/")
    w.frontdesk.post(path, status=409, code="BOOKING_NOT_ELIGIBLE")
    dirty = w.room("CHECKOUT_DIRTY")
    w.frontdesk.post(path, {"room_id": dirty["id"]}, status=409, code="ROOM_NOT_READY", begins="Room not ready")
    w.frontdesk.post(path, {"room_id": "999999999"}, status=404, code="ROOM_NOT_FOUND", begins="Room not found")
    w.frontdesk.post(w.path(booking, "cancel/"))
    w.frontdesk.post(path, {"room_id": w.room()["id"]}, status=409, code="BOOKING_NOT_ELIGIBLE")


@row("POST {bid}/check-out/: no body, idempotent, the room dirty")
def check_out(w: World) -> None:
    booking, room = w.book(), w.room()
    w.hears_guest(booking)
    arrival = {"rooms": w.moved(room), "bookings": [("booking_checked_in", booking["booking_id"])]}
    with w.tells(**arrival, guest=booking, guest_told="booking_checked_in"):
        w.frontdesk.post(w.path(booking, "check-in/"), {"room_id": room["id"]})
    told = {"rooms": w.moved(room), "bookings": [("booking_checked_out", booking["booking_id"])]}
    with w.tells(**told, guest=booking, guest_told="booking_checked_out"):
        body = w.frontdesk.post(w.path(booking, "check-out/"), shape=DETAIL)
    w.see(body["status"], "COMPLETED", "the status")
    w.see(w.now(room)["room_status"], "CHECKOUT_DIRTY", "the room")
    with w.tells(guest=booking):
        w.frontdesk.post(w.path(booking, "check-out/"), {}, shape=DETAIL)
    w.frontdesk.post(w.path(w.book(), "check-out/"), status=409)


@row("POST {bid}/undo-check-in/: a supervisor's, the room kept and dirty")
def undo_check_in(w: World) -> None:
    booking, room = w.arrived()
    path, reason = w.path(booking, "undo-check-in/"), {"reason": "the wrong guest"}
    w.frontdesk.post(path, reason, status=403)
    w.manager.post(path, {}, status=400)
    with w.tells(rooms=w.moved(room), bookings=[("booking_updated", booking["booking_id"])]):
        body = w.manager.post(path, reason, shape=DETAIL)
    w.see((body["status"], body["room_number"]), ("CONFIRMED", room["room_number"]), "the booking")
    w.see(w.now(room)["room_status"], "CHECKOUT_DIRTY", "the room")
    w.manager.post(path, reason, status=409)


@row("GET, PATCH access-config/")
def access_config(w: World) -> None:
    before = w.manager.get("access-config/", shape=ACCESS_CONFIG)
    body = {"late_checkout_grace_minutes": "45", "check_in_time": "14:00:00"}
    after = w.manager.patch("access-config/", body, shape=ACCESS_CONFIG)
    w.see((after["late_checkout_grace_minutes"], after["check_in_time"]), (45, "14:00"), "what was changed")
    w.manager.patch("access-config/", {"timezone": "Europe/Atlantis"}, status=400)
    w.manager.patch("access-config/", {"approval_cutoff_day_offset": 2}, status=400)
    w.manager.patch("access-config/", {"late_arrival_cutoff": "12:01", "early_checkin_from": "13:00"}, status=400)
    w.manager.patch("access-config/", {"late_arrival_cutoff": "08:01"}, status=400)
    w.manager.patch("access-config/", {"early_checkin_from": "01:59"}, status=400)
    w.manager.patch("access-config/", {name: before[name] for name in body})
