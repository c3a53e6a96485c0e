"""Bookings: confirm, approve, decline, cancel, no-show, reinstate (docs/api.md, Bookings and Payments)."""

import time
from typing import Any

import requests

from tools.conformance.client import error_problems
from tools.conformance.report import Table
from tools.conformance.session import YESTERDAY, Session
from tools.conformance.shapes import BOOKING_ACTIONS, CANCELLED, DETAIL

TABLE = Table("Bookings")
row = TABLE.row


def request_without_card(s: Session) -> dict[str, Any] | None:
    """A booking request that was not made through this API."""
    rows = s.frontdesk.get("room-bookings/", query={"bucket": "pending", "page_size": "100"})["results"]
    for one in rows:
        detail: dict[str, Any] = s.frontdesk.get(s.path(one))
        if not detail["payment_provider"]:
            s.run_bookings.add(detail["booking_id"])
            return detail
    s.not_reached("no request without a card payment is pending")
    return None


@row("POST {bid}/confirm/: no body; 200 for a CONFIRMED one, nothing written")
def confirm(s: Session) -> None:
    confirmed = s.book()
    with s.expects_events():
        s.frontdesk.post(s.path(confirmed, "confirm/"), shape=DETAIL)
    if request := request_without_card(s):
        with s.expects_events(bookings=[("booking_confirmed", request["booking_id"])]):
            body = s.frontdesk.post(s.path(request, "confirm/"), shape=DETAIL)
        s.equal(body["status"], "CONFIRMED", "the status")


@row("GET {bid}/actions/: what the calls then do")
def actions(s: Session) -> None:
    booking = s.book()
    asked = s.frontdesk.get(s.path(booking, "actions/"), shape=BOOKING_ACTIONS)
    found = {action["action"]: action for action in asked["actions"]}
    s.equal((found["cancel"]["allowed"], found["cancel"]["has_effect"]), (True, True), "cancelling is allowed")
    s.equal((found["confirm"]["allowed"], found["confirm"]["has_effect"]), (True, False), "it is confirmed already")
    code = found["check_out"]["reasons"][0]["code"]
    s.equal(code, "BOOKING_NOT_CHECKED_IN", "why the guest cannot be checked out")
    s.frontdesk.post(s.path(booking, "check-out/"), status=409, code=code)
    s.frontdesk.get(s.path(booking, "actions/"), query={"check_out": "soon"}, status=400)


@row("confirm and cancel of a Stripe booking: 403 STRIPE_BOOKING")
def stripe_booking(s: Session) -> None:
    booking = s.by_card()
    s.equal(booking["status"], "PENDING_APPROVAL", "the status of a booking by card")
    s.equal(booking["payment_provider"], "stripe", "payment_provider")
    for action in ("confirm/", "cancel/"):
        body = s.frontdesk.post(s.path(booking, action), status=403, code="STRIPE_BOOKING")
        s.matches(body["details"], {"required_endpoints": {"approve": "str", "decline": "str"}}, "details")


@row("POST {bid}/approve/: no body, captures, marks seen, idempotent; events")
def approve(s: Session) -> None:
    if request := request_without_card(s):
        with s.expects_events(bookings=[("booking_confirmed", request["booking_id"])]):
            body = s.frontdesk.post(s.path(request, "approve/"), shape=DETAIL)
        s.equal((body["status"], body["is_new_for_staff"]), ("CONFIRMED", False), "an approved request")
        with s.expects_events():
            s.frontdesk.post(s.path(request, "approve/"), {}, shape=DETAIL)
    if not s.stripe:
        return
    booking = s.by_card()
    s.subscribe_as_guest(booking)
    events = [("booking_confirmed", booking["booking_id"])]
    with s.expects_events(bookings=events, guest=booking, guest_event="booking_confirmed"):
        body = s.frontdesk.post(s.path(booking, "approve/"), shape=DETAIL)
    s.matches(body["paid_at"], "time", "paid_at")
    s.equal(s.stripe.moved(booking["payment_reference"]), {"captured": 1}, "payments at the provider")
    with s.expects_events(guest=booking):
        s.frontdesk.post(s.path(booking, "approve/"), shape=DETAIL)
    s.equal(s.stripe.moved(booking["payment_reference"]), {"captured": 1}, "payments after a retry")


