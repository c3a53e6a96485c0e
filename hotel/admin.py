"""Hotels, staff and the sign-in of the admin."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from knox.admin import AuthTokenAdmin
from knox.models import AuthToken

from common.admin import HotelScopedAdmin, SuperuserOnlyMixin
from hotel.forms import AdminSignInForm, NewUserForm, UserForm
from hotel.models import Hotel, Staff
from hotel.rights import ROLE_RIGHTS
from hotel.selectors import outranks, roles_to_give
from hotel.services import Outranked, sign_out_everywhere, update_access_config, update_staff
from rooms.services import create_block_reasons


@admin.register(Hotel)
class HotelAdmin(HotelScopedAdmin):
    hotel_lookup = "pk"
    list_display = ["name", "slug", "timezone", "phone", "check_in_time", "standard_checkout_time"]
    search_fields = ["name", "slug"]
    fieldsets = [
        (None, {"fields": ["name", "slug", "phone", "timezone"]}),
        ("Arrival", {"fields": ["check_in_time", "early_checkin_from", "late_arrival_cutoff"]}),
        ("Departure", {"fields": ["standard_checkout_time", "late_checkout_grace_minutes"]}),
        ("Requests", {"fields": ["approval_cutoff_time", "approval_cutoff_day_offset"]}),
        ("House rules", {"fields": ["allow_overbooking", "require_complete_party"]}),
        ("Rooms", {"fields": ["room_features"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Clients' URLs and channels contain the slug; a hotel given another's old slug would receive its events.
        return [] if obj is None else ["slug"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def save_model(self, request: HttpRequest, obj: Hotel, form: Any, change: bool) -> None:
        """Save through the service, which writes only the changed fields: somebody else may be changing others."""
        if change:
            update_access_config(hotel=obj, **{name: form.cleaned_data[name] for name in form.changed_data})
        else:
            with transaction.atomic():
                obj.save()
                create_block_reasons(obj)


@admin.register(Staff)
class StaffAdmin(HotelScopedAdmin):
    list_display = ["name", "hotel", "department", "role", "is_active", "is_on_duty"]
    list_filter = [
        "department",
        ("role", admin.RelatedOnlyFieldListFilter),
        "is_active",
        "is_on_duty",
        ("hotel", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["user", "hotel", "role"]
    search_fields = ["user__username", "user__first_name", "user__last_name"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        readonly = list(super().get_readonly_fields(request, obj))
        if obj is None:
            return readonly
        # Only a superuser can change their own role, and nobody can lock themselves out by mistake.
        own = obj.user_id == request.user.pk
        if not request.user.is_superuser and (own or obj.role.name not in ROLE_RIGHTS):
            readonly.append("role")
        return [*readonly, "user", *(["is_active"] if own else [])]

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "role":
            kwargs["queryset"] = roles_to_give(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A new member needs a user first, and only superusers manage users.
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # they are deactivated instead, because the audit log names them

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A member with more rights than the caller can be viewed but not changed."""
        return super().has_change_permission(request, obj) and (obj is None or not outranks(obj.user, request.user))

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """Explains why a member with more rights cannot be edited; a POST to that page changes nothing."""
        staff = self.get_object(request, unquote(object_id)) if object_id else None
        if staff is not None and self.has_view_permission(request, staff) and outranks(staff.user, request.user):
            if request.method == "POST":
                return HttpResponseRedirect(request.get_full_path())
            messages.warning(request, Outranked(staff).message)
        return super().changeform_view(request, object_id, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user", "hotel", "role")

    def save_model(self, request: HttpRequest, obj: Staff, form: Any, change: bool) -> None:
        if change:
            update_staff(staff=obj, by=request.user, **{name: form.cleaned_data[name] for name in form.changed_data})
        else:
            super().save_model(request, obj, form, change)


admin.site.login_form = AdminSignInForm
admin.site.unregister([User, Group, AuthToken])


@admin.register(User)
class SuperusersUserAdmin(SuperuserOnlyMixin, UserAdmin):
    """Users belong to no hotel; a hotel manages only its staff."""

    form = UserForm
    add_form = NewUserForm

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not obj.is_active:
            sign_out_everywhere(obj)


@admin.register(Group)
class SuperusersGroupAdmin(SuperuserOnlyMixin, GroupAdmin):
    """Roles are the same for all hotels."""


@admin.register(AuthToken)
class SuperusersTokenAdmin(SuperuserOnlyMixin, AuthTokenAdmin):
    """Tokens of signed-in devices. Only a sign-in makes one; deleting it signs that device out."""

    fields = ["user", "created", "expiry"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
