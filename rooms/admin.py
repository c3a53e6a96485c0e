"""Rooms, room types and the reasons for blocks in the admin; a room's status is read-only and changes only through an
action."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path

from common.admin import HotelScopedAdmin, own_hotel
from common.csv_files import csv_file
from common.forms import LineField, LinesField, OneHotelForm
from common.money import money
from hotel.models import Hotel
from housekeeping.models import RoomStatusEvent, Source
from housekeeping.policy import OVERRIDE
from housekeeping.selectors import status_event_list
from housekeeping.services import STATUS_FIELDS, preview_room_statuses, set_room_statuses
from rooms import imports, services
from rooms.models import BlockReason, Room, RoomStatus, RoomType

PLACE: Any = ["building", "floor", "section", "walking_order"]
EQUIPMENT: Any = ["features", "is_accessible", "connecting_rooms", "credits"]
STATUS_PAGE = {"title": "Change the status of rooms"}
# The confirmation page posts each chosen room back, and Django accepts at most 1,000 form fields.
MOST_AT_ONCE = 900
SHOWN_EVENTS = 20


class ImportForm(forms.Form):
    """The CSV files to import; only a superuser chooses the hotel."""

    hotel = forms.ModelChoiceField(Hotel.objects.all())
    types = forms.FileField(label="Room types", required=False, help_text="A CSV with the columns code, name …")
    rooms = forms.FileField(required=False, help_text="A CSV with the columns room_number, room_type …")

    def clean(self) -> dict[str, Any]:
        if not self.errors and not self.files:
            raise ValidationError("Choose a file.")
        return self.cleaned_data


class OneByOneAdmin(HotelScopedAdmin):
    """Deletes one row at a time through a service, which gives the reason when it refuses."""

    def get_actions(self, request: HttpRequest) -> Any:
        """All actions but Django's bulk deletion, which would bypass the service."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}


class StatusForm(forms.Form):
    """The new status of the selected rooms, and the reason."""

    to_status = forms.ChoiceField(label="New status", choices=RoomStatus.choices)
    reason = LinesField(
        max_length=2000, widget=AdminTextareaWidget(attrs={"rows": 3}), help_text="Recorded in the audit log."
    )


class RoomForm(OneHotelForm):
    """A room; those that it connects to are named by their numbers."""

    connecting_rooms = LineField(
        required=False,
        max_length=250,
        show_hidden_initial=True,
        help_text="The numbers of the rooms behind its connecting doors: 102, 104.",
    )
    callers_hotel: Hotel | None = None  # to which a new room belongs, unless the form has a hotel

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "connecting_rooms" in self.fields and self.instance.pk:
            numbers = Room.objects.filter(pk__in=self.instance.connecting_rooms).order_by("sort_key")
            self.initial["connecting_rooms"] = ", ".join(
                str(number) for number in numbers.values_list("room_number", flat=True)
            )

    def clean(self) -> dict[str, Any] | None:
        """Replace the numbers by the rooms' ids."""
        cleaned = super().clean()
        if "connecting_rooms" in self.cleaned_data:
            hotel = self.cleaned_data.get("hotel") or self.instance.hotel_id or self.callers_hotel
            written = [word.strip() for word in self.cleaned_data["connecting_rooms"].split(",") if word.strip()]
            rooms = Room.objects.filter(hotel=hotel, room_number__in=written)
            if len(rooms) != len(written):
                self.add_error("connecting_rooms", ValidationError("The hotel has no room with one of these numbers."))
            else:
                self.cleaned_data["connecting_rooms"] = sorted(room.pk for room in rooms)
        return cleaned


class PlaceFilter(admin.AllValuesFieldListFilter):
    """The values that occur; the rooms without one are a choice with a name."""

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            yield choice if choice["display"] else {**choice, "display": self.empty_value_display}


@admin.register(RoomType)
class RoomTypeAdmin(OneByOneAdmin):
    list_display = ["code", "name", "hotel", "max_occupancy", "price", "is_active"]
    list_filter = ["is_active", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel"]
    search_fields = ["code", "name"]
    readonly_fields = ["price"]
    actions = ["export"]

    @admin.action(description="Export the selected room types as CSV", permissions=["view"])
    def export(self, request: HttpRequest, queryset: QuerySet[RoomType]) -> HttpResponse:
        return csv_file(imports.export_types(queryset), "types.csv")

    @admin.display(description="starting price from", ordering="starting_price_from", empty_value="–")
    def price(self, room_type: RoomType) -> str | None:
        price = money(room_type.starting_price_from, room_type.currency)
        return price and f"{price} {room_type.currency}"

    def get_fields(self, request: HttpRequest, obj: RoomType | None = None) -> Any:
        """Read-only users see price and currency as one field: Django would show the price with four decimals."""
        fields = [name for name in super().get_fields(request, obj) if name != "price"]
        if obj is None or self.has_change_permission(request, obj):
            return fields
        return ["price" if name == "starting_price_from" else name for name in fields if name != "currency"]

    def save_model(self, request: HttpRequest, obj: RoomType, form: Any, change: bool) -> None:
        """Save through the service, which writes only the changed fields."""
        if change:
            services.update_room_type(room_type=obj, **{name: getattr(obj, name) for name in form.changed_data})
        else:
            super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: RoomType) -> None:
        services.delete_room_type(room_type=obj)


