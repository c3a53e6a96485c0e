"""Endpoints for room status changes, status history, the housekeeping dashboard and tasks."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from common import clock
from common.handlers import error_body
from common.openapi import EXPAND, IF_MATCH, endpoint
from common.views import HotelViewSet, etag, if_match_versions
from hotel.models import Hotel
from housekeeping import services, task_services
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask, Source
from housekeeping.policy import OVERRIDE, default_source
from housekeeping.selectors import status_event_list, task_list
from housekeeping.serializers import (
    STATUS_EVENT_EXAMPLE,
    TASK_EXAMPLE,
    DashboardOutput,
    HistoryOutput,
    HistoryQuery,
    OverrideInput,
    RoomStatusInput,
    StatusChangeOutput,
    TaskAssignInput,
    TaskInput,
    TaskOutput,
    TaskQuery,
)
from housekeeping.snapshots import status_event_snapshot, task_snapshot
from room_bookings.services.room_removal import force_room_status
from rooms.models import Room
from rooms.serializers import ROOM_EXAMPLE, NeededBody
from rooms.views import RoomViewSet, stream

CHANGE_EXAMPLE = {
    "message": "Room 101 is now cleaned uninspected.",
    "room": ROOM_EXAMPLE,
    "status_event": STATUS_EVENT_EXAMPLE,
}


class RoomStatusViewSet(RoomViewSet):
    """Change or override a room's status, read its history; the housekeeping dashboard."""

    rights: ClassVar = {
        # update_status: the required right depends on the change, so the service checks it on the locked row
        "manager_override": [OVERRIDE],
        "status_history": ["housekeeping.status_history_read"],
        "dashboard": ["housekeeping.dashboard_read"],
    }

    def refusal_message(self) -> str:
        if self.action == "manager_override":
            return "Permission denied: Manager privileges are needed to override a room status."
        return super().refusal_message()

    def _room(self, pk: int) -> Room:
        """An unread room of the caller's hotel: the service reads it under its lock and raises RoomNotFound if the
        hotel has no such room."""
        return Room(pk=pk, hotel=self.hotel)

    @endpoint(
        "Change a room's status",
        request=RoomStatusInput,
        request_example={
            "to_status": "CLEANED_UNINSPECTED",
            "note": "extra towels",
            "expected_status": "CLEANING_IN_PROGRESS",
        },
        response=StatusChangeOutput,
        example=CHANGE_EXAMPLE,
        errors=[404, 409, 412],
        error_shapes={409: NeededBody},
        parameters=[IF_MATCH],
        description="Checked in this order: `expected_status` or `If-Match`, the caller's rights, the same status "
        "(200, nothing written), the workflow map, the physical facts; for out of order also whether bookings need the "
        "room (409 `ROOM_NEEDED` with `conflicts`).",
        versioned=True,
    )
    def update_status(self, request: Request, slug: str, rid: int) -> Response:
        body = self.body(RoomStatusInput)
        room = self._set_status(body["force"])(
            room=self._room(rid),
            to_status=body["to_status"],
            staff=self.staff,
            source=body.get("source") or default_source(self.staff),
            note=body["note"],
            expected_status=body.get("expected_status"),
            expected_versions=if_match_versions(request),
        )
        return self._changed(room)

    @endpoint(
        "Override a room's status",
        request=OverrideInput,
        request_example={"to_status": "READY_FOR_GUEST", "note": "checked it myself, guest is waiting"},
        response=StatusChangeOutput,
        example=CHANGE_EXAMPLE,
        errors=[404, 409, 412],
        error_shapes={409: NeededBody},
        parameters=[IF_MATCH],
        description="Bypasses the workflow map, never the physical facts.",
        versioned=True,
    )
    def manager_override(self, request: Request, slug: str, rid: int) -> Response:
        body = self.body(OverrideInput)
        room = self._set_status(body["force"])(
            room=self._room(rid),
            to_status=body["to_status"],
            staff=self.staff,
            source=Source.MANAGER_OVERRIDE,
            note=body["note"],
            expected_versions=if_match_versions(request),
        )
        return self._changed(room)

    @staticmethod
    def _set_status(force: bool) -> Callable[..., Room]:
        return force_room_status if force else services.set_room_status

    def _changed(self, room: Any) -> Response:
        return Response(self.status_answer(room), headers={"ETag": etag(room.status_version)})

    @endpoint(
        "A room's history, newest first",
        response=HistoryOutput,
        example={
            "room": {"id": 17, "room_number": 101, "current_status": "CLEANED_UNINSPECTED"},
            "status_history": [STATUS_EVENT_EXAMPLE],
            "total_events": 5,
            "next_before": 4711,
        },
        errors=[404],
        parameters=[HistoryQuery],
    )
    def status_history(self, request: Request, slug: str, rid: int) -> Response:
        query = self.query(HistoryQuery)
        room = self.room(pk=rid)
        filters = Q()
        if "source" in query:
            filters &= Q(source=query["source"])
        if "from" in query:
            filters &= Q(created_at__gte=_midnight(self.hotel, query["from"]))
        if "to" in query:
            filters &= Q(created_at__lt=_midnight(self.hotel, query["to"], days=1))
        events = status_event_list(room).filter(filters)
        # Every change writes one row, so the version is the number of rows.
        total = events.count() if filters else room.status_version
        if "before" in query:
            events = events.filter(pk__lt=query["before"])
        page = list(events[: query["limit"] + 1])
        more, page = len(page) > query["limit"], page[: query["limit"]]
        return Response(
            {
                "room": {"id": room.pk, "room_number": room.room_number, "current_status": room.room_status},
                "status_history": [status_event_snapshot(event, room) for event in page],
                "total_events": total,
                "next_before": page[-1].pk if more else None,
            }
        )

    @endpoint(
        "Rooms in service by status, and open tasks",
        parameters=[EXPAND],
        response=DashboardOutput,
        example={
            "counts": {"CLEANED_UNINSPECTED": 1},
            "rooms_by_status": {"CLEANED_UNINSPECTED": [ROOM_EXAMPLE]},
            "my_open_tasks": [TASK_EXAMPLE],
            "open_tasks": [TASK_EXAMPLE],
            "total_rooms": 1,
        },
    )
    def dashboard(self, request: Request, slug: str) -> HttpResponseBase:
        now = clock.now()
        open_tasks = [task_snapshot(t, now) for t in task_list(self.hotel).filter(status__in=OPEN_TASK_STATUSES)]
        tasks = {
            "my_open_tasks": [task for task in open_tasks if task["assigned_to"] == self.staff.pk],
            "open_tasks": open_tasks,
        }
        if self.expands_actions():
            expanded, passed = self.actions_by_status()
            return stream(
                {"rooms_by_status": expanded, "counts": lambda: passed, "total_rooms": lambda: passed.total(), **tasks}
            )
        columns = self.by_status()
        counts = {status: len(rooms) for status, rooms in columns.items()}
        return Response({"counts": counts, "rooms_by_status": columns, **tasks, "total_rooms": sum(counts.values())})


