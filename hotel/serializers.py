"""Shapes of the sign-in, of the permission payload, and of the hotel's settings."""

from datetime import time
from typing import Any

from django.db import models
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.serializers import MODEL_FIELD_MAPPING
from hotel.models import Hotel, Staff
from hotel.rights import ACTIONS, ALL_RIGHTS

# Slug, name, path within the hotel's part of the staff app, and the rights any of which opens it (none: open to all).
NAVIGATION: tuple[tuple[str, str, str, frozenset[str]], ...] = (
    ("home", "Home", "", frozenset()),
    ("rooms", "Rooms", "rooms", frozenset(r for r in ALL_RIGHTS if r.startswith("rooms."))),
    ("room_bookings", "Room bookings", "room-bookings", frozenset(r for r in ALL_RIGHTS if r.startswith("bookings."))),
    (
        "housekeeping",
        "Housekeeping",
        "housekeeping",
        frozenset(r for r in ALL_RIGHTS if r.startswith("housekeeping.")),
    ),
    ("admin_settings", "Settings", "settings", frozenset({"rooms.type_manage", "bookings.manage_rules"})),
)


def permission_payload(staff: Staff) -> dict[str, Any]:
    """A member's identity and permissions: the payload that clients check permissions against."""
    user, hotel = staff.user, staff.hotel
    held = {right for right in ALL_RIGHTS if staff.can(right)}
    rbac = {}
    for module, actions in ACTIONS.items():
        allowed = {action: f"{module}.{action}" in held for action in actions}
        rbac[module] = {"visible": any(allowed.values()), "read": any(allowed.values()), "actions": allowed}
    navigation = [
        {"slug": slug, "name": name, "path": f"/staff/hotel/{hotel.slug}/{path}"}
        for slug, name, path, opens in NAVIGATION
        if not opens or opens & held
    ]
    navs = [item["slug"] for item in navigation]
    return {
        "staff_id": staff.pk,
        "username": user.get_username(),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "hotel_id": hotel.pk,
        "hotel_name": hotel.name,
        "hotel_slug": hotel.slug,
        "hotel": {"id": hotel.pk, "name": hotel.name, "slug": hotel.slug},
        "is_staff": True,
        "is_superuser": user.is_superuser,
        "access_level": staff.access_level,
        "department": staff.department,
        "role": staff.role.name,
        "effective_navs": navs,
        "allowed_navs": navs,
        "navigation_items": navigation,
        "rbac": rbac,
        "can_edit_self_profile": False,
        "profile_image_url": None,
    }


class LoginInput(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False)


class HotelBrief(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    slug = serializers.CharField()


class NavigationItem(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    path = serializers.CharField()


class ModuleRights(serializers.Serializer[Any]):
    visible = serializers.BooleanField()
    read = serializers.BooleanField()
    actions = serializers.DictField(child=serializers.BooleanField())


class PermissionPayload(serializers.Serializer[Any]):
    staff_id = serializers.IntegerField()
    username = serializers.CharField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    hotel_id = serializers.IntegerField()
    hotel_name = serializers.CharField()
    hotel_slug = serializers.CharField()
    hotel = HotelBrief()
    is_staff = serializers.BooleanField(help_text="True for every member of staff; not Django's admin flag.")
    is_superuser = serializers.BooleanField()
    access_level = serializers.CharField()
    department = serializers.CharField()
    role = serializers.CharField()
    effective_navs = serializers.ListField(child=serializers.CharField())
    allowed_navs = serializers.ListField(child=serializers.CharField())
    navigation_items = NavigationItem(many=True)
    rbac = serializers.DictField(child=ModuleRights())
    can_edit_self_profile = serializers.BooleanField()
    profile_image_url = serializers.CharField(allow_null=True)


class LoginOutput(PermissionPayload):
    token = serializers.CharField()


class MeOutput(PermissionPayload):
    id = serializers.IntegerField()
    full_name = serializers.CharField()
    email = serializers.CharField()
    phone_number = serializers.CharField()
    is_active = serializers.BooleanField()
    is_on_duty = serializers.BooleanField()
    status_transitions = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), help_text="What the role allows: from → to."
    )


PERMISSIONS_EXAMPLE = {
    "staff_id": 3,
    "username": "resort-housekeeper",
    "first_name": "Maeve",
    "last_name": "Byrne",
    "hotel_id": 1,
    "hotel_name": "Resort Hotel",
    "hotel_slug": "resort",
    "hotel": {"id": 1, "name": "Resort Hotel", "slug": "resort"},
    "is_staff": True,
    "is_superuser": False,
    "access_level": "regular_staff",
    "department": "housekeeping",
    "role": "housekeeper",
    "effective_navs": ["home", "rooms", "housekeeping"],
    "allowed_navs": ["home", "rooms", "housekeeping"],
    "navigation_items": [{"slug": "home", "name": "Home", "path": "/staff/hotel/resort/"}],
    "rbac": {"rooms": {"visible": True, "read": True, "actions": {"status_transition": True, "inspect": False}}},
    "can_edit_self_profile": False,
    "profile_image_url": None,
}


@extend_schema_field(OpenApiTypes.STR)
class ClockField(serializers.TimeField):
    """A local time of day, ``HH:MM``; seconds are accepted only as zero."""

    default_error_messages = {"seconds": "Whole minutes only, such as 11:00."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%H:%M", input_formats=["%H:%M", "%H:%M:%S"], **kwargs)

    def to_internal_value(self, value: Any) -> time:
        moment = super().to_internal_value(value)
        if moment.second:
            self.fail("seconds")
        return moment


class AccessConfig(serializers.ModelSerializer[Hotel]):
    """The settings that drive a hotel's deadlines. Times are ``HH:MM`` in the hotel's timezone."""

    serializer_field_mapping = MODEL_FIELD_MAPPING | {models.TimeField: ClockField}

    class Meta:
        model = Hotel
        fields = [
            "standard_checkout_time",
            "late_checkout_grace_minutes",
            "approval_cutoff_time",
            "approval_cutoff_day_offset",
            "check_in_time",
            "early_checkin_from",
            "late_arrival_cutoff",
            "timezone",
            "allow_overbooking",
            "require_complete_party",
            "room_features",
        ]


ACCESS_CONFIG_EXAMPLE = {
    "standard_checkout_time": "11:00",
    "late_checkout_grace_minutes": 30,
    "approval_cutoff_time": "23:00",
    "approval_cutoff_day_offset": 0,
    "check_in_time": "15:00",
    "early_checkin_from": "08:00",
    "late_arrival_cutoff": "02:00",
    "timezone": "Europe/Dublin",
    "allow_overbooking": False,
    "require_complete_party": False,
    "room_features": ["balcony", "bath", "sea view"],
}
