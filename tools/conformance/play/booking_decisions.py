"""Section 6: requests confirmed, approved, declined; stays cancelled, missed, taken back."""

import time
from typing import Any

import requests

from tools.conformance.client import error_problems
from tools.conformance.report import Table
from tools.conformance.shapes import CANCELLED, DETAIL
from tools.conformance.world import YESTERDAY, World

TABLE = Table("6")
row = TABLE.row


def request_without_card(w: World) -> dict[str, Any] | None:
    """A request that came in by another way than this API."""
    rows = w.frontdesk.get("room-bookings/", query={"bucket": "pending", "page_size": "100"})["results"]
    for one in rows:
        detail: dict[str, Any] = w.frontdesk.get(w.path(one))
        if not detail["payment_provider"]:
            w.own_bookings.add(detail["booking_id"])
            return detail
    w.not_reached("no request without a card payment waits")
    return None


@row("POST {bid}/confirm/: no body; a CONFIRMED one 200, nothing written")
def confirm(w: World) -> None:
    confirmed = w.book()
    with w.tells():
        w.frontdesk.post(w.path(confirmed, "confirm/"), shape=DETAIL)
    if request := request_without_card(w):
        with w.tells(bookings=[("booking_confirmed", request["booking_id"])]):
            body = w.frontdesk.post(w.path(request, "confirm/"), shape=DETAIL)
        w.see(body["status"], "CONFIRMED", "the status")


@row("confirm and cancel of a Stripe booking: 403 STRIPE_BOOKING")
def stripe_booking(w: World) -> None:
    booking = w.by_card()
    w.see(booking["status"], "PENDING_APPROVAL", "the status of a booking by card")
    w.see(booking["payment_provider"], "stripe", "payment_provider")
    for step in ("confirm/", "cancel/"):
        body = w.frontdesk.post(w.path(booking, step), status=403, code="STRIPE_BOOKING")
        w.has(body["details"], {"required_endpoints": {"approve": "str", "decline": "str"}}, "details")


@row("POST {bid}/approve/: no body, captures, marks seen, idempotent; told")
def approve(w: World) -> None:
    if request := request_without_card(w):
        with w.tells(bookings=[("booking_confirmed", request["booking_id"])]):
            body = w.frontdesk.post(w.path(request, "approve/"), shape=DETAIL)
        w.see((body["status"], body["is_new_for_staff"]), ("CONFIRMED", False), "an approved request")
        with w.tells():
            w.frontdesk.post(w.path(request, "approve/"), {}, shape=DETAIL)
    if not w.stripe:
        return
    booking = w.by_card()
    w.hears_guest(booking)
    told = [("booking_confirmed", booking["booking_id"])]
    with w.tells(bookings=told, guest=booking, guest_told="booking_confirmed"):
        body = w.frontdesk.post(w.path(booking, "approve/"), shape=DETAIL)
    w.has(body["paid_at"], "time", "paid_at")
    w.see(w.stripe.moved(booking["payment_reference"]), {"captured": 1}, "what the provider did")
    with w.tells(guest=booking):
        w.frontdesk.post(w.path(booking, "approve/"), shape=DETAIL)
    w.see(w.stripe.moved(booking["payment_reference"]), {"captured": 1}, "what the provider did after a repeat")


@row("approve, decline: 502 PAYMENT_CAPTURE_FAILED changes nothing")
def capture_fails(w: World) -> None:
    if not w.stripe:
        w.not_reached("its card provider can't be told to fail")
        return
    booking = w.by_card()
    for action, step, code in (
        ("capture", "approve/", "PAYMENT_CAPTURE_FAILED"),
        ("cancel", "decline/", ""),
    ):
        w.stripe.fail(action, "refuse")
        with w.tells():
            w.frontdesk.post(w.path(booking, step), status=502, code=code)
        now = w.frontdesk.get(w.path(booking))
        w.see((now["status"], now["is_new_for_staff"]), ("PENDING_APPROVAL", True), "the booking afterwards")
    w.frontdesk.post(w.path(booking, "approve/"), shape=DETAIL)


