"""Endpoints of the turnover board and its actions, and of the inventory: rooms and room types."""

import functools
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import inline_serializer
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import NotAllowed
from common.handlers import error_body
from common.openapi import EXPAND, endpoint
from common.renderers import JsonList, streamed
from common.room_numbers import RoomNumber
from common.views import HotelViewSet, etag
from hotel.rights import ACTIONS
from housekeeping import turnover
from housekeeping.serializers import STATUS_EVENT_EXAMPLE, TurnoverOutput
from housekeeping.snapshots import status_event_snapshot
from housekeeping.statistics import turnover_stats
from operations.actions import Question, RoomAnswers, with_answers
from room_bookings.serializers import (
    RoomsCheckInOutput,
    RoomsCheckInRefused,
    RoomsCheckOutInput,
    RoomsCheckOutOutput,
    RoomsCheckOutRefused,
    RoomsInput,
)
from room_bookings.services.bulk import BulkResult, NothingDone
from room_bookings.services.check_in import check_in_rooms
from room_bookings.services.checkout import check_out_rooms
from room_bookings.services.room_removal import force_room_update
from rooms import services
from rooms.errors import RoomNotFound
from rooms.models import Room, RoomStatus, RoomType
from rooms.rows import AT_ONCE, rooms_in_service
from rooms.selectors import room_list
from rooms.serializers import (
    ROOM_EXAMPLE,
    BulkCreateInput,
    BulkCreateOutput,
    InspectionInput,
    MaintenanceInput,
    NeededBody,
    NotesInput,
    RoomChangeInput,
    RoomInput,
    RoomOutput,
    RoomTypeInput,
    RoomTypeOutput,
    RoomWithActions,
    StatusColumn,
    TurnoverStats,
)
from rooms.snapshots import room_snapshot, type_snapshot

ANY_ROOMS_RIGHT = tuple(f"rooms.{action}" for action in ACTIONS["rooms"])
ANY_BOOKINGS_RIGHT = tuple(f"bookings.{action}" for action in ACTIONS["bookings"])

TURNOVER_EXAMPLE = {
    "message": "Room 101 is now cleaned uninspected.",
    "old_status": "CLEANING_IN_PROGRESS",
    "new_status": "CLEANED_UNINSPECTED",
    "room": ROOM_EXAMPLE,
    "status_event": STATUS_EVENT_EXAMPLE,
}
FAILED_EXAMPLE = {"room_id": 18, "code": "NOBODY_IN_HOUSE", "message": "Room 102 has no guest in house."}
NO_ARRIVAL_EXAMPLE = {"room_id": 18, "code": "NO_ARRIVAL_DUE", "message": "No arrival due today has room 102."}
CHECK_IN_RESULTS = {"checked_in_bookings": ["BK-2026-0005"], "failed": [NO_ARRIVAL_EXAMPLE]}
NOBODY_CHECKED_IN = {**CHECK_IN_RESULTS, "checked_in_bookings": []}
CHECK_OUT_RESULTS = {
    "checked_out_bookings": ["BK-2026-0005"],
    "rooms_cleared": [101],
    "failed": [FAILED_EXAMPLE],
    "destructive_mode": False,
}
NOBODY_CHECKED_OUT = {**CHECK_OUT_RESULTS, "checked_out_bookings": [], "rooms_cleared": []}
CONFLICTS_EXAMPLE = [
    {"booking_id": "BK-2026-0009", "room_number": 101, "start_date": "2026-07-05", "end_date": "2026-07-08"}
]
ROOM_NEEDED_EXAMPLE = error_body(
    "ROOM_NEEDED",
    "Room 101 is needed: it is assigned to BK-2026-0009 from 2026-07-05.",
    details={
        "room_id": 17,
        "room_number": 101,
        "conflicts": CONFLICTS_EXAMPLE,
    },
) | {"conflicts": CONFLICTS_EXAMPLE}
ROOM_TYPE_EXAMPLE = {
    "id": 3,
    "name": "Standard",
    "code": "A",
    "starting_price_from": "95.00",
    "currency": "EUR",
    "max_occupancy": 2,
    "bed_setup": "1 double",
    "short_description": "",
    "availability_message": "",
    "is_active": True,
    "credits": "1.00",
    "photo_url": None,
}


def stream(value: dict[str, Any]) -> HttpResponseBase:
    """A response whose JSON is made while it is sent (``common.renderers.streamed``)."""
    return StreamingHttpResponse(streamed(value), content_type="application/json")