@row("approve, decline: 502 PAYMENT_CAPTURE_FAILED changes nothing")
def capture_fails(s: Session) -> None:
    if not s.stripe:
        s.not_reached("its card provider cannot be made to fail")
        return
    booking = s.by_card()
    for call, action, code in (
        ("capture", "approve/", "PAYMENT_CAPTURE_FAILED"),
        ("cancel", "decline/", ""),
    ):
        s.stripe.fail(call, "refuse")
        with s.expects_events():
            s.frontdesk.post(s.path(booking, action), status=502, code=code)
        now = s.frontdesk.get(s.path(booking))
        s.equal((now["status"], now["is_new_for_staff"]), ("PENDING_APPROVAL", True), "the booking afterwards")
    s.frontdesk.post(s.path(booking, "approve/"), shape=DETAIL)


@row("approve, decline: 503 PAYMENTS_BUSY immediately while another request is at the provider")
def provider_busy(s: Session) -> None:
    if not s.stripe:
        s.not_reached("its card provider cannot be made to wait")
        return
    first, second = s.by_card(), s.by_card()
    responses: list[requests.Response] = []

    def request_concurrently(_call: Any) -> None:
        for action in ("approve/", "decline/"):
            url = f"{s.wire.url}/api/staff/hotel/{s.hotel}/{s.path(second, action)}"
            responses.append(requests.post(url, headers=s.frontdesk.headers, timeout=20))

    s.stripe.before_work = request_concurrently
    try:
        s.frontdesk.post(s.path(first, "approve/"), shape=DETAIL)
    finally:
        s.stripe.before_work = lambda _call: None
    for response in responses:
        s.equal((response.status_code, response.json().get("code")), (503, "PAYMENTS_BUSY"), "the concurrent response")
        s.equal(error_problems(response.json()), [], "its error body")
        s.equal("Retry-After" in response.headers, True, "has Retry-After")
    s.equal(len(responses), 2, "the number of concurrent responses")
    s.equal(s.frontdesk.get(s.path(second))["status"], "PENDING_APPROVAL", "the refused booking's status")
    s.frontdesk.post(s.path(second, "approve/"), shape=DETAIL)


@row("approve: 409 BOOKING_EXPIRED past the deadline")
def expired(s: Session) -> None:
    rows: list[dict[str, Any]] = []
    for _ in range(50):
        rows = s.frontdesk.get("room-bookings/", query={"bucket": "expired"})["results"]
        if rows or not s.own:
            break
        time.sleep(0.2)
    if not rows:
        s.not_reached("no request has expired")
        return
    detail = s.frontdesk.get(s.path(rows[0]), shape=DETAIL)
    s.equal(detail["status"], "EXPIRED", "the status")
    s.matches(detail, {"expired_at": "time", "auto_expire_reason_code": "str"}, "an expired request")
    s.frontdesk.post(s.path(rows[0], "approve/"), status=409, code="BOOKING_EXPIRED")


@row("POST {bid}/decline/: voids or refunds, idempotent; events")
def decline(s: Session) -> None:
    reason = {"reason_code": "FULL", "reason_note": "no room"}
    if request := request_without_card(s):
        with s.expects_events(bookings=[("booking_updated", request["booking_id"])]):
            body = s.frontdesk.post(s.path(request, "decline/"), reason, shape=DETAIL)
        s.equal((body["status"], body["decline_reason_code"]), ("DECLINED", "FULL"), "a declined request")
        with s.expects_events():
            s.frontdesk.post(s.path(request, "decline/"), shape=DETAIL)
    s.frontdesk.post(s.path(s.book(), "decline/"), status=409)
    if not s.stripe:
        return
    for approved, done in ((False, {"voided": 1}), (True, {"captured": 1, "refunded": 1})):
        booking = s.by_card()
        if approved:
            s.frontdesk.post(s.path(booking, "approve/"))
        s.subscribe_as_guest(booking)
        events = [("booking_updated", booking["booking_id"])]
        with s.expects_events(bookings=events, guest=booking, guest_event="booking_declined"):
            body = s.frontdesk.post(s.path(booking, "decline/"), reason, shape=DETAIL)
        s.equal(s.stripe.moved(booking["payment_reference"]), done, "payments at the provider")
        s.equal((body["status"], body["is_new_for_staff"]), ("DECLINED", False), "the declined booking")