@row("approve, decline: 503 PAYMENTS_BUSY, at once, while another is at the provider")
def provider_busy(w: World) -> None:
    if not w.stripe:
        w.not_reached("its card provider can't be told to wait")
        return
    first, second = w.by_card(), w.by_card()
    answers: list[requests.Response] = []

    def meanwhile(_call: Any) -> None:
        for step in ("approve/", "decline/"):
            url = f"{w.wire.url}/api/staff/hotel/{w.hotel}/{w.path(second, step)}"
            answers.append(requests.post(url, headers=w.frontdesk.headers, timeout=20))

    w.stripe.before_work = meanwhile
    try:
        w.frontdesk.post(w.path(first, "approve/"), shape=DETAIL)
    finally:
        w.stripe.before_work = lambda _call: None
    for answer in answers:
        w.see((answer.status_code, answer.json().get("code")), (503, "PAYMENTS_BUSY"), "the answer meanwhile")
        w.see(error_problems(answer.json()), [], "its body")
        w.see("Retry-After" in answer.headers, True, "Retry-After there")
    w.see(len(answers), 2, "the answers meanwhile")
    w.see(w.frontdesk.get(w.path(second))["status"], "PENDING_APPROVAL", "who was refused")
    w.frontdesk.post(w.path(second, "approve/"), shape=DETAIL)


@row("approve: 409 BOOKING_EXPIRED past the deadline")
def expired(w: World) -> None:
    rows: list[dict[str, Any]] = []
    for _ in range(50):
        rows = w.frontdesk.get("room-bookings/", query={"bucket": "expired"})["results"]
        if rows or not w.own:
            break
        time.sleep(0.2)
    if not rows:
        w.not_reached("no request has expired")
        return
    detail = w.frontdesk.get(w.path(rows[0]), shape=DETAIL)
    w.see(detail["status"], "EXPIRED", "the status")
    w.has(detail, {"expired_at": "time", "auto_expire_reason_code": "str"}, "an expired request")
    w.frontdesk.post(w.path(rows[0], "approve/"), status=409, code="BOOKING_EXPIRED")


@row("POST {bid}/decline/: voids or refunds, idempotent; told")
def decline(w: World) -> None:
    reason = {"reason_code": "FULL", "reason_note": "no room"}
    if request := request_without_card(w):
        with w.tells(bookings=[("booking_updated", request["booking_id"])]):
            body = w.frontdesk.post(w.path(request, "decline/"), reason, shape=DETAIL)
        w.see((body["status"], body["decline_reason_code"]), ("DECLINED", "FULL"), "a declined request")
        with w.tells():
            w.frontdesk.post(w.path(request, "decline/"), shape=DETAIL)
    w.frontdesk.post(w.path(w.book(), "decline/"), status=409)
    if not w.stripe:
        return
    for approved, done in ((False, {"voided": 1}), (True, {"captured": 1, "refunded": 1})):
        booking = w.by_card()
        if approved:
            w.frontdesk.post(w.path(booking, "approve/"))
        w.hears_guest(booking)
        told = [("booking_updated", booking["booking_id"])]
        with w.tells(bookings=told, guest=booking, guest_told="booking_declined"):
            body = w.frontdesk.post(w.path(booking, "decline/"), reason, shape=DETAIL)
        w.see(w.stripe.moved(booking["payment_reference"]), done, "what the provider did")
        w.see((body["status"], body["is_new_for_staff"]), ("DECLINED", False), "the declined booking")


@row("POST {bid}/cancel/: with and without a reason; the room released; told")
def cancel(w: World) -> None:
    booking, room = w.book(), w.room()
    w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    w.hears_guest(booking)
    told = [("booking_cancelled", booking["booking_id"])]
    with w.tells(bookings=told, guest=booking, guest_told="booking_cancelled"):
        body = w.frontdesk.post(w.path(booking, "cancel/"), {"reason": "flight cancelled"}, shape=CANCELLED)
    now = body["booking"]
    w.see(body["cancellation_reason"], "flight cancelled", "cancellation_reason")
    w.see((now["status"], now["assigned_room"]), ("CANCELLED", None), "the booking")
    w.see("flight cancelled" in now["special_requests"], True, "the reason among special_requests")
    w.has(now["cancelled_at"], "time", "cancelled_at")
    with w.tells(guest=booking):
        w.frontdesk.post(w.path(booking, "cancel/"), {}, shape=CANCELLED)
    w.frontdesk.post(w.path(w.book(), "cancel/"), shape=CANCELLED)