class RoomViewSet(HotelViewSet):
    """Base of the room views: finds a room and shows it as the caller may see it."""

    queryset: Any = Room.objects.none()

    def room(self, rooms: QuerySet[Room] | None = None, **lookup: Any) -> Room:
        """One room of the caller's hotel, to pass to a service; pass ``room_list`` as ``rooms`` to show it."""
        found: Room = self.find(
            Room.objects.filter(hotel=self.hotel) if rooms is None else rooms,
            RoomNotFound,
            "Room not found: this hotel has no such room.",
            **lookup,
        )
        found.hotel = self.hotel
        return found

    def room_by_id(self, room: RoomNumber) -> Room:
        """The room with the id in a path that may also have a number."""
        return self.room(pk=room if isinstance(room, int) else 0)

    @property
    def sees_guests(self) -> bool:
        """Whether the caller may see guest names: staff with a bookings right."""
        return self.can_any(ANY_BOOKINGS_RIGHT)

    def show(self, room: Room) -> dict[str, Any]:
        """The room's snapshot as this caller may see it."""
        return room_snapshot(room, guests=self.sees_guests)

    def by_status(self) -> dict[str, JsonList]:
        """The rooms in service by status, as JSON; every status is present."""
        guests, of_type = self.sees_guests, functools.cache(type_snapshot)
        columns = {status: JsonList() for status in RoomStatus.values}
        for room in rooms_in_service(self.hotel):
            columns[room.room_status].append(room_snapshot(room, guests=guests, of_type=of_type))
        return columns

    def actions_by_status(self) -> tuple[dict[str, Iterator[Any]], Counter[str]]:
        """The rooms in service with their actions, by status, to be streamed in this order; and how many there are,
        counted as they pass."""
        guests, of_type, answers = self.sees_guests, functools.cache(type_snapshot), RoomAnswers(Question(self.staff))
        counts = Counter[str](dict.fromkeys(RoomStatus.values, 0))
        rooms = with_answers(room_list(self.hotel)).filter(is_active=True).order_by("room_status", "sort_key")
        coming = rooms.iterator(chunk_size=AT_ONCE)
        # The query runs here: if it fails, that is still a 503, and not a 200 that breaks off.
        waiting = deque[Room](islice(coming, 1))

        def column(status: str) -> Iterator[dict[str, Any]]:
            while room := waiting.popleft() if waiting else next(coming, None):
                if room.room_status != status:
                    waiting.append(room)
                    return
                counts[status] += 1
                yield {**room_snapshot(room, guests=guests, of_type=of_type), "actions": answers.of(room)}

        return {status: column(status) for status in sorted(RoomStatus.values)}, counts

    def status_answer(self, room: Room) -> dict[str, Any]:
        """The response to a status change; ``room`` comes from a service."""
        state = "now" if room.status_event else "already"
        label = RoomStatus(room.room_status).label.lower()
        return {
            "message": f"Room {room.room_number} is {state} {label}.",
            "room": self.show(room),
            "status_event": status_event_snapshot(room.status_event, room),
        }