@row("POST {bid}/cancel/: with and without a reason; releases the room; events")
def cancel(s: Session) -> None:
    booking, room = s.book(), s.room()
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    s.subscribe_as_guest(booking)
    events = [("booking_cancelled", booking["booking_id"])]
    with s.expects_events(bookings=events, guest=booking, guest_event="booking_cancelled"):
        body = s.frontdesk.post(s.path(booking, "cancel/"), {"reason": "flight cancelled"}, shape=CANCELLED)
    now = body["booking"]
    s.equal(body["cancellation_reason"], "flight cancelled", "cancellation_reason")
    s.equal((now["status"], now["assigned_room"]), ("CANCELLED", None), "the booking")
    s.equal("flight cancelled" in now["special_requests"], True, "special_requests contains the reason")
    s.matches(now["cancelled_at"], "time", "cancelled_at")
    with s.expects_events(guest=booking):
        s.frontdesk.post(s.path(booking, "cancel/"), {}, shape=CANCELLED)
    s.frontdesk.post(s.path(s.book(), "cancel/"), shape=CANCELLED)


@row("cancel: 409 COMPLETED, PENDING_APPROVAL (required_endpoint), NO_SHOW, …")
def cancel_refused(s: Session) -> None:
    done, _ = s.arrived()
    s.frontdesk.post(s.path(done, "check-out/"))
    s.frontdesk.post(s.path(done, "cancel/"), status=409)
    rows = s.frontdesk.get("room-bookings/", query={"status": "DECLINED,EXPIRED"})["results"]
    for one in [one for one in rows if not s.frontdesk.get(s.path(one))["payment_provider"]][:2]:
        s.frontdesk.post(s.path(one, "cancel/"), status=409)
    if request := request_without_card(s):
        body = s.frontdesk.post(s.path(request, "cancel/"), status=409)
        expected = body["details"].get("required_endpoint", "")
        s.equal("decline" in expected, True, f"decline as required_endpoint ({expected})")


@row("cancel of an in-house booking: supervise permission and a reason, else 409")
def cancel_in_house(s: Session) -> None:
    booking, room = s.arrived()
    path = s.path(booking, "cancel/")
    s.frontdesk.post(path, {"reason": "so"}, status=409)
    s.manager.post(path, status=409)
    with s.expects_events(rooms=s.occupancy_events(room), bookings=[("booking_cancelled", booking["booking_id"])]):
        body = s.manager.post(path, {"reason": "police"}, shape=CANCELLED)["booking"]
    s.equal(body["checked_out_at"], body["cancelled_at"], "checked_out_at")
    s.equal(s.current(room)["room_status"], "CHECKOUT_DIRTY", "the room")


@row("POST {bid}/no-show/: the day after; booking_no_show, public booking_updated")
def no_show(s: Session) -> None:
    s.frontdesk.post(s.path(s.book(), "no-show/"), status=409)
    with s.rules(**YESTERDAY):
        booking, room = s.book(-1, 2), s.room()
    s.frontdesk.post(s.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    s.subscribe_as_guest(booking)
    with s.expects_events(bookings=[("booking_no_show", booking["booking_id"])], guest=booking):
        body = s.frontdesk.post(s.path(booking, "no-show/"), {"reason": "no response"}, shape=DETAIL)
    s.equal((body["status"], body["assigned_room"]), ("NO_SHOW", None), "the booking")
    s.frontdesk.post(s.path(booking, "cancel/"), status=409)


@row("POST {bid}/reinstate/: from CANCELLED and NO_SHOW, with supervise permission and a reason")
def reinstate(s: Session) -> None:
    booking = s.book(3, 2)
    s.frontdesk.post(s.path(booking, "cancel/"))
    path, reason = s.path(booking, "reinstate/"), {"reason": "the wrong one"}
    s.frontdesk.post(path, reason, status=403)
    s.manager.post(path, status=400)
    with s.expects_events(bookings=[("booking_updated", booking["booking_id"])]):
        body = s.manager.post(path, reason, shape=DETAIL)
    s.equal((body["status"], body["assigned_room"]), ("CONFIRMED", None), "the booking")
    s.manager.post(path, reason, status=409)
    with s.rules(**YESTERDAY):
        missed = s.book(-1, 3)
    s.frontdesk.post(s.path(missed, "no-show/"))
    with s.expects_events(bookings=[("booking_updated", missed["booking_id"])]):
        s.manager.post(s.path(missed, "reinstate/"), reason, shape=DETAIL)


@row("reinstate: 409 NO_AVAILABILITY")
def reinstate_full(s: Session) -> None:
    kind = s.lone_type()
    booking = s.book(50, 1, room_type_id=kind["id"])
    s.frontdesk.post(s.path(booking, "cancel/"))
    s.book(50, 1, room_type_id=kind["id"])
    path = s.path(booking, "reinstate/")
    s.manager.post(path, {"reason": "back"}, status=409, code="NO_AVAILABILITY")
