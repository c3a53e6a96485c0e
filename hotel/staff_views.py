"""The front desk's endpoints for bookings, from the request to the departure (docs/api.md, Bookings)."""

import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from common.formats import iso
from common.handlers import error_body
from common.openapi import ERROR_EXAMPLES, EXPAND, IDEMPOTENCY_KEY, IF_MATCH_BOOKING, endpoint
from common.views import HotelViewSet, etag, if_match_versions
from hotel.idempotency import StoredResponse, run_once
from operations.actions import Question, booking_actions
from room_bookings import serializers as shapes
from room_bookings.availability import availability
from room_bookings.errors import BookingNotFound
from room_bookings.examples import (
    AVAILABILITY_EXAMPLE,
    BY_CARD,
    DETAIL_EXAMPLE,
    EXAMPLES,
    EXTENSION_EXAMPLE,
    NOT_IN_HOUSE,
    OVERLAP,
    OVERSTAY_EXAMPLE,
    PARTY_EXAMPLE,
    PAYMENTS_BUSY,
    READ_ONLY,
    ROW_EXAMPLE,
    SOLD_OUT,
    STATE,
)
from room_bookings.filters import BUCKETS, BookingQuery, bookings_in_order, bucket_counts, filtered_bookings
from room_bookings.models import RoomBooking
from room_bookings.selectors import available_rooms, booking_list, booking_of
from room_bookings.serializers import BookingDetail
from room_bookings.services.approval import approve_booking, confirm_booking, decline_booking
from room_bookings.services.cancel import cancel_booking
from room_bookings.services.check_in import check_in
from room_bookings.services.checkout import check_out
from room_bookings.services.create import create_booking
from room_bookings.services.edit import edit_booking, mark_seen, set_companions
from room_bookings.services.no_show import mark_no_show
from room_bookings.services.overstay import acknowledge_overstay, extend_stay, overstay_state
from room_bookings.services.reinstate import reinstate_booking
from room_bookings.services.room_assignment import assign_room, unassign_room
from room_bookings.services.room_move import move_room
from room_bookings.services.undo_check_in import undo_check_in
from room_bookings.services.undo_check_out import undo_check_out
from room_bookings.snapshots import booking_detail, booking_row, party
from rooms.models import RoomType
from rooms.views import ANY_BOOKINGS_RIGHT, ANY_ROOMS_RIGHT

# In the descriptions of approve and decline.
WAIT_FOR_PROVIDER = "503 `PAYMENTS_BUSY`, immediately, while too many calls to the payment provider are in progress."

# Anything else in the path is not a booking reference and is not looked up.
REFERENCE = re.compile(r"[A-Za-z0-9-]{1,24}")
GUEST_TOKEN = "guest_token"  # noqa: S105 - the name of a key


def booking_endpoint(summary: str, *, response: Any = BookingDetail, example: Any = DETAIL_EXAMPLE, **more: Any) -> Any:
    """``endpoint`` for one booking; the response is its detail by default."""
    examples = EXAMPLES | more.pop("error_examples", {})
    more.setdefault("versioned", response is BookingDetail)
    return endpoint(summary, response=response, example=example, error_examples=examples, **more)


# --- views ------------------------------------------------------------------------------------------------------------


