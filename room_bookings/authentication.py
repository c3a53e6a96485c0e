"""Which guest is calling: the access token of their booking, which they got when it was made."""

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
    """``Authorization: GuestToken <token>``: the caller is nobody's user, and ``request.auth`` is their booking.

    A header that says so decides: a staff session that the browser also has is not looked at.
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
    """How the OpenAPI document describes the guest's token."""

    target_class = "room_bookings.authentication.GuestTokenAuthentication"
    name = "guestToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`GuestToken <token>`, for a guest; the answer that made the booking has it.",
        }
