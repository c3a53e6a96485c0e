"""The audit trail and the tasks in the admin: to search and to read."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from common.admin import HotelScopedAdmin
from housekeeping.models import HousekeepingTask, RoomStatusEvent


class ReadOnlyAdmin(HotelScopedAdmin):
    """Rows that only services write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(RoomStatusEvent)
class RoomStatusEventAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "hotel",
        "room",
        "version",
        "from_status",
        "to_status",
        "changed_by",
        "source",
        "note",
    ]
    list_filter = ["source", "to_status", "created_at", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel", "room", "changed_by__user"]
    search_fields = ["=room__room_number", "note", "changed_by__user__username", "changed_by__user__last_name"]
    date_hierarchy = "created_at"
    show_full_result_count = False


@admin.register(HousekeepingTask)
class HousekeepingTaskAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "hotel", "room", "task_type", "status", "priority", "assigned_to"]
    list_filter = ["status", "task_type", "priority", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel", "room", "assigned_to__user"]
    search_fields = ["=room__room_number", "note"]
