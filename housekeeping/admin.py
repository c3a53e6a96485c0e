"""The audit log of room statuses, the housekeeping tasks and the blocks of rooms in the admin: all read-only, but
actions complete and cancel blocks."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import Error as DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from common.admin import ReadOnlyAdmin
from common.errors import HotelMateError
from common.forms import LinesField
from common.guards import Guard, examine
from common.room_numbers import RoomNumber
from hotel.models import Staff
from housekeeping.blocks import (
    MANAGE,
    cancel_block,
    cancellation_refusals,
    complete_block_early,
    completion_refusals,
)
from housekeeping.models import OPEN_TASK_STATUSES, HousekeepingTask, RoomStatusEvent
from housekeeping.selectors import late_tasks
from room_bookings.admin import MOST_AT_ONCE, OtherHotel, ReadOnlyInline, explain, member
from rooms.models import RoomBlock, RoomBlockEvent


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


# --- blocks -----------------------------------------------------------------------------------------------------------


class BlockStep(NamedTuple):
    """An action on blocks: its texts, the service's guard and the service itself."""

    title: str
    warning: str
    done: str
    guard: Callable[[RoomBlock, Staff], Guard[bool]]
    take: Callable[[RoomBlock, Staff, str], RoomBlock]


BLOCK_STEPS = {
    "complete": BlockStep(
        "Complete blocks",
        "The blocks end now, and the rooms return to use with the status that each block names.",
        "Completed",
        completion_refusals,
        lambda block, staff, note: complete_block_early(block=block, staff=staff, note=note),
    ),
    "cancel": BlockStep(
        "Cancel blocks",
        "The blocks will not begin, and their nights are on sale again.",
        "Cancelled",
        cancellation_refusals,
        lambda block, staff, note: cancel_block(block=block, staff=staff, note=note),
    ),
}


class NoteForm(forms.Form):
    """What the block's history says of the step."""

    note = LinesField(
        max_length=2000,
        required=False,
        widget=AdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept in the history.",
    )


def block_step_refusals(step: BlockStep, block: RoomBlock, staff: Staff) -> Guard[bool]:
    """The refusals of the step's service, for a block of the caller's hotel."""
    if block.hotel_id != staff.hotel_id:
        yield OtherHotel(block)
        return False
    return (yield from step.guard(block, staff))


class BlockHistoryInline(ReadOnlyInline):
    model = RoomBlockEvent
    verbose_name_plural = "history"
    fields = ["created_at", "staff", "action", "from_status", "to_status", "from_free", "to_free", "returns_as", "note"]
    readonly_fields = ["returns_as"]

    @admin.display(description="return status")
    def returns_as(self, event: RoomBlockEvent) -> str:
        return str(event.get_to_return_status_display())

    def get_queryset(self, request: HttpRequest) -> QuerySet[RoomBlockEvent]:
        return super().get_queryset(request).select_related("staff__user")


@admin.register(RoomBlock)
class RoomBlockAdmin(ReadOnlyAdmin):
    inlines = [BlockHistoryInline]
    list_display = ["number", "hotel", "kind", "reason", "first_night", "end", "state", "return_status", "remarks"]
    list_filter = [
        "status",
        "kind",
        ("free_from", admin.EmptyFieldListFilter),
        ("reason", admin.RelatedOnlyFieldListFilter),
        ("room__room_type", admin.RelatedOnlyFieldListFilter),
        ("hotel", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["hotel", "room", "reason"]
    list_per_page = MOST_AT_ONCE
    show_full_result_count = False
    date_hierarchy = "first_night"
    search_fields = ["=room__room_number", "reason__label", "remarks"]
    search_help_text = "Room number, reason or remarks."
    fieldsets = [
        (None, {"fields": ["hotel", "room", "kind", "reason", "remarks", "state", "by_status", "version"]}),
        ("Nights", {"fields": ["first_night", "free_from", "return_status"]}),
        ("When", {"fields": ["created_at", "created_by", "started_at", "delayed_at", "ended_at", "ended_on"]}),
    ]
    readonly_fields = ["state"]
    actions = list(BLOCK_STEPS)

    @admin.display(description="room", ordering="room__sort_key")
    def number(self, block: RoomBlock) -> RoomNumber:
        return block.room.room_number

    @admin.display(description="free from", ordering="free_from", empty_value="until completed")
    def end(self, block: RoomBlock) -> Any:
        return block.free_from

    @admin.display(description="status", ordering="status")
    def state(self, block: RoomBlock) -> str:
        return f"{block.get_status_display()}{', waits for the guest to leave' if block.is_late else ''}"

    def has_manage_permission(self, request: HttpRequest) -> bool:
        staff = member(request)
        return staff is not None and staff.can(MANAGE)

    @admin.action(description="Complete blocks…", permissions=["manage"])
    def complete(self, request: HttpRequest, queryset: QuerySet[RoomBlock]) -> HttpResponse | None:
        return self._ask_or_take("complete", request, queryset)

    @admin.action(description="Cancel blocks…", permissions=["manage"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[RoomBlock]) -> HttpResponse | None:
        return self._ask_or_take("cancel", request, queryset)

    def _ask_or_take(self, name: str, request: HttpRequest, queryset: QuerySet[RoomBlock]) -> HttpResponse | None:
        """First show the confirmation page with every refusal, then act on its answer."""
        step, applied = BLOCK_STEPS[name], "apply" in request.POST
        if applied:
            # Not the filtered list: a block that no longer matches was changed meanwhile, and the service reports that.
            queryset = self.get_queryset(request).filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        blocks = list(queryset.select_related("hotel", "room", "reason").order_by("pk")[: MOST_AT_ONCE + 1])
        if not blocks or len(blocks) > MOST_AT_ONCE:
            messages.error(request, f"Choose between 1 and {MOST_AT_ONCE} blocks.")
            return None
        staff = request.user.staff_profile  # type: ignore[union-attr]
        form = NoteForm(request.POST if applied else None)
        if form.is_valid():
            self._take(step, request, blocks, form.cleaned_data["note"])
            return None
        outcomes: dict[str, list[Any]] = {"rows": [], "already": [], "refused": []}
        for block in blocks:
            refusals, is_open = examine(block_step_refusals(step, block, staff))
            outcomes["refused" if refusals else "rows" if is_open else "already"].append((block, refusals))
        context = {
            **self.admin_site.each_context(request),
            **outcomes,
            "title": step.title,
            "step": step,
            "action": name,
            "form": form,
            "opts": self.model._meta,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/rooms/roomblock/step.html", context)

    def _take(self, step: BlockStep, request: HttpRequest, blocks: list[RoomBlock], note: str) -> None:
        """Take the step for each block, in its own transaction, and report the results.

        If one block is refused, the others still run; if the database is unavailable, the remaining ones are not tried.
        """
        staff = request.user.staff_profile  # type: ignore[union-attr]
        done = 0
        for tried, block in enumerate(blocks, 1):
            try:
                if block.hotel_id != staff.hotel_id:
                    raise OtherHotel(block)
                after = step.take(block, staff, note)
            except (HotelMateError, DatabaseError) as error:
                message, is_refusal = explain(error)
                messages.error(request, f"Room {block.room.room_number}: {message}")
                if is_refusal:
                    continue
                if tried < len(blocks):
                    left = ", ".join(str(each.room.room_number) for each in blocks[tried:])
                    messages.warning(request, f"Not tried: {left}.")
                break
            if after.version == block.version:
                messages.info(request, f"Room {block.room.room_number}: already done.")
            else:
                done += 1
        if done:
            messages.success(request, f"{step.done}: {done} of {len(blocks)} blocks.")
