"""Guest authentication: the booking's access token, issued when the booking was created."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from room_bookings.models import RoomBooking
from room_bookings.selectors import booking_of_guest

PREFIX = b"GuestToken"


class GuestTokenAuthentication(BaseAuthentication):
    """``Authorization: GuestToken <token>``: the caller is anonymous, and ``request.auth`` is their booking.

    This header takes precedence: a staff session in the same browser is ignored.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, RoomBooking] | None:
        prefix, *words = get_authorization_header(request).split(b" ")
        if prefix != PREFIX:
            return None
        if len(words) != 1 or not words[0] or not words[0].isascii():
            raise AuthenticationFailed("Invalid token.")
        booking = booking_of_guest(words[0].decode())
        if booking is None:
            raise AuthenticationFailed("Invalid token.")
        return AnonymousUser(), booking


class GuestTokenScheme(OpenApiAuthenticationExtension):
    """The guest token's security scheme in the OpenAPI document."""

    target_class = "room_bookings.authentication.GuestTokenAuthentication"
    name = "guestToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`GuestToken <token>`, for a guest; returned when the booking is created.",
        }