class BookingViewSet(HotelViewSet):
    """Base of the booking views: finds a booking and returns it."""

    queryset: Any = RoomBooking.objects.none()

    def booking(self, bid: str, bookings: QuerySet[RoomBooking] | None = None) -> RoomBooking:
        """One booking of the caller's hotel, to pass to a service; from ``booking_list`` if it is to be returned."""
        found: RoomBooking | None = None
        if REFERENCE.fullmatch(bid):
            found = booking_of(self.hotel, bid) if bookings is None else bookings.filter(booking_id=bid).first()
        if found is None:
            raise BookingNotFound("There is no such booking.")
        found.hotel = self.hotel
        return found

    def shown(self, bid: str) -> RoomBooking:
        """One booking of the caller's hotel, with everything that the response needs."""
        return self.booking(bid, booking_list(self.hotel))

    def step(self, bid: str, service: Callable[..., RoomBooking], shape: Any = None) -> Response:
        """Run a booking action with a body of ``shape``, and return the updated booking."""
        booking = self.booking(bid)
        return self.answer(service(booking=booking, staff=self.staff, **(self.body(shape) if shape else {})))

    def answer(self, booking: RoomBooking) -> Response:
        """The booking that a service returned, with its version as the ``ETag``."""
        return Response(booking_detail(booking), headers={"ETag": etag(booking.version)})

    def with_actions(self, bookings: list[RoomBooking], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of these bookings, with their actions if the query asks for them."""
        if not self.expands_actions():
            return rows
        rooms = [booking.assigned_room for booking in bookings if booking.assigned_room]
        found = booking_actions(bookings, Question(self.staff, rooms))
        return [{**row, "actions": actions} for row, actions in zip(rows, found, strict=True)]

    def once(
        self, body: dict[str, Any], act: Callable[[], StoredResponse], forget: frozenset[str] = frozenset()
    ) -> StoredResponse:
        """Run ``act``, or return the stored response to the same request with the same ``Idempotency-Key``."""
        given = [self.request.method, self.request.path, json.loads(json.dumps(body, cls=DjangoJSONEncoder))]
        key = self.request.headers.get("Idempotency-Key", "").strip()
        return run_once(staff=self.staff, key=key, request=given, act=act, forget=forget)


class StaffBookingView(BookingViewSet):
    """Create, list, read and change bookings, mark them as seen, and set the companions."""

    rights: ClassVar = {
        "list": ANY_BOOKINGS_RIGHT,
        "retrieve": ANY_BOOKINGS_RIGHT,
        "party": ANY_BOOKINGS_RIGHT,
        "create": ["bookings.create"],
        "*": ["bookings.update"],
    }

    @endpoint(
        "Search, filter and sort bookings",
        response=shapes.BookingPage,
        example={
            "count": 1,
            "next": None,
            "previous": None,
            "results": [ROW_EXAMPLE],
            "bucket_counts": dict.fromkeys(BUCKETS, 0) | {"all": 1, "arrivals": 1},
        },
        parameters=[BookingQuery, EXPAND],
        description="`bucket_counts` has the number of bookings in each bucket, with the other filters applied.",
    )
    def list(self, request: Request, slug: str) -> Response:
        query = self.query(BookingQuery)
        counts = bucket_counts(self.hotel, query) if query["include_counts"] else None
        if counts is not None:
            paginator: Any = self.paginator
            paginator.known_count = counts[query["bucket"]]
        ids = self.paginate_queryset(filtered_bookings(self.hotel, query).values_list("pk", flat=True))
        bookings = bookings_in_order(ids or [])
        answer = self.get_paginated_response(self.with_actions(bookings, [booking_row(each) for each in bookings]))
        if counts is not None:
            answer.data["bucket_counts"] = counts
        return answer

    @booking_endpoint(
        "Create a booking",
        request=shapes.BookingInput,
        request_example={
            "room_type_id": 3,
            "check_in": "2026-07-01",
            "check_out": "2026-07-04",
            "primary_first_name": "Ada",
            "primary_last_name": "Lovelace",
            "primary_email": "ada@example.com",
            "adults": 2,
            "children": 0,
            "total_amount": "285.00",
            "currency": "EUR",
            "party": [{"first_name": "Charles", "last_name": "Babbage"}],
            "booker": {"type": "COMPANY", "company": "Engines Ltd", "email": "office@example.com"},
        },
        response=shapes.NewBooking,
        status=201,
        example={**DETAIL_EXAMPLE, GUEST_TOKEN: "GcYk3v…"},
        errors=[409, 422],
        error_examples={409: SOLD_OUT, 404: ERROR_EXAMPLES[404]},
        parameters=[IDEMPOTENCY_KEY],
        description="A telephone booking or a walk-in is confirmed immediately. With `payment_provider` stripe and a "
        "`payment_reference`, the booking waits for approval.",
        versioned=True,
    )
    def create(self, request: Request, slug: str) -> Response:
        body = self.body(shapes.BookingInput)

        def act() -> StoredResponse:
            booking = create_booking(hotel=self.hotel, staff=self.staff, **body)
            return StoredResponse(201, {**booking_detail(booking), GUEST_TOKEN: booking.guest_token})  # type: ignore[attr-defined]

        answer = self.once(body, act, forget=frozenset({GUEST_TOKEN}))
        return Response(answer.body, status=answer.status, headers={"ETag": etag(answer.body["version"])})

    @booking_endpoint("Get a booking", response=shapes.BookingDetailWithActions, parameters=[EXPAND], versioned=True)
    def retrieve(self, request: Request, slug: str, bid: str) -> Response:
        booking = self.shown(bid)
        [detail] = self.with_actions([booking], [booking_detail(booking)])
        return Response(detail, headers={"ETag": etag(booking.version)})

    @booking_endpoint(
        "Change a booking",
        request=shapes.BookingEditInput,
        request_example={"check_out": "2026-07-05", "adults": 2, "total_amount": "380.00", "currency": "EUR"},
        errors=[409, 412],
        error_examples={400: READ_ONLY, 409: OVERLAP},
        parameters=[IF_MATCH_BOOKING],
        description="While the guest is in house, `check_in` and `room_type_id` cannot change; a booking that is over "
        "takes only internal notes. A booking with a room can only become one of that room's type. No change "
        "recalculates the amount. Any other field of the detail is refused (400 `READ_ONLY_FIELD`), unless it is sent "
        "back unchanged.",
    )
    def partial_update(self, request: Request, slug: str, bid: str) -> Response:
        booking, versions = self.booking(bid), if_match_versions(request)
        body = self.body(shapes.BookingEditInput, partial=True)
        return self.answer(edit_booking(booking=booking, staff=self.staff, expected_versions=versions, **body))

    @booking_endpoint(
        "Mark a booking as seen",
        response=shapes.SeenOutput,
        example={
            "booking_id": "BK-2026-0005",
            "staff_seen_at": "2026-06-20T14:30:00Z",
            "staff_seen_by": {"id": 3, "name": "Aoife Kelly"},
            "is_new_for_staff": False,
        },
        description="The first viewer is recorded; later calls change nothing.",
    )
    def mark_seen(self, request: Request, slug: str, bid: str) -> Response:
        booking = mark_seen(booking=self.booking(bid), staff=self.staff)
        seen_by: Any = booking.staff_seen_by
        return Response(
            {
                "booking_id": booking.booking_id,
                "staff_seen_at": iso(booking.staff_seen_at),
                "staff_seen_by": {"id": seen_by.pk, "name": seen_by.name},
                "is_new_for_staff": False,
            }
        )

    @booking_endpoint("Get the party of a booking", response=shapes.PartyOutput, example=PARTY_EXAMPLE)
    def party(self, request: Request, slug: str, bid: str) -> Response:
        return Response(party(self.shown(bid)))

    @booking_endpoint(
        "Set the companions of the primary guest",
        request=shapes.CompanionsInput,
        request_example={"companions": [{"first_name": "Charles", "last_name": "Babbage"}]},
        response=shapes.PartyOutput,
        example=PARTY_EXAMPLE,
        errors=[409],
        description="Replaces all existing companions.",
    )
    def companions(self, request: Request, slug: str, bid: str) -> Response:
        booking = self.booking(bid)
        body = self.body(shapes.CompanionsInput)
        return Response(party(set_companions(booking=booking, staff=self.staff, **body)))


class StaffBookingApprovalView(BookingViewSet):
    """Approve, confirm or decline requests."""

    rights: ClassVar = {"decline": ["bookings.cancel"], "*": ["bookings.update"]}

    @booking_endpoint(
        "Confirm a booking without a card payment",
        errors=[409],
        error_examples={403: BY_CARD},
        description="With a card payment: 403 `STRIPE_BOOKING`, with the URLs of approve and decline.",
    )
    def confirm(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, confirm_booking)

    @booking_endpoint(
        "Approve a request and capture its card payment",
        errors=[409, 502],
        error_examples={
            409: error_body(
                "BOOKING_EXPIRED",
                "The approval deadline of booking BK-2026-0005 has passed.",
                details=STATE | {"status": "EXPIRED", "approval_deadline_at": "2026-06-20T22:00:00Z"},
            ),
            503: PAYMENTS_BUSY,
        },
        description="Idempotent: the payment is captured once. 502 and 503 change nothing. " + WAIT_FOR_PROVIDER,
    )
    def approve(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, approve_booking)

    @booking_endpoint(
        "Decline a request and void or refund its card payment",
        request=shapes.DeclineInput,
        request_example={"reason_code": "FULL", "reason_note": "We are fully booked on these nights."},
        errors=[409, 502],
        error_examples={503: PAYMENTS_BUSY},
        description="Also declines a confirmed booking whose card payment was captured. Idempotent. 502 and 503 change "
        "nothing. " + WAIT_FOR_PROVIDER,
    )
    def decline(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, decline_booking, shapes.DeclineInput)


class StaffBookingCancelView(BookingViewSet):
    """Cancellations, no-shows and reinstatements."""

    rights: ClassVar = {"reinstate": ["bookings.supervise"], "*": ["bookings.cancel"]}

    @booking_endpoint(
        "Cancel a booking",
        request=shapes.ReasonInput,
        request_example={"reason": "flight cancelled"},
        response=shapes.CancelOutput,
        example={
            "message": "Booking BK-2026-0005 is cancelled.",
            "booking": DETAIL_EXAMPLE,
            "cancellation_reason": "flight cancelled",
        },
        errors=[409],
        error_examples={403: BY_CARD},
        description="Releases the room. While the guest is in house, this ends the stay; it takes a supervisor and a "
        "reason. A booking that is already cancelled is left unchanged.",
        versioned=True,
    )
    def cancel(self, request: Request, slug: str, bid: str) -> Response:
        found = self.booking(bid)
        booking = cancel_booking(booking=found, staff=self.staff, **self.body(shapes.ReasonInput))
        return Response(
            {
                "message": f"Booking {booking.booking_id} is cancelled.",
                "booking": booking_detail(booking),
                "cancellation_reason": booking.cancellation_reason,
            },
            headers={"ETag": etag(booking.version)},
        )

    @booking_endpoint(
        "Mark a booking as a no-show",
        request=shapes.ReasonInput,
        request_example={"reason": "no answer on the telephone"},
        errors=[409],
        error_examples={
            409: error_body(
                "ARRIVAL_NOT_OVER",
                "The guest of booking BK-2026-0005 may still arrive: 2026-07-01 is not over.",
                details=STATE | {"status": "CONFIRMED", "check_in": "2026-07-01"},
            )
        },
        description="Possible from the business day after the arrival date. Releases the room.",
    )
    def no_show(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, mark_no_show, shapes.ReasonInput)

    @booking_endpoint(
        "Reinstate a cancelled or no-show booking",
        request=shapes.RequiredReasonInput,
        request_example={"reason": "cancelled the wrong one"},
        errors=[409],
        error_examples={409: SOLD_OUT},
        description="The booking is confirmed again, without a room.",
    )
    def reinstate(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, reinstate_booking, shapes.RequiredReasonInput)


class StaffBookingRoomView(BookingViewSet):
    """Room assignments and room moves."""

    rights: ClassVar = {"available_rooms": ANY_BOOKINGS_RIGHT, "*": ["bookings.assign_room"]}

    @booking_endpoint(
        "List the rooms that a booking could have instead of its own",
        response=shapes.AvailableRoomsOutput,
        example={
            "available_rooms": [
                {
                    "id": 18,
                    "room_number": 102,
                    "room_type": "Standard",
                    "room_status": "CHECKOUT_DIRTY",
                    "is_bookable": False,
                }
            ]
        },
        parameters=[shapes.AvailableRoomsQuery],
        description="Rooms that are free on its nights; none for a booking that is over.",
    )
    def available_rooms(self, request: Request, slug: str, bid: str) -> Response:
        query, booking = self.query(shapes.AvailableRoomsQuery), self.shown(bid)
        rooms = [
            {
                "id": room.pk,
                "room_number": room.room_number,
                "room_type": room.room_type.name,
                "room_status": str(room.room_status),
                "is_bookable": room.is_bookable,
            }
            for room in available_rooms(booking, upgrade=query["upgrade"])
        ]
        return Response({"available_rooms": rooms})

    @booking_endpoint(
        "Assign a room to a booking",
        request=shapes.AssignInput,
        request_example={"room_id": 17, "assignment_notes": "quiet side"},
        errors=[409],
        error_examples={409: OVERLAP},
        description="The room may still be occupied or dirty; it must be ready at check-in. With `upgrade` it may be "
        "of another type, whose nights must be available: what was booked stays what is charged.",
    )
    def safe_assign_room(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, assign_room, shapes.AssignInput)

    @booking_endpoint("Unassign the room of a booking", request=shapes.UnassignInput, request_example={}, errors=[409])
    def unassign_room(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, unassign_room, shapes.UnassignInput)

    @booking_endpoint(
        "Move an in-house guest to another room",
        request=shapes.MoveInput,
        request_example={"to_room_id": 18, "reason": "air conditioning broken", "notes": ""},
        errors=[409],
        error_examples={409: NOT_IN_HOUSE},
        description="The old room becomes dirty, the new one occupied. A room of another type counts as an upgrade.",
    )
    def move_room(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, move_room, shapes.MoveInput)


class StaffBookingStayView(BookingViewSet):
    """Check-in and check-out, and undoing them."""

    rights: ClassVar = {
        "check_in": ["bookings.checkin"],
        "undo_check_in": ["bookings.supervise"],
        "check_out": ["bookings.checkout"],
        "undo_check_out": ["bookings.checkout", "bookings.supervise"],
    }

    @booking_endpoint(
        "Check a guest in",
        request=shapes.CheckInInput,
        request_example={"room_id": 17},
        errors=[409],
        error_examples={
            409: error_body(
                "ROOM_NOT_READY",
                "Room not ready: room 101 is checkout dirty.",
                details={"room_id": 17, "room_number": 101, "current_status": "CHECKOUT_DIRTY"},
            )
        },
        description="Into the assigned room, or into `room_id`. A guest who is already in house is left unchanged.",
    )
    def check_in(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, check_in, shapes.CheckInInput)

    @booking_endpoint(
        "Undo today's check-in",
        request=shapes.RequiredReasonInput,
        request_example={"reason": "wrong guest"},
        errors=[409],
        error_examples={409: NOT_IN_HOUSE},
        description="The booking is confirmed again; the room stays assigned and becomes dirty.",
    )
    def undo_check_in(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, undo_check_in, shapes.RequiredReasonInput)

    @booking_endpoint(
        "Check a guest out",
        errors=[409],
        error_examples={409: NOT_IN_HOUSE},
        description="The room becomes dirty; a maintenance flag stays. A guest who has already left is left unchanged.",
    )
    def check_out(self, request: Request, slug: str, bid: str) -> Response:
        return self.step(bid, check_out)

    @booking_endpoint(
        "Undo today's check-out",
        request=shapes.UndoCheckOutInput,
        request_example={"reason": "checked out the wrong room"},
        errors=[409, 412, 422],
        error_examples={
            409: {
                **error_body("ROOM_OCCUPIED", "Room occupied: room 101 has a guest in house.", details={}),
                "suggested_rooms": [{"room_id": 18, "room_number": 102, "room_type": "Standard"}],
            }
        },
        error_shapes={409: shapes.UndoCheckOutRefused},
        parameters=[IDEMPOTENCY_KEY, IF_MATCH_BOOKING],
        description="The guest is in house again, in the same room, which may be dirty, or in `room_id`. For "
        "supervisors with a `reason`; for 15 minutes also for whoever checked the guest out. Tasks for the guest and "
        "their overstay are open again.",
    )
    def undo_check_out(self, request: Request, slug: str, bid: str) -> Response:
        found, versions = self.booking(bid), if_match_versions(request)
        body = self.body(shapes.UndoCheckOutInput)

        def act() -> StoredResponse:
            booking = undo_check_out(booking=found, staff=self.staff, expected_versions=versions, **body)
            return StoredResponse(200, booking_detail(booking))

        answer = self.once(body, act)
        return Response(answer.body, status=answer.status, headers={"ETag": etag(answer.body["version"])})


class StaffBookingOverstayView(BookingViewSet):
    """Overstays and extensions."""

    rights: ClassVar = {
        "overstay_status": ANY_BOOKINGS_RIGHT,
        "acknowledge": ["bookings.resolve_overstay"],
        "extend": ["bookings.extend"],
    }

    @booking_endpoint("Get the overstay status", response=shapes.OverstayOutput, example=OVERSTAY_EXAMPLE)
    def overstay_status(self, request: Request, slug: str, bid: str) -> Response:
        return Response(overstay_state(self.shown(bid)))

    @booking_endpoint(
        "Acknowledge or dismiss an overstay",
        request=shapes.AcknowledgeInput,
        request_example={"note": "the taxi is late", "dismiss": False},
        response=shapes.AcknowledgeOutput,
        example={**OVERSTAY_EXAMPLE, "booking_id": "BK-2026-0005"},
        errors=[409],
        error_examples={409: NOT_IN_HOUSE},
    )
    def acknowledge(self, request: Request, slug: str, bid: str) -> Response:
        found = self.booking(bid)
        booking = acknowledge_overstay(booking=found, staff=self.staff, **self.body(shapes.AcknowledgeInput))
        return Response({**overstay_state(booking), "booking_id": booking.booking_id})

    @booking_endpoint(
        "Add nights to a stay",
        request=shapes.ExtendInput,
        request_example={"add_nights": 2},
        response=shapes.ExtendOutput,
        example={
            "message": "The stay of booking BK-2026-0005 now ends on 2026-07-06.",
            "booking": DETAIL_EXAMPLE,
            "is_overstay": False,
            "incident_state": "ACTIVE",
            "overstay": {
                **OVERSTAY_EXAMPLE["overstay"],  # type: ignore[dict-item]  # a dict
                "status": "RESOLVED",
                "extensions": [EXTENSION_EXAMPLE],
            },
        },
        errors=[409, 422],
        error_examples={
            409: {
                **error_body(
                    "ROOM_OVERLAP_CONFLICT", "Room 101 is assigned to BK-2026-0009 from 2026-07-05.", details={}
                ),
                "conflicts": OVERLAP["details"]["conflicts"],
                "suggested_rooms": [{"room_id": 18, "room_number": 102, "room_type": "Standard"}],
            }
        },
        error_shapes={409: shapes.ExtendRefused},
        parameters=[IDEMPOTENCY_KEY],
        description="Counted from `check_out`, overdue or not. Returns the booking with its overstay.",
        versioned=True,
    )
    def extend(self, request: Request, slug: str, bid: str) -> Response:
        found = self.booking(bid)
        body = self.body(shapes.ExtendInput)

        def act() -> StoredResponse:
            booking = extend_stay(booking=found, staff=self.staff, **body)
            message = f"The stay of booking {booking.booking_id} now ends on {booking.check_out}."
            return StoredResponse(
                200, {"message": message, "booking": booking_detail(booking), **overstay_state(booking)}
            )

        answer = self.once(body, act)
        return Response(answer.body, status=answer.status, headers={"ETag": etag(answer.body["booking"]["version"])})


class StaffAvailabilityView(HotelViewSet):
    """How many rooms are left to sell."""

    queryset: Any = RoomType.objects.none()
    rights: ClassVar = {"*": (*ANY_BOOKINGS_RIGHT, *ANY_ROOMS_RIGHT)}

    @endpoint(
        "Count the rooms that are blocked, sold and free, for each type and night",
        response=shapes.AvailabilityOutput,
        example=AVAILABILITY_EXAMPLE,
        parameters=[shapes.AvailabilityQuery],
        description="By the computation that refuses a night with `NO_AVAILABILITY`. For each night, `free` less "
        "`overbooked` is `rooms` less the rooms that are out of order or in house use, and those that are sold.",
    )
    def availability(self, request: Request, slug: str) -> Response:
        query = self.query(shapes.AvailabilityQuery)
        return Response(availability(self.hotel, query["from"], query["to"], query.get("room_type")))