@row("cancel: 409 COMPLETED, PENDING_APPROVAL (required_endpoint), NO_SHOW, …")
def cancel_refused(w: World) -> None:
    done, _ = w.arrived()
    w.frontdesk.post(w.path(done, "check-out/"))
    w.frontdesk.post(w.path(done, "cancel/"), status=409)
    rows = w.frontdesk.get("room-bookings/", query={"status": "DECLINED,EXPIRED"})["results"]
    for one in [one for one in rows if not w.frontdesk.get(w.path(one))["payment_provider"]][:2]:
        w.frontdesk.post(w.path(one, "cancel/"), status=409)
    if request := request_without_card(w):
        body = w.frontdesk.post(w.path(request, "cancel/"), status=409)
        wanted = body["details"].get("required_endpoint", "")
        w.see("decline" in wanted, True, f"decline as required_endpoint ({wanted})")


@row("cancel of a guest in house: supervise and a reason, else 409")
def cancel_in_house(w: World) -> None:
    booking, room = w.arrived()
    path = w.path(booking, "cancel/")
    w.frontdesk.post(path, {"reason": "so"}, status=409)
    w.manager.post(path, status=409)
    with w.tells(rooms=w.moved(room), bookings=[("booking_cancelled", booking["booking_id"])]):
        body = w.manager.post(path, {"reason": "police"}, shape=CANCELLED)["booking"]
    w.see(body["checked_out_at"], body["cancelled_at"], "checked_out_at")
    w.see(w.now(room)["room_status"], "CHECKOUT_DIRTY", "the room")


@row("POST {bid}/no-show/: the day after, told as booking_no_show; public: updated")
def no_show(w: World) -> None:
    w.frontdesk.post(w.path(w.book(), "no-show/"), status=409)
    with w.rules(**YESTERDAY):
        booking, room = w.book(-1, 2), w.room()
    w.frontdesk.post(w.path(booking, "safe-assign-room/"), {"room_id": room["id"]})
    w.hears_guest(booking)
    with w.tells(bookings=[("booking_no_show", booking["booking_id"])], guest=booking):
        body = w.frontdesk.post(w.path(booking, "no-show/"), {"reason": "no answer"}, shape=DETAIL)
    w.see((body["status"], body["assigned_room"]), ("NO_SHOW", None), "the booking")
    w.frontdesk.post(w.path(booking, "cancel/"), status=409)


@row("POST {bid}/reinstate/: from CANCELLED and NO_SHOW, with supervise and a reason")
def reinstate(w: World) -> None:
    booking = w.book(3, 2)
    w.frontdesk.post(w.path(booking, "cancel/"))
    path, reason = w.path(booking, "reinstate/"), {"reason": "the wrong one"}
    w.frontdesk.post(path, reason, status=403)
    w.manager.post(path, status=400)
    with w.tells(bookings=[("booking_updated", booking["booking_id"])]):
        body = w.manager.post(path, reason, shape=DETAIL)
    w.see((body["status"], body["assigned_room"]), ("CONFIRMED", None), "the booking")
    w.manager.post(path, reason, status=409)
    with w.rules(**YESTERDAY):
        missed = w.book(-1, 3)
    w.frontdesk.post(w.path(missed, "no-show/"))
    with w.tells(bookings=[("booking_updated", missed["booking_id"])]):
        w.manager.post(w.path(missed, "reinstate/"), reason, shape=DETAIL)


@row("reinstate: 409 NO_AVAILABILITY")
def reinstate_full(w: World) -> None:
    kind = w.lone_type()
    booking = w.book(50, 1, room_type_id=kind["id"])
    w.frontdesk.post(w.path(booking, "cancel/"))
    w.book(50, 1, room_type_id=kind["id"])
    path = w.path(booking, "reinstate/")
    w.manager.post(path, {"reason": "back"}, status=409, code="NO_AVAILABILITY")
