"""Hotels and staff in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import HotelScopedAdmin
from hotel.models import Hotel, Staff


@admin.register(Hotel)
class HotelAdmin(HotelScopedAdmin):
    hotel_lookup = "pk"
    list_display = ["name", "slug", "timezone", "phone", "check_in_time", "standard_checkout_time"]
    search_fields = ["name", "slug"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # The slug is in URLs and channels that clients know.
        return [] if request.user.is_superuser or obj is None else ["slug"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)


@admin.register(Staff)
class StaffAdmin(HotelScopedAdmin):
    list_display = ["name", "hotel", "department", "role", "is_active", "is_on_duty"]
    list_filter = ["department", "role", "is_active", ("hotel", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["user", "hotel", "role"]
    search_fields = ["user__username", "user__first_name", "user__last_name"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        readonly = list(super().get_readonly_fields(request, obj))
        return readonly if obj is None else [*readonly, "user"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A new member needs a user first, and users of all hotels are a superuser's business.
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # deactivate: the audit trail names them

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user", "hotel", "role")
