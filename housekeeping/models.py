"""The audit log of room statuses, and housekeeping tasks."""

from datetime import datetime, timedelta
from typing import Any

import pgtrigger
from django.db import models
from django.db.models import F, Q

from common import clock
from common.fields import LinesField
from common.triggers import NeverChanged, ReportedInDryRun, Rule, SameHotel, refusal_sql
from hotel.models import Hotel, Staff
from hotel.rights import permissions
from room_bookings.models import RoomBooking
from rooms.models import NEW_ROOM_STATUSES, Priority, Room, RoomStatus


class Source(models.TextChoices):
    """Where a status change came from (docs/api.md, Room status)."""

    HOUSEKEEPING = "HOUSEKEEPING", "Housekeeping"
    FRONT_DESK = "FRONT_DESK", "Front desk"
    SYSTEM = "SYSTEM", "System"
    MANAGER_OVERRIDE = "MANAGER_OVERRIDE", "Manager override"


class AuditChained(Rule):
    """At commit, an audit row matches an actual change and starts at the status where the previous row ended."""

    when = pgtrigger.After
    timing = pgtrigger.Deferred
    operation = pgtrigger.Insert
    declare = [("room", "RECORD")]

    def get_func(self, model: Any) -> str:
        new_room = ", ".join(f"'{status}'" for status in NEW_ROOM_STATUSES)
        return f"""
            SELECT * INTO room FROM rooms_room WHERE id = NEW.room_id;
            IF room.hotel_id <> NEW.hotel_id THEN
                {refusal_sql(self.name, "an audit row belongs to its room''s hotel")}
            END IF;
            IF NEW.version > room.status_version
               OR (NEW.version = room.status_version AND NEW.to_status <> room.room_status) THEN
                {refusal_sql(self.name, "an audit row tells of a change that was made")}
            END IF;
            IF NEW.version = 1 AND NEW.from_status NOT IN ({new_room}) OR NEW.version > 1 AND NOT EXISTS (
                SELECT 1 FROM housekeeping_roomstatusevent earlier
                WHERE earlier.room_id = NEW.room_id AND earlier.version = NEW.version - 1
                  AND earlier.to_status = NEW.from_status
            ) THEN
                {refusal_sql(self.name, "an audit row starts where the one before it ended")}
            END IF;
            RETURN NULL;
        """  # noqa: S608 - names and statuses of our own


