"""Pre-flight: the actions on a room and on a booking (docs/api.md, Actions)."""

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from common.openapi import endpoint
from hotel.staff_views import BookingViewSet
from operations.actions import Question, RoomAnswers, booking_actions, with_answers
from operations.serializers import BookingActionsOutput, BookingTargets, RoomActionsOutput, RoomTargets
from rooms.models import Room, RoomType
from rooms.selectors import room_list
from rooms.views import ANY_BOOKINGS_RIGHT, ANY_ROOMS_RIGHT, RoomViewSet

ROOM_EXAMPLE = {
    "room_id": 17,
    "room_number": 101,
    "status_version": 7,
    "actions": [
        {
            "action": "set_status",
            "allowed": False,
            "has_effect": False,
            "method": "POST",
            "url": "/api/staff/hotel/grand/rooms/17/status/",
            "body": {"to_status": "CHECKOUT_DIRTY"},
            "needs": [],
            "reasons": [
                {
                    "code": "PERMISSION_DENIED",
                    "message": "Permission denied: your role may not take a room from occupied to checkout dirty.",
                    "who_can": ["hotel manager"],
                    "blocker": None,
                },
                {
                    "code": "ROOM_OCCUPIED",
                    "message": "Room occupied: room 101 has a guest in house.",
                    "who_can": [],
                    "blocker": {"type": "booking", "id": "BK-2026-0005", "label": "booking BK-2026-0005"},
                },
            ],
            "override": None,
        },
        {
            "action": "report_fault",
            "allowed": True,
            "has_effect": True,
            "method": "POST",
            "url": "/api/staff/hotel/grand/rooms/101/mark-maintenance/",
            "body": {},
            "needs": [],
            "reasons": [],
            "override": None,
        },
    ],
}
BOOKING_EXAMPLE = {
    "booking_id": "BK-2026-0005",
    "version": 3,
    "actions": [
        {
            "action": "assign_room",
            "allowed": True,
            "has_effect": True,
            "method": "POST",
            "url": "/api/staff/hotel/grand/room-bookings/BK-2026-0005/safe-assign-room/",
            "body": {},
            "needs": ["room"],
            "reasons": [],
            "override": None,
        },
        {
            "action": "check_in",
            "allowed": False,
            "has_effect": False,
            "method": "POST",
            "url": "/api/staff/hotel/grand/room-bookings/BK-2026-0005/check-in/",
            "body": {},
            "needs": [],
            "reasons": [
                {
                    "code": "CHECKIN_TOO_EARLY",
                    "message": "Check-in begins at 13:00 today.",
                    "who_can": ["front office manager", "hotel manager"],
                    "blocker": None,
                }
            ],
            "override": {"right": "bookings.supervise", "needs": "reason"},
        },
    ],
}
# The part of both descriptions that says how to read an answer.
READING = (
    "Show a button for what is `allowed` and `has_effect`; grey out what is refused, and show the reasons and the "
    "roles that may. To act, send `body`, with what the action `needs`, to `url`, and the version as `If-Match`. The "
    "answer comes from the checks of the calls themselves, but nothing is locked: the call checks again."
)


class RoomActionsViewSet(RoomViewSet):
    """What may be done with a room now."""

    rights: ClassVar = {"*": ANY_ROOMS_RIGHT}

    @endpoint(
        "What may be done with a room now, and if not, why and who may",
        response=RoomActionsOutput,
        description=f"Every action on the room. {READING}",
        example=ROOM_EXAMPLE,
        parameters=[RoomTargets],
        errors=[404],
    )
    def actions(self, request: Request, slug: str, rid: int) -> Response:
        targets = self.query(RoomTargets)
        room = self.room(with_answers(room_list(self.hotel)), pk=rid)
        answers = RoomAnswers(Question(self.staff, **targets))
        return Response(
            {
                "room_id": room.pk,
                "room_number": room.room_number,
                "status_version": room.status_version,
                "actions": answers.of(room),
            }
        )


class BookingActionsViewSet(BookingViewSet):
    """What may be done with a booking now."""

    rights: ClassVar = {"*": ANY_BOOKINGS_RIGHT}

    @endpoint(
        "What may be done with a booking now, and if not, why and who may",
        response=BookingActionsOutput,
        description=f"Every action on the booking, for the room, room type and dates of the query, if any. {READING}",
        example=BOOKING_EXAMPLE,
        parameters=[BookingTargets],
        errors=[404],
    )
    def actions(self, request: Request, slug: str, bid: str) -> Response:
        targets = self.query(BookingTargets)
        booking = self.shown(bid)
        rooms = [booking.assigned_room] if booking.assigned_room else []
        if "room_id" in targets and targets["room_id"] != booking.assigned_room_id:
            rooms += Room.objects.filter(hotel=self.hotel, pk=targets["room_id"]).select_related("room_type")
        types: list[RoomType] = []
        if "room_type_id" in targets:
            types += RoomType.objects.filter(hotel=self.hotel, pk=targets["room_type_id"])
        question = Question(self.staff, rooms, types, **targets)
        [found] = booking_actions([booking], question)
        return Response({"booking_id": booking.booking_id, "version": booking.version, "actions": found})