def _midnight(hotel: Hotel, day: Any, days: int = 0) -> datetime:
    """The start of ``day`` (plus ``days``) in the hotel's local time."""
    try:
        return datetime.combine(day + timedelta(days=days), time.min, ZoneInfo(hotel.timezone))
    except OverflowError:
        return datetime.max.replace(tzinfo=ZoneInfo("UTC"))


class TaskViewSet(HotelViewSet):
    """Housekeeping tasks."""

    queryset = HousekeepingTask.objects.none()
    rights: ClassVar = {
        "list": ["housekeeping.task_read"],
        "retrieve": ["housekeeping.task_read"],
        "create": ["housekeeping.task_create"],
        "partial_update": ["housekeeping.task_update"],
        "update": ["housekeeping.task_update"],
        "destroy": ["housekeeping.task_cancel"],
        "assign": ["housekeeping.task_assign"],
        "start": ["housekeeping.task_execute"],
        "complete": ["housekeeping.task_execute"],
        "cancel": ["housekeeping.task_cancel"],
    }

    def task(self, pk: int) -> HousekeepingTask:
        """One task of the caller's hotel."""
        return self.find(task_list(self.hotel), task_services.TaskNotFound, "This hotel has no such task.", pk=pk)

    def _task_response(self, task: HousekeepingTask, status: int = 200) -> Response:
        return Response(task_snapshot(self.task(task.pk), clock.now()), status=status)

    @endpoint("Tasks, newest first", response=TaskOutput(many=True), example=TASK_EXAMPLE, parameters=[TaskQuery])
    def list(self, request: Request, slug: str) -> Response:
        filters: dict[str, Any] = self.query(TaskQuery)
        if filters.get("assigned_to") == "me":
            filters["assigned_to"] = self.staff.pk
        page = self.paginate_queryset(task_list(self.hotel).filter(**filters))
        now = clock.now()
        return self.get_paginated_response([task_snapshot(task, now) for task in page or []])

    @endpoint(
        "Open a task",
        request=TaskInput,
        request_example={"room": 17, "task_type": "TURNOVER", "priority": "MED"},
        response=TaskOutput,
        status=201,
        example=TASK_EXAMPLE,
        errors=[409],
        error_examples={
            409: error_body(
                "BOOKING_IS_OVER",
                "Booking BK-2026-0005 is cancelled: there is nothing left to do for its guest.",
                details={"booking_id": "BK-2026-0005", "status": "CANCELLED"},
            )
        },
    )
    def create(self, request: Request, slug: str) -> Response:
        return self._task_response(
            task_services.create_task(hotel=self.hotel, staff=self.staff, **self.body(TaskInput)), status=201
        )

    @endpoint("One task", response=TaskOutput, example=TASK_EXAMPLE, errors=[404])
    def retrieve(self, request: Request, slug: str, pk: int) -> Response:
        return Response(task_snapshot(self.task(pk), clock.now()))

    @endpoint(
        "Change fields of an open task",
        request=TaskInput,
        request_example={"priority": "HIGH"},
        response=TaskOutput,
        example=TASK_EXAMPLE,
        errors=[404, 409],
    )
    def partial_update(self, request: Request, slug: str, pk: int) -> Response:
        body = self.body(TaskInput, partial=True)
        return self._task_response(task_services.update_task(task=self.task(pk), **body))

    @endpoint(
        "Replace an open task",
        request=TaskInput,
        request_example={"room": 17, "task_type": "TURNOVER", "priority": "HIGH", "note": "", "assigned_to": None},
        response=TaskOutput,
        example=TASK_EXAMPLE,
        errors=[404, 409],
    )
    def update(self, request: Request, slug: str, pk: int) -> Response:
        return self._task_response(task_services.update_task(task=self.task(pk), **self.body(TaskInput)))

    @endpoint("Delete a task that was never started", response=None, status=204, errors=[404, 409])
    def destroy(self, request: Request, slug: str, pk: int) -> Response:
        task_services.delete_task(task=self.task(pk))
        return Response(status=204)

    @endpoint(
        "Assign a task",
        request=TaskAssignInput,
        request_example={"assigned_to_id": 3, "note": "please before noon"},
        response=TaskOutput,
        example=TASK_EXAMPLE,
        errors=[404, 409],
    )
    def assign(self, request: Request, slug: str, pk: int) -> Response:
        return self._task_response(task_services.assign_task(task=self.task(pk), **self.body(TaskAssignInput)))

    @endpoint("Start a task", response=TaskOutput, example=TASK_EXAMPLE, errors=[404, 409])
    def start(self, request: Request, slug: str, pk: int) -> Response:
        return self._task_response(task_services.start_task(task=self.task(pk), staff=self.staff))

    @endpoint("Complete a task", response=TaskOutput, example=TASK_EXAMPLE, errors=[404, 409])
    def complete(self, request: Request, slug: str, pk: int) -> Response:
        return self._task_response(task_services.complete_task(task=self.task(pk), staff=self.staff))

    @endpoint("Cancel a task", response=TaskOutput, example=TASK_EXAMPLE, errors=[404, 409])
    def cancel(self, request: Request, slug: str, pk: int) -> Response:
        return self._task_response(task_services.cancel_task(task=self.task(pk)))
