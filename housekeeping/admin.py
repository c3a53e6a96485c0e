"""The audit log of room statuses and the housekeeping tasks in the admin, read-only."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask, RoomStatusEvent
from housekeeping.selectors import late_tasks


@admin.register(RoomStatusEvent)
class RoomStatusEventAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "hotel",
        "room",
        "from_status",
        "to_status",
        "changed_by",
        "source",
        "note",
    ]
    list_filter = ["source", "to_status", "created_at", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel", "room", "changed_by__user"]
    search_fields = ["=room__room_number", "note", "changed_by__user__username", "changed_by__user__last_name"]
    search_help_text = "Room number, note, or name of the staff member."
    date_hierarchy = "created_at"
    show_full_result_count = False
    fields = ["created_at", "hotel", "room", "version", "from_status", "to_status", "changed_by", "source", "note"]


class WorkFilter(admin.SimpleListFilter):
    """Filters for open and for late tasks."""

    title = "work"
    parameter_name = "work"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open or in progress"), ("late", "Late")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[HousekeepingTask]) -> QuerySet[HousekeepingTask]:
        if self.value() == "open":
            return queryset.filter(status__in=OPEN_TASK_STATUSES)
        return queryset.filter(late_tasks()) if self.value() == "late" else queryset


@admin.register(HousekeepingTask)
class HousekeepingTaskAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "hotel", "room", "task_type", "status", "priority", "assigned_to", "note"]
    list_filter = [
        WorkFilter,
        "status",
        "task_type",
        "priority",
        ("assigned_to", admin.RelatedOnlyFieldListFilter),
        ("hotel", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["hotel", "room", "assigned_to__user"]
    search_fields = ["=room__room_number", "note"]
    search_help_text = "Room number or note."
    fieldsets = [
        (None, {"fields": ["hotel", "room", "booking", "task_type", "status", "priority", "note"]}),
        ("Who", {"fields": ["assigned_to", "created_by"]}),
        ("When", {"fields": ["for_date", "created_at", "started_at", "completed_at", "cancelled_at"]}),
    ]