@admin.register(BlockReason)
class BlockReasonAdmin(HotelScopedAdmin):
    """One that blocks name cannot be deleted, only put out of use; clients send the code, which never changes."""

    list_display = ["label", "hotel", "code", "default_kind", "default_return_status", "is_active"]
    list_filter = ["is_active", "default_kind", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["hotel"]
    search_fields = ["code", "label"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        readonly = super().get_readonly_fields(request, obj)
        return readonly if obj is None else [*readonly, "code"]


@admin.register(Room)
class RoomAdmin(OneByOneAdmin):
    form = RoomForm
    list_display = [
        "room_number",
        "hotel",
        "room_type",
        "building",
        "shown_floor",
        "room_status",
        "fault",
        "status_changed_at",
        "is_active",
    ]
    list_filter = [
        "room_status",
        "maintenance_required",
        "maintenance_priority",
        "is_active",
        "is_accessible",
        ("building", PlaceFilter),
        ("section", PlaceFilter),
        ("room_type", admin.RelatedOnlyFieldListFilter),
        ("hotel", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["hotel", "room_type"]
    search_fields = ["=room_number", "room_type__name"]
    search_help_text = "Room number or type."
    ordering = ["hotel", "sort_key"]
    fieldsets = [
        (None, {"fields": ["hotel", "room_number", "room_type", "is_active"]}),
        ("Place", {"fields": PLACE}),
        ("Equipment and housekeeping", {"fields": EQUIPMENT}),
        ("Status", {"fields": ["room_status", "status_changed_at", "status_version"]}),
        ("Fault", {"fields": ["fault", "maintenance_notes"]}),
        (
            "Turnover",
            {
                "fields": [
                    "last_cleaned_at",
                    "cleaned_by_staff",
                    "last_inspected_at",
                    "inspected_by_staff",
                    "turnover_notes",
                ]
            },
        ),
        (None, {"fields": ["created_at", "updated_at"]}),
    ]
    readonly_fields = [*STATUS_FIELDS, "fault", "created_at"]
    actions = ["change_status", "export"]
    change_list_template = "admin/rooms/room/change_list.html"
    selections = (ACTION_CHECKBOX_NAME, "others")

    @admin.display(description="floor")
    def shown_floor(self, room: Room) -> str:
        return room.shown_floor

    @admin.display(description="open fault", ordering="maintenance_priority", empty_value="–")
    def fault(self, room: Room) -> str | None:
        return f"{room.get_maintenance_priority_display()} priority" if room.maintenance_required else None

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The add form shows only the editable fields; only a superuser chooses the hotel."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None:
            return fieldsets
        fields = ["room_number", "room_type", "is_active"]
        return [(None, {"fields": ["hotel", *fields] if request.user.is_superuser else fields}), *fieldsets[1:3]]

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, *args, **kwargs)
        form.callers_hotel = own_hotel(request)
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write only the fields that the form changed, so that a concurrent status change is not overwritten."""
        names = {"room_type": "room_type_id"}
        fields = {names.get(name, name): getattr(obj, names.get(name, name)) for name in form.changed_data}
        if not change:
            hotel = obj.hotel if obj.hotel_id else own_hotel(request)
            fields = {"is_active": obj.is_active, **fields, "hotel": hotel}
            obj.pk = services.create_room(**fields).pk
            return
        services.update_room(room=obj, staff=getattr(request.user, "staff_profile", None), **fields)

    def delete_model(self, request: HttpRequest, obj: Room) -> None:
        services.delete_room(room=obj)

    # --- CSV ----------------------------------------------------------------------------------------------------------

    @admin.action(description="Export the selected rooms as CSV", permissions=["view"])
    def export(self, request: HttpRequest, queryset: QuerySet[Room]) -> HttpResponse:
        return csv_file(imports.export_rooms(queryset.select_related("room_type")), "rooms.csv")

    def get_urls(self) -> list[Any]:
        own = path("import/", self.admin_site.admin_view(self.import_view), name="rooms_room_import")
        return [own, *super().get_urls()]

    def has_import_permission(self, request: HttpRequest) -> bool:
        """Whether the user may add and change types as well as rooms."""
        admins = (self, self.admin_site.get_model_admin(RoomType))
        return all(each.has_add_permission(request) and each.has_change_permission(request) for each in admins)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        may_import = {"may_import": self.has_import_permission(request)}
        return super().changelist_view(request, {**may_import, **(extra_context or {})})

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the files, check them, import them if asked to, and list every line's error."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None)
        if not request.user.is_superuser:
            del form.fields["hotel"]
        context: dict[str, Any] = {"title": "Import rooms", "form": form}
        if request.method == "POST" and form.is_valid():
            done = imports.import_files(
                form.cleaned_data.get("hotel") or own_hotel(request),
                [(file.name, file.read()) for name in ("types", "rooms") if (file := form.cleaned_data[name])],
                staff=getattr(request.user, "staff_profile", None),
                dry_run="import" not in request.POST,
            )
            if not done.errors and "import" in request.POST:
                messages.success(request, f"Imported. {done}.")
                return redirect("admin:rooms_room_changelist")
            context["done"] = done
        return self._page(request, "import", context)

    # --- history ------------------------------------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        room = context.get("original")
        if room is not None:
            context |= self.status_history(request, room.pk)
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """The room's status history, followed by Django's log of edits in the admin."""
        # A callable: evaluated by the template, after the permission check.
        history = {"status_history": partial(self.status_history, request, unquote(object_id))}
        return super().history_view(request, object_id, {**history, **(extra_context or {})})

    def status_history(self, request: HttpRequest, room_id: Any) -> dict[str, Any]:
        """Template context with the room's newest status changes."""
        # One extra row shows whether there are more.
        newest = list(status_event_list(Room(pk=room_id))[: SHOWN_EVENTS + 1])
        events_admin = self.admin_site.get_model_admin(RoomStatusEvent)
        return {
            "events": newest[:SHOWN_EVENTS],
            "has_more_events": len(newest) > SHOWN_EVENTS,
            "may_see_all_events": events_admin.has_view_permission(request),
        }

    # --- the action ---------------------------------------------------------------------------------------------------

    def has_change_status_permission(self, request: HttpRequest) -> bool:
        staff = getattr(request.user, "staff_profile", None)
        return staff is not None and staff.can(OVERRIDE)

    @admin.action(description="Change the status of the selected rooms…", permissions=["change_status"])
    def change_status(self, request: HttpRequest, queryset: QuerySet[Room]) -> HttpResponse | None:
        """Ask for status and reason, preview the result for each room, then override through the service."""
        step = next((name for name in ("apply", "preview", "again") if name in request.POST), None)
        if step:
            # By key: a room that somebody else has changed may no longer match the list's filters.
            chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
            chosen += request.POST.getlist("others") if step == "again" else []
            queryset = self.get_queryset(request).filter(pk__in=chosen)
        rooms = list(queryset.select_related("hotel").order_by("pk")[: MOST_AT_ONCE + 1])
        if not rooms or len(rooms) > MOST_AT_ONCE:
            messages.error(request, f"Choose between 1 and {MOST_AT_ONCE} rooms.")
            return None
        form = StatusForm(request.POST if step in ("apply", "preview") else None, initial=request.POST.dict())
        if not form.is_valid():
            context = {"rooms": rooms, "selected": [room.pk for room in rooms]}
            return self._page(request, "change_status", {**STATUS_PAGE, "form": form, **context})
        change: dict[str, Any] = {
            "changes": [(room, form.cleaned_data["to_status"]) for room in rooms],
            "staff": request.user.staff_profile,  # type: ignore[union-attr]
            "source": Source.MANAGER_OVERRIDE,
            "note": form.cleaned_data["reason"],
        }
        if step == "apply":
            self._apply(request, change)
            return None
        forecasts = preview_room_statuses(**change)
        done = [forecast.room for forecast in forecasts if forecast.changes]
        others = [forecast.room for forecast in forecasts if not forecast.changes]
        context = {
            "is_preview": True,
            "label": RoomStatus(form.cleaned_data["to_status"]).label,
            "done": done,
            "already": [forecast.room for forecast in forecasts if not (forecast.changes or forecast.refusals)],
            "refused": [(forecast.room, forecast.refusals) for forecast in forecasts if forecast.refusals],
            # "Apply" posts only the rooms that will change; going back keeps the whole selection.
            "selected": [room.pk for room in done or others],
            "others": [room.pk for room in others] if done else [],
        }
        return self._page(request, "change_status", {**STATUS_PAGE, "form": form, **context})

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "media": self.media,
            **context,
        }
        return TemplateResponse(request, f"admin/rooms/room/{name}.html", context)

    def _apply(self, request: HttpRequest, change: dict[str, Any]) -> None:
        outcomes = set_room_statuses(**change)
        changed = sum(outcome.event is not None for outcome in outcomes)
        if changed:
            messages.success(request, f"Changed {changed} of {len(outcomes)} rooms.")
        for outcome in outcomes:
            if outcome.refusal:
                messages.error(request, outcome.refusal.message)
            elif outcome.event is None:
                messages.info(request, f"{outcome.room} already has this status.")