class RoomStatusEvent(models.Model):
    """One change of a room's status: what, who, when, why. Append-only: never updated, never deleted."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="+", db_index=False)
    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="status_events", db_index=False)
    version = models.PositiveIntegerField(help_text="1, 2, 3 … within the room.")
    from_status = models.CharField(max_length=24, choices=RoomStatus)
    to_status = models.CharField(max_length=24, choices=RoomStatus)
    changed_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    source = models.CharField(max_length=16, choices=Source)
    note = LinesField(blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-pk"]
        permissions = permissions("housekeeping")
        constraints = [
            # Its index also serves a room's history.
            models.UniqueConstraint(fields=["room", "version"], name="room_status_event_version_unique"),
            models.CheckConstraint(condition=Q(version__gte=1), name="room_status_event_version_from_1"),
            models.CheckConstraint(
                condition=Q(from_status__in=RoomStatus.values, to_status__in=RoomStatus.values),
                name="room_status_event_status_known",
            ),
            models.CheckConstraint(condition=~Q(from_status=F("to_status")), name="room_status_event_is_a_change"),
            models.CheckConstraint(condition=Q(source__in=Source.values), name="room_status_event_source_known"),
            models.CheckConstraint(
                condition=Q(changed_by__isnull=False) | Q(source=Source.SYSTEM),
                name="room_status_event_names_who",
            ),
            models.CheckConstraint(
                condition=~Q(source=Source.MANAGER_OVERRIDE) | ~Q(note=""),
                name="room_status_event_override_has_note",
            ),
        ]
        indexes = [models.Index(fields=["hotel", "created_at"], name="room_status_event_by_time")]
        triggers = [
            AuditChained(name="audit_row_chained"),
            NeverChanged(name="audit_row_never_changed"),
            SameHotel(name="audit_row_one_hotel", links={"changed_by": "hotel_staff"}),
        ]

    def __str__(self) -> str:
        return f"{self.room}: {self.get_from_status_display()} → {self.get_to_status_display()}"


class TaskType(models.TextChoices):
    TURNOVER = "TURNOVER", "Turnover"
    STAYOVER = "STAYOVER", "Stayover"
    INSPECTION = "INSPECTION", "Inspection"
    DEEP_CLEAN = "DEEP_CLEAN", "Deep clean"
    AMENITY = "AMENITY", "Amenity"


class TaskStatus(models.TextChoices):
    OPEN = "OPEN", "Open"
    IN_PROGRESS = "IN_PROGRESS", "In progress"
    DONE = "DONE", "Done"
    CANCELLED = "CANCELLED", "Cancelled"


OPEN_TASK_STATUSES = (TaskStatus.OPEN, TaskStatus.IN_PROGRESS)
# The statuses in which a room's turnover is finished.
TURNED_OVER = (RoomStatus.CLEANED_UNINSPECTED, RoomStatus.READY_FOR_GUEST)
# A task that stays open longer than this is overdue.
TASK_DUE = {
    Priority.HIGH: timedelta(hours=2),
    Priority.MED: timedelta(hours=4),
    Priority.LOW: timedelta(hours=8),
}


class StayoverDay(models.Model):
    """The last day whose stayover tasks were opened in a hotel, so that nobody looks for more until the next morning.

    Written by ``housekeeping.task_services.open_stayover_tasks``.
    """

    hotel = models.OneToOneField(Hotel, on_delete=models.PROTECT, primary_key=True, related_name="+")
    day = models.DateField()

    def __str__(self) -> str:
        return f"{self.hotel}: {self.day}"


class HousekeepingTask(models.Model):
    """A piece of work in a room: OPEN → IN_PROGRESS → DONE, or CANCELLED."""

    hotel = models.ForeignKey(Hotel, on_delete=models.PROTECT, related_name="housekeeping_tasks", db_index=False)
    room = models.ForeignKey(Room, on_delete=models.PROTECT, related_name="housekeeping_tasks")
    booking = models.ForeignKey(RoomBooking, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    task_type = models.CharField(max_length=12, choices=TaskType)
    status = models.CharField(max_length=12, choices=TaskStatus, default=TaskStatus.OPEN)
    priority = models.CharField(max_length=4, choices=Priority, default=Priority.MED)
    note = LinesField(blank=True)
    assigned_to = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="tasks")
    created_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    for_date = models.DateField(null=True, blank=True, help_text="The day of a task that each morning opens once.")

    class Meta:
        verbose_name = "housekeeping task"
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(task_type__in=TaskType.values), name="task_type_known"),
            models.CheckConstraint(condition=Q(priority__in=Priority.values), name="task_priority_known"),
            models.CheckConstraint(
                condition=Q(status="OPEN", started_at=None, completed_at=None, cancelled_at=None)
                | Q(status="IN_PROGRESS", started_at__isnull=False, completed_at=None, cancelled_at=None)
                | Q(status="DONE", started_at__isnull=False, completed_at__isnull=False, cancelled_at=None)
                | Q(status="CANCELLED", completed_at=None, cancelled_at__isnull=False),
                name="task_status_agrees_with_times",
            ),
            models.UniqueConstraint(
                fields=["room", "task_type", "for_date"],
                condition=Q(for_date__isnull=False),
                name="task_once_a_day",
            ),
            # One stayover task a day for each stay, even if the guest moves to another room.
            models.UniqueConstraint(
                fields=["booking", "task_type", "for_date"],
                condition=Q(for_date__isnull=False, status__in=OPEN_TASK_STATUSES),
                name="task_once_a_stay_and_day",
            ),
        ]
        indexes = [
            models.Index(fields=["hotel", "-created_at", "-id"], name="task_by_hotel"),
            models.Index(fields=["hotel", "status"], name="task_open", condition=Q(status__in=OPEN_TASK_STATUSES)),
            models.Index(
                fields=["room", "task_type"], name="task_open_in_room", condition=Q(status__in=OPEN_TASK_STATUSES)
            ),
        ]
        triggers = [
            SameHotel(
                name="task_one_hotel",
                links={
                    "room": "rooms_room",
                    "booking": "room_bookings_roombooking",
                    "assigned_to": "hotel_staff",
                    "created_by": "hotel_staff",
                },
            ),
            ReportedInDryRun(name="task_in_dry_run"),
        ]

    def __str__(self) -> str:
        return f"{self.get_task_type_display()} of {self.room}"

    def is_overdue_at(self, moment: datetime) -> bool:
        """Whether the task is still open and past its due time (HIGH 2 h, MED 4 h, LOW 8 h after it was opened)."""
        return self.status in OPEN_TASK_STATUSES and moment > self.created_at + TASK_DUE[Priority(self.priority)]