class TurnoverViewSet(RoomViewSet):
    """The turnover board, housekeeping actions on one room, bulk check-in and check-out."""

    rights: ClassVar = {
        "rooms": ANY_ROOMS_RIGHT,
        "stats": ANY_ROOMS_RIGHT,
        "start_cleaning": ["rooms.status_transition"],
        "mark_cleaned": ["rooms.status_transition"],
        "inspect_room": ["rooms.inspect"],
        "mark_maintenance": ["rooms.maintenance_flag"],
        "complete_maintenance": ["rooms.maintenance_clear"],
        "checkin_rooms": ["bookings.checkin"],
        "checkout_rooms": ["rooms.checkout_bulk"],
    }

    @endpoint(
        "Rooms in service by status",
        parameters=[EXPAND],
        response=inline_serializer("TurnoverRooms", {status: StatusColumn() for status in RoomStatus.values}),
        example={
            status: {"label": label, "count": len(rooms), "rooms": rooms}
            for status, label in RoomStatus.choices
            for rooms in [[ROOM_EXAMPLE] if status == ROOM_EXAMPLE["room_status"] else []]
        },
    )
    def rooms(self, request: Request, slug: str) -> HttpResponseBase:
        if self.expands_actions():
            expanded, counts = self.actions_by_status()
            return stream(
                {
                    status: {
                        "label": RoomStatus(status).label,
                        "rooms": rooms,
                        "count": functools.partial(counts.__getitem__, status),
                    }
                    for status, rooms in expanded.items()
                }
            )
        columns = self.by_status()
        return Response(
            {
                status: {"label": RoomStatus(status).label, "count": len(rooms), "rooms": rooms}
                for status, rooms in columns.items()
            }
        )

    @endpoint(
        "Counts per status, maintenance and turn times",
        response=TurnoverStats,
        example={
            "counts": {"OCCUPIED": 120, "CHECKOUT_DIRTY": 31, "READY_FOR_GUEST": 40},
            "total_rooms": 210,
            "bookable": 40,
            "maintenance": {"LOW": 1, "MED": 3, "HIGH": 1},
            "turn_times": {
                "today": {"count": 18, "p50_minutes": 42.0, "p90_minutes": 71.5},
                "last_30_days": {"count": 903, "p50_minutes": 44.5, "p90_minutes": 80.0},
            },
            "time_in_status": [
                {
                    "room_id": 17,
                    "room_number": 101,
                    "room_status": "CLEANED_UNINSPECTED",
                    "since": "2026-07-01T09:12:45.120000Z",
                    "minutes": 12,
                }
            ],
        },
    )
    def stats(self, request: Request, slug: str) -> Response:
        return Response(turnover_stats(self.hotel))

    @endpoint(
        "Start cleaning a room",
        request=NotesInput,
        request_example={"notes": "extra towels"},
        response=TurnoverOutput,
        example=TURNOVER_EXAMPLE,
        errors=[404, 409],
    )
    def start_cleaning(self, request: Request, slug: str, rno: RoomNumber) -> Response:
        return self._turnover_action(rno, NotesInput, turnover.start_cleaning)

    @endpoint(
        "Mark a room as cleaned",
        request=NotesInput,
        request_example={"notes": "extra towels"},
        response=TurnoverOutput,
        example=TURNOVER_EXAMPLE,
        errors=[404, 409],
    )
    def mark_cleaned(self, request: Request, slug: str, rno: RoomNumber) -> Response:
        return self._turnover_action(rno, NotesInput, turnover.mark_cleaned)

    @endpoint(
        "Inspect a cleaned room",
        request=InspectionInput,
        request_example={"passed": True, "notes": "mirror polished"},
        response=TurnoverOutput,
        example=TURNOVER_EXAMPLE,
        errors=[404, 409],
        description="Passed: ready for guest, or maintenance required if a fault is open. Failed: dirty again.",
    )
    def inspect_room(self, request: Request, slug: str, rno: RoomNumber) -> Response:
        return self._turnover_action(rno, InspectionInput, turnover.inspect_room)

    @endpoint(
        "Report a fault",
        request=MaintenanceInput,
        request_example={"priority": "HIGH", "notes": "shower broken"},
        response=TurnoverOutput,
        example=TURNOVER_EXAMPLE,
        errors=[404, 409],
        description="If the room is already in maintenance, the note is added and the priority may rise.",
    )
    def mark_maintenance(self, request: Request, slug: str, rno: RoomNumber) -> Response:
        return self._turnover_action(rno, MaintenanceInput, turnover.flag_maintenance)

    @endpoint(
        "Report a fault repaired",
        request=NotesInput,
        request_example={"notes": "new shower head"},
        response=TurnoverOutput,
        example=TURNOVER_EXAMPLE,
        errors=[404, 409],
    )
    def complete_maintenance(self, request: Request, slug: str, rno: RoomNumber) -> Response:
        return self._turnover_action(rno, NotesInput, turnover.complete_maintenance)

    def _turnover_action(self, rno: RoomNumber, shape: Any, service: Callable[..., Room]) -> Response:
        body = self.body(shape)
        room = service(room=self.room(room_number=rno), staff=self.staff, note=body.pop("notes"), **body)
        answer = self.status_answer(room)
        old_status = room.status_event.from_status if room.status_event else room.room_status
        return Response({**answer, "old_status": str(old_status), "new_status": str(room.room_status)})

    @endpoint(
        "Check in the arrivals of many rooms",
        request=RoomsInput,
        request_example={"room_ids": [17, 18]},
        response=RoomsCheckInOutput,
        example={"detail": "1 booking is checked in, 1 room is refused.", "results": CHECK_IN_RESULTS},
        errors=[409],
        error_examples={409: {**error_body("NOTHING_DONE", "Nobody is checked in."), "results": NOBODY_CHECKED_IN}},
        error_shapes={409: RoomsCheckInRefused},
        description="Checks in the guest assigned to each room who is due in today or late. Each refused room is "
        "listed; 409 if nobody is checked in.",
    )
    def checkin_rooms(self, request: Request, slug: str) -> Response:
        body = self.body(RoomsInput)
        done = check_in_rooms(hotel=self.hotel, room_ids=body["room_ids"], staff=self.staff)
        results = {"checked_in_bookings": references(done), "failed": failed(done)}
        return self._bulk_response(done, "checked in", results)

    @endpoint(
        "Check out the in-house guests of many rooms",
        request=RoomsCheckOutInput,
        request_example={"room_ids": [17, 18], "destructive": False},
        response=RoomsCheckOutOutput,
        example={"detail": "1 booking is checked out, 1 room is refused.", "results": CHECK_OUT_RESULTS},
        errors=[409],
        error_examples={409: {**error_body("NOTHING_DONE", "Nobody is checked out."), "results": NOBODY_CHECKED_OUT}},
        error_shapes={409: RoomsCheckOutRefused},
        description="A room with nobody in house is not changed. Each refused room is listed; 409 if nobody is checked "
        "out.",
    )
    def checkout_rooms(self, request: Request, slug: str) -> Response:
        body = self.body(RoomsCheckOutInput)
        if body["destructive"] and not self.can_any(["rooms.checkout_destructive"]):
            raise NotAllowed(self.refusal_message())
        done = check_out_rooms(hotel=self.hotel, room_ids=body["room_ids"], staff=self.staff)
        results = {
            "checked_out_bookings": references(done),
            "rooms_cleared": [room.room_number for room in done.rooms],
            "failed": failed(done),
            "destructive_mode": body["destructive"],
        }
        return self._bulk_response(done, "checked out", results)

    def _bulk_response(self, done: BulkResult, what: str, results: dict[str, Any]) -> Response:
        if not done.bookings:
            raise NothingDone(f"Nobody is {what}.", extra={"results": results})
        parts = [f"{counted(len(done.bookings), 'booking')} {what}"]
        if done.failed:
            parts.append(f"{counted(len(done.failed), 'room')} refused")
        return Response({"detail": f"{', '.join(parts)}.", "results": results})


