"""Every operation, each on targets on which it succeeds, and the events that it publishes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from common import clock
from hotel import calendar
from hotel.models import Staff
from housekeeping.services import set_room_status
from housekeeping.turnover import flag_maintenance
from notifications import notification_manager
from notifications.models import BOOKINGS, GUESTS, ROOMS, RealtimeEvent
from room_bookings.models import OverstayIncident, PaymentRetry, RoomBooking
from room_bookings.services.expire import drop_drafts, expire_approvals
from room_bookings.services.overstay import flag_overstays
from room_bookings.services.payment_sweep import settle_payments
from rooms.models import RoomType
from tests.conftest import token_client
from tests.endpoints import BOOKING, ENDPOINTS, WHY, Endpoint, endpoint_targets
from tests.factories import NewRoomFactory, RoomTypeFactory, booking_in, room_in
from tools.harness.stripe_server import StripeServer

COMPANION = {"first_name": "Charles", "last_name": "Babbage"}
# Bodies for endpoints whose call in ``tests.endpoints`` succeeds without changing anything.
CHANGING_BODIES = {f"PUT {BOOKING}party/companions/": {"companions": [COMPANION]}}

Work = Callable[[], Any]


def operation_targets(manager: Staff, stripe: StripeServer | None = None) -> SimpleNamespace:
    """The hotel of ``tests.endpoints`` (rooms 101 to 108) and rooms 109 to 116, with the targets of all operations.

    ``names`` maps a booking reference to the booking's name in the table.
    """
    hotel = manager.hotel
    targets = endpoint_targets(hotel, manager)
    room_type = RoomType.objects.get(pk=targets.room_type)
    today, one_day = calendar.business_date(hotel), timedelta(days=1)
    stay: dict[str, Any] = {
        "hotel": hotel,
        "room_type": room_type,
        "check_in": today,
        "check_out": today + 2 * one_day,
    }
    past = {"check_in": today - 2 * one_day, "check_out": today - one_day}
    rooms = [NewRoomFactory(hotel=hotel, room_type=room_type, room_number=number) for number in range(109, 114)]
    now = calendar.at(hotel, today, time(15))
    bookings = {
        "roomless": booking_in("CONFIRMED", **stay),
        "second": booking_in("CONFIRMED", **stay, assigned_room=rooms[0]),
        "staying": booking_in("IN_HOUSE", **stay, assigned_room=rooms[1]),
        "dripping": booking_in("IN_HOUSE", **stay, assigned_room=rooms[2]),
        "flagged": booking_in("IN_HOUSE", **stay | past, assigned_room=rooms[3]),
        "absent": booking_in("CONFIRMED", **stay | {"check_in": today - one_day}, assigned_room=rooms[4]),
        "missed": booking_in("NO_SHOW", **stay),
        "gone": booking_in("COMPLETED", **stay | past, assigned_room=rooms[1]),
        "draft": booking_in("PENDING_PAYMENT", **stay, created_at=now - timedelta(days=2)),
        "lapsed": booking_in("PENDING_APPROVAL", **stay, approval_deadline_at=now - timedelta(hours=1)),
        "lapsed2": booking_in("PENDING_APPROVAL", **stay, approval_deadline_at=now - timedelta(hours=1)),
    }
    flag_overstay(bookings["flagged"])
    flag_maintenance(room=rooms[2], staff=manager, note="shower drips")
    if stripe:
        bookings |= card_bookings(stripe, stay, now - timedelta(minutes=5))
    for name, status in {"faulty": "CHECKOUT_DIRTY", "faulty_clean": "CLEANED_UNINSPECTED"}.items():
        number = 114 if name == "faulty" else 115
        room = room_in(status, fault=True, hotel=hotel, room_type=room_type, room_number=number)
        setattr(targets, name, room.pk)
        setattr(targets, f"{name}_no", number)
    turned = room_in("CLEANED_UNINSPECTED", hotel=hotel, room_type=room_type, room_number=116)
    set_room_status(room=turned, to_status="READY_FOR_GUEST", staff=manager)
    flag_maintenance(room=turned, staff=manager, note="lamp")
    vars(targets).update(
        {name: booking.booking_id for name, booking in bookings.items()},
        turned=turned.pk,
        turned_no=116,
        other_type=RoomTypeFactory(hotel=hotel).pk,
        second_room=rooms[0].pk,
        staying_room=rooms[1].pk,
        dripping_no=111,
        dripping_room=rooms[2].pk,
    )
    references = set(RoomBooking.objects.filter(hotel=hotel).values_list("booking_id", flat=True))
    targets.names = {value: name for name, value in vars(targets).items() if value in references}
    targets.hotel = hotel
    return targets


def flag_overstay(booking: RoomBooking) -> None:
    """Do what ``flag_overstays`` does, for one booking."""
    booking.overstay_flagged_at = clock.now()
    booking.save(update_fields=["overstay_flagged_at"])
    OverstayIncident.objects.create(
        hotel=booking.hotel, booking=booking, expected_checkout_date=booking.check_out, detected_at=clock.now()
    )


def card_bookings(stripe: StripeServer, stay: dict[str, Any], asked_at: Any) -> dict[str, RoomBooking]:
    """Bookings with a card payment: undecided, captured, two with an unfinished decision, one parked."""
    in_flight = {"payment_attempt": 1, "payment_requested_at": asked_at}
    bookings = {
        "carded": booking_in("PENDING_APPROVAL", card="AUTHORISED", **stay),
        "paid": booking_in("CONFIRMED", card="CAPTURED", **stay),
        "capturing": booking_in("PENDING_APPROVAL", card="CAPTURING", **stay, **in_flight),
        "refunding": booking_in("CONFIRMED", card="REFUNDING", **stay, **in_flight, paid_at=asked_at),
        "parked": booking_in("EXPIRED", card="VOIDING", **stay, **in_flight),
    }
    PaymentRetry.objects.create(booking=bookings["parked"], failures=12, last_error="Unclear", parked_at=asked_at)
    for name, booking in bookings.items():
        stripe.authorise(booking.payment_reference)
        if name != "carded":
            stripe.intents[booking.payment_reference].status = "succeeded"
    stripe.intents[bookings["refunding"].payment_reference].refunded = True
    return bookings


def operations(targets: SimpleNamespace, manager: Staff, *, cards: bool = False) -> dict[str, Work]:
    """Each operation as a call, by name: those of the API, then the rest."""
    work: dict[str, Work] = {
        "expire": lambda: expire_approvals(targets.hotel),
        "drop drafts": lambda: drop_drafts(targets.hotel),
        "flag overstays": lambda: flag_overstays(targets.hotel),
        "tick": lambda: call_command("tick", stdout=StringIO()),
    }
    if cards:
        work["settle payments"] = settle_payments
    return api_operations(targets, manager, cards=cards) | work | in_the_admin(targets, manager)


def api_operations(
    targets: SimpleNamespace, manager: Staff, *, cards: bool = False, query: str = ""
) -> dict[str, Work]:
    """Each operation of the API as a call with this query string, by name: the endpoints, then variants of them."""
    client = token_client(manager)

    def http(name: str, target: str | None = None, body: Any = None) -> Work:
        endpoint = replace(endpoint_of(name, target, body), query=query)
        return lambda: call(endpoint, client, targets)

    def booking(step: str, target: str, body: Any = None, method: str = "POST") -> Work:
        return http(f"{method} {BOOKING}{step}", target, body)

    work = {endpoint.name: http(endpoint.name) for endpoint in ENDPOINTS if endpoint.method != "GET"}
    work |= {
        "access config, checkout time": http("PATCH access-config/", None, {"standard_checkout_time": "12:00"}),
        "mark-maintenance, room flagged": http(
            "POST rooms/<number:rno>/mark-maintenance/", "broken_no", {"priority": "HIGH", "notes": ""}
        ),
        "mark-maintenance, guest in house": http("POST rooms/<number:rno>/mark-maintenance/", "left_no"),
        "complete-maintenance, guest in house": http("POST rooms/<number:rno>/complete-maintenance/", "dripping_no"),
        "complete-maintenance, turned over": http("POST rooms/<number:rno>/complete-maintenance/", "turned_no"),
        "complete-maintenance, flag on a dirty room": http(
            "POST rooms/<number:rno>/complete-maintenance/", "faulty_no"
        ),
        "complete-maintenance, no fault": http("POST rooms/<number:rno>/complete-maintenance/", "dirty_no"),
        "inspect, failed": http("POST rooms/<number:rno>/inspect/", "cleaned_no", {"passed": False}),
        "inspect, fault open": http("POST rooms/<number:rno>/inspect/", "faulty_clean_no"),
        "room, another number": http("PATCH room-management/<number:room>/", "due", {"room_number": 303}),
        "room, another type": http("PATCH room-management/<number:room>/", "ready", {"room_type_id": "$other_type"}),
        "room, connected": http("PATCH room-management/<number:room>/", "due", {"connecting_rooms": ["$ready"]}),
        "bulk check-in, two rooms and one refused": http(
            "POST rooms/checkin/", None, {"room_ids": ["$second_room", "$dirty", "$due"]}
        ),
        "bulk check-out, three rooms and one refused": http(
            "POST rooms/checkout/", None, {"room_ids": ["$dripping_room", "$dirty", "$left", "$staying_room"]}
        ),
        "create, by card": http("POST room-bookings/", None, card_body()),
        "edit, departure of a guest in house": booking("", "overdue", {"check_out": "2026-07-03"}, "PATCH"),
        "edit, notes of a stay that is over": booking("", "gone", {"internal_notes": "Left a hat."}, "PATCH"),
        "confirm, draft": booking("confirm/", "draft"),
        "cancel, no room": booking("cancel/", "roomless"),
        "cancel, in house": booking("cancel/", "overdue", WHY),
        "no-show, with room": booking("no-show/", "absent"),
        "reinstate, no-show": booking("reinstate/", "missed", WHY),
        "assign, first room": booking("safe-assign-room/", "roomless", {"room_id": "$ready"}),
        "assign, same room, a note": booking("safe-assign-room/", "arrival", {"room_id": "$due", "notes": "quiet"}),
        "check-in, room assigned": booking("check-in/", "roomless", {"room_id": "$ready"}),
        "check-in, another room": booking("check-in/", "arrival", {"room_id": "$ready"}),
        "check-out, room in maintenance": booking("check-out/", "dripping"),
        "move, from maintenance": booking("move-room/", "dripping", {"to_room_id": "$ready", **WHY}),
        "undo check-in, room in maintenance": booking("undo-check-in/", "dripping", WHY),
        "acknowledge, flagged": booking("overstay/acknowledge/", "flagged"),
        "dismiss": booking("overstay/acknowledge/", "flagged", {"dismiss": True}),
    }
    if cards:
        work |= {
            "approve, by card": booking("approve/", "carded"),
            "decline, by card": booking("decline/", "carded"),
            "decline, refund": booking("decline/", "paid"),
        }
    return work


def endpoint_of(name: str, target: str | None = None, body: Any = None) -> Endpoint:
    """The endpoint of that name as in ``tests.endpoints``, or on another target with another body."""
    [known] = [endpoint for endpoint in ENDPOINTS if endpoint.name == name]
    body = body if body is not None else CHANGING_BODIES.get(name, known.body if target is None else None)
    return Endpoint(known.method, known.route, known.roles, target or known.target, body, known.status)


def call(endpoint: Endpoint, client: Any, targets: SimpleNamespace) -> Any:
    """The response; with a fixed idempotency key, so that a second call is a retry."""
    return endpoint.call(client, targets.hotel.slug, targets, HTTP_IDEMPOTENCY_KEY="once")


def card_body() -> dict[str, Any]:
    body = endpoint_of("POST room-bookings/").body
    return {**body, "payment_provider": "stripe", "payment_reference": "pi_new"}


def in_the_admin(targets: SimpleNamespace, manager: Staff) -> dict[str, Work]:
    """The operations of a manager in the admin."""
    browser = Client(raise_request_exception=False)
    browser.force_login(manager.user)

    def action(name: str, *bookings: str) -> Work:
        chosen = [RoomBooking.objects.get(booking_id=getattr(targets, booking)).pk for booking in bookings]
        data = {"action": name, "_selected_action": chosen, "apply": "1", "reason": "they rang"}
        return lambda: browser.post(reverse("admin:room_bookings_roombooking_changelist"), data)

    def form(model: str, pk: int | None, **fields: Any) -> Work:
        address = f"admin:{model}_{'add' if pk is None else 'change'}"
        return lambda: browser.post(reverse(address, args=[] if pk is None else [pk]), fields)

    def notes() -> Any:
        booking = RoomBooking.objects.get(booking_id=targets.gone)
        fields = {"internal_notes": "Left a hat.", "version": booking.version} | inline_forms()
        return browser.post(reverse("admin:room_bookings_roombooking_change", args=[booking.pk]), fields)

    status = {"action": "change_status", "apply": "1", "to_status": "OUT_OF_ORDER", "reason": "burst pipe"}
    chosen = [targets.cleaned, targets.dirty, targets.left]  # the guest in the last one stays
    kind = {"code": "X", "name": "Renamed", "currency": "EUR", "max_occupancy": 2, "credits": 1, "is_active": "on"}
    room_fields = {"room_number": 303, "room_type": targets.room_type, "is_active": "on"}
    return {
        "admin: send a mail again": lambda: browser.post(
            reverse("admin:notifications_bookingmail_send_again", args=[targets.mail])
        ),
        "admin: approve": action("approve", "request"),
        "admin: decline": action("decline", "request"),
        "admin: cancel": action("cancel", "second", "overdue", "gone"),
        "admin: check out": action("check_out", "staying", "overdue", "gone"),
        "admin: no-show": action("no_show", "absent"),
        "admin: reinstate": action("reinstate", "cancelled"),
        **({"admin: retry payment": action("retry_payment", "parked")} if hasattr(targets, "parked") else {}),
        "admin: notes": notes,
        "admin: status of rooms": lambda: browser.post(
            reverse("admin:rooms_room_changelist"), status | {"_selected_action": chosen}
        ),
        "admin: change a room": form("rooms_room", targets.ready, **room_fields),
        "admin: add a room": form("rooms_room", None, **room_fields),
        "admin: delete a room": lambda: browser.post(
            reverse("admin:rooms_room_delete", args=[targets.unused]), {"post": "yes"}
        ),
        "admin: change a room type": form("rooms_roomtype", targets.room_type, **kind),
        "admin: add a room type": form("rooms_roomtype", None, **kind),
    }


def inline_forms() -> dict[str, str]:
    """The management form data of the admin's inlines."""
    inlines = ("companions", "mails", "changes", "overstays", "extensions")
    return {f"{inline}-{count}_FORMS": "0" for inline in inlines for count in ("TOTAL", "INITIAL")}


