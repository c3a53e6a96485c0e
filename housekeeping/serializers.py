"""Request and response shapes of status changes, history and tasks."""

from typing import Any, NoReturn

from rest_framework import serializers

from common.errors import InvalidInput
from common.serializers import LineField, LinesField, NoteField, RoomNumberField, StrictBooleanField
from housekeeping.models import Source, TaskStatus, TaskType
from rooms.models import Priority, RoomStatus
from rooms.serializers import RoomOutput, RoomWithActions

LARGEST_ID = 2**63 - 1
HISTORY_AT_ONCE = 100

STATUS_EVENT_EXAMPLE = {
    "id": 4711,
    "hotel": 1,
    "hotel_name": "Resort Hotel",
    "room": 17,
    "room_number": 101,
    "from_status": "CLEANING_IN_PROGRESS",
    "to_status": "CLEANED_UNINSPECTED",
    "changed_by": 3,
    "changed_by_name": "Maeve Byrne",
    "source": "HOUSEKEEPING",
    "source_display": "Housekeeping",
    "note": "extra towels",
    "created_at": "2026-07-01T09:12:45.120000Z",
}
TASK_EXAMPLE = {
    "id": 12,
    "room": 17,
    "room_number": 101,
    "booking": "BK-2026-0005",
    "task_type": "TURNOVER",
    "task_type_display": "Turnover",
    "status": "OPEN",
    "status_display": "Open",
    "priority": "MED",
    "note": "",
    "assigned_to": 3,
    "assigned_to_name": "Maeve Byrne",
    "created_by": 2,
    "created_by_name": "Orla Walsh",
    "created_at": "2026-07-01T08:00:00Z",
    "started_at": None,
    "completed_at": None,
    "cancelled_at": None,
    "is_overdue": False,
}


class InvalidSource(InvalidInput):
    code = "INVALID_SOURCE"


class SourceField(serializers.ChoiceField):
    """HOUSEKEEPING or FRONT_DESK; clients can't send the internal sources."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[(s.value, s.label) for s in (Source.HOUSEKEEPING, Source.FRONT_DESK)], **kwargs)

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        message = "source must be HOUSEKEEPING or FRONT_DESK."
        raise InvalidSource(message, details={"source": [message]}, extra={"source": [message]})


class ForceField(StrictBooleanField):
    """Take a room out of order although bookings need it."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "Supervisors only: take a room out of order although bookings need it. Its arrivals are unassigned."
        super().__init__(default=False, help_text=help_text, **kwargs)


class RoomStatusInput(serializers.Serializer[Any]):
    to_status = serializers.ChoiceField(choices=RoomStatus.choices)
    note = NoteField(default="")
    source = SourceField(required=False, allow_null=True)  # type: ignore[assignment]  # the API's name, also an attribute of Field
    expected_status = serializers.ChoiceField(choices=RoomStatus.choices, required=False, allow_null=True)
    force = ForceField()


class OverrideInput(serializers.Serializer[Any]):
    to_status = serializers.ChoiceField(choices=RoomStatus.choices)
    note = LinesField(max_length=2000, help_text="The reason; not blank.")
    force = ForceField()


class StatusEventOutput(serializers.Serializer[Any]):
    """One status change; ``housekeeping.snapshots.status_event_snapshot`` builds it."""

    id = serializers.IntegerField()
    hotel = serializers.IntegerField()
    hotel_name = serializers.CharField()
    room = serializers.IntegerField()
    room_number = RoomNumberField()
    from_status = serializers.ChoiceField(choices=RoomStatus.choices)
    to_status = serializers.ChoiceField(choices=RoomStatus.choices)
    changed_by = serializers.IntegerField(allow_null=True)
    changed_by_name = serializers.CharField(allow_null=True)
    source = serializers.ChoiceField(choices=Source.choices)  # type: ignore[assignment]  # the API's name, also an attribute of Field
    source_display = serializers.CharField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()