def references(done: BulkResult) -> list[str]:
    """The booking references that a bulk operation processed."""
    return [booking.booking_id for booking in done.bookings]


def failed(done: BulkResult) -> list[dict[str, Any]]:
    """The rooms that a bulk operation refused, with code and message."""
    return [
        {"room_id": failure.room_id, "code": failure.refusal.code, "message": failure.refusal.message}
        for failure in done.failed
    ]


def counted(number: int, noun: str) -> str:
    """``1 room is``, ``2 rooms are``."""
    return f"{number} {noun} is" if number == 1 else f"{number} {noun}s are"


class RoomManagementViewSet(RoomViewSet):
    """The inventory of rooms. Clients read a room by its number and write it by its id."""

    rights: ClassVar = {
        "list": ANY_ROOMS_RIGHT,
        "retrieve": ANY_ROOMS_RIGHT,
        "create": ["rooms.inventory_create"],
        "partial_update": ["rooms.inventory_update"],
        "destroy": ["rooms.inventory_delete"],
    }

    @endpoint("All rooms, by number", response=RoomWithActions(many=True), example=ROOM_EXAMPLE, parameters=[EXPAND])
    def list(self, request: Request, slug: str) -> Response:
        rooms, expanded = room_list(self.hotel).order_by("sort_key"), self.expands_actions()
        page = self.paginate_queryset(with_answers(rooms) if expanded else rooms) or []
        guests = self.sees_guests
        rows = [room_snapshot(room, guests=guests) for room in page]
        if expanded:
            answers = RoomAnswers(Question(self.staff))
            for row, room in zip(rows, page, strict=True):
                row["actions"] = answers.of(room)
        return self.get_paginated_response(rows)

    @endpoint(
        "One room, by its number",
        response=RoomWithActions,
        example=ROOM_EXAMPLE,
        errors=[404],
        versioned=True,
        parameters=[EXPAND],
    )
    def retrieve(self, request: Request, slug: str, room: RoomNumber) -> Response:
        rooms, expanded = room_list(self.hotel), self.expands_actions()
        found = self.room(with_answers(rooms) if expanded else rooms, room_number=room)
        more = {"actions": RoomAnswers(Question(self.staff)).of(found)} if expanded else {}
        return Response({**self.show(found), **more}, headers={"ETag": etag(found.status_version)})

    @endpoint(
        "Add a room",
        request=RoomInput,
        request_example={"room_number": 101, "room_type_id": 3, "is_active": True},
        response=RoomOutput,
        status=201,
        example=ROOM_EXAMPLE,
        errors=[409],
    )
    def create(self, request: Request, slug: str) -> Response:
        services.refuse_status(request.data)
        return Response(self.show(services.create_room(hotel=self.hotel, **self.body(RoomInput))), status=201)

    @endpoint(
        "Change a room, by its id",
        request=RoomChangeInput,
        request_example={"is_active": False},
        response=RoomOutput,
        example=ROOM_EXAMPLE,
        errors=[404, 409],
        error_examples={409: ROOM_NEEDED_EXAMPLE},
        error_shapes={409: NeededBody},
        description="`room_status` is refused here (400 `READ_ONLY_FIELD`); it has its own endpoint. A room that "
        "bookings need can't be deactivated or change type (409 `ROOM_NEEDED`), unless a supervisor sends `force`.",
    )
    def partial_update(self, request: Request, slug: str, room: RoomNumber) -> Response:
        services.refuse_status(request.data)
        body = self.body(RoomChangeInput, partial=True)
        update = force_room_update if body.pop("force", False) else services.update_room
        return Response(self.show(update(room=self.room_by_id(room), staff=self.staff, **body)))

    @endpoint(
        "Delete a room that was never used, by its id",
        response=None,
        status=204,
        errors=[404, 409],
        error_shapes={409: NeededBody},
    )
    def destroy(self, request: Request, slug: str, room: RoomNumber) -> Response:
        services.delete_room(room=self.room_by_id(room))
        return Response(status=204)