SHORT = {
    "room_updated": "U",
    "room_occupancy_updated": "O",
    "room_block_created": "N",
    "room_block_extended": "L",
    "room_block_completed": "E",
    "room_block_cancelled": "X",
}


def sent(targets: SimpleNamespace, since: int) -> str:
    """The events after the one with id ``since``, in the notation of the table; asserts each channel."""
    return " ".join(
        word(event, targets) for event in RealtimeEvent.objects.filter(pk__gt=since).order_by("pk").select_related()
    )


def word(event: RealtimeEvent, targets: SimpleNamespace) -> str:
    """An event in the notation of the table: ``U101``, ``booking_updated:arrival``, ``>booking_cancelled:arrival``."""
    message = notification_manager.messages(event)[0]
    envelope, slug = event.envelope, targets.hotel.slug
    meta = dict(envelope["meta"])
    scope = meta.pop("scope")
    assert set(envelope) == {"category", "type", "payload", "meta"}
    assert message["name"] == event.type == envelope["type"]
    assert meta == {"hotel_slug": slug, "event_id": str(event.event_id), "ts": "2026-07-01T14:00:00Z"}
    assert message["channel"] == event.channel
    if event.stream == ROOMS:
        number = envelope["payload"]["room_number"]
        assert (event.channel, envelope["category"]) == (f"private-{slug}.rooms", "rooms")
        assert scope == {"room_number": number}
        return f"{SHORT[event.type]}{number}"
    reference = envelope["payload"]["booking_id"]
    assert (scope, envelope["category"]) == ({"booking_id": reference}, "room_booking")
    about = f"{event.type}:{targets.names.get(reference, 'new')}"
    if event.stream == BOOKINGS:
        assert event.channel == f"private-{slug}.room-bookings"
        return about
    assert (event.stream, event.channel) == (GUESTS, f"private-guest-booking.{reference}")
    return f">{about}"
