"""Sign-in, sign-out, the caller's own profile, and the hotel's settings."""

from typing import Any, ClassVar

from django.contrib.auth import logout
from knox.models import AuthToken
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from common.handlers import error_body
from common.openapi import ERROR_EXAMPLES, SignInBody, endpoint
from common.views import HotelViewSet, WithoutDryRun
from hotel.models import Staff
from hotel.rights import ACTIONS
from hotel.serializers import (
    ACCESS_CONFIG_EXAMPLE,
    PERMISSIONS_EXAMPLE,
    AccessConfig,
    LoginInput,
    LoginOutput,
    MeOutput,
    permission_payload,
)
from hotel.services import sign_in, sign_out, update_access_config
from hotel.throttles import LoginThrottle
from housekeeping.policy import status_transitions

NO_PROFILE = "This user is not on the staff of a hotel."
TOO_LARGE, THROTTLED = (ERROR_EXAMPLES[status]["message"] for status in (413, 429))


class LoginView(WithoutDryRun):
    """Sign in with a user name and a password."""

    authentication_classes: Any = ()
    permission_classes = (AllowAny,)
    throttle_classes = (LoginThrottle,)

    @endpoint(
        "Sign in",
        request=LoginInput,
        request_example={"username": "resort-housekeeper", "password": "…"},
        response=LoginOutput,
        example={"token": "5bb2…", **PERMISSIONS_EXAMPLE},
        errors=[401, 403, 429],
        error_examples={
            403: error_body("NO_STAFF_PROFILE", NO_PROFILE, extra={"non_field_errors": [NO_PROFILE]}),
            413: error_body("BODY_TOO_LARGE", TOO_LARGE, extra={"non_field_errors": [TOO_LARGE]}),
            429: error_body("THROTTLED", THROTTLED, extra={"non_field_errors": [THROTTLED]}),
        },
        error_shapes=dict.fromkeys((403, 413, 429), SignInBody),
        tags=["sign-in"],
        auth=False,
    )
    def post(self, request: Request) -> Response:
        body = LoginInput(data=request.data)
        body.is_valid(raise_exception=True)
        staff, token = sign_in(**body.validated_data)
        return Response({"token": token, **permission_payload(staff)})

    def handle_exception(self, exc: Exception) -> Response:
        """Add ``non_field_errors`` to every refusal: the sign-in form shows it."""
        response = super().handle_exception(exc)
        response.data.setdefault("non_field_errors", [response.data["message"]])
        return response


class LogoutView(WithoutDryRun):
    """Sign out: deletes the request's token, or ends the session."""

    @endpoint("Sign out", response=None, status=204, tags=["sign-in"])
    def post(self, request: Request) -> Response:
        request.data  # noqa: B018 - the property parses, and refuses a malformed body
        if isinstance(request.auth, AuthToken):
            sign_out(request.auth)
        else:
            logout(request._request)
        return Response(status=204)


class MeViewSet(HotelViewSet):
    """The caller."""

    queryset = Staff.objects.none()

    @endpoint(
        "Get your own profile and permissions",
        response=MeOutput,
        example={
            **PERMISSIONS_EXAMPLE,
            "id": 3,
            "full_name": "Maeve Byrne",
            "email": "",
            "phone_number": "",
            "is_active": True,
            "is_on_duty": False,
            "status_transitions": {"CHECKOUT_DIRTY": ["CLEANING_IN_PROGRESS", "CLEANED_UNINSPECTED"]},
        },
        tags=["sign-in"],
    )
    def me(self, request: Request, slug: str) -> Response:
        staff = self.staff
        return Response(
            {
                **permission_payload(staff),
                "id": staff.pk,
                "full_name": staff.name,
                "email": staff.user.email,
                "phone_number": staff.phone_number,
                "is_active": staff.is_active,
                "is_on_duty": staff.is_on_duty,
                "status_transitions": status_transitions(staff),
            }
        )


class AccessConfigViewSet(HotelViewSet):
    """The hotel's settings that drive deadlines."""

    queryset = Staff.objects.none()
    rights: ClassVar = {
        "retrieve": [f"bookings.{action}" for action in ACTIONS["bookings"]],
        "partial_update": ["bookings.manage_rules"],
    }

    @endpoint("Get the hotel's settings", response=AccessConfig, example=ACCESS_CONFIG_EXAMPLE)
    def retrieve(self, request: Request, slug: str) -> Response:
        return Response(AccessConfig(self.hotel).data)

    @endpoint(
        "Change the hotel's settings",
        request=AccessConfig,
        request_example={"standard_checkout_time": "10:30", "late_checkout_grace_minutes": 45},
        response=AccessConfig,
        example=ACCESS_CONFIG_EXAMPLE,
        description="Times are `HH:MM` in the hotel's timezone; `HH:MM:00` is accepted too. Existing bookings keep "
        "their approval deadlines. The business day ends at `late_arrival_cutoff`, which must not be after noon or "
        "after `early_checkin_from`.",
    )
    def partial_update(self, request: Request, slug: str) -> Response:
        hotel = update_access_config(hotel=self.hotel, **self.body(AccessConfig, partial=True))
        return Response(AccessConfig(hotel).data)