class RoomTypeViewSet(RoomViewSet):
    """The hotel's room types."""

    queryset = RoomType.objects.none()
    pagination_class = None
    rights: ClassVar = {
        "list": ANY_ROOMS_RIGHT,
        "bulk_create": ["rooms.inventory_create"],
        "*": ["rooms.type_manage"],
    }

    def room_type(self, pk: int) -> RoomType:
        """One room type of the caller's hotel."""
        return self.find(
            RoomType.objects.filter(hotel=self.hotel),
            services.RoomTypeNotFound,
            "This hotel has no such room type.",
            pk=pk,
        )

    @endpoint("All room types, as a plain list", response=RoomTypeOutput(many=True), example=ROOM_TYPE_EXAMPLE)
    def list(self, request: Request, slug: str) -> Response:
        return Response(RoomTypeOutput(RoomType.objects.filter(hotel=self.hotel).order_by("code"), many=True).data)

    @endpoint(
        "Add a room type",
        request=RoomTypeInput,
        request_example={"name": "Standard", "code": "A", "starting_price_from": "95.00", "max_occupancy": 2},
        response=RoomTypeOutput,
        status=201,
        example=ROOM_TYPE_EXAMPLE,
        errors=[409],
    )
    def create(self, request: Request, slug: str) -> Response:
        room_type = services.create_room_type(hotel=self.hotel, **self.body(RoomTypeInput))
        return Response(RoomTypeOutput(room_type).data, status=201)

    @endpoint(
        "Change a room type",
        request=RoomTypeInput,
        request_example={"starting_price_from": "105.00"},
        response=RoomTypeOutput,
        example=ROOM_TYPE_EXAMPLE,
        errors=[404, 409],
        error_shapes={409: NeededBody},
    )
    def partial_update(self, request: Request, slug: str, pk: int) -> Response:
        body = self.body(RoomTypeInput, partial=True)
        return Response(RoomTypeOutput(services.update_room_type(room_type=self.room_type(pk), **body)).data)

    @endpoint("Delete an unused room type", response=None, status=204, errors=[404, 409])
    def destroy(self, request: Request, slug: str, pk: int) -> Response:
        services.delete_room_type(room_type=self.room_type(pk))
        return Response(status=204)

    @endpoint(
        "Add many rooms of a type",
        request=BulkCreateInput,
        request_example={"ranges": [{"start": 101, "end": 120}]},
        response=BulkCreateOutput,
        status=201,
        example={
            "created_count": 1,
            "skipped_existing": [102],
            "created_rooms": [ROOM_EXAMPLE],
            "room_type": ROOM_TYPE_EXAMPLE,
        },
        errors=[404],
    )
    def bulk_create(self, request: Request, slug: str, pk: int) -> Response:
        numbers = self.body(BulkCreateInput)["numbers"]
        room_type = self.room_type(pk)
        created, skipped = services.create_rooms(room_type=room_type, numbers=numbers)
        return Response(
            {
                "created_count": len(created),
                "skipped_existing": skipped,
                "created_rooms": [self.show(room) for room in created],
                "room_type": RoomTypeOutput(room_type).data,
            },
            status=201,
        )