class StatusChangeOutput(serializers.Serializer[Any]):
    message = serializers.CharField()
    room = RoomOutput()
    status_event = StatusEventOutput(allow_null=True, help_text="null if nothing changed")


class TurnoverOutput(StatusChangeOutput):
    old_status = serializers.ChoiceField(choices=RoomStatus.choices)
    new_status = serializers.ChoiceField(choices=RoomStatus.choices)


class HistoryQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, default=20, help_text="Capped at 100.")
    before = serializers.IntegerField(
        min_value=1, max_value=LARGEST_ID, required=False, help_text="`next_before` of the previous response."
    )
    source = serializers.ChoiceField(choices=Source.choices, required=False)  # type: ignore[assignment]  # the API's name, also an attribute of Field
    # A Python keyword, which can't be declared by name.
    vars()["from"] = serializers.DateField(required=False, help_text="First day, in the hotel's timezone.")
    to = serializers.DateField(required=False, help_text="Last day, in the hotel's timezone.")

    def validate_limit(self, value: int) -> int:
        return min(value, HISTORY_AT_ONCE)


class HistoryRoom(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    room_number = RoomNumberField()
    current_status = serializers.ChoiceField(choices=RoomStatus.choices)


class HistoryOutput(serializers.Serializer[Any]):
    room = HistoryRoom()
    status_history = StatusEventOutput(many=True)
    total_events = serializers.IntegerField(help_text="The room's changes that match the filters.")
    next_before = serializers.IntegerField(allow_null=True, help_text="Pass as `before` for the next page.")


class TaskOutput(serializers.Serializer[Any]):
    """A task; ``housekeeping.snapshots.task_snapshot`` builds it."""

    id = serializers.IntegerField()
    room = serializers.IntegerField()
    room_number = RoomNumberField()
    booking = serializers.CharField(allow_null=True)
    task_type = serializers.ChoiceField(choices=TaskType.choices)
    task_type_display = serializers.CharField()
    status = serializers.ChoiceField(choices=TaskStatus.choices)
    status_display = serializers.CharField()
    priority = serializers.ChoiceField(choices=Priority.choices)
    note = serializers.CharField()
    assigned_to = serializers.IntegerField(allow_null=True)
    assigned_to_name = serializers.CharField(allow_null=True)
    created_by = serializers.IntegerField(allow_null=True)
    created_by_name = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)
    cancelled_at = serializers.DateTimeField(allow_null=True)
    is_overdue = serializers.BooleanField()


class DashboardOutput(serializers.Serializer[Any]):
    counts = serializers.DictField(child=serializers.IntegerField())
    rooms_by_status = serializers.DictField(child=RoomWithActions(many=True))
    my_open_tasks = TaskOutput(many=True)
    open_tasks = TaskOutput(many=True)
    total_rooms = serializers.IntegerField()


class TaskInput(serializers.Serializer[Any]):
    room = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    booking = LineField(required=False, allow_null=True, max_length=24, help_text="Booking reference.")
    task_type = serializers.ChoiceField(choices=TaskType.choices)
    priority = serializers.ChoiceField(choices=Priority.choices, default=Priority.MED)
    note = NoteField(default="")
    assigned_to = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=LARGEST_ID)


class TaskAssignInput(serializers.Serializer[Any]):
    assigned_to_id = serializers.IntegerField(
        min_value=1, max_value=LARGEST_ID, allow_null=True, help_text="null: unassigned"
    )
    note = NoteField(default="")


class TaskQuery(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=TaskStatus.choices, required=False)
    task_type = serializers.ChoiceField(choices=TaskType.choices, required=False)
    assigned_to = serializers.RegexField(r"\A(me|[0-9]{1,18})\Z", required=False, help_text="`me` or a staff id")
    room = serializers.IntegerField(min_value=1, max_value=LARGEST_ID, required=False)
