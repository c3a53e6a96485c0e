"""Rooms and room types in the admin. A room's status is read here and changed by an action, through the service."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from common.admin import HotelScopedAdmin
from housekeeping.models import Source
from housekeeping.policy import OVERRIDE
from housekeeping.services import STATUS_FIELDS, set_room_statuses
from rooms import services
from rooms.models import Room, RoomStatus, RoomType


class StatusForm(forms.Form):
    """What to make of the chosen rooms, and why."""

    to_status = forms.ChoiceField(label="New status", choices=RoomStatus.choices)
    reason = forms.CharField(
        max_length=2000, widget=forms.Textarea(attrs={"rows": 3}), help_text="Kept in the audit trail."
    )


@admin.register(RoomType)
class RoomTypeAdmin(HotelScopedAdmin):
    list_display = ["code", "name", "hotel", "max_occupancy", "starting_price_from", "currency", "is_active"]
    list_filter = ["is_active", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel"]
    search_fields = ["code", "name"]


@admin.register(Room)
class RoomAdmin(HotelScopedAdmin):
    list_display = [
        "room_number",
        "hotel",
        "room_type",
        "room_status",
        "maintenance_priority",
        "status_changed_at",
        "is_active",
    ]
    list_filter = ["room_status", "maintenance_required", "is_active", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel", "room_type"]
    search_fields = ["=room_number", "room_type__name"]
    ordering = ["hotel", "room_number"]
    exclude = ["guest_fcm_token"]
    readonly_fields = [*STATUS_FIELDS, "created_at"]
    actions = ["change_status"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write what the form changed and nothing else: a status that moved meanwhile is not overwritten."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        names = {"room_type": "room_type_id"}
        fields = {names.get(name, name): getattr(obj, names.get(name, name)) for name in form.changed_data}
        services.update_room(room=obj, staff=getattr(request.user, "staff_profile", None), **fields)

    def has_change_status_permission(self, request: HttpRequest) -> bool:
        staff = getattr(request.user, "staff_profile", None)
        return staff is not None and staff.can(OVERRIDE)

    @admin.action(description="Change the status of the selected rooms…", permissions=["change_status"])
    def change_status(self, request: HttpRequest, queryset: QuerySet[Room]) -> HttpResponse | None:
        """Ask for the status and a reason, then override through the service; what it refuses is shown."""
        form = StatusForm(request.POST if "apply" in request.POST else None)
        if not form.is_valid():
            context = {
                **self.admin_site.each_context(request),
                "title": "Change the status of rooms",
                "form": form,
                "rooms": queryset,
                "opts": self.model._meta,
                # Of "all rooms that match", the page before sends only those that it showed.
                "selected": queryset.values_list("pk", flat=True),
            }
            return TemplateResponse(request, "admin/rooms/room/change_status.html", context)
        outcomes = set_room_statuses(
            changes=[(room, form.cleaned_data["to_status"]) for room in queryset.order_by("pk")],
            staff=request.user.staff_profile,  # type: ignore[union-attr]
            source=Source.MANAGER_OVERRIDE,
            note=form.cleaned_data["reason"],
        )
        changed = sum(outcome.event is not None for outcome in outcomes)
        if changed:
            messages.success(request, f"Changed {changed} of {len(outcomes)} rooms.")
        for outcome in outcomes:
            if outcome.refusal:
                messages.error(request, outcome.refusal.message)
            elif outcome.event is None:
                messages.info(request, f"{outcome.room} was so already.")
        return None
